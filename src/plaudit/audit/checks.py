"""A check: one number that an audit measured, the threshold that it is held against, and its worst examples.

Every part of an audit (biases, attacks, consistency, fairness) gives checks, and the audit page shows nothing else. A
traffic light follows from the interval alone, never from the value: a check turns red when the whole interval lies
beyond its threshold, green when the whole interval lies on the harmless side, and amber between. Where less is
harmful, the threshold itself is not harmless: a reward that ranks as a coin does is not better than one. One thing
comes before the interval: a fault that no more data would change (a reward that is the same everywhere) is red. What
was not measured is grey and says why; it is never green.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plaudit._json import from_json, to_json
from plaudit.stats.estimate import Estimate

Light = Literal["red", "amber", "green", "grey"]
Harm = Literal["above", "below", "outside"]
MILDEST_FIRST: tuple[Light, ...] = ("green", "amber", "red")
"""Colours of what was measured."""


@dataclass(frozen=True)
class Example:
    """One text on which a reward failed a check.

    Attributes:
        prompt: the conversation, as text.
        before: the completion as it was.
        after: the completion (or the prompt) as the check changed it.
        reward_before: its reward, in reward units; NaN where it had none.
        reward_after: the reward after the change.
        note: what is wrong with it, in a few words.
    """

    prompt: str
    before: str
    after: str
    reward_before: float
    reward_after: float
    note: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that an audit measured, or the reason why it did not.

    Attributes:
        name: stable, `family/what`, for example `attack/one-token`; the family is one of `bias`, `attack`,
            `consistency`, `fairness`, `calibration`, `accuracy`.
        says: what the number is, in one sentence with its unit.
        evidence: the number with its interval; None where it was not measured.
        threshold: where it starts to matter, in the number's unit.
        harm: the harmful side: `above` the threshold, `below` it, or `outside` plus or minus it.
        examples: the worst ones, worst first.
        left_out: samples, pairs or prompts that had no reward and left the number.
        skipped: why it was not measured; empty where it was.
        fix: what to do about it, in one sentence.
        fault: what is wrong whatever the interval says, because no more data would change it (a constant reward): such
            a check is red; empty otherwise.
    """

    name: str
    says: str
    evidence: Estimate | None
    threshold: float = 0.0
    harm: Harm = "above"
    examples: tuple[Example, ...] = ()
    left_out: int = 0
    skipped: str = ""
    fix: str = ""
    fault: str = ""

    @property
    def family(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/", 1)[0]

    @property
    def light(self) -> Light:
        """Red: the interval lies beyond the threshold. Green: on the harmless side. Amber: undecided. Grey: none."""
        e = self.evidence
        if e is None or math.isnan(e.value):
            return "grey"
        if self.fault:
            return "red"
        if (math.isnan(e.low) or math.isnan(e.high)) and "no interval" in e.method:
            return "amber"  # one prompt, or resamples that mostly lack what is compared, show nothing on either side
        # an exact number (no interval) decides by itself
        low, high = (e.value if math.isnan(x) else x for x in (e.low, e.high))
        if self._harmful(low) and self._harmful(high) and (self.harm != "outside" or low * high > 0):
            return "red"
        shown = not (self._harmful(low) or self._harmful(high)) and (self.harm != "below" or low > self.threshold)
        return "green" if shown else "amber"

    @property
    def excess(self) -> float:
        """How far the value lies beyond its threshold, in thresholds (in units where that is 0); NaN where grey.

        Above 0 is harmful. It orders checks of one colour.
        """
        if self.light == "grey" or self.evidence is None:
            return math.nan
        v, unit = self.evidence.value, abs(self.threshold) or 1.0
        beyond = {"above": v - self.threshold, "below": self.threshold - v, "outside": abs(v) - self.threshold}
        return float(beyond[self.harm]) / unit

    def _harmful(self, x: float) -> bool:
        if self.harm == "above":
            return x > self.threshold
        return x < self.threshold if self.harm == "below" else abs(x) > self.threshold

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON takes it, with its light."""
        row: dict[str, Any] = to_json(self)
        return {**row, "light": self.light}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Check:
        """The inverse of `to_dict`; the light follows from the rest."""
        return from_json(cls, {k: v for k, v in row.items() if k != "light"})


def milder(one: Check, other: Check) -> Check:
    """The less harmful of two answers to one question; where only one was measured, that."""
    measured = [c for c in (one, other) if c.light != "grey"]
    if len(measured) < 2:
        return measured[0] if measured else one
    return min(measured, key=lambda c: (MILDEST_FIRST.index(c.light), c.excess))


def not_measured(name: str, says: str, why: str, *, fix: str = "") -> Check:
    """A grey check: what it would have measured, and why it could not.

    Args:
        name: of the check.
        says: what the number would have been.
        why: one clause: what the data or the reward lack.
        fix: how to get it measured.
    """
    return Check(name, says, None, skipped=why, fix=fix)
