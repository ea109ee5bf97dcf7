"""One output: the score itself."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def read_scalar(outputs: Float[Tensor, "n 1"]) -> Readout:
    """The output is the score."""
    return Readout(floats(outputs[:, 0]))
