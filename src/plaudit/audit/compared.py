"""A comparison that is asked about no two completions twice in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np

from plaudit.audit.scored import CHUNK
from plaudit.errors import ShapeError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Comparison, PreferenceBatch
from plaudit.rewards.files import preference_cells, preferences_from_cells
from plaudit.rewards.scoring import KEPT
from plaudit.runs.log import DurableLog


@final
class ComparedOnce:
    """A comparison again: of another one, whose answers are kept by the content of the two samples in their order.

    Args:
        of: the comparison.
        log: a durable log under its fingerprint, from which answers are taken and to which new ones go; a time-out or
            a fault of the instrument is not logged and is asked again by the next run.
    """

    def __init__(self, of: Comparison, *, log: DurableLog | None = None) -> None:
        self.of, self.log = of, log
        self.calls = 0
        """Comparisons that were asked for, equal ones once."""
        self._known: dict[str, dict[str, Any]] = {}

    @classmethod
    def wrap(cls, comparison: Comparison) -> Self:
        """The comparison itself where it is one of these already, so that checks share what was asked."""
        return comparison if isinstance(comparison, cls) else cls(comparison)

    @property
    def name(self) -> str:
        """The comparison's."""
        return self.of.name

    @property
    def fingerprint(self) -> str:
        """The comparison's."""
        return self.of.fingerprint

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Preferences in the order of the pairs; what is not known yet is asked for.

        Raises:
            ShapeError: if the comparison gives another number of preferences than there are pairs.
        """
        if not first:
            return PreferenceBatch(np.zeros(0), np.zeros(0, dtype=np.int8))
        keys = [content_hash([_own(a), _own(b)]) for a, b in zip(first, second, strict=True)]
        todo: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in self._known and self.log is not None and key in self.log:
                self._known[key] = self.log[key]
            if key not in self._known:
                todo.setdefault(key, i)
        at = list(todo.values())
        size = CHUNK if self.log is not None else max(len(at), 1)  # with a log a kill costs one piece
        for start in range(0, len(at), size):
            self._ask([(keys[i], first[i], second[i]) for i in at[start : start + size]])
        return preferences_from_cells([self._known[key] for key in keys])

    def _ask(self, pairs: Sequence[tuple[str, Sample, Sample]]) -> None:
        batch = self.of([a for _, a, _ in pairs], [b for _, _, b in pairs])
        if len(batch.probability) != len(pairs):
            raise ShapeError(
                f"{self.name}: gave {len(batch.probability)} preferences for {len(pairs)} pairs; it must give one each"
            )
        self.calls += len(pairs)
        kept: dict[str, dict[str, Any]] = {}
        for k, (key, _, _) in enumerate(pairs):
            self._known[key] = cells = preference_cells(batch, k)
            if batch.outcome[k] in KEPT:
                kept[key] = cells
        if self.log is not None:
            self.log.put_together(kept)
            self.log.flush()


def _own(sample: Sample) -> str:
    return content_hash([sample.key, dict(sample.meta)]) if sample.meta else sample.key
