"""`plaudit evaluate OUTPUTS --metric NAME`: models by their outputs beside a baseline's, as judges compared them.

Rows without a judgement are compared by `--reward`, if one is given.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plaudit.cli.overconfidence import METRIC as OVERCONFIDENCE
from plaudit.errors import InputError, nearest

if TYPE_CHECKING:
    from plaudit.evaluation.ratings.length_control import GamedRows, LengthControlled
    from plaudit.evaluation.ratings.outputs import Judged
    from plaudit.stats.estimate import Estimate

METRICS = ("length-controlled-winrate", OVERCONFIDENCE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `plaudit evaluate` has for outputs."""
    parser.add_argument(
        "--metric", metavar="NAME",
        help="length-controlled-winrate: models' outputs beside a baseline's; overconfidence: whether the reward pays "
        "for a stated confidence on both sides of pairs",
    )  # fmt: skip
    parser.add_argument(
        "--gamed", metavar="FILE", help="AlpacaEval's rows of gamed baselines (df_gamed.csv), for --metric"
    )


def run(args: argparse.Namespace) -> int:
    """Reads the outputs, fits each model's regression, prints both win rates."""
    from plaudit._json import to_json
    from plaudit.cli.evaluate import missed, thresholds
    from plaudit.cli.output import show, write_json
    from plaudit.evaluation.ratings.outputs import read_gamed, read_outputs
    from plaudit.records.sample import content_hash

    _check(args)
    floors = thresholds(args.fail_under)
    rows, broken = read_outputs(args.data, args.skip_broken)
    unjudged = any(math.isnan(row.preference) for row in rows)
    if unjudged and args.reward:
        rows = _judged(rows, args)
    gamed, known = read_gamed(args.gamed) if args.gamed else (None, {})
    models = _by_model(rows)
    placed = _by_place(models, broken, args) if known else {}
    found = {
        model: _fitted(model, of, gamed, _looked_up(of, known, model in placed), args.seed)
        for model, of in models.items()
    }
    table = _table(found)
    baselines = ", ".join(sorted({row.baseline for row in rows}))
    show(table, title=f"{len(found)} models beside {baselines}, {len(rows)} rows")
    for line in _remarks(rows, found, broken, args) + _gamed_remarks(gamed, known, placed):
        print(line)
    if args.reward and not unjudged:
        print("every row has a judgement: --reward was not used")
    if args.json:
        data = {"outputs": content_hash([to_json(row) for row in rows])}
        write_json(args.json, table, configuration=dict(vars(args)), data=data)
    return 1 if missed(table, floors) else 0


def _check(args: argparse.Namespace) -> None:
    """Refuses what would be ignored."""
    if not args.metric:
        raise InputError("--gamed: goes with --metric length-controlled-winrate; name the metric, or leave it out")
    if args.metric not in METRICS:
        raise InputError(f"--metric: {args.metric!r} is not known; {nearest(args.metric, METRICS)}")
    if args.subset or args.no_probabilities:
        option = "--subset" if args.subset else "--no-probabilities"
        raise InputError(f"{option}: is of no use to --metric; leave it out")


def _judged(rows: Sequence[Judged], args: argparse.Namespace) -> list[Judged]:
    """The rows without a judgement, compared by the reward that was named."""
    from dataclasses import replace

    from scipy.special import expit

    from plaudit.cli.inputs import open_judge
    from plaudit.records import Sample
    from plaudit.rewards.base import Reward
    from plaudit.rewards.scoring import score_samples

    judge, at = open_judge(args), [i for i, row in enumerate(rows) if math.isnan(row.preference)]
    own = [Sample(rows[i].prompt, rows[i].output) for i in at]
    base = [Sample(rows[i].prompt, rows[i].baseline_output) for i in at]
    if isinstance(judge, Reward):
        scale = getattr(judge, "log_odds_per_unit", None)
        if scale is None:
            raise InputError(
                f"--reward: {judge.name} says nothing of probabilities; give a model, or shape it into one"
            )
        batch = score_samples(judge, own + base, log=None if judge.scope == "batch" else args.log)
        p = expit(scale * (batch.reward[: len(at)] - batch.reward[len(at) :]))
    else:
        # in both orders: with the model always first, a judge that leans to the first would make it win
        p = (judge(own, base).probability + 1 - judge(base, own).probability) / 2
    done = list(rows)
    for i, value in zip(at, p, strict=True):
        done[i] = replace(rows[i], preference=float(value))
    return done


