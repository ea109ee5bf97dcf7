"""What verbs read, in the shape that they need; rows that give nothing are told, never dropped silently."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from plaudit.records import Pair, Records, Sample
    from plaudit.rewards.base import Comparison, Reward, RewardBatch

T = TypeVar("T")
RUNS_PROGRAMS = ("verify/code", "verify/program-agreement")
REFERENCES = ("answer", "ground_truth", "gold", "gold_answer", "solution", "target", "label", "final_answer")
"""What data sets call the column that is `reference` here."""


def add_scoring(parser: argparse.ArgumentParser, *, data: str, out: str, needs_out: bool = True) -> None:
    """The options of a verb that scores samples and writes scored rows.

    Args:
        parser: of the verb.
        data: help of the input.
        out: help of the output.
        needs_out: whether the verb is of no use without it.
    """
    parser.add_argument("data", help=data)
    add_reward(parser)
    parser.add_argument("--out", required=needs_out, metavar="FILE", help=out)
    parser.add_argument("--log", metavar="FILE", help="durable log of rewards (default: OUT.log; none without OUT)")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")


def add_reward(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options that name a reward."""
    add = parser.add_argument
    add("--reward", required=required, metavar="REF", help="folder, hub id, name?options, module.py:function")
    add("--unsafe", action="store_true", help="run candidates' programs without isolation, where the machine has none")


def open_reward(args: argparse.Namespace) -> Reward:
    """The reward that `add_reward`'s options name.

    Raises:
        InputError: if `--unsafe` is given with a reward that runs no programs.
    """
    from plaudit.errors import InputError
    from plaudit.rewards.registry import load

    if not args.unsafe:
        return load(args.reward)
    name, _, query = args.reward.partition("?")
    if name not in RUNS_PROGRAMS:
        raise InputError(
            f"--unsafe: {args.reward} runs no candidate's program; leave it out "
            f"(it is for {' and '.join(RUNS_PROGRAMS)})"
        )
    return load(f"{name}?{query}{'&' if query else ''}unsafe=true")


def open_judge(args: argparse.Namespace) -> Reward | Comparison:
    """As `open_reward`, for a verb that takes comparisons too."""
    from plaudit.rewards.registry import resolve

    return open_reward(args) if args.unsafe else resolve(args.reward)


def score_input(args: argparse.Namespace) -> tuple[Records, list[Sample], Reward, RewardBatch]:
    """Reads and scores what `add_scoring`'s options name; whatever is wrong with the output is found before that."""
    from plaudit.records.writing import check_target
    from plaudit.rewards.files import check_columns
    from plaudit.rewards.scoring import score_samples

    if args.out:
        check_target(args.out)
    records, samples = read_samples(args.data, args.skip_broken)
    check_columns(samples)
    reward = open_reward(args)
    log = args.log or (f"{args.out}.log" if args.out else None)
    with _named_references(samples):
        batch = score_samples(reward, samples, log=None if reward.scope == "batch" else log)
    return records, samples, reward, batch


@contextmanager
def _named_references(samples: Sequence[Sample]) -> Iterator[None]:
    """Where a reward misses its references and a column has a usual name of theirs, the error says so."""
    from plaudit.errors import InputError

    try:
        yield
    except InputError as error:
        column = next((name for name in REFERENCES if any(name in s.meta for s in samples)), None)
        if column is None or any(s.reference is not None for s in samples):
            raise
        raise InputError(f"{error}. The rows have a column {column!r}: rename it to 'reference'") from error


def add_source(parser: argparse.ArgumentParser, data: str) -> None:
    """The input of an action on a file, and where its broken rows go.

    Args:
        parser: of the action.
        data: help of the input.
    """
    parser.add_argument("source", help=data)
    parser.add_argument("--skip-broken", metavar="FILE", help="set rows that cannot be read aside in this file")


def read_raw(source: str, parse: Callable[[Mapping[str, Any]], T], skip_broken: str | None) -> list[T]:
    """Rows of a file that is of none of the record formats, each as `parse` reads it; broken ones are told.

    Args:
        source: `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet`, each also `.gz`.
        parse: raises `RowError` where a row cannot be used.
        skip_broken: a file for the rows that cannot be read; without it the first is an error.

    Raises:
        InputError: if a row cannot be read and `skip_broken` is None, or none is left.
        MissingError: if there is no such file.
    """
    from plaudit.errors import InputError
    from plaudit.records.reading import read_parsed

    rows, broken = read_parsed(source, parse, skip_broken=skip_broken)
    if not rows and broken:
        raise InputError(f"{source}: all {len(broken)} rows are broken; row {broken[0].row}: {broken[0].error}")
    if not rows:
        raise InputError(f"{source}: is empty; it has no row")
    if broken:
        print(f"{source}: {len(broken)} broken rows set aside in {skip_broken}")
    return rows


def read_samples(source: str, skip_broken: str | None) -> tuple[Records, list[Sample]]:
    """The rows of a source as samples: each completion of a pair or a ranking is one."""
    from plaudit.records import Sample, convert, read

    records = read(source, skip_broken=skip_broken)
    with _of_file(source, "prompt and completion"):
        done = convert(records.rows, to="samples")
    _tell(source, done.unused, done.why)
    return records, [row for row in done.rows if isinstance(row, Sample)]


def read_pairs(source: str, skip_broken: str | None) -> tuple[Records, list[Pair]]:
    """The rows of a source as pairs: a ranking gives all pairs of different scores."""
    from plaudit.records import Pair, convert, read

    records = read(source, skip_broken=skip_broken)
    with _of_file(source, "prompt, chosen and rejected"):
        done = convert(records.rows, to="pairs")
    _tell(source, done.unused, done.why)
    return records, [row for row in done.rows if isinstance(row, Pair)]


@contextmanager
def _of_file(source: str, columns: str) -> Iterator[None]:
    """Where rows cannot become what a verb needs, the error names the file and the columns that it looks for."""
    from plaudit.errors import InputError

    try:
        yield
    except InputError as error:
        reason = str(error).removeprefix("convert: ")
        raise InputError(f"{source}: {reason}. Here rows with {columns} are needed") from error


def _tell(source: str, unused: int, why: str) -> None:
    if unused:
        print(f"{source}: {unused} rows are not used: {why}", file=sys.stderr)
