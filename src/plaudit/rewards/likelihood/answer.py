"""The probability of the reference answer after a candidate's own reasoning: a verifier where none can be written.

Differs from the paper: a completion without an answer to be replaced is a fault of the policy's, worth the floor, and
so is one with several. The probability without reasoning is computed in the same call, where the samples of a prompt
share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.likelihood.language import LanguageModel, Read
from plaudit.rewards.likelihood.outcomes import TOO_LONG, Found, Scale, assembled, fault
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


@final
class AnswerReward:
    """`(1 - c) * debiased mean probability of the reference answer + c * format`, in [0, 1] (below 0 with `leaky`).

    The candidate's answer is replaced by the sample's `reference`, and the probability of its tokens is read after the
    candidate's reasoning. Not a string, the reference is written as one. Aspects: `probability`, `base`, `format`.

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
        return content_hash(["likelihood/answer", 1, self.model.fingerprint, asdict(self.options)])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples.

        Raises:
            InputError: if a sample has no reference answer.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        answers = [_answer(i, s) for i, s in enumerate(samples)]
        places = [self.options.span(s.text) if isinstance(s.completion, str) else None for s in samples]
        asked: list[Sample] = []
        wanted: list[tuple[int, int]] = []
        for sample, answer, place in zip(samples, answers, places, strict=True):
            if place is None:
                continue
            o = self.options
            for before, after in ((sample.text[: place[0]], sample.text[place[1] :]), (o.before, o.after)):
                asked.append(Sample(sample.prompt, before + answer + after, meta=sample.meta))
                wanted.append((len(before), len(before) + len(answer)))
        read = self.model.read(self.model.locate(asked, end=False))
        values = [_probability(r, w, self.options.aggregate) for r, w in zip(read, wanted, strict=True)]
        pairs = iter(zip(values[::2], values[1::2], strict=True))
        found = [self._found(s, next(pairs) if p else None) for s, p in zip(samples, places, strict=True)]
        return assembled(found, Scale(floor=self.bounds[0]))

    def _found(self, sample: Sample, values: tuple[float | None, float | None] | None) -> Found:
        if values is None:
            return fault("no answer, or several, where one reference answer would take its place")
        after, bare = values
        if after is None or bare is None:
            return fault(TOO_LONG)
        gain = debiased(np.array([after]), np.array([bare]), shape=self.options.debias)  # type: ignore[arg-type]
        formed = np.array([self.options.formed(sample.text)])
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
