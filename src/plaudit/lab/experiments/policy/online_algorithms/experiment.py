"""One starting policy, one verifier, and the online algorithms: the same prompts, completions and reward calls.

What is sampled and judged is equal in all arms; so is the number of updates. Seconds are not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.arithmetic import Habits, PolicyConfig, Problem, draw_problems, start, true_reward
from plaudit.lab.worlds.arithmetic.policy import sample
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.lab.worlds.assistant.prepared import cache_folder
from plaudit.policy.online import OnlineConfig, improve
from plaudit.policy.online.methods import ONLINE, online
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample, content_hash, conversation
from plaudit.rewards.base import RewardBatch
from plaudit.rewards.registry import load

KL = 1.0
"""Nats a completion at which algorithms are compared."""
WINDOW = 10
"""Batches that a point of a curve is the mean of."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` and `pass_8` of the final policy on unseen problems; `kl`, nats a completion from the start;
        `reward_at_kl`, the share of right answers on fresh problems where the KL was 1 nat (where the run ended, if it
        stayed below).
    """
    del fit  # no reward model is needed
    if arm not in ("start", "coin", *ONLINE):
        raise InputError(f"online_algorithms: arm {arm!r} is not known; the claim lists the arms")
    config = PolicyConfig(
        demonstrations=budget["demonstrations"], epochs=budget["epochs"], depth=tuple(budget["depth"]),
        habits=Habits(slips=budget["slips"]),
    )  # fmt: skip
    model = start(seed, config, cache=cache_folder())
    learn = draw_problems(budget["problems"], seed=seed + 1, depth=config.depth)
    test = draw_problems(budget["test"], seed=seed + 2, depth=config.depth, side="test")
    numbers = {"kl": 0.0, "reward_at_kl": 0.0}
    if arm != "start":
        model, history = _trained(model, learn, seed, arm, budget)
        kl, reward = curve(history)
        numbers = {"kl": float(kl[-1]), "reward_at_kl": float(np.interp(KL, np.maximum.accumulate(kl), reward))}
    return numbers | measured(model, test, seed)


def right_answers(model: Any, problems: Sequence[Problem], tries: int, seed: int) -> np.ndarray[Any, Any]:
    """1 for each right answer, (problems, tries)."""
    drawn = sample(model, problems, each=tries, seed=seed)
    return np.array([
        [true_reward(p, d.text) * d.finished for d in row] for p, row in zip(problems, drawn, strict=True)
    ])  # fmt: skip


def _trained(
    model: Any, problems: Sequence[Problem], seed: int, arm: str, budget: Mapping[str, Any]
) -> tuple[Any, Sequence[Mapping[str, float]]]:
    algorithm = "grpo" if arm == "coin" else arm
    options = OnlineConfig(
        algorithm=algorithm, batch_size=budget["prompts"], completions=budget["samples"], max_tokens=64,
        max_length=128, learning_rate=budget["learning_rate"], warmup=0.0, seed=seed,
        epochs=budget["updates"] * budget["prompts"] / budget["problems"],
    )  # fmt: skip
    rows = [PromptOnly(conversation(p.text), str(p.answer)) for p in problems]
    with tempfile.TemporaryDirectory() as out:
        run = improve(
            rows, model=model, tokenizer=build_tokenizer(), reward=Coin(seed) if arm == "coin" else load("verify/math"),
            config=options, method=online(algorithm)[1], out=Path(out),
        )  # fmt: skip
    return run.model.eval(), run.history


@dataclass(frozen=True)
class Coin:
    """A placebo: rewards that know nothing, the same for the same answer."""

    seed: int
    name: str = "coin"
    scope: Literal["sample"] = "sample"
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def fingerprint(self) -> str:
        """Of the seed."""
        return content_hash(["coin", self.seed])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """1 for half of all answers."""
        tossed = [int(content_hash([self.seed, s.key])[:8], 16) % 2 for s in samples]
        return RewardBatch(np.array(tossed, dtype=np.float64))


def curve(history: Sequence[Mapping[str, float]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """KL and reward on fresh prompts along a run, means over windows."""
    told = np.array([[row["kl"], row["reward"]] for row in history if "kl" in row and "reward" in row])
    size = min(WINDOW, len(told))
    kernel = np.ones(size) / size
    kl, reward = (np.convolve(told[:, k], kernel, mode="valid") for k in (0, 1))
    return kl, reward


def measured(model: Any, test: Sequence[Problem], seed: int) -> dict[str, float]:
    """Exact match on unseen problems, of one sample and of the best of eight."""
    right = right_answers(model, test, 8, seed + 3)
    return {"accuracy": float(right.mean()), "pass_8": float((right.max(axis=1) > 0).mean())}
