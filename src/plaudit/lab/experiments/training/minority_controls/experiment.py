"""Controls of the mixture and of directions in `training/rotated_minority`, on instances of their own."""

from __future__ import annotations

from plaudit.lab.experiments.training.rotated_minority.experiment import run_instance

__all__ = ["run_instance"]
