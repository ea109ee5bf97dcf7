"""What every reward promises, one check a promise: it returns nothing, or raises and says what was broken.

A reward that breaks one of these does not fail loudly in use: it gives other rewards in evaluation than in
training, or one text that a policy finds takes the whole run down.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np

from plaudit.errors import PlauditError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward, RewardBatch, Scope
from plaudit.testing.examples import hostile_samples


class ContractError(PlauditError, AssertionError):
    """A reward breaks a promise that its callers rely on."""


def check_reward(reward: Reward, samples: Sequence[Sample], *, tolerance: float = 1e-6) -> None:
    """All checks, in the order in which their failures are easiest to mend.

    Args:
        reward: the reward under test.
        samples: at least three ordinary samples that it can judge.
        tolerance: largest difference between two computations of one reward.

    Raises:
        ContractError: at the first broken promise.
    """
    check_properties(reward)
    check_empty(reward)
    check_shapes(reward, samples)
    check_bounds(reward, samples)
    check_determinism(reward, samples, tolerance=tolerance)
    check_order(reward, samples, tolerance=tolerance)
    check_independence(reward, samples, tolerance=tolerance)
    check_threads(reward, samples, tolerance=tolerance)
    check_hostile(reward)


def check_properties(reward: Reward) -> None:
    """Name, scope, bounds and fingerprint are what callers need, and do not change between two looks.

    An unbounded reward must still have a finite floor: it is what a policy's own faults are worth.
    """
    if not isinstance(reward.name, str) or not reward.name.strip():
        _fail(reward, f"name is {reward.name!r}; it must be a non-empty string")
    if reward.scope not in get_args(Scope):
        _fail(reward, f"scope is {reward.scope!r}; it must be one of {', '.join(get_args(Scope))}")
    bounds = reward.bounds
    if not isinstance(bounds, tuple) or len(bounds) != 2 or any(math.isnan(b) for b in bounds):
        _fail(reward, f"bounds are {bounds!r}; they must be (lowest, highest)")
    if not math.isfinite(bounds[0]) or bounds[0] > bounds[1]:
        _fail(
            reward,
            f"bounds are {bounds}; the lower one is the floor of faults: finite, and below the upper one",
        )
    first, second = reward.fingerprint, reward.fingerprint
    if not isinstance(first, str) or not first:
        _fail(reward, f"fingerprint is {first!r}; it must be a non-empty string")
    if first != second:
        _fail(
            reward,
            f"fingerprint changes from one look to the next ({first!r}, {second!r}); logs could not be kept",
        )


def check_empty(reward: Reward) -> None:
    """No samples give an empty batch."""
    batch = _score(reward, [])
    if len(batch):
        _fail(reward, f"no samples gave {len(batch)} rewards")


def check_shapes(reward: Reward, samples: Sequence[Sample]) -> None:
    """One entry a sample; NaN exactly where the outcome does not count; the samples are left as they were."""
    before = copy.deepcopy(list(samples))
    batch = _score(reward, samples)
    if len(batch) != len(samples):
        _fail(reward, f"{len(samples)} samples gave {len(batch)} rewards")
    if list(samples) != before:
        _fail(reward, "it changed the samples that it was given")
    wrong = np.flatnonzero(np.isfinite(batch.reward) != (batch.outcome <= Outcome.POLICY_FAULT))
    if wrong.size:
        i = int(wrong[0])
        _fail(
            reward,
            f"sample {i} has outcome {Outcome(int(batch.outcome[i])).name} and reward {batch.reward[i]}",
        )


def check_bounds(reward: Reward, samples: Sequence[Sample]) -> None:
    """Every reward lies within the bounds, and a policy's fault is worth the floor."""
    low, high = reward.bounds
    batch = _score(reward, samples)
    outside = np.flatnonzero(batch.valid & ((batch.reward < low) | (batch.reward > high)))
    if outside.size:
        i = int(outside[0])
        _fail(reward, f"sample {i} got {batch.reward[i]}, outside its bounds {low} to {high}")
    faults = np.flatnonzero((batch.outcome == Outcome.POLICY_FAULT) & (batch.reward != low))
    if faults.size:
        i = int(faults[0])
        _fail(reward, f"sample {i} is POLICY_FAULT with reward {batch.reward[i]}; it must be the floor {low}")


