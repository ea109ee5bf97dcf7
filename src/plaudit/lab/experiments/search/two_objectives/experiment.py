"""Texts decoded under two autoregressive rewards at five weights, by what each weight says they are worth [162].

Policy, texts and networks are those of `rewards/autoregressive_reward`; a second world beside it judges the same texts
by another objective. At weight w a text is worth `w U_1 + (1 - w) U_2`. Strengths are such that at each weight every
arm's policy is as far from the base as in `search/guided_decoding`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.autoregressive_reward.experiment import SHARPNESS, Reader, seen, trained
from plaudit.lab.experiments.rewards.autoregressive_reward.walks import TOKENS, Walks
from plaudit.lab.experiments.search.guided_decoding.experiment import (
    NATS,
    Guide,
    decoded,
    of_continuations,
    strength,
)

ARMS = ("two", "mean", "each_weight", "soup", "trajectory", "shuffled", "oracle")
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the first objective."""
CORRELATIONS = {"": 0.0, "opposed": -0.7}
"""Of the worths of neighbours; `same` is one objective twice."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth` by the weight, the mean over weights, the base policy's expectation taken off; `first@W` and `second@W`,
        each objective at a weight; `moved`, what the first gains and the second loses from one end to the other, in
        the mean; `monotone`, the share of the eight steps between weights in which an objective moves as it should.
    """
    del fit  # small networks of counts
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in (*CORRELATIONS, "same"):
        raise InputError(f"two_objectives: arm {arm!r} is not known; the claim lists the arms")
    first = Walks(seed)
    second = first if knob == "same" else Walks(seed + 1, beside=first, correlation=CORRELATIONS[knob])
    both, n = (first, second), int(budget["test"])
    guide_at = guides(name, both, budget)
    found = np.empty((len(WEIGHTS), 2))
    for i, w in enumerate(WEIGHTS):
        guide = guide_at(w)
        texts, _ = decoded(first, guide, strength(first, guide, NATS, n=n), n=n, part=6)
        found[i] = [world.expected(texts).mean() - _of_base(world) for world in both]
    share = np.array(WEIGHTS)
    steps = np.diff(found, axis=0) * [1, -1]
    return {
        "worth": float((share * found[:, 0] + (1 - share) * found[:, 1]).mean()),
        "moved": float(((found[-1] - found[0]) * [0.5, -0.5]).sum()), "monotone": float((steps > 0).mean()),
        **{f"first_{w}": float(x) for w, x in zip(WEIGHTS, found[:, 0], strict=True)},
        **{f"second_{w}": float(x) for w, x in zip(WEIGHTS, found[:, 1], strict=True)},
    }  # fmt: skip


def _of_base(world: Walks) -> float:
    """Expected truth of the base policy, whose first token is any."""
    return float(world.expected(np.arange(TOKENS)[:, None]).mean())


def guides(name: str, both: tuple[Walks, Walks], budget: Mapping[str, Any]) -> Callable[[float], Guide]:
    """What an arm guides by at each weight."""
    if name == "oracle":
        return lambda w: lambda begun: of_continuations(lambda x: weighted(both, w)(x), begun)
    m = int(budget["pairs"])
    if name == "each_weight":
        parts = {
            w: reader_of(both, weighted(both, w), m // len(WEIGHTS), budget, part=i) for i, w in enumerate(WEIGHTS)
        }
        return lambda w: by_token([parts[w]], [1.0])
    if name == "mean":
        reader = reader_of(both, weighted(both, 0.5), m, budget)
        return lambda _: by_token([reader], [1.0])
    coin, token = name == "shuffled", name != "trajectory"
    readers = [
        reader_of(both, weighted(both, w), m // 2, budget, by_token=token, coin=coin, part=i)
        for i, w in enumerate((1.0, 0.0))
    ]
    if name == "trajectory":
        return lambda w: (
            lambda begun: (
                w * of_continuations(readers[0].reward, begun) + (1 - w) * of_continuations(readers[1].reward, begun)
            )
        )
    if name == "soup":
        return lambda w: by_token([soup(readers, [w, 1 - w])], [1.0])
    return lambda w: by_token(readers, [w, 1 - w])


def weighted(both: tuple[Walks, Walks], w: float) -> Callable[[np.ndarray], np.ndarray]:
    """Worth at a weight of the first objective: of beginnings, in expectation."""
    return lambda texts: w * both[0].expected(texts) + (1 - w) * both[1].expected(texts)


def reader_of(
    both: tuple[Walks, Walks], worth: Callable[[np.ndarray], np.ndarray], m: int, budget: Mapping[str, Any], *,
    by_token: bool = True, coin: bool = False, part: int = 0,
) -> Reader:  # fmt: skip
    """A network fitted to m pairs of texts, labelled by a worth; all start from the same weights."""
    world = both[0]
    texts = world.draw(2 * m, 10 + part)
    truth = worth(texts)
    rng = np.random.default_rng([world.seed, 20 + part])
    odds = 0.0 if coin else SHARPNESS * (truth[:m] - truth[m:])
    first, left = rng.random(m) < 1 / (1 + np.exp(-odds)), np.arange(m)
    pairs = np.stack([np.where(first, left, left + m), np.where(first, left + m, left)], axis=1)
    model = Reader(int(budget["width"]), world.seed, by_token=by_token)
    return trained(model, texts, torch.from_numpy(pairs), budget)


def by_token(readers: list[Reader], weights: list[float]) -> Guide:
    """A sum of next-token log-probabilities, `sum_i w_i log pi_i`."""

    def guide(begun: np.ndarray) -> Tensor:
        shown = seen(begun)[:, -1]
        each = [w * r.network(shown).log_softmax(-1) for r, w in zip(readers, weights, strict=True)]
        return torch.stack(each).sum(dim=0)

    return guide


def soup(readers: list[Reader], weights: list[float]) -> Reader:
    """One network whose weights are the weighted mean of the networks'."""
    mixed = deepcopy(readers[0])
    states = [r.network.state_dict() for r in readers]
    mixed.network.load_state_dict({k: sum(w * s[k] for w, s in zip(weights, states, strict=True)) for k in states[0]})
    return mixed
