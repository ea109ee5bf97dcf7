"""WildBench: a model against a baseline by a judge's verdicts, and a judge's scores of its answers [37].

Verdicts are worth 1 (much better), 0.5 (slightly), 0 (tie), -0.5, -1. Length rule: a slight win whose winner is
longer by more than K characters is a tie; much better is never touched; K below 0 switches it off. `WB-Reward = sum
/ total`. WB-Score is `(mean score - 5) * 2`, shown times 10, and its task-wise version weighs five groups of tasks.

Source: Lin et al. 2024, "WildBench"; `_create_tables.py` and `view_wb_eval.py` in its code.

Differs from its code: truncated and empty answers leave the numerator there and stay in the denominator; here they
leave both and are told. Verdicts of rewards are ours: of a comparison (or of a reward whose differences are
log-odds) the value `2p - 1` is rounded to the nearest of the five; position is averaged over both orders instead of
drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, Statistic, absent, mean_of
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Sample

WEIGHTS = {
    "Creative Tasks": 0.5, "Planning & Reasoning": 1.25, "Math & Data Analysis": 1.0,
    "Information/Advice seeking": 0.75, "Coding & Debugging": 1.25,
}  # fmt: skip
"""Published weight of each group of tasks."""
TASKS = {
    "Information seeking": "Information/Advice seeking", "Creative Writing": "Creative Tasks",
    "Coding & Debugging": "Coding & Debugging", "Reasoning": "Planning & Reasoning", "Editing": "Creative Tasks",
    "Math": "Math & Data Analysis", "Planning": "Planning & Reasoning", "Brainstorming": "Creative Tasks",
    "Role playing": "Creative Tasks", "Advice seeking": "Information/Advice seeking",
    "Data Analysis": "Math & Data Analysis", "Others": "Creative Tasks",
}  # fmt: skip
"""Published tag to its group."""
MARGIN = 500
"""Characters of the paper's length rule."""
_EMPTY = "[This model response is empty.]"


def wb_reward(verdicts: ArrayLike, lengths: ArrayLike, *, margin: int = MARGIN) -> Floats:
    """Verdicts (n,) with the length rule applied; their mean is WB-Reward.

    Args:
        verdicts: (n,) values -1, -0.5, 0, 0.5, 1 of the model over the baseline; NaN stays.
        lengths: (n, 2) characters of the model's answer and of the baseline's.
        margin: K; a slight win whose winner is longer by more than K is a tie; below 0 there is no rule.

    Raises:
        ShapeError: if the shapes do not fit.
        InputError: if a verdict is none of the five values.
    """
    v, size = np.asarray(verdicts, np.float64), np.asarray(lengths, np.float64)
    if size.shape != (len(v), 2):
        raise ShapeError(f"wb_reward: lengths have shape {size.shape} for {len(v)} verdicts; give (n, 2)")
    known = v[~np.isnan(v)]
    if not np.isin(known, (-1, -0.5, 0, 0.5, 1)).all():
        raise InputError("wb_reward: a verdict is none of -1, -0.5, 0, 0.5, 1; round it first")
    if margin < 0:
        return v
    longer = np.where(v > 0, size[:, 0] - size[:, 1], size[:, 1] - size[:, 0])
    return np.asarray(np.where((np.abs(v) == 0.5) & (longer > margin), 0.0, v))


def wb_score(scores: ArrayLike) -> Floats:
    """Scores of 1 to 10 as they are displayed, `(s - 5) * 2 * 10`: 5 is 0, 10 is 100.

    Args:
        scores: any shape; NaN stays.
    """
    return np.asarray((np.asarray(scores, np.float64) - 5) * 20)


def _groups(row: SourceRow) -> tuple[str, ...]:
    tags = [row.cells.get("primary_tag"), *(row.cells.get("secondary_tags") or [])]
    found = []
    for tag in (t for t in tags if t):
        if tag not in TASKS:
            raise RowError("primary_tag", tag, f"no published task; the tasks are {', '.join(TASKS)}")
        found.append(TASKS[tag])
    return tuple(dict.fromkeys(found))


def _left_out(answer: str) -> bool:
    return not answer or answer == _EMPTY or answer.endswith("... (truncated)")


