"""A reward made of rewards, taken apart: what is scored once, and the shaping that a run hands on from step to step.

`Shaped`, and `Combined` with statistics somewhere inside, are the nodes of a tree; every other reward is a leaf. Leaves
are what costs something; nodes are formulas. A run scores the leaves, evaluates the tree, and goes on with the updated
tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.files import batch_from_cells, reward_cells
from plaudit.shaping.combine.combined import Combined
from plaudit.shaping.transforms.base import Bounds, Shaped, Transform, ValueTransform

PARTS = "parts"
"""Where the detail of `Parts` has what each leaf said."""
_INSIDE = ("of", "reward", "rewards", "comparison")
"""Attributes under which rewards hold other rewards."""


def leaves(reward: Reward) -> list[Reward]:
    """What is scored, in the order in which the tree is read."""
    if isinstance(reward, Shaped):
        return leaves(reward.of)
    if _is_node(reward):
        return [leaf for term in reward.terms for leaf in leaves(term.reward)]
    return [reward]


def transforms(reward: Reward) -> list[Transform]:
    """The transforms of the tree, the innermost of each branch first."""
    if isinstance(reward, Shaped):
        return [*transforms(reward.of), reward.by]
    if _is_node(reward):
        return [by for term in reward.terms for by in transforms(term.reward)]
    return []


def moves(by: Transform) -> bool:
    """Whether a transform's state may change with the batches that it sees."""
    return getattr(type(by), "updated", None) is not ValueTransform.updated


def _is_node(reward: object) -> TypeGuard[Combined]:
    """Whether the terms of a combination must be told apart: one of them has statistics of its own."""
    return isinstance(reward, Combined) and any(_moving(term.reward) for term in reward.terms)


def _moving(reward: object) -> bool:
    if isinstance(reward, Shaped):
        return moves(reward.by) or _moving(reward.of)
    return _is_node(reward)


def evaluated(reward: Reward, said: Iterator[RewardBatch], samples: Sequence[Sample]) -> RewardBatch:
    """What the whole says, given what its leaves said.

    Args:
        reward: the tree.
        said: a batch a leaf, in the order of `leaves`.
        samples: that were scored.
    """
    return updated(reward, said, samples)[1]


def updated(reward: Reward, said: Iterator[RewardBatch], samples: Sequence[Sample]) -> tuple[Reward, RewardBatch]:
    """The tree after a batch was seen, and what the tree that was given makes of the batch.

    Every transform is updated with what it shapes, and shapes it before that.

    Args:
        reward: the tree.
        said: a batch a leaf, in the order of `leaves`.
        samples: that were scored.
    """
    if isinstance(reward, Shaped):
        of, batch = updated(reward.of, said, samples)
        return Shaped(of, reward.by.updated(batch, samples)), reward.shape(batch, samples)
    if _is_node(reward):
        parts = [updated(term.reward, said, samples) for term in reward.terms]
        terms = tuple(replace(term, reward=of) for term, (of, _) in zip(reward.terms, parts, strict=True))
        return Combined(terms, reward.how), reward.combine([batch for _, batch in parts], samples)
    return reward, next(said)


def with_transforms(reward: Reward, given: Iterator[Transform]) -> Reward:
    """The tree with these transforms in place of its own, in the order of `transforms`."""
    if isinstance(reward, Shaped):
        return Shaped(with_transforms(reward.of, given), next(given))
    if _is_node(reward):
        terms = tuple(replace(term, reward=with_transforms(term.reward, given)) for term in reward.terms)
        return Combined(terms, reward.how)
    return reward


def check_handed_on(reward: object) -> None:
    """Refuses transforms whose statistics a run could not hand on from step to step.

    Args:
        reward: the tree, or a comparison.

    Raises:
        InputError: if a transform with statistics lies inside a reward that is no node, or one has no `state` and
            `restored`, without which a run could not go on after a stop.
    """
    found = transforms(reward) if isinstance(reward, Reward) else []
    for by in found:
        if not (callable(getattr(by, "state", None)) and callable(getattr(by, "restored", None))):
            raise InputError(
                f"align: transform {by.kind} has no state() and restored(state), with which a run goes on after a "
                "stop; give it both (an empty mapping and itself where it has none)"
            )
    for leaf in leaves(reward) if isinstance(reward, Reward) else [reward]:
        for inner in _held(leaf):
            if moving := [by.kind for by in transforms(inner) if moves(by)]:
                raise InputError(
                    f"align: shape/{moving[0]} inside {getattr(leaf, 'name', leaf)} keeps statistics, which a run "
                    "cannot hand on there; put it around the whole, or into a combine/..."
                )
            check_handed_on(inner)


def _held(reward: object) -> list[Any]:
    """Rewards that a leaf holds inside itself."""
    found: list[Any] = [term.reward for term in reward.terms] if isinstance(reward, Combined) else []
    for name in _INSIDE:
        inside = getattr(reward, name, None)
        for one in inside if isinstance(inside, list | tuple) else [inside]:
            if isinstance(one, Reward):
                found.append(one)
    return found


@final
class Parts:
    """The leaves of a tree as one reward, which says what the whole says and keeps what each leaf said.

    Its batch is that of the tree as it was given, with `detail["parts"]`: for each sample the cells of a scored file of
    every leaf, from which `said` makes the leaves' batches again, after a stop too.

    Args:
        whole: the tree.
    """

    def __init__(self, whole: Reward) -> None:
        self.whole, self.leaves = whole, leaves(whole)

    @property
    def name(self) -> str:
        """The whole's."""
        return self.whole.name

    @property
    def scope(self) -> Scope:
        """The whole's."""
        return self.whole.scope

    @property
    def bounds(self) -> Bounds:
        """The whole's."""
        return self.whole.bounds

    @property
    def fingerprint(self) -> str:
        """The whole's, marked: a log of it holds parts."""
        return content_hash(["parts", self.whole.fingerprint])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples with every leaf."""
        if not samples:
            return RewardBatch(np.zeros(0))
        batches = [leaf(samples) for leaf in self.leaves]
        batch = evaluated(self.whole, iter(batches), samples)
        detail = tuple({PARTS: [reward_cells(part, i) for part in batches]} for i in range(len(samples)))
        return replace(batch, detail=detail)

    def said(self, batch: RewardBatch) -> list[RewardBatch]:
        """What each leaf said of the samples of a batch; of one that was never scored, what became of the whole."""
        rows = [self._cells(batch, i) for i in range(len(batch))]
        return [batch_from_cells([row[k] for row in rows]) for k in range(len(self.leaves))]

    def _cells(self, batch: RewardBatch, i: int) -> Sequence[Mapping[str, Any]]:
        """A sample's cells of every leaf."""
        if batch.detail and PARTS in batch.detail[i]:
            return list(batch.detail[i][PARTS])
        outcome = Outcome(int(batch.outcome[i]))
        return [
            {"reward": leaf.bounds[0] if outcome.counts else None, "outcome": outcome.name.lower()}
            for leaf in self.leaves
        ]
