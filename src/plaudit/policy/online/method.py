"""What an online algorithm is made of, as values: advantages, a loss a token, denominators, and what is fitted beside.

Beside the policy an algorithm may fit a value function on its own states (`Critic`), or a model of rewards of single
tokens (`Process`), or of what each token has to do with the outcome (`Tokens`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from plaudit.errors import InputError, nearest
from plaudit.policy.losses.weights import How

if TYPE_CHECKING:
    from plaudit.policy.advantages.base import AdvantageEstimator
    from plaudit.policy.losses.surrogates import Surrogate

Weights = How | Literal["outcome"]
"""Denominators: those of `token_weights`, or `outcome`: right and wrong completions each by their own tokens."""
WEIGHTS: tuple[str, ...] = (*get_args(How), "outcome")


@dataclass(frozen=True, slots=True)
class Critic:
    """How a value function is fitted beside the policy: a linear head on the policy's own states.

    Raises:
        InputError: if a value is out of range.
    """

    value_coef: float = 0.1
    """Weight of the value's loss, above 0."""
    value_clip: float = 0.2
    """Units of the reward that a value may move in an update before its loss is cut; 0 for no limit."""
    value_rate: float = 10.0
    """Learning rate of the head, in units of the policy's, above 0."""
    trunk: bool = True
    """Whether the value's gradient goes on into the policy below the head."""

    def __post_init__(self) -> None:
        good = self.value_coef > 0 and self.value_clip >= 0 and self.value_rate > 0
        if not good or not math.isfinite(self.value_coef * self.value_rate):
            raise InputError(
                f"value function: value_coef is {self.value_coef}, value_clip {self.value_clip} and value_rate "
                f"{self.value_rate}; give a coefficient and a rate above 0, and a clip of at least 0"
            )


@dataclass(frozen=True, slots=True)
class Process:
    """How an implicit process reward model is fitted to outcomes beside the policy.

    Raises:
        InputError: if a value is out of range.
    """

    beta: float = 0.05
    """Reward units per nat in the cross-entropy, above 0."""
    process_rate: float = 1e-6
    """Learning rate of its AdamW, constant, above 0."""
    process_norm: float = 10.0
    """Its gradients are scaled down to this norm, above 0."""

    def __post_init__(self) -> None:
        for name in ("beta", "process_rate", "process_norm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"process rewards: {name} is {value}; give a number above 0")


@dataclass(frozen=True, slots=True)
class Tokens:
    """How OREAL's token reward model is fitted to outcomes beside the policy.

    Raises:
        InputError: if a value is out of range.
    """

    token_rate: float = 2e-6
    """Learning rate of its AdamW, constant, above 0."""
    token_norm: float = 1.0
    """Its gradients are scaled down to this norm, above 0."""
    token_first: int = 10
    """Batches at the beginning from which it learns alone, while the policy stays as it is; at least 0."""

    def __post_init__(self) -> None:
        for name in ("token_rate", "token_norm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"token rewards: {name} is {value}; give a number above 0")
        if not self.token_first >= 0:
            raise InputError(f"token rewards: token_first is {self.token_first}; give a number of at least 0")


@dataclass(frozen=True)
class Method:
    """What an online algorithm is made of.

    Attributes:
        estimator: from rewards to advantages.
        surrogate: from tokens, and what it `reads`, to a loss each.
        weights: the loss's denominators, see `token_weights`; `outcome` for those of OREAL.
        reads: what the surrogate takes besides by keyword, a number a token: `reward`, `correct` (1 or 0), `group` (the
            prompt's number), `ref_logp`, `importance` (of the token reward model).
        critic: the value function beside the policy; None for none.
        process: the model of token rewards beside it; None for none.
        tokens: the model of what tokens have to do with outcomes beside it; None for none.
        compress: text that closes the reasoning of a completion: the length that compression would leave
            (`kept_length`) is then told to the estimator; empty for none.
        name: as it was asked for; empty for one that the caller made.

    Raises:
        InputError: if the weights are not known, or need micro-batches.
    """

    estimator: AdvantageEstimator
    surrogate: Callable[..., Surrogate]
    weights: Weights = "token"
    reads: tuple[str, ...] = ()
    critic: Critic | None = None
    process: Process | None = None
    tokens: Tokens | None = None
    compress: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise InputError(f"weights {self.weights!r} is not known; {nearest(self.weights, WEIGHTS)}")
        if self.weights == "batch-token":
            raise InputError(
                "weights 'batch-token' depend on how a step is cut into micro-batches, and a run's do not; give "
                "'token', which they approximate"
            )

    @property
    def needs(self) -> frozenset[str]:
        """What must be known of a batch besides rewards, groups and lengths."""
        return self.estimator.needs | frozenset(self.reads)

    @property
    def compares(self) -> bool:
        """Whether it learns from a comparison of siblings, not from a reward."""
        return "compared" in self.estimator.needs

    @property
    def reward_counts(self) -> bool:
        """Whether it learns something else where the reward is another: else a KL that is taken from it is lost."""
        return bool(getattr(self.estimator, "reward_counts", True)) or "reward" in self.reads

    @property
    def siblings(self) -> bool:
        """Whether it compares the completions of a prompt, so that one alone teaches nothing."""
        return self.compares or bool(getattr(self.estimator, "siblings", False))

    @property
    def title(self) -> str:
        """The name that it was asked for by, else the names of its parts."""
        if self.name:
            return self.name
        inner: Any = getattr(self.surrogate, "func", self.surrogate)
        loss = getattr(inner, "__name__", type(inner).__name__)
        return f"{type(self.estimator).__name__} with {loss}, {self.weights}"
