"""Rewards of a solution's steps: from outcomes by a log-ratio, from rollouts, and from true step labels."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plaudit.engine.generation import generate
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.reference_probability.experiment import auc
from plaudit.lab.fitting import reward_in_world
from plaudit.lab.worlds.arithmetic import Habits, PolicyConfig, check_steps, draw_problems, start, true_reward
from plaudit.lab.worlds.arithmetic.habits import BUDGET
from plaudit.lab.worlds.arithmetic.policy import prompt_ids, sample
from plaudit.lab.worlds.arithmetic.problems import Problem
from plaudit.lab.worlds.arithmetic.symbols import EOS, PAD, SPECIALS, build_tokenizer, ids, text_of
from plaudit.lab.worlds.assistant.prepared import cache_folder
from plaudit.records.rows import Rated, Unpaired
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Reward
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.ratio import RatioOptions, RatioReward

LEARNING_RATE = {"implicit": 1e-3, "head": 1e-3}
"""Chosen on a development instance; the trials are in the claim."""

ARMS = {
    "implicit": ("implicit", "change"),
    "implicit_value": ("implicit", "value"),
    "start": ("start", "change"),
    "outcome": ("outcome", "change"),
    "monte_carlo": ("monte_carlo", "value"),
    "rollouts": ("rollouts", "value"),
    "labels": ("labels", "value"),
    "shuffled": ("shuffled", "change"),
    "oracle": ("oracle", "change"),
}
"""Arm to what is fitted, and to how a step is read: the `value` after it, or the `change` of value in it."""


@dataclass(frozen=True)
class Solution:
    """A solution that ended, in parts.

    Attributes:
        problem: what was asked.
        steps: its lines, the last one with the answer; joined they are its text.
        right: of each line before the answer, whether it is right.
    """

    problem: Problem
    steps: tuple[str, ...]
    right: tuple[bool, ...]

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(self.steps)

    @property
    def prefixes(self) -> list[str]:
        """The text up to the end of each line."""
        return ["".join(self.steps[: i + 1]) for i in range(len(self.steps))]

    @property
    def first_wrong(self) -> int:
        """Place of the first wrong line, -1 if there is none."""
        return self.right.index(False) if False in self.right else -1

    @property
    def outcome(self) -> float:
        """1 where the answer is exact, else 0."""
        return float(true_reward(self.problem, self.text))


@dataclass(frozen=True)
class Bench:
    """What all arms of an instance begin from.

    Attributes:
        folder: with the starting policy as a model folder `policy`.
        model: the starting policy.
        train: problems with their solutions, of which only outcomes are told.
        test: unseen problems with theirs, each once.
    """

    folder: tempfile.TemporaryDirectory[str]
    model: Any
    train: list[list[Solution]]
    test: list[list[Solution]]


@dataclass(frozen=True)
class Judged:
    """What a reward says of solutions.

    Attributes:
        values: of each solution, the value after each of its steps; a mean solution's is 0 before the first one.
        totals: of the whole solutions.
    """

    values: list[np.ndarray]
    totals: np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `auc`, the probability that a right step that no wrong one precedes has a higher reward than a first wrong step,
        ties half; `drop`, the share of solutions with a wrong step in which the value falls most (or rises least) in
        the first wrong one; `best_of`, the share of test problems whose solution of highest total is right, and
        `chance`, that of all solutions.
    """
    del fit  # outcomes and steps, not pairs
    name, _, each = arm.partition("@")
    if name not in ARMS or each not in ("", "1") or (each and name != "implicit"):
        raise InputError(f"implicit_steps: arm {arm!r} is not known; the claim lists the arms")
    items = tuple(sorted(budget.items()))
    bench, (fitted, reading) = _bench(seed, items), ARMS[name]
    return judged_steps(_judged(fitted, 1 if each else int(budget["samples"]), seed, items), bench.test, reading)


