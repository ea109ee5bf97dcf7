"""From scored completions to what is learnt from: the inputs of advantages, and the numbers of each counted token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.policy.advantages.base import SAMPLE_COLUMNS, AdvantageInputs, Advantages
from plaudit.policy.online.checking import KNOWN, lacks
from plaudit.policy.online.comparing import compared_of
from plaudit.policy.online.experience import Experience
from plaudit.policy.online.method import Method
from plaudit.policy.online.packing import EVEN, Learned
from plaudit.policy.rollout import Rollout
from plaudit.rewards.base import RewardBatch

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What models say of every token of a batch, (t,) each, flat.

    Attributes:
        old: log-probabilities under the policy that sampled them, nats.
        ref: under the starting policy; None where it was not asked.
        values: of the states in which they were chosen; None without a value function.
        token_rewards: of a process reward model; None without one.
        metrics: numbers to watch.
        over: metrics that are means over some of the completions, to over how many.
        columns: name to a number a completion, (n,), besides what rows and rewards say.
    """

    old: Floats
    ref: Floats | None = None
    values: Floats | None = None
    token_rewards: Floats | None = None
    metrics: Mapping[str, float] | None = None
    over: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, Floats] = field(default_factory=dict)


def correct_of(reward: Floats, bounds: tuple[float, float]) -> Floats | None:
    """Whether each completion is right, 1 or 0: its unshaped reward is above the middle of the reward's bounds.

    Args:
        reward: (n,), NaN where there is none, which then is not known.
        bounds: of the reward; None is the result where they are not finite.
    """
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return np.where(np.isnan(reward), np.nan, reward > (low + high) / 2)


def inputs_of(
    experience: Experience, shaped: RewardBatch, measured: Measured, *, method: Method,
    bounds: tuple[float, float], penalty: Floats | None = None,
) -> AdvantageInputs:  # fmt: skip
    """Everything that the estimator of a method reads of a batch.

    Args:
        experience: the batch.
        shaped: its rewards after all transforms.
        measured: what models say of its tokens.
        method: whose estimator it is for.
        bounds: of the reward before transforms.
        penalty: (t,) what each token loses of its reward for the KL; None for nothing.

    Raises:
        InputError: if the estimator reads what neither prompts nor rewards have.
    """
    rollouts, reads = experience.flat, method.estimator.needs | method.estimator.takes
    lengths = np.array([len(r.completion_ids) for r in rollouts])
    reward, token_rewards = shaped.reward, measured.token_rewards
    if penalty is not None:
        token_rewards = penalty if token_rewards is None else token_rewards + penalty
        if "token_rewards" not in reads:  # it knows completions only: their sums
            reward = reward + np.add.reduceat(penalty, np.cumsum(lengths) - lengths)
    columns = {**_columns(rollouts, reads), **shaped.aspects, **measured.columns}
    if lacking := sorted(method.estimator.needs - KNOWN - columns.keys()):
        raise InputError(lacks(lacking[0], method))
    tasks = [r.sample.meta.get("task") for r in rollouts]
    compared = None
    if method.compares:
        compared = compared_of(experience.reward, [len(row) for row in experience.rollouts])
    return AdvantageInputs(
        reward=reward, groups=experience.groups, lengths=lengths,
        correct=correct_of(experience.reward.reward, bounds),
        tasks=None if None in tasks else tuple(map(str, tasks)),
        tokens=np.concatenate([np.array(r.completion_ids) for r in rollouts]), token_rewards=token_rewards,
        values=measured.values, logp=measured.old, ref_logp=measured.ref, compared=compared,
        columns=columns,
    )  # fmt: skip


def _columns(rollouts: Sequence[Rollout], reads: frozenset[str]) -> dict[str, Floats]:
    """What the estimator reads of the rows besides: numbers of their own columns."""
    told = {n: [r.sample.meta.get(n) for r in rollouts] for n in reads if any(n in r.sample.meta for r in rollouts)}
    return {n: np.array([np.nan if x is None else float(x) for x in values]) for n, values in told.items()}


def learned_of(
    experience: Experience, advantages: Advantages, inputs: AdvantageInputs, *, method: Method,
    drop_unfinished: bool = False, importance: Floats | None = None,
) -> tuple[list[Learned], Learned]:  # fmt: skip
    """The completions that take part, with a number a token for each column that the loss reads.

    Args:
        experience: the batch.
        advantages: of it.
        inputs: that they were made of.
        method: whose loss it is for.
        drop_unfinished: whether completions that the limit of tokens ended are left out.
        importance: (t,) of a token reward model, where there is one.

    Returns:
        The groups, those without any part left out; and a group whose weights are 0, for a process with nothing to do.
    """
    rollouts, lengths = experience.flat, inputs.lengths
    cut = np.cumsum(lengths)[:-1]
    columns = {name: np.split(v, cut) for name, v in _flat_columns(advantages, inputs, method, importance).items()}
    often = np.ones(len(lengths)) if advantages.weight is None else advantages.weight
    columns["often"] = [np.full(n, w) for n, w in zip(lengths, often, strict=True)]
    there = advantages.included & (often > 0)
    if drop_unfinished:
        there &= np.array([r.finish == "eos" for r in rollouts])
    found, start = [], 0
    for row in experience.rollouts:
        at = [start + k for k in range(len(row)) if there[start + k]]
        if at:
            said = tuple(rollouts[i].completion_ids for i in at)
            found.append(Learned(row[0].prompt_ids, said, {n: [parts[i] for i in at] for n, parts in columns.items()}))
        start += len(row)
    first = rollouts[0]
    nothing = [np.zeros(len(first.completion_ids))]
    spare = Learned(first.prompt_ids, (first.completion_ids,), dict.fromkeys((*columns, "weight", EVEN), nothing))
    return found, spare


def _flat_columns(
    advantages: Advantages, inputs: AdvantageInputs, method: Method, importance: Floats | None
) -> dict[str, Floats]:
    """Name to a number a token."""
    assert inputs.logp is not None
    flat = {"old_logp": inputs.logp, "advantage": advantages.flat(inputs.lengths)}
    if inputs.ref_logp is not None:
        flat["ref_logp"] = inputs.ref_logp
    if method.critic is not None:
        assert inputs.values is not None
        assert advantages.returns is not None
        flat |= {"value": inputs.values, "returns": advantages.returns}
    if importance is not None:
        flat["importance"] = importance
    for name in method.reads:
        if name not in flat:
            of_samples = inputs.grouped.code if name == "group" else inputs.need(name, method.title)
            assert name in ("group", "reward", *SAMPLE_COLUMNS)
            flat[name] = np.nan_to_num(np.asarray(of_samples, dtype=np.float64))[inputs.owner]
    return flat


__all__ = ["Measured", "correct_of", "inputs_of", "learned_of"]