def _parse_pairs(row: SourceRow) -> Item:
    outputs = column(row, "model_outputs")[1]
    if not isinstance(outputs, Mapping) or len(outputs) != 2:
        raise RowError("model_outputs", outputs, "give an object of two models and their outputs")
    names = list(outputs)
    reference = str(row.cells.get("ref_model") or _named_by_folder(row))
    if reference not in names:
        raise RowError(
            "ref_model", reference or None,
            f"give which of {', '.join(names)} is the baseline, in this column or in a folder named ref=MODEL",
        )  # fmt: skip
    model = next(n for n in names if n != reference)
    answers = (text(f"model_outputs.{model}", outputs[model]), text(f"model_outputs.{reference}", outputs[reference]))
    prompt = prompt_of(row, "conversation_input", "prompt", "history")
    samples = tuple(Sample(prompt, a, group=f"{row.file}:{row.number}") for a in answers)
    judged = math.nan
    if row.cells.get("winner") is not None:
        judged = _stored(row, model, reference)
    meta = {
        "lengths": [len(a) for a in answers], "groups": _groups(row), "stored": judged,
        "left": any(_left_out(a) for a in answers),
    }  # fmt: skip
    return Item(identity(row), model, samples, (True, False), meta=meta)


def _named_by_folder(row: SourceRow) -> str:
    """The baseline of published results, which lie in a folder such as `ref=gpt-4-turbo-2024-04-09`."""
    found = [part.removeprefix("ref=") for part in row.file.split("/") if part.startswith("ref=")]
    return found[-1] if found else ""


def _stored(row: SourceRow, model: str, reference: str) -> float:
    winner, extent = row.cells["winner"], row.cells.get("extent")
    if winner == "tie":
        return 0.0
    if winner not in (model, reference) or extent not in (1, 2):
        raise RowError("winner", winner, f"give {model}, {reference} or tie, with extent 1 or 2 (it is {extent!r})")
    return (1 if winner == model else -1) * (1.0 if extent == 2 else 0.5)


def _check_pairs(judged: Judged) -> None:
    if judged.rewards is not None and judged.log_odds_per_unit is None:
        raise InputError(
            f"wildbench: differences of {judged.name} are no log-odds, so they say nothing of 'slightly' and 'much'; "
            "give a comparison, a calibrated model, or compare/margin"
        )


def _check_scores(judged: Judged) -> None:
    low, high = judged.bounds
    if not (low >= 1 and high <= 10):
        raise InputError(
            f"wildbench-score: scores are 1 to 10, and the bounds of {judged.name} are {judged.bounds}; "
            "give a judge whose reward is such a score"
        )


def _verdicts(items: Sequence[Item], judged: Judged) -> Floats:
    _check_pairs(judged)
    margins = np.array([m[0] for m in judged.margins(items)], np.float64)
    if judged.rewards is None:
        value = 2 * margins  # the mean probability minus one half, twice: 2p - 1
    else:
        assert judged.log_odds_per_unit is not None
        value = np.tanh(judged.log_odds_per_unit * margins / 2)  # 2 sigmoid(x) - 1
    return np.asarray(np.round(2 * value) / 2)


def _reward_statistics(items: Sequence[Item], judged: Judged) -> Found:
    left = np.array([item.meta["left"] for item in items])
    raw = np.where(left, math.nan, _verdicts(items, judged))
    lengths = np.array([item.meta["lengths"] for item in items], np.float64).reshape(-1, 2)
    ruled = wb_reward(raw, lengths)
    stored = np.array([item.meta["stored"] for item in items], np.float64)
    rows = [
        mean_of("wb_reward", ruled, headline=True, share=False),
        mean_of("wb_reward/no length rule", raw, share=False),
        _task_wise("wb_reward/by task", ruled, items),
    ]
    if not np.isnan(stored).all():
        own = wb_reward(np.where(left, math.nan, stored), lengths)
        rows.append(mean_of("stored/wb_reward", own, share=False))
        decided = (stored != 0) & ~np.isnan(raw)
        agree = np.where(decided & ~np.isnan(stored), np.sign(raw) == np.sign(stored), math.nan)
        rows.append(mean_of("agreement_with_stored", agree))
    notes = [f"verdicts with the length rule K = {MARGIN}: slight wins of answers longer by more are ties"]
    if left.any():
        notes.append(f"{int(left.sum())} of {len(items)} rows have an empty or truncated answer and leave")
    return Found(tuple(rows), tuple(notes))


