"""Preferences weighed up by several rewards before a fit: the options of `plaudit train` for it [13].

    plaudit train pairs.jsonl --seed 1 --out runs/one       (and so on: other seeds, or bootstraps of the pairs)
    plaudit train pairs.jsonl --strength-by runs/one --strength-by runs/two --use-margin --out runs/margin

is Bradley-Terry with adaptive margins: `-log sigmoid(d - strength)`. With `--objective soft-bradley-terry` in place of
`--use-margin` it learns the rewards' soft labels, and `--flip-weakest` or `--drop-weakest` corrects the labels.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from plaudit.errors import InputError
from plaudit.training.config import FitConfig
from plaudit.training.methods import chosen

STRENGTHENED = "strengthened.jsonl"
"""What was trained on, in the run folder."""

LABELS = {"strength", "preference"}
"""Columns by which an objective learns how strong a pair is, where a margin only shifts what it learns."""


def add_strengths(parser: argparse.ArgumentParser) -> None:
    """The options."""
    group = parser.add_argument_group("strength of the preferences")
    add = group.add_argument
    add(
        "--strength-by", metavar="REF", action="append", default=[],
        help="a reward whose margins say how strong each pair is (give two or more); see --use-margin",
    )  # fmt: skip
    add("--flip-weakest", metavar="SHARE", type=float, default=0.0, help="turn this share of the weakest pairs round")
    add("--drop-weakest", metavar="SHARE", type=float, default=0.0, help="leave this share of the weakest pairs out")


def with_strengths(args: argparse.Namespace, rows: Sequence[Any], config: FitConfig) -> list[Any]:
    """The rows as the options ask: with strengths as margins and soft labels, weak ones flipped or dropped.

    What is trained on stands in `OUT/strengthened.jsonl` once the model is fitted. A pair that a reward could not
    judge has margin 0; where the objective learns the strength or the soft label itself, it is left out.

    Raises:
        InputError: if a row is no pair, an option would have no effect, or no pair is left that could be judged.
    """
    weakest = args.flip_weakest or args.drop_weakest
    if not args.strength_by:
        if weakest:
            raise InputError(
                "--flip-weakest and --drop-weakest need rewards that say which are weak; give --strength-by"
            )
        return list(rows)
    method = chosen(config.objective)
    read = config.use_margin or LABELS & set(method.method.columns)
    if not (read or weakest or method.name == "dynamic-bradley-terry"):
        raise InputError(
            f"--strength-by: {method.name} would not read the strengths; add --use-margin, "
            "--objective soft-bradley-terry, --flip-weakest or --drop-weakest"
        )

    from plaudit.curation.strengths import strengthened
    from plaudit.records import Pair
    from plaudit.rewards.registry import load

    for i, row in enumerate(rows):
        if not isinstance(row, Pair):
            raise InputError(
                f"--strength-by: row {i + 1} is no pair; convert the rows first (plaudit data convert --to pairs)"
            )
    rewards = [load(reference) for reference in args.strength_by]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"std\(\)")  # torch's, where no pair is judged: that is said below
        found = strengthened(rows, rewards, flip=args.flip_weakest, drop=args.drop_weakest)
    dropped, unjudged, more = len(rows) - len(found), sum(row.margin is None for row in found), ""
    label = LABELS & set(method.method.columns)
    if label and unjudged:  # a strength of 0 would say that the two are equally good: nobody said so
        found = [row for row in found if row.margin is not None]
        more = f", left out too, for {method.name} learns the {min(label)} itself"
        if not found:
            raise InputError(
                f"--strength-by: {unjudged} of {len(rows)} pairs have a completion that a reward could not judge, and "
                f"no other is left for {method.name}; give rewards that score them"
            )
    # a margin of zero: the difference of a row's own scores, which a fit takes for want of one, is in other units
    found = [replace(row, margin=0.0) if row.margin is None else row for row in found]
    flips = sum(bool(row.meta.get("flipped_by_strength")) for row in found)
    print(
        f"strengths by {len(rewards)} rewards: {flips} pairs flipped, {dropped} left out, "
        f"{unjudged} that a reward could not judge{more}; see {args.out}/{STRENGTHENED}"
    )
    return list(found)
