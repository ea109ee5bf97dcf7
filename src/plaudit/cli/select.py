"""`plaudit select`: the best completion of each prompt."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("data", help="candidates: samples with the same group (or prompt) compete")
    parser.add_argument("--reward", required=True, metavar="REF", help="folder, hub id, name?options, module.py:function")
    parser.add_argument("--out", required=True, metavar="FILE", help="scored rows of the winners")
    parser.add_argument("--log", metavar="FILE", help="durable log of rewards (default: OUT.log)")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")


def run(args: argparse.Namespace) -> int:
    """Scores all candidates, writes the winners."""
    import numpy as np

    from plaudit.records import read
    from plaudit.records.converting import convert
    from plaudit.rewards.files import write_scored
    from plaudit.rewards.registry import load
    from plaudit.rewards.scoring import score_samples
    from plaudit.search.selection import select_best

    records = read(args.data, skip_broken=args.skip_broken)
    samples = list(records.rows if records.kind == "samples" else convert(records.rows, to="samples").rows)
    reward = load(args.reward)
    log = Path(args.log or f"{args.out}.log")
    batch = score_samples(reward, samples, log=None if reward.scope == "batch" else log)  # type: ignore[arg-type]
    found = select_best(samples, batch)  # type: ignore[arg-type]
    winners = np.asarray(found.indices)
    write_scored(args.out, [samples[i] for i in winners], batch.take(winners))  # type: ignore[misc]
    missing = f"; no valid reward in {len(found.unanswered)} groups" if found.unanswered else ""
    print(f"{len(winners)} winners of {len(samples)} candidates -> {args.out}{missing}")
    return 0
