"""Rewards of a solution's steps: from outcomes by a log-ratio, from rollouts, and from true step labels."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
"""The first was chosen on a development instance; heads learned as little at any. The trials are in the claim."""

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
        model: the starting policy.
        train: problems with their solutions, of which only outcomes are told.
        test: unseen problems with theirs, each text once.
        times: how often each of those was drawn.
    """

    model: Any
    train: list[list[Solution]]
    test: list[list[Solution]]
    times: list[list[int]]


@dataclass(frozen=True)
class Judged:
    """What a reward says of solutions.

    Attributes:
        values: of each solution, the value after each of its steps.
        totals: of the whole solutions.
        before: the value before the first step: 0 for a log-ratio; of a head, which reads no empty text, the mean after
            first steps.
    """

    values: list[np.ndarray]
    totals: np.ndarray
    before: float = 0.0


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        Of distinct solutions `auc`, the probability that a right step that no wrong one precedes has a higher reward
        than a first wrong step, ties half; `drop`, the share of solutions with a wrong step in which the value falls
        most (or rises least) in the first wrong one, ties shared, beside `drop_chance`, that of a step drawn at random.
        Of all samples `best_of`, the share of problems whose solution of highest total is right, ties averaged, beside
        `chance`, that of a sample drawn at random, and `chance_distinct`, that of a distinct text, which is what a
        reward that knows nothing but tells any two texts apart comes to.
    """
    del fit  # outcomes and steps, not pairs
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "1", "unsure"):
        raise InputError(f"implicit_steps: arm {arm!r} is not known; the claim lists the arms")
    changed = {"demonstrations": budget["unsure"]} if knob == "unsure" else {}
    items = tuple(sorted({**budget, **changed}.items()))
    bench, (fitted, reading) = _bench(seed, items), ARMS[name]
    judged = _judged(fitted, 1 if knob == "1" else int(budget["samples"]), seed, items)
    return judged_steps(judged, bench.test, bench.times, reading)


def judged_steps(
    judged: Judged, rows: Sequence[Sequence[Solution]], times: Sequence[Sequence[int]], reading: str
) -> dict[str, float]:
    """The numbers of `run_instance`.

    Args:
        judged: of all solutions.
        rows: the distinct solutions, a list for each problem.
        times: how often each was drawn.
        reading: a step's reward is the `value` after it, or the `change` of value in it.
    """
    solutions = [s for row in rows for s in row]
    changes = [np.diff(v, prepend=judged.before) for v in judged.values]
    read = changes if reading == "change" else judged.values
    seen = [len(s.right) if s.first_wrong < 0 else s.first_wrong + 1 for s in solutions]
    rewards = np.concatenate([r[:n] for r, n in zip(read, seen, strict=True)])
    right = np.concatenate([np.array(s.right[:n], dtype=float) for s, n in zip(solutions, seen, strict=True)])
    wrong = [(c[: len(s.right)], s.first_wrong) for c, s in zip(changes, solutions, strict=True) if s.first_wrong >= 0]
    picked, drawn, distinct, at = [], [], [], 0
    for row, count in zip(rows, times, strict=True):
        total, weight = judged.totals[at : at + len(row)], np.array(count, dtype=float)
        outcome, at = np.array([s.outcome for s in row]), at + len(row)
        best = weight * (total == total.max())
        picked.append(float(best @ outcome / best.sum()))
        drawn.append(float(weight @ outcome / weight.sum()))
        distinct.append(float(outcome.mean()))
    return {
        "auc": auc(rewards, right),
        "drop": float(np.mean([(c[b] == c.min()) / (c == c.min()).sum() for c, b in wrong])) if wrong else 0.0,
        "drop_chance": float(np.mean([1 / len(c) for c, _ in wrong])) if wrong else 0.0,
        "best_of": float(np.mean(picked)),
        "chance": float(np.mean(drawn)),
        "chance_distinct": float(np.mean(distinct)),
    }


@lru_cache(maxsize=1)
def _bench(seed: int, items: tuple[tuple[str, Any], ...]) -> Bench:
    budget = dict(items)
    config = PolicyConfig(
        demonstrations=budget["demonstrations"], epochs=budget["policy_epochs"],
        habits=Habits(slips=budget["slips"], loops=0.0),
    )  # fmt: skip
    model = start(seed, config, cache=cache_folder())
    rows = []
    for stream, side in enumerate(("train", "test")):
        problems = draw_problems(budget[side], seed=seed + 2 + stream, side=side)
        drawn = sample(model, problems, each=budget["samples"], seed=seed + 4 + stream)
        solved = [[solution_of(p, d.text) for d in row if d.finished] for p, row in zip(problems, drawn, strict=True)]
        rows.append([kept for row in solved if (kept := [s for s in row if s is not None])])
    counts = [Counter(row) for row in rows[1]]
    return Bench(model, rows[0], [list(c) for c in counts], [list(c.values()) for c in counts])


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
    train = [row[:each] for row in bench.train]
    if fitted == "oracle":
        values = [np.cumsum([-float(i == s.first_wrong) for i in range(len(s.steps))]) for s in solutions]
        return Judged(values, np.array([s.outcome for s in solutions]))
    if fitted == "rollouts":
        _, found = rollout_values(bench.model, solutions, rollouts=budget["rollouts"], seed=seed + 7)
        values = [np.array([*v, v[-1]]) for v in found]  # nobody knows at test whether the answer is right
        return _by_values(values)
    if fitted in ("implicit", "shuffled", "start"):
        reward = _log_ratio(fitted, train, bench, budget, seed)
        batch = reward([Sample(conversation(s.problem.text), s.text, steps=s.steps) for s in solutions])
        assert batch.steps is not None
        return Judged([np.cumsum(steps) for steps in batch.steps], batch.reward)
    taken, rows = rated_rows(fitted, train, bench.model, budget, seed)
    head = _fit(rows, "regression", "head", taken, bench, budget, seed)
    asked = [Sample(conversation(s.problem.text), prefix) for s in solutions for prefix in s.prefixes]
    values = np.split(head(asked).reward, np.cumsum([len(s.steps) for s in solutions])[:-1])
    return _by_values(values)


def _by_values(values: list[np.ndarray]) -> Judged:
    return Judged(values, np.array([v[-1] for v in values]), before=float(np.mean([v[0] for v in values])))


def _log_ratio(
    name: str, train: Sequence[Sequence[Solution]], bench: Bench, budget: Mapping[str, Any], seed: int
) -> Reward:
    """A policy that was told outcomes, over the one it began from; for `start` that one's log-likelihood."""
    if name == "start":
        language = LanguageModel(bench.model, build_tokenizer(), name="policy", max_length=128)
        return RatioReward(language, options=RatioOptions(beta=1.0))
    solutions = [s for row in train for s in row]
    told = np.array([s.outcome for s in solutions])
    if name == "shuffled":
        told = np.random.default_rng([seed, 61]).permutation(told)
    rows = [Unpaired(conversation(s.problem.text), s.text, bool(t)) for s, t in zip(solutions, told, strict=True)]
    return _fit(rows, f"implicit-ce?beta={budget['beta']}", "implicit", train, bench, budget, seed)


