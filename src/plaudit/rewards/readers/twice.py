"""Logits of a first rating, and of a second one for each level that the first may have [219]."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.rewards.readers.head import Readout, floats


def two_rating_logits(outputs: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c c"]]:
    """Logits of the first rating, and of the second with the first on the middle axis, of `k = c + c^2` outputs.

    Raises:
        ShapeError: if the number of outputs is not `c + c^2` for c of at least 2.
    """
    k = outputs.shape[-1]
    c = (math.isqrt(1 + 4 * k) - 1) // 2
    if c < 2 or c + c * c != k:
        raise ShapeError(f"two_ratings: {k} outputs a sequence; c levels need c + c^2: 6, 12, 20, 30, ...")
    return outputs[:, :c], outputs[:, c:].reshape(-1, c, c)


def read_two_ratings(outputs: Float[Tensor, "n k"]) -> Readout:
    """Score: the expected level m, 1 to c, of the first rating. Std: what is not known of m. Noise: the raters' own.

    With p1 and p2 the two distributions and y the levels, `std^2 = sum_i p1(i) i (sum_j p2(j | i) j - m)`: the
    covariance of two ratings of one completion. Raters who do not confer have nothing in common but the completion, so
    it is the variance of the completion's true mean around m, and the rest of the first rating's variance is theirs.
    Both are clipped at 0, which a fitted model may miss slightly, and std^2 at the whole variance.

    Source: Johnson et al. 2024, "Experts Don't Cheat" [219]. Differs from the paper: which gives the variance
    `V_cheat(y) = p1(y) (p2(y | y) - p1(y))` of each level's probability, the diagonal of a matrix; the mean level needs
    all of `p1(i) (p2(j | i) - p1(j))`. For two levels the two are the same.
    """
    first, second = (logits.softmax(dim=-1) for logits in two_rating_logits(outputs))
    level = torch.arange(1, first.shape[1] + 1, dtype=outputs.dtype, device=outputs.device)
    mean = first @ level
    # levels counted from the mean: a small variance would drown in the rounding of E[y^2] - m^2
    apart = level - mean[:, None]
    total = (first * apart.square()).sum(dim=-1)
    shared = (first * apart * (second @ level - mean[:, None])).sum(dim=-1)
    unknown = shared.clamp(min=0).minimum(total)
    return Readout(floats(mean), std=floats(unknown.sqrt()), noise=floats((total - unknown).clamp(min=0).sqrt()))
