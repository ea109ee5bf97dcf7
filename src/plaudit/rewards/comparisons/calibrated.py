"""What a calibrator makes of stated log-odds: probabilities, intervals and conformal sets of a batch of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from plaudit.rewards.base import Outcome, PreferenceBatch
from plaudit.rewards.calibrators.base import Calibrator, Floats
from plaudit.rewards.calibrators.conformal import Conformal

SIDES = ("first", "second")


def calibrated_preferences(
    calibrator: Calibrator, margin: Float[np.ndarray, " n"], outcome: Int8[np.ndarray, " n"],
    detail: Sequence[Mapping[str, Any]], *, std: Float[np.ndarray, " n"] | None = None,
) -> PreferenceBatch:  # fmt: skip
    """The preferences of pairs whose log-odds are known, through a calibrator.

    Args:
        calibrator: fitted to such log-odds on held-out pairs.
        margin: stated log-odds that the first is better; NaN where there are none.
        outcome: of each pair; a probability is NaN where it does not count.
        detail: of each pair; `interval` and the conformal `set` are added where the calibrator gives them.
        std: epistemic deviation of the stated probabilities, where the comparison has one.

    Returns:
        Probabilities. A conformal set that holds both labels is an honest "I cannot say": `ABSTAINED`. `std` is half
        the width of an interval (the deviation of a probability that is one end or the other with equal chances);
        else the given one carried through the map: half of what the probability changes between `margin - s` and
        `margin + s`, with `s = std / (p (1 - p))` the deviation of the log-odds.
    """
    probability, ends = calibrator.probability(margin), calibrator.interval(margin)
    known = np.flatnonzero(~np.isnan(margin))
    rows = [dict(row) for row in detail]
    if ends is not None:
        for i in known:
            rows[i]["interval"] = [float(ends[0][i]), float(ends[1][i])]
        std = (ends[1] - ends[0]) / 2
    elif std is not None:
        std = _carried(calibrator, margin, std)
    if isinstance(calibrator, Conformal):
        sets = calibrator.sets(margin)
        for i in known:
            rows[i]["set"] = [side for side, inside in zip(SIDES, sets[i], strict=True) if inside]
        unsure = sets.all(axis=1) & (outcome == Outcome.SCORED)  # a fault of the policy's own is never excused
        outcome = np.where(unsure, Outcome.ABSTAINED, outcome)
    scored = outcome <= Outcome.POLICY_FAULT
    return PreferenceBatch(
        probability=np.where(scored, probability, np.nan), outcome=outcome.astype(np.int8),
        std=None if std is None else np.where(scored, std, np.nan), detail=tuple(rows),
    )  # fmt: skip


def _carried(calibrator: Calibrator, margin: Floats, std: Floats) -> Floats:
    stated = 1 / (1 + np.exp(-np.clip(margin, -30, 30)))  # farther out p (1 - p) is 0 in float64, and so is std
    spread = std / (stated * (1 - stated))
    low, high = (calibrator.probability(margin + sign * spread) for sign in (-1, 1))
    return np.asarray((high - low) / 2)
