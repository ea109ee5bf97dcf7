"""A world of short programs with unit tests: `x` and a few operations on it, worked off from left to right.

What a task asks for follows from its features by a linear rule; whether a program does it is seen by running it, so
that several programs pass. A policy is linear in the features and knows the token before; it begins with a part of the
rule and of the grammar, and with errors of its own. How often it passes is summed over all programs, no estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from plaudit.lab.tabular import TabularPolicy, by_previous

SIGNS, NUMBERS = ("+", "-", "*", "/"), ("x", "1", "2")
TOKENS = (*SIGNS, *NUMBERS)
INPUTS = (0.0, 1.0, 2.0, 3.0, 5.0)
"""What a program is tried on; `/x` fails at 0."""
PASSED, WRONG, FAILED, MALFORMED = 1.0, -0.3, -0.6, -1.0
"""Rewards: all tests pass; one does not; one ends in an error; it does not compile."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Programs:
    """One instance.

    Attributes:
        start: logits (features, states, tokens) that a policy begins with.
        best: logits of a policy that knows the rule.
        train: (p, features).
        test: (m, features).
        every: int64 (k, length), all programs that compile.
        does: (k, inputs), what they give; NaN for an error.
        asked: int64 (p + m,), a program of each task that passes, train tasks first.
    """

    start: Float[Tensor, "f z v"]
    best: Float[Tensor, "f z v"]
    train: Float[Tensor, "p f"]
    test: Float[Tensor, "m f"]
    every: Int[Tensor, "k t"]
    does: Floats
    asked: Int[Tensor, " q"]

    @property
    def length(self) -> int:
        """Tokens of a program."""
        return self.every.shape[1]

    def policy(self, logits: Float[Tensor, "f z v"], features: Float[Tensor, "q f"]) -> TabularPolicy:
        """A policy on tasks with these features."""
        return TabularPolicy(logits, by_previous(self.length, len(TOKENS)), length=self.length, features=features)

    def passes(self, task: Int[Tensor, " n"]) -> Bool[np.ndarray, "n k"]:
        """Which programs pass all tests of a task."""
        wanted = self.does[self.asked[task].numpy()]
        return np.asarray(np.isclose(self.does[None], wanted[:, None]).all(axis=2))

    def rewards(self, task: Int[Tensor, " n"], tokens: Int[Tensor, "n t"]) -> Floats:
        """What each program earns at its task."""
        given, wanted = run(tokens), self.does[self.asked[task].numpy()]
        found = np.where(np.isclose(given, wanted).all(axis=1), PASSED, WRONG)
        found = np.where(np.isnan(given).any(axis=1), FAILED, found)
        return np.where(compiles(tokens), found, MALFORMED)

    @torch.no_grad()
    def passed(self, logits: Float[Tensor, "f z v"]) -> float:
        """pass@1 on test tasks, exact."""
        chance = self.policy(logits, self.test).chances(self.every).numpy()
        tasks = torch.arange(len(self.train), len(self.asked))
        return float((chance * self.passes(tasks)).sum(axis=1).mean())


def compiles(tokens: Int[Tensor, "n t"]) -> Bool[np.ndarray, " n"]:
    """Whether signs and numbers stand by turns."""
    number = tokens.numpy() >= len(SIGNS)
    return np.asarray((number == (np.arange(tokens.shape[1]) % 2 == 1)).all(axis=1))


def run(tokens: Int[Tensor, "n t"]) -> Floats:
    """What each program gives for `INPUTS`, (n, inputs); NaN for a division by zero, and where it does not compile."""
    x = np.array(INPUTS)
    values = np.stack([x, np.ones_like(x), np.full_like(x, 2.0)])
    said = tokens.numpy()
    now = np.broadcast_to(x, (len(said), len(x)))
    for sign, number in zip(said[:, ::2].T, said[:, 1::2].T, strict=True):
        by = values[np.clip(number - len(SIGNS), 0, None)]
        divided = np.divide(now, by, out=np.full_like(now, np.nan), where=by != 0)
        options = np.stack([now + by, now - by, now * by, divided])
        now = options[np.clip(sign, None, len(SIGNS) - 1), np.arange(len(said))]
    return np.where(compiles(tokens)[:, None], now, np.nan)


def programs(
    seed: int, *, tasks: int, test: int, operations: int, skill: float, errors: float, features: int = 8,
    grammar: float = 10.0,
) -> Programs:  # fmt: skip
    """An instance.

    Args:
        seed: of rule, tasks and start.
        tasks: to train on.
        test: to be asked at the end.
        operations: of a program.
        skill: how much of the rule is in the start.
        errors: deviation of what is in the start besides.
        features: of a task, the first of them 1.
        grammar: how much likelier a token of the right kind is at the start, in nats.
    """
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=(tasks + test, features))
    x[:, 0] = 1.0
    length, v = 2 * operations, len(TOKENS)
    rule = rng.normal(size=(features, length, v)) / np.sqrt(features)
    kinds = torch.cartesian_prod(
        *([torch.arange(len(SIGNS)), torch.arange(len(SIGNS), v)] * operations)
    ).reshape(-1, length)  # fmt: skip
    does = run(kinds)
    worth = np.einsum("qf,ftv->qtv", x, rule)[:, np.arange(length), kinds.numpy()].sum(axis=2)
    asked = np.where(np.isnan(does).any(axis=1), -np.inf, worth).argmax(axis=1)
    states = 1 + (length - 1) * v
    place = np.array([0, *(1 + (s - 1) // v for s in range(1, states))])
    wrong = (np.arange(v) >= len(SIGNS)) != (place[:, None] % 2 == 1)
    start = skill * rule[:, place] + errors * rng.normal(size=(features, states, v)) / np.sqrt(features)
    start[0] -= grammar * wrong
    best = 60 * rule[:, place]
    best[0] -= 200 * wrong
    shown = torch.from_numpy(x)
    return Programs(
        torch.from_numpy(start), torch.from_numpy(best), shown[:tasks], shown[tasks:], kinds, does,
        torch.from_numpy(asked),
    )  # fmt: skip