def _task_wise(name: str, values: Floats, items: Sequence[Item]) -> Statistic:
    """The weighted mean over groups of tasks; a row counts in each of its groups."""
    inside = np.array([[g in item.meta["groups"] for g in WEIGHTS] for item in items], np.float64).reshape(
        -1, len(WEIGHTS)
    )
    missing = [g for g, count in zip(WEIGHTS, inside.sum(axis=0), strict=True) if not count]
    if missing:
        return absent(name, f"missing groups of tasks: {', '.join(missing)}")
    columns = np.concatenate([np.where(inside > 0, values[:, None], 0.0), inside], axis=1)
    columns[np.isnan(values)] = math.nan
    share = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())
    g = len(WEIGHTS)
    return Statistic(name, lambda: columns, lambda t: np.asarray((t[:, :g] / t[:, g:]) @ share), share=False)


def _parse_scores(row: SourceRow) -> Item:
    answer = column(row, "model_output", "output")[1]
    answer = text("model_output", answer[0] if isinstance(answer, list) and answer else answer)
    prompt = prompt_of(row, "conversation_input", "prompt", "history")
    checklist = items("checklist", row.cells.get("checklist") or [], text)
    meta = {"groups": _groups(row), "left": _left_out(answer)}
    sample = Sample(prompt, answer, reference=list(checklist) or None)
    return Item(identity(row), "", (sample,), (True,), meta=meta)


def _score_statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.rewards is not None
    _check_scores(judged)
    left = np.array([item.meta["left"] for item in items])
    scores = wb_score(np.where(left, math.nan, [float(r[0]) for r in judged.rewards]))
    rows = (mean_of("wb_score", scores, headline=True, share=False), _task_wise("wb_score/by task", scores, items))
    notes = (
        (f"{int(left.sum())} of {len(items)} rows have an empty or truncated answer and leave",) if left.any() else ()
    )
    return Found(rows, notes)


def _pair_rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    def say(values: Sequence[float]) -> Judged:
        orders = tuple(np.full((2, 1), (v + 1) / 2) for v in values)
        return Judged(None, orders, outcomes=tuple(np.zeros(2, np.int8) for _ in items), name="rule")

    longer = [float(np.sign(i.meta["lengths"][0] - i.meta["lengths"][1])) / 2 for i in items]
    return {"longer slightly better": say(longer), "always a tie": say([0.0] * len(items))}


def _score_rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    return {"always 5": fixed([[5.0] for _ in items], bounds=(1.0, 10.0))}


WILDBENCH = Benchmark(
    name="wildbench",
    line="a model against a baseline by the judge's five verdicts, with the length rule (WB-Reward)",
    columns="prompt (or conversation_input), model_outputs (two), ref_model, primary_tag; winner, extent",
    source="Lin et al. 2024; result files of its repository",
    parse=_parse_pairs,
    statistics=_reward_statistics,
    check=_check_pairs,
    rules=_pair_rules,
    quirks=(
        "the length rule compares characters of whole answers and is strict (more than K) (its code)",
        "truncated and empty answers stay in its denominator, here in neither",
        "the paper averages WB-Reward over three baselines: one file each, three runs",
    ),
)
"""WildBench, WB-Reward."""

WILDBENCH_SCORE = Benchmark(
    name="wildbench-score",
    line="a judge's scores of 1 to 10 of a model's answers (WB-Score)",
    columns="conversation_input (or prompt), model_output, checklist, primary_tag, secondary_tags",
    source="Lin et al. 2024; result files of its repository",
    parse=_parse_scores,
    statistics=_score_statistics,
    check=_check_scores,
    takes=("reward",),
    rules=_score_rules,
    quirks=(
        "displayed (s - 5) * 2 * 10 (its view_wb_eval.py); its tables keep (s - 5) * 2",
        "tasks weigh 0.5 to 1.25 (its _create_tables.py); its older view weighs them alike",
    ),
)
"""WildBench, WB-Score."""
