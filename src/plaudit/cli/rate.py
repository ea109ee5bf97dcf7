"""`plaudit rate`: systems rated by comparisons of their outputs."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add = parser.add_argument
    add("battles", help="rows with model_a, model_b (or left, right, or model_x, model_y), winner, and prompt")
    add("--method", default="bradley-terry", metavar="NAME", help="bradley-terry (default), elo, or win-rate")
    add(
        "--prior", type=float, default=0.0, metavar="X",
        help="battles each system is taken to have won and lost: finite Bradley-Terry ratings for all (default: 0)",
    )  # fmt: skip
    add("--json", metavar="FILE", help="write the same numbers with configuration and versions")
    add("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    add("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap over prompts (default: 1000)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Reads the battles, rates, prints the table and what it cannot say."""
    import hashlib
    from pathlib import Path

    from plaudit.cli.output import BESIDE, show, write_json
    from plaudit.evaluation.ratings import rate, read_battles

    battles = read_battles(args.battles, skip_broken=args.skip_broken)
    found = rate(battles, args.method, prior=args.prior, seed=args.seed, resamples=args.resamples)
    of = f" of {battles.n_prompts} prompts" if battles.n_prompts else ""
    show(found.table, title=f"{args.method}: {len(found.table)} systems, {len(battles)} battles{of}")
    for note in found.notes:
        print(note)
    if args.json:
        data = {"battles": hashlib.sha256(Path(args.battles).read_bytes()).hexdigest()[:32]}
        # a system may be called what stands beside the numbers: Cohere's is "command"
        named = {f"system/{name}" if name in BESIDE else name: e for name, e in found.table.items()}
        write_json(args.json, named, configuration=dict(vars(args)), data=data)
    return 0
