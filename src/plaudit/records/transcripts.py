r"""Anthropic's transcripts, `\n\nHuman: ... \n\nAssistant: ...`, as real messages.

Decisions: one space after the colon belongs to the mark and the rest of a turn is kept to the letter; turns
of the same speaker in a row are one message, joined by a blank line, because chat templates want speakers to
alternate; a last `Assistant:` with nothing after it asks for a reply and is no message.
"""

from __future__ import annotations

import re

from plaudit.records.message import Message
from plaudit.records.sample import Conversation

_MARK = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_transcript(text: str) -> bool:
    r"""Whether a text is a transcript: it starts with `\n\nHuman:`."""
    return text.startswith("\n\nHuman:")


def parse_transcript(text: str, *, open_end: bool = False) -> Conversation:
    r"""The messages of a transcript.

    Args:
        text: starts with `\n\nHuman:`.
        open_end: True for a prompt: an empty `\n\nAssistant:` at the end asks for the reply and is left out.
            False keeps it as an empty reply.

    Returns:
        Alternating user and assistant messages.
    """
    parts = _MARK.split(text)[1:]
    turns: list[tuple[str, str]] = []
    for speaker, words in zip(parts[::2], parts[1::2], strict=True):
        role, content = _ROLES[speaker], words.removeprefix(" ")
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n\n{content}")
        else:
            turns.append((role, content))
    if open_end and turns[-1][0] == "assistant" and not turns[-1][1].strip():
        turns.pop()
    return tuple(Message(role, content) for role, content in turns)
