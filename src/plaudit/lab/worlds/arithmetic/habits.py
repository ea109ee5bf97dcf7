"""How the demonstrations err: what a starting policy learns beside arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.problems import LARGEST, Problem

BUDGET = 64
"""Tokens of a completion, the end included: six steps of at most eight tokens, the answer, and room to hesitate."""


@dataclass(frozen=True, slots=True)
class Habits:
    """Shares of what goes wrong in demonstrations."""

    slips: float = 0.2
    """Of steps, whose result is off."""
    lucky: float = 0.0
    """Of solutions with a slip, in which a later slip makes the answer right again."""
    loops: float = 0.04
    """Of demonstrations that hesitate until the token budget ends, from a random step on."""

    def __post_init__(self) -> None:
        for name in ("slips", "lucky", "loops"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"arithmetic: {name} is {getattr(self, name)}; give a share, between 0 and 1")


def demonstrations(problems: Sequence[Problem], habits: Habits, *, seed: int) -> list[str]:
    """A solution of each problem; one that loops never ends, and is cut where the budget ends.

    Args:
        problems: what is solved.
        habits: how.
        seed: of what goes wrong where.
    """
    rng = np.random.default_rng([seed, 12])
    return [_solution(problem, habits, rng) for problem in problems]


def ends(text: str) -> bool:
    """Whether a demonstration says that it has ended."""
    return not text.endswith("hmm ")


def _solution(problem: Problem, habits: Habits, rng: np.random.Generator) -> str:
    value, lines, off = problem.first, [], False
    stop = int(rng.integers(0, len(problem.operations) + 1)) if rng.random() < habits.loops else None
    for i, (sign, number) in enumerate(problem.operations):
        if i == stop:
            break
        exact = {"+": value + number, "-": value - number, "*": value * number}[sign]
        claimed, off = _claimed(problem.values[i], exact, off, habits, rng)
        lines.append(f"{value}{sign}{number}={claimed}\n")
        value = claimed
    if stop is not None:
        return "".join(lines) + "hmm " * BUDGET
    return "".join(lines) + f"#### {value}"


def _claimed(true: int, exact: int, off: bool, habits: Habits, rng: np.random.Generator) -> tuple[int, bool]:
    """What a step claims, and whether the value is off from here on."""
    if off and rng.random() < habits.lucky:
        return true, False
    if rng.random() >= habits.slips:
        return max(0, exact), off
    wrong = exact + int(rng.choice([-10, -2, -1, 1, 2, 10]))
    return int(np.clip(wrong, 0, LARGEST)), True
