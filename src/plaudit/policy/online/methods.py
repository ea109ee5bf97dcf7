"""What an online algorithm is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from plaudit.policy.advantages.base import AdvantageEstimator
from plaudit.policy.losses.surrogates import Surrogate
from plaudit.policy.losses.tokens import TokenBatch
from plaudit.policy.losses.weights import How


@dataclass(frozen=True)
class Method:
    """An online algorithm.

    Attributes:
        estimator: from rewards to advantages.
        surrogate: from tokens to a loss each.
        weights: the loss's denominators, see `token_weights`.
    """

    estimator: AdvantageEstimator
    surrogate: Callable[[TokenBatch], Surrogate]
    weights: How = "token"
