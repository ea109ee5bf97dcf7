"""Reward models fitted by every objective to the same rated lists, at several shares of wrong ratings.

An arm is `objective@share`: the share, in per cent, of lists that were rated upside down. All arms of an instance read
the same prompts, completions and ratings, start from the same random weights (with another head where the objective has
one) and see each token equally often. One kind of request never occurs in training: its prompts are the shifted ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit, Scorer
from plaudit.lab.fitting import scorer_of, trained_in_world
from plaudit.lab.worlds.assistant import KINDS, PolicyConfig, Pool, Prepared, prepare
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Reward
from plaudit.search import best_of_n_values
from plaudit.stats.calibration import calibration_error, calibration_floor
from plaudit.stats.correlation import within_group_correlation

SETTINGS: dict[str, dict[str, Any]] = {
    "bradley-terry": {},
    "margin": {"use_margin": True, "margin_scale": 0.5},
    "smoothed": {"label_smoothing": 0.2},
    "centred": {"center_coef": 0.01},
    "two-layer": {"head_depth": 2},
    "soft": {"objective": "soft-bradley-terry"},
    "dynamic": {"objective": "dynamic-bradley-terry"},
    "scaled": {"objective": "scaled-bradley-terry"},
    "margin-regression": {"objective": "margin-regression"},
    "combined-strength": {"objective": "combined-strength"},
    "convex": {"objective": "convex-bradley-terry"},
    "cotraining": {"objective": "cotraining"},
    "thurstone": {"objective": "thurstone"},
    "rao-kupper": {"objective": "rao-kupper"},
    "davidson": {"objective": "davidson"},
    "plackett-luce": {"objective": "plackett-luce"},
    "rank-list": {"objective": "rank-list"},
    "borda": {"objective": "borda"},
    "general-preference": {"objective": "general-preference?temperature=1.0&init=unit"},
    "regression": {"objective": "regression"},
    "huber": {"objective": "huber"},
    "gaussian": {"objective": "gaussian"},
    "quantile": {"objective": "quantile"},
    "evidential": {"objective": "evidential"},
    "rating-distribution": {"objective": "rating-distribution"},
    "fidelity": {"objective": "rating-distribution?fidelity_coef=1.0"},
    "ordinal": {"objective": "ordinal"},
    "beliefs": {"objective": "beliefs"},
}
"""Name in the arms to the options of the fit."""

OPPONENTS = 8
"""Completions of each prompt that a comparison plays against to give a completion a number."""


@dataclass(frozen=True)
class Judge:
    """What an arm fitted.

    Attributes:
        scores: a number a completion, comparable within a prompt.
        margins: a number a pair, above 0 where chosen is held to be better.
    """

    scores: Scorer
    margins: Callable[[Sequence[Pair]], np.ndarray]


@dataclass(frozen=True)
class Bench:
    """What all arms of an instance are measured on.

    Attributes:
        world: the instance.
        held_out: the kind of request that training never sees.
        tested: clean test pairs of the other kinds, and of that kind.
        pool: completions of prompts of the other kinds, many a prompt.
        shifted: completions of prompts of the held-out kind.
    """

    world: Prepared
    held_out: str
    tested: tuple[list[Pair], list[Pair]]
    pool: Pool
    shifted: Pool


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on clean test pairs (ties of the scorer half) and `accuracy_shifted` on those of the kind of request
        that training never saw; `ece` after a temperature fitted on other pairs, and its `ece_floor`; `correlation`
        with the true reward within prompts, and `correlation_shifted`; what the best of 16 and of the largest n is
        truly worth above a random completion; `seconds` of the fit.
    """
    del fit  # it fits by Bradley-Terry only
    return judged(seed, arm, budget, (*SETTINGS, "placebo"), _lessons)


@dataclass(frozen=True)
class Asked:
    """What an arm is to learn from.

    Attributes:
        name: of the arm, without its share.
        share: of its lists that were rated upside down.
        seed: of the instance.
        bench: of the instance.
        lists: rated; those of `placebo` with their levels in another order.
        budget: of the claim.
        folder: for what the fit reads from a disk; it is gone when the fit has ended.
    """

    name: str
    share: float
    seed: int
    bench: Bench
    lists: Sequence[Ranked]
    budget: Mapping[str, Any]
    folder: Path


