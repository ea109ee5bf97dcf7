"""Advantages scaled by how hard their prompt is, as data and as the model finds it [122].

Differs from the paper: both factors are a prompt's own; a gap is an outlier where it lies further than `cut` scaled
median absolute deviations from the median of the batch (the paper's mask is not published). Values of `NaN` (no
demonstration, no reward) give the neutral factor 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats
from plaudit.shaping.transforms.bounded import sigmoid


def data_hardness(demonstration: Float[np.ndarray, "k d"], sample: Float[np.ndarray, "l d"]) -> float:
    """`1 - mean_k max_l cos(demonstration_k, sample_l)`: how little of a demonstration the policy says already.

    Args:
        demonstration: embeddings of its clauses, none of them zero.
        sample: embeddings of the policy's clauses.

    Returns:
        In [0, 2]; 0 where every clause is there.

    Raises:
        ShapeError: if either has no clause or the widths differ.
    """
    a, b = np.asarray(demonstration, dtype=np.float64), np.asarray(sample, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or not len(a) or not len(b) or a.shape[1] != b.shape[1]:
        raise ShapeError(f"data_hardness: embeddings are {a.shape} and {b.shape}; give (k, d) and (l, d), k and l >= 1")
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b)]
    return float(1 - (unit[0] @ unit[1].T).max(axis=1).mean())


def hardness_scale(hardness: ArrayLike) -> Float[np.ndarray, " p"]:
    """`sigmoid(d) / sigmoid(mean d)`: above 1 for prompts whose data is harder than the batch's.

    Args:
        hardness: (p,) of each prompt, see `data_hardness`; NaN where there is no demonstration.
    """
    d = np.asarray(hardness, dtype=np.float64)
    return _relative(d, float(np.nanmean(d)) if (~np.isnan(d)).any() else 0.0)


def responsiveness_scale(gap: ArrayLike, *, cut: float = 3.0) -> Float[np.ndarray, " p"]:
    """`sigmoid(gap) / sigmoid(mean gap)`, outliers replaced by the mean of the others before either is taken.

    The gap of a prompt is the reward of its demonstration less that of the policy's sample.

    Args:
        gap: (p,) of each prompt; NaN where there is none.
        cut: scaled median absolute deviations from the median beyond which a gap is an outlier.

    Raises:
        InputError: if the cut is not positive.
    """
    if not cut > 0:
        raise InputError(f"responsiveness_scale: cut is {cut}; give a positive number of deviations")
    g = np.asarray(gap, dtype=np.float64)
    if not (~np.isnan(g)).any():
        return np.ones(g.shape)
    middle = np.nanmedian(g)
    spread = 1.4826 * np.nanmedian(np.abs(g - middle))  # equals the deviation of normal gaps
    usual = np.abs(g - middle) <= cut * spread if spread > 0 else g == middle
    kept = np.where(usual | np.isnan(g), g, np.nanmean(g[usual]))
    return _relative(kept, float(np.nanmean(kept)))


def difficulty_scale(hardness: ArrayLike, gap: ArrayLike, *, cut: float = 3.0) -> Float[np.ndarray, " p"]:
    """The product of both: hard data that the model responds to counts most.

    It multiplies the advantages of a prompt's group and keeps their signs.

    Args:
        hardness: (p,), see `hardness_scale`.
        gap: (p,), see `responsiveness_scale`.
        cut: see `responsiveness_scale`.

    Source: "Inverse Reinforcement Learning with Dynamic Reward Scaling for LLM Alignment" (DR-IRL, GRPO-S) [122].
    """
    return np.asarray(hardness_scale(hardness) * responsiveness_scale(gap, cut=cut))


def _relative(value: Floats, mean: float) -> Floats:
    return np.where(np.isnan(value), 1.0, sigmoid(value) / sigmoid(mean))
