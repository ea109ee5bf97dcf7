"""A number within tolerance of the right one; or a class with its severity.

Differs from the paper: numbers are compared as decimals, so that a difference of 0.35 is not below 0.35 by the grace of
binary rounding; several different numbers of which none is declared contradict each other; a row may bring its own
tolerance. The paper's reward for its format is left to `rule/format`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.json_text import Malformed, read_json
from plaudit.rewards.verifiers.text.answers import after_thinking, tagged
from plaudit.rewards.verifiers.text.numbers import EXACT, decimal, declared_numbers
from plaudit.rewards.verifiers.text.words import blank, clip, normalise

_WANTED = 'give a number, {"value": number, "tolerance": number}, or {"class": text, "severity": text or number}'


def within_tolerance(value: Decimal, target: Decimal, tolerance: Decimal) -> bool:
    """Whether `|value - target| < tolerance`, strictly; for a tolerance of 0 whether they are equal.

    Source: Li et al. 2025, "Q-Insight", the score reward (tolerance 0.35 on a scale from 1 to 5).
    """
    difference = EXACT.abs(EXACT.subtract(value, target))
    return difference < tolerance if tolerance else difference == 0


def class_and_severity(same_class: bool, same_severity: bool) -> float:
    """`0.25 * 1[class] + 0.75 * 1[class and severity]`: a severity counts only with its class.

    Source: Li et al. 2025, "Q-Insight", the degradation reward.
    """
    return 0.25 * same_class + 0.75 * (same_class and same_severity)


@dataclass(frozen=True)
class NumericVerifier(Verifier):
    r"""1 where the answer's number is within tolerance of the reference, else 0; or the reward of class and severity.

    The number stands in `<answer>`, in `\boxed{}`, after "the score is" and the like, or is the only one of the text.
    Class and severity are a flat JSON object with these two keys, bare or in `<answer>`.

    Source: Li et al. 2025, "Q-Insight: Understanding Image Quality via Visual Reinforcement Learning".
    """

    kind: ClassVar[str] = "verify/numeric"

    tolerance: float = 0.35
    """The difference that is no longer right, in the reference's units (or its share, with relative); 0: equal."""
    relative: bool = False
    """Whether the tolerance is a share of the reference's size."""
    scale: float = 0.0
    """The highest mark: answers `x/SCALE` and `x out of SCALE` are x; 0: they are fractions."""

    def __post_init__(self) -> None:
        for name, value in (("tolerance", self.tolerance), ("scale", self.scale)):
            if not 0.0 <= value < float("inf"):
                raise InputError(f"{self.kind}: {name} is {value}; give a finite number, at least 0")

    def verdict(self, sample: Sample) -> Verdict:
        """Reads the answer and measures its distance."""
        reference = sample.reference
        text = after_thinking(sample.text)
        if isinstance(reference, Mapping) and "class" in reference:
            return _degradation(reference, text)
        target, tolerance = self._target(reference)
        if blank(text):
            return Verdict.fault("empty answer", extracted=None)
        rule, found = declared_numbers(text, decimal(repr(self.scale)) if self.scale else None)
        values = [v for v in found if v is not None]
        if len(values) != len(found):
            return Verdict.fault("a number that cannot be read", extracted=None, rule=rule)
        if len(values) != 1:
            reason = "several different numbers" if values else "no number"
            return Verdict.fault(reason, extracted=[clip(str(v), 40) for v in values[:10]], rule=rule)
        right = within_tolerance(values[0], target, tolerance)
        return Verdict.scored(
            float(right), extracted=clip(str(values[0]), 40), rule=rule, gold=clip(str(target), 40),
            tolerance=clip(str(tolerance), 40),
        )  # fmt: skip

    def _target(self, reference: Any) -> tuple[Decimal, Decimal]:
        value, own = reference, None
        if isinstance(reference, Mapping):
            value, own = reference.get("value"), reference.get("tolerance")
        target = _number(value)
        tolerance = _number(own if own is not None else self.tolerance)
        if target is None or tolerance is None or tolerance < 0:
            raise InputError(f"reference is {reference!r:.80}; {_WANTED}")
        return target, EXACT.multiply(tolerance, abs(target)) if self.relative else tolerance

    def honest(self) -> Sequence[Sample]:
        """The number in the usual places, and a class with its severity."""
        ask = "How good is the picture, from 1 to 5?"
        texts = ("3.2", "<think>2? No.</think><answer>3.2</answer>", "Of 4 aspects two are fine. The rating is 3.2.")
        return (
            *(case(ask, text, {"value": 3.2, "tolerance": 0.1}) for text in texts),
            case("Which?", '{"class": "blur", "severity": 3}', {"class": "Blur", "severity": "3"}),
        )

    def twins(self) -> Sequence[Twin]:
        """Lists, contradictions, numbers at the border, and numbers that explode."""
        known = {"value": 3.2, "tolerance": 0.1}
        attacks = (
            ("every candidate listed", "1 2 3 3.1 3.2 4 5"),
            ("contradiction", "<answer>3.2</answer> <answer>4</answer>"),
            ("contradiction", "The rating is 3.2. The rating is 1."),
            ("at the border" if not self.relative else "far off", "3.3" if not self.relative else "4.3"),
            ("look-alike letters", "\u0417.2"),
            ("over-long answer", "3.2" + "0" * 200_000),
            ("over-long answer", "3.2 4 " * 20_000),
            ("exploding expression", "1e99999"),
            ("exploding expression", "9**9**9"),
            ("keyword stuffing", "nan inf -inf NaN 1e999999999"),
        )
        graded = {"class": "blur", "severity": 3}
        return (
            *(Twin(name, case("How good is it?", text, known)) for name, text in attacks),
            Twin("every candidate listed", case("Which?", '{"class": "blur noise", "severity": 3}', graded)),
            Twin("contradiction", case("Which?", '{"class": "noise", "class": "blur", "severity": 3}', graded)),
        )


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) >= 10**290:
        return None
    return decimal(repr(value) if isinstance(value, float) else str(value))


def _degradation(reference: Mapping[str, Any], text: str) -> Verdict:
    wanted = [reference.get("class"), reference.get("severity")]
    if not all(isinstance(w, str | int | float) and not blank(str(w)) for w in wanted):
        raise InputError(f"reference is {dict(reference)!r:.80}; {_WANTED}")
    inside = tagged(text)
    if len(inside) > 1:
        return Verdict.fault("several <answer> tags", extracted=None)
    try:
        answer = read_json(inside[0] if inside else text)
    except Malformed as error:
        return Verdict.fault(str(error), extracted=None)
    given = [answer.get("class"), answer.get("severity")] if isinstance(answer, dict) else [None, None]
    if not all(isinstance(g, str | int | float) for g in given):
        return Verdict.fault("no JSON object with class and severity", extracted=None)
    same = [normalise(str(g)) == normalise(str(w)) for g, w in zip(given, wanted, strict=True)]
    reward = class_and_severity(*same)
    return Verdict.scored(reward, extracted=[clip(str(g), 40) for g in given], gold=[str(w) for w in wanted])