def judged(
    seed: int, arm: str, budget: Mapping[str, Any], names: Collection[str],
    lessons: Callable[[Asked], tuple[Sequence[Any], dict[str, Any]]],
) -> dict[str, float]:  # fmt: skip
    """The numbers of an arm `name@share`: of a fit, of the true reward (`oracle`), or of the length (`longer`).

    Args:
        seed: of the instance.
        arm: its name, and the share of wrong lists in per cent.
        budget: of the claim; `opponents` of a comparison where it has them.
        names: of the arms that fit something.
        lessons: from what is asked to the rows that are learned from and the options of the fit.

    Raises:
        InputError: if the arm is not known.
    """
    name, _, share = arm.partition("@")
    if name not in names and name not in CONTROLS:
        raise InputError(f"objectives: arm {arm!r} is not known; the claim lists the arms")
    bench = bench_of(seed, *sorted(budget.items()))
    started = time.process_time()
    if name in CONTROLS:
        judge = by_scores(CONTROLS[name](bench))
    else:
        judge = _fitted(name, int(share or 0) / 100, bench, budget, seed, lessons)
    return {"seconds": time.process_time() - started} | measured(judge, bench, budget, seed)


def _fitted(
    name: str, share: float, bench: Bench, budget: Mapping[str, Any], seed: int,
    lessons: Callable[[Asked], tuple[Sequence[Any], dict[str, Any]]],
) -> Judge:  # fmt: skip
    lists = bench.world.lists(budget["lists"], each=budget["each"], seed=1, without=(bench.held_out,), flips=share)
    if name == "placebo":
        lists = with_shuffled_levels(lists, seed)
    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as folder:
        rows, options = lessons(Asked(name, share, seed, bench, lists, budget, Path(folder)))
        fit = trained_in_world(rows, seed=seed, size=budget["size"], epochs=budget["epochs"], **options)
    if isinstance(fit.reward, Reward):
        return by_scores(scorer_of(fit.reward))
    return by_comparison(fit.reward, bench, opponents=budget.get("opponents", OPPONENTS))


