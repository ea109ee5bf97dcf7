"""`plaudit score`: samples in, scored rows out; a row is never paid for twice."""

from __future__ import annotations

import argparse
from collections import Counter

from plaudit.cli.inputs import add_scoring, score_input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_scoring(
        parser,
        data="samples (pairs, ranked and rated rows are scored completion by completion)",
        out="scored rows: .jsonl or .parquet (also .gz)",
    )


def run(args: argparse.Namespace) -> int:
    """Scores, writes the file, says how many of which outcome."""
    from plaudit.rewards.base import Outcome
    from plaudit.rewards.files import write_scored

    records, samples, _, batch = score_input(args)
    write_scored(args.out, samples, batch)
    counts = Counter(Outcome(int(o)).name.lower() for o in batch.outcome)
    told = ", ".join(f"{counts[o.name.lower()]} {o.name.lower()}" for o in Outcome if counts[o.name.lower()])
    broken = f"; {records.n_broken} broken rows in {args.skip_broken}" if records.n_broken else ""
    print(f"{len(batch)} samples: {told} -> {args.out}{broken}")
    return 0
