"""Completions that are compared, where preferences may run in circles: a player of the game, or a score.

Every prompt has a few completions and preferences of its own, partly by a score and partly cyclic. What is told is who
won, drawn for each pair. A policy may learn from that, or from a Bradley-Terry score that is fitted to as many
judgements. How far it can be exploited, by the completion that beats it most often, is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.online.methods import online
from plaudit.shaping.groups.pairwise import group_win_rates, pairs_within

Floats = NDArray[np.float64]
PLAYERS = {
    "pairwise-rlhf": "pairwise-rlhf", "pref-grpo": "pref-grpo", "online-inpo": "online-inpo?eta={eta}&tau={tau}",
    "online-dno": "online-dno?beta={beta}", "coin": "pairwise-rlhf", "score": "grpo", "score-online": "grpo",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `exploitable`, how much more often than half the completion that beats the final policy best does so, mean over
        prompts; `average`, the same of the mean of the policies along the way; `kl`, nats from the start.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*PLAYERS, "start") or knob not in ("", "0"):
        raise InputError(f"cyclic_strengths: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    p, k, each = int(budget["prompts"]), int(budget["completions"]), int(budget["each"])
    prefers = preferences(rng, p, k, cycles=0.0 if knob else float(budget["cycles"]))
    moves = by_position(1, k)
    policy = TabularPolicy(torch.from_numpy(rng.normal(0, 0.5, size=(p, 1, k))), moves, length=1)
    start, seen = policy.frozen(), [_chances(policy)]
    if name != "start":
        spending = Spending(
            int(budget["updates"]), p, each, float(budget["rate"]), adam=True,
            passes=int(budget["passes"]) if name in ("online-inpo", "online-dno") else 1,
        )  # fmt: skip
        pairs = spending.updates * each * (each - 1) // 2
        judge = _Told(prefers, np.random.default_rng([seed, 2]), name, _chances(start), pairs)

        def watch(now: TabularPolicy, _: int) -> dict[str, float]:
            seen.append(_chances(now))
            return {}

        method = online(PLAYERS[name].format(**budget))[1]
        improved(policy, judge, method, spending, generator=torch.Generator().manual_seed(seed), watch=watch)
    average = np.mean(seen, axis=0)
    return {
        "exploitable": exploitable(prefers, seen[-1]), "average": exploitable(prefers, average),
        "kl": float(policy.kl(start).detach().mean()),
    }  # fmt: skip


def preferences(rng: np.random.Generator, prompts: int, completions: int, *, cycles: float) -> Floats:
    """Chances (prompts, k, k) that the first beats the second: by a score, and by circles.

    Args:
        rng: of both.
        prompts: how many.
        completions: k.
        cycles: deviation, in nats, of what no score explains; 0 for preferences that a score explains.
    """
    score = rng.normal(size=(prompts, completions))
    free = rng.normal(0, np.sqrt(2), size=(prompts, completions, completions))
    circles = (free - free.transpose(0, 2, 1)) / 2
    # what a score could explain of them is taken out: all rows then sum to 0
    mean = circles.mean(2)
    circles = circles - mean[:, :, None] + mean[:, None, :]
    return np.asarray(1 / (1 + np.exp(-(score[:, :, None] - score[:, None, :] + cycles * circles))))


def exploitable(prefers: Floats, chance: Floats) -> float:
    """`max_y P(y beats the policy) - 1/2`, mean over prompts; 0 at a Nash equilibrium and nowhere else."""
    return float((np.einsum("pab,pb->pa", prefers, chance).max(1) - 0.5).mean())


def fitted_scores(wins: Floats, *, steps: int = 50, prior: float = 0.1) -> Floats:
    """Bradley-Terry scores (prompts, k) of wins (prompts, k, k), by minorisation, with a little prior.

    Args:
        wins: how often the first beat the second.
        steps: of minorisation.
        prior: wins of each over each that are added.
    """
    told = wins + prior * (1 - np.eye(wins.shape[1]))
    games, won = told + told.transpose(0, 2, 1), told.sum(2)
    strength = np.ones(won.shape)
    for _ in range(steps):
        strength = won / (games / (strength[:, :, None] + strength[:, None, :])).sum(2)
        strength = strength / np.exp(np.log(strength).mean(1, keepdims=True))
    return np.asarray(np.log(strength))


class _Told:
    """What is said of completions: who won each pair, or a score."""

    def __init__(self, prefers: Floats, rng: np.random.Generator, name: str, start: Floats, pairs: int) -> None:
        self.prefers, self.rng, self.name = prefers, rng, name
        self.wins = np.zeros(prefers.shape)
        if name == "score":  # as many judgements as the others get in all, of completions of the starting policy
            for prompt, chance in enumerate(start):
                first, second = rng.choice(len(chance), size=(2, pairs), p=chance)
                self._play(np.full(pairs, prompt), first, second)

    def _play(self, prompt: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> Floats:
        won = (self.rng.random(prompt.size) < self.prefers[prompt, first, second]).astype(float)
        np.add.at(self.wins, (prompt, first, second), won)
        np.add.at(self.wins, (prompt, second, first), 1 - won)
        return won

    def __call__(self, drawn: Drawn) -> Judged:
        prompt, said = drawn.prompt.numpy(), drawn.tokens[:, 0].numpy()
        if self.name == "score":
            return Judged(fitted_scores(self.wins)[prompt, said])
        pairs = pairs_within(drawn.group.numpy())
        won = self._play(prompt[pairs[:, 0]], said[pairs[:, 0]], said[pairs[:, 1]])
        if self.name == "coin":
            won = self.rng.permutation(won)
        if self.name == "score-online":
            return Judged(fitted_scores(self.wins)[prompt, said])
        rates = group_win_rates(won, pairs, n=said.size)  # the reward of a method that compares, as in `plaudit align`
        return Judged(rates, compared=Compared(pairs, won, 2 * won - 1))


def _chances(policy: TabularPolicy) -> Floats:
    return np.asarray(policy.table().detach().softmax(-1)[:, 0].numpy())
