"""A small judge of two videos that was fitted to pairs of which the better one was mostly shown first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.lab.experiments.evaluation.videos import Numbers, Videos, images, videos

ARMS = ("both", "first", "two", "shifted", "dealt", "oracle")
KNOBS = {"": ARMS, "strong": ("both", "first", "shifted"), "0": ("both", "first")}

Ask = Callable[[Numbers, Numbers], Numbers]
"""Chances (n,) that the first of two is better, from the features (n, f) of both as they are shown."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` of decided pairs, of which the better is as often the first; `position_bias`, what the benchmark
        says of the judge asked in both orders, whatever the arm makes of it.
    """
    del fit  # a logistic regression
    name, _, knob = arm.partition("@")
    if name not in KNOBS.get(knob, ()):
        raise InputError(f"both_orders: arm {arm!r} is not known; the claim lists the arms")
    share = {"": float(budget["share"]), "strong": float(budget["strong"]), "0": 0.5}[knob]
    sizes = (int(budget["seen"]), int(budget["fitted"]), int(budget["pairs"]))
    train, test, features = _world(seed, sizes)
    judge = _fitted(seed, train, features[0], share, float(budget["flipped"]), part=0)
    forward, backward = judge(features[1][:, 0], features[1][:, 1]), 1 - judge(features[1][:, 1], features[1][:, 0])
    bias = _number(test, np.stack([forward, backward]), "position_bias")
    if name == "two":  # as many calls: a second judge from as many pairs of its own, asked in the same order
        second = _fitted(seed, train, features[0], share, float(budget["flipped"]), part=1)
        orders = np.stack([forward, second(features[1][:, 0], features[1][:, 1])])
    elif name == "oracle":
        orders = np.stack([test.first, test.first]).astype(np.float64)
    else:
        said = {"both": backward, "dealt": np.random.default_rng([seed, 9]).permutation(backward)}.get(name, forward)
        if name == "shifted":  # as many answers on either side, whatever is right
            forward = said = np.asarray(expit(_logit(forward) - np.median(_logit(forward))))
        orders = np.stack([forward, said])
    return {"accuracy": _number(test, orders, "accuracy_without_ties"), "position_bias": bias}


def _number(test: Videos, orders: Numbers, name: str) -> float:
    """A number of the benchmark, from the chances that the first is better in both orders, (2, n)."""
    items = [
        made_item(i, (bool(a), not a), meta={"label": "A is better" if a else "B is better"})
        for i, a in enumerate(test.first)
    ]
    each = [column[:, None] for column in orders.T]
    judged = Judged(rewards=None, orders=tuple(each), ties=tuple(np.full(1, np.nan) for _ in items), bounds=(0.0, 1.0))
    return number_of(benchmark("uve").statistics(items, judged), name)


def _logit(chance: Numbers) -> Numbers:
    inside = np.clip(chance, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside) - np.log1p(-inside))


@lru_cache(maxsize=2)
def _world(seed: int, sizes: tuple[int, int, int]) -> tuple[Videos, Videos, tuple[Numbers, Numbers]]:
    """Pairs to fit to, twice as many as one judge takes, and to test on; their features, (n, 2, f)."""
    from sklearn.linear_model import LogisticRegression

    seen, fitted, pairs = sizes
    x, y, left, digits = images(seed)
    sees = LogisticRegression(C=1.0, max_iter=500).fit(x[:seen], y[:seen])
    train = videos(np.random.default_rng([seed, 2]), x[seen:], y[seen:], 2 * fitted)
    test = videos(np.random.default_rng([seed, 3]), left, digits, pairs)

    def features(shown: Videos) -> Numbers:
        """Log-probabilities of the mean frame: of the asked digit, and the others from the highest."""
        n = len(shown.asked)
        said = sees.predict_log_proba(shown.frames.mean(axis=2).reshape(2 * n, -1)).reshape(n, 2, -1)
        asked = np.take_along_axis(said, shown.asked[:, None, None], axis=2)
        others = said[np.arange(said.shape[2]) != shown.asked[:, None, None].repeat(2, axis=1)].reshape(n, 2, -1)
        return np.asarray(np.concatenate([asked, -np.sort(-others, axis=2)], axis=2))

    return train, test, (features(train), features(test))


def _fitted(seed: int, train: Videos, features: Numbers, share: float, flipped: float, *, part: int) -> Ask:
    """A judge of one half of the pairs, turned so that in such a share of them the better is the first."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng([seed, 4, part])
    half = slice(part * (len(train.asked) // 2), (part + 1) * (len(train.asked) // 2))
    first, seen = train.first[half], features[half]
    turned: NDArray[np.bool_] = first != (rng.random(len(first)) < share)
    seen = np.where(turned[:, None, None], seen[:, ::-1], seen)
    label = (first != turned) != (rng.random(len(first)) < flipped)
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(seen.reshape(len(seen), -1), label)

    def ask(a: Numbers, b: Numbers) -> Numbers:
        return np.asarray(fitted.predict_proba(np.concatenate([a, b], axis=1))[:, 1])

    return ask
