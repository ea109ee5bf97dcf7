"""Rejection sampling along directions between two aspects: one policy that is told which, or a policy for each.

A phrase is helpful and wordy to a degree, and the longer ones are the more helpful; users want it helpful and brief.
In each round a policy answers every prompt for some directions, several times for each, and imitates what goes
furthest. The rows are made by the function that `plaudit align` uses. A policy that is told the direction has the
prompt's features once as they are and once times the direction's place on the arc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned, mean_kl
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, spelled
from plaudit.policy.offline.data import directed_samples
from plaudit.records import Message, Rated
from plaudit.shaping.combine.fronts import hypervolume

ARMS = ("directed", "scalars", "averaged", "one", "shuffled", "start", "oracle")
LOW, HIGH = -45.0, 0.0
"""Ends of the arc in degrees: helpful and brief, and helpful alone."""
WORST = (-0.5, -2.0)
"""Helpfulness and brevity that count as nothing, in deviations from the start's means."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `volume` of the front over directions on unseen prompts; `helpful` and `brief` of its middle; `dial`, the rank
        correlation of the wanted and the found wordiness over directions (0 where all are one); `kl`, mean over them.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in ("directed", "scalars")):
        raise InputError(f"directed_front: arm {arm!r} is not known; the claim lists the arms")
    world = Aspects.made(seed, budget, alike=bool(knob))
    made = _front(world, name, budget, torch.Generator().manual_seed(seed + 1))
    points = np.array([world.measured(policy) for policy in made])
    wanted = [np.sin(np.radians(a)) for a in _grid(len(made))]
    dial = 0.0 if np.ptp(points[:, 1]) == 0 else float(spearmanr(wanted, -points[:, 1]).statistic)
    middle = points[len(points) // 2]
    return {
        "volume": hypervolume(points, WORST), "helpful": float(middle[0]), "brief": float(middle[1]), "dial": dial,
        "kl": float(np.mean([mean_kl(policy, world.asked(world.phrases.start.logits)) for policy in made])),
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Aspects:
    """Phrases with two aspects, (q, k) each, both with mean 0 and deviation 1 within a prompt under the start."""

    phrases: Phrases
    helpful: Tensor
    wordy: Tensor

    @classmethod
    def made(cls, seed: int, budget: Mapping[str, Any], *, alike: bool) -> Aspects:
        """Of an instance; `alike` leaves nothing to choose between: brief is what is helpful."""
        phrases = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
        wordy = _scaled(phrases, phrases.lengths.double().expand_as(phrases.worth))
        helpful = _scaled(phrases, phrases.worth + float(budget["pull"]) * wordy)
        return cls(phrases, helpful, -helpful if alike else wordy)

    def asked(self, logits: Tensor, told: float | None = None) -> TabularPolicy:
        """A policy on unseen prompts, told a place on the arc where it takes one."""
        x = self.phrases.test
        features = x if told is None else _told(x, torch.full((len(x),), told, dtype=torch.float64))
        start = self.phrases.start
        return TabularPolicy(logits, start.moves, length=start.length, end=0, features=features).requires_grad_(False)

    @torch.no_grad()
    def measured(self, policy: TabularPolicy) -> tuple[float, float]:
        """Mean helpfulness and brevity on unseen prompts, exact."""
        chance = policy.chances(self.phrases.every)
        test = slice(self.phrases.train, None)
        helpful, wordy = (float((chance * x[test]).sum(1).mean()) for x in (self.helpful, self.wordy))
        return helpful, -wordy


def _scaled(phrases: Phrases, value: Tensor) -> Tensor:
    mean = (phrases.chance * value).sum(1, keepdim=True)
    return (value - mean) / (phrases.chance * (value - mean).square()).sum(1, keepdim=True).sqrt()


def _grid(n: int) -> list[float]:
    return [float(a) for a in np.linspace(LOW, HIGH, n)]


def _place(angle: Tensor) -> Tensor:
    """Where on the arc, -1 to 1."""
    return (angle - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2)


def _told(x: Tensor, place: Tensor) -> Tensor:
    """Features of prompts that are asked for a direction."""
    return torch.cat([x, place[:, None] * x], 1)


def _front(world: Aspects, name: str, budget: Mapping[str, Any], draw: torch.Generator) -> list[TabularPolicy]:
    """A policy on unseen prompts for each direction of a grid."""
    many, each = int(budget["directions"]), int(budget["each"])
    grid, start = _grid(many), world.phrases.start.logits
    if name == "start":
        return [world.asked(start)] * many
    if name == "one":
        return [world.asked(_improved(world, sum(grid) / many, each * many, budget, draw))] * many
    if name == "scalars":
        return [world.asked(_improved(world, angle, each, budget, draw)) for angle in grid]
    if name == "averaged":
        brief, helpful = (_improved(world, angle, each * many // 2, budget, draw) for angle in (LOW, HIGH))
        return [world.asked(torch.lerp(brief, helpful, float(w))) for w in np.linspace(0, 1, many)]
    logits = _improved(
        world, None, each * (int(budget["much"]) if name == "oracle" else 1), budget, draw,
        noise=0.0 if name == "oracle" else None, dealt=name == "shuffled",
    )  # fmt: skip
    return [world.asked(logits, float(_place(torch.tensor(angle)))) for angle in grid]


def _improved(
    world: Aspects, angle: float | None, each: int, budget: Mapping[str, Any], draw: torch.Generator, *,
    noise: float | None = None, dealt: bool = False,
) -> Tensor:  # fmt: skip
    """Logits after all rounds: of one direction, or without one of a policy that is told it.

    Args:
        world: of the instance.
        angle: in degrees.
        each: completions of a prompt and a direction.
        budget: of the claim.
        draw: of everything.
        noise: of ratings; the budget's by default.
        dealt: whether the policy is told directions of other rows when it imitates.
    """
    start, many = world.phrases.start, int(budget["directions"])
    x = world.phrases.start.features
    assert x is not None
    logits, noise = start.logits.detach(), float(budget["noise"]) if noise is None else noise
    prompt = torch.arange(len(x)).repeat_interleave(1 if angle is not None else many)
    if angle is None:
        logits = torch.cat([logits, torch.zeros_like(logits)])
    for _ in range(int(budget["rounds"])):
        if angle is not None:
            wanted, features = torch.full((len(prompt),), angle, dtype=torch.float64), x
        else:
            wanted = LOW + (HIGH - LOW) * torch.rand(len(prompt), generator=draw, dtype=torch.float64)
            features = _told(x[prompt], _place(wanted))
        policy = TabularPolicy(logits, start.moves, length=start.length, end=0, features=features)
        rows, tokens = _furthest(world, policy, prompt, wanted, each, noise, draw)
        if dealt:
            other = wanted[torch.randperm(len(wanted), generator=draw)]
            features = _told(x[prompt], _place(other))
            policy = TabularPolicy(logits, start.moves, length=start.length, end=0, features=features)
        shown = Shown(rows, tokens, wanted=torch.ones(len(rows), dtype=torch.float64))
        aligned(policy, shown, "sft", Fitting(int(budget["steps"]), float(budget["rate"])))
        logits = policy.logits.detach()
    return logits


def _furthest(
    world: Aspects, policy: TabularPolicy, prompt: Tensor, wanted: Tensor, each: int, noise: float,
    draw: torch.Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """For each of the policy's prompts the completion that is rated best in its direction."""
    drawn = policy.sample(torch.arange(len(prompt)), each, draw)
    at, phrase = prompt[drawn.prompt], world.phrases.places(drawn.tokens)
    rated = torch.stack([x[at, phrase] for x in (world.helpful, world.wordy)], 1)
    rated = rated + noise * torch.randn(rated.shape, generator=draw, dtype=torch.float64)
    found = []
    for i, angle in enumerate(wanted.tolist()):
        rows = [
            Rated(
                (Message("user", str(i)),), "".join(map(str, drawn.tokens[j].tolist())), None,
                dict(zip(("helpful", "wordy"), rated[j].tolist(), strict=True)),
            )
            for j in range(i * each, (i + 1) * each)
        ]  # fmt: skip
        found += directed_samples(rows, directions=1, low=angle, high=angle)
    return spelled(found)
