"""Prompts that are not in a column of their own: the turns that chosen and rejected share."""

from __future__ import annotations

from typing import Any

from plaudit.records.fields import RowError, completion
from plaudit.records.sample import Completion, Conversation
from plaudit.records.transcripts import is_transcript, parse_transcript


def implicit_pair(chosen: Any, rejected: Any) -> tuple[Conversation, Conversation, Conversation]:
    """Prompt, chosen and rejected out of two conversations that begin alike.

    The prompt is the longest run of messages that both share and that ends before a message of the assistant
    in both: a difference inside an earlier reply makes that reply, and all after it, part of the completion.
    Two equal conversations share all but their last reply.

    Args:
        chosen: the cell: messages, their JSON, or a transcript.
        rejected: the cell.

    Raises:
        RowError: if the cells are plain text, share no prompt, or one has no reply after it.
    """
    first, second = _turns("chosen", chosen), _turns("rejected", rejected)
    shared = 0
    while shared < min(len(first), len(second)) and first[shared] == second[shared]:
        shared += 1
    cut = min(shared, len(first) - 1, len(second) - 1)
    while cut > 0 and (first[cut].role != "assistant" or second[cut].role != "assistant"):
        cut -= 1
    if cut <= 0:
        raise RowError("chosen", chosen, "chosen and rejected do not begin with the same prompt; give a column prompt")
    return first[:cut], first[cut:], second[cut:]


def without_prompt(prompt: Conversation, reply: Completion, field: str) -> Completion:
    """A completion without the prompt that some data sets repeat at its beginning.

    Args:
        prompt: the conversation so far.
        reply: text (kept as it is) or messages.
        field: the column, for the message.

    Raises:
        RowError: if messages begin with a turn that is neither the prompt's nor the assistant's.
    """
    if isinstance(reply, str) or reply[0].role in ("assistant", "tool"):
        return reply
    if reply[: len(prompt)] == prompt and len(reply) > len(prompt):
        return reply[len(prompt) :]
    role = reply[0].role
    raise RowError(
        field,
        [m.to_dict() for m in reply],
        f"begins with a {role} message that is not the prompt; leave the prompt out",
    )


def _turns(field: str, value: Any) -> Conversation:
    if isinstance(value, str) and is_transcript(value):
        return parse_transcript(value)
    found = completion(field, value)
    if isinstance(found, str):
        reason = "is plain text and there is no column prompt, so the prompt cannot be told from the reply"
        raise RowError(field, value, f"{reason}; give prompt, messages, or a transcript")
    return found
