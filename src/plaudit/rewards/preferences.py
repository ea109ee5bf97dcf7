"""Preference models: a fitted model that compares two completions of a prompt, and need not be transitive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.sample import Sample, completion_messages, content_hash
from plaudit.rewards.base import Outcome, PreferenceBatch
from plaudit.rewards.calibrators.stored import Calibration
from plaudit.rewards.comparisons.calibrated import calibrated_preferences
from plaudit.rewards.models import ModelReward

ANOTHER = "Give another answer."
"""What stands between two completions that a joint model reads in one conversation."""


@final
@dataclass(frozen=True)
class PreferenceModel:
    """A model folder whose head compares: an embedding each [98], or both completions read together.

    With embeddings each different sample is run once, however often it is compared; a joint model runs every pair in
    both orders, which is the quadratic cost that embeddings avoid.

    Attributes:
        core: the model; its scores are never asked for.

    Raises:
        InputError: from the call, if the two sides differ in number or a pair has different prompts.
    """

    core: ModelReward

    @property
    def name(self) -> str:
        """The model's."""
        return self.core.name

    @property
    def manifest(self) -> Any:
        """The model's."""
        return self.core.manifest

    @property
    def calibration(self) -> Calibration | None:
        """What `plaudit calibrate` stored with the model: its probabilities go through it."""
        return self.core.calibration

    @property
    def fingerprint(self) -> str:
        """The model's, with that of its calibration where it has one."""
        if self.calibration is None:
            return self.core.fingerprint
        return content_hash([self.core.fingerprint, self.calibration.fingerprint])

    def save(self, folder: str | Path) -> None:
        """As `ModelReward.save`."""
        self.core.save(folder)

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Probabilities that the first of each pair is better; an instrument fault where one is not finite."""
        check_sides(self.name, first, second)
        if not first:
            return PreferenceBatch(np.zeros(0), np.zeros(0, dtype=np.int8))
        a, b = self._joint(first, second) if self.core.head.kind == "joint" else self._embedded(first, second)
        logits, std = self.core.head.log_odds(a, b), self.core.head.deviation(a, b)
        finite = np.isfinite(logits)
        outcome = np.where(finite, Outcome.SCORED, Outcome.INSTRUMENT_FAULT).astype(np.int8)
        detail = tuple(
            {"log_odds": float(z)} if ok else {"error": f"log-odds are {z}: the model's activations overflowed"}
            for z, ok in zip(logits, finite, strict=True)
        )
        stated, std = np.where(finite, logits, np.nan), None if std is None else np.where(finite, std, np.nan)
        if self.calibration is not None:
            return calibrated_preferences(self.calibration.calibrator, stated, outcome, detail, std=std)
        return PreferenceBatch(1 / (1 + np.exp(-np.clip(stated, -700, 700))), outcome, std=std, detail=detail)

    def _embedded(self, first: Sequence[Sample], second: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        objects = {id(s): s for s in (*first, *second)}  # one object may stand in many pairs, and a key is costly
        places: dict[str, int] = {}
        at = {i: places.setdefault(s.key, len(places)) for i, s in objects.items()}
        different = {place: objects[i] for i, place in at.items()}
        outputs, _ = self.core.outputs([different[place] for place in range(len(places))])
        return outputs[[at[id(s)] for s in first]], outputs[[at[id(s)] for s in second]]

    def _joint(self, first: Sequence[Sample], second: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        pairs = list(zip(first, second, strict=True))
        outputs, _ = self.core.outputs([shown(*order) for a, b in pairs for order in ((a, b), (b, a))])
        return outputs[0::2], outputs[1::2]


def shown(first: Sample, second: Sample) -> Sample:
    """Both completions in one conversation, a request for another answer between them."""
    both = (*completion_messages(first.completion), Message("user", ANOTHER), *completion_messages(second.completion))
    return Sample(first.prompt, both, meta=first.meta)


def check_sides(name: str, first: Sequence[Sample], second: Sequence[Sample]) -> None:
    """Refuses sides that differ in number, and pairs that answer two prompts, with an `InputError`."""
    if len(first) != len(second):
        raise InputError(f"{name}: {len(first)} samples on one side and {len(second)} on the other; give pairs")
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        if a.prompt != b.prompt:
            raise InputError(f"{name}: pair {i} answers two prompts; only completions of one prompt are compared")
