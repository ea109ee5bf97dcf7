"""Rewards of answers about images of digits, a benchmark filtered by weak rewards, and what best-of-n gains.

A question shows a digit, an answer names one; a policy that half recognises digits writes the answers. Rewards are
linear classifiers that differ in how many images they saw, in which pixels they see and in how many labels were wrong.
An item of the benchmark is a right and a wrong answer about an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.search.best_of_n import best_of_n_values

ARMS = ("hard", "random", "all", "split", "most", "coin", "oracle")
KNOBS = {"": ARMS, "strong": ("hard", "random", "oracle"), "raw": ("hard", "random"), "0": ("hard", "random")}
RANGES = {"weak": ((30, 100), (0.33, 0.33), 0.3), "any": ((40, 1000), (0.2, 1.0), 0.3),
          "strong": ((300, 1000), (0.6, 1.0), 0.1)}  # fmt: skip
"""Of a reward: how many images it saw, which share of their pixels, and how many of the labels were wrong at most."""
TRAIN, BENCH = 1000, 397
"""Images that rewards are fitted to, and those of the benchmark; the others are for best-of-n."""
WEAK = 4
"""Weak rewards that filter."""
GROUP = {**dict.fromkeys(range(4), "general"), **dict.fromkeys(range(4, 7), "hallucination"),
         **dict.fromkeys(range(7, 10), "reasoning")}  # fmt: skip
"""The benchmark's group of an image's digit."""

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `items` of the arm's benchmark; `weak`, the highest accuracy there of a weak reward;
        `accuracy`, the mean there of the rewards that are ranked, and `spread`, their deviation.
    """
    del fit  # linear classifiers of pixels
    name, _, knob = arm.partition("@")
    if name not in KNOBS.get(knob, ()):
        raise InputError(f"hard_items: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("rewards", "pairs", "pool", "n", "exam"))
    world = _world(seed, sizes, float(budget["temperature"]), "strong" if knob == "strong" else "any")
    rng = np.random.default_rng([seed, 7])
    flipped = rng.random(len(world.digit)) < (float(budget["flipped"]) if knob == "raw" else 0.0)
    weak = rng.normal(size=world.weak.shape) if knob == "0" else world.weak
    chosen = _chosen(name, np.where(flipped, -weak, weak), rng)
    # margins of all rewards on the items as they are labelled
    margins, others = (np.where(flipped, -m, m)[:, chosen] for m in (world.margins, world.weak))
    score = _numbers(world.digit[chosen], margins)
    told = {"items": float(len(chosen)), "weak": float((others > 0).mean(axis=1).max()),
            "accuracy": float(score.mean()), "spread": float(score.std())}  # fmt: skip
    if name == "coin":
        score = np.random.default_rng([seed, 9]).random(len(score))
    elif name == "oracle":
        score = world.other
    # a benchmark on which all rewards are equal orders none
    foretells = 0.0 if np.ptp(score) == 0 else float(spearmanr(score, world.gain).statistic)
    return {"foretells": foretells, **told}


def _chosen(name: str, weak: Numbers, rng: np.random.Generator) -> Places:
    """Which items an arm keeps, by the margins of the weak rewards (weak, items)."""
    wrong = (weak <= 0).sum(axis=0)
    hard = np.flatnonzero(wrong == len(weak))
    if name in ("hard", "random") and len(hard) < 2:
        raise InputError(f"hard_items: weak rewards all fail on {len(hard)} of {weak.shape[1]} items; give more pairs")
    if name == "hard":
        return hard
    if name == "split":
        return np.flatnonzero((wrong > 0) & (wrong < len(weak)))
    if name == "most":
        return np.flatnonzero(wrong >= len(weak) - 1)
    if name == "random":
        return rng.choice(weak.shape[1], size=len(hard), replace=False)
    return np.arange(weak.shape[1])


def _numbers(digit: Places, margins: Numbers) -> Numbers:
    """The benchmark's overall accuracy of each reward, by its margins (rewards, items)."""
    items = [made_item(i, (True, False), subset=GROUP[int(d)]) for i, d in enumerate(digit)]
    scores = []
    for row in margins:
        found = benchmark("vl-rewardbench").statistics(items, fixed([np.array([m, 0.0]) for m in row]))
        scores.append(number_of(found, "present_overall" if found.notes else "overall"))
    return np.array(scores)


@dataclass(frozen=True)
class World:
    """An instance.

    Attributes:
        digit: of each item's image, which is the right answer, (items,).
        margins: right less wrong answer's reward, (rewards, items).
        weak: the same of the weak rewards.
        gain: of best-of-n by each reward, (rewards,), share of right answers above a random one's.
        other: the same on other images.
    """

    digit: Places
    margins: Numbers
    weak: Numbers
    gain: Numbers
    other: Numbers


@lru_cache(maxsize=2)
def _world(seed: int, sizes: tuple[int, ...], temperature: float, kind: str) -> World:
    from sklearn.datasets import load_digits

    rewards, pairs, pool, n, exam = sizes
    rng = np.random.default_rng([seed, 1])
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(y))
    x, y = x[order] / 16, y[order].astype(np.int64)
    train, bench, rest = np.split(np.arange(len(y)), [TRAIN, TRAIN + BENCH])
    writes = _classifier(np.random.default_rng([seed, 2]), x[train], y[train], 100, 1.0, 0.0)
    chance = softmax(writes(x) / temperature, axis=1)
    judges = [_reward(np.random.default_rng([seed, 3, m]), x[train], y[train], kind) for m in range(rewards)]
    weak = [_reward(np.random.default_rng([seed, 4, m]), x[train], y[train], "weak") for m in range(WEAK)]
    shown = np.repeat(bench, pairs)
    wrong = _drawn(rng, np.where(np.arange(10) == y[shown, None], 0.0, chance[shown]))
    at = np.arange(len(shown))

    def margins(judge: Any) -> Numbers:
        said = judge(x[shown])
        return np.asarray(said[at, y[shown]] - said[at, wrong])

    gains = []
    for part in np.array_split(rest[: 2 * exam], 2):
        answers = _drawn(rng, np.repeat(chance[part], pool, axis=0)).reshape(len(part), pool)
        truth = (answers == y[part, None]).astype(np.float64)
        proxies = [np.take_along_axis(judge(x[part]), answers, axis=1) for judge in judges]
        gains.append([best_of_n_values(p, truth, [n]).mean() - truth.mean() for p in proxies])
    return World(
        y[shown], np.stack([margins(j) for j in judges]), np.stack([margins(j) for j in weak]),
        *(np.array(g) for g in gains),
    )  # fmt: skip


