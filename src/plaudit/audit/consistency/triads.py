"""Comparisons that contradict themselves: between two orders, and around a circle of three.

A reward of one number a completion can do neither, so these are asked of comparisons alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.attacks.ground import shown
from plaudit.audit.checks import Check, Example, not_measured
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Comparison
from plaudit.stats.bootstrap import bootstrap_mean, bootstrap_totals
from plaudit.stats.intervals import proportion

Floats = NDArray[np.float64]


def symmetry(
    pairs: Sequence[Pair], comparison: Comparison, *, threshold: float = 0.05, seed: int = 0, resamples: int = 2000
) -> Check:
    """`mean |p(a, b) + p(b, a) - 1|`, in points of probability: 0 for a comparison that does not see the order.

    The threshold is that of calibration: a probability that depends on the order by more than five points cannot be
    believed to five points.

    Args:
        pairs: held-out pairs.
        comparison: what is checked; asked twice a pair.
        threshold: points of probability.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    sides, labels = [p.samples() for p in pairs], [prompt_key(p) for p in pairs]
    first = comparison([a for a, _ in sides], [b for _, b in sides]).probability
    second = comparison([b for _, b in sides], [a for a, _ in sides]).probability
    gap = np.abs(first + second - 1)
    order = [int(i) for i in np.argsort(-np.nan_to_num(gap), kind="stable") if gap[i] > threshold][:5]
    examples = tuple(
        Example(shown(sides[i][0].prompt), sides[i][0].text, sides[i][1].text, float(first[i]), float(1 - second[i]),
                "rewards: probability of the first text when it stands first, and second")
        for i in order
    )  # fmt: skip
    return Check(
        "consistency/symmetry", "mean gap between the probabilities of both orders, in points of probability",
        bootstrap_mean(gap, labels, seed=seed, resamples=resamples), threshold, examples=examples,
        left_out=int(np.isnan(gap).sum()), fix="Ask in both orders and take the mean.",
    )  # fmt: skip


def candidates(pairs: Sequence[Pair], *, most: int = 6) -> list[list[Sample]]:
    """The different completions of each prompt that has three or more of them, at most `most` each, in their order."""
    by: dict[str, dict[str, Sample]] = {}
    for pair in pairs:
        for sample in pair.samples():
            by.setdefault(prompt_key(pair), {}).setdefault(sample.text, sample)
    return [list(found.values())[:most] for found in by.values() if len(found) >= 3]


def transitivity(
    groups: Sequence[Sequence[Sample]], comparison: Comparison, *, cycles: float = 0.05, energy: float = 0.1,
    seed: int = 0, resamples: int = 2000,
) -> tuple[Check, Check]:  # fmt: skip
    """Circles among three completions of a prompt, and how much of the log-odds no score explains.

    `consistency/transitivity` is the share of triads in which a beats b, b beats c and c beats a. A coin is at a
    quarter, a score at zero; the threshold is a fifth of the coin's. `consistency/cyclicity` is
    `sum (y_ij - (s_i - s_j))^2 / sum y_ij^2` with y the log-odds, s_i their mean over j: what is left of the
    preferences when the best score is taken off. Log-odds that are noise are at (k - 2) / k for k completions.

    Args:
        groups: completions of one prompt each, three or more.
        comparison: what is checked; asked in both orders, whose mean counts.
        cycles: threshold of the first.
        energy: threshold of the second.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Source: Kendall and Babington Smith 1940 (circular triads); Jiang et al. 2011, "Statistical Ranking and
    Combinatorial Hodge Theory".
    """
    says = (
        "share of triads of completions in which each beats another",
        "share of the squared log-odds that no score of the completions explains",
    )
    names = ("consistency/transitivity", "consistency/cyclicity")
    usable = [list(g) for g in groups if len(g) >= 3]
    if not usable:
        why, fix = "no prompt has three different completions", "give several pairs a prompt"
        return not_measured(names[0], says[0], why, fix=fix), not_measured(names[1], says[1], why, fix=fix)
    tables = _log_odds(usable, comparison)
    circular, triad_of, rest, total, at = [], [], [], [], []
    examples: list[Example] = []
    for k, y in enumerate(tables):
        for i, j, m in combinations(range(len(y)), 3):
            wins = np.sign([y[i, j], y[j, m], y[m, i]])
            circular.append(np.nan if np.isnan(wins).any() else float(abs(wins.sum()) == 3))
            triad_of.append(k)
            if circular[-1] == 1 and len(examples) < 5:
                a, b, c = (usable[k][x] for x in ((i, j, m) if wins[0] > 0 else (i, m, j)))
                examples.append(
                    Example(shown(a.prompt), a.text, b.text, float(abs(y[i, j])), float(abs(y[m, i])),
                            f"the first beats the second, which beats “{c.text[:200]}”, which beats the first")
                )  # fmt: skip
        if not np.isnan(y).any():
            s = y.mean(axis=1)
            rest.append(float(((y - (s[:, None] - s[None, :])) ** 2).sum()))
            total.append(float((y**2).sum()))
            at.append(k)
    share = bootstrap_totals(lambda t: np.asarray(t[:, 0] / t[:, 1]), [rest, total], at, seed=seed, resamples=resamples)
    left, fix = int(np.isnan(circular).sum()), "Where one score is needed, fit a reward; else keep the comparison."
    return (
        Check(names[0], says[0], proportion(circular, triad_of, seed=seed, resamples=resamples), cycles,
              examples=tuple(examples), left_out=left, fix=fix),
        Check(names[1], says[1], share, energy, examples=tuple(examples), left_out=len(tables) - len(at), fix=fix),
    )  # fmt: skip


def _log_odds(groups: Sequence[Sequence[Sample]], comparison: Comparison) -> list[Floats]:
    """For each group the antisymmetric table (k, k) of log-odds that row beats column; NaN where not compared."""
    first, second, where = [], [], []
    for g, group in enumerate(groups):
        for i, j in combinations(range(len(group)), 2):
            first.append(group[i])
            second.append(group[j])
            where.append((g, i, j))
    p = (comparison(first, second).probability + 1 - comparison(second, first).probability) / 2
    p = np.clip(p, 1e-6, 1 - 1e-6)
    tables = [np.zeros((len(group), len(group))) for group in groups]
    for (g, i, j), y in zip(where, np.log(p) - np.log1p(-p), strict=True):
        tables[g][i, j], tables[g][j, i] = y, -y
    return tables
