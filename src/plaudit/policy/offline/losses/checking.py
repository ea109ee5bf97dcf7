"""What the losses of direct alignment refuse, each in one line."""

from __future__ import annotations

from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number


def check_sides(who: str, **sides: Tensor) -> None:
    """Refuses columns that are not all (m,) for one m.

    Raises:
        ShapeError: naming the first that differs.
    """
    (first, one), *others = sides.items()
    for name, other in [(first, one), *others]:
        if other.ndim != 1 or other.shape != one.shape:
            raise ShapeError(
                f"{who}: {name} has shape {tuple(other.shape)} and {first} {tuple(one.shape)}; both must be (m,)"
            )


def check_beta(who: str, beta: float) -> None:
    """Refuses a steepness that is not positive.

    Raises:
        InputError: naming it.
    """
    check_number(who, "beta", beta, low=0.0, within="(]")