def judged_steps(judged: Judged, rows: Sequence[Sequence[Solution]], reading: str) -> dict[str, float]:
    """The numbers of `run_instance`.

    Args:
        judged: of all solutions.
        rows: the solutions, a list for each problem.
        reading: a step's reward is the `value` after it, or the `change` of value in it.
    """
    solutions = [s for row in rows for s in row]
    changes = [np.diff(v, prepend=0.0) for v in judged.values]
    read = changes if reading == "change" else judged.values
    seen = [len(s.right) if s.first_wrong < 0 else s.first_wrong + 1 for s in solutions]
    rewards = np.concatenate([r[:n] for r, n in zip(read, seen, strict=True)])
    right = np.concatenate([np.array(s.right[:n], dtype=float) for s, n in zip(solutions, seen, strict=True)])
    drops = [
        int(np.argmin(c[: len(s.right)])) == s.first_wrong
        for c, s in zip(changes, solutions, strict=True)
        if s.first_wrong >= 0
    ]
    outcomes = np.array([s.outcome for s in solutions])
    ends = np.cumsum([0, *(len(row) for row in rows)])
    best = [a + int(np.argmax(judged.totals[a:b])) for a, b in pairwise(ends)]
    return {
        "auc": auc(rewards, right),
        "drop": float(np.mean(drops)) if drops else 0.0,
        "best_of": float(outcomes[best].mean()),
        "chance": float(outcomes.mean()),
    }


@lru_cache(maxsize=1)
def _bench(seed: int, items: tuple[tuple[str, Any], ...]) -> Bench:
    budget = dict(items)
    config = PolicyConfig(
        demonstrations=budget["demonstrations"], epochs=budget["policy_epochs"],
        habits=Habits(slips=budget["slips"], loops=0.0),
    )  # fmt: skip
    model = start(seed, config, cache=cache_folder())
    folder = tempfile.TemporaryDirectory(prefix="plaudit-lab-")
    model.save_pretrained(Path(folder.name) / "policy")
    build_tokenizer().save_pretrained(Path(folder.name) / "policy")
    rows = []
    for stream, side in enumerate(("train", "test")):
        problems = draw_problems(budget[side], seed=seed + 2 + stream, side=side)
        drawn = sample(model, problems, each=budget["samples"], seed=seed + 4 + stream)
        solved = [[solution_of(p, d.text) for d in row if d.finished] for p, row in zip(problems, drawn, strict=True)]
        told = [[s for s in row if s is not None] for row in solved]
        rows.append([list(dict.fromkeys(row)) if side == "test" else row for row in told if row])
    return Bench(folder, model, *rows)


def solution_of(problem: Problem, text: str) -> Solution | None:
    """A text in parts; None where it is not lines and then an answer."""
    steps, right = tuple(text.splitlines(keepends=True)), tuple(check_steps(problem, text))
    whole = len(steps) == len(right) + 1 and steps[-1].startswith("#### ")
    return Solution(problem, steps, right) if whole and right else None


@lru_cache(maxsize=2)
def _judged(fitted: str, each: int, seed: int, items: tuple[tuple[str, Any], ...]) -> Judged:
    """What a fit says of the test solutions; that of the last ones is kept.

    Args:
        fitted: as in `ARMS`.
        each: training solutions of a problem, at most.
        seed: of the instance.
        items: of the budget.
    """
    budget, bench = dict(items), _bench(seed, items)
    solutions = [s for row in bench.test for s in row]
    train = [s for row in bench.train for s in row[:each]]
    if fitted == "oracle":
        return Judged(
            [np.cumsum([*(r - 1.0 for r in s.right), 0.0]) for s in solutions], np.array([s.outcome for s in solutions])
        )
    if fitted == "rollouts":
        _, found = rollout_values(bench.model, solutions, rollouts=budget["rollouts"], seed=seed + 7)
        mean = float(np.mean([s.outcome for s in train]))
        values = [np.array([*v, v[-1]]) - mean for v in found]  # nobody knows at test whether the answer is right
        return Judged(values, np.array([v[-1] for v in values]))
    if fitted in ("implicit", "shuffled", "start"):
        reward = _log_ratio(fitted, train, bench, budget, seed)
        batch = reward([Sample(conversation(s.problem.text), s.text, steps=s.steps) for s in solutions])
        assert batch.steps is not None
        return Judged([np.cumsum(steps) for steps in batch.steps], batch.reward)
    rows, passes = _rated(fitted, train, bench, budget, seed)
    head = _fit(rows, "regression", "head", passes, bench, budget, seed)
    asked = [Sample(conversation(s.problem.text), prefix) for s in solutions for prefix in s.prefixes]
    values = np.split(head(asked).reward, np.cumsum([len(s.steps) for s in solutions])[:-1])
    return Judged(values, np.array([v[-1] for v in values]))


