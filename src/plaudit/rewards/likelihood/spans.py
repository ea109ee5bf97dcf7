"""Which tokens of a rendered conversation are the completion's, and which characters each of them covers.

A causal language model sees one long text. Of it, the tokens from the start of an assistant's turn to the turn's end
belong to the policy; roles, user's turns and tool results between them do not. Character spans are in the completion's
own text, so that token rewards can be laid over it and steps be read off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plaudit.engine.rendering import Encoder, NoRoomError, well_formed
from plaudit.engine.tree import Ids
from plaudit.errors import UnsupportedError
from plaudit.records.message import Message
from plaudit.records.sample import Completion, Conversation, completion_messages

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Located:
    """One conversation as token ids, with the tokens that count.

    Attributes:
        ids: int32 (t,).
        counted: int64 (k,), positions of the tokens that count, ascending, none of them the first of the sequence.
        spans: int64 (k, 2), start and end in the completion's text of the characters that each of them covers; a token
            behind the text (the end of the turn) covers none and stands at its end.
        cut: tokens that truncation took from the conversation before the completion.
    """

    ids: Ids
    counted: Index
    spans: Index
    cut: int = 0


class Turn(NamedTuple):
    """Where a turn of the completion stands in the rendered text, and where its words stand there.

    `places` says for each gap between two characters of the rendered text, from `start` on, which gap in the
    completion's own text that is.
    """

    start: int
    stop: int
    words: tuple[int, int]
    places: Index

    def place(self, at: int) -> int:
        """Of a gap of the rendered text; outside the turn the nearest of its gaps."""
        return int(self.places[min(max(at - self.start, 0), len(self.places) - 1)])


def locate_group(
    encoder: Encoder, prompt: Conversation, completions: Sequence[Completion], *, end: bool = True,
    last: bool = False, tools: Any = None, kwargs: Any = None,
) -> list[Located | None]:  # fmt: skip
    """The completions of one prompt as token ids, truncated alike, with the tokens of their turns.

    Args:
        encoder: renders; its tokenizer must be a fast one, since character offsets are needed.
        prompt: the shared conversation.
        completions: at least one.
        end: whether the tokens that close a turn count with it.
        last: count the last message of each completion, whoever says it, in place of the assistant's turns.
        tools: tool descriptions for the template.
        kwargs: further arguments of the template.

    Returns:
        One a completion; None where a part of it would have to be left out: the completion alone is longer than the
        template's `max_length`, or is with the system message.

    Raises:
        UnsupportedError: if the tokenizer gives no character offsets.
    """
    if not encoder.tokenizer.is_fast:
        name = encoder.tokenizer.name_or_path
        raise UnsupportedError(f"likelihood: tokenizer {name!r} gives no character offsets; use its fast form")
    whole = [_whole(encoder, prompt, c, end, last, tools, kwargs) for c in completions]
    limit = encoder.template.max_length
    # what cannot fit is set aside first: the others must not lose their prompt to it
    fits = [i for i, (w, first) in enumerate(whole) if w.ids.size - first < limit]
    found: list[Located | None] = [None] * len(whole)
    if not fits:
        return found
    try:
        encoded = encoder.encode_group(prompt, [completions[i] for i in fits], tools=tools, kwargs=kwargs)
    except NoRoomError:
        return found
    for i, e in zip(fits, encoded, strict=True):
        w, first = whole[i]
        if not e.cut:
            found[i] = w
            continue
        tail = w.ids.size - first
        kept = e.ids.size - tail
        if kept >= 1 and np.array_equal(e.ids[kept:], w.ids[first:]):
            found[i] = Located(e.ids, w.counted - (w.ids.size - e.ids.size), w.spans, e.cut)
    return found


def _whole(
    encoder: Encoder, prompt: Conversation, completion: Completion, end: bool, last: bool, tools: Any, kwargs: Any
) -> tuple[Located, int]:
    """A conversation that is not truncated, and the position from which on all of it must be kept."""
    messages = completion_messages(completion)
    conversation = prompt + messages
    text = well_formed(encoder.text(conversation, tools=tools, kwargs=kwargs))
    turns: list[Turn] = []
    offset = 0
    for m in range(len(prompt), len(conversation)):
        if (m + 1 < len(conversation)) if last else (conversation[m].role != "assistant"):
            continue
        turns.append(_turn(encoder, text, conversation, m, offset, tools, kwargs))
        offset += len(conversation[m].text) + 1  # `completion_text` joins turns by one line break
    read = encoder.tokenizer([text], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = list(read["input_ids"][0]), list(read["offset_mapping"][0])
    if encoder.template.append_eos:
        ids.append(encoder.tokenizer.eos_token_id)
        offsets.append((len(text), len(text) + 1))
        turns = [*turns[:-1], turns[-1]._replace(stop=len(text) + 1)] if turns else turns
    counted, spans = _counted(offsets, turns, end)
    begins = _turn(encoder, text, conversation, len(prompt), 0, tools, kwargs).start if messages else len(text)
    first = next((i for i, (_, b) in enumerate(offsets) if b > begins), len(ids))
    return Located(np.array(ids, dtype=np.int32), counted, spans), first


def _turn(
    encoder: Encoder, text: str, conversation: tuple[Message, ...], m: int, offset: int, tools: Any, kwargs: Any
) -> Turn:
    """Where message `m` of a conversation stands in its rendered text."""
    asks = conversation[m].role == "assistant"
    before = encoder.text(conversation[:m], tools=tools, kwargs=kwargs, generation=asks) if m else ""
    start = _shared(well_formed(before), text)
    stop = len(text)
    if m + 1 < len(conversation):
        stop = _shared(well_formed(encoder.text(conversation[: m + 1], tools=tools, kwargs=kwargs)), text)
    words, places = _places(well_formed(conversation[m].text), text[start:], stop - start)
    return Turn(start, stop, (start + words[0], start + words[1]), offset + places)


def _places(written: str, rendered: str, size: int) -> tuple[tuple[int, int], Index]:
    """Where words stand in what a template made of them, and for each gap there the gap in the words.

    Templates trim turns and set lines around reasoning anew, and a pad token's text is broken by a space of no width:
    words that differ in white space alone keep their places. Where more was changed, they are taken to begin with the
    turn.

    Args:
        written: the message's text.
        rendered: the conversation from the turn on.
        size: length of the turn in it.
    """
    bare, at = written.strip(), -1
    for part in (rendered[:size], rendered):  # its own turn first: a later one may quote it
        at = part.find(bare)
        if at >= 0:
            break
        if aligned := _aligned(written, part):
            return aligned
    at = max(at, 0)
    lead = len(written) - len(written.lstrip())
    whole = at >= lead and rendered.startswith(written, at - lead)
    first, last = (at - lead, at - lead + len(written)) if whole else (at, at + len(bare))
    gaps = np.arange(max(size, last) + 1, dtype=np.int64)
    if whole:
        return (first, last), np.clip(gaps - first, 0, len(written))
    places = np.clip(gaps - first, 0, len(bare)) + lead
    places[last:] = len(written)  # white space that was trimmed goes to the last letter
    return (first, last), places


def _aligned(written: str, rendered: str) -> tuple[tuple[int, int], Index] | None:
    """The same of words whose letters stand in the rendered text with other white space between them."""
    ours, theirs = _black(written), _black(rendered)
    first = "".join(rendered[i] for i in theirs).find("".join(written[i] for i in ours))
    if first < 0:
        return None
    theirs = theirs[first : first + ours.size]
    places = np.full(len(rendered) + 1, ours[0])
    places[theirs + 1] = ours + 1
    places[theirs] = ours  # white space that was left out goes to the letter before it
    places[theirs[-1] + 1 :] = len(written)
    return (int(theirs[0]), int(theirs[-1]) + 1), np.maximum.accumulate(places)


def _black(text: str) -> Index:
    """Places of the characters that are no white space, of whatever width."""
    return np.array([i for i, c in enumerate(text) if not (c.isspace() or c == "\u200b")], dtype=np.int64)


def _counted(offsets: Sequence[tuple[int, int]], turns: Sequence[Turn], end: bool) -> tuple[Index, Index]:
    positions: list[int] = []
    spans: list[tuple[int, int]] = []
    for turn in turns:
        first, last = (turn.start, turn.stop) if end else turn.words
        for i, (a, b) in enumerate(offsets):
            # a token may begin in the space before the turn and end in its first word: it is chosen with that word
            if i and b > first and a < last:
                positions.append(i)
                spans.append((turn.place(a), turn.place(b)))
    return np.array(positions, dtype=np.int64), np.array(spans, dtype=np.int64).reshape(-1, 2)


def _shared(a: str, b: str) -> int:
    """Length of the longest common prefix of two texts."""
    if b.startswith(a):
        return len(a)
    return next(i for i, (x, y) in enumerate(zip(a + "\0", b + "\1", strict=False)) if x != y)


def step_positions(steps: Sequence[str], spans: Index) -> Index:
    """How many of the counted tokens belong to the first s steps, int64 (steps,).

    A token belongs to the step in which it begins; what follows the text belongs to the last step.

    Args:
        steps: parts of the completion's text, in order.
        spans: (k, 2), as `Located.spans`.
    """
    ends = np.cumsum([len(step) for step in steps])
    found = np.searchsorted(spans[:, 0], ends, side="left")
    found[-1:] = len(spans)
    return np.maximum.accumulate(found).astype(np.int64)


def common_spans(first: Index, second: Index) -> tuple[Index, Index, Index]:
    """The finest division of a text that two tokenizations share.

    Args:
        first: (k, 2), spans of one.
        second: (m, 2), spans of the other.

    Returns:
        Spans (s, 2), and for each of them how many tokens of the first and of the second end with it or before it.
        What follows the text is one span.
    """
    stop = max(int(first[:, 1].max(initial=0)), int(second[:, 1].max(initial=0)))
    ends = sorted({*first[:, 1].tolist()} & {*second[:, 1].tolist()} | {stop})
    counts = [[int(((s[:, 1] <= e) & (s[:, 0] < stop)).sum()) for e in ends] for s in (first, second)]
    spans = [(a, b) for a, b in pairwise([0, *ends]) if b > a]
    counts = [[c for c, e in zip(row, ends, strict=True) if e > 0] for row in counts]
    if any((s[:, 0] >= stop).any() for s in (first, second)):
        spans.append((stop, stop))
        counts = [[*row, len(s)] for row, s in zip(counts, (first, second), strict=True)]
    return np.array(spans, dtype=np.int64).reshape(-1, 2), np.array(counts[0]), np.array(counts[1])
