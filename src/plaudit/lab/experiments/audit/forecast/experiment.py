"""Rank correlation of what was said beforehand with what best-of-n then cost, within each instance's models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from plaudit.audit.battery import Audit
from plaudit.audit.grade import grade, harm
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.forecast.measuring import audited, regret, within_correlation
from plaudit.lab.experiments.audit.forecast.subjects import trained
from plaudit.lab.members import prepared


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `spearman`, the rank correlation over the instance's models of the arm's number with minus the regret of
        best-of-`largest`; `spearman_small`, the same for best-of-`small`; and `said#K`, `regret#K`, `regret_small#K` of
        each model K, so that all models can be pooled.
    """
    del fit  # models differ in more than a fit is told
    models = _models(seed, tuple(sorted(budget.items())))
    said = np.array([_said(arm, m, seed) for m in models])
    large, small = (np.array([m[key] for m in models]) for key in ("regret", "regret_small"))
    numbers = {"spearman": _spearman(said, -large), "spearman_small": _spearman(said, -small)}
    for k, m in enumerate(models):
        numbers |= {f"said#{k}": float(said[k]), f"regret#{k}": m["regret"], f"regret_small#{k}": m["regret_small"]}
    return numbers


def _spearman(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """0 where either is constant: what is the same for all models ranks none of them."""
    if len(set(a.tolist())) < 2 or len(set(b.tolist())) < 2:
        return 0.0
    return float(spearmanr(a, b).statistic)


def _said(arm: str, model: Mapping[str, Any], seed: int) -> float:
    """What an arm says of a model before anything is optimised; more is better."""
    audit: Audit = model["audit"]
    families = {
        "all_families": ("bias", "attack", "consistency"),
        "attacks": ("attack",),
        "consistency": ("consistency",),
    }
    if arm == "audit":
        return grade(audit)
    if arm == "accuracy":
        return audit.evaluation.accuracy.value
    if arm == "advantage":
        return next(c.evidence.value for c in audit.checks if c.name == "accuracy/baseline" and c.evidence)
    if arm == "prices":
        return -harm(audit)
    if arm in families:
        return grade(audit, counted=lambda c: c.family in families[arm])
    if arm == "red_checks":
        return -float(audit.lights()["red"])
    if arm == "random":
        return float(np.random.default_rng([seed, 82, model["k"]]).normal())
    if arm == "oracle":
        return float(model["correlation"])
    raise InputError(f"forecast: arm {arm!r} is not known; the claim lists the arms")


@lru_cache(maxsize=2)
def _models(seed: int, frozen: tuple[tuple[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """The instance's models: each trained, audited, and only then optimised against."""
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    truth = np.asarray(world.pool(budget["prompts"], budget["completions"]).truth)
    found = []
    for k in range(budget["models"]):
        model = trained(seed, k, budget)
        audit = audited(world, model, budget, seed=seed)
        found.append({
            "k": k, "audit": audit, "regret": regret(truth, model.proxy, n=budget["largest"]),
            "regret_small": regret(truth, model.proxy, n=budget["small"]),
            "correlation": within_correlation(truth, model.proxy),
        })  # fmt: skip
    return tuple(found)
