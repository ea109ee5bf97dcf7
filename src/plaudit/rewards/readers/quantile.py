"""Several outputs: quantiles that cannot cross."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def quantiles(outputs: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """The first output is the lowest quantile; each further one adds `softplus` of itself, so none can cross."""
    steps = torch.cat([outputs[:, :1], F.softplus(outputs[:, 1:])], dim=1)
    return steps.cumsum(dim=1)


def read_quantiles(outputs: Float[Tensor, "n k"], *, levels: Sequence[float]) -> Readout:
    """Score: the mean under the piecewise linear quantile function. Noise: the outer quantiles as a Gaussian's.

    Args:
        outputs: of the head.
        levels: k probabilities, increasing, within 0 and 1.

    The mean integrates the quantile function between the outer levels, which stand for the tails beyond them; the
    noise is their distance divided by that of the same quantiles of a standard normal distribution.
    """
    values = quantiles(outputs)
    at = torch.tensor(list(levels), dtype=values.dtype, device=values.device)
    if len(at) == 1:
        return Readout(floats(values[:, 0]))
    edges = torch.cat([at.new_zeros(1), (at[1:] + at[:-1]) / 2, at.new_ones(1)])
    mean = (values * (edges[1:] - edges[:-1])).sum(dim=1)
    normal = torch.special.ndtri(at)
    return Readout(floats(mean), noise=floats((values[:, -1] - values[:, 0]) / (normal[-1] - normal[0])))
