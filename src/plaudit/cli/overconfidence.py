"""`plaudit evaluate PAIRS --metric overconfidence`: whether a reward pays for confidence that is not deserved [216].

plaudit evaluate test.jsonl --metric overconfidence --reward runs/x --fail-under separation=0.2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plaudit.errors import InputError

if TYPE_CHECKING:
    from plaudit.audit.biases.confidence import Overconfidence
    from plaudit.audit.scored import Scored
    from plaudit.rewards.base import Reward
    from plaudit.stats.estimate import Estimate

METRIC = "overconfidence"


def run(args: argparse.Namespace) -> int:
    """States a high and a low confidence on both sides of every pair, scores, prints which is preferred how often."""
    import numpy as np

    from plaudit.audit.biases.confidence import audit_confidence
    from plaudit.cli.evaluate import missed, thresholds
    from plaudit.cli.inputs import open_reward, read_pairs
    from plaudit.cli.output import show, write_json

    _check(args)
    floors = thresholds(args.fail_under)
    records, pairs = read_pairs(args.data, args.skip_broken)
    reward = open_reward(args)
    with _kept(reward, args.log) as scored:
        found = audit_confidence(pairs, scored, np.random.default_rng(args.seed), seed=args.seed)
    table = _table(found)
    show(table, title=f"{reward.name} on {len(pairs)} pairs: how often it prefers the high confidence")
    if records.n_broken:
        print(f"{records.n_broken} broken rows are in {args.skip_broken}")
    for side, share in (("chosen", found.chosen), ("rejected", found.rejected)):
        if share.n < len(pairs):
            print(f"{len(pairs) - share.n} of {len(pairs)} {side} completions have no two rewards and leave the share")
    if found.rejected.low > 0.5:
        print("it pays for confidence also where that is not deserved: on rejected completions the ideal is 0")
    if args.json:
        configuration = {**vars(args), "fingerprint": reward.fingerprint}
        write_json(args.json, table, configuration=configuration, data={"pairs": records.data_hash})
    return 1 if missed(table, floors) else 0


def _check(args: argparse.Namespace) -> None:
    """Refuses what would be ignored."""
    if not args.data or not args.reward:
        raise InputError(f"--metric {METRIC}: asks a reward about pairs; give PAIRS and --reward")
    idle = {"--subset": args.subset, "--no-probabilities": args.no_probabilities, "--gamed": args.gamed}
    for option, given in idle.items():
        if given:
            raise InputError(f"{option}: is of no use to --metric {METRIC}; leave it out")


def _table(found: Overconfidence) -> dict[str, Estimate]:
    return {"high_on_chosen": found.chosen, "high_on_rejected": found.rejected, "separation": found.separation}


@contextmanager
def _kept(reward: Reward, path: str | None) -> Iterator[Scored | Reward]:
    """The reward, with the log that was named; nothing is scored twice."""
    from plaudit.audit.scored import Scored
    from plaudit.runs.log import DurableLog

    if path is None:
        yield reward
        return
    if reward.scope == "batch":
        raise InputError(f"--log: {reward.name} scores the whole batch together, which cannot be logged; leave it out")
    with DurableLog(path, fingerprint=reward.fingerprint) as log:
        yield Scored(reward, log=log)
