"""The true reward: a weighted sum of aspects by kind of request, two interactions, and harm below everything.

`U = (raw - shift) / scale` with
`raw = offset(kind) + sum_a w(kind, a) a + i1 * correctness * hedging + i2 * markdown * structure`,
and, for a completion that names tools to an unsafe request, `raw = -severity * (1 + harm)`.

The offset of a kind lifts the lowest value that any harmless completion can reach to zero. A shift that is
the same for all completions of a prompt changes no preference, and so harm is below everything that can be
said to any prompt without swamping the spread of the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.lab.worlds.assistant.aspects import ASPECTS, LONGEST, Parsed, verbosity
from plaudit.lab.worlds.assistant.request import KINDS

_BASE = {
    #            rel   cor  str  verb  pol  hedge  flat   md   ref   con  clar   rep
    "fact": (1.0, 1.5, 0.1, 0.7, 0.4, -0.5, -0.5, -0.2, -1.3, 0.7, -0.5, -0.8),
    "howto": (0.8, 1.2, 0.9, 0.7, 0.3, -0.3, -0.4, 0.4, -1.3, 0.7, -0.4, -0.8),
    "advice": (0.8, 1.1, 0.3, 0.7, 0.5, 0.4, -0.3, 0.1, -1.1, 0.7, 0.2, -0.8),
    "unclear": (0.5, 0.0, 0.1, 0.7, 0.5, 0.2, -0.4, -0.2, -0.6, 0.7, 1.5, -0.8),
    "unsafe": (0.1, 0.0, 0.0, 0.6, 0.4, -0.2, -0.3, -0.2, 1.5, 0.5, 0.1, -0.6),
    "followup": (0.9, 1.5, 0.1, 0.7, 0.3, -0.4, -0.5, -0.3, -1.3, 0.7, -0.4, -0.8),
}
_TARGETS = {"fact": 13.0, "howto": 22.0, "advice": 17.0, "unclear": 11.0, "unsafe": 11.0, "followup": 11.0}
_RANGES = {"correctness": (-1.0, 1.0), "constraint": (-1.0, 1.0)}
_COR, _HEDGE, _MD, _STR = (ASPECTS.index(a) for a in ("correctness", "hedging", "markdown", "structure"))


@dataclass(frozen=True)
class Utility:
    """What somebody values.

    Attributes:
        weights: of each kind and aspect, raw units.
        hedged: coefficient of correctness * hedging (negative: a right answer should be said plainly).
        marked: coefficient of markdown * structure (positive: marks help where there are steps).
        targets: words at which verbosity is best, by kind.
        severity: how far below everything harm lies, raw units.
        shift: raw value that is U = 0.
        scale: raw units per unit of U; calibrated so that U has deviation 1 within prompts.
    """

    weights: Float[np.ndarray, "kinds 12"]
    hedged: float
    marked: float
    targets: Float[np.ndarray, " kinds"]
    severity: float = 0.5
    shift: float = 0.0
    scale: float = 1.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Utility:
        """An instance's own weights around a sensible base."""
        base = np.array([_BASE[k] for k in KINDS])
        weights = base * rng.lognormal(0.0, 0.2, base.shape) + rng.normal(0.0, 0.08, base.shape)
        # nobody prefers a wrong answer, being repeated to, or being ignored by verbosity's own shape
        sign = {"correctness": 1.0, "verbosity": 1.0, "repetition": -1.0}
        for name, s in sign.items():
            column = ASPECTS.index(name)
            weights[:, column] = s * np.abs(weights[:, column])
        targets = np.array([_TARGETS[k] for k in KINDS]) * rng.uniform(0.85, 1.15, len(KINDS))
        return cls(weights, -float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.3, 0.6)), targets)

    def __call__(self, parsed: Parsed) -> Float[np.ndarray, " n"]:
        """U of parsed completions."""
        a, w = parsed.values, self.weights[parsed.kind]
        raw = self.offsets()[parsed.kind] + (w * a).sum(1)
        raw += self.hedged * a[:, _COR] * a[:, _HEDGE] + self.marked * a[:, _MD] * a[:, _STR]
        raw = np.where(parsed.harm > 0, -self.severity * (1 + parsed.harm), raw)
        return np.asarray((raw - self.shift) / self.scale)

    def offsets(self) -> Float[np.ndarray, " kinds"]:
        """For each kind minus a lower bound of its raw reward over all harmless completions."""
        low, high = self._extremes()
        worst = np.minimum(self.weights * low, self.weights * high).sum(1)
        return np.asarray(abs(self.hedged) + max(0.0, -self.marked) - worst)

    def _extremes(self) -> tuple[Float[np.ndarray, "kinds 12"], Float[np.ndarray, "kinds 12"]]:
        low, high = np.zeros_like(self.weights), np.ones_like(self.weights)
        for name, (a, b) in _RANGES.items():
            low[:, ASPECTS.index(name)], high[:, ASPECTS.index(name)] = a, b
        ends = [verbosity(np.full(len(KINDS), n), self.targets) for n in (0, LONGEST)]
        low[:, ASPECTS.index("verbosity")] = np.minimum(*ends)
        high[:, ASPECTS.index("verbosity")] = 0.0
        return low, high

    def calibrated(self, parsed: Parsed, prompt: np.ndarray) -> Utility:
        """U with mean 0 over prompts and standard deviation 1 within them.

        Args:
            parsed: completions sampled from the starting policy.
            prompt: which prompt each answers, integers (n,); at least two completions a prompt.

        Raises:
            InputError: if the completions of every prompt are worth the same.
        """
        raw = replace(self, shift=0.0, scale=1.0)(parsed)
        size = np.maximum(np.bincount(prompt), 1)
        means = np.bincount(prompt, raw) / size
        squares = ((raw - means[prompt]) ** 2).sum()
        freedom = len(raw) - len(np.unique(prompt))
        if freedom < 1 or squares == 0:
            raise InputError("calibrated: true rewards do not vary within prompts; sample more completions a prompt")
        return replace(self, shift=float(raw.mean()), scale=math.sqrt(squares / freedom))

    def rotated(self, degrees: float, spread: Float[np.ndarray, " 12"], rng: np.random.Generator) -> Utility:
        """Weights turned by an angle, of equal length, towards a random orthogonal direction in each kind.

        Args:
            degrees: 0 (the same) to 90 (unrelated) and beyond.
            spread: standard deviation of each aspect: the angle is taken between contributions to U, not
                between weights whose aspects hardly vary.
            rng: of the direction.
        """
        scaled = self.weights * spread
        direction = rng.normal(size=scaled.shape) * (spread > 0)
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        unit = scaled / np.maximum(length, 1e-12)
        direction -= (direction * unit).sum(1, keepdims=True) * unit
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
        angle = math.radians(degrees)
        turned = math.cos(angle) * scaled + math.sin(angle) * length * direction
        weights = np.where(spread > 0, turned / np.where(spread > 0, spread, 1.0), self.weights)
        # the offsets move with the weights; differences within prompts do not depend on them
        return replace(self, weights=weights)
