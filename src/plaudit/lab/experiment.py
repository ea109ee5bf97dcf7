"""What an experiment is: a module with `run_instance`, and a `claim.yaml` beside it.

An experiment that needs reward models is handed a `Fit`; it never builds a trainer of its own, so the code
that trains in the lab is the code that trains elsewhere, and tests can hand in something small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plaudit.lab.claim import Claim
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample

Scorer = Callable[[Sequence[Sample]], NDArray[np.float64]]
"""Scores of samples, (n,), higher is better."""


class Fit(Protocol):
    """Fits a reward model to preference rows."""

    def __call__(self, pairs: Sequence[Pair], *, seed: int, size: str) -> Scorer:
        """Fits from scratch.

        Args:
            pairs: training rows; a row that stands there twice counts twice.
            seed: of initialisation and order.
            size: `small`, `medium` or `large`, as the world's policies.

        Returns:
            The fitted scorer.
        """
        ...


class RunInstance(Protocol):
    """The body of an experiment."""

    def __call__(self, seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
        """Runs one arm on one instance.

        Args:
            seed: of the instance; arms are paired on everything that it determines.
            arm: one of the claim's.
            budget: the claim's table for the full or the smoke run.
            fit: fits reward models.

        Returns:
            Numbers by name, the claim's primary metric among them.
        """
        ...


@dataclass(frozen=True)
class Experiment:
    """A claim and the code that tests it.

    Attributes:
        claim: as committed.
        run_instance: the module's function.
    """

    claim: Claim
    run_instance: RunInstance
