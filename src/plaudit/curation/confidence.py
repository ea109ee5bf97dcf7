"""Preference rows that teach a reward when a stated confidence is deserved (PPO-M).

Each pair becomes four texts: chosen and rejected, each once with a high and once with a low confidence. A high one is
better on the chosen completion and worse on the rejected one, so that confidence by itself is worth nothing.

Differs from the paper: rows for any objective instead of a loss of their own: summed over a pair's two rows, the
Bradley-Terry loss `-log sigmoid(r_ch - r_cl) - log sigmoid(r_rl - r_rh)` is the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Completion
from plaudit.shaping.confidence import state_confidence
from plaudit.training.columns import incomparable

HIGH, LOW = (7, 10), (0, 3)
"""Ranges of the whole numbers that are stated, both ends included."""


@dataclass(frozen=True, slots=True)
class Stated:
    """The four texts of a pair.

    Attributes:
        chosen_high: the chosen completion with a high confidence.
        chosen_low: with a low one.
        rejected_high: the rejected completion with a high confidence.
        rejected_low: with a low one.
    """

    chosen_high: Completion
    chosen_low: Completion
    rejected_high: Completion
    rejected_low: Completion


def stated_versions(
    pairs: Sequence[Pair], rng: np.random.Generator, *, high: tuple[int, int] = HIGH, low: tuple[int, int] = LOW
) -> list[Stated]:
    """The four texts of each pair, with independent random whole numbers.

    Args:
        pairs: n pairs.
        rng: draws four numbers a pair.
        high: range of high confidences, both ends included, within 0 to 10.
        low: range of low ones, below it.

    Raises:
        InputError: if the ranges are empty, meet, or leave 0 to 10.
    """
    if not 0 <= low[0] <= low[1] < high[0] <= high[1] <= 10:
        raise InputError(f"confidence rows: low is {low} and high {high}; give ranges in 0 to 10, low below high")
    highs = rng.integers(high[0], high[1] + 1, size=(len(pairs), 2)).tolist()
    lows = rng.integers(low[0], low[1] + 1, size=(len(pairs), 2)).tolist()
    return [
        Stated(
            state_confidence(pair.chosen, up[0]), state_confidence(pair.chosen, down[0]),
            state_confidence(pair.rejected, up[1]), state_confidence(pair.rejected, down[1]),
        )
        for pair, up, down in zip(pairs, highs, lows, strict=True)
    ]  # fmt: skip


def confidence_pairs(
    pairs: Sequence[Pair], rng: np.random.Generator, *, original: bool = False, ordered: bool = False,
    high: tuple[int, int] = HIGH, low: tuple[int, int] = LOW,
) -> list[Pair]:  # fmt: skip
    """PPO-M's rows for Bradley-Terry: chosen/high over chosen/low, and rejected/low over rejected/high.

    Args:
        pairs: n pairs.
        rng: of the numbers.
        original: the pair itself as a third row, without a confidence (the paper's "combined").
        ordered: chosen/high over rejected/low as a further row.
        high: as in `stated_versions`.
        low: as in `stated_versions`.

    Returns:
        The rows of each pair together, in its order; what the pair says of its completions (strengths, scores, soft
        labels) is not theirs and is left out.

    Source: Leng et al. 2024, "Taming Overconfidence in LLMs: Reward Calibration in RLHF" [216].
    """
    rows: list[Pair] = []
    for pair, s in zip(pairs, stated_versions(pairs, rng, high=high, low=low), strict=True):
        bare = incomparable(pair)
        rows += [pair] if original else []
        rows.append(replace(bare, chosen=s.chosen_high, rejected=s.chosen_low))
        rows.append(replace(bare, chosen=s.rejected_low, rejected=s.rejected_high))
        rows += [replace(bare, chosen=s.chosen_high, rejected=s.rejected_low)] if ordered else []
    return rows


def confidence_lists(
    pairs: Sequence[Pair], rng: np.random.Generator, *, high: tuple[int, int] = HIGH, low: tuple[int, int] = LOW
) -> list[Ranked]:
    """The K-wise variant, for Plackett-Luce: chosen/high, chosen/low, rejected/low, rejected/high, best first.

    Args:
        pairs: n pairs.
        rng: of the numbers.
        high: as in `stated_versions`.
        low: as in `stated_versions`.
    """
    versions = stated_versions(pairs, rng, high=high, low=low)
    order = ("chosen_high", "chosen_low", "rejected_low", "rejected_high")
    return [
        Ranked(pair.prompt, tuple(getattr(s, name) for name in order), (3.0, 2.0, 1.0, 0.0), incomparable(pair).meta)
        for pair, s in zip(pairs, versions, strict=True)
    ]
