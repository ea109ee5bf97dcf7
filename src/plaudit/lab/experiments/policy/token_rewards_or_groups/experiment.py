"""Long chains of which a few tokens decide, as in `policy/token_rewards`, on instances of their own."""

from __future__ import annotations

from plaudit.lab.experiments.policy.token_rewards.experiment import run_instance

__all__ = ["run_instance"]
