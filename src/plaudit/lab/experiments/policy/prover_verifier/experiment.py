"""Solutions of one step that decides and several of style; a linear verifier plays against provers that are tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.networks import minimise
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.policy.online.games import Solutions, game_pairs, outranked, prover_rewards, verifier_loss
from plaudit.policy.online.games.rewards import Design
from plaudit.policy.online.methods import online
from plaudit.records.sample import Sample, conversation

ARMS = ("game", "start", "last", "random", "uniform", "cgc", "goodhart", "oracle")
LEVELS = 4
"""Tokens: of the first place, of which one is right, and of each place of style."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Problems whose solutions have one step that decides, and styles that say nothing by themselves.

    The first token is the step, 0 where it is right; the others are the levels of one style each. A policy knows where
    it is and whether its step was right.

    Attributes:
        slope: (problems, styles) by how much a style's level goes with being right in the start's solutions, logits.
        noise: of the decisive step, as a verifier sees it.
    """

    slope: Floats
    noise: float

    @classmethod
    def draw(cls, seed: int, budget: Mapping[str, Any], *, knob: float) -> World:
        """The world of an instance; a knob of 0 takes away what styles have to do with being right."""
        rng = np.random.default_rng([seed, 1])
        shape = int(budget["problems"]), int(budget["styles"])
        return cls(knob * float(budget["slope"]) * rng.uniform(0.5, 1.5, shape), float(budget["noise"]))

    @property
    def problems(self) -> int:
        """How many there are."""
        return len(self.slope)

    def start(self, roles: int) -> TabularPolicy:
        """Half right; the styles of right solutions have higher levels. The problems once for each role."""
        styles = self.slope.shape[1]
        moves = torch.arange(1, 2 + 2 * styles)[:, None].repeat(1, LEVELS)
        moves[[styles, 2 * styles]] = 0
        moves[0] = 1 + styles
        moves[0, 0] = 1
        level = torch.arange(LEVELS, dtype=torch.float64) - (LEVELS - 1) / 2
        wanted = torch.from_numpy(self.slope)[..., None] * level
        first = torch.zeros(self.problems, 1, LEVELS, dtype=torch.float64)
        first[:, :, 0] = np.log(LEVELS - 1)  # as likely as all the others together
        logits = torch.cat([first, wanted, -wanted], dim=1)
        return TabularPolicy(logits.repeat(roles, 1, 1), moves, length=1 + styles)

    def right(self, drawn: Drawn) -> NDArray[np.bool_]:
        """Which solutions are, (n,)."""
        return np.asarray(drawn.tokens[:, 0].numpy() == 0)

    def features(self, drawn: Drawn, rng: np.random.Generator, *, uniform: bool = False) -> Floats:
        """What a verifier sees: the decisive step with noise, and the levels of style, (n, 1 + styles)."""
        decisive = np.where(self.right(drawn), 1.0, -1.0) + self.noise * rng.normal(size=len(drawn.prompt))
        level = np.asarray(drawn.tokens[:, 1:].numpy(), dtype=np.float64)
        if uniform:  # as a person would who rewrites every solution in a style drawn at random
            level = rng.integers(LEVELS, size=level.shape).astype(np.float64)
        return np.column_stack([decisive, level - (LEVELS - 1) / 2])


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `robust`: how often the final verifier ranks a right solution of the start above a wrong one of a sneaky prover
        that is new to it, trained against it from the start; `ordinary`: above a wrong one of the start; `steps`: the
        attack's updates until it wins half of the pairs (as many as there are, if never); `helpful`: share of right
        solutions of the helpful prover after the game; `legible`: how often a small verifier, of few of the start's
        solutions, ranks its right solutions above wrong ones of the start.
    """
    del fit  # a linear verifier
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"prover_verifier: arm {arm!r} is not known; the claim lists the arms")
    world = World.draw(seed, budget, knob=0.0 if knob == "0" else 1.0)
    provers, weight = _played(world, name, seed, budget)
    generator, rng = torch.Generator().manual_seed(seed % 2**63 + 7), np.random.default_rng([seed, 7])
    attack, steps = _attacked(world, weight, seed, budget)
    size = int(budget["test"])
    problems = torch.arange(world.problems)
    ordinary, hostile = world.start(1).sample(problems, size, generator), attack.sample(problems, size, generator)
    helpful = provers.sample(problems, size, generator)
    reader = _fitted(world, [(world.start(1).sample(problems, int(budget["few"]), generator), "start", False)], rng, 8)
    said = world.features(ordinary, rng), world.features(hostile, rng), world.features(helpful, rng)
    mine, theirs = world.right(ordinary), world.right(hostile)
    good = world.right(helpful)
    names = [str(p) for p in ordinary.prompt.tolist()]
    both = np.concatenate([said[0] @ weight, said[1] @ weight])
    no = np.zeros(len(mine), dtype=bool)
    robust = outranked(both, np.concatenate([mine, no]), np.concatenate([no, ~theirs]), [*names, *names])
    plain = outranked(said[0] @ weight, mine, ~mine, names)
    read = np.concatenate([said[2] @ reader, said[0] @ reader])
    legible = outranked(read, np.concatenate([good, no]), np.concatenate([no, ~mine]), [*names, *names])
    return {
        "robust": robust.value, "ordinary": plain.value, "steps": float(steps), "helpful": float(good.mean()),
        "legible": legible.value,
    }  # fmt: skip


