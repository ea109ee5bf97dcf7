"""What is in a file of records, and what is wrong with it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from plaudit.records.formats import Kind
from plaudit.records.reading import BrokenRow, Records
from plaudit.records.rows import Pair, PromptOnly, Ranked, Rated, Row, Stepwise, Unpaired
from plaudit.records.sample import (
    Completion,
    Conversation,
    Sample,
    completion_messages,
    completion_text,
    content_hash,
)

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths, over texts."""

    n: int
    mean: float
    median: float
    p95: float
    max: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The findings about one source. Rows go by their numbers in it.

    Attributes:
        source: as the user named it.
        kind: the format.
        n: rows that could be read.
        n_prompts: distinct prompts among them.
        data_hash: hash of the rows' content.
        broken: rows that could not be read.
        lengths: `prompt/words`, `chosen/characters`, ... to the distribution.
        duplicates: (row, earlier row) with equal prompt, completions and label.
        contradictions: (row, earlier row) that prefer the opposite, or label the same completion otherwise.
        empty: rows with a completion without any word.
        identical: rows whose completions are all the same, so that nothing can be learned from them.
        longer_chosen: pairs in which the chosen completion is the longer one, in characters.
        shorter_chosen: pairs in which it is the shorter one.
        same_length: pairs of equally long completions.
        shared_prompts: other source to the rows here whose prompt is also there.
        columns: names of metadata columns to the number of rows that have them.
    """

    source: str
    kind: Kind
    n: int
    n_prompts: int
    data_hash: str
    broken: tuple[BrokenRow, ...]
    lengths: Mapping[str, Lengths]
    duplicates: tuple[tuple[int, int], ...]
    contradictions: tuple[tuple[int, int], ...]
    empty: tuple[int, ...]
    identical: tuple[int, ...]
    longer_chosen: int
    shorter_chosen: int
    same_length: int
    shared_prompts: Mapping[str, tuple[int, ...]]
    columns: Mapping[str, int]

    @property
    def clean(self) -> bool:
        """Whether every row could be read and no prompt is on both sides."""
        return not self.broken and not any(self.shared_prompts.values())

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return asdict(self)


def check(records: Records, against: Sequence[Records] = (), *, count_tokens: Count | None = None) -> CheckReport:
    """Looks through records.

    Args:
        records: from `scan`, which keeps broken rows, or `read`.
        against: other splits that should share no prompt with this one.
        count_tokens: text to its number of tokens; lengths in tokens are left out without it.

    Returns:
        The findings.
    """
    numbers = records.numbers or tuple(range(1, len(records.rows) + 1))
    numbered = list(zip(numbers, records.rows, strict=True))
    prompts = [_key(row.prompt) for row in records.rows]
    duplicates, contradictions = _repeats(numbered, prompts)
    longer, shorter, same = _length_preference(records.rows)
    shared = {other.source: _shared(numbers, prompts, other) for other in against}
    columns: dict[str, int] = {}
    for row in records.rows:
        for name in row.meta:
            columns[name] = columns.get(name, 0) + 1
    return CheckReport(
        source=records.source,
        kind=records.kind,
        n=len(records.rows),
        n_prompts=len(set(prompts)),
        data_hash=records.data_hash,
        broken=records.broken,
        lengths=_lengths(records.rows, count_tokens),
        duplicates=duplicates,
        contradictions=contradictions,
        empty=tuple(n for n, row in numbered if any(not _words(c) for c in completions(row).values())),
        identical=tuple(n for n, row in numbered if _all_same(row)),
        longer_chosen=longer,
        shorter_chosen=shorter,
        same_length=same,
        shared_prompts=shared,
        columns=columns,
    )


def completions(row: Row) -> dict[str, Completion]:
    """A row's completions by the names of their columns; those of a list are numbered."""
    match row:
        case Pair():
            return {"chosen": row.chosen, "rejected": row.rejected}
        case Ranked() | Stepwise():
            return {f"completions[{i}]": c for i, c in enumerate(row.completions)}
        case Sample() | Rated() | Unpaired():
            return {"completion": row.completion}
        case PromptOnly():
            return {}


