"""One policy, one verifier, and different ways to treat what it could not judge.

Two things end in a time-out here: the candidate's own endless solutions, which the starting policy brings along
(it learnt them from demonstrations), and the machine's, which strike at random. A verifier that establishes which is
which calls the first a policy fault, worth the floor, and leaves the second out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.arithmetic import Habits, PolicyConfig, Problem, draw_problems, improve, start, true_reward
from plaudit.lab.worlds.arithmetic.learning import Judge, LearningConfig
from plaudit.lab.worlds.arithmetic.policy import Drawn, sample
from plaudit.lab.worlds.assistant.prepared import cache_folder
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.registry import load

TREATED = ("honest", "noise_20", "timeouts_floor", "timeouts_excluded", "oracle", "coin")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` of the final policy's samples on unseen problems, an unfinished one counting as wrong;
        `unfinished`, their share; `answered_accuracy`, of those that finished; `loops_trained`, the share of unfinished
        samples in the last ten updates; `reward_trained`, the mean reward of what counted in them.
    """
    del fit  # no reward model is needed
    if arm not in (*TREATED, "start"):
        raise InputError(f"verifier_outcomes: arm {arm!r} is not known; the claim lists the arms")
    habits = Habits(slips=budget["slips"], loops=budget["loops"])
    config = PolicyConfig(demonstrations=budget["demonstrations"], epochs=budget["epochs"], habits=habits)
    model = start(seed, config, cache=cache_folder())
    numbers = {"loops_trained": 0.0, "reward_trained": 0.0}
    if arm != "start":
        learning = LearningConfig(budget["updates"], budget["prompts"], budget["samples"], budget["learning_rate"])
        problems = draw_problems(budget["problems"], seed=seed + 1, depth=config.depth)
        told = improve(model, problems, judge_of(arm, seed, budget), learning, seed=seed)[-10:]
        numbers = {
            "loops_trained": float(np.mean([row["unfinished"] for row in told])),
            "reward_trained": float(np.nanmean([row["reward"] for row in told])),
        }
    return numbers | _measured(model, seed, budget)


def judge_of(arm: str, seed: int, budget: Mapping[str, Any]) -> Judge:
    """The rewards of an arm.

    Args:
        arm: one of `TREATED`.
        seed: of noise and of the machine's time-outs, which strike the same samples in every arm.
        budget: `noise` and `machine_timeouts`, shares.
    """
    verifier = load("verify/math")

    def judge(problems: Sequence[Problem], drawn: Sequence[Drawn], update: int) -> RewardBatch:
        rng = np.random.default_rng([seed, 14, update])
        machine = rng.random(len(drawn)) < budget["machine_timeouts"]
        flipped = rng.random(len(drawn)) < budget["noise"]
        coin = rng.random(len(drawn)) < 0.5
        endless = np.array([not d.finished for d in drawn])
        if arm == "oracle":
            return RewardBatch(np.array([true_reward(p, d.text) for p, d in zip(problems, drawn, strict=True)]))
        if arm == "coin":
            return RewardBatch(coin.astype(float))
        reward, outcome = np.zeros(len(drawn)), np.full(len(drawn), Outcome.POLICY_FAULT, dtype=np.int8)
        done = np.flatnonzero(~endless).tolist()
        batch = verifier([Sample(conversation(problems[i].text), drawn[i].text, str(problems[i].answer)) for i in done])
        reward[done], outcome[done] = batch.reward, batch.outcome
        if arm == "noise_20":
            wrong = flipped & ~endless
            reward[wrong], outcome[wrong] = 1 - reward[wrong], Outcome.SCORED
        lost = endless | machine if arm == "timeouts_excluded" else machine
        if arm == "timeouts_floor":
            reward[lost], outcome[lost] = 0.0, Outcome.POLICY_FAULT
        else:
            reward[lost], outcome[lost] = np.nan, Outcome.TIMED_OUT
        return RewardBatch(reward, outcome)

    return judge


def _measured(model: Any, seed: int, budget: Mapping[str, Any]) -> dict[str, float]:
    test = draw_problems(budget["test"], seed=seed + 2, side="test")
    drawn = sample(model, test, each=4, seed=seed + 3)
    right = np.array([[true_reward(p, d.text) for d in row] for p, row in zip(test, drawn, strict=True)])
    done = np.array([[d.finished for d in row] for row in drawn])
    return {
        "accuracy": float((right * done).mean()),
        "unfinished": float(1 - done.mean()),
        "answered_accuracy": float(right[done].mean()) if done.any() else 0.0,
    }
