"""`plaudit report`: a run's report as one HTML page, rendered again from the run folder."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("run", help="run folder of plaudit run, or of plaudit align with a reward")
    parser.add_argument(
        "--no-texts", action="store_true", help="leave the texts of pairs and completions out of the page"
    )
    parser.add_argument("--out", metavar="FILE", help="the page (default: RUN/report.html)")


def run(args: argparse.Namespace) -> int:
    """Reads the data, writes the page, says where it is."""
    from plaudit.errors import InputError
    from plaudit.report.folder import read_report
    from plaudit.report.page import render
    from plaudit.report.policy_page import is_policy_run, write_policy_run
    from plaudit.runs.atomic import write_text

    if not (Path(args.run) / "report.json").is_file() and is_policy_run(args.run):
        print(write_policy_run(args.run, texts=not args.no_texts, out=Path(args.out) if args.out else None))
        return 0
    try:
        data = read_report(args.run)
    except InputError as error:
        where = f"report: {Path(args.run) / 'report.json'}"
        raise InputError(f"{where}: {str(error).removeprefix(where).lstrip(': ')}") from error
    page = Path(args.out) if args.out else Path(args.run) / "report.html"
    write_text(page, render(data, texts=not args.no_texts))
    print(page)
    return 0
