"""Calibrators by name."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from numpy.typing import ArrayLike

from plaudit._lazy import attribute
from plaudit.errors import InputError, nearest
from plaudit.rewards.calibrators.base import Calibrator

METHODS = {
    "temperature": "temperature:Temperature",
    "platt": "platt:Platt",
    "isotonic": "isotonic:Isotonic",
    "venn-abers": "venn_abers:VennAbers",
    "conformal": "conformal:Conformal",
}
"""Name to `module:class`, in the order of how much they assume."""


def calibrator_type(method: str) -> type[Calibrator]:
    """The class of a name.

    Raises:
        InputError: if the name is not known.
    """
    if method not in METHODS:
        raise InputError(f"calibration: method {method!r} is not known; {nearest(method, METHODS)}")
    found: type[Calibrator] = attribute(f"plaudit.rewards.calibrators.{METHODS[method]}")
    return found


def fit_calibrator(
    method: str, margin: ArrayLike, label: ArrayLike | None = None, *, level: float = 0.9,
    prompts: Sequence[Hashable] | None = None,
) -> Calibrator:  # fmt: skip
    """A calibrator of a name, fitted; see `Calibrator.fit`.

    Args:
        method: one of `METHODS`.
        margin: (n,) in the reward's own log-odds.
        label: (n,) or None: the first is better everywhere.
        level: coverage that conformal sets promise.
        prompts: (n,) whose pair each is: conformal sets count prompts; by default no two are of one prompt.
    """
    if method == "conformal":
        from plaudit.rewards.calibrators.conformal import Conformal

        return Conformal.fit(margin, label, level=level, prompts=prompts)
    return calibrator_type(method).fit(margin, label)
