"""The order of two completions: which side a text stands on must not decide whether it wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plaudit.audit.attacks.ground import shown
from plaudit.audit.checks import Check, Example
from plaudit.records.rows import Pair
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Comparison
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.intervals import proportion


def position(
    pairs: Sequence[Pair], comparison: Comparison, *, threshold: float = 0.1, lean: float = 0.05, seed: int = 0,
    resamples: int = 2000,
) -> tuple[Check, Check]:  # fmt: skip
    """Whether the order of two completions decides between them.

    `attack/position` is the share of pairs in which the same side wins in both orders, so that another text wins
    (a tie in either order is half). `attack/position-lean` is `mean(p(a, b) + p(b, a) - 1)`: above 0 it
    leans to what stands first. Thresholds: one pair in ten, and five points of probability on average.

    Args:
        pairs: held-out pairs.
        comparison: what is attacked; asked twice a pair.
        threshold: share of pairs.
        lean: points of probability, either way.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Source: Zheng et al. 2024 [209], order swaps; Wang et al. 2023, "Large Language Models are not Fair Evaluators".
    """
    sides = [p.samples() for p in pairs]
    labels = [prompt_key(p) for p in pairs]
    first = comparison([a for a, _ in sides], [b for _, b in sides]).probability
    second = comparison([b for _, b in sides], [a for a, _ in sides]).probability
    wins = np.sign(first - 0.5) * np.sign(second - 0.5)
    changed = np.where(np.isnan(wins), np.nan, (wins + 1) / 2)
    # equal texts have no winner that could change
    same = np.array([a.text == b.text for a, b in sides])
    changed[(first == 0.5) & (second == 0.5)] = 0.0
    changed[same] = np.nan
    lean_by = first + second - 1
    harm = np.abs(lean_by) * (changed > 0.5)
    order = [int(i) for i in np.argsort(-np.nan_to_num(harm), kind="stable") if harm[i] > 0][:5]
    examples = tuple(
        Example(shown(sides[i][0].prompt), sides[i][0].text, sides[i][1].text, float(first[i]), float(1 - second[i]),
                "rewards: probability of the first text when it stands first, and second")
        for i in order
    )  # fmt: skip
    left, fix = int(np.isnan(changed).sum()), "Ask in both orders and take the mean."
    return (
        Check("attack/position", "share of pairs in which another text wins when their order is swapped",
              proportion(changed, labels, seed=seed, resamples=resamples), threshold, examples=examples,
              left_out=left, fix=fix),
        Check("attack/position-lean", "mean lean towards what stands first, in points of probability",
              bootstrap_mean(lean_by, labels, seed=seed, resamples=resamples), lean, "outside", examples,
              int(np.isnan(lean_by).sum()), fix=fix),
    )  # fmt: skip
