"""Best-of-n by ensembles whose members were pretrained apart, or once for all, on labels of which a quarter is wrong.

Pretraining is of a language model on the instance's demonstrations: what a member knows of the language before it sees
a label. Its seed is that of the initialisation and of the order of the demonstrations.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.fitting import Scratch, reward_in_world
from plaudit.lab.members import Numbers, noisy_pairs, pool_groups, prepared, seeds_of, selected
from plaudit.lab.worlds.assistant.policy import PolicyConfig, train_policy
from plaudit.lab.worlds.assistant.pool import Pool
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.shaping.ensembles import Aggregate, mean, nominal_minimum, uncertainty_weighted, worst_case

LEARNING_RATE = 3e-3
"""For a pretrained backbone, as in cyclic_annotators; nothing was tried here."""
ARMS: dict[str, tuple[str, Aggregate]] = {
    "pretrain_mean": ("pretrain", mean),
    "finetune_mean": ("finetune", mean),
    "pretrain_wco": ("pretrain", worst_case),
    "finetune_wco": ("finetune", worst_case),
    "pretrain_uwo": ("pretrain", uncertainty_weighted),
    "pretrain_nominal": ("pretrain", partial(nominal_minimum, over="sample")),
}


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Members are trained once a process and used by all arms.

    Returns:
        `true_largest` (true reward at the largest n), `true_1`, `drop` from the peak; `accuracy` on clean test pairs,
        by the same aggregate, where it has a meaning there (not of placebo and oracle).
    """
    del fit  # members start from backbones whose seed is theirs
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    pool, n = world.pool(budget["prompts"], budget["completions"]), budget["largest"]
    if arm == "oracle":
        return selected(pool.truth, pool, largest=n, seed=seed)
    if arm == "placebo":
        return selected(_dealt(_members(seed, "pretrain", budget)[0], pool, seed), pool, largest=n, seed=seed)
    if arm == "single":
        rewards, texts = _members(seed, "pretrain", budget)
        each = [
            selected(rewards[:, i], pool, largest=n, seed=seed) | _accuracy(texts[:, i])
            for i in range(rewards.shape[1])
        ]
        return {name: float(np.mean([row[name] for row in each])) for name in each[0]}
    if arm == "longer":
        first = seeds_of(seed, "pretrain", 1)[0]
        rewards, texts = _scores(seed, *first, budget["epochs"] * budget["members"], _frozen(budget))
        return selected(rewards, pool, largest=n, seed=seed) | _accuracy(texts)
    if arm not in ARMS:
        raise InputError(f"pretraining_seeds: arm {arm!r} is not known; the claim lists the arms")
    kind, aggregate = ARMS[arm]
    rewards, texts = _members(seed, kind, budget)
    proxy = aggregate(rewards, groups=pool_groups(pool))
    judged = aggregate(texts, groups=np.repeat(np.arange(len(texts) // 2), 2).tolist())
    return selected(proxy, pool, largest=n, seed=seed) | _accuracy(judged)


def _accuracy(rewards: Numbers) -> dict[str, float]:
    """Of clean pairs, whose better completion comes first: the share that is ordered so, ties as halves."""
    margin = rewards[::2] - rewards[1::2]
    return {"accuracy": float(((np.sign(margin) + 1) / 2).mean())}


def _dealt(members: Numbers, pool: Pool, seed: int) -> Numbers:
    """The mean of the members less the variance penalty of another completion of the same prompt."""
    taken = mean(members) - uncertainty_weighted(members, groups=pool_groups(pool))
    order = np.random.default_rng([seed, 53]).permuted(np.arange(taken.size).reshape(pool.truth.shape), axis=1)
    dealt: Numbers = mean(members) - taken[order.ravel()]
    return dealt


def _members(seed: int, kind: str, budget: Mapping[str, Any]) -> tuple[Numbers, Numbers]:
    """Rewards by each member of the pool (n, k), and of both completions of the clean test pairs (2 m, k)."""
    each = [_scores(seed, *s, budget["epochs"], _frozen(budget)) for s in seeds_of(seed, kind, budget["members"])]
    pooled, paired = zip(*each, strict=True)
    return np.stack(pooled, axis=1), np.stack(paired, axis=1)


def _frozen(budget: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(budget.items()))


@lru_cache(maxsize=32)
def _scores(
    seed: int, backbone: int, member: int, epochs: float, frozen: tuple[tuple[str, Any], ...]
) -> tuple[Numbers, Numbers]:
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    reward = reward_in_world(
        noisy_pairs(world, budget["pairs"], flips=budget["flips"]), seed=member, size=budget["size"], epochs=epochs,
        backbone=_pretrained(seed, backbone, frozen).path, learning_rate=LEARNING_RATE,
    )  # fmt: skip
    rows = [r for r in world.pairs(budget["test"], seed=2, side="test") if abs(r.meta["true_margin"]) > 1e-9]
    better = [r.samples() if r.meta["true_margin"] > 0 else r.samples()[::-1] for r in rows]
    pooled = reward(world.pool(budget["prompts"], budget["completions"]).samples()).reward
    return np.asarray(pooled), np.asarray(reward([side for pair in better for side in pair]).reward)


@lru_cache(maxsize=8)
def _pretrained(seed: int, backbone: int, frozen: tuple[tuple[str, Any], ...]) -> Scratch:
    """A language model of the instance's demonstrations, as the policy is one, with a seed of its own."""
    budget, folder = dict(frozen), Scratch()
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    config = PolicyConfig(
        size=budget["size"], demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"]
    )
    train_policy(world.world, config, seed=backbone).save_pretrained(folder.path)
    build_tokenizer().save_pretrained(folder.path)
    return folder
