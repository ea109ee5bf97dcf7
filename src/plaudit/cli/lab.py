"""`plaudit lab list | run NAME | contrast NAME ARM ARM | evidence`: the experiments that the methods rest on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plaudit.errors import InputError, MissingError

RUNS = Path("runs/lab")
OURS = Path("docs/evidence")
"""What Plaudit's own runs have shown, as it lies in a clone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the experiments: claim, grade, what has been run")
    run = actions.add_parser("run", help="run an experiment; finished parts are skipped when run again")
    run.add_argument("name", help="experiment, such as training/data_scaling, or all")
    run.add_argument("--smoke", action="store_true", help="one development instance with a tiny budget")
    run.add_argument(
        "--instances",
        default="confirmatory",
        metavar="ROLE[:COUNT]",
        help="development, confirmatory or blind, and how many of them (default: confirmatory, all)",
    )
    run.add_argument("--arm", action="append", metavar="ARM", help="run this arm only; may be repeated")
    run.add_argument("--salt", help="the salt of the blind instances, whose hash the claim published")
    contrast = actions.add_parser("contrast", help="the paired difference of any two arms that have been run")
    contrast.add_argument("name", help="experiment, such as training/objectives")
    contrast.add_argument("arms", nargs=2, metavar="ARM", help="first minus second")
    contrast.add_argument("--metric", help="any number of the arms (default: the claim's)")
    page = actions.add_parser("evidence", help="write the evidence page from what has been run")
    page.add_argument(
        "--area", metavar="AREA", help="one area only: reward-models, verifiers, or a room such as search"
    )
    page.add_argument("--out", type=Path, help="the file to write; standard output by default")
    run.add_argument("--folder", type=Path, default=RUNS, help="where results are kept (default: %(default)s)")
    for name in ("list", "contrast", "evidence"):
        actions.choices[name].add_argument(
            "--folder",
            type=Path,
            help=f"where results lie (default: {RUNS}; where that is missing, {OURS} of a clone of Plaudit)",
        )


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    told = ""
    given = args.folder is not None
    if not given:
        args.folder = OURS if OURS.is_dir() and not RUNS.is_dir() else RUNS
        if OURS.is_dir():
            more = "" if args.folder == OURS else f"; those that this clone holds: --folder {OURS}"
            told = f"results are those of {args.folder}{more}"
    if args.action == "evidence" or (given and args.action != "run"):
        _check_there(args.folder)
    code = {"list": _list, "run": _run, "contrast": _contrast, "evidence": _evidence}[args.action](args)
    if told:
        print(told, file=sys.stderr)
    return code


def _check_there(folder: Path) -> None:
    if not folder.is_dir():
        raise MissingError(f"lab: {folder}: no such folder; give --folder, or run plaudit lab run first")


def _list(args: argparse.Namespace) -> int:
    from plaudit.lab.catalog import list_experiments
    from plaudit.lab.running import read_results

    for name, claim in list_experiments().items():
        done = read_results(args.folder, claim)
        confirmed = sum(key.startswith("confirmatory-") for key in done)
        print(f"{name}  grade {claim.grade}, world {claim.world}, {confirmed} confirmatory instances run")
        print(f"    {claim.title}")
        print(f"    {claim.source}")
    return 0


def _run(args: argparse.Namespace) -> int:
    from plaudit.lab.catalog import list_experiments

    # a claim about another experiment's runs has nothing left to run once that one is through
    every = [name for name, claim in list_experiments().items() if not claim.runs]
    for name in every if args.name == "all" else [args.name]:
        _run_one(name, args)
    return 0


def _run_one(name: str, args: argparse.Namespace) -> None:
    from plaudit.lab.catalog import find_experiment
    from plaudit.lab.evidence import summarise
    from plaudit.lab.fitting import fit_in_world
    from plaudit.lab.running import run_experiment
    from plaudit.lab.seeds import instances

    role, count = ("development", 1) if args.smoke else _role(args.instances)
    experiment = find_experiment(name)
    claim = experiment.claim
    chosen = instances(claim, role, salt=args.salt, count=count)
    results = run_experiment(
        experiment,
        chosen,
        folder=args.folder,
        fit=fit_in_world,
        smoke=args.smoke,
        # of another experiment's runs a claim needs no more than its own contrast
        arms=args.arm or (experiment.claim.contrast if experiment.claim.runs else None),
        tell=lambda line: print(line, file=sys.stderr),
    )
    for key, arms in results.items():
        values = ", ".join(f"{arm} {numbers[claim.metric]:.4f}" for arm, numbers in arms.items())
        print(f"{key}: {claim.metric}: {values}")
    row = summarise({claim.name: (claim, results)})[0]
    judged = row.confirmed or row.blind
    if args.smoke:
        print("smoke run: shows that the machinery works, and nothing about the claim")
    elif judged is not None:
        print(f"{claim.name}: effect {judged.effect} {claim.unit}: {judged.verdict}")


def _contrast(args: argparse.Namespace) -> int:
    from plaudit.errors import nearest
    from plaudit.lab.catalog import find_experiment
    from plaudit.lab.evidence import differences
    from plaudit.lab.running import read_results
    from plaudit.stats.intervals import t_interval

    claim = find_experiment(args.name).claim
    for arm in args.arms:
        if arm not in claim.arms:
            raise InputError(f"lab: {claim.name} has no arm {arm!r}; {nearest(arm, claim.arms)}")
    runs, metric = read_results(args.folder, claim), args.metric or claim.metric
    known = sorted({name for arms in runs.values() for numbers in arms.values() for name in numbers})
    if known and metric not in known:
        raise InputError(f"lab: {claim.name} has no number {metric!r}; {nearest(metric, known)}")
    first, second = args.arms
    found = {role: differences(runs, role, (first, second), metric) for role in ("confirmatory", "blind")}
    if not any(found.values()):
        raise InputError(
            f"lab: no instance of {claim.name} in {args.folder} has {metric} of both {first} and {second}; "
            f"give --folder, or run plaudit lab run {claim.runs or claim.name}"
        )
    print(f"{claim.name}: {metric} of {first} minus {second}")
    for role, values in found.items():
        if values:
            print(f"    {role}: {t_interval(values)} over {len(values)} instances")
    if (first, second, metric) != (*claim.contrast, claim.metric):
        print("    nobody said beforehand that these two would be compared: no verdict")
    return 0


def _evidence(args: argparse.Namespace) -> int:
    from plaudit.lab.catalog import in_area, list_experiments
    from plaudit.lab.evidence import evidence_page, summarise
    from plaudit.lab.rankings import ranking_agreements
    from plaudit.lab.running import read_results
    from plaudit.runs.atomic import write_text

    claims = in_area(list_experiments(), args.area)
    results = {name: (claim, read_results(args.folder, claim)) for name, claim in claims.items()}
    page = evidence_page(summarise(results), ranking_agreements(results))
    if args.out is None:
        print(page, end="")
    else:
        write_text(args.out, page)
        print(f"evidence: {args.out}")
    return 0


def _role(text: str) -> tuple[str, int | None]:
    role, _, count = text.partition(":")
    if count and not (count.isdigit() and int(count) > 0):
        raise InputError(f"lab run: --instances is {text!r}; give a role, or role:count such as confirmatory:4")
    return role, int(count) if count else None
