"""Which predicted box stands for which true one, and how good the whole prediction is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from plaudit.rewards.verifiers.vision.boxes import iou


def greedy_match(
    predicted: Float[np.ndarray, "n 4"], true: Float[np.ndarray, "m 4"], *, threshold: float = 0.5
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Each prediction in turn takes the free true box that it overlaps most.

    Args:
        predicted: n boxes, the most confident first.
        true: m boxes.
        threshold: IoU that a match must exceed.

    Returns:
        The index of each prediction's true box, -1 for none; and its IoU, 0 for none.

    Source: Liu et al. 2025, "Visual-RFT" [188], as its code does it.
    """
    overlap = iou(predicted, true)
    match, value = np.full(len(predicted), -1), np.zeros(len(predicted))
    free = np.ones(len(true), dtype=bool)
    for i in range(len(predicted)):
        if not free.any():
            break
        j = int(np.argmax(np.where(free, overlap[i], -1.0)))
        if overlap[i, j] > threshold:
            match[i], value[i], free[j] = j, overlap[i, j], False
    return match, value


def optimal_match(
    predicted: Float[np.ndarray, "n 4"], true: Float[np.ndarray, "m 4"], *, threshold: float = 0.5
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The one-to-one assignment with the largest sum of IoUs among pairs that reach the threshold.

    Args:
        predicted: n boxes, in any order.
        true: m boxes.
        threshold: IoU that a match must reach.

    Returns:
        As `greedy_match`.

    Source: Kuhn 1955 (the Hungarian method), by `scipy.optimize.linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    overlap = iou(predicted, true)
    # pairs below the threshold are worth nothing, so that none of them costs a pair that counts
    worth = np.where((overlap >= threshold) & (overlap > 0), overlap, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    match, value = np.full(len(predicted), -1), np.zeros(len(predicted))
    for i, j in zip(rows, columns, strict=True):
        if worth[i, j] > 0:
            match[i], value[i] = j, worth[i, j]
    return match, value


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """How good a prediction is.

    Attributes:
        precision: matched predictions among all; 1 where nothing was predicted and nothing was there, else 0.
        recall: matched true boxes among all; 1 where there was nothing to find.
        iou: mean IoU, `sum of matched IoUs / max(n, m)`; 1 where both are empty.
    """

    precision: float
    recall: float
    iou: float


def match_quality(match: NDArray[np.int64], value: NDArray[np.float64], true: int) -> MatchQuality:
    """Precision, recall and mean IoU of a one-to-one match.

    Dividing by the larger of both counts punishes missed boxes and superfluous ones alike.

    Args:
        match: as `greedy_match` gives it, (n,).
        value: IoU of each match, (n,).
        true: number m of true boxes.
    """
    n, hit = len(match), int((match >= 0).sum())
    if n == 0 and true == 0:
        return MatchQuality(1.0, 1.0, 1.0)
    return MatchQuality(hit / n if n else 0.0, hit / true if true else 1.0, float(value.sum()) / max(n, true))
