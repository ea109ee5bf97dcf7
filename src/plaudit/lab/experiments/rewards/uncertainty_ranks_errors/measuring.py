"""Numbers about deviations: whether they rank errors, and whether intervals made of them cover the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from plaudit.lab.members import Numbers
from plaudit.stats.selective import auroc


@dataclass(frozen=True)
class Said:
    """What a source says of pairs, and the truth.

    Attributes:
        margin: reward of the first minus that of the second, (n,).
        std: deviation of that difference, (n,).
        truth: true reward of the first minus that of the second, (n,); never 0.
    """

    margin: Numbers
    std: Numbers
    truth: Numbers

    @property
    def right(self) -> Numbers:
        """1 where the margin has the sign of the truth, 0 where not, a half where it is 0."""
        return (np.sign(self.margin) * np.sign(self.truth) + 1) / 2


def gain(said: Said, *, seed: int) -> dict[str, float]:
    """What the deviation adds to the margin at telling wrong comparisons from right ones.

    A logistic regression of the errors on |margin| and deviation is fitted on one half of the pairs and measured on the
    other, and the other way round; so is one on |margin| alone, with which it is compared. (Compared with -|margin| as
    it is, a source whose large margins are wrong would gain by a turned sign, whatever its deviation.)

    Args:
        said: of pairs in the distribution.
        seed: of the halves.

    Returns:
        `gain`, `auroc_margin`, `auroc_std`: means over the two halves.
    """
    from sklearn.linear_model import LogisticRegression

    wrong = said.right < 0.5
    size = np.abs(said.margin)
    table = np.stack([size / (size.std() or 1.0), said.std / (said.std.std() or 1.0)], axis=1)
    halves = np.array_split(np.random.default_rng([seed, 61]).permutation(wrong.size), 2)
    rows = []
    for train, test in (halves, halves[::-1]):
        if len(set(wrong[train])) < 2 or len(set(wrong[test])) < 2:
            continue  # a half without errors cannot be ranked
        scores = [
            LogisticRegression(C=100.0).fit(x[train], wrong[train]).decision_function(x[test])
            for x in (table, table[:, :1])
        ]
        rows.append([auroc(score, wrong[test].astype(float)) for score in (*scores, said.std[test])])
    both_, margin, std = np.mean(rows, axis=0) if rows else (0.5, 0.5, 0.5)
    return {"gain": float(both_ - margin), "auroc_margin": float(margin), "auroc_std": float(std)}


def intervals(inside: Said, outside: Said, *, level: float = 0.9) -> dict[str, float]:
    """Share of pairs whose true difference lies in the interval of the reward's difference.

    The reward's unit is not that of the true reward: differences and deviations are multiplied by the slope of the
    truth on the margin, fitted on one half of the pairs in the distribution. The interval is `slope * (margin +- z
    std)`.

    Args:
        inside: pairs in the distribution; coverage is measured on their second half.
        outside: pairs off it.
        level: nominal coverage.

    Returns:
        `coverage` and `coverage_off`.
    """
    half = inside.margin.size // 2
    m, t = inside.margin[:half], inside.truth[:half]
    slope = float(m @ t / (m @ m)) if (m @ m) > 0 else 0.0
    z = float(norm.ppf((1 + level) / 2))

    def covered(margin: Numbers, std: Numbers, truth: Numbers) -> float:
        return float((np.abs(truth - slope * margin) <= abs(slope) * z * std).mean())

    within = covered(inside.margin[half:], inside.std[half:], inside.truth[half:])
    return {"coverage": within, "coverage_off": covered(outside.margin, outside.std, outside.truth)}
