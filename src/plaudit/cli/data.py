"""`plaudit data`: what is in a file of records, the rows in another shape or in parts, and rows made out of others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from plaudit.cli.making import community, confidence, hierarchy, principles
from plaudit.errors import InputError, MissingError
from plaudit.records import (
    CheckReport,
    Records,
    check,
    conversational,
    convert,
    folds_by_prompt,
    read,
    scan,
    split_by_prompt,
    write,
)
from plaudit.records.formats import COLUMNS
from plaudit.runs import write_text
from plaudit.runs.origin import command_line, versions

MAKING = {"confidence": confidence, "hierarchy": hierarchy, "community": community, "principles": principles}
"""Actions that make rows out of others, each a module."""
ACTIONS = ("check", "convert", "split", *MAKING)
SHOWN = 10
"""Row numbers of a finding that are shown unless all are asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar=" | ".join(ACTIONS))
    checking = actions.add_parser("check", help="what is in a file, and what is wrong with it")
    _add_source(checking)
    checking.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FILE",
        help="another split that should share no prompt with this one (may be repeated)",
    )
    checking.add_argument("--tokenizer", help="count tokens with the tokenizer of this model folder or hub id")
    checking.add_argument("--json", metavar="FILE", help="write the findings here")
    checking.add_argument("--all", action="store_true", help=f"show every row number, not the first {SHOWN}")
    converting = actions.add_parser("convert", help="the same rows in another format")
    _add_source(converting)
    converting.add_argument(
        "--to",
        required=True,
        choices=[*COLUMNS, "conversational"],
        help="the format; conversational keeps the format and turns text into messages",
    )
    converting.add_argument("--out", required=True, metavar="FILE", help="ends in .jsonl, .jsonl.gz or .parquet")
    converting.add_argument(
        "--pairs",
        choices=["all", "best-worst"],
        default="all",
        help="which pairs a ranking, or the rewards of a prompt's samples give (default: all of different scores)",
    )
    converting.add_argument("--separator", default="\n", help="what joins the steps of stepwise rows")
    _add_skip(converting)
    splitting = actions.add_parser("split", help="parts in which no prompt stands on two sides")
    _add_source(splitting)
    splitting.add_argument(
        "--parts",
        default="train=0.8,test=0.2",
        metavar="NAME=SHARE,...",
        help="parts and their shares of the distinct prompts (default: %(default)s)",
    )
    splitting.add_argument("--folds", type=int, metavar="K", help="instead of parts, K folds of a cross-validation")
    splitting.add_argument("--seed", type=int, default=0, help="another seed gives another split (default: 0)")
    splitting.add_argument("--out", required=True, metavar="FOLDER", help="the parts become FOLDER/NAME.jsonl")
    _add_skip(splitting)
    for making in MAKING.values():
        making.add_arguments(actions)


