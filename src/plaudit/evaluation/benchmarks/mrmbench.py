"""MRMBench: which of six dimensions of preference a reward model's states hold, and which explains its decisions [88].

Files `mrm_easy/DIMENSION/train.json` and `test.json` (two levels), `mrm_hard/...` (three), rows `input, output, label`.
A linear probe a dimension is fitted on the states of the training rows and measured on the test rows; the score of a
set is the mean of the six accuracies. Beside it stands what the nearest centroid says, which inference-time probing
uses: no probe is fitted. Pairs (`prompt, chosen, rejected`) as another source are explained by it: which dimension
explains how many of the model's decisions, and how often those are right that it is sure of.

Source: Wang et al. 2025, "Probing Preference Representations"; layout and average of six from its code.

Differs from its code: that trains the whole model with the probe's head on `input + output`, and drops texts of more
than 2048 tokens; here the states stay as they are (`probing`), and texts have the model's own template and truncation,
as when they are scored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.evaluation.baselines import markdown_marks
from plaudit.evaluation.benchmarks.credits import pair_credit
from plaudit.evaluation.benchmarks.items import (
    Benchmark,
    Item,
    SourceRow,
    answers_of,
    choice,
    column,
    identity,
    prompt_of,
)
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.probing import DIMENSIONS, InferenceProbe, probe_levels
from plaudit.evaluation.benchmarks.statistics import Floats, Found, Statistic, mean_of, sections
from plaudit.records.fields import RowError, number, text
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Outcome, Reward

SETS = {"easy": 2, "hard": 3}
"""Set to its number of levels."""
PAIRS = "pairs"


def _parse(row: SourceRow) -> Item:
    if row.cells.get("chosen") is not None:
        pair = choice(row, prompt_of(row, "prompt", "input"), answers_of(row, "chosen"), answers_of(row, "rejected"),
                      subset=PAIRS, meta={"part": PAIRS})  # fmt: skip
        if len(pair.samples) != 2:
            raise RowError("chosen", row.cells["chosen"], "give one chosen and one rejected answer")
        return pair
    dimension = str(row.cells.get("dimension") or next(iter(row.folders), ""))
    if dimension not in DIMENSIONS:
        raise RowError("dimension", dimension, f"name the file's folder (or this column) {', '.join(DIMENSIONS)}")
    named = [str(row.cells.get("set") or ""), *row.folders]
    which = next((s for name in named for s in SETS if name.lower() in (s, f"mrm_{s}")), None)
    if which is None:
        raise RowError("set", None, "name a folder above the dimension (or this column) mrm_easy or mrm_hard")
    part = str(row.cells.get("split") or row.stem)
    if part not in ("train", "test"):
        raise RowError("split", part, "name the file (or this column) train or test")
    label = number("label", column(row, "label")[1])
    if label not in range(SETS[which]):
        raise RowError("label", row.cells["label"], f"mrm_{which} has the levels 0 to {SETS[which] - 1}")
    sample = Sample(prompt_of(row, "input"), text("output", column(row, "output")[1]))
    meta = {"part": part, "set": which, "level": int(label)}
    return Item(f"{row.file}:{identity(row)}", dimension, (sample,), (True,), meta=meta)


def _ask(judge: Reward | Comparison, items: Sequence[Item]) -> Judged:
    """The states of all candidates, and the rewards of pairs; a text that occurs in several files is run once."""
    from plaudit.rewards.models import ModelReward

    if not isinstance(judge, ModelReward):
        raise InputError(
            f"mrmbench: probes hidden states, and {judge.name} has none that are known here; give a reward model: a "
            "folder or hub id"
        )
    from plaudit.rewards.people.states import last_states

    flat = [sample for item in items for sample in item.samples]
    place: dict[str, int] = {}
    at = np.array([place.setdefault(sample.key, len(place)) for sample in flat], np.int64)
    once = [flat[i] for i in np.unique(at, return_index=True)[1]]
    states = np.asarray(last_states(judge, once).numpy(), np.float64)[at]
    pairs = [s for item in items if item.meta["part"] == PAIRS for s in item.samples]
    said = iter(judge(pairs).reward.tolist() if pairs else [])
    rewards = tuple(
        np.array([next(said) if item.meta["part"] == PAIRS else math.nan for _ in item.samples]) for item in items
    )
    outcomes = tuple(np.full(len(item.samples), Outcome.SCORED, np.int8) for item in items)
    return Judged(rewards, outcomes=outcomes, bounds=judge.bounds, name=judge.name, states=states)


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.states is not None
    first = np.cumsum([0, *(len(item.samples) for item in items)])
    states, level = judged.states[first[:-1]], np.array([item.meta.get("level", -1) for item in items])
    rows: list[Statistic] = []
    notes: list[str] = []
    probes: dict[str, InferenceProbe] = {}
    for which in SETS:
        parts = {p: _rows(items, which, p) for p in ("train", "test")}
        probed = [d for d in DIMENSIONS if parts["train"][d].size and parts["test"][d].size]
        if idle := [d for d in DIMENSIONS if parts["train"][d].size + parts["test"][d].size and d not in probed]:
            notes.append(f"{which}: {', '.join(idle)} have training rows or test rows only, and are missing")
        if not probed:
            continue
        train, test = ({d: parts[p][d] for d in probed} for p in ("train", "test"))
        said = {d: probe_levels(states[train[d]], level[train[d]], states[test[d]]) for d in probed}
        rows += _shown(which, said, level, test, notes)
        if judged.rewards is not None:  # a rule has features and no states: nothing lies near anything
            probe = InferenceProbe.fit(
                {d: states[i] for d, i in train.items()}, {d: level[i] for d, i in train.items()}
            )
            nearest = {d: probe.nearest(states[test[d]], d) for d in probed}
            shown = _shown(which, {d: np.unique(level[train[d]])[n] for d, n in nearest.items()}, level, test, [])
            rows += [replace(s, name=f"centroids/{s.name}", headline=False) for s in shown]
            probes[which] = probe
    if probes and judged.rewards is not None:
        rows += _explained(next(iter(probes.values())), items, judged, first)
    fitted = sum(item.meta["part"] == "train" for item in items)
    return Found(tuple(rows), (*notes, f"{fitted} of {len(items)} items fit the probes and count in no number"))


def _rows(items: Sequence[Item], which: str, part: str) -> dict[str, NDArray[np.int64]]:
    """Dimension to the places of its items."""
    mine = [i for i, item in enumerate(items) if item.meta.get("set") == which and item.meta["part"] == part]
    return {d: np.array([i for i in mine if items[i].subset == d], np.int64) for d in DIMENSIONS}


def _shown(
    which: str, said: Mapping[str, NDArray[np.int64]], level: NDArray[np.int64],
    test: Mapping[str, NDArray[np.int64]], notes: list[str],
) -> list[Statistic]:  # fmt: skip
    """Accuracy of each dimension, and their mean where all six are there."""
    at = np.concatenate([test[d] for d in said])
    right = np.concatenate([(said[d] == level[test[d]]).astype(np.float64) for d in said])
    groups = [d for d in said for _ in test[d]]
    found = sections(right, groups, {"six": dict.fromkeys(DIMENSIONS, 1.0)}, overall="score", prefix=f"{which}/")
    notes += found.notes
    kept = [s for s in found.statistics if "section/" not in s.name]
    return [replace(s, name=s.name.replace("subset/", ""), rows=None if s.absent else at) for s in kept]


def _explained(
    probe: InferenceProbe, items: Sequence[Item], judged: Judged, first: NDArray[np.int64]
) -> list[Statistic]:  # fmt: skip
    """Which dimension explains a pair's decision, and how right the sure ones are."""
    assert judged.rewards is not None
    assert judged.states is not None
    at = np.array([i for i, item in enumerate(items) if item.meta["part"] == PAIRS], np.int64)
    if not at.size:
        return []
    margins = [np.array([judged.rewards[i][0] - judged.rewards[i][1]]) for i in at]
    right = pair_credit(margins, tie=0.5)
    flipped = np.array([m[0] < 0 for m in margins])
    preferred, other = first[at] + flipped, first[at] + ~flipped
    said = probe.explain(judged.states[preferred], judged.states[other])
    decided = np.array([m[0] != 0 for m in margins]) & ~np.isnan(right)
    sure = decided & (said.confidence >= np.median(said.confidence[decided])) if decided.any() else decided
    rows = [
        mean_of("pairs/accuracy", right),
        mean_of("pairs/accuracy of the surer half", np.where(sure, right, math.nan)),
    ]
    for d in said.names:
        mine = np.array([d == x for x in said.dimension], np.float64)
        rows.append(mean_of(f"pairs/explained by {d}", np.where(decided, mine, math.nan)))
    return [replace(s, rows=at) for s in rows]


