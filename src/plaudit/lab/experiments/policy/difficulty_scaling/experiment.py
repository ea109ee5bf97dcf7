"""Classes of prompts of which one is rare, and rewards that are learnt from demonstrations: advantages scaled, or not.

Each class has a rule of its own beside a common one. A reward for each class is fitted so that it tells demonstrations
from completions of the starting policy; the policy maximises it. How hard a class is, its demonstrations' distance from
such completions says; how the policy responds, the gap of rewards does. What counts is the share of right tokens on
prompts of the rare class that are not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.networks import minimise
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position
from plaudit.policy.online.methods import online

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
CLASSES = 7
METHODS = {"grpo-s": "grpo-s", "grpo": "grpo", "dealt": "grpo-s", "drawn-evenly": "grpo", "oracle": "grpo"}


@dataclass(frozen=True, eq=False)
class World:
    """Prompts of classes, with what is right.

    Attributes:
        x: (n, k) features; to train on first, then for demonstrations, then to be tested.
        kind: (n,) classes; 0 is the rare one.
        needed: (n, t) right tokens.
        shown: (n, k + CLASSES k) what the policy sees: features, and features by class.
        start: logits of the policy before training.
        ends: where the training prompts, and where the demonstrations end.
    """

    x: Floats
    kind: Codes
    needed: Codes
    shown: Tensor
    start: Tensor
    ends: tuple[int, int]

    def policy(self, rows: Codes) -> TabularPolicy:
        """The start on some of the prompts."""
        length, vocabulary = self.start.shape[1:]
        return TabularPolicy(self.start, by_position(length, vocabulary), length=length, features=self.shown[rows])


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `rare`, the share of right tokens on test prompts of the rare class; `others`, of the others; `ranks`, how often
        the fitted reward puts a new demonstration above a completion of the start.
    """
    del fit  # a tabular policy, and a linear reward
    name, _, knob = arm.partition("@")
    if name not in (*METHODS, "start") or knob not in ("", "even"):
        raise InputError(f"difficulty_scaling: arm {arm!r} is not known; the claim lists the arms")
    world = _world(seed, budget, even=bool(knob))
    rows, test = np.arange(world.ends[0]), np.arange(world.ends[1], len(world.kind))
    if name == "drawn-evenly":  # prompts of the rare class again and again
        most = np.bincount(world.kind[rows]).max()
        rows = np.concatenate([np.resize(rows[world.kind[rows] == j], most) for j in range(CLASSES)])
    weights, hardness, worth, ranks = _rewards(world, seed, budget)
    policy = world.policy(rows)
    if name != "start":
        deal = np.random.default_rng([seed, 3])

        def judge(drawn: Drawn) -> Judged:
            at, tokens = rows[drawn.prompt.numpy()], drawn.tokens.numpy()
            if name == "oracle":
                return Judged((tokens == world.needed[at]).mean(1))
            reward = scores(weights, world, at, tokens)
            mean = np.bincount(drawn.group.numpy(), reward) / np.bincount(drawn.group.numpy())
            told = hardness[world.kind[at]], worth[world.kind[at]] - mean[drawn.group.numpy()]
            if name == "dealt":
                order = deal.permutation(len(mean))[drawn.group.numpy()]
                first = np.searchsorted(drawn.group.numpy(), order)
                told = told[0][first], told[1][first]
            return Judged(reward, columns={"hardness": told[0], "gap": told[1]})

        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]),
            adam=True, kl_coef=float(budget["kl_coef"]),
        )  # fmt: skip
        improved(policy, judge, online(METHODS[name])[1], spending, generator=torch.Generator().manual_seed(seed))
    asked = world.policy(test)
    asked.load_state_dict(policy.state_dict())
    needed = torch.from_numpy(world.needed[test])[:, :, None]
    hits = asked.table().detach().softmax(-1).gather(-1, needed)[..., 0].mean(1).numpy()
    rare = world.kind[test] == 0
    return {"rare": float(hits[rare].mean()), "others": float(hits[~rare].mean()), "ranks": ranks}