def _by_model(rows: Sequence[Judged]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for row in rows:
        found.setdefault(row.model, []).append(row)
    for model, of in found.items():
        if len({row.baseline for row in of}) > 1:
            raise InputError(f"evaluate: {model} is compared with several baselines; give one file a baseline")
    return found


def _by_place(models: Mapping[str, Sequence[Judged]], broken: int, args: argparse.Namespace) -> dict[str, int]:
    """Models whose difficulties are looked up by the rows' places, as AlpacaEval's published files need, with rows."""
    placed = {
        model: len(of)
        for model, of in models.items()
        if model != of[0].baseline and all(row.index is None and math.isnan(row.difficulty) for row in of)
    }
    if placed and broken:
        raise InputError(
            f"--skip-broken: rows of {next(iter(placed))} have no index, and with {broken} set aside in "
            f"{args.skip_broken} their places say nothing; give each row its index, or mend the file"
        )
    return placed


def _looked_up(rows: Sequence[Judged], known: Mapping[str, float], by_place: bool) -> list[float]:
    """Difficulty of each row: its own, or that of its index (or place) in the gamed file; NaN where there is none."""
    return [
        known.get(str(row.place) if by_place else row.index or "", math.nan)
        if math.isnan(row.difficulty)
        else row.difficulty
        for row in rows
    ]


def _fitted(
    model: str, rows: Sequence[Judged], gamed: GamedRows | None, difficulty: Sequence[float], seed: int
) -> LengthControlled:
    import numpy as np

    from plaudit.evaluation.ratings.length_control import baseline_itself, length_controlled_winrate

    if model == rows[0].baseline:
        return baseline_itself(len(rows))
    gamma = np.array(difficulty)
    missing = int(np.isnan(gamma).sum())
    if missing and (gamed is not None or missing < len(rows)):
        raise InputError(
            f"evaluate: {missing} rows of {model} have no instruction_difficulty; give it for all rows or, without "
            "--gamed, for none (rows with an index of --gamed's have it from there, and rows none of which has an "
            "index by their places)"
        )
    return length_controlled_winrate(
        [row.preference for row in rows], [len(row.output) for row in rows], [len(row.baseline_output) for row in rows],
        # a blank prompt is no prompt that such rows share
        [row.prompt if row.prompt.strip() else (i,) for i, row in enumerate(rows)],
        difficulty=None if missing else gamma, gamed=gamed, seed=seed,
    )  # fmt: skip


def _table(found: Mapping[str, LengthControlled]) -> dict[str, Estimate]:
    from plaudit.stats.estimate import Estimate

    table = {}
    for model, fit in sorted(found.items(), key=lambda item: -item[1].controlled.value):
        table[f"{model}/length_controlled_winrate"] = fit.controlled
        table[f"{model}/winrate"] = fit.plain
        table[f"{model}/length_weight"] = Estimate(fit.weights[0], n=fit.plain.n, method="log-odds of being shorter")
    return table


def _remarks(
    rows: Sequence[Judged], found: Mapping[str, LengthControlled], broken: int, args: argparse.Namespace
) -> list[str]:
    lines = [f"{broken} broken rows are in {args.skip_broken}"] if broken else []
    without = sum(math.isnan(row.preference) for row in rows)
    if without:
        lines.append(f"{without} of {len(rows)} rows have no judgement: they leave the fit and the plain win rate")
    if blank := sum(not row.prompt.strip() for row in rows):
        lines.append(f"{blank} rows have no prompt: each is resampled by itself")
    if not args.gamed:
        lines.append("without --gamed: no rows of gamed baselines; AlpacaEval's published numbers are fitted with them")
    if any(math.isnan(fit.weights[1]) for fit in found.values()):
        lines.append("without instruction_difficulty: the regression has no such term")
    for model, fit in found.items():
        if fit.penalty == fit.penalty and not any(w for w in fit.weights if w == w):
            lines.append(f"{model}: the penalty took every term away, so control says one half whatever the rows say")
        if fit.extreme:
            change = f"{fit.plain.value:.3f} to {fit.controlled.value:.3f}"
            lines.append(f"{model}: control changes the win rate from {change}: the regression may have failed")
    return lines


def _gamed_remarks(gamed: GamedRows | None, known: Mapping[str, float], placed: Mapping[str, int]) -> list[str]:
    """What was left out of the gamed rows, and where difficulties were looked up by place."""
    lines = []
    if gamed is not None and (without := sum(math.isnan(p) for p in gamed.preference)):
        lines.append(f"{without} of {len(gamed.preference)} rows of --gamed have no preference: dropped, as published")
    if placed:
        whose = next(iter(placed)) if len(placed) == 1 else f"{len(placed)} models"
        line = f"rows of {whose} have no index: each has the difficulty of its place in the file, as published"
        short = [f"{model} has {n}" for model, n in placed.items() if n != len(known)]
        if short:
            line += f"; --gamed has {len(known)} instructions, {short[0]} rows: is the file whole?"
        lines.append(line)
    return lines
