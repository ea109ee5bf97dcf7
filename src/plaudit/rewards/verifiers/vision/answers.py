"""Boxes out of what a model wrote: JSON or Python literals, inside `<answer>` tags or a fenced block or bare."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.rewards.verifiers.text.answers import after_thinking

MOST_BOXES = 500
"""Predictions beyond which an answer is a flood."""
MOST_CHARACTERS = 50_000
"""Of the part that holds the boxes: longer ones are a flood, and literals are not parsed."""

POSITIONS = ("Position", "position", "bbox_2d", "bbox", "box")
CONFIDENCES = ("Confidence", "confidence", "score")


@dataclass(frozen=True, slots=True)
class Predicted:
    """Boxes as they were written.

    Attributes:
        boxes: (n, 4).
        confidence: (n,) in [0, 1]; NaN where none was given.
    """

    boxes: NDArray[np.float64]
    confidence: NDArray[np.float64]


class UnreadableError(ValueError):
    """The candidate's answer holds no boxes that can be read; the text says why."""


def predicted_boxes(text: str) -> Predicted:
    """The boxes of an answer, in the order in which they stand; exact duplicates once, with their first confidence.

    Accepted are `[x1, y1, x2, y2]`, a list of these, and a list of objects with a position (`Position`,
    `bbox_2d`, `bbox`, `box`) and perhaps a confidence (`Confidence`, `confidence`, `score`).

    Raises:
        UnreadableError: if there are none, or they are malformed, too many, or not finite.
    """
    value = _literal(_answer(text))
    items = [value] if isinstance(value, Mapping) or _is_box(value) else value
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise UnreadableError("no list of boxes")
    if len(items) > MOST_BOXES:
        raise UnreadableError(f"{len(items)} boxes, over {MOST_BOXES}")
    found: dict[tuple[float, ...], float] = {}
    for item in items:
        box, confidence = _read(item)
        found.setdefault(box, confidence)
    return Predicted(np.array(list(found), dtype=np.float64).reshape(-1, 4), np.array(list(found.values())))


def _answer(text: str) -> str:
    """The last `<answer>`, else the last fenced block, else all from the first bracket on; behind the thinking."""
    text = after_thinking(text)
    for opening, closing in (("<answer>", "</answer>"), ("```json", "```"), ("```", "```")):
        end = text.rfind(closing) if opening != "```json" or opening in text else -1
        start = text.rfind(opening, 0, max(end, 0))
        if end >= 0 and start >= 0:
            text = text[start + len(opening) : end]
            break
    begin = re.search(r"[\[{]", text)
    end = max(text.rfind("]"), text.rfind("}"))
    if begin is None or end < begin.start():
        raise UnreadableError("no answer with boxes")
    return text[begin.start() : end + 1]


def _literal(text: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError(f"{len(text)} characters of boxes, over {MOST_CHARACTERS}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # models also write Python literals, with single quotes
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise UnreadableError("neither JSON nor a Python literal") from error


def _read(item: Any) -> tuple[tuple[float, ...], float]:
    confidence: Any = None
    if isinstance(item, Mapping):
        confidence = next((item[k] for k in CONFIDENCES if k in item), None)
        item = next((item[k] for k in POSITIONS if k in item), None)
    if not _is_box(item):
        raise UnreadableError("a box is not four finite numbers")
    if confidence is None:
        return tuple(float(x) for x in item), math.nan
    if not _is_number(confidence) or not 0 <= confidence <= 1:
        raise UnreadableError("a confidence is not within 0 and 1")
    return tuple(float(x) for x in item), float(confidence)


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e9  # NaN compares false; larger coordinates would overflow in an area
