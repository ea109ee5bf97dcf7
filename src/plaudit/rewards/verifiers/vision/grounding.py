"""Grounding: one box for one thing [188].

Differs from the paper: its `GIoU + 1` in [0, 2] is halved into [0, 1], and is an option; by default the reward is the
IoU, because any box whatever earns something under GIoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.vision.answers import UnreadableError, predicted_boxes
from plaudit.rewards.verifiers.vision.boxes import generalised_iou, iou
from plaudit.rewards.verifiers.vision.detection import reference_boxes


@final
@dataclass(frozen=True)
class GroundingVerifier(Verifier):
    """IoU with the true box, `(GIoU + 1) / 2`, or 1 where the IoU reaches a threshold.

    Reference: one box `[x1, y1, x2, y2]`, or several where any of them is right. More than one predicted
    box is a contradiction, and a fault.

    Source: Liu et al. 2025, "Visual-RFT" [188]; hit at 0.5 as in Mixed-R1 [126].
    """

    metric: str = "iou"
    """`iou`, `giou`, or `hit` (1 where the IoU is at least `threshold`, else 0)."""
    threshold: float = 0.5
    """For `hit`."""

    kind: ClassVar[str] = "verify/grounding"

    def __post_init__(self) -> None:
        if self.metric not in ("iou", "giou", "hit"):
            raise InputError(f"{self.kind}: metric is {self.metric!r}; give 'iou', 'giou' or 'hit'")
        if not 0 < self.threshold <= 1:
            raise InputError(f"{self.kind}: threshold is {self.threshold}; give an IoU above 0 and at most 1")

    def verdict(self, sample: Sample) -> Verdict:
        """Reads the box and compares it."""
        given = sample.reference
        flat = isinstance(given, Sequence) and len(given) == 4 and all(isinstance(x, int | float) for x in given)
        true = reference_boxes([given] if flat else given)
        if not len(true):
            raise InputError("reference is empty; give the true box as [x1, y1, x2, y2]")
        try:
            found = predicted_boxes(sample.text).boxes
        except UnreadableError as error:
            return Verdict.fault(str(error))
        if len(found) != 1:
            return Verdict.fault(f"{len(found)} boxes where one is asked for")
        overlap = float(iou(found, true).max())
        general = (float(generalised_iou(found, true).max()) + 1) / 2
        reward = {"iou": overlap, "giou": general, "hit": float(overlap >= self.threshold)}[self.metric]
        return Verdict.scored(reward, extracted=found[0].tolist(), iou=overlap)

    def honest(self) -> Sequence[Sample]:
        """The true box, bare, tagged and as an object."""
        first = case("Where is the cat?", "[1, 2, 30, 40]", [1, 2, 30, 40])
        tagged = "<think>left</think><answer>(1, 2, 30, 40) = [1, 2, 30, 40]</answer>"
        texts = ('{"bbox_2d": [1, 2, 30, 40]}', tagged, "```json\n[[1, 2, 30, 40]]\n```")
        return (first, *(replace(first, completion=text) for text in texts))

    def twins(self) -> Sequence[Twin]:
        """Several boxes, the whole picture, no area."""
        half = 0.51 if self.metric == "giou" else 0.01
        texts = {
            "every candidate listed": ("[[0, 0, 5, 5], [1, 2, 30, 40]]", 0.0),
            "one box over everything": ("[0, 0, 1000000, 1000000]", half),
            "box without area": ("[1, 2, 1, 2]", half),
            "numbers that explode": ("[-1e308, -1e308, 1e308, 1e308]", 0.0),
            "edges exchanged": ("[30, 40, 1, 2]", half),
        }
        return tuple(Twin(a, case("Where?", text, [1, 2, 30, 40]), most) for a, (text, most) in texts.items())
