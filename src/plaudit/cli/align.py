"""`plaudit align`: a policy, and preferences or a reward, in; an aligned policy out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from plaudit.cli.iterated import SAMPLED, add_rounds, check_no_rounds, run_iterated
from plaudit.cli.launched import first, held
from plaudit.cli.options import add_dataclass, from_args
from plaudit.cli.rounds import add_files, named, run_rounds
from plaudit.errors import InputError
from plaudit.policy.algorithms import ALGORITHMS
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.methods import ONLINE

WAYS: Mapping[str, tuple[str, str]] = {
    "--rounds N": (
        "an algorithm from preferences on the policy's own completions, which the reward judges, round after round",
        "prompts and --reward REF",
    ),
    "--stages FILE": (
        "runs one after the other, each from the policy before; what has fallen is trained again [190]",
        "prompts (or those of the file), --reward REF (or the file's) and a YAML file of stages and measures",
    ),
    "--game FILE": (
        "helpful and sneaky provers against verifiers, in rounds [217]",
        "prompts, --reward REF that says what is right, and a YAML file of the game, its verifiers and their reader",
    ),
    "--self-play FILE": (
        "the policy conjectures problems and learns from its proofs, in rounds [208]",
        "problems, --reward REF that checks a proof, and a YAML file of the subject, the rounds and the fit",
    ),
    "--irl FILE": (
        "a reward from demonstrations, learnt and spent in turns [122]",
        "demonstrations (samples, wanted rows or pairs) and a YAML file of the rounds and the reward models",
    ),
}
"""Several runs that belong together: the option, a summary, and what it needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("data", nargs="?", help="rows: a file, a datasets folder or a hub id; 'help' lists algorithms")
    parser.add_argument("--model", help="folder or hub id of the policy to start from")
    parser.add_argument("--out", help="run folder; the model is saved under OUT/model")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    parser.add_argument("--reward", metavar="REF", help="what an online algorithm raises, or a comparison to win by")
    parser.add_argument(
        "--watch", metavar="REF", action="append", default=[], help="another reward to show beside it; may be repeated"
    )
    add_files(parser)
    add_rounds(parser)
    shared = {field.name for field in fields(AlignConfig)}
    add_dataclass(parser, AlignConfig, title="alignment")
    add_dataclass(parser, OnlineConfig, skip=shared, title="online algorithms, which sample")


def run(args: argparse.Namespace) -> int:
    """Aligns; prints one line a result."""
    if "help" in (args.data, args.algorithm):
        _listed("from preferences", ALGORITHMS)
        print()
        _listed("from a reward (--reward REF), on the policy's own completions", ONLINE)
        print("\nin several runs that belong together (docs: Aligning a policy):")
        for option, (summary, needs) in WAYS.items():
            print(f"{option}\n  {summary}\n  from {needs}")
        return 0
    missing = [w for w, v in (("DATA", args.data), ("--model REF", args.model), ("--out FOLDER", args.out)) if not v]
    if missing:
        raise InputError(f"align: give {', '.join(missing)} (see plaudit align --help)")
    if args.model == "scratch":
        raise InputError("align: a model with random weights has nothing to align; name a policy's folder with --model")
    if kind := named(args):
        args.algorithm = args.algorithm or ("grpo-s" if kind == "irl" else OnlineConfig().algorithm)
        _refuse_others(args, f"--{kind.replace('_', '-')}", AlignConfig, OnlineConfig)
        return run_rounds(args, kind)
    name = (args.algorithm or ("grpo" if args.reward else AlignConfig().algorithm)).partition("?")[0]
    if args.rounds is None:
        check_no_rounds(args)
    elif name in ONLINE:
        raise InputError(f"align: --rounds has no effect on {name}, which samples in every step; leave it out")
    return _online(args) if name in ONLINE else _offline(args, name)


def _offline(args: argparse.Namespace, name: str) -> int:
    """Alignment from a file of preferences."""
    if name in ALGORITHMS:  # else the configuration says which are known
        if args.watch or (args.reward and args.rounds is None):
            raise InputError(
                f"align: {name} learns from preferences, not from a reward; leave --reward and --watch out, or let it "
                "learn from its own completions by a reward, with --rounds N"
            )
        _refuse_others(args, name, OnlineConfig, AlignConfig, but=() if args.rounds is None else SAMPLED)
        if args.rounds is not None:
            return run_iterated(args)
    config = from_args(args, AlignConfig)

    from plaudit.policy.offline.aligning import align
    from plaudit.records import read
    from plaudit.rewards.folders import check_folder

    check_folder(args.model)  # before a large file is read
    records = read(args.data, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{records.n_broken} broken rows were set aside in {args.skip_broken}")
    with held(args.out):
        aligned = align(records.rows, model=args.model, config=config, out=Path(args.out), data_hash=records.data_hash)
    if not first():
        return 0
    for line in aligned.lines():
        print(line)
    before = config.reference or args.model
    measure = f"plaudit evaluate HELD_OUT_PAIRS --reward 'likelihood/ratio?policy={args.out}/model&reference={before}'"
    print(f"saved {args.out}/model; next: {measure}")
    return 0


def _online(args: argparse.Namespace) -> int:
    """Alignment by a reward, on completions that are sampled on the way."""
    if not args.reward:
        raise InputError("align: an online algorithm needs --reward REF (plaudit rewards lists what can be named)")
    args.algorithm = args.algorithm or OnlineConfig().algorithm
    _refuse_others(args, args.algorithm.partition("?")[0], AlignConfig, OnlineConfig)
    config = from_args(args, OnlineConfig)

    from plaudit.policy.online.entry import align_online
    from plaudit.records import read
    from plaudit.report.policy_page import write_policy_run
    from plaudit.rewards.folders import check_folder

    check_folder(args.model)
    records = read(args.data, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{records.n_broken} broken rows were set aside in {args.skip_broken}")
    with held(args.out):
        aligned = align_online(
            records.rows, model=args.model, reward=args.reward, watched=args.watch, config=config, out=Path(args.out)
        )
    if not first():
        return 0
    for line in aligned.lines():
        print(line)
    page = write_policy_run(args.out)
    print(f"saved {args.out}/model; every completion with its reward: {args.out}/samples.jsonl; the run: {page}")
    return 0


def _refuse_others(args: argparse.Namespace, name: str, other: type, mine: type, *, but: tuple[str, ...] = ()) -> None:
    """Options of the other kind of algorithm would be ignored: they are refused.

    Raises:
        InputError: naming the first.
    """
    own = {field.name for field in fields(mine)}
    for field in fields(other):
        if field.name not in (*own, *but) and getattr(args, field.name, None) not in (None, False):
            raise InputError(f"align: --{field.name.replace('_', '-')} has no effect on {name}; leave it out")


def _listed(title: str, algorithms: Mapping[str, Any]) -> None:
    """Prints algorithms, a summary and a line of data and options each."""
    print(f"{title}:")
    for name, algorithm in algorithms.items():
        options = ", ".join(f"{key}={_said(value)}" for key, value in algorithm.options.items())
        print(f"{name}\n  {algorithm.summary}\n  from {algorithm.needs}{f'; options: {options}' if options else ''}")


def _said(value: object) -> str:
    """A default as it is written in an algorithm's name."""
    return str(value).lower() if isinstance(value, bool) else str(value)
