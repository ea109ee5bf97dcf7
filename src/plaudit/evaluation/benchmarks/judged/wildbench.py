"""WildBench: a model against a baseline by a judge's verdicts, and a judge's scores of its answers [37].

Verdicts are worth 1 (much better), 0.5 (slightly), 0 (tie), -0.5, -1. Length rule: a slight win whose winner is
longer by more than K characters is a tie; much better is never touched; K below 0 switches it off. `WB-Reward = sum
/ total`. WB-Score is `(mean score - 5) * 2`, shown times 10, and its task-wise version weighs five groups of tasks.

Source: Lin et al. 2024, "WildBench"; `_create_tables.py` and `view_wb_eval.py` in its code.

Truncated and empty answers in its code: WB-Reward counts their verdicts in no sum, but their rows in `total`; WB-Score
counts them fully, and leaves out of its task-wise mean those that are truncated or of no character.

Differs from its code: in WB-Reward such rows leave numerator and denominator, and are told. Verdicts of rewards are
ours: of a comparison (or of a reward whose differences are log-odds) the value `2p - 1` is rounded to the nearest of
the five; position is averaged over both orders instead of drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judged.wildbench_tasks import (
    groups_of,
    keys_of,
    tags_only,
    task_notes,
    task_wise,
    with_tasks,
)
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, mean_of
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Sample

VERDICTS, SHOWN = (-1.0, 1.0), (-80.0, 100.0)
"""Lowest and highest verdict, and score as it is displayed."""
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


def _cut(answer: str) -> bool:
    """What WB-Score's task-wise mean leaves out: a truncated answer, or one of no character."""
    return not answer or answer.endswith("... (truncated)")


def _left_out(answer: str) -> bool:
    return answer == _EMPTY or _cut(answer)


def _parse_pairs(row: SourceRow) -> Item:
    if (tags := tags_only(row, "model_outputs")) is not None:
        return tags
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
        "lengths": [len(a) for a in answers], "groups": groups_of(row), "stored": judged,
        "left": any(_left_out(a) for a in answers), "keys": keys_of(row),
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
        mean_of("wb_reward", ruled, headline=True, share=False, bounds=VERDICTS),
        mean_of("wb_reward/no length rule", raw, share=False, bounds=VERDICTS),
        task_wise("wb_reward/by task", ruled, items, VERDICTS),
    ]
    if not np.isnan(stored).all():
        own = wb_reward(np.where(left, math.nan, stored), lengths)
        rows.append(mean_of("stored/wb_reward", own, share=False, bounds=VERDICTS))
        decided = (stored != 0) & ~np.isnan(raw)
        agree = np.where(decided & ~np.isnan(stored), np.sign(raw) == np.sign(stored), math.nan)
        rows.append(mean_of("agreement_with_stored", agree))
    notes = [f"verdicts with the length rule K = {MARGIN}: slight wins of answers longer by more are ties"]
    if left.any():
        notes.append(f"{int(left.sum())} of {len(items)} rows have an empty or truncated answer and leave")
    return Found(tuple(rows), (*notes, *task_notes(items)))


def _parse_scores(row: SourceRow) -> Item:
    if row.cells.get("output") is None and (tags := tags_only(row, "model_output")) is not None:
        return tags
    answer = column(row, "model_output", "output")[1]
    answer = text("model_output", answer[0] if isinstance(answer, list) and answer else answer)
    prompt = prompt_of(row, "conversation_input", "prompt", "history")
    checklist = items("checklist", row.cells.get("checklist") or [], text)
    meta = {"groups": groups_of(row), "cut": _cut(answer), "stored": _stored_score(row), "keys": keys_of(row)}
    sample = Sample(prompt, answer, reference=list(checklist) or None)
    return Item(identity(row), "", (sample,), (True,), meta=meta)


def _stored_score(row: SourceRow) -> float:
    """The judge's score in the file, a number or its text, also below `parsed_result`; NaN where there is none."""
    parsed = row.cells.get("parsed_result")
    said = row.cells.get("score", parsed.get("score") if isinstance(parsed, Mapping) else None)
    if said is None:
        return math.nan
    try:
        value = float(said)
    except (TypeError, ValueError):
        value = math.nan
    if not 1 <= value <= 10:
        raise RowError("score", said, "give the judge's score, 1 to 10")
    return value


def _score_statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.rewards is not None
    _check_scores(judged)
    scores = wb_score([float(r[0]) for r in judged.rewards])
    stored = wb_score([item.meta["stored"] for item in items])
    cut = np.array([item.meta["cut"] for item in items])
    rows = [
        mean_of("wb_score", scores, headline=True, share=False, bounds=SHOWN),
        task_wise("wb_score/by task", np.where(cut, math.nan, scores), items, SHOWN),
    ]
    if not np.isnan(stored).all():
        rows.append(mean_of("stored/wb_score", stored, share=False, bounds=SHOWN))
        rows.append(task_wise("stored/wb_score/by task", np.where(cut, math.nan, stored), items, SHOWN))
    notes = []
    if cut.any():
        notes.append(
            f"{int(cut.sum())} of {len(items)} rows have an empty or truncated answer: they count in wb_score and "
            "leave the mean by task, as in its code"
        )
    return Found(tuple(rows), (*notes, *task_notes(items)))


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
    gather=with_tasks,
    check=_check_pairs,
    rules=_pair_rules,
    quirks=(
        "the length rule compares characters of whole answers and is strict (more than K) (its code)",
        "rows with a truncated or empty answer stay in its denominator, here in neither",
        "the paper averages WB-Reward over three baselines: one file each, three runs",
    ),
)
"""WildBench, WB-Reward."""

WILDBENCH_SCORE = Benchmark(
    name="wildbench-score",
    line="a judge's scores of 1 to 10 of a model's answers (WB-Score)",
    columns="conversation_input (or prompt), model_output, checklist, primary_tag, secondary_tags, score",
    source="Lin et al. 2024; result files of its repository",
    parse=_parse_scores,
    statistics=_score_statistics,
    gather=with_tasks,
    check=_check_scores,
    takes=("reward",),
    rules=_score_rules,
    quirks=(
        "displayed (s - 5) * 2 * 10 (its view_wb_eval.py); its tables keep (s - 5) * 2",
        "tasks weigh 0.5 to 1.25 (its _create_tables.py); its older view weighs them alike",
        "truncated and empty answers count fully in the score, and leave the mean by task only (its code)",
    ),
)
"""WildBench, WB-Score."""
