"""Scoring many samples so that none is paid for twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, Reward, RewardBatch
from plaudit.rewards.files import batch_from_cells, reward_cells
from plaudit.runs.log import DurableLog
from plaudit.runs.progress import Progress

CHUNK = 256
"""Samples between two writes of the log: what a kill can cost."""

KEPT = (Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.ABSTAINED)
"""Outcomes that are a result and go into the log; a fault of the machine's is tried again by the next run."""


def score_samples(
    reward: Reward, samples: Sequence[Sample], *, log: str | Path | None = None, chunk: int = CHUNK,
    progress: Callable[..., Progress] = Progress, label: str = "scoring",
) -> RewardBatch:  # fmt: skip
    """Rewards of samples in their order; those that the log holds are read, the others scored and logged.

    A time-out or a fault of the instrument is returned but not logged: the next run tries those samples again.

    Samples that belong together (`scope` of the reward) are never divided between calls: samples of a group follow
    one another in a chunk, and a batch reward gets everything at once, unlogged.

    Args:
        reward: any reward.
        samples: what to score; equal ones are scored once.
        log: path of a durable log, keyed by sample (for a group reward with its whole group) and fingerprint; None for
            none.
        chunk: samples a call at least; a group is not divided.
        progress: makes the display.
        label: what the display says.

    Raises:
        ShapeError: if the reward gives another number of rewards than there are samples.
        InputError: if a log is asked for with a reward whose scope is the whole batch.
    """
    if reward.scope == "batch":
        if log is not None:
            raise InputError(f"{reward.name}: scores the whole batch together; its rewards cannot be logged one by one")
        return reward(samples)
    keys = _keys(samples, reward)
    found: dict[str, dict[str, Any]] = {}
    with _opened(log, reward) as store, progress(label, total=len(samples)) as display:
        todo = _pending(samples, keys, store, whole=reward.scope == "group")
        display.advance(len(samples) - sum(len(t) for t in todo))
        for part in _chunks(todo, chunk):
            batch = reward([samples[i] for i in part])
            if len(batch) != len(part):
                raise ShapeError(
                    f"{reward.name}: gave {len(batch)} rewards for {len(part)} samples; it must give one each"
                )
            kept: dict[str, dict[str, Any]] = {}
            for k, i in enumerate(part):
                if store is not None and batch.outcome[k] in KEPT:
                    if keys[i] not in store:
                        kept[keys[i]] = reward_cells(batch, k)
                else:
                    found[keys[i]] = reward_cells(batch, k)
            if store is not None:
                store.put_together(kept)
                store.flush()
            display.advance(len(part))
        return batch_from_cells([found[k] if store is None or k not in store else store[k] for k in keys])


def _pending(
    samples: Sequence[Sample], keys: Sequence[str], store: DurableLog | None, *, whole: bool
) -> list[list[int]]:
    """Indices to score, those of one prompt together, equal samples once (unless a group reward must see both).

    A group of which the log lacks a member is run whole: members are truncated alike, so the missing one's reward may
    depend on the others' lengths; what was logged stays as it was.
    """
    groups: dict[str, list[int]] = {}
    first: dict[str, int] = {}
    for i, (sample, key) in enumerate(zip(samples, keys, strict=True)):
        if first.setdefault(key, i) == i or whole:
            groups.setdefault(_unit(sample), []).append(i)
    if store is None:
        return list(groups.values())
    return [group for group in groups.values() if any(keys[i] not in store for i in group)]


def _chunks(groups: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    chunks: list[list[int]] = []
    for group in groups:
        if not chunks or len(chunks[-1]) >= size:
            chunks.append([])
        chunks[-1].extend(group)
    return chunks


def _keys(samples: Sequence[Sample], reward: Reward) -> list[str]:
    """What each sample's reward is filed under: all that it may depend on.

    `meta` belongs to it: tools and options of the template stand there, and whatever a function of the user's reads.
    """
    own = [content_hash([s.key, dict(s.meta)]) if s.meta else s.key for s in samples]
    if reward.scope == "sample":
        return own
    members: dict[str, list[str]] = {}
    for sample, key in zip(samples, own, strict=True):
        members.setdefault(_unit(sample), []).append(key)
    group = {unit: content_hash(sorted(keys)) for unit, keys in members.items()}
    return [f"{group[_unit(s)]}:{key}" for s, key in zip(samples, own, strict=True)]


def _unit(sample: Sample) -> str:
    return sample.group or repr([m.to_dict() for m in sample.prompt])


class _opened:
    """A log, or nothing, as a context."""

    def __init__(self, path: str | Path | None, reward: Reward) -> None:
        self.log = None if path is None else DurableLog(path, fingerprint=reward.fingerprint)

    def __enter__(self) -> DurableLog | None:
        return self.log

    def __exit__(self, *_: object) -> None:
        if self.log is not None:
            self.log.close()
