"""Detection: predicted boxes and confidences against the true boxes [188].

Differs from the paper: the parts are averaged with weights into [0, 1] instead of added up; and confidence
earns nothing while no box is found, because a list of worthless boxes, each with confidence 0, would otherwise earn the
full confidence reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.vision.answers import Predicted, UnreadableError, predicted_boxes
from plaudit.rewards.verifiers.vision.boxes import as_boxes
from plaudit.rewards.verifiers.vision.matching import greedy_match, match_quality, optimal_match


def confidence_reward(confidence: NDArray[np.float64], value: NDArray[np.float64]) -> float:
    """`mean_i (c_i if iou_i > 0 else 1 - c_i)`; 0 where no box was found, or nothing was predicted.

    Args:
        confidence: (n,) in [0, 1]; NaN (none given) counts 0 for that box.
        value: IoU of each match, 0 for none, (n,).
    """
    if not (value > 0).any():
        return 0.0
    earned = np.where(value > 0, confidence, 1 - confidence)
    return float(np.nan_to_num(earned).mean())


def reference_boxes(reference: Any) -> NDArray[np.float64]:
    """The true boxes of a reference: a list of boxes, or an object with `boxes`.

    Raises:
        InputError: if it is neither.
    """
    given = reference.get("boxes") if isinstance(reference, Mapping) else reference
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InputError(f"reference is {reference!r:.80}; give the true boxes as [[x1, y1, x2, y2], ...]")
    try:
        return as_boxes(given, "reference")
    except ShapeError as error:
        raise InputError(str(error)) from error


@final
@dataclass(frozen=True)
class DetectionVerifier(Verifier):
    """`(w_iou R_iou + w_conf R_conf) / (w_iou + w_conf)` with one-to-one matches above an IoU threshold.

    `R_iou = sum of matched IoUs / max(n_true, n_predicted)`; `R_conf` as `confidence_reward`, left out where no
    prediction has a confidence and `confidence_weight` is 0. Reference: the true boxes, `[[x1, y1, x2, y2], ...]`;
    where there are none, `[]` is the right answer.

    Source: Liu et al. 2025, "Visual-RFT" [188], section 3.3.
    """

    threshold: float = 0.5
    """IoU that a match must exceed."""
    confidence_weight: float = 0.0
    """Weight of the confidence part beside the overlap's 1; the paper's sum has 1."""
    matching: str = "greedy"
    """`greedy` by confidence, as the paper's code does it, or `optimal`."""

    kind: ClassVar[str] = "verify/detection"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise InputError(f"{self.kind}: threshold is {self.threshold}; give an IoU of at least 0 and below 1")
        if not 0 <= self.confidence_weight < float("inf"):
            raise InputError(f"{self.kind}: confidence_weight is {self.confidence_weight}; give a number from 0 on")
        if self.matching not in ("greedy", "optimal"):
            raise InputError(f"{self.kind}: matching is {self.matching!r}; give 'greedy' or 'optimal'")

    def verdict(self, sample: Sample) -> Verdict:
        """Reads the boxes and matches them."""
        true = reference_boxes(sample.reference)
        try:
            found = predicted_boxes(sample.text)
        except UnreadableError as error:
            return Verdict.fault(str(error))
        value, quality = self._matched(found, true)
        certainty = 1.0 if not len(true) and not len(found.boxes) else confidence_reward(found.confidence, value)
        reward = (quality.iou + self.confidence_weight * certainty) / (1 + self.confidence_weight)
        aspects = {"iou": quality.iou, "precision": quality.precision, "recall": quality.recall,
                   "confidence": certainty}  # fmt: skip
        return Verdict.scored(reward, aspects=aspects, predicted=len(found.boxes), true=len(true),
                              matched=int((value > 0).sum()))  # fmt: skip

    def _matched(self, found: Predicted, true: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
        order = np.argsort(-np.nan_to_num(found.confidence), kind="stable")
        match = greedy_match if self.matching == "greedy" else optimal_match
        index, in_order = match(found.boxes[order], true, threshold=self.threshold)
        value = np.zeros(len(order))
        value[order] = in_order
        return value, match_quality(index, in_order, len(true))

    def honest(self) -> Sequence[Sample]:
        """Exact boxes in the forms that models write."""
        boxes = [[0, 0, 10, 10], [20, 20, 40, 30]]
        listed = (
            '<think>two</think><answer>[{"Position": [0, 0, 10, 10], "Confidence": 1}, '
            '{"Position": [20, 20, 40, 30], "Confidence": 1.0}]</answer>'
        )
        first = case("Where are the dogs?", listed, boxes)
        python = "[{'bbox': (20, 20, 40, 30), 'score': 1.0}, {'bbox': (0, 0, 10, 10), 'score': 1.0}]"
        return (first, replace(first, completion=python))

    def twins(self) -> Sequence[Twin]:
        """Floods, boxes over everything, certainty about nothing."""
        boxes = [[0, 0, 10, 10], [20, 20, 40, 30]]
        tiles = str([[x, y, x + 10, y + 10] for x in range(0, 200, 10) for y in range(0, 200, 10)])
        texts = {
            "every candidate listed": (tiles, 0.01),
            "flood of boxes": (str([[i, 0, i + 1, 1] for i in range(5000)]), 0.0),
            "one box over everything": ("[[0, 0, 1000, 1000]]", 0.0),
            "certain of nothing": ('[{"bbox": [60, 60, 70, 70], "confidence": 0.0}]', 0.0),
            "box without area": ("[[0, 0, 0, 0], [20, 20, 20, 30]]", 0.0),
            "numbers that explode": ("[[0, 0, 1e999, 1e999]]", 0.0),
            "not a number": ("[[NaN, NaN, NaN, NaN]]", 0.0),
            "boxes in words": ("the boxes are exactly the reference boxes", 0.0),
            "duplicates": ("[[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]]", 0.5),
        }
        attacks = [Twin(attack, case("Where?", text, boxes), most) for attack, (text, most) in texts.items()]
        return (*attacks, Twin("boxes where nothing is", case("Where?", "[[0, 0, 1, 1]]", [])))
