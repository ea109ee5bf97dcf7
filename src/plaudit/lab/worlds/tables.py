"""A world of tables: prompts whose few completions can all be listed, so that truth and KL are sums.

A completion is up to five tokens long; how good it is adds up over tokens and over neighbours. The best are right. A
verifier goes by a worth that is wrong in places, so a policy can be right by it and wrong by the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.lab.tabular import TabularPolicy, by_previous

TOKENS, LENGTH, END = 5, 5, 0
"""Of the vocabulary; of a completion at most; what ends it."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Prompts, the policy that training starts from, and what is right.

    Attributes:
        start: the policy.
        every: all completions, (m, t).
        worth: how good each is, (q, m), with a unit deviation under uniform draws.
        believed: what the verifier goes by, (q, m).
        right: whether each is truly right, (q, m).
        passed: whether the verifier says so, (q, m).
        place: number of a completion among all, by its tokens.
        hardness: share of a prompt's completions under the start that the verifier does not pass, (q,).
    """

    start: TabularPolicy
    every: Int[Tensor, "m t"]
    worth: Float[Tensor, "q m"]
    believed: Float[Tensor, "q m"]
    right: Bool[Tensor, "q m"]
    passed: Bool[Tensor, "q m"]
    place: Mapping[tuple[int, ...], int]
    hardness: Float[np.ndarray, " q"]

    @classmethod
    def made(cls, seed: int, budget: Mapping[str, Any]) -> Tables:
        """Tables from the seed.

        Args:
            seed: of all of them.
            budget: `prompts`; `share`, the chance of a right answer under the start, and of one that passes; `error`,
                the deviation of what the verifier gets wrong, in those of the worth.
        """
        generator = torch.Generator().manual_seed(seed)
        q, moves = int(budget["prompts"]), by_previous(LENGTH, TOKENS)
        logits = 0.5 * torch.randn(q, *moves.shape, generator=generator, dtype=torch.float64)
        logits[..., END] -= 1.0  # few completions end at once
        start = TabularPolicy(logits, moves, length=LENGTH, end=END)
        every, chance = start.every(), start.chances(start.every()).detach()
        worth = _worth(start, every, q, generator)
        believed = worth + float(budget["error"]) * _worth(start, every, q, generator)
        right, passed = (best_share(x, chance, float(budget["share"])) for x in (worth, believed))
        place = {tuple(row): k for k, row in enumerate(every.tolist())}
        return cls(start, every, worth, believed, right, passed, place, 1 - (chance * passed).sum(1).numpy())

    def at(self, drawn: Int[Tensor, "s t"]) -> Int[Tensor, " s"]:
        """Numbers of completions among all."""
        return torch.tensor([self.place[tuple(row)] for row in drawn.tolist()])

    @torch.no_grad()
    def measured(self, policy: TabularPolicy) -> dict[str, float]:
        """Chance of a right answer, of one that the verifier passes, and the distance from the start."""
        chance = policy.chances(self.every)
        return {
            "truth": float((chance * self.right).sum(1).mean()),
            "passed": float((chance * self.passed).sum(1).mean()),
            "kl": float(policy.kl(self.start).mean()),
        }


def _worth(start: TabularPolicy, every: Tensor, q: int, generator: torch.Generator) -> Float[Tensor, "q m"]:
    """A sum over tokens and neighbours, with a unit deviation under uniform draws of completions."""
    alone = torch.randn(q, LENGTH, TOKENS, generator=generator, dtype=torch.float64)
    beside = torch.randn(q, TOKENS, TOKENS, generator=generator, dtype=torch.float64)
    said = start.counted(every)
    total = (alone[:, torch.arange(LENGTH), every] * said).sum(-1)
    total += (beside[:, every[:, :-1], every[:, 1:]] * said[:, 1:]).sum(-1)
    return (total - total.mean(1, keepdim=True)) / total.std(1, keepdim=True)


def best_share(worth: Tensor, chance: Tensor, share: float) -> Bool[Tensor, "q m"]:
    """The completions of the highest worth that have so large a share of the start's."""
    order = worth.argsort(dim=1, descending=True)
    kept = chance.gather(1, order).cumsum(1) <= share
    return torch.zeros_like(kept).scatter(1, order, kept)


LEVELS = (0.25, 0.5, 1.0, 2.0)
"""Nats a completion from the start at which the truth is looked at."""


def at_levels(kl: Sequence[float], truth: Sequence[float], level: float) -> dict[str, float]:
    """What a run was worth at a KL, between looks along a straight line.

    Args:
        kl: nats from the start at each look, the start's 0 the first; a step back counts as none.
        truth: less the start's, at each look.
        level: nats.

    Returns:
        `truth_at_kl` at the level (where the run ended, if it stayed below), `truth_LEVEL` at those of `LEVELS` that
        were reached, `truth` and `kl` in the end.
    """
    away = np.maximum.accumulate(np.asarray(kl, dtype=np.float64))
    found = {
        "truth_at_kl": float(np.interp(level, away, truth)), "truth": float(truth[-1]), "kl": float(away[-1])
    }  # fmt: skip
    return found | {f"truth_{x:g}": float(np.interp(x, away, truth)) for x in LEVELS if x <= away[-1]}
