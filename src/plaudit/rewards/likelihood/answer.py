"""The probability of the reference answer after a candidate's own reasoning: a verifier where none can be written.

Differs from the paper: a completion without an answer to be replaced is a fault of the policy's, worth the floor, and
so is one with several. The probability without reasoning is computed in the same call, where the samples of a prompt
share it. Of a completion of several turns the last one of the assistant's holds the answer; all before it is reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import NamedTuple, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.sample import Conversation, Sample, completion_messages, content_hash
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.likelihood.language import LanguageModel, Read
from plaudit.rewards.likelihood.outcomes import TOO_LONG, Found, Scale, abstention, assembled, fault
from plaudit.rewards.likelihood.probability import answer_probability, debiased, with_format
from plaudit.rewards.rules.format import tagged_sections


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Where the answer stands, and how its probability becomes a reward.

    Raises:
        InputError: if a value is out of range.
    """

    before: str = "<answer>"
    """Mark before the answer; it must stand once in a completion."""
    after: str = "</answer>"
    """Mark after the answer; empty where the answer ends the completion."""
    tags: str = "think,answer"
    """Tags of a well-formed completion in their order, as `rule/format` reads them; empty where any form is right."""
    aggregate: str = "mean"
    """`mean` of the tokens' probabilities, their `product`, or their `geometric` mean."""
    debias: str = "threshold_0"
    """How the probability without reasoning is taken away: `threshold_0`, `sigmoid`, `leaky`, or `none`."""
    format_coef: float = 0.1
    """Share of the reward that the format makes."""

    def __post_init__(self) -> None:
        if not self.before:
            raise InputError("likelihood/answer: before is empty; give the mark before the answer")
        zero = np.zeros(1)
        answer_probability(zero[:, None], aggregate=self.aggregate)  # type: ignore[arg-type]
        debiased(zero, zero, shape=self.debias)  # type: ignore[arg-type]
        with_format(zero, zero > 0, format_coef=self.format_coef)

    def span(self, text: str) -> tuple[int, int] | None:
        """Where the one answer of a text stands; None where there is none, or several."""
        if text.count(self.before) != 1:
            return None
        start = text.index(self.before) + len(self.before)
        stop = text.find(self.after, start) if self.after else len(text)
        return None if stop < 0 else (start, stop)

    def formed(self, text: str) -> bool:
        """Whether a completion has its format."""
        if not self.tags:
            return True
        found, wrong = tagged_sections(text, tuple(tag.strip() for tag in self.tags.split(",")))
        return not wrong and all(content.strip() for content in found.values())


class Last(NamedTuple):
    """The last assistant turn of a completion, and what stands before it in the completion."""

    earlier: Conversation
    turn: Message
    place: tuple[int, int] | None

    def carrying(self, answer: str) -> tuple[Conversation, tuple[int, int]]:
        """The completion with another answer in its place, and where that stands in the completion's text."""
        start, stop = self.place or (0, 0)
        text = self.turn.text
        replaced = replace(self.turn, content=text[:start] + answer + text[stop:])
        # `completion_text` joins the assistant's turns by one line break
        at = start + sum(len(m.text) + 1 for m in self.earlier if m.role == "assistant")
        return (*self.earlier, replaced), (at, at + len(answer))