def rated_rows(
    name: str, train: Sequence[Sequence[Solution]], model: Any, budget: Mapping[str, Any], seed: int
) -> tuple[list[list[Solution]], list[Rated]]:
    """Texts with the values that a head is fitted to.

    Args:
        name: `outcome`, `labels` or `monte_carlo`.
        train: solutions of each problem.
        model: the starting policy, which completes steps for `monte_carlo`.
        budget: of the claim.
        seed: of the instance.

    Returns:
        The solutions that are read, by problem, and the rows: whole solutions with their outcomes for `outcome`, else
        every prefix.
    """
    if name == "outcome":
        rows = [Rated(conversation(s.problem.text), s.text, s.outcome) for row in train for s in row]
        return [list(row) for row in train], rows
    every = [(i, j) for i, row in enumerate(train) for j in range(len(row))]
    if name == "monte_carlo":
        # one solution of every problem before a second of any: as many problems as the samples reach
        order = sorted(every, key=lambda at: (at[1], at[0]))
        solutions = [train[i][j] for i, j in order]
        _, values = rollout_values(model, solutions, rollouts=budget["rollouts"], most=len(every), seed=seed + 6)
        told = dict(zip(order[: len(values)], values, strict=True))
    else:
        told = {(i, j): [float(all(s[: k + 1])) for k in range(len(s))] for i, j in every for s in [train[i][j].right]}
    taken = [[s for j, s in enumerate(row) if (i, j) in told] for i, row in enumerate(train)]
    rows = [
        Rated(conversation(s.problem.text), prefix, value)
        for i, j in every
        if (i, j) in told
        for s in [train[i][j]]
        for prefix, value in zip(s.prefixes, [*told[i, j], s.outcome], strict=True)
    ]
    return [row for row in taken if row], rows


def _fit(
    rows: Sequence[Any], objective: str, rate: str, read: Sequence[Sequence[Solution]], bench: Bench,
    budget: Mapping[str, Any], seed: int,
) -> Reward:  # fmt: skip
    """A reward from the starting policy's weights; every fit reads as many solutions, and as many a step.

    Args:
        rows: of these solutions; those of a problem are one group.
        objective: as `FitConfig.objective`.
        rate: which learning rate.
        read: the solutions by problem.
        bench: the starting policy.
        budget: `epochs` passes over all solutions of all problems, `batch` solutions a step.
        seed: of the order.
    """
    n = sum(len(row) for row in read)
    whole = sum(len(row) for row in bench.train)
    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as start:
        bench.model.save_pretrained(start)
        build_tokenizer().save_pretrained(start)
        return reward_in_world(
            rows, seed=seed, size=budget["size"], objective=objective, epochs=budget["epochs"] * whole / n,
            backbone=Path(start), learning_rate=LEARNING_RATE[rate], max_length=128,
            batch_size=max(round(budget["batch"] * len(read) / n), 1),
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
