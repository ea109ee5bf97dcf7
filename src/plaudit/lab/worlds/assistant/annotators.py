"""Who compares completions, and what is wrong with their judgement: every flaw is a knob with a dose.

`P(first chosen) = sigmoid(beta * (U_annotator(first) - U_annotator(second)) + length_bias * (words1 -
words2))`, then flips. The annotator's U differs from the true one by persona and by group; a cyclic annotator
compares by the outer product of two aspects, which no scalar reward represents.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.lab.worlds.assistant.aspects import ASPECTS, Parsed
from plaudit.lab.worlds.assistant.request import KINDS
from plaudit.lab.worlds.assistant.utility import Utility
from plaudit.lab.worlds.assistant.world import World

FlipKind = Literal["uniform", "near_ties", "length"]


@dataclass(frozen=True, slots=True)
class Knobs:
    """How preferences are made; the defaults are faithful annotators of moderate noise.

    Raises:
        InputError: if a knob is outside its range.
    """

    beta: float = 3.0
    """Log-odds per unit of U: 0 is a coin, infinity a perfect judge."""

    flips: float = 0.0
    """Share of labels flipped on average, 0 to 0.4."""

    flip_kind: FlipKind = "uniform"
    """Which labels flip: any alike, those near a tie more, or only choices of the shorter (`length`)."""

    length_bias: float = 0.0
    """Log-odds per word that the first completion is longer."""

    spurious: float = 0.0
    """Correlation, -0.9 to 0.9, of a neutral marker word with which completion is truly better; at 0 no
    marker is planted unless `plant` says so. For a test set: 0 with `plant=True`, or the value reversed."""

    plant: bool = False
    """Plant the marker words even at correlation 0, so that train and test look alike."""

    unseen: tuple[tuple[str, str], ...] = ()
    """Combinations of kind and aspect that these pairs never differ in: `(("fact", "markdown"),)`."""

    personas: int = 1
    """Annotators with weights of their own, mixed evenly."""

    persona_spread: float = 0.0
    """Degrees by which each persona's weights are turned from the true ones, 0 to 90."""

    group_share: float = 0.0
    """Share of rows judged by the minority group, 0 or 0.05 to 0.5."""

    group_rotation: float = 0.0
    """Degrees by which the group's weights are turned, 0 to 90; at 0 the group values what all do."""

    group_dialect: bool = False
    """Whether the minority group's rows are written in the dialect (true reward unchanged)."""

    cyclic: float = 0.0
    """Share of rows judged by annotators without a transitive order, 0 to 1."""

    def __post_init__(self) -> None:
        ranges = {
            "beta": (0.0, np.inf), "flips": (0.0, 0.4), "spurious": (-0.9, 0.9), "personas": (1, 64),
            "persona_spread": (0.0, 90.0), "group_share": (0.0, 0.5), "group_rotation": (0.0, 90.0),
            "cyclic": (0.0, 1.0),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"Knobs: {name} is {value}; give a value from {low:g} to {high:g}")
        if self.flip_kind not in ("uniform", "near_ties", "length"):
            raise InputError(f"Knobs: flip_kind is {self.flip_kind!r}; give 'uniform', 'near_ties' or 'length'")
        for kind, aspect in self.unseen:
            if kind not in KINDS or aspect not in ASPECTS:
                raise InputError(f"Knobs: unseen holds {(kind, aspect)}; give (kind, aspect) out of {KINDS}, {ASPECTS}")

    def to_dict(self) -> dict[str, object]:
        """Name to value."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Panel:
    """The annotators of an instance under some knobs.

    Attributes:
        knobs: their flaws.
        world: the instance.
        personas: what each persona values.
        group: what the minority group values.
        cycle: the two aspects whose outer product a cyclic annotator compares by.
    """

    knobs: Knobs
    world: World
    personas: tuple[Utility, ...]
    group: Utility
    cycle: tuple[int, int]

    @classmethod
    def drawn(cls, world: World, knobs: Knobs) -> Panel:
        """The panel of an instance: training and test data meet the same people, whatever their seed."""
        rng = np.random.default_rng([world.seed, 11])
        group = world.utility.rotated(knobs.group_rotation, world.spread, rng)
        names = ("markdown", "politeness", "hedging", "flattery", "clarification")
        cycle = rng.choice([ASPECTS.index(n) for n in names], 2, replace=False)
        personas = tuple(world.utility.rotated(knobs.persona_spread, world.spread, rng) for _ in range(knobs.personas))
        return cls(knobs, world, personas, group, (int(cycle[0]), int(cycle[1])))

    def margins(
        self, first: Parsed, second: Parsed, persona: np.ndarray, in_group: np.ndarray, cyclic: np.ndarray
    ) -> Float[np.ndarray, " n"]:
        """What each row's annotator makes of the difference, in units of U, length bias not included."""
        out = np.zeros(len(persona))
        for k, utility in enumerate(self.personas):
            rows = (persona == k) & ~in_group
            out[rows] = (utility(first) - utility(second))[rows]
        out[in_group] = (self.group(first) - self.group(second))[in_group]
        out[cyclic] = self._cyclic(first, second)[cyclic]
        return out

    def log_odds(self, margin: np.ndarray, first: Parsed, second: Parsed) -> Float[np.ndarray, " n"]:
        """Log-odds that the first is chosen, before flips."""
        gap = (first.words - second.words).astype(np.float64)
        with np.errstate(invalid="ignore"):  # infinite beta times a tie is a tie
            noise_free = np.where(margin == 0, 0.0, self.knobs.beta * margin)
        return np.asarray(noise_free + self.knobs.length_bias * gap)

    def flip_chance(
        self, margin: np.ndarray, chose_first: np.ndarray, first: Parsed, second: Parsed
    ) -> Float[np.ndarray, " n"]:
        """Probability that a label is flipped; its mean is the knob, or as near as probabilities allow."""
        weight = np.ones(len(margin))
        if self.knobs.flip_kind == "near_ties":
            weight = np.exp(-np.abs(margin))
        elif self.knobs.flip_kind == "length":
            gap = np.where(chose_first, second.words - first.words, first.words - second.words)
            weight = (gap > 0).astype(np.float64)  # only a chosen shorter one is flipped, to the longer
        return _scaled_to_mean(weight, self.knobs.flips)

    def _cyclic(self, first: Parsed, second: Parsed) -> Float[np.ndarray, " n"]:
        """The disc game `x1 y2 - y1 x2`: antisymmetric and without a transitive order."""
        a, b = self.cycle
        spread = np.where(self.world.spread > 0, self.world.spread, 1.0)
        # centred on common values, so that the origin lies inside the disc
        x1, y1 = first.values[:, a] / spread[a] - 1, first.values[:, b] / spread[b] - 1
        x2, y2 = second.values[:, a] / spread[a] - 1, second.values[:, b] / spread[b] - 1
        return np.asarray(x1 * y2 - y1 * x2)


def _scaled_to_mean(weight: Float[np.ndarray, " n"], mean: float) -> Float[np.ndarray, " n"]:
    """`min(1, c * weight)` with the c that gives the mean; ones on the support where none does."""
    if mean == 0 or not (weight > 0).any():
        return np.zeros_like(weight)
    if (weight > 0).mean() <= mean:
        return (weight > 0).astype(np.float64)
    low, high = 0.0, 1.0
    while np.minimum(1.0, high * weight).mean() < mean:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1.0, middle * weight).mean() < mean else (low, middle)
    return np.asarray(np.minimum(1.0, high * weight))
