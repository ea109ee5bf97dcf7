"""Picking one candidate a group by its reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from plaudit.errors import ShapeError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch


@dataclass(frozen=True, slots=True)
class Selection:
    """The candidates that were picked.

    Attributes:
        indices: position of the sample picked in each answered group, in order of first appearance.
        groups: the answered groups, same order.
        unanswered: groups none of whose members has a valid reward: nothing was picked for them.
        tied: groups whose highest reward several different candidates share.
    """

    indices: Int[np.ndarray, " G"]
    groups: tuple[str, ...]
    unanswered: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)


def group_of(sample: Sample) -> str:
    """The sample's group; where it names none, samples with the same prompt are a group."""
    if sample.group is not None:
        return sample.group
    return content_hash([m.to_dict() for m in sample.prompt])


def select_best(samples: Sequence[Sample], batch: RewardBatch) -> Selection:
    """The sample with the highest valid reward in each group.

    Ties go to the smallest content hash: which candidate wins depends neither on the order of the file (which
    may be by length, or put a model's own answer first) nor on a seed. A group without a valid member is
    reported as unanswered; nothing is made up for it.

    Args:
        samples: candidates; the same `group` (or, without one, the same prompt) competes.
        batch: their rewards, same order.

    Raises:
        ShapeError: if there is not one reward a sample.
    """
    if len(samples) != len(batch):
        raise ShapeError(f"select_best: {len(samples)} samples and {len(batch)} rewards; give one reward a sample")
    members: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        members.setdefault(group_of(sample), []).append(i)
    picked: dict[str, int] = {}
    unanswered: list[str] = []
    tied: list[str] = []
    for group, rows in members.items():
        valid = [i for i in rows if batch.valid[i]]
        if not valid:
            unanswered.append(group)
            continue
        top = max(batch.reward[i] for i in valid)
        best = [i for i in valid if batch.reward[i] == top]
        picked[group] = min(best, key=lambda i: (samples[i].key, i)) if len(best) > 1 else best[0]
        if len({samples[i].key for i in best}) > 1:
            tied.append(group)
    return Selection(np.array(list(picked.values()), dtype=np.int64), tuple(picked), tuple(unanswered), tuple(tied))
