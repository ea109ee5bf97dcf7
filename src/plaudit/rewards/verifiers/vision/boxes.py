"""Overlap of axis-aligned boxes `(x1, y1, x2, y2)`, in any one unit.

A box whose right or lower edge does not lie beyond its left or upper one has no area: it overlaps nothing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import ShapeError

Boxes = NDArray[np.float64]


def as_boxes(values: ArrayLike, name: str = "boxes") -> Float[np.ndarray, "n 4"]:
    """An array (n, 4) of finite coordinates; no boxes are (0, 4).

    Raises:
        ShapeError: if the values are not n fours of finite numbers.
    """
    try:
        boxes = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name}: not n boxes of four numbers; give [[x1, y1, x2, y2], ...]") from error
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ShapeError(f"{name}: shape {boxes.shape}; give finite numbers [[x1, y1, x2, y2], ...]")
    return boxes


def areas(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """Areas, 0 where a box has none."""
    extent = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return np.asarray(extent[:, 0] * extent[:, 1])


def iou(first: Float[np.ndarray, "n 4"], second: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of every pair of boxes, in [0, 1].

    `|A and B| / |A or B|`, and 0 where neither has an area.

    Args:
        first: n boxes.
        second: m boxes.
    """
    shared, union = _shared_and_union(first, second)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def generalised_iou(first: Float[np.ndarray, "n 4"], second: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Generalised intersection over union, in [-1, 1]: for disjoint boxes the less, the further they are apart.

    `IoU - (|C| - |A or B|) / |C|` with C the smallest box around both; 0 gap where C has no area.

    Args:
        first: n boxes.
        second: m boxes.

    Source: Rezatofighi et al. 2019, "Generalized Intersection over Union", algorithm 1.
    """
    shared, union = _shared_and_union(first, second)
    low = np.minimum(first[:, None, :2], second[None, :, :2])
    high = np.maximum(first[:, None, 2:], second[None, :, 2:])
    around = np.prod(np.maximum(high - low, 0.0), axis=-1)
    gap = np.divide(around - union, around, out=np.zeros_like(around), where=around > 0)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0) - gap)


def _shared_and_union(first: Boxes, second: Boxes) -> tuple[Boxes, Boxes]:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    real = (areas(first) > 0)[:, None] & (areas(second) > 0)[None, :]
    shared = np.where(real, np.prod(np.maximum(high - low, 0.0), axis=-1), 0.0)
    return shared, areas(first)[:, None] + areas(second)[None, :] - shared
