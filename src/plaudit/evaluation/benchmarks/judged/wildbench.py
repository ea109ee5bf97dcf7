"""WildBench: a model against a baseline by a judge's verdicts, and a judge's scores of its answers [37].

Verdicts are worth 1 (much better), 0.5 (slightly), 0 (tie), -0.5, -1. Length rule: a slight win whose winner is
longer by more than K characters is a tie; much better is never touched; K below 0 switches it off. `WB-Reward = sum
/ total`, and the mix is its mean over three baselines. WB-Score is `(mean score - 5) * 2`, shown times 10, and its
task-wise version weighs five groups of tasks. Several models, baselines or stored judges have numbers of their own.

Source: Lin et al. 2024, "WildBench"; `_create_tables.py`, `_merge_results.py` and `view_wb_eval.py` in its code.

Truncated and empty answers in its code: WB-Reward counts their verdicts in no sum, but their rows in `total`; WB-Score
counts them fully, and leaves out of its task-wise mean those that are truncated or of no character.

Differs from its code: in WB-Reward such rows leave numerator and denominator, and are told; `published/wb_reward` is as
there. A mix of which a baseline is missing is not given (there it counts as 0). Verdicts of rewards are ours: of a
comparison (or of a reward whose differences are log-odds) the value `2p - 1` is rounded to the nearest of the five;
position is averaged over both orders instead of drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.benchmarks.items import Benchmark, Item
from plaudit.evaluation.benchmarks.judged.wildbench_rows import pairs_wanted, parse_pair, parse_score, scores_wanted
from plaudit.evaluation.benchmarks.judged.wildbench_tasks import task_notes, task_wise, with_data_set
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, Statistic, absent, mean_of, weighted_means
from plaudit.rewards.base import Outcome

VERDICTS, SHOWN = (-1.0, 1.0), (-80.0, 100.0)
"""Lowest and highest verdict, and score as it is displayed."""
MARGIN = 500
"""Characters of the paper's length rule."""
BASELINES = ("gpt-4-turbo-2024-04-09", "claude-3-haiku-20240307", "Llama-2-70b-chat-hf")
"""The published baselines: strong, middle, weak."""


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


def contests(items: Sequence[Item]) -> list[str]:
    """Of each item what it must not be pooled with others of: model, baseline, and the stored judge where several are.

    Args:
        items: n items.

    Returns:
        (n,) names; all empty where there is one model, one baseline and one judge.
    """
    judges = {item.meta["judge"] for item in items}
    named = [
        item.subset
        + (f" against {item.meta['baseline']}" if item.meta["baseline"] else "")
        + (f" by {item.meta['judge']}" if len(judges) > 1 else "")
        for item in items
    ]
    return named if len(set(named)) > 1 else [""] * len(items)


def _each(items: Sequence[Item], numbers: Callable[[Sequence[int]], list[Statistic]], head: str) -> list[Statistic]:
    """The numbers of each contest under its name; pooled ones are not given where there are several."""
    named = contests(items)
    found: dict[str, list[int]] = {}
    for i, name in enumerate(named):
        found.setdefault(name, []).append(i)
    if list(found) == [""]:
        return numbers(range(len(items)))
    rows = [absent(head, f"{len(found)} of models, baselines and judges: each has its own, {head}/NAME")]
    for name in sorted(found):
        at = np.array(found[name], np.int64)
        rows += [replace(s, name=f"{s.name}/{name}", rows=None if s.absent else at) for s in numbers(found[name])]
    return rows


def _reward_statistics(items: Sequence[Item], judged: Judged) -> Found:
    left, skipped = (np.array([item.meta[k] for item in items]) for k in ("left", "skipped"))
    said = _verdicts(items, judged)
    lengths = np.array([item.meta["lengths"] for item in items], np.float64).reshape(-1, 2)
    raw = np.where(left, math.nan, said)
    ruled, published = wb_reward(raw, lengths), np.where(skipped, 0.0, wb_reward(said, lengths))
    stored = np.array([item.meta["stored"] for item in items], np.float64)
    decided = (stored != 0) & ~np.isnan(stored) & ~np.isnan(raw)
    agree = np.where(decided, np.sign(raw) == np.sign(stored), math.nan)

    def numbers(at: Sequence[int]) -> list[Statistic]:
        i = np.array(at, np.int64)
        rows = [
            mean_of("wb_reward", ruled[i], headline=True, share=False, bounds=VERDICTS),
            mean_of("wb_reward/no length rule", raw[i], share=False, bounds=VERDICTS),
            task_wise("wb_reward/by task", ruled[i], [items[k] for k in at], VERDICTS),
            mean_of("published/wb_reward", published[i], share=False, bounds=VERDICTS),
        ]
        other = decided[i].any() and not judged.stored
        return rows + ([mean_of("agreement_with_stored", agree[i])] if other else [])

    rows = _each(items, numbers, "wb_reward")
    rows += _mix("wb_reward/mix", ruled, items, headline=True) + _mix("published/wb_reward/mix", published, items)
    notes = [f"verdicts with the length rule K = {MARGIN}: slight wins of answers longer by more are ties"]
    if left.any():
        notes.append(
            f"{int(left.sum())} of {len(items)} rows have an empty or truncated answer and leave; in "
            "published/wb_reward they stay in the denominator, as in its code"
        )
    return Found(tuple(rows), (*notes, *task_notes(items)))


