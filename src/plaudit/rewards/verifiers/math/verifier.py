"""`verify/math`: the answer of a solution against the gold answer.

Differs from the library that most trainers call directly (math-verify): plain numbers are compared exactly and not
after rounding; shapes (interval, tuple, set, list) are never taken for one another; what needs algebra runs in a child
process that is killed at its deadline, so it works in any thread and cannot hang; a completion that declares two
different answers gets nothing, whichever stands last.

An equivalence is no proof of work: where the reference is 42, the answer `17 + 25` is equal to it. Set `evaluated`
where the task is to compute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier
from plaudit.rewards.verifiers.math.attacks import honest_samples, math_twins
from plaudit.rewards.verifiers.math.cleaning import LONGEST, clean
from plaudit.rewards.verifiers.math.equivalence import Effort, Equivalence, as_text, compare_all
from plaudit.rewards.verifiers.math.extraction import Extracted, extract, parse_rules
from plaudit.rewards.verifiers.math.plain import read_plain

MOST_ANSWERS = 8
"""Different declared answers that are compared; a completion with more contradicts itself."""
_SEVERAL = ("refuse", "last")


@final
@dataclass(frozen=True)
class MathVerifier(Verifier):
    """1 where the completion's answer equals the reference, 0 where it is another.

    The reference is the gold answer (text, LaTeX or a number), a whole solution that ends in it, or a list of them, any
    of which is right. No answer, an answer that cannot be read, one that explodes, and answers that contradict each
    other are the candidate's faults, worth 0.
    """

    kind: ClassVar[str] = "verify/math"

    extract: str = "boxed,hashes,phrase,tag,last"
    """Where the answer is looked for, in this order: `boxed`, `hashes` (`####`), `phrase` ("the answer is"), `tag`
    (`<answer>`), `last` (the last expression)."""
    several: str = "refuse"
    """What different declared answers are: `refuse` for a fault, `last` if the last one counts."""
    rounded: bool = False
    """Whether an answer that rounds to a reference written as a decimal, at its places, is right."""
    evaluated: bool = False
    """Whether an answer must be a plain number where the reference is one: `17 + 25` is then not 42."""
    timeout: float = 5.0
    """Seconds that the comparison of one answer by algebra may take."""
    memory_mb: int = 512
    """MiB that a child process may use."""
    workers: int = field(default=0, compare=False)
    """Child processes; 0 for the number of processors, at most 4."""

    def __post_init__(self) -> None:
        parse_rules(self.kind, self.extract)
        if self.several not in _SEVERAL:
            raise InputError(f"{self.kind}: several is {self.several!r}; give 'refuse' or 'last'")
        if not (0.1 <= self.timeout <= 3600.0 and math.isfinite(self.timeout)):
            raise InputError(f"{self.kind}: timeout is {self.timeout}; give seconds from 0.1 to 3600")
        if self.memory_mb < 256:
            raise InputError(f"{self.kind}: memory_mb is {self.memory_mb}; give at least 256, a child needs as much")
        if self.workers < 0:
            raise InputError(f"{self.kind}: workers is {self.workers}; give at least 1, or 0 for the processors")

    def verdict(self, sample: Sample) -> Verdict:
        """Judges one sample; many at once are judged faster by `verdicts`."""
        return self._judge([self._claim(sample)])[0]

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Judges samples; what needs algebra goes to the child processes all at once."""
        claims = []
        for i, sample in enumerate(samples):
            with self.about(i):
                claims.append(self._claim(sample))
        return self._judge(claims)

    def honest(self) -> Sequence[Sample]:
        """Right answers of every kind, in every form that is extracted."""
        return honest_samples(self.extract)

    def twins(self) -> Sequence[Twin]:
        """Lists of candidates, contradictions, look-alikes, explosions, smuggled references, answers in disguise."""
        return math_twins()

    def _claim(self, sample: Sample) -> _Claim:
        references = gold_answers(sample.reference)
        found = extract(sample.text, parse_rules(self.kind, self.extract))
        if found is None:
            return _Claim(references, None, (), ())
        answers: tuple[str, ...] = (found.text,)
        if self.several == "refuse":
            answers = (*found.others, found.text, *found.asides)
        return _Claim(references, found, _distinct(answers), found.others and (*found.others, found.text))

    def _judge(self, claims: Sequence[_Claim]) -> list[Verdict]:
        pairs = dict.fromkeys(pair for claim in claims for pair in claim.pairs())
        effort = Effort(self.timeout, self.workers, self.memory_mb)
        found = dict(zip(pairs, compare_all(list(pairs), rounded=self.rounded, effort=effort), strict=True))
        return [self._verdict(claim, found) for claim in claims]

    def _verdict(self, claim: _Claim, found: Mapping[tuple[str, str], Equivalence]) -> Verdict:
        shown = claim.references[0] if len(claim.references) == 1 else list(claim.references)
        if claim.extracted is None:
            return Verdict.fault("no answer found", extracted=None, reference=shown)
        detail: dict[str, Any] = {
            "extracted": claim.extracted.text[:LONGEST],
            "by": claim.extracted.by,
            "reference": shown,
        }
        if len(claim.answers) > MOST_ANSWERS:
            return Verdict.fault(f"declares {len(claim.answers)} different answers", **detail)
        right = [r for r in claim.references if all(found[r, a].equal for a in claim.answers)]
        if not right and claim.joined is not None:
            right = [r for r in claim.references if found[r, claim.joined].equal]
            detail["extracted"] = claim.joined if right else detail["extracted"]
        if right:
            how = found[right[0], detail["extracted"] if claim.joined == detail["extracted"] else claim.answers[-1]]
            if self.evaluated and _is_undone(right[0], str(detail["extracted"])):
                return Verdict.scored(0.0, reason="equal, but not worked out", path=how.path, **detail)
            return Verdict.scored(1.0, reason=how.reason, path=how.path, **detail)
        if any(found[r, a].equal for r in claim.references for a in claim.answers):
            return Verdict.fault("contradicts itself", answers=list(claim.answers), **detail)
        worst = max((found[r, claim.extracted.text] for r in claim.references), key=_gravity)
        if worst.outcome is Outcome.SCORED:
            return Verdict.scored(0.0, reason=worst.reason, path=worst.path, **detail)
        return Verdict(worst.outcome, None, {"reason": worst.reason, "path": worst.path, **detail})


