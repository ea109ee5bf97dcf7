"""Texts decoded from a base policy under guidance, at one distance from it, by their exact final truth [162].

World, labelled pairs and networks are those of `rewards/autoregressive_reward`. A guide gives every next token of a
beginning a number g, and the next token is drawn from `base * exp(alpha g)`; alpha is found by bisection, so that the
KL to the base policy, exact in each step and averaged over texts, is the arm's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.autoregressive_reward.experiment import fitted, labelled, seen
from plaudit.lab.experiments.rewards.autoregressive_reward.walks import LENGTH, TOKENS, Walks
from plaudit.lab.networks import minimise, small_network
from plaudit.rewards.likelihood.autoregressive import guided_logits

N = 8
"""Of best-of-n."""
NATS = float(np.log(N) - (N - 1) / N)
"""KL of every arm without a knob: that of best-of-8."""
ARMS = ("token", "trajectory", "every_prefix", "dpo", "shuffled", "best_of_8", "base", "oracle")
Guide = Callable[[np.ndarray], Tensor]
"""Beginnings (n, t) to a number for each next token (n, 6)."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `truth` (mean final truth of fresh texts, the world's own expectation taken off), `kl` in nats, `alpha`.
    """
    del fit  # small networks of counts
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0.3", "3"):
        raise InputError(f"guided_decoding: arm {arm!r} is not known; the claim lists the arms")
    walks, n = Walks(seed), int(budget["test"])
    mean = float(walks.expected(np.arange(TOKENS)[:, None]).mean())  # of the base policy, whose first token is any
    if name == "base":
        return {"truth": float(walks.expected(walks.draw(n, 6)).mean()) - mean, "kl": 0.0, "alpha": 0.0}
    if name == "best_of_8":
        texts = walks.draw(N * n, 6).reshape(n, N, LENGTH)
        said = fitted("trajectory", walks, budget).reward(texts.reshape(-1, LENGTH)).reshape(n, N)
        best = texts[np.arange(n), said.argmax(axis=1)]
        return {"truth": float(walks.expected(best).mean()) - mean, "kl": NATS, "alpha": 0.0}
    guide, nats = guide_of(name, walks, budget), float(knob) if knob else NATS
    alpha = strength(walks, guide, nats, n=n)
    texts, kl = decoded(walks, guide, alpha, n=n, part=6)
    return {"truth": float(walks.expected(texts).mean()) - mean, "kl": kl, "alpha": alpha}


def guide_of(name: str, walks: Walks, budget: Mapping[str, Any]) -> Guide:
    """What an arm guides by."""
    if name == "oracle":
        return lambda begun: of_continuations(walks.expected, begun)
    if name == "dpo":
        network = _dpo(walks, budget)
        return lambda begun: torch.as_tensor(network(seen(begun)[:, -1]))
    reader = fitted(name, walks, budget)
    if reader.by_token:
        return lambda begun: torch.as_tensor(reader.network(seen(begun)[:, -1]))
    return lambda begun: of_continuations(reader.reward, begun)


def of_continuations(reward: Callable[[np.ndarray], np.ndarray], begun: np.ndarray) -> Tensor:
    """The reward of each beginning with each next token: as many readings as there are tokens."""
    longer = np.concatenate([np.repeat(begun, TOKENS, axis=0), np.tile(np.arange(TOKENS), len(begun))[:, None]], axis=1)
    return torch.from_numpy(reward(longer).reshape(len(begun), TOKENS))


@torch.no_grad()
def decoded(walks: Walks, guide: Guide, alpha: float, *, n: int, part: int) -> tuple[np.ndarray, float]:
    """Texts under guidance, (n, 12), and the KL of their policy to the base, in nats a text."""
    rng = np.random.default_rng([walks.seed, part])
    texts, kl = rng.integers(TOKENS, size=(n, 1)), 0.0
    for coin in rng.random((LENGTH - 1, n, 1)):
        base = torch.from_numpy(np.log(walks.policy[texts[:, -1]]))
        logp = guided_logits(base, guide(texts)[None], alphas=[alpha]).log_softmax(-1)
        kl += float((logp.exp() * (logp - base)).sum(-1).mean())
        drawn = (logp.exp().cumsum(-1).numpy() < coin).sum(axis=1).clip(max=TOKENS - 1)
        texts = np.concatenate([texts, drawn[:, None]], axis=1)
    return texts, kl


def strength(walks: Walks, guide: Guide, nats: float, *, n: int) -> float:
    """The alpha at which guidance is so many nats away from the base, by bisection of its logarithm.

    Raises:
        InputError: if no alpha up to 1,000 is so far away.
    """
    low, high = np.log(1e-3), np.log(1e3)
    if decoded(walks, guide, float(np.exp(high)), n=n, part=5)[1] < nats:
        raise InputError(f"guided_decoding: no strength of the guide is {nats:.3f} nats away from the base policy")
    for _ in range(24):
        middle = (low + high) / 2
        far = decoded(walks, guide, float(np.exp(middle)), n=n, part=5)[1] > nats
        low, high = (low, middle) if far else (middle, high)
    return float(np.exp((low + high) / 2))


def _dpo(walks: Walks, budget: Mapping[str, Any]) -> torch.nn.Module:
    """A policy that is the base times the exponential of a network, fitted by DPO to the same pairs."""
    texts, pairs = labelled("dpo", walks, int(budget["pairs"]))
    network = small_network(TOKENS * TOKENS + TOKENS + 1, TOKENS, width=int(budget["width"]), seed=walks.seed)
    shown, told = seen(texts)[:, 1:-1], torch.from_numpy(texts)
    base = torch.from_numpy(np.log(walks.policy[texts[:, :-1]]))
    first = base.gather(2, told[:, 1:, None])[..., 0].sum(dim=1)

    def loss(_: int) -> Tensor:
        logp = (base + network(shown)).log_softmax(-1).gather(2, told[:, 1:, None])[..., 0].sum(dim=1)
        ratio = logp - first
        return -torch.nn.functional.logsigmoid(float(budget["beta"]) * (ratio[pairs[:, 0]] - ratio[pairs[:, 1]])).mean()

    minimise(network.parameters(), loss, steps=int(budget["steps"]), lr=0.02)
    return network
