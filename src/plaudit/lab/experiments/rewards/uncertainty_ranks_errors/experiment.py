"""Each source of uncertainty against the plain margin: does it know which comparisons are wrong?

All sources learn from the same pairs, of which two kinds of request are left out; those are what lies off the
distribution. Sources that learn from ratings see a noisy number for both completions of the same pairs instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.measuring import gain, intervals
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.sources import Told, told_by
from plaudit.lab.members import Numbers, pool_groups, prepared, selected
from plaudit.lab.worlds.assistant.pool import Pool
from plaudit.rewards.uncertainty.moments import centred_within
from plaudit.stats.selective import auroc


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `gain` (AUROC of errors by margin and std together, minus that by the margin alone), `auroc_margin`,
        `auroc_std`, `accuracy` and `accuracy_off` on clean labels; `std_ratio`, the mean deviation off the
        distribution over that in it; `auroc_off`, that of pairs off it against
        pairs in it by their deviation; `coverage` and `coverage_off` of 90% intervals of the true difference, where the
        deviation is in the reward's unit; `true_mean` and `true_largest`, the true reward of the best of n without and
        with the variance penalty.
    """
    del fit  # sources have heads and objectives of their own
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    pool = world.pool(budget["prompts"], budget["completions"])
    return numbers_of(told_by(arm, seed, budget), pool, largest=budget["largest"], seed=seed)


def numbers_of(told: Told, pool: Pool, *, largest: int, seed: int) -> dict[str, float]:
    """What `run_instance` returns, of what a source says."""
    inside, outside = told.pairs
    found = gain(inside, seed=seed)
    numbers = {
        **found,
        "accuracy": float(inside.right.mean()),
        "accuracy_off": float(outside.right.mean()),
        "std_ratio": float(outside.std.mean() / inside.std.mean()) if inside.std.mean() > 0 else 1.0,
        "auroc_off": auroc(
            np.concatenate([outside.std, inside.std]), np.repeat([1.0, 0.0], [outside.std.size, inside.std.size])
        ),
        "true_mean": selected(told.pool_reward, pool, largest=largest, seed=seed)["true_largest"],
        "true_largest": selected(penalised(told, pool), pool, largest=largest, seed=seed)["true_largest"],
    }
    return numbers | (intervals(inside, outside) if told.has_unit else {})


def penalised(told: Told, pool: Pool) -> Numbers:
    """`reward - variance / 2`, the members' levels in each prompt taken out where there are members."""
    if told.pool_members is None:
        return np.asarray(told.pool_reward - 0.5 * np.square(told.pool_std))
    members = centred_within(told.pool_members, pool_groups(pool))
    return np.asarray(told.pool_reward - 0.5 * members.var(axis=1))