def _key(value: Conversation | str) -> Any:
    """Something hashable, equal for equal texts; a string and its one assistant message are the same."""
    if isinstance(value, str):
        return (("assistant", value),)
    if all(isinstance(m.content, str) and not m.tool_calls and not m.extra for m in value):
        return tuple((m.role, m.content) for m in value)
    return content_hash([m.to_dict() for m in value])


def _repeats(
    numbered: Sequence[tuple[int, Row]], prompts: Sequence[Any]
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Duplicates, and rows that say the opposite of an earlier one."""
    seen: dict[Any, int] = {}
    duplicates, contradictions = [], []
    for (number, row), prompt in zip(numbered, prompts, strict=True):
        what, opposite = _statement(row, prompt)
        if what in seen:
            duplicates.append((number, seen[what]))
        elif opposite is not None and opposite != what and opposite in seen:
            contradictions.append((number, seen[opposite]))
        seen.setdefault(what, number)
    return tuple(duplicates), tuple(contradictions)


def _statement(row: Row, prompt: Any) -> tuple[Any, Any]:
    """What a row says, and what would contradict it (None where nothing can)."""
    match row:
        case Pair():
            chosen, rejected = _key(row.chosen), _key(row.rejected)
            return (prompt, chosen, rejected), (prompt, rejected, chosen)
        case Unpaired():
            reply = _key(row.completion)
            return (prompt, reply, row.label), (prompt, reply, not row.label)
        case Ranked():
            return (prompt, *map(_key, row.completions), row.scores), None
        case Rated():
            return (prompt, _key(row.completion), row.score, *sorted(row.aspects.items())), None
        case Stepwise():
            return (prompt, row.completions, row.labels), None
        case Sample():
            return (prompt, _key(row.completion), content_hash(row.reference)), None
        case PromptOnly():
            return (prompt, content_hash(row.reference)), None


def _all_same(row: Row) -> bool:
    if not isinstance(row, Pair | Ranked):
        return False
    first, *rest = (_key(c) for c in completions(row).values())
    return all(other == first for other in rest)


def _words(value: Completion) -> int:
    if isinstance(value, str):
        return len(value.split())
    return len(completion_text(value).split()) + sum(len(m.tool_calls) for m in value)


def _length_preference(rows: Sequence[Row]) -> tuple[int, int, int]:
    longer = shorter = same = 0
    for row in rows:
        if isinstance(row, Pair):
            # characters, as everywhere that the rule "the longer one" is measured: one file, one share
            difference = len(completion_text(row.chosen)) - len(completion_text(row.rejected))
            longer += difference > 0
            shorter += difference < 0
            same += difference == 0
    return longer, shorter, same


def _shared(numbers: Sequence[int], prompts: Sequence[Any], other: Records) -> tuple[int, ...]:
    theirs = {_key(row.prompt) for row in other.rows}
    return tuple(number for number, prompt in zip(numbers, prompts, strict=True) if prompt in theirs)


def _lengths(rows: Sequence[Row], count_tokens: Count | None) -> dict[str, Lengths]:
    texts: dict[str, list[str]] = {}
    for row in rows:
        texts.setdefault("prompt", []).append("\n".join(m.text for m in row.prompt))
        for name, reply in completions(row).items():
            column = "step" if isinstance(row, Stepwise) else name.partition("[")[0]
            texts.setdefault(column, []).append("\n".join(m.text for m in completion_messages(reply)))
    units: dict[str, Count] = {"characters": len, "words": lambda text: len(text.split())}
    if count_tokens is not None:
        units["tokens"] = count_tokens
    return {
        f"{column}/{unit}": _distribution([count(text) for text in found])
        for column, found in texts.items()
        for unit, count in units.items()
    }


def _distribution(values: list[int]) -> Lengths:
    ordered = sorted(values)
    at = min(len(ordered) - 1, int(0.95 * len(ordered)))
    return Lengths(len(ordered), statistics.fmean(ordered), statistics.median(ordered), float(ordered[at]), ordered[-1])
