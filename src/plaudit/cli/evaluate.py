"""`plaudit evaluate`: how good a reward is on preference pairs or a benchmark, beside content-blind baselines."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plaudit.cli import benchmarking, outputs_metric, overconfidence
from plaudit.cli.inputs import add_reward
from plaudit.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from plaudit.evaluation.results import PairEvaluation
    from plaudit.records.rows import Pair
    from plaudit.rewards.base import Comparison, Floats, Reward, RewardBatch
    from plaudit.stats.estimate import Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add = parser.add_argument
    add("data", nargs="?", help="preference pairs (ranked rows become all their pairs); models' outputs (see --metric)")
    add_reward(parser, required=False)
    benchmarking.add_arguments(parser)
    outputs_metric.add_arguments(parser)
    add(
        "--subset",
        action="append",
        default=[],
        metavar="COLUMN",
        help="also by this meta column (repeatable)",
    )
    add("--no-probabilities", action="store_true", help="the reward's margins are no log-odds: no calibration")
    add("--json", metavar="FILE", help="write the same numbers with configuration and versions")
    add("--log", metavar="FILE", help="durable log of rewards: nothing is scored twice")
    add("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    add(
        "--fail-under", action="append", default=[], metavar="NAME=VALUE",
        help="exit with 1 when this metric's value is below, for example accuracy=0.6 (repeatable)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Scores both sides of every pair, or compares them, prints the table, checks the thresholds."""
    if args.benchmark is not None:
        return benchmarking.run(args)
    benchmarking.check_absent(args)
    if args.metric == overconfidence.METRIC:
        return overconfidence.run(args)
    if args.metric or args.gamed:
        return outputs_metric.run(args)
    if not args.reward:
        raise InputError("evaluate: --reward is missing: a folder, hub id, name?options or module.py:function")
    from plaudit.cli.inputs import open_judge, read_pairs
    from plaudit.cli.output import show, write_json
    from plaudit.evaluation.pairs import evaluate_pairs, group_values
    from plaudit.evaluation.results import metrics
    from plaudit.rewards.base import Reward
    from plaudit.rewards.calibrators.reading import calibration_line

    floors = thresholds(args.fail_under)  # a mistake here should not cost a scoring run
    records, pairs = read_pairs(args.data, args.skip_broken)
    for column in args.subset:
        group_values(pairs, column)  # refuses one that no pair has, before anything is scored
    reward = open_judge(args)
    sides, scale, probability = (
        _scored(reward, pairs, args) if isinstance(reward, Reward) else _compared(reward, pairs, args)
    )
    result = evaluate_pairs(
        pairs, *sides, subsets=args.subset, seed=args.seed,
        logit_scale=None if args.no_probabilities else scale,
        probability=None if args.no_probabilities else probability,
    )  # fmt: skip
    table = metrics(result)
    show(table, title=f"{reward.name} on {result.n_pairs} pairs of {result.n_prompts} prompts")
    if records.n_broken:
        print(f"{records.n_broken} broken rows are in {args.skip_broken}")
    _remarks(result)
    if line := _ties_line(*sides, compared=not isinstance(reward, Reward)):
        print(line)
    if (line := calibration_line(reward)) and not args.no_probabilities:
        print(line)
    if args.json:
        configuration = {**vars(args), "fingerprint": reward.fingerprint}
        write_json(args.json, table, configuration=configuration, data={"pairs": records.data_hash})
    return 1 if missed(table, floors) else 0


Judged = tuple["tuple[RewardBatch, RewardBatch]", float | None, "Callable[[Floats], Floats] | None"]


def _scored(reward: Reward, pairs: Sequence[Pair], args: argparse.Namespace) -> Judged:
    from plaudit.rewards.calibrators.reading import calibrated_probability
    from plaudit.rewards.scoring import score_samples

    both = [side for pair in pairs for side in pair.samples()]
    batch = score_samples(reward, both, log=None if reward.scope == "batch" else args.log)
    sides = batch.take(range(0, len(both), 2)), batch.take(range(1, len(both), 2))
    return sides, getattr(reward, "log_odds_per_unit", None), calibrated_probability(reward)


def _compared(comparison: Comparison, pairs: Sequence[Pair], args: argparse.Namespace) -> Judged:
    from plaudit.evaluation.pairs import judged_sides

    if args.log:
        raise InputError(f"--log: {args.reward} compares pairs, and the log keeps rewards of samples; leave it out")
    both = [pair.samples() for pair in pairs]
    return judged_sides(comparison, [b[0] for b in both], [b[1] for b in both], seed=args.seed), 1.0, None


def thresholds(options: Sequence[str]) -> dict[str, float]:
    """Metric to the least value that the user accepts, from `NAME=VALUE` options.

    Raises:
        InputError: if an option is not of this form.
    """
    floors: dict[str, float] = {}
    for option in options:
        name, _, value = option.rpartition("=")
        try:
            floors[name] = float(value)
        except ValueError:
            name = ""
        if not name or math.isnan(floors[name]):
            raise InputError(f"--fail-under: {option!r} is not NAME=VALUE with a number, such as accuracy=0.6")
    return floors


def missed(table: Mapping[str, Estimate], floors: Mapping[str, float]) -> list[str]:
    """Names of the metrics below their threshold; each is told on standard output. NaN is below everything.

    Raises:
        InputError: if there is no metric of that name.
    """
    names = []
    for name, floor in floors.items():
        if name not in table:
            raise InputError(f"--fail-under: there is no metric {name!r}; {nearest(name, table)}")
        if not table[name].value >= floor:
            names.append(name)
            print(f"missed: {name} is {table[name].format()}, below {floor:g}")
    return names


def _ties_line(chosen: RewardBatch, rejected: RewardBatch, *, compared: bool) -> str:
    """What is said where the reward prefers no completion of any pair; nothing elsewhere."""
    import numpy as np

    both = np.stack([chosen.reward, rejected.reward])[:, chosen.valid & rejected.valid]
    if not both.size or (both[0] != both[1]).any():
        return ""
    alike = np.ptp(both) == 0 and not compared  # of a comparison these are log-odds, which nobody has seen
    what = f"every reward is {both[0, 0]:g}" if alike else "both completions of every pair are worth the same"
    return f"{what}: all margins are ties, half right each, and nothing is preferred"


def _remarks(result: PairEvaluation) -> None:
    """What the table cannot say."""
    for baseline in result.baselines:
        if math.isnan(baseline.accuracy.value):
            print(f"baseline/{baseline.name}: {baseline.note}")
    left_out = {k: n for k, n in result.outcomes.items() if k not in ("scored", "policy_fault")}
    if left_out:
        told = ", ".join(f"{n} {k}" for k, n in left_out.items())
        print(f"{sum(left_out.values())} of {result.n_pairs} pairs have no margin and leave every mean: {told}")