def measured(judge: Judge, bench: Bench, budget: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Everything that is asked of what an arm fitted."""
    near, far = (judge.margins(rows) for rows in bench.tested)
    pool, shifted = (_pool_scores(judge.scores, p) for p in (bench.pool, bench.shifted))
    ns = [n for n in (16, budget["largest"]) if n <= budget["largest"]]
    best = best_of_n_values(pool, bench.pool.truth, ns).mean(axis=0) - bench.pool.truth.mean()
    return {
        "accuracy": accuracy(near, bench.tested[0]),
        "accuracy_shifted": accuracy(far, bench.tested[1]),
        **calibration(near, bench.tested[0], seed),
        "correlation": _correlation(pool, bench.pool.truth),
        "correlation_shifted": _correlation(shifted, bench.shifted.truth),
        **{f"best_of_{n}": float(value) for n, value in zip(ns, best, strict=True)},
    }


def by_scores(scorer: Scorer) -> Judge:
    """Margins that are differences of scores."""

    def margins(rows: Sequence[Pair]) -> np.ndarray:
        chosen, rejected = (scorer([r.samples()[i] for r in rows]) for i in (0, 1))
        return chosen - rejected

    return Judge(scorer, margins)


def by_comparison(comparison: Comparison, bench: Bench, *, opponents: int = OPPONENTS) -> Judge:
    """Margins that are log-odds, and scores that are mean log-odds against so many completions of the prompt."""
    met_by: dict[Any, list[Sample]] = {}
    for pool in (bench.pool, bench.shifted):
        samples, width = pool.samples(), pool.truth.shape[1]
        for i, prompt in enumerate(pool.prompts):
            met_by[prompt] = samples[i * width : i * width + min(opponents, width)]

    def log_odds(first: Sequence[Sample], second: Sequence[Sample]) -> np.ndarray:
        return np.array([float(d["log_odds"]) for d in comparison(first, second).detail])

    def scores(samples: Sequence[Sample]) -> np.ndarray:
        met = [(s, o) for s in samples for o in met_by[s.prompt]]
        return np.asarray(log_odds([s for s, _ in met], [o for _, o in met]).reshape(len(samples), -1).mean(axis=1))

    def margins(rows: Sequence[Pair]) -> np.ndarray:
        both = [r.samples() for r in rows]
        return log_odds([b[0] for b in both], [b[1] for b in both])

    return Judge(scores, margins)


def length_of(samples: Sequence[Sample]) -> np.ndarray:
    """Words of each text, (n,)."""
    return np.array([float(len(s.text.split())) for s in samples])


CONTROLS: dict[str, Callable[[Bench], Scorer]] = {
    "oracle": lambda bench: scorer_of(bench.world.reward),
    "longer": lambda _: length_of,
}
"""Arms that fit nothing, and what they judge by."""


def accuracy(margin: np.ndarray, rows: Sequence[Pair]) -> float:
    """Share ordered as by the true reward, ties half; what is truly equal is left out."""
    truth = np.array([float(r.meta["true_margin"]) for r in rows])
    told = np.abs(truth) > 1e-9
    return float(((np.sign(margin[told]) * np.sign(truth[told]) + 1) / 2).mean())


def calibration(margin: np.ndarray, rows: Sequence[Pair], seed: int) -> dict[str, float]:
    """Calibration error of `sigmoid(margin / T)`, T fitted on every other pair, and what a perfect model shows.

    The rows' chosen is always first, so pairs are turned by a coin before either step.
    """
    turned = np.random.default_rng([seed, 41]).random(len(rows)) < 0.5
    signed, label = np.where(turned, -margin, margin), (~turned).astype(np.float64)
    fitted, held = slice(0, None, 2), slice(1, None, 2)
    probability = 1 / (1 + np.exp(-np.clip(signed[held] * fitted_slope(signed[fitted], label[fitted]), -30, 30)))
    return {
        "ece": float(calibration_error(probability, label[held])),
        "ece_floor": float(calibration_floor(probability, seed=seed).value),
    }


def fitted_slope(margin: np.ndarray, label: np.ndarray) -> float:
    """Log-odds per unit of margin: maximum likelihood, never negative."""
    from scipy.optimize import minimize_scalar

    unit = float(np.abs(margin).mean()) or 1.0

    def loss(log_slope: float) -> float:
        z = np.exp(log_slope) * margin / unit
        return float(np.logaddexp(0, np.where(label > 0.5, -z, z)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-6, 4), method="bounded").x)) / unit


def _correlation(scores: np.ndarray, truth: np.ndarray) -> float:
    groups = np.repeat(np.arange(truth.shape[0]), truth.shape[1])
    return float(within_group_correlation(scores.ravel(), truth.ravel(), groups, resamples=1).value)


def _pool_scores(scorer: Scorer, pool: Pool) -> np.ndarray:
    """Scores of a pool; equal completions of a prompt are scored once."""
    samples = pool.samples()
    places: dict[tuple[str | None, str], int] = {}
    at = np.array([places.setdefault((s.group, s.text), len(places)) for s in samples])
    first = np.unique(at, return_index=True)[1]
    return np.asarray(scorer([samples[i] for i in first])[at].reshape(pool.truth.shape))


@lru_cache(maxsize=1)
def bench_of(seed: int, *budget: tuple[str, Any]) -> Bench:
    """What the arms of an instance are measured on; that of the last one is kept.

    Args:
        seed: of the instance.
        *budget: items of the claim's budget, sorted.

    Raises:
        InputError: if too few of the shifted prompts are of the kind that training never sees.
    """
    b = dict(budget)
    world = prepare(seed, PolicyConfig(demonstrations=b["policy_demonstrations"], epochs=b["policy_epochs"]))
    held_out = KINDS[int(np.random.default_rng([seed, 43]).integers(len(KINDS)))]
    rows = world.pairs(b["test"], seed=2, side="test")
    tested = ([r for r in rows if r.meta["kind"] != held_out], [r for r in rows if r.meta["kind"] == held_out])
    wide = world.pool(b["prompts"], b["completions"])
    narrow = world.pool(b["shifted_prompts"], b["shifted_completions"], seed=1)
    near = [i for i, kind in enumerate(wide.kinds) if kind != held_out]
    far = [i for i, kind in enumerate(narrow.kinds) if kind == held_out]
    if not near or len(far) < 2:
        raise InputError(f"objectives: {len(far)} prompts of the kind {held_out!r}; give more shifted_prompts")
    return Bench(world, held_out, tested, _some(wide, near), _some(narrow, far))


def _some(pool: Pool, at: Sequence[int]) -> Pool:
    """Some prompts of a pool."""
    return Pool(
        tuple(pool.prompts[i] for i in at), pool.ids[at], pool.truth[at], pool.aspects[at],
        tuple(pool.kinds[i] for i in at),
    )  # fmt: skip


def _lessons(asked: Asked) -> tuple[Sequence[Any], dict[str, Any]]:
    options = dict(SETTINGS["bradley-terry" if asked.name == "placebo" else asked.name])
    if asked.name == "cotraining":
        options["objective"] = f"cotraining?noise={max(asked.share, 0.0)}"
    if asked.name != "soft":
        return asked.lists, options
    rows = soft_pairs(asked.lists)
    # as many steps as the arms that read lists
    return rows, options | {"batch_size": round(32 * len(rows) / len(asked.lists))}


def soft_pairs(rows: Sequence[Ranked]) -> list[Pair]:
    """Every two completions of a list with the probability that their levels give, a logit a level; ties too."""
    found = []
    for row in rows:
        for i, j in combinations(range(len(row.completions)), 2):
            p = float(1 / (1 + np.exp(row.scores[j] - row.scores[i])))
            found.append(Pair(row.prompt, row.completions[i], row.completions[j], meta={"preference": p}))
    return found


def with_shuffled_levels(rows: Sequence[Ranked], seed: int) -> list[Ranked]:
    """The same levels, given to the completions of each list in another order: what is learned then is nothing."""
    rng = np.random.default_rng([seed, 47])
    return [Ranked(r.prompt, r.completions, tuple(rng.permutation(r.scores).tolist()), meta=r.meta) for r in rows]