def _log_ratio(name: str, train: Sequence[Solution], bench: Bench, budget: Mapping[str, Any], seed: int) -> Reward:
    """A policy that was told outcomes, over the one it began from; for `start` that one's log-likelihood."""
    if name == "start":
        language = LanguageModel(bench.model, build_tokenizer(), name="policy", max_length=128)
        return RatioReward(language, options=RatioOptions(beta=1.0))
    told = np.array([s.outcome for s in train])
    if name == "shuffled":
        told = np.random.default_rng([seed, 61]).permutation(told)
    rows = [Unpaired(conversation(s.problem.text), s.text, bool(t)) for s, t in zip(train, told, strict=True)]
    return _fit(rows, f"implicit-ce?beta={budget['beta']}", "implicit", budget["epochs"], bench, budget, seed)


def _rated(
    name: str, train: Sequence[Solution], bench: Bench, budget: Mapping[str, Any], seed: int
) -> tuple[list[Rated], float]:
    """Texts with the value that a head should give them, and passes over them: as many solutions are read by all."""
    if name == "outcome":
        return [Rated(conversation(s.problem.text), s.text, s.outcome) for s in train], budget["epochs"]
    if name == "labels":
        taken, values = list(train), [[float(all(s.right[: i + 1])) for i in range(len(s.right))] for s in train]
    else:
        taken, values = rollout_values(
            bench.model, train, rollouts=budget["rollouts"], most=len(train), seed=seed + 6
        )  # fmt: skip
    rows = [
        Rated(conversation(s.problem.text), prefix, value)
        for s, found in zip(taken, values, strict=True)
        for prefix, value in zip(s.prefixes, [*found, s.outcome], strict=True)
    ]
    return rows, budget["epochs"] * len(train) / len(taken)


def _fit(
    rows: Sequence[Any], objective: str, rate: str, epochs: float, bench: Bench, budget: Mapping[str, Any], seed: int
) -> Reward:
    return reward_in_world(
        rows, seed=seed, size=budget["size"], objective=objective, epochs=epochs,
        backbone=Path(bench.folder.name) / "policy", learning_rate=LEARNING_RATE[rate], max_length=128,
        batch_size=int(budget["batch"]),
    )  # fmt: skip


def rollout_values(
    model: Any, solutions: Sequence[Solution], *, rollouts: int, seed: int, most: int | None = None
) -> tuple[list[Solution], list[list[float]]]:
    """Monte Carlo values: how often a policy reaches the right answer from the end of each line before the answer.

    Args:
        model: the policy.
        solutions: in order.
        rollouts: completions of each line.
        most: completions in all, the solutions' own among them: as many solutions as they suffice for, at least one;
            None for all solutions.
        seed: of the sampling.

    Returns:
        The solutions that were taken, and the values of each one's lines.
    """
    cost = np.cumsum([1 + rollouts * len(s.right) for s in solutions])
    taken = list(solutions[: len(solutions) if most is None else max(int((cost <= most).sum()), 1)])
    asked = [(s.problem, prefix) for s in taken for prefix in s.prefixes[:-1]]
    drawn = generate(
        model, [[*prompt_ids(p), *ids(prefix)] for p, prefix in asked], samples_per_prompt=rollouts,
        max_new_tokens=BUDGET, eos_id=EOS, pad_id=PAD, suppress=[i for i in range(len(SPECIALS)) if i != EOS],
        generator=torch.Generator().manual_seed(seed), batch_size=1024,
    )  # fmt: skip
    share = iter(
        float(np.mean([true_reward(p, prefix + text_of(g.completion_ids)) if g.finish == "eos" else 0.0 for g in row]))
        for (p, prefix), row in zip(asked, drawn, strict=True)
    )
    return taken, [[next(share) for _ in s.right] for s in taken]
