"""Two sources for one thing: a rule beside a model, a noisy verifier beside patterns, a whole beside its items."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats


def blended(rule: ArrayLike, model: ArrayLike, confidence: ArrayLike) -> Float[np.ndarray, " n"]:
    """`c rule + (1 - c) model`: a rule where one applies, a calibrated model where none does.

    Args:
        rule: (n,) in [0, 1]; NaN where no rule applies, which is a confidence of 0.
        model: (n,) in [0, 1]; may be NaN where the confidence is 1.
        confidence: (n,) in [0, 1], in the rule; or one for all.

    Returns:
        NaN where a source with weight is missing.

    Raises:
        ShapeError: if rule and model differ in number.
        InputError: if a confidence is outside [0, 1].

    Source: "HARMO: hybrid and multi-aspect rewards" [34]; the confidence's form is ours.
    """
    r, m = np.asarray(rule, dtype=np.float64), np.asarray(model, dtype=np.float64)
    if r.shape != m.shape:
        raise ShapeError(f"blended: {r.size} rewards by the rule and {m.size} by the model; give as many")
    c = np.broadcast_to(np.asarray(confidence, dtype=np.float64), r.shape)
    if not ((c >= 0) & (c <= 1)).all():
        raise InputError(f"blended: a confidence is {c[~((c >= 0) & (c <= 1))][0]}; give numbers between 0 and 1")
    c = np.where(np.isnan(r), 0.0, c)
    # what has no weight may be missing, and 0 times NaN would not be 0
    return np.asarray(np.where(c > 0, c * r, 0.0) + np.where(c < 1, (1 - c) * m, 0.0))


def pattern_calibrated(
    reward: ArrayLike, pattern: ArrayLike, *, threshold: float = 0.5, weight: float = 0.1
) -> Float[np.ndarray, " n"]:
    """`r + w pattern` where the reward says "wrong" (below the threshold), r elsewhere.

    A noisy verifier's false negatives cost a right answer everything; what its reasoning looks like gives some back.

    Args:
        reward: (n,) of the noisy verifier or model; NaN stays NaN.
        pattern: (n,) reasoning pattern reward, such as `rule/reasoning-pattern`; where it is NaN nothing is added.
        threshold: below it a reward says "wrong"; the paper's 0.5 for a reward model; any positive one for 0 and 1.
        weight: at least 0; the paper's 0.1 for a reward model, 1 for a verifier.

    Raises:
        ShapeError: if the two differ in number.
        InputError: if the weight is negative.

    Source: Lv et al. 2025, "The Climb Carves Wisdom Deeper Than the Summit" [12].
    """
    r, p = np.asarray(reward, dtype=np.float64), np.asarray(pattern, dtype=np.float64)
    if r.shape != p.shape:
        raise ShapeError(f"pattern_calibrated: {r.size} rewards and {p.size} patterns; give as many")
    if not weight >= 0:
        raise InputError(f"pattern_calibrated: weight is {weight}; give a number of at least 0")
    return np.where(r < threshold, r + weight * np.nan_to_num(p), r)


def mixed_grain(
    whole: ArrayLike, items: Float[np.ndarray, "n l"], *, whole_weight: float = 0.5, item_weight: float = 0.5
) -> Float[np.ndarray, " n"]:
    """`w_p z(whole) + w_i mean_j z(item_j)`, z over the batch: a page and what stands on it.

    Args:
        whole: (n,) reward of each page; NaN stays NaN.
        items: rewards of its items, NaN where there is none; z is over all items of the batch.
        whole_weight: w_p.
        item_weight: w_i; 0 is the page alone.

    Returns:
        A page without any item's reward gets `w_p z(whole)` alone.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: "Enhanced Whole Page Optimization via Mixed-Grained Reward Mechanism" (PageLLM) [102]; the weights are ours.
    """
    page, each = np.asarray(whole, dtype=np.float64), np.asarray(items, dtype=np.float64)
    if each.ndim != 2 or page.shape != (len(each),):
        raise ShapeError(f"mixed_grain: whole {page.shape} and items {each.shape}; give (n,) and (n, l)")
    z = _standardised(np.where(np.isnan(page)[:, None], np.nan, each))
    there = ~np.isnan(z)
    mean = np.where(there, z, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return np.asarray(whole_weight * _standardised(page) + item_weight * mean)


def _standardised(x: Floats) -> Floats:
    known = x[~np.isnan(x)]
    if known.size < 2 or np.ptp(known) == 0:
        return np.asarray(0.0 * x)
    return np.asarray((x - known.mean()) / known.std())
