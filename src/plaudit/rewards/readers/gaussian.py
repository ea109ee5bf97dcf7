"""Two outputs: mean and logarithm of the variance of what a rater would say."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats

LOG_VARIANCE = (-12.0, 12.0)
"""Range of the logarithm of the variance: beyond it one sample would own the loss, or none could move it."""


def gaussian_parameters(outputs: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Mean, and logarithm of the variance clamped to `LOG_VARIANCE`."""
    return outputs[:, 0], outputs[:, 1].clamp(*LOG_VARIANCE)


def read_gaussian(outputs: Float[Tensor, "n 2"]) -> Readout:
    """Score: the mean. Noise: the standard deviation, aleatoric."""
    mean, log_variance = gaussian_parameters(outputs)
    return Readout(floats(mean), noise=floats((0.5 * log_variance).exp()))