def _world(seed: int, budget: Mapping[str, Any], *, even: bool) -> World:
    rng = np.random.default_rng([seed, 1])
    k, length, v = (int(budget[part]) for part in ("features", "length", "vocabulary"))
    shown, demos, test = (int(budget[part]) for part in ("a_class", "demonstrations", "test"))
    rare = shown if even else int(budget["rare"])
    counts = [np.array([rare, *[shown] * (CLASSES - 1)]), np.full(CLASSES, 2 * demos), np.full(CLASSES, test)]
    kind = np.concatenate([np.repeat(np.arange(CLASSES), c) for c in counts])
    x = rng.normal(size=(kind.size, k))
    common, own = rng.normal(size=(k, length, v)), rng.normal(size=(CLASSES, k, length, v))
    needed = np.einsum("nk,nktv->ntv", x, (common + own)[kind]).argmax(-1)
    apart = np.zeros((kind.size, CLASSES, k))
    apart[np.arange(kind.size), kind] = x
    start = np.concatenate([float(budget["skill"]) * common / np.sqrt(2 * k), np.zeros((CLASSES * k, length, v))])
    seen = torch.from_numpy(np.concatenate([x, apart.reshape(kind.size, -1)], axis=1))
    ends = int(counts[0].sum()), int(counts[0].sum() + counts[1].sum())
    return World(x, kind, needed, seen, torch.from_numpy(start), ends)


def _rewards(world: World, seed: int, budget: Mapping[str, Any]) -> tuple[Floats, Floats, Floats, float]:
    """Weights (classes, k, t, v), and for each class its hardness and its demonstrations' mean reward; how it ranks."""
    rows = np.arange(*world.ends)
    half = np.arange(rows.size) % 2 == 0  # the other half is kept to see how the reward ranks
    drawn = world.policy(rows).sample(torch.arange(rows.size), 4, torch.Generator().manual_seed(seed + 1))
    tokens = drawn.tokens.numpy().reshape(rows.size, 4, -1)
    weights = torch.zeros(CLASSES, *world.x.shape[1:], *world.start.shape[1:], dtype=torch.float64, requires_grad=True)
    x, kind = torch.from_numpy(world.x[rows[half]]), torch.from_numpy(world.kind[rows[half]])
    better, worse = torch.from_numpy(world.needed[rows[half]]), torch.from_numpy(tokens[half])

    def loss(_: int) -> Tensor:
        table = torch.einsum("nk,nktv->ntv", x, weights[kind])
        shown = table.gather(-1, better[..., None]).sum((1, 2))
        sampled = table[:, None].expand(-1, 4, -1, -1).gather(-1, worse[..., None]).sum((2, 3))
        return -torch.nn.functional.logsigmoid(shown[:, None] - sampled).mean() + 0.01 * weights.square().sum()

    minimise([weights], loss, steps=int(budget["steps"]))
    found = weights.detach().numpy()
    demos = scores(found, world, rows, world.needed[rows])
    others = np.stack([scores(found, world, rows, tokens[:, j]) for j in range(4)], axis=1)
    worth = np.array([demos[half & (world.kind[rows] == j)].mean() for j in range(CLASSES)])
    return (
        found,
        hardness(world.needed[rows[half]], tokens[half], world.kind[rows[half]]),
        worth,
        float((demos[~half, None] > others[~half]).mean()),
    )


def scores(weights: Floats, world: World, rows: Codes, tokens: Codes) -> Floats:
    """The fitted reward of completions.

    Args:
        weights: (classes, k, t, v).
        world: of the prompts.
        rows: (s,) prompts.
        tokens: (s, t).
    """
    table = np.einsum("nk,nktv->ntv", world.x[rows], weights[world.kind[rows]])
    return np.asarray(np.take_along_axis(table, tokens[..., None], axis=-1).sum((1, 2)))


def hardness(shown: Codes, sampled: Codes, kind: Codes) -> Floats:
    """`1 - mean over demonstrations of the largest cosine with a completion of their prompt`, of each class.

    Args:
        shown: (n, t) tokens of demonstrations.
        sampled: (n, s, t) of completions; the cosine of two is the share of places where they agree.
        kind: (n,) classes.
    """
    nearest = (shown[:, None] == sampled).mean(2).max(1)
    return np.array([1 - nearest[kind == j].mean() for j in range(CLASSES)])
