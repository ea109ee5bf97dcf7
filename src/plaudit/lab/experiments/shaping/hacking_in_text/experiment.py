"""One policy, one proxy, one budget of completions: what each shaping keeps of the truth at the same measured KL.

The proxies are small reward models fitted to few pairs with wrong labels; nobody planted an exploit. All arms see the
same prompts in the same order and sample as many completions; the truth watches every batch and teaches nothing, but
for the oracle, and for the point that `saturated` is told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.members import noisy_pairs, prepared, seeds_of, train_member
from plaudit.lab.worlds.assistant.prepared import Prepared
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.policy.online import OnlineConfig, improve
from plaudit.policy.online.methods import online
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.shaping.transforms import Clip, LogSigmoid, Par, References, RunningClip, Shaped

ARMS = ("par", "unshaped", "clipped", "log_sigmoid", "saturated", "ensemble", "coin", "oracle")
LEVELS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Nats a completion from the start at which the truth is looked at."""
WINDOW = 8
"""Updates that a point of a curve is the mean of."""
FLOOR = -20.0
"""Of a proxy, in deviations within prompts: no sample comes near it, and a shaped reward needs one."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Proxy:
    """Members' rewards in deviations of the first within prompts, less each one's mean over the prompt's references.

    Attributes:
        members: reward models.
        means: a member's rewards of the references, by prompt.
        scale: deviation of the first member within prompts.
        penalty: of the members' variance; 0 is the first member alone.
    """

    members: tuple[Reward, ...]
    means: tuple[Mapping[str, float], ...]
    scale: float
    penalty: float = 0.0
    name: str = "proxy"
    scope: Literal["sample"] = "sample"
    bounds: tuple[float, float] = (FLOOR, float("inf"))

    @property
    def fingerprint(self) -> str:
        """Of the members and the penalty."""
        return content_hash([[m.fingerprint for m in self.members], self.scale, self.penalty])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """The first member, or the mean less the penalty times the variance."""
        asked = self.members if self.penalty else self.members[:1]
        table = np.stack([
            (m(samples).reward - [means[_key(s)] for s in samples]) / self.scale
            for m, means in zip(asked, self.means, strict=False)
        ], axis=1)  # fmt: skip
        value = table.mean(axis=1) - self.penalty * table.var(axis=1)
        return RewardBatch(np.maximum(value, FLOOR))


@dataclass(frozen=True)
class Coin:
    """A placebo: the same number for the same answer, knowing nothing."""

    seed: int
    name: str = "coin"
    scope: Literal["sample"] = "sample"
    bounds: tuple[float, float] = (FLOOR, float("inf"))

    @property
    def fingerprint(self) -> str:
        """Of the seed."""
        return content_hash(["coin", self.seed])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Standard normal numbers."""
        seeds = [int(content_hash([self.seed, s.key])[:12], 16) for s in samples]
        return RewardBatch(np.maximum([np.random.default_rng(s).normal() for s in seeds], FLOOR))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `true_high`, the truth where the KL reaches the budget's `level` (or where the run ended); `true_LEVEL`, the
        truth at each level that the run reached; `kl`, where it ended; `turn_kl` and `drop`: the KL at which the truth
        is highest on the even updates, and how far it has fallen from there to the end on the odd ones.
    """
    del fit  # members are trained with seeds of their own
    if arm not in ARMS:
        raise InputError(f"hacking_in_text: arm {arm!r} is not known; the claim lists the arms")
    history = _run(seed, arm, tuple(sorted(budget.items())))
    kl, truth = curve(history)
    even, odd = (curve(history[i::2], WINDOW // 2) for i in (0, 1))
    peak = int(even[1].argmax())
    numbers = {
        "true_high": float(np.interp(budget["level"], kl, truth)),
        "kl": float(kl[-1]),
        "turn_kl": float(even[0][peak]),
        "drop": float(odd[1][min(peak, len(odd[1]) - 1)] - odd[1][-1]),
    }
    return numbers | {f"true_{x:g}": float(np.interp(x, kl, truth)) for x in LEVELS if x <= kl[-1]}


def curve(history: Sequence[Mapping[str, float]], window: int = WINDOW) -> tuple[Numbers, Numbers]:
    """KL, never falling, and the truth along a run, means over windows.

    Args:
        history: a mapping an update, with `kl` and `watched/truth`.
        window: updates in a mean.
    """
    told = np.array([[row["kl"], row["watched/truth"]] for row in history])
    size = min(window, len(told))
    kernel = np.ones(size) / size
    kl, truth = (np.convolve(told[:, k], kernel, mode="valid") for k in (0, 1))
    return np.maximum.accumulate(kl), truth


@lru_cache(maxsize=12)
def _run(seed: int, arm: str, frozen: tuple[tuple[str, Any], ...]) -> tuple[Mapping[str, float], ...]:
    from transformers import AutoModelForCausalLM

    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    prompts = world.world.prompts(budget["prompts"], seed=91, side="train", distinct=True)
    config = OnlineConfig(
        algorithm="rloo", batch_size=budget["batch"], completions=budget["completions"], max_tokens=50,
        max_length=128, learning_rate=budget["learning_rate"], warmup=0.0, seed=seed, kl_coef=1e-6,
        epochs=budget["updates"] * budget["batch"] / budget["prompts"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        done = improve(
            [PromptOnly(p) for p in prompts], model=AutoModelForCausalLM.from_pretrained(world.policy_folder),
            tokenizer=build_tokenizer(), reward=_reward(seed, arm, frozen), config=config, method=online("rloo")[1],
            out=Path(out), watched={"truth": world.reward},
        )  # fmt: skip
    return tuple(done.history)


def _reward(seed: int, arm: str, frozen: tuple[tuple[str, Any], ...]) -> Any:
    """What the arm's policy is trained against."""
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    if arm == "oracle":
        return world.reward
    if arm == "coin":
        return Coin(seed)
    proxy, references = _proxy(seed, frozen)
    if arm == "ensemble":
        return Proxy(proxy.members, proxy.means, proxy.scale, penalty=0.5)
    if arm == "unshaped":
        return proxy
    if arm == "saturated":
        return Shaped(proxy, Clip(high=_proxy_point(seed, frozen)))
    shapes = {"par": Par, "log_sigmoid": LogSigmoid}
    if arm in shapes:
        return Shaped(proxy, shapes[arm](References.scored(references, proxy)))
    return Shaped(proxy, RunningClip())


