"""Problems: a first number and two to six operations, read from left to right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.counts import check_counts

LARGEST = 99
"""No intermediate value exceeds it, and none is below 0: two digits a number."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A sum such as `3*4+8-5`.

    A product can only come first, so that reading from left to right is also what the written expression means.

    Attributes:
        first: the first number.
        operations: signs and numbers, in order.
    """

    first: int
    operations: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The prompt."""
        return str(self.first) + "".join(f"{sign}{number}" for sign, number in self.operations)

    @property
    def values(self) -> tuple[int, ...]:
        """The value after each operation."""
        found, value = [], self.first
        for sign, number in self.operations:
            value = {"+": value + number, "-": value - number, "*": value * number}[sign]
            found.append(value)
        return tuple(found)

    @property
    def answer(self) -> int:
        """The exact answer."""
        return self.values[-1]

    @property
    def carries(self) -> int:
        """Operations of the sum that need a carry or a borrow."""
        before = (self.first, *self.values[:-1])
        return sum(_carries(v, sign, n) for v, (sign, n) in zip(before, self.operations, strict=True))


def draw_problems(
    n: int, *, seed: int, depth: tuple[int, int] = (2, 4), carries: float | None = None, side: str = "train"
) -> list[Problem]:
    """Distinct problems; none is on both sides.

    Args:
        n: how many.
        seed: of the draw.
        depth: fewest and most operations.
        carries: share of the additions and subtractions that need a carry or borrow; None as they come.
        side: `train` or `test`: a problem belongs to the side that its text's hash says.

    Raises:
        InputError: if n is negative, the depth or share out of range, or so many cannot be found.
    """
    check_counts("arithmetic", n=n)
    low, high = depth
    if not 1 <= low <= high <= 6:
        raise InputError(f"arithmetic: depth is {depth}; give 1 <= fewest <= most <= 6 operations")
    if carries is not None and not 0 <= carries <= 1:
        raise InputError(f"arithmetic: carries is {carries}; give a share")
    rng = np.random.default_rng([seed, 11])
    found: dict[str, Problem] = {}
    for _ in range(100 * n + 1000):
        if len(found) == n:
            return list(found.values())
        problem = _drawn(rng, int(rng.integers(low, high + 1)), carries)
        if side_of(problem.text) == side:
            found.setdefault(problem.text, problem)
    raise InputError(f"arithmetic: {n} distinct problems of depth {depth} were not found; ask for fewer")


def side_of(text: str) -> str:
    """`train` for three texts in four, else `test`; the same in every instance."""
    value = 0
    for character in text.encode():
        value = (value * 257 + character) % 1_000_003
    return "test" if value % 4 == 0 else "train"


def _drawn(rng: np.random.Generator, depth: int, carries: float | None) -> Problem:
    if rng.random() < 0.25:
        first, number = (int(x) for x in rng.integers(2, 10, 2))
        operations, value = [("*", number)], first * number
    else:
        first, operations = int(rng.integers(1, 50)), []
        value = first
    while len(operations) < depth:
        want = None if carries is None else bool(rng.random() < carries)
        sign, number = _operation(rng, value, want)
        operations.append((sign, number))
        value += number if sign == "+" else -number
    return Problem(first, tuple(operations))


def _operation(rng: np.random.Generator, value: int, carry: bool | None) -> tuple[str, int]:
    """An addition or subtraction that stays within bounds and carries as wanted, where any does."""
    options = [(s, n) for s in "+-" for n in range(1, 10) if 0 <= (value + n if s == "+" else value - n) <= LARGEST]
    wanted = options if carry is None else [o for o in options if _carries(value, *o) == carry] or options
    sign, number = wanted[int(rng.integers(len(wanted)))]
    return sign, number


def _carries(value: int, sign: str, number: int) -> bool:
    if sign == "*":
        return False
    return value % 10 + number > 9 if sign == "+" else value % 10 < number % 10
