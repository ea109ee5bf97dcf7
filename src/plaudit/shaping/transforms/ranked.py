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


def group_ranks(reward: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
    """`(rank - 1/2) / n` within the group, in (0, 1): ties share their mean rank, a reward by itself is 1/2.

    Nothing but the order counts, so an outlier is worth no more than being first. It is the win rate of a comparison
    that the reward decides, each completion compared with itself too, as a tie.

    Args:
        reward: (n,), NaN where there is none: such members leave the count as well.
        groups: a label a sample.
    """
    r = Grouped.of("rank", reward, groups)
    return np.asarray((r.rank - 0.5) / np.maximum(r.n, 1)[r.groups.code])


def whitened(reward: ArrayLike, *, center: bool = True, epsilon: float = 1e-8) -> Float[np.ndarray, " n"]:
    """`(r - mean) / sqrt(variance + epsilon)` over the batch; `center=False` adds the mean back, as PPO's code does.

    Args:
        reward: (n,), NaN where there is none.
        center: whether the result has mean 0; verl's flag `shift_mean` is the same one.
        epsilon: added to the variance (over n - 1), in squared units of the reward.

    Returns:
        0 (or the mean) everywhere where fewer than two rewards count or all are equal.

    Raises:
        InputError: if epsilon is negative.

    Source: Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences" (released code).
    """
    if not epsilon >= 0:
        raise InputError(f"whiten: epsilon is {epsilon}; give a number of squared reward units, at least 0")
    r = Grouped.of("whiten", reward, np.zeros(np.size(reward), dtype=np.int64))
    if not r.n.any():
        return r.value
    scale = math.sqrt(float(np.nan_to_num(r.std(ddof=1)[0])) ** 2 + epsilon)
    white = r.centred / scale if scale > 0 else 0.0 * r.centred
    return np.asarray(white if center else white + r.mean[0])


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
    """Shaped rewards are kept within plus and minus this, so that there is a floor."""

    kind: ClassVar[str] = "whiten"
    scope: ClassVar[Scope] = "batch"

    def __post_init__(self) -> None:
        if not self.epsilon >= 0 or not 0 < self.limit < math.inf:
            raise InputError(
                f"whiten: epsilon is {self.epsilon} and limit {self.limit}; give epsilon >= 0 and a finite limit > 0"
            )

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `whitened`."""
        return whitened(reward, center=self.center, epsilon=self.epsilon).clip(-self.limit, self.limit)

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """Plus and minus the limit."""
        return -self.limit, self.limit


def groups_of(samples: Sequence[Sample]) -> Groups:
    """The group of each sample: its `group`, or else all samples of its prompt."""
    return Groups.of([s.group if s.group is not None else s.prompt for s in samples])
