"""The options of self-play."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class SelfPlayConfig:
    """How a policy conjectures and proves.

    Raises:
        InputError: if a value is outside its range.
    """

    rounds: int = 3
    """Rounds: conjectures, proofs, one fit."""
    conjectures: int = 64
    """Conjectures that are asked for in a round."""
    proofs: int = 32
    """Proofs of each statement and round."""
    seed_rate: float = 0.35
    """Statements that are proved more often than this are what conjectures start from."""
    lemma_share: float = 0.1
    """Most conjectures of a lemma, as a share of the round's."""
    low_band: float = 0.25
    """A conjecture teaches the conjecturer where it is proved, and less often than this."""
    high_band: float = 0.5
    """A proof teaches the prover where its statement is proved at most so often."""
    inelegant: float = 0.2
    """Share of a lemma's conjectures that is dropped: those with the lowest length of proof by length of statement."""
    unused: float = 0.1
    """Most conjectures whose proof leaves their lemma unused, as a share of those kept; they are taught without it."""
    cap: float = 4.0
    """Greatest weight of a conjecture from the matching to what is not proved."""
    conjecturing: bool = True
    """Whether there are conjectures at all; without it is expert iteration."""
    retrain: bool = True
    """Whether at the end the start is trained on the data of all rounds."""
    seed: int = 0
    """Of seeds, lemmas and sampling."""

    def __post_init__(self) -> None:
        for name in ("rounds", "conjectures", "proofs"):
            if not getattr(self, name) >= 1:
                raise InputError(f"self-play: {name} is {getattr(self, name)}; give at least 1")
        for name in ("seed_rate", "inelegant", "unused"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"self-play: {name} is {getattr(self, name)}; give a share of at least 0, below 1")
        for name in ("lemma_share", "low_band", "high_band"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"self-play: {name} is {getattr(self, name)}; give a share above 0, at most 1")
        if not 1 <= self.cap < math.inf:
            raise InputError(f"self-play: cap is {self.cap}; give a finite weight of at least 1")


__all__ = ["SelfPlayConfig"]
