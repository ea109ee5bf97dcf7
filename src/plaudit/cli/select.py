"""`plaudit select`: the best completion of each prompt."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("data", help="candidates: samples with the same group (or prompt) compete")
    parser.add_argument(
        "--reward", required=True, metavar="REF", help="folder, hub id, name?options, module.py:function"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="scored rows of the winners")
    parser.add_argument("--log", metavar="FILE", help="durable log of rewards (default: OUT.log)")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")


def run(args: argparse.Namespace) -> int:
    """Scores all candidates, writes the winners."""
    import numpy as np

    from plaudit.cli.inputs import read_samples
    from plaudit.errors import InputError
    from plaudit.records.writing import check_target
    from plaudit.rewards.files import check_columns, write_scored
    from plaudit.rewards.registry import load
    from plaudit.rewards.scoring import score_samples
    from plaudit.search.selection import select_best

    check_target(args.out)
    records, samples = read_samples(args.data, args.skip_broken)
    check_columns(samples)
    reward = load(args.reward)
    log = Path(args.log or f"{args.out}.log")
    batch = score_samples(reward, samples, log=None if reward.scope == "batch" else log)
    found = select_best(samples, batch)
    if not len(found.indices):
        told = f"none of the {len(samples)} candidates got a reward from {reward.name}"
        raise InputError(f"select: {told}; plaudit score says why")
    winners = np.asarray(found.indices)
    write_scored(args.out, [samples[i] for i in winners], batch.take(winners))
    missing = f"; no valid reward in {len(found.unanswered)} groups" if found.unanswered else ""
    ties = f"; {len(found.tied)} ties, broken by content hash" if found.tied else ""
    broken = f"; {records.n_broken} broken rows in {args.skip_broken}" if records.n_broken else ""
    print(f"{len(winners)} winners of {len(samples)} candidates -> {args.out}{missing}{ties}{broken}")
    return 0
