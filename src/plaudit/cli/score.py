"""`plaudit score`: samples in, scored rows out; a row is never paid for twice."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from plaudit.cli.inputs import add_scoring, score_input

if TYPE_CHECKING:
    from plaudit.rewards.base import RewardBatch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_scoring(
        parser,
        data="samples (pairs, ranked and rated rows are scored completion by completion)",
        out="scored rows: .jsonl or .parquet (also .gz); without it the mean is printed and nothing kept",
        needs_out=False,
    )


def run(args: argparse.Namespace) -> int:
    """Scores, writes the file if one is named, says how many of which outcome."""
    from plaudit.rewards.base import Outcome
    from plaudit.rewards.files import write_scored

    records, samples, _, batch = score_input(args)
    if args.out:
        write_scored(args.out, samples, batch)
    counts = Counter(Outcome(int(o)).name.lower() for o in batch.outcome)
    told = ", ".join(f"{counts[o.name.lower()]} {o.name.lower()}" for o in Outcome if counts[o.name.lower()])
    kept = f" -> {args.out}" if args.out else f"; {_mean(batch)}"
    broken = f"; {records.n_broken} broken rows in {args.skip_broken}" if records.n_broken else ""
    print(f"{len(batch)} samples: {told}{kept}{broken}")
    return 0


def _mean(batch: RewardBatch) -> str:
    if not batch.valid.any():
        return "none has a reward"
    return f"mean reward {batch.reward[batch.valid].mean():.4g}"
