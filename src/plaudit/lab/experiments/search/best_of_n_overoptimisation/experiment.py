"""The true reward of best-of-n by reward models fitted to clean and to noisy labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.assistant import Knobs, PolicyConfig, Pool, Prepared, prepare
from plaudit.search import best_of_n_values, peak_and_turn

NOISE = {"noise_25": 0.25, "noise_0": 0.0}


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `drop` (true reward at the peak minus at the largest n, peak chosen on one half of the prompts and
        measured on the other), `peak` (its n), and the true reward at n = 1 (`true_1`), at the largest n
        (`true_largest`) and of the oracle there.
    """
    config = PolicyConfig(demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"])
    world = prepare(seed, config)
    pool = world.pool(budget["prompts"], budget["completions"])
    proxy = _proxy(arm, world, pool, budget, fit, seed)
    ns = [2**k for k in range(budget["largest"].bit_length()) if 2**k <= budget["largest"]]
    turn = peak_and_turn(proxy, pool.truth, ns, seed=seed)
    ends = best_of_n_values(proxy, pool.truth, [1, ns[-1]]).mean(axis=0)
    ceiling = best_of_n_values(pool.truth, pool.truth, [ns[-1]]).mean()
    return {
        "drop": turn.drop.value,
        "peak": float(turn.peak),
        "true_1": float(ends[0]),
        "true_largest": float(ends[1]),
        "oracle_largest": float(ceiling),
    }


def _proxy(arm: str, world: Prepared, pool: Pool, budget: Mapping[str, Any], fit: Fit, seed: int) -> np.ndarray:
    if arm == "oracle":
        return np.asarray(pool.truth)
    if arm == "random":
        return np.asarray(np.random.default_rng([seed, 6]).normal(size=pool.truth.shape))
    samples = pool.samples()
    if arm == "longer":
        return np.reshape([float(len(s.text.split())) for s in samples], pool.truth.shape)
    if arm not in NOISE:
        raise InputError(f"best_of_n_overoptimisation: arm {arm!r} is not known; the claim lists the arms")
    # noise changes only which labels flip: prompts, completions and the annotators' draws are the same
    rows = world.pairs(budget["pairs"], Knobs(flips=NOISE[arm]), seed=1)
    return np.asarray(fit(rows, seed=seed, size=budget["size"])(samples)).reshape(pool.truth.shape)