@final
class AnswerReward:
    """`(1 - c) * debiased mean probability of the reference answer + c * format`, in [0, 1] (below 0 with `leaky`).

    The candidate's answer is replaced by the sample's `reference`, and the probability of its tokens is read after the
    candidate's reasoning. Not a string, the reference is written as one. Aspects: `probability`, `base`, `format`.

    A completion of one assistant message is its text. Of several turns, answer and format are those of the last
    assistant turn; the turns before it stay as they are, and what follows it is not read. `base` is the answer's
    probability right after the prompt. A reference that does not fit even there is an abstention.

    Args:
        model: whose probability it is: usually the policy that is trained.
        options: see `AnswerOptions`.
        name: short and stable.
    """

    scope: Scope = "sample"

    def __init__(self, model: LanguageModel, options: AnswerOptions | None = None, *, name: str = "answer") -> None:
        self.model, self.options, self.name = model, options or AnswerOptions(), name

    @property
    def bounds(self) -> tuple[float, float]:
        """0 to 1; the floor is lower where the debiased probability may be below 0."""
        worst = -0.01 * (1 - self.options.format_coef) if self.options.debias == "leaky" else 0.0
        return worst, 1.0

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model's weights and template, and of the options."""
        return content_hash(["likelihood/answer", 3, self.model.fingerprint, asdict(self.options)])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples.

        Raises:
            InputError: if a sample has no reference answer, or its completion no turn of the assistant's.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        answers = [_answer(i, s) for i, s in enumerate(samples)]
        lasts = [self._last(i, s) for i, s in enumerate(samples)]
        bare = self.options.before + self.options.after
        alone = Last((), Message("assistant", bare), (len(self.options.before),) * 2)
        asked: list[Sample] = []
        wanted: list[tuple[int, int]] = []
        for sample, answer, last in zip(samples, answers, lasts, strict=True):
            if last.place is None:
                continue
            for one in (last, alone):
                completion, place = one.carrying(answer)
                asked.append(Sample(sample.prompt, completion, meta=sample.meta))
                wanted.append(place)
        read = self.model.read(self.model.locate(asked, end=False))
        values = [_probability(r, w, self.options.aggregate) for r, w in zip(read, wanted, strict=True)]
        pairs = iter(zip(values[::2], values[1::2], strict=True))
        found = [self._found(last.turn.text, next(pairs) if last.place else None) for last in lasts]
        return assembled(found, Scale(floor=self.bounds[0]))

    def _last(self, index: int, sample: Sample) -> Last:
        messages = completion_messages(sample.completion)
        at = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=None)
        if at is None:
            roles = ", ".join(m.role for m in messages) or "none"
            raise InputError(
                f"likelihood/answer: sample {index}: the completion's turns are {roles}; "
                "give one of the assistant's, in which the answer stands"
            )
        return Last(messages[:at], messages[at], self.options.span(messages[at].text))

    def _found(self, text: str, values: tuple[float | None, float | None] | None) -> Found:
        if values is None:
            return fault("no answer, or several, where one reference answer would take its place")
        after, bare = values
        if bare is None:
            return abstention("the reference answer alone is longer than max_length")
        if after is None:
            return fault(TOO_LONG)
        gain = debiased(np.array([after]), np.array([bare]), shape=self.options.debias)  # type: ignore[arg-type]
        formed = np.array([self.options.formed(text)])
        score = float(with_format(gain, formed, format_coef=self.options.format_coef)[0])
        return Found(score, aspects={"probability": after, "base": bare, "format": float(formed[0])})


def _probability(read: Read | None, wanted: tuple[int, int], aggregate: str) -> float | None:
    """Of the tokens that cover the answer's characters."""
    if read is None:
        return None
    inside = (read.spans[:, 1] > wanted[0]) & (read.spans[:, 0] < wanted[1])
    if not inside.any():
        return None
    return float(answer_probability(read.logps[inside], aggregate=aggregate))  # type: ignore[arg-type]


def _answer(index: int, sample: Sample) -> str:
    if sample.reference is None or not str(sample.reference).strip():
        raise InputError(
            f"likelihood/answer: sample {index}: reference is {sample.reference!r}; "
            "give the answer whose probability counts"
        )
    return str(sample.reference)


def answer(
    model: str, before: str = "<answer>", after: str = "</answer>", tags: str = "think,answer",
    aggregate: str = "mean", debias: str = "threshold_0", format_coef: float = 0.1, max_length: int = 2048,
) -> AnswerReward:  # fmt: skip
    """The reward that `likelihood/answer` names.

    Args:
        model: folder or hub id of a causal LM.
        before: see `AnswerOptions`.
        after: see `AnswerOptions`.
        tags: see `AnswerOptions`.
        aggregate: see `AnswerOptions`.
        debias: see `AnswerOptions`.
        format_coef: see `AnswerOptions`.
        max_length: longest sequence in tokens.
    """
    options = AnswerOptions(before, after, tags, aggregate, debias, format_coef)
    return AnswerReward(LanguageModel.open(model, max_length=max_length), options)
