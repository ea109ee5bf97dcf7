"""`plaudit score`: samples in, scored rows out; a row is never paid for twice."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("data", help="samples (pairs, ranked and rated rows are scored completion by completion)")
    parser.add_argument(
        "--reward", required=True, metavar="REF", help="folder, hub id, name?options, module.py:function"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="scored rows: .jsonl or .parquet (also .gz)")
    parser.add_argument("--log", metavar="FILE", help="durable log of rewards (default: OUT.log)")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")


def run(args: argparse.Namespace) -> int:
    """Scores, writes the file, says how many of which outcome."""
    from plaudit.cli.inputs import read_samples
    from plaudit.records.writing import check_target
    from plaudit.rewards.base import Outcome
    from plaudit.rewards.files import check_columns, write_scored
    from plaudit.rewards.registry import load
    from plaudit.rewards.scoring import score_samples

    check_target(args.out)
    records, samples = read_samples(args.data, args.skip_broken)
    check_columns(samples)
    reward = load(args.reward)
    log = Path(args.log or f"{args.out}.log")
    batch = score_samples(reward, samples, log=None if reward.scope == "batch" else log)
    write_scored(args.out, samples, batch)
    counts = Counter(Outcome(int(o)).name.lower() for o in batch.outcome)
    told = ", ".join(f"{counts[o.name.lower()]} {o.name.lower()}" for o in Outcome if counts[o.name.lower()])
    broken = f"; {records.n_broken} broken rows in {args.skip_broken}" if records.n_broken else ""
    print(f"{len(batch)} samples: {told} -> {args.out}{broken}")
    return 0
