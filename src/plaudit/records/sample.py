"""What is scored: a prompt, a completion, and what a reward needs to judge it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plaudit.errors import InputError
from plaudit.records.message import Message

Conversation = tuple[Message, ...]
Completion = str | Conversation


def conversation(value: str | Sequence[Message | Mapping[str, Any]]) -> Conversation:
    """Messages from a string (one user message), messages, or dictionaries."""
    if isinstance(value, str):
        return (Message("user", value),)
    return tuple(m if isinstance(m, Message) else Message.from_dict(m) for m in value)


def completion_messages(completion: Completion) -> Conversation:
    """The completion as messages; a string becomes one assistant message."""
    if isinstance(completion, str):
        return (Message("assistant", completion),)
    return completion


def completion_text(completion: Completion) -> str:
    """The words of a completion: what length, markdown and other surface features are counted on."""
    if isinstance(completion, str):
        return completion
    return "\n".join(m.text for m in completion if m.role == "assistant")


@dataclass(frozen=True, slots=True)
class Sample:
    """A completion to be scored.

    Attributes:
        prompt: the conversation so far; a plain string becomes one user message.
        completion: a string, or messages for multi-turn and tool use.
        reference: the gold answer, tests, boxes, ...: whatever a verifier needs.
        group: samples with the same group answer the same prompt.
        steps: parts of the completion that a process reward judges; joined they equal the completion.
        meta: everything else in the row.
    """

    prompt: Conversation
    completion: Completion
    reference: Any = None
    group: str | None = None
    steps: tuple[str, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", conversation(self.prompt))
        if not isinstance(self.completion, str):
            object.__setattr__(self, "completion", conversation(self.completion))
        if self.steps is not None:
            object.__setattr__(self, "steps", tuple(self.steps))
            if "".join(self.steps) != self.text:
                raise InputError(
                    f"sample: {len(self.steps)} steps do not join to the completion; joined, they must equal it"
                )

    @property
    def text(self) -> str:
        """The words of the completion."""
        return completion_text(self.completion)

    @property
    def messages(self) -> Conversation:
        """Prompt and completion as one conversation."""
        return self.prompt + completion_messages(self.completion)

    @property
    def key(self) -> str:
        """Hash of prompt, completion and reference: what a durable log files the sample's reward under."""
        return content_hash([[m.to_dict() for m in self.messages], len(self.prompt), self.reference, self.steps])


def content_hash(value: Any) -> str:
    """First 32 hex digits of the SHA-256 of a value's canonical JSON; values that JSON lacks go by `repr`."""
    blob = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=repr)
    return hashlib.sha256(blob.encode("utf-8", "surrogatepass")).hexdigest()[:32]