def check_determinism(reward: Reward, samples: Sequence[Sample], *, tolerance: float = 1e-6) -> None:
    """Two calls give the same rewards, and leave the fingerprint as it was."""
    fingerprint = reward.fingerprint
    first, second = _score(reward, samples), _score(reward, samples)
    _same(reward, first, second, "a second call", tolerance)
    if reward.fingerprint != fingerprint:
        _fail(reward, "its fingerprint changed when it was called; a reward keeps no state between calls")


def check_order(reward: Reward, samples: Sequence[Sample], *, tolerance: float = 1e-6) -> None:
    """Rewards move with their samples when those change places (groups stay together)."""
    order = _reordered(reward, samples)
    there = _score(reward, [samples[i] for i in order])
    _same(reward, _score(reward, samples).take(order), there, "another order of the samples", tolerance)


def check_independence(reward: Reward, samples: Sequence[Sample], *, tolerance: float = 1e-6) -> None:
    """A sample's reward does not depend on what it is scored beside, beyond what `scope` declares."""
    whole = _score(reward, samples)
    for index in _units(reward, samples):
        alone = _score(reward, [samples[i] for i in index])
        _same(
            reward,
            whole.take(index),
            alone,
            f"scoring it apart from the rest (scope {reward.scope})",
            tolerance,
        )


def check_threads(reward: Reward, samples: Sequence[Sample], *, tolerance: float = 1e-6, workers: int = 4) -> None:
    """Calls from several threads at once give what one call gives; hosts call rewards off the main thread."""
    expected = _score(reward, samples)
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(lambda _: _score(reward, samples), range(2 * workers)):
            _same(reward, expected, found, f"{workers} threads at once", tolerance)


def check_hostile(reward: Reward, samples: Sequence[Sample] | None = None) -> None:
    """Texts that a policy may come up with give outcomes within the bounds, and no exception.

    Args:
        reward: the reward under test.
        samples: hostile samples; those of `hostile_samples()` by default.
    """
    for sample in samples if samples is not None else hostile_samples():
        batch = _score(reward, [sample])
        if len(batch) != 1:
            _fail(reward, f"the completion {sample.text[:40]!r} gave {len(batch)} rewards")
        check_bounds(reward, [sample])


def _score(reward: Reward, samples: Sequence[Sample]) -> RewardBatch:
    try:
        batch = reward(samples)
    except Exception as error:
        what = f"the completion {samples[0].text[:40]!r}" if len(samples) == 1 else f"{len(samples)} samples"
        raise ContractError(
            f"reward {reward.name!r}: {what} raised {type(error).__name__}: {error}; "
            "a reward says in the outcome what it could not judge"
        ) from error
    if not isinstance(batch, RewardBatch):
        _fail(reward, f"it returned {type(batch).__name__}; it must return a RewardBatch")
    return batch


def _same(reward: Reward, first: RewardBatch, second: RewardBatch, what: str, tolerance: float) -> None:
    if len(first) != len(second):
        _fail(reward, f"{what} gives {len(second)} rewards instead of {len(first)}")
    if not np.array_equal(first.outcome, second.outcome):
        i = int(np.flatnonzero(first.outcome != second.outcome)[0])
        names = [Outcome(int(b.outcome[i])).name for b in (first, second)]
        _fail(reward, f"{what} changes the outcome of sample {i} from {names[0]} to {names[1]}")
    off = np.flatnonzero(~np.isclose(first.reward, second.reward, rtol=0.0, atol=tolerance, equal_nan=True))
    if off.size:
        i = int(off[0])
        _fail(reward, f"{what} changes the reward of sample {i} from {first.reward[i]} to {second.reward[i]}")


def _units(reward: Reward, samples: Sequence[Sample]) -> list[list[int]]:
    """What may be scored apart: samples, whole groups, or nothing but the whole batch."""
    if reward.scope == "sample":
        return [[i] for i in range(len(samples))]
    if reward.scope == "group":
        groups: dict[str | None, list[int]] = {}
        for i, sample in enumerate(samples):
            groups.setdefault(sample.group, []).append(i)
        return list(groups.values())
    return []


def _reordered(reward: Reward, samples: Sequence[Sample]) -> list[int]:
    units = _units(reward, samples) or [[i] for i in range(len(samples))]
    # within a group the order is turned as well: which completion stands first must not matter
    return [i for unit in reversed(units) for i in reversed(unit)]


def _fail(reward: Reward, what: str) -> None:
    raise ContractError(f"reward {reward.name!r}: {what}")
