"""General preference, Bradley-Terry and Plackett-Luce on triples of which every pair was judged.

On two kinds of request (all of them, or none) the annotators compare by the outer product of two aspects, which no
scalar represents; elsewhere by the true reward. The models are told nothing of this but the prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.training.objectives.experiment import fitted_slope
from plaudit.lab.fitting import trained_in_world
from plaudit.lab.worlds.assistant import KINDS, Knobs, PolicyConfig, Prepared, label_pairs, prepare
from plaudit.lab.worlds.assistant.annotators import Panel
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Reward
from plaudit.stats.scores import log_loss

LogOdds = Callable[[Sequence[Pair]], np.ndarray]
"""Log-odds that chosen is better, (n,)."""

SETTINGS = {
    "general-preference": "general-preference?temperature=1.0&init=unit",
    "one-plane": "general-preference?temperature=1.0&init=unit&planes=1",
    "cross-encoder": "cross-encoder",
    "bradley-terry": "bradley-terry",
    "plackett-luce": "plackett-luce",
    "placebo": "general-preference?temperature=1.0&init=unit",
}
"""Arm, without what follows `@`, to the objective."""

LEARNING_RATE = 3e-3
"""For the starting policy as the backbone, since random weights learned too little from so few pairs. Chosen on one
development instance, two trials an arm (1e-3 and this one)."""


@dataclass(frozen=True)
class Data:
    """Triples of an instance, labelled.

    Attributes:
        world: the instance.
        cyclic: the kinds whose annotators have no transitive order.
        train: for each triple its three judged pairs.
        fitting: judged pairs of other prompts, for the temperature.
        test: judged pairs of yet other prompts.
    """

    world: Prepared
    cyclic: tuple[str, ...]
    train: list[list[Pair]]
    fitting: list[Pair]
    test: list[Pair]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `log_loss_cyclic` (nats a pair, on the cyclic kinds; log 2 is a coin) and `log_loss_plain` elsewhere, on the
        annotators' labels of test pairs, after one temperature for both that is fitted on other pairs (a model that is
        too sure would lose by that alone); `raw_cyclic` and `raw_plain` without it; and `cycles`: the share of test
        triples of the cyclic kinds that the annotators ordered in a circle.
    """
    del fit  # it fits by Bradley-Terry only
    name, _, share = arm.partition("@")
    data = _data(seed, share != "0", *sorted(budget.items()))
    odds = _log_odds(name, data, budget, seed)
    kinds = _cyclic_kinds(seed)  # the same rows in every arm, whether or not their annotators are cyclic
    logits, label = _turned(odds, data.test, seed)
    slope = fitted_slope(*_turned(odds, data.fitting, seed))
    cyclic = np.array([r.meta["kind"] in kinds for r in data.test])
    found = {}
    for where, rows in (("cyclic", cyclic), ("plain", ~cyclic)):
        found[f"log_loss_{where}"] = _log_loss(slope * logits[rows], label[rows])
        found[f"raw_{where}"] = _log_loss(logits[rows], label[rows])
    return found | {"cycles": _cycles(data, kinds)}


