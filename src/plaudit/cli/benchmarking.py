"""`plaudit evaluate --benchmark NAME --data PATH`: a judge on a benchmark's published files."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from plaudit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from plaudit.evaluation.benchmarks.evaluating import BenchmarkResult
    from plaudit.evaluation.benchmarks.items import Benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a benchmark."""
    add = parser.add_argument
    add("--benchmark", metavar="NAME", help="a benchmark instead of pairs; 'help' lists them with their columns")
    add(
        "--data", dest="benchmark_data", action="append", default=[], metavar="PATH",
        help="its published files: a file, a folder of them, or a hub id, #split for a split (repeatable)",
    )  # fmt: skip
    add("--out", metavar="FOLDER", help="write benchmark.html and benchmark.json here")
    add("--threshold", type=float, metavar="X", help="reward from which on a verdict (or a step) is right")


def check_absent(args: argparse.Namespace) -> None:
    """What pairs need, and what only a benchmark has.

    Raises:
        InputError: if the data is missing, or an option of benchmarks is given without one.
    """
    if args.benchmark_data or args.threshold is not None or args.out:
        option = "--data" if args.benchmark_data else "--out" if args.out else "--threshold"
        raise InputError(f"evaluate: {option} goes with --benchmark NAME; pairs are named without an option")
    if args.data is None:
        raise InputError("evaluate: name the preference pairs, or a benchmark with --benchmark NAME --data PATH")


def run(args: argparse.Namespace) -> int:
    """Lists the benchmarks, or judges one's items, prints the table and checks the thresholds."""
    from plaudit.evaluation.benchmarks.registry import benchmark, listing

    if args.benchmark == "help":
        print("\n".join(listing()))
        return 0
    from plaudit.cli.evaluate import missed, thresholds
    from plaudit.cli.inputs import open_judge
    from plaudit.cli.output import show, write_json
    from plaudit.evaluation.benchmarks.evaluating import evaluate_benchmark
    from plaudit.evaluation.benchmarks.judging import judge_items
    from plaudit.evaluation.benchmarks.reading import read_items

    chosen, floors = benchmark(args.benchmark), thresholds(args.fail_under)
    if args.threshold is not None and not math.isfinite(args.threshold):
        raise InputError(f"--threshold: is {args.threshold}; give the reward from which on a verdict is right")
    _refuse(args, chosen)
    data = read_items(chosen, args.benchmark_data, skip_broken=args.skip_broken)
    judged, fingerprint = None, f"stored judgements of {data.data_hash}"
    if args.reward:
        judge = open_judge(args)
        judged, fingerprint = (
            judge_items(judge, data.items, benchmark=chosen, log=args.log, threshold=args.threshold), judge.fingerprint
        )  # fmt: skip
    result = evaluate_benchmark(chosen, data.items, judged, seed=args.seed)
    result = replace(result, notes=(*data.notes, *result.notes))
    show(result.metrics, title=f"{result.judge} on {chosen.name}: {result.n_items} items, {result.n_clusters} prompts")
    _remarks(result)
    if data.repeated:
        print(f"{data.repeated} of {result.n_items} items were read before, and count again: is a file named twice?")
    if data.broken:
        print(f"{len(data.broken)} broken rows are in {args.skip_broken}")
    if args.out:
        print(f"wrote {_page(args, result, fingerprint, data.data_hash, data.sources)}")
    if args.json:
        more = {"fingerprint": fingerprint, "notes": list(result.notes), "outcomes": dict(result.outcomes)}
        hashes = {"+".join(data.sources): data.data_hash}
        write_json(args.json, result.metrics, configuration={**vars(args), **more}, data=hashes)
    return 1 if missed(result.metrics, floors) else 0


def _page(
    args: argparse.Namespace, result: BenchmarkResult, fingerprint: str, data_hash: str, sources: Sequence[str]
) -> Path:
    from datetime import UTC, datetime

    from plaudit.report.benchmark_page import write_benchmark
    from plaudit.runs.origin import provenance

    configuration = {"benchmark": result.benchmark, "fingerprint": fingerprint, "threshold": args.threshold}
    source = provenance(seed=args.seed, data={"+".join(sources): data_hash}, configuration=configuration)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return write_benchmark(args.out, result, created=created, source=source)


def _refuse(args: argparse.Namespace, chosen: Benchmark) -> None:
    """Options of pairs that a benchmark does not have."""
    if args.data is not None:
        raise InputError(f"--benchmark: give the files with --data {args.data}")
    if not args.benchmark_data:
        raise InputError(f"--benchmark {args.benchmark}: name its published files with --data PATH")
    if args.metric:
        raise InputError("--metric: is of models' outputs, and --benchmark of a reward; give one of them")
    if not args.reward and chosen.stored is None:
        raise InputError("evaluate: --reward is missing: a folder, hub id, name?options or module.py:function")
    given = {"--log": args.log, "--unsafe": args.unsafe, "--threshold": args.threshold is not None}
    if not args.reward and (idle := [option for option, value in given.items() if value]):
        raise InputError(f"{idle[0]}: is of a reward, and without --reward stored judgements are read; give one")
    if args.subset:
        raise InputError("--subset: a benchmark has its own subsets; leave it out (or use --benchmark own)")
    if args.no_probabilities:
        raise InputError("--no-probabilities: a benchmark has no calibration; leave it out")


def _remarks(result: BenchmarkResult) -> None:
    """What the table cannot say."""
    for note in result.notes:
        print(note)