def _mix(name: str, values: Floats, items: Sequence[Item], *, headline: bool = False) -> list[Statistic]:
    """The mean over the three published baselines, of each model that meets at least two of them."""
    whose = [(i.subset, i.meta["judge"]) for i in items]
    against = [next((b for b in BASELINES if b in i.meta["baseline"]), "") for i in items]
    rows: list[Statistic] = []
    for model, judge in sorted(set(whose)):
        mine = [b if w == (model, judge) else "" for b, w in zip(against, whose, strict=True)]
        there = [b for b in BASELINES if b in mine]
        if len(there) < 2:
            continue
        label = "" if len(set(whose)) == 1 else f"/{model}" + (f" by {judge}" if judge else "")
        shown = f"{name}{label}"
        if missing := [b for b in BASELINES if b not in there]:
            rows.append(absent(shown, f"missing baselines: {', '.join(missing)}"))
            path, _, last = name.rpartition("/")
            shown = f"{path}/present_{last}{label}"
        weights = dict.fromkeys(there, 1.0)
        rows.append(
            weighted_means(shown, values, mine, weights, headline=headline, share=False, bounds=VERDICTS)
        )  # fmt: skip
    return rows


def _score_statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.rewards is not None
    _check_scores(judged)
    scores = wb_score([float(r[0]) for r in judged.rewards])
    cut = np.array([item.meta["cut"] for item in items])
    uncut = np.where(cut, math.nan, scores)

    def numbers(at: Sequence[int]) -> list[Statistic]:
        i = np.array(at, np.int64)
        return [
            mean_of("wb_score", scores[i], headline=True, share=False, bounds=SHOWN),
            task_wise("wb_score/by task", uncut[i], [items[k] for k in at], SHOWN),
        ]

    notes = []
    if cut.any():
        notes.append(
            f"{int(cut.sum())} of {len(items)} rows have an empty or truncated answer: they count in wb_score and "
            "leave the mean by task, as in its code"
        )
    return Found(tuple(_each(items, numbers, "wb_score")), (*notes, *task_notes(items)))


def _said(verdicts: Sequence[float], name: str) -> Judged:
    """Verdicts as a comparison that gives them in both orders; NaN is an abstention."""
    orders = tuple(np.full((2, 1), (v + 1) / 2) for v in verdicts)
    marks = [Outcome.ABSTAINED if math.isnan(v) else Outcome.SCORED for v in verdicts]
    return Judged(None, orders, outcomes=tuple(np.full(2, m, np.int8) for m in marks), name=name)


def _stored_pairs(items: Sequence[Item]) -> Judged | None:
    found = [float(item.meta["stored"]) for item in items]
    return None if all(map(math.isnan, found)) else replace(_said(found, "stored verdicts"), stored=True)


def _stored_scores(items: Sequence[Item]) -> Judged | None:
    found = [float(item.meta["stored"]) for item in items]
    if all(map(math.isnan, found)):
        return None
    return replace(fixed([[s] for s in found], name="stored scores", bounds=(1.0, 10.0)), stored=True)


def _pair_rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    longer = [float(np.sign(i.meta["lengths"][0] - i.meta["lengths"][1])) / 2 for i in items]
    return {"longer slightly better": _said(longer, "rule"), "always a tie": _said([0.0] * len(items), "rule")}


def _score_rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    return {"always 5": fixed([[5.0] for _ in items], bounds=(1.0, 10.0))}


WILDBENCH = Benchmark(
    name="wildbench",
    line="a model against a baseline by the judge's five verdicts, with the length rule (WB-Reward)",
    columns="model_outputs (two), ref_model (or a folder ref=MODEL), conversation_input and primary_tag (here or in "
    "the data set's rows of the same session_id); winner, extent",
    source="Lin et al. 2024; result files of its repository",
    parse=parse_pair,
    statistics=_reward_statistics,
    gather=with_data_set,
    wanted=pairs_wanted,
    check=_check_pairs,
    rules=_pair_rules,
    stored=_stored_pairs,
    quirks=(
        "the length rule compares characters of whole answers and is strict (more than K) (its code)",
        "rows with a truncated or empty answer stay in the denominator (its code, published/wb_reward), or leave it "
        "(ours, wb_reward)",
        "the baseline's name may leave out the organisation, as its folders do",
        "the mix is the plain mean over three baselines (its code, where a missing one is 0; here there is then none)",
    ),
)
"""WildBench, WB-Reward."""

WILDBENCH_SCORE = Benchmark(
    name="wildbench-score",
    line="a judge's scores of 1 to 10 of a model's answers (WB-Score)",
    columns="model_output, model_test, conversation_input, checklist, primary_tag and secondary_tags (here or in the "
    "data set's rows of the same session_id); score",
    source="Lin et al. 2024; result files of its repository",
    parse=parse_score,
    statistics=_score_statistics,
    gather=with_data_set,
    wanted=scores_wanted,
    check=_check_scores,
    takes=("reward",),
    rules=_score_rules,
    stored=_stored_scores,
    quirks=(
        "displayed (s - 5) * 2 * 10 (its view_wb_eval.py); its tables keep (s - 5) * 2",
        "tasks weigh 0.5 to 1.25 (its _create_tables.py); its older view weighs them alike",
        "truncated and empty answers count fully in the score, and leave the mean by task only (its code)",
    ),
)
"""WildBench, WB-Score."""
