"""What the adapters share: rewards by reference, scoring that ends in outcomes, and what a lost reward is worth.

Some hosts cannot be told that a sample has no reward. There the user says what stands in its place (`lost`), and the
floor does where nothing is said: a number below what any answer earns on purpose, so that no policy gains by bringing
about what the instrument cannot judge. Every such adapter counts these samples beside the reward.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, PlauditError, UnsupportedError
from plaudit.policy.scoring import units_of
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward, RewardBatch
from plaudit.rewards.registry import load
from plaudit.rewards.verdicts import Verdict, assemble

Source = Reward | str | Path | Mapping[str, Any]

_logger = logging.getLogger(__name__)


class LostRewardError(PlauditError, RuntimeError):
    """A sample has no reward, in a host that takes an exception for that."""


def loaded(reward: Source) -> Reward:
    """A reward, or the one that a reference names."""
    return load(reward) if isinstance(reward, str | Path | Mapping) else reward


def of_samples(who: str, reward: Source) -> Reward:
    """The reward, if it judges samples one by one.

    Args:
        who: the host whose calls hold one sample.
        reward: a reward, or a reference to one.

    Raises:
        UnsupportedError: if it compares the completions of a group or a batch.
    """
    made = loaded(reward)
    if made.scope != "sample":
        raise UnsupportedError(
            f"{who}: {made.name} compares the completions of a {made.scope}, and {who} asks for one completion at a "
            "time; use a reward of single samples"
        )
    return made


def worth_of_lost(who: str, reward: Reward, lost: float | None, *, option: str = "lost") -> float:
    """What stands in the place of a reward that does not count.

    Args:
        who: the host that has no way to leave a sample out.
        reward: whose floor is taken where the user says nothing.
        lost: what the user says, in the reward's units.
        option: what the host's users call that.

    Raises:
        InputError: if that is not finite.
    """
    worth = reward.bounds[0] if lost is None else float(lost)
    if not math.isfinite(worth):
        raise InputError(
            f"{who}: a sample without a reward would be worth {worth} by {reward.name}, and {who} cannot leave it out; "
            f"say what it is worth with {option}=..."
        )
    return worth


def judged(who: str, reward: Reward, samples: Sequence[Sample]) -> RewardBatch:
    """Rewards of samples; what raises becomes an `INSTRUMENT_FAULT` of its own, logged with its traceback.

    For hosts that turn an exception into a wrong answer or lose the whole batch by it. What the reward compares stays
    together: a group that raises is lost as a whole, since the rest of it alone would be compared with others.

    Args:
        who: the host.
        reward: any.
        samples: the samples of a group must follow one another where groups are compared.

    Raises:
        InputError: if they do not.
    """
    try:
        return reward(samples)
    except Exception as error:  # not hidden: logged here, counted by the caller
        units = units_of(reward, samples)
        if len(units) > 1:  # one bad label must not take its neighbours along
            return RewardBatch.concat([judged(who, reward, unit) for unit in units])
        _logger.exception("%s: %s could not judge %s", who, reward.name, _count(len(samples)))
        broken = Verdict.broken(f"{type(error).__name__}: {error}")
        return assemble([broken] * len(samples), reward.bounds[0])


def _count(n: int) -> str:
    return "a sample" if n == 1 else f"{n} samples that it compares"


def outcome_of(batch: RewardBatch, index: int) -> Outcome:
    """The outcome of one sample."""
    return Outcome(int(batch.outcome[index]))


def told(batch: RewardBatch, index: int) -> str:
    """One line of why a sample has the reward that it has: outcome, and reason where one is known."""
    name, reason = outcome_of(batch, index).name.lower(), batch.detail[index].get("reason")
    return f"{name}: {reason}" if reason else name
