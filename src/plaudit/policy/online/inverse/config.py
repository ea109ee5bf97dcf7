"""The options of inverse reinforcement learning in turns."""

from __future__ import annotations

from dataclasses import dataclass

from plaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class InverseConfig:
    """How a reward is learnt from demonstrations, and spent.

    Raises:
        InputError: if a value is outside its range.
    """

    rounds: int = 3
    """Rounds: the policy answers, the reward learns to tell its answers from demonstrations, the policy learns."""
    samples: int = 4
    """Completions of each prompt that the reward is set against, and that measures are made of."""
    pairs: int = 4
    """Most pairs of a demonstration and a sample of one prompt that a round's reward learns from."""
    category: str = ""
    """Column of the demonstrations: each of its values has a reward model of its own; empty for one of all."""
    warm: bool = True
    """Whether a round's reward goes on from that of the round before; else it begins anew."""
    test_share: float = 0.2
    """Share of the prompts that nothing is learnt from, for the measures."""
    seed: int = 0
    """Of the split of prompts, of sampling and of the choice of pairs."""

    def __post_init__(self) -> None:
        for name in ("rounds", "samples", "pairs"):
            if not getattr(self, name) >= 1:
                raise InputError(f"irl: {name} is {getattr(self, name)}; give at least 1")
        if not 0 < self.test_share < 1:
            raise InputError(f"irl: test_share is {self.test_share}; give a share above 0 and below 1")


__all__ = ["InverseConfig"]
