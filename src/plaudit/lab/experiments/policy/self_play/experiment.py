"""Statements are lists of skills, a proof is one step a skill; a table proves, another changes proved statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.policy.online.selfplay import (
    conjectures_kept,
    matching_weights,
    proof_weights,
    proofs_kept,
    within_cap,
)

ARMS = ("stp", "expert", "uniform", "untrained", "unmatched", "wide", "start", "oracle")
STEPS = 6
"""Tokens that a step of a proof can be; 0 is right, whatever the skill."""
TOPICS = 4
"""Skill k is of topic `k % TOPICS` and level `k // TOPICS`; the hard problems are of topic 0."""
FARTHEST = 3
"""Levels that a conjecture may move a skill."""
Statement = tuple[int, ...]
Floats = NDArray[np.float64]


@dataclass(eq=False)
class Policy:
    """One policy in its two parts.

    Attributes:
        prover: (skills, STEPS) logits of a step.
        level: (7,) logits of how many levels a skill of a proved statement is moved, from -3 to 3.
        topic: (TOPICS,) logits of the topic that it is moved to.
        length: (3,) logits of dropping a skill, keeping the length, adding one.
    """

    prover: Tensor
    level: Tensor
    topic: Tensor
    length: Tensor

    @classmethod
    def start(cls, seed: int, budget: Mapping[str, Any]) -> Policy:
        """Skills of each topic from easy to hard; a skill is moved to one near it, of any topic."""
        levels, rng = int(budget["levels"]), np.random.default_rng([seed, 1])
        chance = np.geomspace(float(budget["easiest"]), float(budget["hardest"]), levels).repeat(TOPICS)
        chance = chance * rng.uniform(0.8, 1.1, len(chance))
        prover = torch.zeros(len(chance), STEPS, dtype=torch.float64)
        prover[:, 0] = torch.tensor(np.log(chance / ((1 - chance) / (STEPS - 1))))
        level = -torch.arange(-FARTHEST, FARTHEST + 1, dtype=torch.float64).abs() / float(budget["reach"])
        return cls(prover, level, torch.zeros(TOPICS, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))

    def rates(self, statements: Sequence[Statement]) -> Floats:
        """Exact chance that a proof of each is right."""
        right = self.prover.softmax(-1)[:, 0].numpy()
        return np.array([float(np.prod(right[list(s)])) for s in statements])


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `solved`: exact mean chance that one proof of a hard statement is right; `proved`: share of the hard statements
        that were proved in any round; `inside`: share of conjectures, over all rounds, in the band (0, 1/4).
    """
    del fit  # tables
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"self_play: arm {arm!r} is not known; the claim lists the arms")
    policy, rng = Policy.start(seed, budget), np.random.default_rng([seed, 3])
    easy, hard = _problems(seed, budget, alike=knob == "0")
    proved: dict[Statement, float] = {}
    inside, made = 0, 0
    for number in range(0 if name == "start" else int(budget["rounds"])):
        known = {*easy, *hard}
        conjectures = _conjectures(policy, name, proved, known, hard, rng, budget) if number else []
        asked = [*(s for s in (*easy, *hard) if s not in proved), *[c for c, _, _ in conjectures]]
        each = max(1, int(budget["proofs"]) // max(1, len(asked)))
        right = rng.binomial(each, policy.rates(asked))
        rate = right / each
        made, inside = (
            made + len(conjectures),
            inside + int(conjectures_kept(rate[len(asked) - len(conjectures) :]).sum()),
        )
        taught = _proofs(asked, right, rate)
        open_ = [s for s in (*easy, *hard) if s not in proved and not rate[asked.index(s)]]
        lessons = _lessons(name, conjectures, rate[len(asked) - len(conjectures) :], open_, budget)
        proved |= {s: r for s, r in zip(asked, rate.tolist(), strict=True) if r > 0}
        _fitted(policy, taught, lessons, budget)
    return {
        "solved": float(policy.rates(hard).mean()), "proved": float(np.mean([s in proved for s in hard])),
        "inside": inside / made if made else 0.0,
    }  # fmt: skip


def _problems(seed: int, budget: Mapping[str, Any], *, alike: bool) -> tuple[list[Statement], list[Statement]]:
    """The problems: short ones of easy skills, and long ones of hard skills of one topic; `alike` takes any skills."""
    rng, levels = np.random.default_rng([seed, 2]), int(budget["levels"])

    def drawn(count: int, length: int, low: int, high: int, topics: int) -> list[Statement]:
        found: dict[Statement, None] = {}
        while len(found) < count:
            skills = TOPICS * rng.integers(low, high, length) + rng.integers(0, topics, length)
            found[tuple(sorted(int(x) for x in skills))] = None
        return list(found)

    easy = drawn(int(budget["easy"]), 2, 0, levels // 2, TOPICS)
    low, topics = (0, TOPICS) if alike else (levels // 3, 1)
    hard = drawn(int(budget["hard"]), 3, low, levels, topics)
    return easy, hard


Made = tuple[Statement, int, tuple[int, int, int]]
"""A conjecture, the lemma that it was to change, and what was drawn: moves of level, topic and length."""


def _conjectures(
    policy: Policy, name: str, proved: Mapping[Statement, float], known: set[Statement], hard: Sequence[Statement],
    rng: np.random.Generator, budget: Mapping[str, Any],
) -> list[Made]:  # fmt: skip
    """Statements that are new."""
    count, levels = int(budget["conjectures"]), int(budget["levels"])
    if name == "expert" or not proved:
        return []
    level, topic, length = (t.softmax(-1).numpy() for t in (policy.level, policy.topic, policy.length))
    seeds = [s for s, r in proved.items() if r > 0.35] or list(proved)
    found: list[Made] = []
    seen = {*known, *proved}
    for _ in range(count):
        seed = seeds[int(rng.integers(len(seeds)))]
        lemma = seed[int(rng.integers(len(seed)))]
        said = (_drawn(rng, level), _drawn(rng, topic), _drawn(rng, length))
        new = TOPICS * int(np.clip(lemma // TOPICS + said[0] - FARTHEST, 0, levels - 1)) + said[1]
        if name == "uniform":  # as the problems are: of two or three skills, any of them
            made = tuple(sorted(int(x) for x in rng.integers(0, TOPICS * levels, int(rng.integers(2, 4)))))
        elif name == "oracle":  # one skill that a hard statement needs, with an easy one
            want = hard[int(rng.integers(len(hard)))]
            made = tuple(sorted((int(want[int(rng.integers(len(want)))]), int(rng.integers(0, TOPICS)))))
        else:
            rest = list(seed)
            rest.remove(lemma)
            rest = rest[1:] if said[2] == 0 else rest
            made = tuple(sorted([*rest, new, *([new] if said[2] == 2 else [])]))
        if made not in seen:
            seen.add(made)
            found.append((made, lemma, said))
    kept = within_cap([lemma for _, lemma, _ in found], batch=count, share=float(budget["lemma_share"]))
    return [c for c, there in zip(found, kept, strict=True) if there]


def _drawn(rng: np.random.Generator, chance: Floats) -> int:
    return int(rng.choice(len(chance), p=chance))


def _proofs(asked: Sequence[Statement], right: NDArray[np.int64], rate: Floats) -> list[tuple[Statement, float]]:
    """Right proofs that teach, with their weights."""
    taught = [s for s, n, there in zip(asked, right, proofs_kept(rate), strict=True) if there for _ in range(int(n))]
    weight = proof_weights([float(len(s)) for s in taught], taught)
    return list(zip(taught, weight.tolist(), strict=True))


def _lessons(
    name: str, made: Sequence[Made], rate: Floats, open_: Sequence[Statement], budget: Mapping[str, Any]
) -> list[tuple[Made, float]]:
    """Conjectures that teach the conjecturer, with their weights."""
    if name not in ("stp", "unmatched", "wide") or not made:
        return []
    kept = rate > 0 if name == "wide" else conjectures_kept(rate)
    chosen = [c for c, there in zip(made, kept, strict=True) if there]
    if not chosen:
        return []
    n = TOPICS * int(budget["levels"])
    weight = np.ones(len(chosen))
    if name != "unmatched":
        weight = matching_weights(_embedded([c for c, _, _ in chosen], n), _embedded(open_, n))
    return list(zip(chosen, weight.tolist(), strict=True))


def _embedded(statements: Sequence[Statement], n: int) -> Floats:
    found = np.zeros((len(statements), n))
    for row, statement in zip(found, statements, strict=True):
        np.add.at(row, list(statement), 1.0)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True)) if len(statements) else found


def _fitted(
    policy: Policy, proofs: Sequence[tuple[Statement, float]], lessons: Sequence[tuple[Made, float]],
    budget: Mapping[str, Any],
) -> None:  # fmt: skip
    """One fine-tuning of both parts: gradient steps on the weighted log-likelihood of proofs and of conjectures.

    The sum over examples, not their mean: what more is shown of is learnt more.
    """
    steps, rate = int(budget["steps"]), float(budget["rate"])
    if proofs:
        count = np.zeros(len(policy.prover))
        for statement, weight in proofs:
            np.add.at(count, list(statement), weight)
        shown = torch.zeros_like(policy.prover)
        shown[:, 0] = torch.tensor(count)
        policy.prover = _climbed(policy.prover, shown, steps, rate)
    for k, name in enumerate(("level", "topic", "length")):
        table: Tensor = getattr(policy, name)
        shown = torch.zeros_like(table)
        for (_, _, said), weight in lessons:
            shown[said[k]] += weight
        setattr(policy, name, _climbed(table, shown, steps, rate))


def _climbed(table: Tensor, shown: Tensor, steps: int, rate: float) -> Tensor:
    """Logits after steps up the log-likelihood of tokens that are shown so often: `rate / steps (n - N p)` each."""
    for _ in range(steps):
        table = table + rate / steps * (shown - shown.sum(-1, keepdim=True) * table.softmax(-1))
    return table
