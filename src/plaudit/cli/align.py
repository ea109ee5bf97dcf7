"""`plaudit align`: preferences and a policy in, an aligned policy out."""

from __future__ import annotations

import argparse
from pathlib import Path

from plaudit.cli.options import add_dataclass, from_args
from plaudit.errors import InputError
from plaudit.policy.algorithms import ALGORITHMS
from plaudit.policy.offline.config import AlignConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("data", nargs="?", help="rows: a file, a datasets folder or a hub id; 'help' lists algorithms")
    parser.add_argument("--model", help="folder or hub id of the policy to start from")
    parser.add_argument("--out", help="run folder; the model is saved under OUT/model")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    add_dataclass(parser, AlignConfig, title="alignment")


def run(args: argparse.Namespace) -> int:
    """Aligns; prints one line a result."""
    if "help" in (args.data, args.algorithm):
        for name, algorithm in ALGORITHMS.items():
            options = ", ".join(f"{key}={_said(value)}" for key, value in algorithm.options.items())
            print(
                f"{name}\n  {algorithm.summary}\n  from {algorithm.needs}{f'; options: {options}' if options else ''}"
            )
        return 0
    missing = [w for w, v in (("DATA", args.data), ("--model REF", args.model), ("--out FOLDER", args.out)) if not v]
    if missing:
        raise InputError(f"align: give {', '.join(missing)} (see plaudit align --help)")
    if args.model == "scratch":
        raise InputError("align: a model with random weights has nothing to align; name a policy's folder with --model")
    config = from_args(args, AlignConfig)

    from plaudit.policy.offline.aligning import align
    from plaudit.records import read
    from plaudit.rewards.folders import check_folder
    from plaudit.runs.fresh import vacating
    from plaudit.runs.stages import Stages

    check_folder(args.model)  # before a large file is read
    records = read(args.data, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{records.n_broken} broken rows were set aside in {args.skip_broken}")
    with vacating(args.out), Stages(args.out, emit=None):  # no two processes train in one folder
        aligned = align(records.rows, model=args.model, config=config, out=Path(args.out), data_hash=records.data_hash)
    for line in aligned.lines():
        print(line)
    before = config.reference or args.model
    measure = f"plaudit evaluate HELD_OUT_PAIRS --reward 'likelihood/ratio?policy={args.out}/model&reference={before}'"
    print(f"saved {args.out}/model; next: {measure}")
    return 0


def _said(value: object) -> str:
    """A default as it is written in an algorithm's name."""
    return str(value).lower() if isinstance(value, bool) else str(value)