@dataclass(frozen=True, slots=True)
class _Claim:
    """A completion's answers beside its references; `boxes` are those of the rule that counts."""

    references: tuple[str, ...]
    extracted: Extracted | None
    answers: tuple[str, ...]
    boxes: tuple[str, ...]

    @property
    def joined(self) -> str | None:
        r"""Several answers of one rule as one list: `\boxed{1}` and `\boxed{-2}` for the reference `1, -2`."""
        return ", ".join(self.boxes) if 1 < len(self.boxes) <= MOST_ANSWERS and len(self.answers) > 1 else None

    def pairs(self) -> list[tuple[str, str]]:
        """What must be compared."""
        if self.extracted is None or len(self.answers) > MOST_ANSWERS:
            return []
        answers = [*self.answers, *([self.joined] if self.joined else [])]
        return [(r, a) for r in self.references for a in answers]


def gold_answers(reference: Any) -> tuple[str, ...]:
    """The gold answers of a reference: itself, or what a whole solution ends in.

    Raises:
        InputError: if it is missing, empty, or neither text, number nor a list of them.
    """
    listed = reference if isinstance(reference, (list, tuple)) else [reference]
    if reference is None or not listed:
        raise InputError("reference is missing; give the gold answer, or a list of right ones")
    found = []
    for one in listed:
        text = as_text(one)
        inside = None if text.isdigit() else extract(text, ("boxed", "hashes", "phrase", "tag"))
        answer = inside.text if inside is not None else text
        if not clean(answer[: LONGEST + 1]):
            raise InputError(f"reference is {text[:40]!r}, which holds no answer; give the gold answer")
        found.append(answer)
    return tuple(dict.fromkeys(found))


def _distinct(answers: Sequence[str]) -> tuple[str, ...]:
    """Answers that differ as texts; the one that counts stays."""
    return tuple({" ".join(a.split()): a for a in answers}.values())


def _is_undone(reference: str, answer: str) -> bool:
    return read_plain(clean(reference)) is not None and read_plain(clean(answer)) is None


def _gravity(found: Equivalence) -> int:
    """Order of outcomes where one reference gives another than the next: what leaves the verdict open comes first."""
    order = (Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.ABSTAINED, Outcome.TIMED_OUT, Outcome.INSTRUMENT_FAULT)
    return order.index(found.outcome)
