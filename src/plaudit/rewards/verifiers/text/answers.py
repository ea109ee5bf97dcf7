"""Where in a completion the answer stands, and the gold answers that a reference may hold."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from plaudit.errors import InputError
from plaudit.rewards.verifiers.text.words import blank

PLACES = ("completion", "answer", "line")
"""The whole completion; inside its `<answer>` tags; its last line that shows something."""

_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|end|>", "<|return|>",
         "<\uff5cend\u2581of\u2581sentence\uff5c>", "<end_of_turn>", "</s>", "<eos>")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, or why there is none: the one is empty where the other is not.

    Attributes:
        text: the answer as it stands in the completion.
        reason: what is wrong with the completion.
    """

    text: str = ""
    reason: str = ""


def after_thinking(text: str) -> str:
    """What follows the last `</think>`, without end tokens; nothing where a `<think>` is open to the end."""
    final = without_end_tokens(text).rpartition("</think>")[2]
    return final.partition("<think>")[0] if "<think>" in final else final


def without_end_tokens(text: str) -> str:
    """The text without the end tokens of the usual templates behind it, which some hosts leave in. Linear."""
    shown = len(text.rstrip())
    end = shown
    while (token := next((t for t in _ENDS if text.endswith(t, 0, end)), None)) is not None:
        end -= len(token)
        while end and text[end - 1].isspace():
            end -= 1
    return text if end == shown else text[:end]


def answer_in(text: str, within: str = "completion", after: str = "") -> Found:
    """The answer of a completion.

    Args:
        text: the completion.
        within: one of `PLACES`.
        after: a phrase; what follows its last occurrence counts. Empty for none.

    Returns:
        The answer, stripped; or the reason why there is none: several `<answer>` tags that differ, no phrase, nothing.
    """
    final = after_thinking(text)
    if within == "answer":
        inside = tagged(final)
        if len({" ".join(part.split()) for part in inside}) > 1:
            return Found(reason="several <answer> tags that differ")
        if not inside:
            return Found(reason="no <answer> tag")
        final = inside[0]
    elif within == "line":
        final = next((line for line in reversed(final.splitlines()) if not blank(line)), "")
    if after:
        _, found, final = final.rpartition(after)
        if not found:
            return Found(reason=f"no {after!r}")
    final = final.strip()
    return Found(reason="empty answer") if blank(final) else Found(final)


def tagged(text: str) -> list[str]:
    """What stands between each `<answer>` and the next `</answer>`; tags without a partner hold nothing. Linear."""
    inside, start = [], -1
    for tag in _TAG.finditer(text):
        if not tag.group(1):
            start = tag.end() if start < 0 else start
        elif start >= 0:
            inside.append(text[start : tag.start()])
            start = -1
    return inside


def check_place(kind: str, within: str) -> None:
    """Refuses a place that is none of `PLACES`.

    Raises:
        InputError: naming the verifier `kind` and the legal places.
    """
    if within not in PLACES:
        raise InputError(f"{kind}: within is {within!r}; give one of {', '.join(PLACES)}")


def golds(reference: Any) -> list[str]:
    """The gold answers that a reference holds: a text, a number, or a list of these.

    Raises:
        InputError: if there is none, or one shows nothing.
    """
    given = list(reference) if isinstance(reference, list | tuple) else [reference]
    if not given or any(_gold(g) is None for g in given):
        raise InputError(f"reference is {reference!r:.80}; give an answer that is not empty, or a list of answers")
    return [str(_gold(g)) for g in given]


def _gold(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float):
        return repr(value).removesuffix(".0") if math.isfinite(value) else None
    return None if blank(str(value)) else str(value).strip()