def run(args: argparse.Namespace) -> int:
    """Runs an action; 2 where `check` finds a row that cannot be read, 0 otherwise."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "check": _check,
        "convert": _convert,
        "split": _split,
        **{name: making.run for name, making in MAKING.items()},
    }
    return actions[args.action](args)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="file, folder of datasets.save_to_disk, or hub id; #NAME picks a split")
    parser.add_argument("--kind", choices=list(COLUMNS), help="the format (default: the columns tell)")


def _add_skip(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip-broken", metavar="FILE", help="set rows that cannot be read aside in this file")


def _check(args: argparse.Namespace) -> int:
    others = [scan(source, kind=args.kind) for source in args.against]
    count = _token_counter(args.tokenizer) if args.tokenizer else None
    report = check(scan(args.source, kind=args.kind), others, count_tokens=count)
    print("\n".join(describe(report, limit=None if args.all else SHOWN)))
    if args.json:
        document = {
            **report.to_dict(),
            "versions": versions(),
            "command": command_line(["plaudit", *_typed(args)]),
        }
        write_text(args.json, json.dumps(document, indent=2, default=str) + "\n")
    return 2 if report.broken else 0


def _typed(args: argparse.Namespace) -> list[str]:
    return ["data", "check", args.source, *(word for other in args.against for word in ("--against", other))]


def _token_counter(reference: str) -> Callable[[str], int]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(reference)
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise MissingError(
            f"data check: no tokenizer at {reference} ({first}); name a model folder or hub id"
        ) from error
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def describe(report: CheckReport, *, limit: int | None = SHOWN) -> list[str]:
    """The report as lines for people.

    Args:
        report: from `check`.
        limit: row numbers to show of each finding; None shows all.
    """
    lines = [
        f"{report.source}: {report.kind}, {report.n} rows, {report.n_prompts} distinct prompts",
        f"  data hash            {report.data_hash}",
    ]
    for name, found in report.lengths.items():
        figures = f"mean {found.mean:.1f}, median {found.median:g}, 95% below {found.p95:g}, longest {found.max}"
        lines.append(f"  {name:<20} {figures}")
    if report.columns:
        lines.append("  other columns        " + ", ".join(f"{name} ({n})" for name, n in report.columns.items()))
    if report.kind == "pairs" and report.n:
        lines.append("  longer is chosen     " + _longer(report))
    findings = [
        ("duplicates", [f"{a} (= {b})" for a, b in report.duplicates]),
        ("contradictions", [f"{a} (against {b})" for a, b in report.contradictions]),
        ("empty completions", [str(n) for n in report.empty]),
        ("identical", [str(n) for n in report.identical]),
    ]
    findings += [(f"prompts also in {name}", [str(n) for n in rows]) for name, rows in report.shared_prompts.items()]
    for name, rows in findings:
        lines.append(f"  {name:<20} {len(rows)}" + (f": rows {_some(rows, limit)}" if rows else ""))
    lines.append(f"  {'broken rows':<20} {len(report.broken)}")
    shown = report.broken if limit is None else report.broken[:limit]
    lines += [f"    row {bad.row}: {bad.error}" for bad in shown]
    if len(shown) < len(report.broken):
        lines.append(f"    and {len(report.broken) - len(shown)} more (--all shows them)")
    return lines


def _longer(report: CheckReport) -> str:
    from plaudit.stats import wilson

    share = wilson(report.longer_chosen + 0.5 * report.same_length, report.n)
    return (
        f"{share} of the pairs (ties count half: longer "
        f"{report.longer_chosen}, shorter {report.shorter_chosen}, equal {report.same_length})"
    )


def _some(rows: Sequence[str], limit: int | None) -> str:
    shown = rows if limit is None else rows[:limit]
    return ", ".join(shown) + (f" and {len(rows) - len(shown)} more" if len(shown) < len(rows) else "")


def _convert(args: argparse.Namespace) -> int:
    records = _read(args)
    if args.to == "conversational":
        rows, unused, why = tuple(conversational(row) for row in records.rows), 0, ""
    else:
        done = convert(records.rows, args.to, pairs=args.pairs, separator=args.separator, by_reward=True)
        rows, unused, why = done.rows, done.unused, done.why
    if not rows:
        raise InputError(f"data convert: none of the {len(records)} rows gives a row of {args.to}: {why}")
    count = write(args.out, rows)
    print(f"{args.out}: {count} rows of {args.to} from {len(records)} of {records.kind}")
    if unused:
        print(f"  {unused} rows gave none: {why}")
    return 0


def _split(args: argparse.Namespace) -> int:
    records = _read(args)
    folder = Path(args.out)
    if args.folds is not None:
        folds = folds_by_prompt(records.rows, args.folds, seed=args.seed)
        parts = {
            f"fold{i}-{side}": [records.rows[j] for j in getattr(fold, side)]
            for i, fold in enumerate(folds)
            for side in ("train", "test")
        }
    else:
        parts = {n: list(r) for n, r in split_by_prompt(records.rows, _parts(args.parts), seed=args.seed).items()}
    for name, rows in parts.items():
        write(folder / f"{name}.jsonl", rows)
        print(f"{folder / name}.jsonl: {len(rows)} rows")
    return 0


def _parts(words: str) -> dict[str, float]:
    parts: dict[str, float] = {}
    for piece in words.split(","):
        name, _, share = piece.partition("=")
        try:
            value = float(share)
        except ValueError:
            raise InputError(f"data split: --parts has {piece!r}; write NAME=SHARE, as in train=0.8,test=0.2") from None
        if not name.replace("-", "").replace("_", "").isalnum() or name in parts:
            raise InputError(f"data split: --parts has the name {name!r}; give each part a name of its own")
        parts[name] = value
    return parts


def _read(args: argparse.Namespace) -> Records:
    records = read(args.source, kind=args.kind, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{args.source}: {records.n_broken} broken rows set aside in {args.skip_broken}")
    return records
