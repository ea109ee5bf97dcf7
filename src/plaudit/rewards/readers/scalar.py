"""One output: the score itself."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def read_scalar(outputs: Float[Tensor, "n 1"]) -> Readout:
    """The output is the score."""
    return Readout(floats(outputs[:, 0]))


def read_first(outputs: Float[Tensor, "n k"]) -> Readout:
    """The first output is the score; the others are what the model learned about the raters' scale."""
    return Readout(floats(outputs[:, 0]))
