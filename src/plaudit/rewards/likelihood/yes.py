"""The probability of "yes": does this candidate beat that reference?

Differs from the paper: text in place of images; both orders are asked and averaged, so that a model that prefers a
place prefers nothing. The model answers at once, without a chain of thought, and the reference is the sample's own:
whoever wants the best of several completions as the reference puts it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float

from plaudit.engine.rendering import well_formed
from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Completion, Conversation, Sample, completion_messages, completion_text, content_hash
from plaudit.rewards.base import Outcome, PreferenceBatch, RewardBatch, Scope
from plaudit.rewards.calibrators.stored import Calibration
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.outcomes import (
    OVERFLOWED,
    QUESTION_TOO_LONG,
    Found,
    Scale,
    assembled,
    fault,
    no_room,
)
from plaudit.rewards.likelihood.questions import Wording, answer_logits

INSTRUCTION = "Compare two answers to the same conversation by how helpful, correct and harmless they are."

ROOM = 16
"""Tokens that a question leaves for the word and the end of its turn."""


def order_debiased(forward: Float[np.ndarray, " n"], backward: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """`(p(a beats b) + 1 - p(b beats a)) / 2`.

    With both orders asked, p(a, b) + p(b, a) = 1 and p(x, x) = 1/2 whatever the model prefers by place.

    Args:
        forward: probability of yes where a is the candidate and b the reference.
        backward: probability of yes with the roles exchanged.

    Source: the position debiasing that Zheng et al. 2023 ("Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena")
    do by consistency, as a mean.
    """
    return np.asarray((forward + 1.0 - backward) / 2)


def _sigmoid(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    with np.errstate(invalid="ignore"):  # numbers of a broken model's stay NaN, and are told as its fault
        return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


class Asked(NamedTuple):
    """What came of n questions.

    Attributes:
        p: P(yes), (n,); NaN where the question does not fit, or the model's numbers are not finite.
        fits: True where the question was read whole, in every order in which it is asked, (n,).
    """

    p: Float[np.ndarray, " n"]
    fits: Bool[np.ndarray, " n"]


@final
class YesComparison:
    """Probability that the first sample beats the second, from one word of a causal language model.

    Args:
        model: is asked.
        instruction: the criteria.
        wording: of the question.
        debias: ask in both orders; else the second is always the reference.
        name: short and stable.
    """

    def __init__(
        self, model: LanguageModel, *, instruction: str = INSTRUCTION, wording: Wording | None = None,
        debias: bool = True, name: str = "yes",
    ) -> None:  # fmt: skip
        self.model, self.instruction, self.name = model, instruction, name
        self.wording, self.debias = wording or Wording(), debias

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model's weights and template, the wording and the criteria."""
        told = [self.model.fingerprint, self.wording.fingerprint, self.instruction, self.debias]
        return content_hash(["likelihood/yes", 1, *told])

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Compares pairs of samples.

        A question that does not fit the model is an abstention: which of the two was too long is not said. Numbers of
        the model's that are not finite are an `INSTRUMENT_FAULT`.

        Raises:
            ShapeError: if there are not as many firsts as seconds.
            InputError: if two samples that are compared answer different prompts.
        """
        if len(first) != len(second):
            raise ShapeError(f"{self.name}: {len(first)} first samples and {len(second)} second ones; give pairs")
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            if a.prompt != b.prompt:
                raise InputError(f"{self.name}: pair {i}: the samples answer different prompts; compare answers to one")
        p, fits = self.probabilities(first, [s.completion for s in second])
        good = np.isfinite(p)
        unread = np.where(fits, Outcome.INSTRUMENT_FAULT, Outcome.ABSTAINED)
        outcome = np.where(good, Outcome.SCORED, unread).astype(np.int8)
        told = {
            Outcome.ABSTAINED: {"reason": "the question is longer than max_length"},
            Outcome.INSTRUMENT_FAULT: {"error": f"the probability is not finite: {OVERFLOWED}"},
        }
        return PreferenceBatch(p, outcome, detail=tuple(dict(told.get(Outcome(o), {})) for o in outcome))

    def probabilities(self, candidates: Sequence[Sample], references: Sequence[Completion]) -> Asked:
        """P(yes) of each candidate against its reference, and whether the question fits."""
        asked = [
            self._questions(s.prompt, said_of(s.completion), said_of(r))
            for s, r in zip(candidates, references, strict=True)
        ]
        flat = [q for order in zip(*asked, strict=True) for q in order]  # all forward, then all backward
        fits = np.array([fitting(self.model, q) for q in flat], dtype=bool)
        p = np.full(len(flat), np.nan)
        p[fits] = _sigmoid(answer_logits(self.model, [q for q, ok in zip(flat, fits, strict=True) if ok], self.wording))
        n = len(candidates)
        return Asked(order_debiased(p[:n], p[n:]), fits[:n] & fits[n:]) if self.debias else Asked(p, fits)

    def too_long(self, prompt: Conversation, reference: Completion) -> str:
        """What of a question is too long whatever the candidate says; empty where an empty one leaves it whole."""
        for text, what in (("", "the prompt"), (said_of(reference), "the reference")):
            if not all(fitting(self.model, q) for q in self._questions(prompt, "", text)):
                return what
        return ""

    def _questions(self, prompt: Conversation, candidate: str, reference: str) -> list[Conversation]:
        """The question, and with `debias` the one with the roles exchanged."""
        orders = [(candidate, reference), (reference, candidate)][: 1 + self.debias]
        return [self.wording.compare(prompt, a, b, self.instruction) for a, b in orders]


def said_of(completion: Completion) -> str:
    """A completion as text: of several turns each with its role."""
    messages = completion_messages(completion)
    if len(messages) == 1:
        return completion_text(completion)
    return "\n".join(f"{m.role}: {m.text}" for m in messages)


def fitting(model: LanguageModel, question: Conversation) -> bool:
    """Whether a question is read whole: what truncation left of it would be another question."""
    text = well_formed(model.encoder.text(question))
    ids = model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return len(ids) + ROOM <= model.template.max_length


@final
class YesReward:
    """Mean over a sample's references of the probability that the sample beats them, in [0, 1].

    `sample.reference` is a completion, or a list of them. An empty candidate is asked about all the same. A candidate
    with which a question does not fit is a `POLICY_FAULT`, worth 0; where it would not fit with an empty one either,
    the prompt or a reference is too long, which is an abstention. Numbers of the model's that are not finite are an
    `INSTRUMENT_FAULT`, whatever else does not fit.

    Args:
        comparison: is asked.
        name: short and stable.
    """

    scope: Scope = "sample"
    bounds: tuple[float, float] = (0.0, 1.0)
    calibration: Calibration | None = None
    """What `plaudit calibrate` fitted to it, where its folder holds that."""

    def __init__(self, comparison: YesComparison, *, name: str = "yes") -> None:
        self.comparison, self.name = comparison, name

    @property
    def fingerprint(self) -> str:
        """The comparison's, as a reward."""
        return content_hash(["likelihood/yes reward", 2, self.comparison.fingerprint])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples.

        Raises:
            InputError: if a sample has no reference.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        references = [references_of(i, s) for i, s in enumerate(samples)]
        repeated = [s for s, rows in zip(samples, references, strict=True) for _ in rows]
        p, fits = self.comparison.probabilities(repeated, [r for rows in references for r in rows])
        found, at = [], 0
        for sample, rows in zip(samples, references, strict=True):
            mine = slice(at, at + len(rows))
            at += len(rows)
            found.append(self._found(sample, rows, p[mine], fits[mine]))
        return assembled(found, Scale(floor=0.0))

    def _found(
        self, sample: Sample, references: Sequence[Completion], p: Float[np.ndarray, " r"],
        fits: Bool[np.ndarray, " r"],
    ) -> Found:  # fmt: skip
        if not np.isfinite(p[fits]).all():
            return Found(float("nan"))
        n = len(references)
        for k in np.flatnonzero(~fits).tolist():
            what = self.comparison.too_long(sample.prompt, references[k])
            if what:
                return no_room(f"reference {k + 1} of {n}" if what == "the reference" and n > 1 else what)
        if not fits.all():
            return fault(QUESTION_TOO_LONG)
        return Found(float(p.mean()), detail={"against": p.tolist()})


