"""One cell of a row at a time: its value in the type that the format wants, or why not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.sample import Completion, Conversation
from plaudit.records.transcripts import is_transcript, parse_transcript

Raw = Mapping[str, Any]


class RowError(InputError):
    """A row that cannot be read: which field, which value, why.

    Attributes:
        field: the column.
        value: what stands there, shortened; None where the column is missing.
        reason: why it cannot be read, and the fix.
    """

    def __init__(self, field: str, value: Any, reason: str) -> None:
        """Puts the three into one line."""
        self.field, self.reason = field, reason
        self.value = None if value is None else shortened(value)
        super().__init__(f"{field} = {self.value}: {reason}" if value is not None else f"{field}: {reason}")


def shortened(value: Any, limit: int = 60) -> str:
    """A value's `repr` for a message, cut to `limit` characters."""
    # a million-character cell must not be formatted whole just to be cut
    text = repr(value[: limit + 1]) if isinstance(value, str | list | tuple) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def prompt_field(raw: Raw, name: str = "prompt") -> Conversation:
    """A prompt: text, messages or a transcript.

    Raises:
        RowError: if it is missing, empty or neither.
    """
    value = present(raw, name)
    if isinstance(value, str):
        return parse_transcript(value, open_end=True) if is_transcript(value) else (Message("user", value),)
    return messages(name, value)


def completion_field(raw: Raw, name: str) -> Completion:
    """A completion: text, or messages with the assistant among them."""
    return completion(name, present(raw, name))


def completion(name: str, value: Any) -> Completion:
    """A completion from a cell.

    Args:
        name: the column, for the message.
        value: text or a list of messages.

    Raises:
        RowError: if it is neither, or no message is the assistant's.
    """
    if isinstance(value, str):
        return value
    found = messages(name, value)
    if not any(m.role == "assistant" for m in found):
        roles = ", ".join(m.role for m in found)
        raise RowError(name, value, f"no message of the assistant in it (roles: {roles}), so nothing to score")
    return found


def messages(name: str, value: Any) -> Conversation:
    """Messages from a list of objects.

    Raises:
        RowError: if it is no list, empty, or a message is broken.
    """
    if not isinstance(value, list | tuple):
        kind = "null" if value is None else type(value).__name__
        raise RowError(name, value, f"it is {kind}; give text or a list of messages")
    if not value:
        raise RowError(name, value, "the list of messages is empty")
    try:
        return tuple(Message.from_dict(m) for m in value)
    except InputError as error:
        raise RowError(name, value, str(error).removeprefix("message: ")) from error


def present(raw: Raw, name: str) -> Any:
    """A cell that must be there.

    Raises:
        RowError: if the column is missing or null.
    """
    value = raw.get(name)
    if value is None:
        why = "is null" if name in raw else "is missing"
        raise RowError(name, None, f"the column {why}; the row has {', '.join(raw) or 'no columns'}")
    return value


def number(name: str, value: Any) -> float:
    """A finite number; text that spells one is taken (CSV has nothing else).

    Raises:
        RowError: if it is no number, NaN or infinite.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise RowError(name, value, "it is not a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(name, value, f"it is {type(value).__name__}; give a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise RowError(name, value, "it is not finite; give a finite number or leave the cell out")
    return found


def optional_number(raw: Raw, name: str) -> float | None:
    """A finite number, or None where the column is missing or null."""
    value = raw.get(name)
    return None if value is None else number(name, value)


def flag(name: str, value: Any) -> bool:
    """True or false, also written 1 and 0 or in letters.

    Raises:
        RowError: if it is anything else.
    """
    if isinstance(value, bool):
        return value
    spelled = {"true": True, "false": False, "1": True, "0": False}
    key = value.strip().lower() if isinstance(value, str) else str(value) if value in (0, 1) else ""
    if key[:1] in ("0", "1"):
        key = key.removesuffix(".0")
    if key not in spelled:
        raise RowError(name, value, "give true or false")
    return spelled[key]


def items(name: str, value: Any, each: Callable[[str, Any], Any]) -> tuple[Any, ...]:
    """A list with every element converted; a cell that holds JSON text is decoded.

    Args:
        name: the column.
        value: a list, or its JSON.
        each: converts one element, given the name `column[i]`.

    Raises:
        RowError: if it is no list, or an element is broken.
    """
    value = decoded(value)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RowError(name, value, f"it is {type(value).__name__}; give a list")
    return tuple(each(f"{name}[{i}]", item) for i, item in enumerate(value))


def text(name: str, value: Any) -> str:
    """Text, and nothing else.

    Raises:
        RowError: if it is not.
    """
    if not isinstance(value, str):
        raise RowError(name, value, f"it is {type(value).__name__}; give text")
    return value


def label_text(raw: Raw, name: str) -> str | None:
    """The name of something (annotator, group): text, or an integer taken as text; None where missing."""
    value = raw.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RowError(name, value, f"it is {type(value).__name__}; give text")


def numbers_by_name(name: str, value: Any) -> dict[str, float]:
    """An object of finite numbers, such as `aspects`.

    Raises:
        RowError: if it is no object, or a value is no finite number.
    """
    value = decoded(value)
    if not isinstance(value, Mapping):
        raise RowError(name, value, f"it is {type(value).__name__}; give an object of numbers")
    # columnar files give every row the union of the keys; a null there means that the row has no such key
    return {str(k): number(f"{name}.{k}", v) for k, v in value.items() if v is not None}


def decoded(value: Any) -> Any:
    """The value of a cell that holds a JSON list or object as text; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
