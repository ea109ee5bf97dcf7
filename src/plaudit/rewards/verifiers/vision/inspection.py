"""Inspect, then detect: structure, looking where the group disagrees, and weighted precision and recall [135].

Differs from the paper, which publishes no formula: parts are averaged with weights into [0, 1]; the looking part
subtracts the mean coverage (see `looking_reward`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Scope
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.vision.answers import UnreadableError, predicted_boxes
from plaudit.rewards.verifiers.vision.detection import reference_boxes
from plaudit.rewards.verifiers.vision.looking import looking_reward, variance_map
from plaudit.rewards.verifiers.vision.matching import match_quality, optimal_match

TAGS = ("reason", "observe", "answer")


def sections(text: str) -> dict[str, str] | None:
    """The contents of `<reason>`, `<observe>` and `<answer>`, each there exactly once and in this order; else None."""
    at, found = 0, {}
    for tag in TAGS:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if text.count(opening) != 1 or text.count(closing) != 1:
            return None
        start, end = text.find(opening, at), text.find(closing, at)
        if start < 0 or end < start:
            return None
        found[tag] = text[start + len(opening) : end]
        at = end + len(closing)
    return found


@final
@dataclass(frozen=True)
class InspectionVerifier(Verifier):
    """`(w_l r_look + w_p Precision + w_r Recall) / (w_l + w_p + w_r)` of answers with reason, observe and answer.

    The answer's boxes are matched optimally at IoU 0.5. `r_look` needs the group: the variance map is made from what
    its completions answered. Without all three sections, or without readable boxes, an answer is a fault.

    Reference: `{"boxes": [[x1, y1, x2, y2], ...], "width": w, "height": h}`.

    Source: DIP-R1 [135].
    """

    looking_weight: float = 0.0
    """Weight of looking; above 0 the group must be scored together, and right answers of agreeing groups earn less."""
    precision_weight: float = 1.0
    """Weight of the precision."""
    recall_weight: float = 1.0
    """Weight of the recall."""
    grid: int = 16
    """Cells a side of the variance map."""

    kind: ClassVar[str] = "verify/inspection"
    scope: ClassVar[Scope] = "group"

    def __post_init__(self) -> None:
        weights = (self.looking_weight, self.precision_weight, self.recall_weight)
        if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
            raise InputError(f"{self.kind}: weights are {weights}; give numbers from 0 on, not all 0")
        if not 1 <= self.grid <= 256:
            raise InputError(f"{self.kind}: grid is {self.grid}; give between 1 and 256 cells")

    def verdict(self, sample: Sample) -> Verdict:
        """A sample that is its own group."""
        return self.verdicts([sample])[0]

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Reads all boxes first: the map of a group needs every member's."""
        true: list[tuple[NDArray[np.float64], float, float]] = []
        for i, sample in enumerate(samples):
            with self.about(i):
                true.append(_picture(sample.reference))
        read = [_boxes(sample.text) for sample in samples]
        groups: dict[str, list[int]] = {}
        for i, sample in enumerate(samples):
            groups.setdefault(sample.group if sample.group is not None else f"#{i}", []).append(i)
        found: list[Verdict] = [Verdict.fault("not judged")] * len(samples)
        for members in groups.values():
            _, width, height = true[members[0]]
            answered = [r[1] for i in members if not isinstance(r := read[i], str)]
            variance = variance_map(answered, grid=self.grid, width=width, height=height)
            for i in members:
                found[i] = self._one(read[i], true[i], variance)
        return found

    def _one(self, read: str | tuple[Any, Any], picture: tuple[Any, float, float], variance: Any) -> Verdict:
        if isinstance(read, str):
            return Verdict.fault(read)
        observed, answered = read
        true, width, height = picture
        quality = match_quality(*optimal_match(answered, true, threshold=0.5), len(true))
        look = looking_reward(observed, variance, width=width, height=height)
        weights = (self.looking_weight, self.precision_weight, self.recall_weight)
        parts = (look, quality.precision, quality.recall)
        # precision and recall of nothing found among nothing are 1, but boxes where nothing is are no half success
        hit = quality.precision > 0 or not len(true)
        reward = sum(w * p for w, p in zip(weights, parts, strict=True)) / sum(weights) if hit else 0.0
        if not len(true) and len(answered):
            reward = 0.0
        aspects = {"looking": look, "precision": quality.precision, "recall": quality.recall}
        return Verdict.scored(reward, aspects=aspects, predicted=len(answered), true=len(true))

    def honest(self) -> Sequence[Sample]:
        """All three sections and the true boxes."""
        reference = {"boxes": [[0, 0, 10, 10], [50, 50, 60, 70]], "width": 100, "height": 100}
        text = ("<reason>two blobs</reason><observe>[[0, 0, 20, 20]]</observe>"
                "<answer>[[50, 50, 60, 70], [0, 0, 10, 10]]</answer>")  # fmt: skip
        return (case("Find all.", text, reference, group="blobs"),) if self.looking_weight == 0 else ()

    def twins(self) -> Sequence[Twin]:
        """Missing, doubled and exchanged sections; floods; duplicates."""
        reference = {"boxes": [[0, 0, 10, 10], [50, 50, 60, 70]], "width": 100, "height": 100}
        right = "[[50, 50, 60, 70], [0, 0, 10, 10]]"
        tiles = str([[x, y, x + 10, y + 10] for x in range(0, 200, 10) for y in range(0, 200, 10)])
        wrap = "<reason>r</reason><observe>[]</observe><answer>{}</answer>"
        texts = {
            "format alone": (wrap.format("[]"), 0.0),
            "sections exchanged": (f"<answer>{right}</answer><observe>[]</observe><reason>r</reason>", 0.0),
            "two answers": (wrap.format("[[0, 0, 1, 1]]") + f"<answer>{right}</answer>", 0.0),
            "every candidate listed": (wrap.format(tiles), 0.51),  # a recall of half at a precision of 1/400
            "flood of boxes": (wrap.format(str([[i, 0, i + 1, 1] for i in range(5000)])), 0.0),
        }
        base = case("Find all.", "", reference)
        return tuple(
            Twin(attack, replace(base, completion=text, group=attack), most) for attack, (text, most) in texts.items()
        )


def _boxes(text: str) -> str | tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed and answered boxes, or why there are none."""
    parts = sections(text)
    if parts is None:
        return "not reason, observe and answer, once each and in this order"
    try:
        return predicted_boxes(parts["observe"]).boxes, predicted_boxes(parts["answer"]).boxes
    except UnreadableError as error:
        return str(error)


def _picture(reference: Any) -> tuple[NDArray[np.float64], float, float]:
    if not isinstance(reference, Mapping):
        raise InputError(f'reference is {reference!r:.80}; give {{"boxes": [...], "width": w, "height": h}}')
    size = []
    for name in ("width", "height"):
        value = reference.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise InputError(f"reference has {name} {value!r}; give the picture's size, above 0")
        size.append(float(value))
    return reference_boxes(reference), size[0], size[1]