def _played(world: World, name: str, seed: int, budget: Mapping[str, Any]) -> tuple[TabularPolicy, Floats]:
    """The provers after all rounds, and the last verifier."""
    generator, rng = torch.Generator().manual_seed(seed % 2**63), np.random.default_rng([seed, 2])
    provers, problems = world.start(2), torch.arange(world.problems)
    each, rounds = int(budget["solutions"]), int(budget["rounds"])
    seen: list[tuple[Drawn, str, bool]] = []
    weight = np.zeros(1 + world.slope.shape[1])
    design: Design = "cgc" if name == "cgc" else "goodhart" if name == "goodhart" else "src"
    for number in range(rounds + 1):
        ordinary = number == 0 or name in ("start", "uniform")
        part = [(world.start(1).sample(problems, each * (1 if number == 0 else 2), generator), "start", False)]
        if not ordinary:
            both = provers.sample(torch.arange(2 * world.problems), each, generator)
            part = [(both, "provers", False)]
        part = [(d, f"{source}-{number}", name == "uniform") for d, source, _ in part]
        seen = part if name == "last" and number else [*seen, *part]
        weight = _fitted(world, seen, rng, int(budget["pairs"]))
        if name == "oracle":
            weight = np.eye(len(weight))[0]
        if number < rounds:
            against = rng.normal(size=len(weight)) if name == "random" else weight
            _improve(world, provers, against, design, generator, rng, budget)
    return provers, weight


def _fitted(world: World, seen: Sequence[tuple[Drawn, str, bool]], rng: np.random.Generator, most: int) -> Floats:
    """A verifier from its beginning, on pairs of a right and a wrong solution."""
    parts = []
    for drawn, source, uniform in seen:
        x, right = world.features(drawn, rng, uniform=uniform), world.right(drawn).astype(np.float64)
        problem = drawn.prompt.numpy() % world.problems
        samples = tuple(
            Sample(conversation(str(p)), " ".join(f"{v:.9g}" for v in row)) for p, row in zip(problem, x, strict=True)
        )
        roles = drawn.prompt.numpy() // world.problems
        parts.append(Solutions(samples, right, tuple(f"{source}-{role}" for role in roles)))
    pairs = game_pairs(Solutions.joined(parts), most=most * len(seen), seed=int(rng.integers(2**31)))
    better, worse = (
        torch.tensor([[float(v) for v in str(getattr(pair, side)).split()] for pair in pairs], dtype=torch.float64)
        for side in ("chosen", "rejected")
    )
    weight = torch.zeros(better.shape[1], dtype=torch.float64, requires_grad=True)
    minimise([weight], lambda _: verifier_loss(better @ weight, worse @ weight, coef=0.01), steps=300, lr=0.05)
    return np.asarray(weight.detach().numpy())


def _improve(
    world: World, policy: TabularPolicy, weight: Floats, design: Design, generator: torch.Generator,
    rng: np.random.Generator, budget: Mapping[str, Any], *, sneaky: bool = False, watch: Any = None,
) -> list[dict[str, float]]:  # fmt: skip
    """Provers against a verifier: helpful in the first half of the prompts, or all of them sneaky."""

    def judge(drawn: Drawn) -> Judged:
        helpful = np.zeros(len(drawn.prompt), dtype=bool) if sneaky else drawn.prompt.numpy() < world.problems
        value = world.features(drawn, rng) @ weight
        right = world.right(drawn).astype(np.float64)
        return Judged(prover_rewards(value, right, helpful, drawn.group.numpy(), design=design))

    spending = Spending(
        updates=int(budget["updates"]), prompts=policy.prompts, each=int(budget["samples"]),
        rate=float(budget["rate"]), adam=True, kl_coef=float(budget["kl_coef"]),
    )  # fmt: skip
    return improved(
        policy,
        judge,
        online("grpo")[1],
        spending,
        generator=generator,
        reference=world.start(1 if sneaky else 2),
        watch=watch,
    )


def _attacked(world: World, weight: Floats, seed: int, budget: Mapping[str, Any]) -> tuple[TabularPolicy, int]:
    """A sneaky prover from the start, against a verifier that stays; and when it wins half of the pairs."""
    generator, rng = torch.Generator().manual_seed(seed % 2**63 + 3), np.random.default_rng([seed, 3])
    fresh, problems = world.start(1), torch.arange(world.problems)
    ordinary = world.start(1).sample(problems, 64, generator)
    score, mine = world.features(ordinary, rng) @ weight, world.right(ordinary)

    def watch(policy: TabularPolicy, _: int) -> dict[str, float]:
        drawn = policy.sample(problems, 64, generator)
        wrong = ~world.right(drawn)
        said = np.concatenate([score, world.features(drawn, rng) @ weight])
        no = np.zeros(len(mine), dtype=bool)
        names = [*map(str, ordinary.prompt.tolist()), *map(str, drawn.prompt.tolist())]
        won = outranked(said, np.concatenate([mine, no]), np.concatenate([no, wrong]), names)
        return {"robust": won.value}

    history = _improve(world, fresh, weight, "src", generator, rng, budget, sneaky=True, watch=watch)
    lost = [i + 1 for i, row in enumerate(history) if row["robust"] < 0.5]
    return fresh, lost[0] if lost else len(history)
