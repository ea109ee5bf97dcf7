"""Linear judges of solutions, two benchmarks of them, and students that learn from what each judge lets through.

A solution has features of its own and of its problem (how hard it is). Half of the judges are fitted to verdicts, on
data of which more or less is right; half to pairs of one problem, which say nothing of where right begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import pair_credit
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.training.frozen import fit_linear

ARMS = ("balanced", "accuracy", "pair", "area", "coin", "oracle")
BEST = ("balanced", "pair", "oracle")
"""Arms that are also asked about the other use, `@best`: each problem's best solution is kept, whatever its score."""
SHOWN = 1.5
"""How far what is right depends on the solution's features, in log-odds a deviation; as far on the problem's."""
SAMPLES = 8
"""Solutions a problem."""
L2 = 1e-2

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Problems with solutions.

    Attributes:
        seen: what judges may see of each solution: a constant, its problem, itself; (problems, SAMPLES, 1 + u + v).
        chance: probability that it is right, (problems, SAMPLES).
        right: whether it is.
    """

    seen: Numbers
    chance: Numbers
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """What an instance's solutions are like.

    Attributes:
        weight: of constant, problem and solution in the log-odds of being right, (1 + u + v,).
        middle: mean of the features, (1 + u + v,).
        problems: number of features of a problem, u.
    """

    weight: Numbers
    middle: Numbers
    problems: int

    def pool(self, rng: np.random.Generator, count: int, samples: int = SAMPLES) -> Pool:
        """Problems drawn anew, with their solutions."""
        u, v = self.problems, len(self.weight) - 1 - self.problems
        own, problem = rng.normal(size=(count, samples, v)), rng.normal(size=(count, 1, u))
        parts = [np.ones((count, samples, 1)), np.broadcast_to(problem, (count, samples, u)), own]
        seen = np.concatenate(parts, axis=2)
        # features have a mean of their own, which shifts no chance
        chance = expit(seen @ self.weight)
        return Pool(seen + self.middle, chance, rng.random((count, samples)) < chance)


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `kept`, the mean over judges of the share that they let through; `gain`, what their
        students gain in accuracy.
    """
    del fit  # linear judges of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "best") or (knob and name not in BEST):
        raise InputError(f"verdict_filter: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("problem", "solution", "judges", "answers", "pool"))
    table = _table(seed, sizes)
    use = "best" if knob else "filter"
    if name == "coin":
        score = np.random.default_rng([seed, 9]).random(sizes[2])
    else:
        score = table["other " + use] if name == "oracle" else table[name]
    return {
        "foretells": float(spearmanr(score, table[use]).statistic),
        "kept": float(table["kept"].mean()),
        "gain": float((table[use] - table["start"]).mean()),
    }


@lru_cache(maxsize=2)
def _table(seed: int, sizes: tuple[int, ...]) -> dict[str, Numbers]:
    """Each judge's numbers on the benchmarks, and what its students reach."""
    u, v, count, answers, pool = sizes
    rng = np.random.default_rng([seed, 1])
    direction = [rng.normal(size=k) for k in (u, v)]
    weight = np.concatenate([[rng.normal(0, 0.5)], *(SHOWN * x / np.linalg.norm(x) for x in direction)])
    world = World(weight, np.concatenate([[0.0], np.zeros(u), rng.normal(size=v)]), u)
    bench = _benchmarks(np.random.default_rng([seed, 2]), world, answers)
    unlabelled = [world.pool(np.random.default_rng([seed, 3, k]), pool) for k in range(2)]
    exam = world.pool(np.random.default_rng([seed, 4]), 1000)
    rows = []
    for m in range(count):
        judge = _judge(np.random.default_rng([seed, 5, m]), world, pairs=m % 2 == 1)
        row = _scores(bench, judge)
        for prefix, given in zip(("", "other "), unlabelled, strict=True):
            said = given.seen @ judge
            row[prefix + "filter"] = _student(given, said >= 0, exam, u)
            row[prefix + "best"] = _student(given, said == said.max(axis=1, keepdims=True), exam, u)
        row["kept"] = float((unlabelled[0].seen @ judge >= 0).mean())
        row["start"] = float(exam.chance.mean())
        rows.append(row)
    return {k: np.array([row[k] for row in rows]) for k in rows[0]}


def _judge(rng: np.random.Generator, world: World, *, pairs: bool) -> Numbers:
    """Weights of one judge, (1 + u + v,): a verdict is "right" from a score of 0 on."""
    sees = np.concatenate([[True], rng.random(len(world.weight) - 1) < rng.uniform(0.3, 1.0)])
    count, share = round(np.exp(rng.uniform(np.log(60), np.log(2000)))), rng.uniform(0.1, 0.9)
    drawn = world.pool(rng, 6 * count, 2)
    if pairs:
        mixed = drawn.right[:, 0] != drawn.right[:, 1]
        first = np.where(drawn.right[:, 0], 1.0, -1.0)
        rows = ((drawn.seen[:, 0] - drawn.seen[:, 1]) * first[:, None])[mixed][:count]
    else:
        seen, right = drawn.seen[:, 0], drawn.right[:, 0]
        n = max(round(share * count), 1)
        rows = np.concatenate([seen[right][:n], -seen[~right][: max(count - n, 1)]])
    weight = np.zeros(len(sees))
    weight[sees] = fit_linear(rows[:, sees], l2=L2)
    return weight


@dataclass(frozen=True)
class Benchmarks:
    """Single answers with their labels, and as many answers as pairs of a right and a wrong one of a problem."""

    single: Numbers
    label: NDArray[np.bool_]
    pair: Numbers


def _benchmarks(rng: np.random.Generator, world: World, answers: int) -> Benchmarks:
    one, two = world.pool(rng, answers, 1), world.pool(rng, 6 * answers, 2)
    mixed = two.right[:, 0] != two.right[:, 1]
    order = np.where(two.right[:, :1], [[0, 1]], [[1, 0]])
    pair = np.take_along_axis(two.seen, order[:, :, None], axis=1)[mixed][: answers // 2]
    return Benchmarks(one.seen[:, 0], one.right[:, 0], pair)


def _scores(bench: Benchmarks, judge: Numbers) -> dict[str, float]:
    items = [made_item(i, (bool(x),)) for i, x in enumerate(bench.label)]
    said = bench.single @ judge
    judged = replace(fixed([[s] for s in said]), threshold=0.0)
    found = benchmark("libra").statistics(items, judged)
    twos = [made_item(i, (True, False)) for i in range(len(bench.pair))]
    won = pair_credit(fixed(list(bench.pair @ judge)).margins(twos), tie=0.5)
    between = said[bench.label][:, None] - said[~bench.label]
    return {
        "balanced": number_of(found, "balanced_accuracy"),
        "accuracy": number_of(found, "accuracy"),
        "pair": float(won.mean()),
        "area": float(((np.sign(between) + 1) / 2).mean()),
    }


def _student(pool: Pool, kept: NDArray[np.bool_], exam: Pool, problems: int) -> float:
    """Accuracy of a policy over solutions, `softmax(theta @ features)`, that imitates what was kept.

    Within a problem features are normal with variance 1, so the likelihood's maximum is the mean deviation of the kept
    solutions from their problem's; a problem of which all or none are kept teaches nothing.
    """
    own = pool.seen[:, :, 1 + problems :]
    deviation = own - own.mean(axis=1, keepdims=True)
    theta = deviation[kept].mean(axis=0) if kept.any() else np.zeros(own.shape[2])
    choice = softmax(exam.seen[:, :, 1 + problems :] @ theta, axis=1)
    return float((choice * exam.chance).sum(axis=1).mean())
