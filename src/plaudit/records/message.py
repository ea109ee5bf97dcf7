"""One turn of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message that is not plain text, in the shape of the chat APIs.

    Attributes:
        type: `text`, `image`, `image_url`, `audio`, ...
        data: the remaining keys of the part, as they stood in the row.
    """

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A turn: who speaks, what is said, which tools are called.

    Attributes:
        role: `system`, `user`, `assistant`, `tool` or a role that the template knows.
        content: text, or parts for multimodal content; empty where there are tool calls only.
        tool_calls: calls as the chat APIs write them (dictionaries with `function`), or none.
        extra: other keys of the message (`name`, `tool_call_id`, ...), kept as they are.
    """

    role: str
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The words of the message; parts that are not text are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(part.data.get("text", "")) for part in self.content if part.type == "text")

    def to_dict(self) -> dict[str, Any]:
        """The message as the chat APIs and chat templates take it."""
        content: Any = self.content
        if not isinstance(content, str):
            content = [{"type": part.type, **part.data} for part in content]
        row: dict[str, Any] = {"role": self.role, "content": content}
        if self.tool_calls:
            row["tool_calls"] = [dict(call) for call in self.tool_calls]
        row.update(dict(self.extra))
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Message:
        """Reads one message.

        Args:
            row: at least `role`, and `content` or `tool_calls`; `content` is a string, None or a list of parts.

        Raises:
            InputError: if a key is missing or has the wrong type.
        """
        if not isinstance(row, Mapping):
            raise InputError(f"message: expected an object with role and content, got {type(row).__name__}")
        role = row.get("role")
        if not isinstance(role, str) or not role:
            raise InputError(f"message: role is {role!r}; give a non-empty string such as 'user'")
        raw = row.get("content")
        calls = _calls(row.get("tool_calls"), role)
        if raw is None and not calls:
            raise InputError(f"message: a {role} message has neither content nor tool_calls")
        content: str | tuple[Part, ...]
        if raw is None:
            content = ""
        elif isinstance(raw, str):
            content = raw
        elif isinstance(raw, Sequence):
            content = tuple(_part(part, role) for part in raw)
        else:
            raise InputError(f"message: content of a {role} message is {type(raw).__name__}; give a string or parts")
        known = ("role", "content", "tool_calls")
        extra = tuple((k, v) for k, v in row.items() if k not in known and v is not None)
        return cls(role, content, calls, extra)


def _calls(calls: Any, role: str) -> tuple[Mapping[str, Any], ...]:
    if calls is None:
        return ()
    if isinstance(calls, str) or not isinstance(calls, Sequence) or not all(isinstance(c, Mapping) for c in calls):
        raise InputError(
            f"message: tool_calls of a {role} message is {calls!r:.80}; give a list of objects with function"
        )
    return tuple(calls)


def _part(part: Any, role: str) -> Part:
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise InputError(f"message: a part of a {role} message has no type: {part!r:.80}")
    return Part(part["type"], {k: v for k, v in part.items() if k != "type" and v is not None})