def _drawn(rng: np.random.Generator, chance: Numbers) -> Places:
    """One answer a row, by its chances up to a factor."""
    total = chance.cumsum(axis=1)
    return np.asarray((total < rng.random((len(chance), 1)) * total[:, -1:]).sum(axis=1))


def _reward(rng: np.random.Generator, x: Numbers, y: Places, kind: str) -> Any:
    """A reward of one of the kinds in `RANGES`."""
    count, sees, wrong = RANGES[kind]
    number = round(np.exp(rng.uniform(*np.log(count))))
    return _classifier(rng, x, y, number, rng.uniform(*sees), rng.uniform(0.0, wrong))


def _classifier(rng: np.random.Generator, x: Numbers, y: Places, count: int, sees: float, wrong: float) -> Any:
    """Log-probabilities (n, 10) of a linear classifier that saw so many images, pixels and wrong labels."""
    from sklearn.linear_model import LogisticRegression

    some = rng.choice(len(y), size=count, replace=False)
    pixels = rng.random(x.shape[1]) < sees
    label = np.where(rng.random(count) < wrong, rng.integers(0, 10, size=count), y[some])
    fitted = LogisticRegression(C=1.0, max_iter=300).fit(x[some][:, pixels], label)

    def said(images: Numbers) -> Numbers:
        found = np.full((len(images), 10), -20.0)  # a digit that it never saw
        found[:, fitted.classes_] = fitted.predict_log_proba(images[:, pixels])
        return found

    return said
