"""The logarithm of the normal distribution function, with a gradient that holds far out in single precision.

`torch.special.log_ndtr` has the value right, but in float32 its gradient is 6.5 times too large at -10,000 and zero or
infinite beyond: it divides a density by a probability, both of which have vanished.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class _LogNormalCdf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        found: Tensor = torch.special.log_ndtr(z)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (z,) = ctx.saved_tensors
        # density / probability = sqrt(2 / pi) / erfcx(-z / sqrt 2): the exponentials cancel inside erfcx
        return grads[0] * (math.sqrt(2 / math.pi) / torch.special.erfcx(-z / math.sqrt(2)))


def log_normal_cdf(z: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """`log Phi(z)`, elementwise; its slope is about `-z` far below zero and 0 far above.

    Args:
        z: standard normal quantiles, float32 or float64.

    Source: Abramowitz and Stegun 1964.
    """
    found: Tensor = _LogNormalCdf.apply(z)  # type: ignore[no-untyped-call]
    return found
