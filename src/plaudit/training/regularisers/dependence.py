"""A penalty on how far margins depend on attributes, of any type and several together: distance covariance [92].

    CCdCov = dCov^2(d, [a_1; ...; a_K])

with the margins d of the pairs and their attributes side by side (numbers standardised, names one-hot:
`plaudit.stats.attribute_matrix`). It is 0 exactly under independence, so it also removes what penalties of single
attributes miss: margins that are small in two opposite corners of a crossed table.

**Why it is corrected.** The plain mean of products is above 0 by chance, by about `E|d - d'| E|a - a'| / n`: over a
step of sixteen pairs its gradient mostly makes all margins smaller, whether they depend on anything or not. The
corrected one (U-centring) has mean 0 under independence, and its gradient then has none such; it may be negative.

**Whose margins.** A margin is chosen minus rejected: that it depends on a group says that the group is served better.
It may rightly do so where the group's preferences are stronger. The penalty cannot know; put the strength in as
`--use-margin`, or leave the attribute out.

Source: "Machine Learning with Multitype Protected Attributes" [92]; Szekely and Rizzo 2014 for the correction.

Differs from the paper: the correction, without which small steps shrink margins; `corrected=False` is the paper's. The
coefficient is given, not searched by Jensen-Shannon divergences.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import ShapeError


def distance_covariance_penalty(
    margin: Float[Tensor, " m"], attributes: Float[Tensor, "n k"], *, corrected: bool = True
) -> Float[Tensor, ""]:
    """Squared distance covariance of margins and attributes, differentiable in the margins.

    Args:
        margin: of the pairs, in score units.
        attributes: of the same pairs, (m, k).
        corrected: U-centred, see `corrected_distance_covariance`; False gives the paper's, at least 0.

    Returns:
        In score units times attribute units; 0 for fewer than four pairs (two, if not corrected), which say nothing.
        Where two margins are equal, the derivative of their distance is taken to be 0.

    Raises:
        ShapeError: if there are not as many rows of attributes as margins.
    """
    if attributes.shape[0] != margin.shape[0]:
        raise ShapeError(f"distance_covariance_penalty: {attributes.shape[0]} attributes for {margin.shape[0]} margins")
    n = margin.shape[0]
    if n < (4 if corrected else 2):
        return margin.sum() * 0.0
    a = (margin[:, None] - margin[None, :]).abs()
    b = (attributes[:, None, :] - attributes[None, :, :]).square().sum(dim=-1).sqrt()
    if corrected:
        return corrected_distance_covariance(a, b)
    return (_centred(a) * _centred(b)).mean()


def corrected_distance_covariance(a: Float[Tensor, "n n"], b: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Unbiased squared distance covariance of two matrices of distances: `sum_{i != j} A_ij B_ij / (n (n - 3))`.

    `A_ij = a_ij - row_i / (n - 2) - row_j / (n - 2) + total / ((n - 1)(n - 2))` off the diagonal, with sums.

    Args:
        a: symmetric, zero on the diagonal, n at least 4.
        b: likewise.

    Source: Szekely and Rizzo 2014, "Partial distance correlation with methods for dissimilarities", section 2.
    """
    n = a.shape[0]
    off = 1 - torch.eye(n, dtype=a.dtype, device=a.device)
    return (off * _u_centred(a) * _u_centred(b)).sum() / (n * (n - 3))


def _centred(d: Tensor) -> Tensor:
    return d - d.mean(dim=0, keepdim=True) - d.mean(dim=1, keepdim=True) + d.mean()


def _u_centred(d: Tensor) -> Tensor:
    n = d.shape[0]
    rows = d.sum(dim=1) / (n - 2)
    return d - rows[:, None] - rows[None, :] + d.sum() / ((n - 1) * (n - 2))
