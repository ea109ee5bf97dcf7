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
    for line in _reasons(batch):
        print(f"  {line}")
    return 0


def _reasons(batch: RewardBatch) -> list[str]:
    """For each outcome but a score what was given as the reason most often."""
    from plaudit.rewards.base import Outcome

    lines = []
    for outcome in Outcome:
        told = [str(d.get("reason", "")) for d, o in zip(batch.detail, batch.outcome, strict=True) if o == outcome]
        if outcome == Outcome.SCORED or not any(told):
            continue
        reason, count = Counter(filter(None, told)).most_common(1)[0]
        share = f" ({count} of {len(told)})" if count < len(told) else ""
        lines.append(f"{outcome.name.lower()}: {reason:.160}{share}")
    return lines


def _mean(batch: RewardBatch) -> str:
    if not batch.valid.any():
        return "none has a reward"
    return f"mean reward {batch.reward[batch.valid].mean():.4g}"
