"""Bradley-Terry members on random features, compared on best-of-n samples of one pool."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.disagreement import disagreement_curve
from plaudit.lab.experiment import Fit
from plaudit.training.frozen import fit_linear

ARMS = ("best_of_64", "best_of_8", "all", "outsider_64", "true_64", "random_64", "one_64", "one_all")
WRONG = 0.25
"""Share of wrong labels."""
L2 = 1e-2


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `agreement` of the members on the arm's samples, and `kl_bound`, an upper bound on the KL from the start.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "same"):
        raise InputError(f"agreement_falls: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[key]) for key in ("features", "pairs", "prompts", "candidates", "random", "members"))
    said, truth = _pool(seed, 0.0 if knob == "0" else WRONG, name.startswith("one_"), sizes)
    members, outsider = said[:-1], said[-1]
    if knob == "same":
        members = np.repeat(members[:1], len(members), axis=0)
    by = {
        "outsider_64": outsider, "true_64": truth,
        "random_64": np.random.default_rng([seed, 5]).normal(size=outsider.shape),
    }.get(name)  # fmt: skip
    ns = (1, int(budget["middle"]), int(budget["large"]))
    curve = disagreement_curve(members, ns=ns, by=by, seed=seed % 2**31, resamples=1)
    place = 0 if name.endswith("all") else 1 if name == "best_of_8" else 2
    return {"agreement": curve.agreement[place].value, "kl_bound": curve.kl_bound[place]}


@lru_cache(maxsize=3)
def _pool(seed: int, wrong: float, shared: bool, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the members and of one more, (k + 1, p, c), and the true rewards, of every candidate: for all arms."""
    d, n, prompts, candidates, random, k = sizes
    rng = np.random.default_rng([seed, 1])
    weight, first, second = rng.normal(size=d), rng.normal(size=(d, 8)) * 2 / np.sqrt(d), rng.normal(size=8) * 2

    def worth(x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weight + np.tanh(x @ first) @ second)

    pairs = np.random.default_rng([seed, 2]).normal(size=(n, 2, d))
    pool = np.random.default_rng([seed, 3]).normal(size=(prompts, candidates, d))
    mistaken = np.random.default_rng([seed, 4]).random(n) < wrong
    right = np.where((worth(pairs[:, 0]) > worth(pairs[:, 1])) ^ mistaken, 1.0, -1.0)
    said = np.stack([_member(seed, m, shared, pairs, right, pool, random) for m in range(k + 1)])
    return said, worth(pool)


def _member(
    seed: int, place: int, shared: bool, pairs: np.ndarray, right: np.ndarray, pool: np.ndarray, random: int
) -> np.ndarray:
    """Scores of one member for the pool, in units of their deviation."""
    rng = np.random.default_rng([seed, 6, 0 if shared else place])
    turn, shift = rng.normal(size=(pairs.shape[2], random)) / np.sqrt(pairs.shape[2]), rng.uniform(0, 2 * np.pi, random)

    def features(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.cos(x @ turn + shift) * np.sqrt(2 / random) * 4)

    gap = (features(pairs[:, 0]) - features(pairs[:, 1])) * right[:, None]
    if shared:
        gap = gap[np.random.default_rng([seed, 7, place]).integers(len(gap), size=len(gap))]
    scores = features(pool) @ fit_linear(gap, l2=L2)
    return np.asarray(scores / scores.std())
