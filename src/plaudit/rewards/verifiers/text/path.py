"""Path-decayed credit: a right final answer is worth 1, else the steps found on the way to it, fading with distance.

Differs from the paper: the final answer must equal the last step after normalisation (there, a language model may judge
it), an answer that lists more than `most_items` is refused as there, and what one line or a run of list items
enumerates beyond that many is not searched for steps either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import answer_in, check_place, golds
from plaudit.rewards.verifiers.text.words import blank, clip, normalised_or_literal

_ITEMS = re.compile(r"[,;|]|\band\b|\bor\b")
_LISTED = re.compile(r"\s{0,8}(?:[-*\u2022]|\d{1,4}[.)])\s")


def path_credit(found: Sequence[bool], *, gamma: float = 0.4) -> float:
    """The reward of a path of K steps, the last of which is the answer.

    1 if the last step is found, else `min(1, sum_{j>=1} gamma^j * 1[step K-j found])`.

    Args:
        found: which steps were found, from the first to the last, (K,).
        gamma: the decay, in (0, 1).

    Returns:
        A value in [0, 1]; 0 for no steps.

    Source: Wu et al. 2025, "ExCyTIn-Bench", the decayed reward (gamma 0.4).
    """
    if not found:
        return 0.0
    if found[-1]:
        return 1.0
    return min(1.0, sum(gamma**j for j, hit in enumerate(reversed(found[:-1]), start=1) if hit))


def enumerated(text: str) -> int:
    """The most items that one line lists, or that a run of list lines has."""
    most = run = 0
    for line in text.splitlines():
        run = run + 1 if _LISTED.match(line) else 0
        most = max(most, run, 1 + sum(1 for _ in _ITEMS.finditer(line)))
    return most


def without_lists(text: str, most_items: int) -> str:
    """The text without lines and runs of list lines that enumerate more than `most_items`."""
    kept: list[str] = []
    run: list[str] = []
    for line in [*text.splitlines(), ""]:
        if _LISTED.match(line):
            run.append(line)
            continue
        kept += run if len(run) <= most_items else []
        run = []
        kept.append(line)
    return "\n".join(line for line in kept if 1 + sum(1 for _ in _ITEMS.finditer(line)) <= most_items)


@dataclass(frozen=True)
class PathVerifier(Verifier):
    """Path-decayed credit for an answer that should lead along known steps.

    The reference is `{"steps": [first, ..., last]}` with an optional `answer` (the last step by default); each a text
    or a list of texts that mean the same. Steps are found as whole words anywhere in the completion, thinking included.

    Source: Wu et al. 2025, "ExCyTIn-Bench".
    """

    kind: ClassVar[str] = "verify/path"

    gamma: float = 0.4
    """Decay of a step's credit with its distance from the answer, in (0, 1)."""
    most_items: int = 15
    """Items that an answer, or a line that is searched for steps, may enumerate."""
    within: str = "answer"
    """Where the answer stands: answer (inside `<answer>`), line (the last one), completion (all of it)."""

    def __post_init__(self) -> None:
        check_place(self.kind, self.within)
        if not 0.0 < self.gamma < 1.0:
            raise InputError(f"{self.kind}: gamma is {self.gamma}; give a decay between 0 and 1")
        if self.most_items < 1:
            raise InputError(f"{self.kind}: most_items is {self.most_items}; give at least 1")

    def verdict(self, sample: Sample) -> Verdict:
        """Compares the answer, then looks for the steps."""
        steps, answers = _route(sample.reference)
        if blank(sample.text):
            return Verdict.fault("empty answer")
        found = answer_in(sample.text, self.within)
        if not found.reason and enumerated(found.text) > self.most_items:
            return Verdict.fault(f"the answer enumerates more than {self.most_items} items")
        given = normalised_or_literal(found.text) if not found.reason else ""
        right = bool(given) and given in {normalised_or_literal(a) for a in answers}
        searched = f" {normalised_or_literal(without_lists(sample.text, self.most_items))} "
        hits = [any(f" {normalised_or_literal(name)} " in searched for name in step) for step in steps]
        hits[-1] = right
        return Verdict.scored(
            path_credit(hits, gamma=self.gamma), extracted=clip(found.text), gold=clip(answers[0]), steps=hits,
            reason="right answer" if right else found.reason or "another answer",
        )  # fmt: skip

    def _answer(self, text: str) -> str:
        return {"answer": f"<answer>{text}</answer>", "line": f"\n{text}", "completion": text}[self.within]

    def honest(self) -> Sequence[Sample]:
        """The answer, with and without its way."""
        known = {"steps": ["phish.example", "host-17", ["mallory", "user mallory"], "10.0.0.9"]}
        before = "" if self.within == "completion" else "From phish.example to host-17, then user mallory."
        return (
            case("Which address did the attacker reach?", before + self._answer("10.0.0.9"), known),
            case("Which address did the attacker reach?", self._answer("10.0.0.9."), known),
        )

    def twins(self) -> Sequence[Twin]:
        """Lists of addresses and steps, contradictions, look-alikes and floods."""
        known = {"steps": ["phish.example", "host-17", "mallory", "10.0.0.9"]}
        listed = ", ".join(f"10.0.0.{i}" for i in range(40))
        partial = path_credit([True, True, True, False], gamma=self.gamma)  # what the way alone is worth
        attacks = (
            ("every candidate listed", self._answer(listed), 0.0),
            ("every candidate listed", self._answer("10.0.0.8, 10.0.0.9"), 0.0),
            ("every candidate listed", ", ".join(f"host-{i}" for i in range(40)) + self._answer("?"), 0.0),
            ("contradiction", self._answer("10.0.0.9") + self._answer("10.0.0.8"), 0.0),
            ("look-alike letters", self._answer("1\u041e.0.0.9"), 0.0),
            ("near number", self._answer("100.09"), 0.0),
            ("keyword stuffing", "phish.example host-17 mallory " * 3 + self._answer("unknown"), partial),
            ("over-long answer", "10.0.0.9 " * 20_000 + self._answer("10.0.0.8"), partial),
        )
        return tuple(Twin(name, case("Which address?", text, known), most) for name, text, most in attacks)


def _route(reference: Any) -> tuple[list[list[str]], list[str]]:
    steps = reference.get("steps") if isinstance(reference, Mapping) else None
    if not isinstance(steps, list | tuple) or not steps:
        raise InputError(f'reference is {reference!r:.80}; give {{"steps": [first, ..., last], "answer": optional}}')
    each = [golds(step) for step in steps]
    answer = reference.get("answer")
    return each, each[-1] if answer is None else golds(answer)
