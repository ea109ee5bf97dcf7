"""Running an experiment: every arm on every instance, each result kept the moment it is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.errors import InputError
from plaudit.lab.claim import Claim
from plaudit.lab.experiment import Experiment, Fit
from plaudit.lab.seeds import Instance
from plaudit.lab.worlds.arithmetic.policy import VERSION as ARITHMETIC
from plaudit.lab.worlds.assistant.world import VERSION as ASSISTANT
from plaudit.records.sample import content_hash
from plaudit.runs.log import DurableLog, read_log

WORLDS = {"assistant": ASSISTANT, "arithmetic": ARITHMETIC}
"""Version of each world: results of another version are not mixed in. Real data has none: its hash is in the budget."""

Results = dict[str, dict[str, dict[str, float]]]
"""Instance key to arm to numbers."""


def log_path(folder: Path, claim: Claim, *, smoke: bool) -> Path:
    """Where the results of an experiment lie."""
    name = (claim.runs or claim.name).replace("/", "--")
    return folder / f"{name}{'.smoke' if smoke else ''}.jsonl"


def run_experiment(
    experiment: Experiment,
    instances: Sequence[Instance],
    *,
    folder: Path,
    fit: Fit,
    smoke: bool = False,
    arms: Sequence[str] | None = None,
    tell: Callable[[str], object] | None = None,
) -> Results:
    """Runs what has not been run yet.

    Args:
        experiment: claim and code.
        instances: the replicates.
        folder: of the logs; a killed run goes on from there; results of another claim are refused.
        fit: fits reward models.
        smoke: the tiny budget, which shows that the machinery works and nothing else.
        arms: some of the arms only; all by default.
        tell: called with a line for each finished arm.

    Returns:
        All results of these instances and arms.

    Raises:
        InputError: if an arm is not the claim's, or the primary metric is missing from a result.
        IntegrityError: if the log holds results of another claim or budget.
    """
    claim = experiment.claim
    wanted = tuple(arms or claim.arms)
    if unknown := [a for a in wanted if a not in claim.arms]:
        raise InputError(f"lab: {claim.name} has no arm {unknown[0]!r}; known: {', '.join(claim.arms)}")
    budget = claim.budget["smoke" if smoke else "full"]
    results: Results = {}
    with DurableLog(log_path(folder, claim, smoke=smoke), fingerprint=_fingerprint(claim, budget)) as log:
        for instance in instances:
            for arm in wanted:
                key = f"{instance.key}/{arm}"
                if key not in log:
                    numbers = experiment.run_instance(instance.seed, arm, budget=budget, fit=fit)
                    log.put(key, _checked(claim, key, numbers))
                    log.flush()
                    if tell is not None:
                        tell(f"{claim.name}: {key}: {claim.metric} = {numbers[claim.metric]:.4f} {claim.unit}")
                results.setdefault(instance.key, {})[arm] = dict(log[key])
    return results


def read_results(folder: Path, claim: Claim, *, smoke: bool = False) -> Results:
    """What has been run so far, while it runs too; empty where nothing has.

    Args:
        folder: of the logs.
        claim: of the experiment.
        smoke: of the smoke runs.

    Raises:
        IntegrityError: if the log holds results of another claim or budget.
    """
    path = log_path(folder, claim, smoke=smoke)
    out: Results = {}
    if path.exists():
        budget = claim.budget["smoke" if smoke else "full"]
        for key, numbers in read_log(path, fingerprint=_fingerprint(claim, budget)).items():
            instance, arm = key.split("/", 1)
            out.setdefault(instance, {})[arm] = dict(numbers)
    return out


def _fingerprint(claim: Claim, budget: Mapping[str, Any]) -> str:
    return content_hash([(claim.base or claim).hash, dict(budget), WORLDS.get(claim.world, 0)])


def _checked(claim: Claim, key: str, numbers: Mapping[str, float]) -> dict[str, float]:
    value = numbers.get(claim.metric, math.nan)
    if not math.isfinite(value):
        raise InputError(f"lab: {claim.name}: {key} gave {claim.metric} = {value}; the primary metric must be finite")
    return {k: float(v) for k, v in numbers.items()}
