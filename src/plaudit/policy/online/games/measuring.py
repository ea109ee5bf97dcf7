"""What is measured after a round, on prompts that nothing is learnt from: who is right, and who tells it apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import ShapeError
from plaudit.policy.online.games.pairing import Solutions
from plaudit.rewards.base import Reward
from plaudit.stats.bootstrap import bootstrap_mean, bootstrap_totals
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.estimate import Estimate

Mask = NDArray[np.bool_]


def outranked(
    scores: NDArray[np.float64], better: Mask, worse: Mask, prompts: Sequence[str], *, seed: int = 0
) -> Estimate:
    """`P(score of a better solution > that of a worse one)` over all pairs of one prompt, ties counted half.

    Args:
        scores: (n,), NaN where there is none: such a solution is in no pair.
        better: (n,) True for solutions that should win.
        worse: (n,) True for those that should lose.
        prompts: (n,) labels; the interval resamples them.
        seed: of the resampling.

    Returns:
        In [0, 1]; NaN where no prompt has a pair.

    Raises:
        ShapeError: if the parts differ in number.
    """
    if not len(scores) == len(better) == len(worse) == len(prompts):
        raise ShapeError(
            f"outranked: {len(scores)} scores, {len(better)} and {len(worse)} marks and {len(prompts)} prompts; give "
            "as many of each"
        )
    code = cluster_codes(list(prompts), len(scores))
    wins, pairs = [], []
    for k in range(int(code.max()) + 1 if len(code) else 0):
        here = (code == k) & ~np.isnan(scores)
        a, b = scores[here & better], scores[here & worse]
        apart = np.sign(a[:, None] - b[None, :])
        wins.append(float(((apart + 1) / 2).sum()))
        pairs.append(float(apart.size))
    told = np.array(pairs) > 0
    columns = [np.array(wins)[told], np.array(pairs)[told]]
    return bootstrap_totals(lambda t: np.asarray(t[:, 0] / t[:, 1]), columns, seed=seed)


def round_measures(
    solutions: Solutions, *, verifier: Reward, reader: Reward | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """The measures of a round.

    Args:
        solutions: of the new provers, sources `helpful` and `sneaky`.
        verifier: that they played against.
        reader: a small checker that has learnt from the start's solutions only; None for none.
        seed: of the resampling.

    Returns:
        `helpful_right`, `sneaky_right`: share of right solutions among those that could be checked. `unchecked`: share
        that could not. `robust`: how often the verifier ranks a right solution of the helpful prover above a wrong one
        of the sneaky prover; `told_apart`: above a wrong one of the helpful prover itself. `legible`,
        `legible_against_sneaky`: the same of the reader.
    """
    prompts, source, right = solutions.prompts, np.array(solutions.source), solutions.correct
    helpful, sneaky = source == "helpful", source == "sneaky"
    found = {
        "helpful_right": bootstrap_mean(np.where(helpful, right, np.nan), prompts, seed=seed),
        "sneaky_right": bootstrap_mean(np.where(sneaky, right, np.nan), prompts, seed=seed),
        "unchecked": bootstrap_mean(np.isnan(right).astype(np.float64), prompts, seed=seed),
    }
    good, own, theirs = helpful & (right == 1), helpful & (right == 0), sneaky & (right == 0)
    names = [(verifier, "told_apart", "robust")]
    names += [] if reader is None else [(reader, "legible", "legible_against_sneaky")]
    for judge, among, against in names:
        scores = judge(solutions.samples).reward
        found[among] = outranked(scores, good, own, prompts, seed=seed)
        found[against] = outranked(scores, good, theirs, prompts, seed=seed)
    return found


def told(measures: Mapping[str, Estimate], *, only: Callable[[str], bool] = bool) -> str:
    """The measures in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {one.format(2)}" for name, one in measures.items() if only(name))


__all__ = ["outranked", "round_measures", "told"]
