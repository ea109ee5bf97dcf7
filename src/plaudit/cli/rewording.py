"""Convex augmentation of pairs before a fit: the options of `plaudit train` for it [17].

    plaudit train pairs.jsonl --out runs/one
    plaudit train pairs.jsonl --reword-by runs/one --out runs/two

adds to each pair those of five light rewordings of its chosen completion that lie outermost among the states of
runs/one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plaudit.errors import InputError

REWORDED = "reworded.jsonl"
"""What was trained on, in the run folder."""


def add_rewordings(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument_group("rewordings of chosen completions").add_argument
    add(
        "--reword-by", metavar="REF",
        help="a reward model by whose states the outermost of some light rewordings are added as pairs",
    )  # fmt: skip
    add("--rewordings", metavar="N", type=int, help="of each chosen completion (default: 5)")
    add("--reword-share", metavar="X", type=float, help="of the words that may change (default: 0.05)")


def with_rewordings(args: argparse.Namespace, rows: Sequence[Any], *, seed: int) -> list[Any]:
    """The rows, and behind each pair those of its rewordings that are kept.

    They stand in `OUT/reworded.jsonl` once the model is fitted.

    Raises:
        InputError: if a row is no pair, an option would have no effect, or what is named is no reward model.
    """
    given = {"n": args.rewordings, "share": args.reword_share}
    options = {name: value for name, value in given.items() if value is not None}
    if not args.reword_by:
        if options:
            raise InputError("--rewordings and --reword-share need a model whose states are compared; give --reword-by")
        return list(rows)

    from plaudit.curation.convex import convex_pairs
    from plaudit.records import Pair
    from plaudit.rewards.models import ModelReward
    from plaudit.rewards.people.states import last_states
    from plaudit.rewards.registry import load

    for i, row in enumerate(rows):
        if not isinstance(row, Pair):
            raise InputError(
                f"--reword-by: row {i + 1} is no pair; convert the rows first (plaudit data convert --to pairs)"
            )
    reward = load(args.reword_by)
    if not isinstance(reward, ModelReward):
        raise InputError(f"--reword-by: {args.reword_by} is no reward model with states; give a model folder")
    found = convex_pairs(rows, lambda samples: last_states(reward, samples).numpy(), seed=seed, **options)
    print(f"rewordings by {args.reword_by}: {len(found) - len(rows)} pairs added; see {args.out}/{REWORDED}")
    return found
