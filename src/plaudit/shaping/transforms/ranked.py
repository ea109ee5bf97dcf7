"""Transforms of what is scored together: rank within the group, whitening over the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats, Scope
from plaudit.shaping.groups.codes import Grouped, Groups, Labels
from plaudit.shaping.transforms.base import Bounds, ValueTransform
from plaudit.shaping.transforms.references import key_of


def group_ranks(reward: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
    """`(rank - 1/2) / n` within the group, in (0, 1): ties share their mean rank, a reward by itself is 1/2.

    Nothing but the order counts, so an outlier is worth no more than being first. It is the win rate of a comparison
    that the reward decides, each completion compared with itself too, as a tie.

    Args:
        reward: (n,), NaN where there is none: such members leave the count as well.
        groups: a label a sample.
    """
    r = Grouped.of("rank", reward, groups)
    share: Floats = r.rank - 0.5
    share /= r.groups.mates if r.missing is None else np.maximum(r.n, 1)[r.groups.code]
    return share


def whitened(
    reward: ArrayLike, *, center: bool = True, epsilon: float = 1e-8, limit: float = math.inf
) -> Float[np.ndarray, " n"]:
    """`(r - mean) / sqrt(variance + epsilon)` over the batch; `center=False` adds the mean back, as PPO's code does.

    Args:
        reward: (n,), NaN where there is none.
        center: whether the result has mean 0; verl's flag `shift_mean` is the same one.
        epsilon: added to the variance (over n - 1), in squared units of the reward.
        limit: deviations beyond which a reward is kept, before a mean is added back.

    Returns:
        0 (or the mean) everywhere where fewer than two rewards count or all are equal.

    Raises:
        InputError: if epsilon is negative.

    Source: Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences" (released code).
    """
    if not 0 <= epsilon < math.inf:
        raise InputError(f"whiten: epsilon is {epsilon}; give a number of squared reward units, at least 0")
    r = Grouped.of("whiten", reward, np.zeros(np.size(reward), dtype=np.int64))
    if not r.n.any():
        return r.value
    scale = math.sqrt(float(np.nan_to_num(r.std(ddof=1)[0])) ** 2 + epsilon)
    white = r.centred / scale if scale > 0 else 0.0 * r.centred
    kept = white.clip(-limit, limit)
    return np.asarray(kept if center else kept + r.mean[0])


@final
@dataclass(frozen=True)
class Rank(ValueTransform):
    """The rank within its group, in (0, 1); see `group_ranks`."""

    kind: ClassVar[str] = "rank"
    scope: ClassVar[Scope] = "group"

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """See `group_ranks`; samples without `group` are grouped by their prompt."""
        return group_ranks(reward, groups_of(samples))

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """From 0 to 1."""
        return 0.0, 1.0


@final
@dataclass(frozen=True)
class Whiten(ValueTransform):
    """Mean 0 and deviation 1 over the batch; see `whitened`."""

    center: bool = True
    """False adds the mean back."""
    epsilon: float = 1e-8
    """Added to the variance."""
    limit: float = 10.0
    """Deviations to either side beyond which rewards are kept, so that there is a floor."""

    kind: ClassVar[str] = "whiten"
    scope: ClassVar[Scope] = "batch"

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < math.inf or not 0 < self.limit < math.inf:
            raise InputError(
                f"whiten: epsilon is {self.epsilon} and limit {self.limit}; give epsilon >= 0 and a finite limit > 0"
            )

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `whitened`."""
        return np.asarray(whitened(reward, center=self.center, epsilon=self.epsilon, limit=self.limit))

    def limits(self, bounds: Bounds) -> Bounds:
        """Plus and minus the limit; about a mean within the bounds, where it is added back."""
        low, high = (0.0, 0.0) if self.center else bounds
        return low - self.limit, high + self.limit


def groups_of(samples: Sequence[Sample]) -> Groups:
    """The group of each sample: its `group`, or else all samples of its prompt."""
    bare = {id(s.prompt): s.prompt for s in samples if s.group is None}  # one prompt stands in many samples
    keys = {i: key_of(prompt) for i, prompt in bare.items()}  # tool calls and images in a prompt cannot be hashed
    return Groups.of([("group", s.group) if s.group is not None else ("prompt", keys[id(s.prompt)]) for s in samples])
