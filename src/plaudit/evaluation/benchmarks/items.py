"""What a benchmark is made of: items of candidates of which some are right, and a description of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plaudit.errors import InputError
from plaudit.records.fields import RowError, items, messages, present, text
from plaudit.records.message import Message
from plaudit.records.sample import Completion, Conversation, Sample, content_hash

if TYPE_CHECKING:
    from plaudit.evaluation.benchmarks.judging import Judged
    from plaudit.evaluation.benchmarks.statistics import Found
    from plaudit.rewards.base import Comparison, Reward


@dataclass(frozen=True)
class SourceRow:
    """A row of a published file.

    Attributes:
        cells: column to value.
        file: the file's path below the folder that was named, with forward slashes; a hub's split or configuration.
        number: the row's number in its file, from 1.
        place: where the file lies: its whole path, or the hub's id.
    """

    cells: Mapping[str, Any]
    file: str
    number: int
    place: str = ""

    @property
    def stem(self) -> str:
        """The file's name without its folder and endings: where published files keep their subset."""
        return self.file.rpartition("/")[2].partition(".")[0]

    @property
    def folder(self) -> str:
        """The innermost folder's name; empty where the file lies in none."""
        return self.file.rpartition("/")[0].rpartition("/")[2]

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders that the file lies in, also those above the one that was named, the innermost first."""
        return tuple(reversed((self.place or self.file).split("/")[:-1]))


@dataclass(frozen=True)
class Item:
    """Candidates that are judged together.

    Attributes:
        id: as the file names it; unique where the benchmark needs it.
        subset: the part of the benchmark that it belongs to.
        samples: k candidates, in the file's order.
        good: which of them are right (k,).
        pairs: p pairs (better, worse) of candidates that are compared; by default every right one with every wrong
            one, right ones first, and all pairs where none or all are right.
        cluster: what is resampled as one: by default the prompt.
        meta: whatever else the benchmark needs.

    Raises:
        InputError: if there are not as many marks as candidates.
    """

    id: str
    subset: str
    samples: tuple[Sample, ...]
    good: tuple[bool, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    cluster: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.good) != len(self.samples):
            raise InputError(
                f"item {self.id}: {len(self.good)} marks for {len(self.samples)} candidates; give one each"
            )
        if not self.pairs:
            k = range(len(self.good))
            found = [(i, j) for i in k if self.good[i] for j in k if not self.good[j]]
            object.__setattr__(self, "pairs", tuple(found or [(i, j) for i in k for j in k if i < j]))
        if not self.cluster and self.samples:
            key = content_hash([m.to_dict() for m in self.samples[0].prompt])
            object.__setattr__(self, "cluster", key)


def choice(
    row: SourceRow, prompt: Conversation, good: Sequence[Completion], bad: Sequence[Completion], *, subset: str,
    meta: Mapping[str, Any] | None = None,
) -> Item:  # fmt: skip
    """An item of right candidates, then wrong ones.

    Raises:
        RowError: if either side is empty: one candidate alone cannot be chosen.
    """
    if not good or not bad:
        side = "rejected" if not bad else "chosen"
        raise RowError(side, [], "there is no candidate on this side, so nothing to choose between")
    name = identity(row)
    samples = tuple(Sample(prompt, c, group=f"{row.file}:{row.number}") for c in (*good, *bad))
    marks = (True,) * len(good) + (False,) * len(bad)
    return Item(name, subset, samples, marks, meta=meta or {})


def identity(row: SourceRow) -> str:
    """The row's own id, or its place where it has none."""
    for name in ("id", "pair_id", "index", "session_id"):
        if row.cells.get(name) is not None:
            return str(row.cells[name])
    return f"{row.file}:{row.number}"


def column(row: SourceRow, *names: str) -> tuple[str, Any]:
    """The first of several columns that is there, with its name.

    Raises:
        RowError: if none is.
    """
    for name in names:
        if row.cells.get(name) is not None:
            return name, row.cells[name]
    if len(names) == 1:
        present(row.cells, names[0])  # says that it is missing, and what there is
    raise RowError(names[0], None, f"the row has none of {', '.join(names)}; it has {', '.join(row.cells)}")


def prompt_of(row: SourceRow, *names: str) -> Conversation:
    """A prompt: text as one user message, or messages. A transcript in a cell stays text: published prompts quote them.

    Raises:
        RowError: if it is missing or neither.
    """
    name, value = column(row, *names)
    return (Message("user", value),) if isinstance(value, str) else messages(name, value)


def answers_of(row: SourceRow, *names: str) -> tuple[str, ...]:
    """One or several answers as text: a cell of text is one, a list are several.

    A conversation is cut to its last message, as published loaders do.

    Raises:
        RowError: if it is missing, empty or neither.
    """
    name, value = column(row, *names)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) and "role" in v for v in value):
        return (text(f"{name}[-1]", value[-1].get("content")),)
    found: tuple[str, ...] = items(name, value, text)
    if not found:
        raise RowError(name, value, "the list is empty")
    return found


@dataclass(frozen=True)
class Benchmark:
    """How a published file becomes items, and judgements of their candidates become numbers.

    Attributes:
        name: as `--benchmark` takes it.
        line: what it measures, in one line.
        columns: what a row needs, for messages and the list.
        source: paper, and the hub id of the published files.
        parse: one row as an item (of which `gather` may join several); text says why the row is none, and is told.
        statistics: the numbers, from items and what the judge said of them.
        gather: items of single rows as items; by default they are.
        takes: what can be judged: `reward`, `comparison`.
        listed: whether the file's order of candidates says nothing of which is right, so that "the first" is a rule.
        wanted: whether a file of a folder (by its path below it) is a published data file; a repository also holds
            results.
        check: refuses a judge before it is paid for, from its bounds, scale and threshold alone.
        verdicts: whether a reward says "right" from a threshold on.
        rules: content-blind rules in place of length and markdown: name to what they say of each item.
        stored: the judgements that the files hold, as what a judge said; None where they hold none.
        ask: asks a judge for more than rewards or preferences.
        quirks: what its published code does that another reader would not expect, and whose it is.
    """

    name: str
    line: str
    columns: str
    source: str
    parse: Callable[[SourceRow], Item | str]
    statistics: Callable[[Sequence[Item], Judged], Found]
    gather: Callable[[list[Item]], list[Item]] = list
    takes: tuple[str, ...] = ("reward", "comparison")
    listed: bool = False
    wanted: Callable[[str], bool] | None = None
    check: Callable[[Judged], object] | None = None
    verdicts: bool = False
    rules: Callable[[Sequence[Item]], Mapping[str, Judged]] | None = None
    stored: Callable[[Sequence[Item]], Judged | None] | None = None
    ask: Callable[[Reward | Comparison, Sequence[Item]], Judged] | None = None
    quirks: tuple[str, ...] = ()
