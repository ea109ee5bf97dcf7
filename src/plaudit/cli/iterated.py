"""`plaudit align --rounds N`: direct alignment on the policy's own completions, in rounds."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from plaudit.cli.options import from_args
from plaudit.errors import InputError
from plaudit.policy.offline.config import AlignConfig

SAMPLED = ("completions", "max_tokens", "temperature", "top_p", "sequences")
"""Options of sampling that rounds read, beside those of alignment."""


def add_rounds(parser: argparse.ArgumentParser) -> None:
    """The options of rounds."""
    group = parser.add_argument_group("direct alignment in rounds, on the policy's own completions")
    group.add_argument("--rounds", type=int, metavar="N", help="times that the policy answers, is judged and learns")
    group.add_argument("--round-prompts", type=int, metavar="N", help="prompts of a round, in turn (default: all)")
    group.add_argument(
        "--round-pairs", choices=("extremes", "all"), help="pairs of a prompt: the best against the worst, or all"
    )


def check_no_rounds(args: argparse.Namespace) -> None:
    """Refuses options of rounds where there are none.

    Raises:
        InputError: naming the first.
    """
    for name in ("round_prompts", "round_pairs"):
        if getattr(args, name) is not None:
            raise InputError(f"align: --{name.replace('_', '-')} has no effect without --rounds N; leave it out")


def run_iterated(args: argparse.Namespace) -> int:
    """Runs the rounds; prints one line each."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "align: --rounds runs in one process, and a launcher started several; leave it out of the launcher, or run "
            "the rounds one by one: plaudit score between runs of plaudit align"
        )
    config = from_args(args, AlignConfig)

    from plaudit.policy.offline.rounds import RoundsConfig, align_in_rounds
    from plaudit.policy.rollout import Sampling
    from plaudit.records import read
    from plaudit.rewards.folders import check_folder
    from plaudit.runs.fresh import vacating

    sampling = from_args(args, Sampling)
    given = {"prompts": args.round_prompts, "pairs": args.round_pairs}
    rounds = RoundsConfig(args.rounds, **{name: value for name, value in given.items() if value is not None})
    check_folder(args.model)
    records = read(args.data, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{records.n_broken} broken rows were set aside in {args.skip_broken}")
    with vacating(args.out):
        found = align_in_rounds(
            records.rows, model=args.model, reward=args.reward, config=config, rounds=rounds, sampling=sampling,
            out=Path(args.out), emit=None,
        )  # fmt: skip
    for number, one in enumerate(found):
        print(one.line(number))
    print(f"saved {found[-1].model}; every completion with its reward: {args.out}/stages/round-N/samples.jsonl")
    return 0
