"""The best of each prompt's completions by a learnt reward, imitated round after round: freely, or held to the start.

The reward is fitted to noisy pairs of the starting policy by maximum likelihood, linear in what decides worth; where it
is wrong is decided by its data alone. RAFT and SuperHF choose by the functions, and learn by the losses, of `plaudit
align`; GRPO sees the same number of samples and rewards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, compared, ranked, spelled
from plaudit.policy.offline.data import best_of
from plaudit.policy.online.methods import online
from plaudit.training.objectives.pairs import bradley_terry

ARMS = ("superhf", "raft", "grpo", "grpo-kl", "random", "chosen")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, `kl` and `entropy` on prompts that are not trained on; `proxy`, the learnt reward there, scaled to
        deviation 1 within prompts under the start; `order`, its correlation with worth under the start.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in (*ARMS, "oracle") or knob not in ("", "true", "weak", "strong"):
        raise InputError(f"best_of_superbatch: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    proxy = world.worth if head == "oracle" or knob == "true" else learnt(world, int(budget["pairs"]), draw)
    policy = world.policy()
    weight = float(budget["kl_coef"]) * {"weak": 0.25, "strong": 4.0}.get(knob, 1.0)
    if head.startswith("grpo"):
        _grpo(world, policy, proxy, weight if head == "grpo-kl" else 0.0, budget, draw)
    elif head == "chosen":  # no training: the best of as many, by the reward, as a round has
        return _chosen(world, proxy, int(budget["each"]))
    else:
        name = f"superhf?kl_coef={weight}" if head == "superhf" else "raft"
        for _ in range(int(budget["rounds"])):
            drawn = policy.sample(torch.arange(world.train), int(budget["each"]), draw)
            score = proxy[drawn.prompt, world.places(drawn.tokens)]
            if head == "random":
                score = torch.rand(len(score), generator=draw, dtype=score.dtype)
            prompt, tokens = spelled(best_of(ranked(drawn, score)))
            shown = Shown(prompt, tokens, wanted=torch.ones(len(prompt), dtype=torch.float64))
            aligned(policy, shown, name, Fitting(int(budget["steps"]), float(budget["rate"])), reference=world.start)
    with torch.no_grad():
        chance = world.asked(policy).chances(world.every)
    found = world.measured(policy)
    return {
        **{key: found[key] for key in ("worth", "kl", "entropy")},
        "proxy": float((chance * proxy[world.train :]).sum(1).mean()), "order": _order(world, proxy),
    }  # fmt: skip


def learnt(world: Phrases, pairs: int, draw: torch.Generator) -> Tensor:
    """A Bradley-Terry reward of every phrase of every prompt, (q, k), fitted to noisy pairs; scaled as worth is."""
    shown = compared(world, pairs, steepness=1.0, generator=draw)
    weight = torch.zeros_like(world.start.logits, requires_grad=True)
    assert world.start.features is not None
    x = torch.cat([world.start.features, world.test])
    states, counted = world.start.states(shown.tokens), world.start.counted(shown.tokens)
    fitting = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        fitting.zero_grad()
        table = torch.einsum("nf,fzv->nzv", x[shown.prompt], weight)
        value = (table[torch.arange(len(x[shown.prompt]))[:, None], states, shown.tokens] * counted).sum(1)
        loss = bradley_terry(value, shown.pairs) + 0.5 * weight.square().sum()
        loss.backward()
        found: Tensor = loss.detach()
        return found

    fitting.step(closure)  # type: ignore[no-untyped-call]
    table = torch.einsum("nf,fzv->nzv", x, weight.detach())
    every = world.every
    value = (table[:, world.start.states(every), every] * world.start.counted(every)).sum(-1)
    mean = (world.chance * value).sum(1, keepdim=True)
    return (value - mean) / (world.chance * (value - mean).square()).sum(1, keepdim=True).sqrt().clamp(min=1e-9)


def _grpo(
    world: Phrases, policy: TabularPolicy, proxy: Tensor, kl_coef: float, budget: Mapping[str, Any],
    draw: torch.Generator,
) -> None:  # fmt: skip
    spending = Spending(
        int(budget["rounds"]), world.train, int(budget["each"]), float(budget["rate"]), adam=True, kl_coef=kl_coef,
        passes=int(budget["steps"]),
    )  # fmt: skip

    def judge(drawn: Any) -> Judged:
        return Judged(proxy[drawn.prompt, world.places(drawn.tokens)].numpy())

    improved(policy, judge, online("grpo")[1], spending, generator=draw, reference=world.start)


def _chosen(world: Phrases, proxy: Tensor, n: int) -> dict[str, float]:
    """The best of n phrases of the start by the reward: exact, phrases of one reward as one."""
    chance, worth, reward = (x[world.train :] for x in (world.chance, world.worth, proxy))
    order = reward.argsort(1)
    below = chance.gather(1, order).cumsum(1).clamp(max=1.0)
    best = below**n - torch.cat([torch.zeros(len(below), 1, dtype=below.dtype), below[:, :-1]], 1) ** n
    kl = (best * (best.clamp(min=1e-300).log() - chance.gather(1, order).log())).sum(1)
    return {
        "worth": float((best * worth.gather(1, order)).sum(1).mean()), "kl": float(kl.mean()),
        "entropy": float(-torch.special.xlogy(best, best).sum(1).mean()),
        "proxy": float((best * reward.gather(1, order)).sum(1).mean()), "order": _order(world, proxy),
    }  # fmt: skip


def _order(world: Phrases, proxy: Tensor) -> float:
    """Correlation of reward and worth under the start, both of deviation 1, mean over test prompts."""
    return float((world.chance * world.worth * proxy)[world.train :].sum(1).mean())
