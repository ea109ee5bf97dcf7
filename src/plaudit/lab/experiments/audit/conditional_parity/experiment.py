"""Rewards of biased and of other annotators, on populations whose groups differ in merit or do not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit

from plaudit.audit.fairness.parity import conditional_parity
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.selective import auroc
from plaudit.training.frozen import fit_linear

ARMS = ("conditional", "marginal", "effort", "regressed", "coin", "bias")
MERIT = 0.6
"""Deviation of a group's mean merit in a population, in deviations of merit."""
BIAS = (0.2, 1.0)
"""What biased annotators take off, in deviations of merit."""
FAVOURED, STRATA, SHARE = 0.3, 5, 0.3
"""Share that is favoured; strata of merit; share of the group."""
VIEWS, SEEN, PROXY = 3, 0.7, 1.5
"""Features that show merit, their noise, and how far a fourth one shows the group."""
L2 = 1e-2

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `area`, see the claim.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"conditional_parity: arm {arm!r} is not known; the claim lists the arms")
    table = _measured(seed, bool(knob), int(budget["rewards"]), int(budget["train"]), int(budget["people"]))
    return {"area": auroc(table[name], table["bias"] > 0)}


@lru_cache(maxsize=2)
def _measured(seed: int, equal: bool, rewards: int, train: int, people: int) -> dict[str, Numbers]:
    """What each measure says of each reward, higher for more unfair."""
    rows: dict[str, list[float]] = {name: [] for name in ARMS}
    for k in range(rewards):
        rng = np.random.default_rng([seed, 1, k])
        bias = float(rng.uniform(*BIAS)) if k % 2 else 0.0
        shift = 0.0 if equal else float(rng.normal(0, MERIT))
        first, second = _people(rng, train, 0.0), _people(rng, train, 0.0)
        margin = (first[0] - bias * first[1]) - (second[0] - bias * second[1])
        sign = np.where(rng.random(train) < expit(3 * margin), 1.0, -1.0)
        weight = fit_linear((first[2] - second[2]) * sign[:, None], l2=L2)
        merit, group, features = _people(rng, people, shift)
        score = features @ weight
        favoured = (score >= np.quantile(score, 1 - FAVOURED)).astype(np.float64)
        protected, effort = group > 0, merit + rng.normal(0, SEEN, people)
        parity = {
            name: conditional_parity(favoured, protected, _fifths(by), resamples=1)
            for name, by in (("conditional", merit), ("effort", effort))
        }
        design = np.stack([np.ones(people), group, merit], axis=1)
        rows["conditional"].append(parity["conditional"].violation.value)
        rows["effort"].append(parity["effort"].violation.value)
        rows["marginal"].append(-parity["conditional"].marginal.value)
        rows["regressed"].append(-float(np.linalg.lstsq(design, favoured, rcond=None)[0][1]))
        rows["coin"].append(float(rng.random()))
        rows["bias"].append(bias)
    return {name: np.array(values) for name, values in rows.items()}


def _people(rng: np.random.Generator, n: int, shift: float) -> tuple[Numbers, Numbers, Numbers]:
    """Merit, membership of the group, and what a reward sees, (n, views + 1)."""
    group = (rng.random(n) < SHARE).astype(np.float64)
    merit = rng.normal(size=n) + shift * group
    views = merit[:, None] + rng.normal(0, SEEN, (n, VIEWS))
    proxy = PROXY * group + rng.normal(size=n)
    return merit, group, np.concatenate([views, proxy[:, None]], axis=1)


def _fifths(x: Numbers) -> Numbers:
    return np.searchsorted(np.quantile(x, np.arange(1, STRATA) / STRATA), x)
