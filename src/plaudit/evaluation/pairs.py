"""A reward on preference pairs: accuracy, proper scores, calibration, margins.

Every interval resamples prompts; where all resamples say the same, shares and differences of shares have Wilson's
intervals instead, and what is not bounded has none. A pair with a completion that has no reward (abstained, timed out,
instrument fault) has no margin: it leaves every mean and is counted in `outcomes`. Probabilities are
sigmoid(logit_scale * margin), the Bradley-Terry reading of a reward, or what its calibration makes of the margin; a
reward that is no log-odds and has no calibration has none (`logit_scale=None`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.evaluation.baselines import correctness, evaluate_baselines
from plaudit.evaluation.results import GroupAccuracy, MarginHistogram, PairEvaluation
from plaudit.evaluation.strata import without_interval
from plaudit.evaluation.truth import truth_agreement
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Comparison, Outcome, PreferenceBatch, RewardBatch
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.calibration import calibration_estimate, calibration_floor, fold, reliability_curve
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.intervals import share
from plaudit.stats.scores import brier_terms, log_loss_terms

Floats = NDArray[np.float64]


def prompt_key(pair: Pair) -> str:
    """Hash of a pair's prompt: the cluster that its row belongs to.

    Args:
        pair: any pair.
    """
    return content_hash([m.to_dict() for m in pair.prompt])


def pair_margins(chosen: RewardBatch, rejected: RewardBatch) -> Float[np.ndarray, " n"]:
    """Reward of chosen minus rejected, in reward units; NaN where either has no reward.

    Args:
        chosen: n rewards.
        rejected: n rewards, of the same pairs in the same order.

    Raises:
        ShapeError: if the two differ in length.
    """
    if len(chosen) != len(rejected):
        raise ShapeError(f"pair_margins: {len(chosen)} chosen and {len(rejected)} rejected rewards; pairs need as many")
    return np.asarray(chosen.reward - rejected.reward)


def compared_sides(said: PreferenceBatch) -> tuple[RewardBatch, RewardBatch]:
    """A comparison of chosen (first) and rejected as two rewards whose difference is the log-odds of its probability.

    Args:
        said: probabilities that the chosen one is better; a certain one counts as one in a billion from certainty.
    """
    from scipy.special import logit

    half = logit(np.clip(said.probability, 1e-9, 1 - 1e-9)) / 2
    return RewardBatch(half, said.outcome), RewardBatch(-half, said.outcome)


def judged_sides(
    comparison: Comparison, chosen: Sequence[Sample], rejected: Sequence[Sample], *, seed: int = 0
) -> tuple[RewardBatch, RewardBatch]:
    """What a comparison makes of pairs, each shown in an order drawn at random, as two rewards a pair.

    With the chosen completion always first, a judge that leans to the first would be right every time.

    Args:
        comparison: asked once a pair.
        chosen: n chosen completions.
        rejected: n rejected ones.
        seed: of the orders.
    """
    turned = np.random.default_rng([seed, len(chosen)]).random(len(chosen)) < 0.5
    both = [(r, c) if t else (c, r) for c, r, t in zip(chosen, rejected, turned, strict=True)]
    said = comparison([a for a, _ in both], [b for _, b in both])
    return compared_sides(replace(said, probability=np.where(turned, 1 - said.probability, said.probability)))


def evaluate_pairs(
    pairs: Sequence[Pair],
    chosen: RewardBatch,
    rejected: RewardBatch,
    *,
    subsets: Sequence[str] = (),
    true_chosen: ArrayLike | None = None,
    true_rejected: ArrayLike | None = None,
    logit_scale: float | None = 1.0,
    probability: Callable[[Floats], Floats] | None = None,
    min_group: int = 20,
    n_bins: int = 10,
    seed: int = 0,
    resamples: int = 2000,
) -> PairEvaluation:
    """Everything that pairs say about a reward.

    Args:
        pairs: n pairs, at least one.
        chosen: rewards of the chosen completions.
        rejected: rewards of the rejected ones.
        subsets: meta columns to give the accuracy by.
        true_chosen: (n,) true rewards of the chosen ones, where known.
        true_rejected: (n,) true rewards of the rejected ones.
        logit_scale: log-odds per reward unit: `sigmoid(logit_scale * margin)` is the reward's probability
            that the chosen one wins (a Bradley-Terry model's is its `log_odds_per_unit`); None where the
            reward has none.
        probability: from margins in reward units (n,) to probabilities that the chosen one wins, in place of the
            sigmoid: a calibration that is no scale (`calibrated_probability` of a reward that has one).
        min_group: values of a subset with fewer pairs are pooled as `(fewer than N pairs)`, so that none goes
            missing.
        n_bins: bins of the calibration error and of the reliability curve.
        seed: of every bootstrap and simulation.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if there are not as many rewards as pairs.
        InputError: if there is no pair, or a subset is no meta column of any pair.
    """
    if not pairs:
        raise InputError("evaluate_pairs: there is no pair; give at least one")
    margin = pair_margins(chosen, rejected)
    if len(margin) != len(pairs):
        raise ShapeError(f"evaluate_pairs: {len(margin)} margins for {len(pairs)} pairs; score every pair once")
    prompts = cluster_codes([prompt_key(p) for p in pairs], len(pairs))
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    right = correctness(margin)
    known = ~np.isnan(margin)
    truth = None
    if true_chosen is not None and true_rejected is not None:
        truth = truth_agreement(chosen.reward, rejected.reward, true_chosen, true_rejected, prompts, **options)
        clean = np.asarray(true_chosen, dtype=np.float64) - np.asarray(true_rejected, dtype=np.float64)
        truth = replace(truth, baselines=evaluate_baselines(pairs, margin, prompts, truth=clean, **options))
    return PairEvaluation(
        n_pairs=len(pairs),
        n_prompts=int(prompts.max()) + 1,
        outcomes=_outcomes(chosen, rejected),
        accuracy=share(right, prompts, **options),
        accuracy_strict=share(np.where(known, np.floor(right), np.nan), prompts, **options),
        ties=share(np.where(known, margin == 0, np.nan), prompts, **options),
        margin=without_interval(bootstrap_mean(margin, prompts, **options)),
        histogram=margin_histogram(margin),
        baselines=evaluate_baselines(pairs, margin, prompts, **options),
        groups=_groups(pairs, right, prompts, subsets, min_group, options),
        truth=truth,
        **_probabilistic(_probabilities(margin, logit_scale, probability), prompts, n_bins, options),
    )


def confidently_wrong(margin: ArrayLike, k: int = 20) -> Int[np.ndarray, " m"]:
    """Rows of the pairs that the reward gets most confidently wrong, worst first: margins below 0 only.

    Args:
        margin: (n,), chosen minus rejected; NaN rows are never among them.
        k: at most so many.
    """
    m = np.asarray(margin, dtype=np.float64)
    wrong = np.flatnonzero(m < 0)
    return np.asarray(wrong[np.argsort(m[wrong], kind="stable")][:k])


def margin_histogram(margin: ArrayLike, *, n_bins: int = 24) -> MarginHistogram | None:
    """Counts of margins in bins of equal width that meet at 0; None without any margin.

    Args:
        margin: (n,); NaN rows are left out.
        n_bins: an even number of bins, so that right and wrong never share one (a tie falls to the right).
    """
    m = np.asarray(margin, dtype=np.float64)
    m = m[~np.isnan(m)]
    if not m.size:
        return None
    # the outermost per cent would squeeze the rest into the middle: it is counted in the outer bins
    reach = float(np.quantile(np.abs(m), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, n_bins + 1)
    edges[n_bins // 2] = 0.0
    count, _ = np.histogram(np.clip(m, -reach, reach), edges)
    return MarginHistogram(tuple(map(float, edges)), tuple(map(int, count)))


def _outcomes(chosen: RewardBatch, rejected: RewardBatch) -> dict[str, int]:
    """Pairs by the worse of their two outcomes; only those that occur."""
    # the values of Outcome rise in exactly the order in which a combination takes the worse one
    worse = np.maximum(chosen.outcome, rejected.outcome)
    return {o.name.lower(): int((worse == o).sum()) for o in Outcome if (worse == o).any()}


def _probabilities(
    margin: Floats, logit_scale: float | None, probability: Callable[[Floats], Floats] | None
) -> Floats | None:
    """P(the chosen one wins), or None where the reward says nothing of it."""
    from scipy.special import expit

    if np.isnan(margin).all():
        return None
    if probability is not None:
        return probability(margin)
    return None if logit_scale is None else np.asarray(expit(logit_scale * margin))


def _probabilistic(
    p: Floats | None, prompts: NDArray[np.int64], n_bins: int, options: dict[str, Any]
) -> dict[str, Any]:
    if p is None:
        return {}
    confidence, right = fold(p)
    won = np.where(np.isnan(p), np.nan, 1.0)  # the chosen one won: the event whose probability p is

    return {
        "brier": share(brier_terms(p, won), prompts, **options),
        "log_loss": without_interval(bootstrap_mean(log_loss_terms(p, won), prompts, **options)),
        "calibration_error": without_interval(
            calibration_estimate(confidence, right, prompts, n_bins=n_bins, **options)
        ),
        "calibration_error_debiased": without_interval(
            calibration_estimate(confidence, right, prompts, n_bins=n_bins, debias=True, **options)
        ),
        "calibration_floor": calibration_floor(confidence, n_bins=n_bins, seed=options["seed"]),
        "reliability": reliability_curve(confidence, right, n_bins=n_bins, seed=options["seed"]),
    }


def _groups(
    pairs: Sequence[Pair],
    right: Floats,
    prompts: NDArray[np.int64],
    subsets: Sequence[str],
    min_group: int,
    options: dict[str, Any],
) -> tuple[GroupAccuracy, ...]:
    found: list[GroupAccuracy] = []
    for column in subsets:
        values = group_values(pairs, column, min_group=min_group)
        for value in sorted(set(values)):
            at = np.array([v == value for v in values])
            accuracy = share(right[at], prompts[at], **options)
            found.append(GroupAccuracy(column, value, accuracy, int(at.sum()), int(np.isnan(right[at]).sum())))
    return tuple(found)


def group_values(pairs: Sequence[Pair], column: str, *, min_group: int = 1) -> list[str]:
    """The value of a meta column in each pair, as text; rare values pooled and missing ones named.

    Args:
        pairs: the pairs.
        column: a meta column, or `annotator`.
        min_group: values with fewer pairs become `(fewer than N pairs)`.

    Raises:
        InputError: if no pair has the column.
    """
    raw = [p.annotator if column == "annotator" and p.annotator else p.meta.get(column) for p in pairs]
    if all(v is None for v in raw):
        have = sorted({k for p in pairs for k in p.meta})
        raise InputError(f"subset: no pair has a column {column!r}; {nearest(column, have)}")
    texts = ["(not given)" if v is None else str(v) for v in raw]
    size = Counter(texts)
    return [v if size[v] >= min_group else f"(fewer than {min_group} pairs)" for v in texts]
