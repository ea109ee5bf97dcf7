"""`plaudit select`: the best completion of each prompt."""

from __future__ import annotations

import argparse

from plaudit.cli.inputs import add_scoring, score_input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_scoring(
        parser, data="candidates: samples with the same group (or prompt) compete", out="scored rows of the winners"
    )


def run(args: argparse.Namespace) -> int:
    """Scores all candidates, writes the winners."""
    import numpy as np

    from plaudit.errors import InputError
    from plaudit.rewards.files import write_scored
    from plaudit.search.selection import select_best

    records, samples, reward, batch = score_input(args)
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
