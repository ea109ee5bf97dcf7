"""What a head's outputs mean: how many there are, and how they become a score with its uncertainty."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, nearest
from plaudit.rewards.base import Floats

if TYPE_CHECKING:
    from torch import Tensor

READERS = {
    "scalar": "plaudit.rewards.readers.scalar:read_scalar",
    "gaussian": "plaudit.rewards.readers.gaussian:read_gaussian",
    "quantile": "plaudit.rewards.readers.quantile:read_quantiles",
    "ratings": "plaudit.rewards.readers.ratings:read_ratings",
    "evidential": "plaudit.rewards.readers.evidential:read_evidential",
    "aspects": "plaudit.rewards.readers.aspects:read_aspects",
}
"""Name to the function that reads: `(outputs (n, k), **options) -> Readout`."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What n samples' outputs say, in score units.

    Attributes:
        score: (n,), higher is better.
        std: epistemic standard deviation (n,), or None.
        noise: aleatoric standard deviation (n,), or None.
        aspects: named dimensions, each (n,).
    """

    score: Floats
    std: Floats | None = None
    noise: Floats | None = None
    aspects: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a reward model, as its manifest records it.

    Attributes:
        kind: one of `READERS`.
        outputs: k, how many numbers the head emits a sample.
        options: what the reader needs besides: the levels of quantiles, the values of ratings, the aspects' names.
    """

    kind: str = "scalar"
    outputs: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in READERS:
            raise InputError(f"head: kind {self.kind!r} is not known; {nearest(str(self.kind), READERS)}")
        if self.outputs < 1:
            raise InputError(f"head: outputs is {self.outputs}; a head emits at least one number")

    def read(self, outputs: Float[Tensor, "n k"]) -> Readout:
        """The samples' scores, with what else the head says.

        Args:
            outputs: what the head emitted, float64.

        Raises:
            InputError: if the head emits another number of outputs.
        """
        if outputs.shape[-1] != self.outputs:
            raise InputError(f"head: {outputs.shape[-1]} outputs a sample, and {self.kind} reads {self.outputs}")
        module, _, name = READERS[self.kind].partition(":")
        found: Readout = getattr(importlib.import_module(module), name)(outputs, **self.options)
        return found


def floats(values: Tensor) -> Floats:
    """A tensor as a float64 array."""
    return np.asarray(values.detach().double().cpu().numpy())