def _proxy_point(seed: int, frozen: tuple[tuple[str, Any], ...]) -> float:
    """The proxy's mean where the truth was highest in the unshaped run: what true evaluations would tell."""
    history = _run(seed, "unshaped", frozen)
    size = min(WINDOW, len(history))
    means = np.convolve([row["reward"] for row in history], np.ones(size) / size, mode="valid")
    return float(means[int(curve(history)[1].argmax())])


@lru_cache(maxsize=2)
def _proxy(seed: int, frozen: tuple[tuple[str, Any], ...]) -> tuple[Proxy, tuple[Sample, ...]]:
    """The proxy in its own unit, and completions of the starting policy for every prompt."""
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    rows = noisy_pairs(world, budget["pairs"], flips=budget["flips"])
    members = tuple(
        train_member(rows, backbone=b, member=m, size=budget["size"])
        for b, m in seeds_of(seed, "pretrain", budget["members"])
    )
    references = _references(world, budget)
    groups: dict[str, list[int]] = {}
    for i, s in enumerate(references):
        groups.setdefault(_key(s), []).append(i)
    rewards = [m(references).reward for m in members]
    means = tuple({key: float(r[at].mean()) for key, at in groups.items()} for r in rewards)
    spread = float(np.sqrt(np.mean([rewards[0][at].var(ddof=1) for at in groups.values()])))
    return Proxy(members, means, spread or 1.0), references


def _references(world: Prepared, budget: Mapping[str, Any]) -> tuple[Sample, ...]:
    """Completions of the starting policy, so many a prompt."""
    from plaudit.lab.worlds.assistant.policy import sample_completions, samples_of

    prompts = world.world.prompts(budget["prompts"], seed=91, side="train", distinct=True)
    texts = sample_completions(world.policy, prompts, each=budget["references"], seed=92)
    return tuple(samples_of(prompts, texts))


def _key(sample: Sample) -> str:
    return content_hash([m.to_dict() for m in sample.prompt])
