"""Weights under which the gradients of several sources together are as short as possible [130].

Where the shortest convex combination is not zero, following it lowers every source's loss; where it is zero, no step
helps all of them.

Differs from the paper: active sets in place of a fixed number of Frank-Wolfe steps: Wolfe's method solves the same
problem to rounding in at most a few steps a source, where Frank-Wolfe approaches an inner solution with error 1/steps.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError

Normalise = Literal["none", "l2", "loss", "loss+"]


def min_norm_weights(gradients: Float[Tensor, "t d"], *, steps: int = 1000) -> Float[Tensor, " t"]:
    """`argmin over the simplex of |sum_i w_i g_i|^2`.

    Args:
        gradients: a row a source.
        steps: at most so many; a handful a source is usual.

    Returns:
        Weights, at least 0 with sum 1. With `d = sum_i w_i g_i` they satisfy `<g_i, d> >= |d|^2` for every i, which is
        what makes d a direction that no source objects to. Of several solutions (equal gradients) one is given.

    Raises:
        ShapeError: if `gradients` is not (t, d) with t at least 1.
        InputError: if a gradient is not finite, or the steps do not suffice.

    Source: Desideri 2012 (MGDA); Sener and Koltun 2018; Wolfe 1976 for the algorithm; Zeng et al. 2023 [130].
    """
    if gradients.ndim != 2 or gradients.shape[0] < 1:
        raise ShapeError(f"min_norm_weights: gradients have shape {tuple(gradients.shape)}; they must be (t, d)")
    if not bool(gradients.isfinite().all()):
        raise InputError("min_norm_weights: a gradient is not finite; training diverged, lower learning_rate")
    points = gradients.detach().double().cpu().numpy()
    largest = np.abs(points).max(initial=0.0)
    gram = (points / largest) @ (points / largest).T if largest > 0 else np.zeros((len(points), len(points)))
    return torch.from_numpy(_wolfe(gram, steps)).to(gradients.device, gradients.dtype)


def _wolfe(gram: Float[np.ndarray, "t t"], steps: int) -> Float[np.ndarray, " t"]:
    """Nearest point to the origin in the hull of points with these inner products, as weights."""
    tolerance = 1e-12 * max(float(np.diag(gram).max()), 1e-300)
    weight = np.zeros(len(gram))
    weight[int(np.argmin(np.diag(gram)))] = 1.0
    for _ in range(steps):
        inner = gram @ weight
        found = int(np.argmin(inner))
        # all active points have equal products after a step, so an active one that is the least is so by rounding
        if inner[found] >= weight @ inner - tolerance or weight[found] > 0:
            return np.asarray(weight / weight.sum())
        active = weight > 0
        active[found] = True
        nearer = _inward(gram, weight, active)
        if nearer @ gram @ nearer >= weight @ inner:
            return np.asarray(weight / weight.sum())  # nearly parallel gradients: what is left to gain is rounding
        weight = nearer
    raise InputError(f"min_norm_weights: {steps} steps did not suffice for {len(gram)} gradients; raise steps")


def _inward(
    gram: Float[np.ndarray, "t t"], weight: Float[np.ndarray, " t"], active: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Float[np.ndarray, " t"]:
    """The nearest point of the active points' affine hull, or where the way to it leaves their convex hull."""
    while True:
        index = np.flatnonzero(active)
        k = len(index)
        # stationary under sum = 1; least squares, since equal gradients make the system singular
        system = np.ones((k + 1, k + 1))
        system[:k, :k], system[k, k] = gram[np.ix_(index, index)], 0.0
        aim = np.linalg.lstsq(system, np.append(np.zeros(k), 1.0), rcond=None)[0][:k]
        here = weight[index]
        if (aim > 1e-14).all():
            out = np.zeros_like(weight)
            out[index] = aim
            return out
        leaving = aim <= 1e-14
        share = float((here[leaving] / np.maximum(here[leaving] - aim[leaving], 1e-300)).min())
        here = here + share * (aim - here)
        here[here < 1e-14] = 0.0
        here[np.flatnonzero(leaving)[int(np.argmin(here[leaving]))]] = 0.0  # at least one leaves, so this ends
        weight = np.zeros_like(weight)
        weight[index] = here / here.sum()
        active = weight > 0


def scaled_gradients(
    gradients: Float[Tensor, "t d"], losses: Float[Tensor, " t"], *, normalise: Normalise = "none"
) -> Float[Tensor, "t d"]:
    """Gradients brought to a common unit before they are weighed.

    Args:
        gradients: a row a source.
        losses: of the sources, at least 0.
        normalise: `none`; `l2` divides by the length, `loss` by the loss, `loss+` by both. What is zero divides
            nothing.

    Raises:
        InputError: if `normalise` is none of these.

    Source: Sener and Koltun 2018, `MGDA` options; Zeng et al. 2023 [130].
    """
    if normalise not in get_args(Normalise):
        raise InputError(f"scaled_gradients: normalise is {normalise!r}; give one of {', '.join(get_args(Normalise))}")
    unit = torch.ones_like(losses)
    if normalise in ("l2", "loss+"):
        unit = unit * gradients.norm(dim=1)
    if normalise in ("loss", "loss+"):
        unit = unit * losses
    return gradients / torch.where(unit > 0, unit, torch.ones_like(unit))[:, None]
