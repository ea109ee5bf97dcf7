"""What a head's outputs mean: how many there are, and how they become a score with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from plaudit._lazy import attribute
from plaudit.errors import InputError, nearest
from plaudit.rewards.base import Floats

if TYPE_CHECKING:
    from torch import Tensor

READERS = {
    "scalar": "plaudit.rewards.readers.scalar:read_scalar",
    "first": "plaudit.rewards.readers.scalar:read_first",
    "beliefs": "plaudit.rewards.readers.beliefs:read_beliefs",
    "gaussian": "plaudit.rewards.readers.gaussian:read_gaussian",
    "quantile": "plaudit.rewards.readers.quantile:read_quantiles",
    "ratings": "plaudit.rewards.readers.ratings:read_ratings",
    "evidential": "plaudit.rewards.readers.evidential:read_evidential",
    "aspects": "plaudit.rewards.readers.aspects:read_aspects",
    "gated-aspects": "plaudit.rewards.readers.aspects:read_gated_aspects",
    "mixture": "plaudit.rewards.readers.mixture:read_mixture",
    "cosine": "plaudit.rewards.readers.cosine:read_cosine",
    "ensemble": "plaudit.rewards.readers.ensemble:read_ensemble",
    "gaussian-heads": "plaudit.rewards.readers.gaussian_heads:read_gaussian_heads",
    "two-ratings": "plaudit.rewards.readers.twice:read_two_ratings",
}
"""Name to the function that reads: `(outputs (n, k), **options) -> Readout`."""

FITTED = {"ensemble": "plaudit.rewards.readers.ensemble:fitted_ensemble"}
"""Kinds that take options from the training outputs: `(outputs (n, k)) -> options`."""

COMPARERS = {
    "skew": "plaudit.rewards.readers.preference:skew_log_odds",
    "joint": "plaudit.rewards.readers.preference:joint_log_odds",
    "twice": "plaudit.rewards.readers.preference:twice_log_odds",
}
"""Kinds of head that compare and give no score: `(first (m, k), second (m, k), **options) -> log-odds (m,)`."""

DEVIATIONS = {"twice": "plaudit.rewards.readers.preference:twice_deviation"}
"""Those of them that know how sure they are: `(first (m, k), second (m, k), **options) -> std of the probability`."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What n samples' outputs say, in score units.

    Attributes:
        score: (n,), higher is better.
        std: epistemic standard deviation (n,), or None.
        noise: aleatoric standard deviation (n,), or None.
        aspects: named dimensions, each (n,).
        members: scores of ensemble members (n, k), or None.
        scores: further scores by name, each (n,): they become aspects too, but in the reward's unit, as members do.
    """

    score: Floats
    std: Floats | None = None
    noise: Floats | None = None
    aspects: Mapping[str, Floats] = field(default_factory=dict)
    members: Floats | None = None
    scores: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a reward model, as its manifest records it.

    Attributes:
        kind: one of `READERS`, or of `COMPARERS`.
        outputs: k, how many numbers the head emits a sample.
        options: what the reader needs besides: the levels of quantiles, the values of ratings, the aspects' names.
        network: how the outputs are computed, see `plaudit.rewards.heads.Network`; empty for a linear head.
        centre: added to every score, and
        spread: units of score per unit of output, above 0: what brings a head that was trained on standardised ratings
            back to the raters' scale.
    """

    kind: str = "scalar"
    outputs: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    centre: float = 0.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        if not self.spread > 0:
            raise InputError(f"head: spread is {self.spread}; it must be positive")
        if self.kind not in READERS and self.kind not in COMPARERS:
            raise InputError(
                f"head: kind {self.kind!r} is not known; {nearest(str(self.kind), [*READERS, *COMPARERS])}"
            )
        if self.outputs < 1:
            raise InputError(f"head: outputs is {self.outputs}; a head emits at least one number")

    @property
    def compares(self) -> bool:
        """Whether it compares pairs of samples, and gives none a score."""
        return self.kind in COMPARERS

    def log_odds(self, first: Float[Tensor, "m k"], second: Float[Tensor, "m k"]) -> Floats:
        """Log-odds that the first of each pair is better, float64 (m,), for a head that compares.

        Args:
            first: outputs for the first of each pair.
            second: outputs for the second; for a joint head, for the pair shown in reverse.
        """
        return floats(attribute(COMPARERS[self.kind])(first, second, **self.options))

    def deviation(self, first: Float[Tensor, "m k"], second: Float[Tensor, "m k"]) -> Floats | None:
        """Epistemic standard deviation of each probability (m,), where the head knows it; as `log_odds`."""
        if self.kind not in DEVIATIONS:
            return None
        return floats(attribute(DEVIATIONS[self.kind])(first, second, **self.options))

    def read(self, outputs: Float[Tensor, "n k"]) -> Readout:
        """The samples' scores, with what else the head says.

        Args:
            outputs: what the head emitted, float64.

        Raises:
            InputError: if the head emits another number of outputs, or compares.
        """
        if self.compares:
            raise InputError(f"head: {self.kind} compares two samples and scores none; see shape/win-rate")
        if outputs.shape[-1] != self.outputs:
            raise InputError(f"head: {outputs.shape[-1]} outputs a sample, and {self.kind} reads {self.outputs}")
        found: Readout = attribute(READERS[self.kind])(outputs, **self.options)
        return found if (self.centre, self.spread) == (0.0, 1.0) else self._rescaled(found)

    def _rescaled(self, said: Readout) -> Readout:
        def unit(deviation: Floats | None) -> Floats | None:
            return None if deviation is None else deviation * self.spread

        def place(score: Floats) -> Floats:
            return np.asarray(self.centre + self.spread * score)

        return Readout(
            place(said.score), std=unit(said.std), noise=unit(said.noise), aspects=said.aspects,
            members=None if said.members is None else place(said.members),
            scores={name: place(score) for name, score in said.scores.items()},
        )  # fmt: skip

    def fitted(self, outputs: Float[Tensor, "n k"]) -> Head:
        """The head with the options that only the training outputs can tell, such as each member's zero.

        Args:
            outputs: what the trained head emits for training completions, float64.
        """
        if self.kind not in FITTED:
            return self
        found = attribute(FITTED[self.kind])(outputs)
        return replace(self, options={**self.options, **found})


def floats(values: Tensor) -> Floats:
    """A tensor as a float64 array."""
    return np.asarray(values.detach().double().cpu().numpy())
