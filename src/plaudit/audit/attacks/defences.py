"""A defence of judges that see both texts in one prompt: what looks like the prompt's own marks is taken out [209].

A null model wins by closing the block in which its text stands and opening one of its own. A judge that never sees
such marks inside a text cannot be answered in the prompt's name, and a judge that is asked in both orders cannot be won
by a place.

Source: Zheng et al. 2024, "Cheating Automatic LLM Benchmarks: Null Models Achieve High Win Rates" [209].

Differs from the paper: it tries perplexity filters and other templates; marks are taken out whole here, not quoted, so
that two texts that differ in marks alone get the same judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from plaudit.audit.attacks.ground import said, with_said
from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Comparison, PreferenceBatch

DELIMITERS = (
    "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "[INST]", "[/INST]",
    "[[A]]", "[[B]]", "[[C]]", "<<SYS>>", "<</SYS>>", "</s>", "<s>", "```", '"""', "'''", "###", "---",
    "[The Start of Assistant", "[The End of Assistant", "[User Question]",
)  # fmt: skip
"""Marks of chat templates, verdicts and blocks of published judges' prompts."""


def without_delimiters(text: str, delimiters: Sequence[str] = DELIMITERS) -> str:
    """The text without any of the marks, also without those that taking one out would put together.

    Args:
        text: of a completion.
        delimiters: marks, not empty.

    Raises:
        InputError: if a mark is empty.
    """
    if any(not d for d in delimiters):
        raise InputError("without_delimiters: a delimiter is empty; give strings of at least one character")
    before = None
    while before != text:  # "[[[[A]]A]]" leaves "[[A]]" behind at first
        before = text
        for mark in delimiters:
            text = text.replace(mark, "")
    return text


@final
class Defended:
    """A comparison again: of another one, which is shown texts without marks, in both orders.

    `p = (q(a, b) + 1 - q(b, a)) / 2` with q the other one's probability on the texts without marks: two equal texts are
    at exactly one half, whatever place it leans to. Where either order gave no judgement there is none.

    Args:
        of: the comparison; asked twice a pair.
        delimiters: marks that are taken out.
    """

    def __init__(self, of: Comparison, *, delimiters: Sequence[str] = DELIMITERS) -> None:
        self.of, self.delimiters = of, tuple(delimiters)
        self.name = f"defended({of.name})"
        self.fingerprint = content_hash(["defended", of.fingerprint, list(self.delimiters)])

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Probabilities that the first of each pair is better.

        Args:
            first: n samples.
            second: n samples of the same prompts.
        """
        a, b = ([self._bare(s) for s in side] for side in (first, second))
        there, back = self.of(a, b), self.of(b, a)
        probability = (there.probability + 1 - back.probability) / 2
        # the graver one of the two: values of `Outcome` rise from scored to a fault of the instrument
        return PreferenceBatch(probability, np.maximum(there.outcome, back.outcome).astype(np.int8))

    def _bare(self, sample: Sample) -> Sample:
        text = said(sample.completion)
        bare = without_delimiters(text, self.delimiters)
        return sample if bare == text else with_said(sample, bare)
