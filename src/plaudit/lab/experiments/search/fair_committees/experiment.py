"""Voters who see a group's worth shrunk rank candidates; a subset is chosen with and without quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.search.committees import Committee, committee_score, proportional_quotas, select_committee

RULES: dict[str, Committee] = {"": "borda", "sntv": "sntv", "cc": "chamberlin-courant"}
ARMS = ("quotas", "plain", "random", "oracle")
SHRUNK = 0.7
"""What a biased voter sees of the worth of the second group."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `quality`: what the unbiased voters, all of them, think of the subset, as a share of what they think of the best
        (by their own greedy choice); `second`, the second group's share of the places.
    """
    del fit  # rankings are given
    name, _, knob = arm.partition("@")
    method, _, rule_name = name.partition("-")
    if method not in ARMS or knob not in ("", "0", "1", "50") or rule_name not in RULES:
        raise InputError(f"fair_committees: arm {arm!r} is not known; the claim lists the arms")
    rule, n, k = RULES[rule_name], int(budget["candidates"]), int(budget["places"])
    rng = np.random.default_rng([seed, 1])
    second = rng.permutation(n) < n // 2
    worth = rng.random(n)
    voters = int(budget["voters"])
    used = min({"1": 1, "50": 50}.get(knob, int(budget["rankings"])), voters)
    # every voter's own view of each candidate: what is common, and what is theirs
    utility = np.clip(worth + float(budget["taste"]) * rng.normal(size=(voters, n)), 0, None)
    seen = utility[:used] * np.where(second & (knob != "0"), SHRUNK, 1.0)
    latent, observed = _ranks(utility), _ranks(seen)
    groups = np.where(second, "second", "first").tolist()
    if method == "random":  # quotas of groups that have nothing to do with the bias
        groups = [groups[i] for i in np.random.default_rng([seed, 2]).permutation(n)]
    best = select_committee(latent, k, rule=rule)
    chosen = best
    if method != "oracle":
        quotas = None if method == "plain" else proportional_quotas(groups, k)
        chosen = select_committee(observed, k, rule=rule, groups=groups, quotas=quotas)
    quality = committee_score(latent, chosen, rule=rule) / committee_score(latent, best, rule=rule)
    return {"quality": quality, "second": float(second[list(chosen)].mean())}


def _ranks(utility: np.ndarray) -> np.ndarray:
    return np.asarray((-utility).argsort(axis=1).argsort(axis=1))
