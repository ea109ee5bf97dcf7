"""Policies improved against comparators of several sizes, and how far rewards lie apart in their groups [123].

A candidate is worth what a random network says of it and of what was asked. Comparators see pairs of candidates, learn
from one rater's noisy choices, and then reward a tabular policy over the candidates of prompts that they have not seen:
by the probability of yes to "is it better than that reference?", averaged over references and over both orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.yes_against_reference.experiment import (
    COMPARED,
    EACH,
    comparator,
    penalty,
    yes_of,
)
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.networks import minimise, small_network
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position
from plaudit.policy.online.methods import online
from plaudit.rewards.likelihood.yes import order_debiased
from plaudit.training.objectives.pairs.logistic import bradley_terry

SIZES = {"yes_1": 1, "yes_4": 4, "yes_16": 16, "yes_64": 64, "shuffled_64": 64, "bradley_terry_64": 64}
"""Arm to hidden units."""
ARMS = (*SIZES, "oracle")
FEATURES, UNITS = 4, 24
"""Numbers of a prompt, and of a candidate; hidden units of the truth."""
CANDIDATES, REFERENCES, AMONG = 256, 4, 16
"""A policy's candidates a prompt; references: the best so many, by the reward itself, among so many at random."""
SHARPNESS = 2.0
"""Log-odds of a choice per unit of worth."""
GROUP, PENALTY = 16, 1e-5
"""Completions of a prompt in a batch; on squared weights."""