def references_of(index: int, sample: Sample) -> list[Completion]:
    """The reference completions of a sample: text, or a list of texts.

    Raises:
        InputError: if there is none.
    """
    given = sample.reference
    rows = [given] if isinstance(given, str) else list(given) if isinstance(given, list | tuple) else []
    if not rows or not all(isinstance(r, str) for r in rows):
        raise InputError(
            f"likelihood: sample {index}: reference is {str(given)[:60]!r}; "
            "give the completion to beat, or a list of them (likelihood/yes-comparison compares two of one prompt)"
        )
    return rows


def yes(
    model: str, instruction: str = INSTRUCTION, yes: str = "Yes", no: str = "No", debias: bool = True,
    max_length: int = 2048,
) -> YesReward:  # fmt: skip
    """The reward that `likelihood/yes` names.

    Args:
        model: folder or hub id of a causal LM.
        instruction: the criteria of the comparison.
        yes: the word for better.
        no: the word for not better.
        debias: ask in both orders.
        max_length: longest question in tokens.
    """
    return YesReward(yes_comparison(model, instruction, yes, no, debias, max_length))


def yes_comparison(
    model: str, instruction: str = INSTRUCTION, yes: str = "Yes", no: str = "No", debias: bool = True,
    max_length: int = 2048,
) -> YesComparison:  # fmt: skip
    """The comparison that `likelihood/yes-comparison` names; options as for `yes`."""
    asked = LanguageModel.open(model, max_length=max_length)
    return YesComparison(asked, instruction=instruction, wording=Wording(yes=yes, no=no), debias=debias)
