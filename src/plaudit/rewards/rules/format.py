"""Format: thinking and answer in their tags, and nothing outside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import SampleReward, Verdict


def tagged_sections(text: str, tags: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Contents of tags that stand once each, in their order, with white space alone outside.

    Args:
        text: the completion.
        tags: names, in order.

    Returns:
        Tag to content, as far as it could be read; and what is wrong, empty where nothing is.
    """
    at = 0
    found: dict[str, str] = {}
    for mark in (mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")):
        if text.count(mark) != 1:
            return found, f"{mark} stands {text.count(mark)} times"
        if text.find(mark) < at:
            return found, f"{mark} is out of order"
        at = text.find(mark)
    at = 0
    for tag in tags:
        start, end = text.find(f"<{tag}>"), text.find(f"</{tag}>")
        if text[at:start].strip():
            return found, f"text before <{tag}>"
        found[tag] = text[start + len(tag) + 2 : end]
        at = end + len(tag) + 3
    return found, "text after the last tag" if text[at:].strip() else ""


@final
@dataclass(frozen=True)
class FormatReward(SampleReward):
    """1 where the completion is exactly its tags in order, each with content; else a share of the marks, or 0.

    With `partial` a completion that fails earns `0.5 * right marks / all marks`, a mark being right when it stands
    exactly once: a gradient to climb, of which nothing but the full format gives more than half.

    Source: DeepSeek-AI 2025, "DeepSeek-R1", the format reward; the partial form is ours.
    """

    tags: str = "think,answer"
    """Tags in their order, with commas."""
    partial: bool = False
    """Whether right marks earn something before the whole format is right."""

    kind: ClassVar[str] = "rule/format"

    def __post_init__(self) -> None:
        if not all(re.fullmatch(r"[A-Za-z][\w-]*", tag) for tag in self._names()) or len(set(self._names())) < len(
            self._names()
        ):
            raise InputError(f"{self.kind}: tags are {self.tags!r}; give different names, such as 'think,answer'")

    def verdict(self, sample: Sample) -> Verdict:
        """Reads the tags."""
        found, wrong = tagged_sections(sample.text, self._names())
        empty = [tag for tag, content in found.items() if not content.strip()]
        if not wrong and empty:
            wrong = f"<{empty[0]}> is empty"
        if not wrong:
            return Verdict.scored(1.0, reason="")
        if not self.partial:
            return Verdict.scored(0.0, reason=wrong)
        marks = [mark for tag in self._names() for mark in (f"<{tag}>", f"</{tag}>")]
        right = sum(sample.text.count(mark) == 1 for mark in marks)
        return Verdict.scored(0.5 * right / len(marks), reason=wrong)

    def _names(self) -> tuple[str, ...]:
        return _split(self.tags)


@cache
def _split(tags: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in tags.split(","))
