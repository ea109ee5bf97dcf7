"""The online algorithms' experiment, from a start that hardly ever sees a reward."""

from plaudit.lab.experiments.policy.online_algorithms.experiment import run_instance

__all__ = ["run_instance"]
