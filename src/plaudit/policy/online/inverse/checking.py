"""What is refused before a reward is learnt from demonstrations."""

from __future__ import annotations

from plaudit.errors import InputError
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.inverse.config import InverseConfig
from plaudit.policy.online.methods import online
from plaudit.training.config import FitConfig
from plaudit.training.methods import chosen


def check_learning(config: InverseConfig, policy: OnlineConfig, fit: FitConfig) -> None:
    """Refuses what cannot be put together.

    Args:
        config: the rounds.
        policy: how the policy is improved.
        fit: how rewards are fitted.

    Raises:
        InputError: in one line.
    """
    method = online(policy.algorithm)[1]
    if method.compares or method.process is not None or "correct" in method.needs:
        raise InputError(f"irl: {method.title} does not learn from a reward alone; give an algorithm such as grpo-s")
    if policy.reference:
        raise InputError("irl: the policy's config sets a reference, which the rounds do; leave it out")
    objective = chosen(fit.objective).method
    if objective.item != "pair" or objective.head or objective.model != "classifier" or objective.columns or fit.freeze:
        raise InputError(
            f"irl: a reward is learnt from pairs by a head with one output, and the fit is "
            f"{'frozen' if fit.freeze else fit.objective}; give demonstration-gap or bradley-terry"
        )
    if config.warm and fit.head_depth > 1:
        raise InputError("irl: a head of several layers begins anew in each fit; give head_depth 1, or warm: false")


__all__ = ["check_learning"]