def _rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    flat = [s for item in items for s in item.samples]
    length = np.log1p([len(s.text) for s in flat])[:, None]
    marks = np.log1p([markdown_marks(s.text) for s in flat])[:, None]
    made: dict[str, Floats] = {
        "most frequent level": np.zeros((len(flat), 1)),
        "length": length,
        "length and markdown": np.concatenate([length, marks], axis=1),
    }
    return {name: Judged(None, states=states, name=name) for name, states in made.items()}


MRMBENCH = Benchmark(
    name="mrmbench",
    line="which of six dimensions of preference a reward model's hidden states hold (a probe each)",
    columns="input, output, label in mrm_easy/DIMENSION/train.json and test.json, mrm_hard/...; prompt, chosen and "
    "rejected in another file for what explains decisions",
    source="Wang et al. 2025; hub ifnoc/MRMBench, and the folder data of its repository",
    parse=_parse,
    statistics=_statistics,
    takes=("reward",),
    rules=_rules,
    ask=_ask,
    quirks=(
        "its code trains the whole model with the probe's head for one epoch; here the states stay as they are, as its "
        "text says, so its numbers and ours do not compare (ours)",
        "levels are unequal in number: what the most frequent one reaches stands beside, and is above 0.9 in some (its "
        "data)",
        "its code drops texts of more than 2048 tokens; here they are cut as when they are scored (ours)",
    ),
)
"""MRMBench."""