def _turned(odds: LogOdds, rows: Sequence[Pair], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and labels of the rows, each turned by a coin.

    Chosen always first would reward a model that likes the first place.
    """
    turned = np.random.default_rng([seed, 53]).random(len(rows)) < 0.5
    shown = [replace(r, chosen=r.rejected, rejected=r.chosen) if t else r for r, t in zip(rows, turned, strict=True)]
    return odds(shown), (~turned).astype(np.float64)


def _log_loss(logits: np.ndarray, label: np.ndarray) -> float:
    return log_loss(1 / (1 + np.exp(-np.clip(logits, -30, 30))), label)


def _cyclic_kinds(seed: int) -> tuple[str, ...]:
    return tuple(np.random.default_rng([seed, 59]).choice(KINDS, 2, replace=False).tolist())


@lru_cache(maxsize=2)
def _data(seed: int, cyclic: bool, *budget: tuple[str, Any]) -> Data:
    b = dict(budget)
    world = prepare(seed, PolicyConfig(demonstrations=b["policy_demonstrations"], epochs=b["policy_epochs"]))
    kinds = _cyclic_kinds(seed) if cyclic else ()
    train = [_judged(world, t, kinds, i) for i, t in enumerate(world.groups(b["triples"], each=3, seed=1))]
    asked = world.groups(b["fitting"] + b["test"], each=3, seed=2, side="test")
    test = [_judged(world, t, kinds, 10**6 + i) for i, t in enumerate(asked)]
    fitting, rest = ([row for rows in part for row in rows] for part in (test[: b["fitting"]], test[b["fitting"] :]))
    return Data(world, kinds, train, fitting, rest)


def _judged(world: Prepared, triple: Sequence[Sample], kinds: Sequence[str], index: int) -> list[Pair]:
    """The three pairs of a triple, judged by cyclic annotators where its kind is one of theirs."""
    knobs = Knobs(cyclic=float(world.world.request(triple[0].prompt).kind in kinds))
    bare = [replace(s, group=None, meta={}) for s in triple]
    rows: list[Pair] = label_pairs(world.world, list(combinations(bare, 2)), knobs, seed=index)
    return rows


def _cycles(data: Data, kinds: Sequence[str]) -> float:
    """Share of triples in which everyone wins once."""
    triples = [data.test[i : i + 3] for i in range(0, len(data.test), 3)]
    here = [t for t in triples if t[0].meta["kind"] in kinds]
    return float(np.mean([len({r.chosen for r in t}) == 3 for t in here]))


def _log_odds(name: str, data: Data, budget: Mapping[str, Any], seed: int) -> LogOdds:
    if name == "oracle":
        return _true_log_odds(data)
    if name not in SETTINGS:
        raise InputError(f"cyclic_annotators: arm {name!r} is not known; the claim lists the arms")
    rows: Sequence[Any] = [row for rows in data.train for row in rows]
    if name == "plackett-luce":
        rows = as_lists(data.train)
    if name == "placebo":
        rows = _dealt_out(rows, seed)
    made = trained_in_world(
        rows, seed=seed, size=budget["size"], objective=SETTINGS[name], backbone=data.world.policy_folder,
        learning_rate=LEARNING_RATE, epochs=budget["epochs"],
    ).reward  # fmt: skip
    return _of_reward(made) if isinstance(made, Reward) else _of_comparison(made)


def as_lists(triples: Sequence[Sequence[Pair]]) -> list[Ranked]:
    """Triples ordered by their wins; circles have no order and are left out, which is all that a list can do."""
    rows = []
    for pairs in triples:
        wins: dict[Any, int] = {}
        for pair in pairs:
            wins[pair.chosen] = wins.get(pair.chosen, 0) + 1
            wins.setdefault(pair.rejected, 0)
        if len(set(wins.values())) > 1:
            rows.append(Ranked(pairs[0].prompt, tuple(wins), tuple(float(w) for w in wins.values())))
    return rows


def _dealt_out(rows: Sequence[Pair], seed: int) -> list[Pair]:
    swap = np.random.default_rng([seed, 61]).random(len(rows)) < 0.5
    return [replace(r, chosen=r.rejected, rejected=r.chosen) if s else r for r, s in zip(rows, swap, strict=True)]


def _of_reward(reward: Any) -> LogOdds:
    unit = reward.log_odds_per_unit

    def odds(rows: Sequence[Pair]) -> np.ndarray:
        chosen, rejected = (reward([r.samples()[i] for r in rows]).reward for i in (0, 1))
        return np.asarray(unit * (chosen - rejected))

    return odds


def _of_comparison(comparison: Comparison) -> LogOdds:
    def odds(rows: Sequence[Pair]) -> np.ndarray:
        both = [r.samples() for r in rows]
        said = comparison([b[0] for b in both], [b[1] for b in both])
        return np.array([float(d["log_odds"]) for d in said.detail])

    return odds


def _true_log_odds(data: Data) -> LogOdds:
    """The annotators' own, before they draw."""

    def odds(rows: Sequence[Pair]) -> np.ndarray:
        """Of each row's chosen over its rejected completion."""
        first, second = (data.world.world.parse([r.samples()[i] for r in rows]) for i in (0, 1))
        panel = Panel.drawn(data.world.world, Knobs())
        nobody = np.zeros(len(rows), dtype=np.int64)
        cyclic = np.array([r.meta["kind"] in data.cyclic for r in rows])
        return panel.log_odds(panel.margins(first, second, nobody, nobody.astype(bool), cyclic), first, second)

    return odds