@final
class Truth:
    """Worth of candidates of a prompt, with mean 0 and deviation 1 over all candidates of a prompt.

    Args:
        seed: of the instance.
        linear: whether it is a sum of the candidate's numbers, whatever was asked.
    """

    def __init__(self, seed: int, *, linear: bool) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 1])
        self.inner = rng.normal(size=(2 * FEATURES, UNITS)) / np.sqrt(2 * FEATURES)
        self.bias, self.outer = rng.normal(size=(2, UNITS))
        self.own = rng.normal(size=FEATURES)
        self.linear, self.scale = linear, 1.0
        worth = self.of(self.draw(500, 64, 2))
        self.scale = 1 / float(np.sqrt(worth.var(axis=1, ddof=1).mean()))

    def draw(self, prompts: int, each: int, part: int) -> np.ndarray:
        """Candidates, (prompts, each, 8): what is asked, and their own numbers; `part` is of the random stream."""
        rng = np.random.default_rng([self.seed, part])
        asked, told = rng.normal(size=(prompts, 1, FEATURES)), rng.normal(size=(prompts, each, FEATURES))
        return np.concatenate([np.repeat(asked, each, axis=1), told], axis=2)

    def of(self, x: np.ndarray) -> np.ndarray:
        """Worth of candidates, (prompts, each)."""
        if self.linear:
            return np.asarray(self.scale * (x[..., FEATURES:] @ self.own))
        return np.asarray(self.scale * (np.tanh(2 * (x @ self.inner) + self.bias) @ self.outer))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `truth`, expected worth under the improved policy less that of the first, and `kl` from it in nats;
        `reward_spread`, mean deviation of the reward within groups, over the last fifth of the batches, and
        `reward_spread_first` over the first; `accuracy` on pairs of candidates that nobody has optimised;
        `surest`, the mean of the policy's largest probability.
    """
    del fit  # small networks of given numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "linear"):
        raise InputError(f"comparator_size: arm {arm!r} is not known; the claim lists the arms")
    truth = Truth(seed, linear=knob == "linear")
    asked = truth.draw(int(budget["asked"]), CANDIDATES, 5)
    worth = truth.of(asked)
    reward = expit(SHARPNESS * worth) if name == "oracle" else _rewards(name, truth, asked, budget)
    spreads: list[float] = []

    def judge(drawn: Drawn) -> Judged:
        said = reward[drawn.prompt.numpy(), drawn.tokens[:, 0].numpy()]
        spreads.append(float(said.reshape(-1, GROUP).std(axis=1).mean()))
        return Judged(said)

    start = TabularPolicy(torch.zeros(len(asked), 1, CANDIDATES), by_position(1, CANDIDATES), length=1)
    policy = TabularPolicy(start.logits, start.moves, length=1)
    spending = Spending(
        updates=int(budget["updates"]), prompts=len(asked), each=GROUP, rate=float(budget["rate"]), adam=True
    )
    method = online("grpo")[1]
    improved(policy, judge, method, spending, generator=torch.Generator().manual_seed(seed % 2**31))
    with torch.no_grad():
        chance = policy.table().softmax(-1)[:, 0].numpy()
        kl = float(policy.kl(start).mean())
    fifth = max(len(spreads) // 5, 1)
    lead, right = reward[:, ::2] - reward[:, 1::2], worth[:, ::2] - worth[:, 1::2]
    return {
        "truth": float((chance * worth).sum(axis=1).mean() - worth.mean()), "kl": kl,
        "reward_spread": float(np.mean(spreads[-fifth:])), "reward_spread_first": float(np.mean(spreads[:fifth])),
        "accuracy": float((np.sign(lead) * np.sign(right) + 1).mean() / 2), "surest": float(chance.max(axis=1).mean()),
    }  # fmt: skip


def _rewards(name: str, truth: Truth, asked: np.ndarray, budget: Mapping[str, Any]) -> np.ndarray:
    """The reward of every candidate of every prompt, in (0, 1)."""
    train = truth.draw(int(budget["prompts"]), EACH, 3)
    lead = SHARPNESS * (np.diff(truth.of(train)[:, COMPARED], axis=2)[..., 0] * -1)
    rng = np.random.default_rng([truth.seed, 4])
    better = rng.random(lead.shape) < (0.5 if name == "shuffled_64" else expit(lead))
    if name == "bradley_terry_64":
        return np.asarray(expit(_scores(name, train, better, truth.seed, budget)(asked)))
    model = _comparator(name, train, better, truth.seed, budget)
    # references: of a few candidates at random those that beat the others most often
    few = asked[:, :AMONG]
    among = np.stack([_beats(model, few, few[:, [i]]) for i in range(AMONG)]).mean(axis=0)
    best = np.argsort(-among, axis=1)[:, :REFERENCES]
    won = [_beats(model, asked, np.take_along_axis(few, i[:, None, None], axis=1)) for i in best.T]
    return np.asarray(np.mean(won, axis=0))


def _comparator(name: str, train: np.ndarray, better: np.ndarray, seed: int, budget: Mapping[str, Any]) -> nn.Module:
    """Logit of yes to "is the first better than the second?"; each pair is asked in both orders."""
    first, second = (train[:, COMPARED[:, i]].reshape(-1, 2 * FEATURES) for i in (0, 1))
    return comparator(
        first, second, better.ravel(), width=SIZES[name], l2=PENALTY, seed=seed, steps=int(budget["steps"])
    )


def _beats(model: nn.Module, candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Probability that each candidate (p, k, 8) beats its prompt's reference (p, 1, 8), both orders alike, (p, k)."""
    against = np.broadcast_to(reference, candidates.shape)
    return np.asarray(order_debiased(yes_of(model, candidates, against), yes_of(model, against, candidates)))


def _scores(
    name: str, train: np.ndarray, better: np.ndarray, seed: int, budget: Mapping[str, Any]
) -> Callable[[np.ndarray], np.ndarray]:
    """A score a candidate, by Bradley-Terry on the same choices, less its mean over candidates of a prompt."""
    x = torch.from_numpy(train.reshape(-1, 2 * FEATURES))
    place = EACH * np.arange(len(train))[:, None, None] + COMPARED
    pairs = torch.from_numpy(np.where(better[..., None], place, place[..., ::-1]).reshape(-1, 2))
    model = small_network(x.shape[1], 1, width=SIZES[name], seed=seed)
    minimise(
        model.parameters(),
        lambda _: bradley_terry(model(x)[:, 0], pairs) / len(pairs) + penalty(model, PENALTY),
        steps=int(budget["steps"]),
    )

    def scores(candidates: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            said = np.asarray(model(torch.from_numpy(candidates))[..., 0].numpy())
        return np.asarray(said - said.mean(axis=1, keepdims=True))

    return scores
