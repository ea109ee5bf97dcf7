"""The options of a game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from plaudit.errors import InputError, nearest
from plaudit.policy.online.games.rewards import DESIGNS, MISSED, Design
from plaudit.policy.online.games.roles import HELPFUL, SNEAKY, Roles

Mixture = Literal["all", "last", "start"]


@dataclass(frozen=True, slots=True)
class GameConfig:
    """How a game is played.

    Raises:
        InputError: if a value is outside its range.
    """

    rounds: int = 3
    """Rounds: a new verifier, then the provers against it."""
    design: Design = "src"
    """What a prover earns: `src`, `cgc` or `goodhart`, see `prover_rewards`."""
    floor: float = -5.0
    """Least reward of a prover; what is its own fault is worth this."""
    mixture: Mixture = "all"
    """Whose solutions a verifier learns from: of the start and `all` provers so far, of the `last` ones, of the `start`
    alone."""
    solutions: int = 8
    """Solutions of each prompt that each prover gives for the verifier, and for the measures."""
    pairs: int = 8
    """Most pairs of a right and a wrong solution of one prompt that a verifier learns from."""
    verifier_share: float = 0.4
    """Share of the prompts that verifiers learn from; provers never see them."""
    test_share: float = 0.2
    """Share of the prompts that nothing is learnt from, for the measures; the rest is the provers'."""
    helpful: str = HELPFUL
    """Told to the helpful prover, before the prompt."""
    sneaky: str = SNEAKY
    """Told to the sneaky prover, before the prompt."""
    seed: int = 0
    """Of the split of prompts, of sampling and of the choice of pairs."""

    def __post_init__(self) -> None:
        for name in ("rounds", "solutions", "pairs"):
            if not getattr(self, name) >= 1:
                raise InputError(f"game: {name} is {getattr(self, name)}; give at least 1")
        if self.design not in DESIGNS:
            raise InputError(f"game: design {self.design!r} is not known; {nearest(self.design, DESIGNS)}")
        if not self.floor <= MISSED.get(self.design, 0.0):
            raise InputError(f"game: floor is {self.floor}; give at most {MISSED.get(self.design, 0.0):g}")
        if self.mixture not in get_args(Mixture):
            raise InputError(f"game: mixture {self.mixture!r} is not known; {nearest(self.mixture, get_args(Mixture))}")
        if not (self.verifier_share > 0 and self.test_share > 0 and self.verifier_share + self.test_share < 1):
            raise InputError(
                f"game: verifier_share is {self.verifier_share} and test_share {self.test_share}; give positive shares "
                "that leave some prompts to the provers"
            )
        self.roles  # noqa: B018  # says what is wrong with what the roles are told

    @property
    def roles(self) -> Roles:
        """What provers are told."""
        return Roles(self.helpful, self.sneaky)


__all__ = ["GameConfig", "Mixture"]
