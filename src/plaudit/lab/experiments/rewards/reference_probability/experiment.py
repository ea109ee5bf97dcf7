"""Rewards from the probability of the reference answer, against the exact answer, on a policy's own solutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.arithmetic import Habits, PolicyConfig, draw_problems, start, true_reward
from plaudit.lab.worlds.arithmetic.policy import sample
from plaudit.lab.worlds.arithmetic.problems import Problem
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.lab.worlds.assistant.prepared import cache_folder
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import RewardBatch

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "mean": {"aggregate": "mean"},
    "product": {"aggregate": "product"},
    "geometric": {"aggregate": "geometric"},
    "mean_raw": {"aggregate": "mean", "debias": "none"},
    "product_raw": {"aggregate": "product", "debias": "none"},
    "other_answer": {"aggregate": "mean"},
}


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `auc` of the reward against exact correctness over all solutions that end; `right`, their share that is right;
        `faults`, the share of solutions that the reward calls the policy's fault.
    """
    del fit  # no reward model is fitted
    habits = Habits(slips=budget["slips"], loops=budget["loops"])
    model = start(seed, PolicyConfig(
        demonstrations=budget["demonstrations"], epochs=budget["epochs"], habits=habits
    ), cache=cache_folder())  # fmt: skip
    problems = [p for p in draw_problems(4 * budget["test"], seed=seed + 2, side="test") if p.answer > 9]
    problems = problems[: budget["test"]]
    drawn = sample(model, problems, each=budget["samples"], seed=seed + 3)
    asked = [(p, d.text) for p, row in zip(problems, drawn, strict=True) for d in row if d.finished]
    right = np.array([true_reward(p, text) for p, text in asked])
    batch = _rewards(arm, model, asked)
    return {"auc": auc(batch.reward, right), "right": float(right.mean()), "faults": float((batch.outcome == 1).mean())}


def auc(reward: np.ndarray, right: np.ndarray) -> float:
    """Probability that a right one's reward exceeds a wrong one's, ties half; 1/2 where one kind is missing."""
    high, low = reward[right > 0.5], reward[right < 0.5]
    if not high.size or not low.size:
        return 0.5
    return float((np.sign(high[:, None] - low[None, :]) / 2 + 0.5).mean())


def _rewards(arm: str, model: Any, asked: Sequence[tuple[Problem, str]]) -> RewardBatch:
    from plaudit.rewards.likelihood.answer import AnswerOptions, AnswerReward
    from plaudit.rewards.likelihood.language import LanguageModel
    from plaudit.rewards.likelihood.ratio import RatioOptions, RatioReward

    if arm == "oracle":
        return RewardBatch(np.array([true_reward(p, text) for p, text in asked]))
    language = LanguageModel(model, build_tokenizer(), name="policy", max_length=128)
    answers = [str(p.answer) for p, _ in asked]
    if arm == "other_answer":
        answers = answers[len(answers) // 2 :] + answers[: len(answers) // 2]
    samples = [Sample(conversation(p.text), text, a) for (p, text), a in zip(asked, answers, strict=True)]
    if arm == "logp":
        return RatioReward(language, options=RatioOptions(beta=1.0, average="token"))(samples)
    if arm not in OPTIONS:
        raise InputError(f"reference_probability: arm {arm!r} is not known; the claim lists the arms")
    options = AnswerOptions(before="#### ", after="", tags="", format_coef=0.0, **OPTIONS[arm])
    return AnswerReward(language, options)(samples)
