"""Outcomes of which a few are reported with a number that is far off, and several updates on each batch.

Arms differ in what becomes of the advantages and of the ratios; `@0` is a reward that is never off. Accuracy is on
prompts that are not trained on, summed over all completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn
from plaudit.policy.advantages.base import AdvantageEstimator, AdvantageInputs, Advantages, Extent
from plaudit.policy.advantages.relative import GroupRelative
from plaudit.policy.advantages.wrapping import WithoutOutliers, Wrapping
from plaudit.policy.losses.surrogates import clipped
from plaudit.policy.online.method import Method
from plaudit.policy.online.methods import online

ARMS = ("filtered", "whitened", "stable-reinforce", "grpo", "cut", "clamp", "random", "oracle")


@dataclass(frozen=True)
class LeftOut(Wrapping):
    """As many advantages set to 0 as there are far rewards, whichever they are (placebo)."""

    share: float = 0.02
    seed: int = 0
    own_extent: ClassVar[Extent] = "batch"

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """By a draw of its own for each batch."""
        found = np.asarray(inner.sequence)
        rng = np.random.default_rng([self.seed, int(np.asarray(inputs.need("tokens", "left-out")).sum())])
        return replace(inner, sequence=np.where(rng.random(found.size) < self.share, 0.0, found))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, on test prompts at the end; `area`, averaged over the updates; `steepest`, the largest norm of a
        gradient over the median one; `left_out`, the share of advantages that were outliers.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"outlier_rewards: arm {arm!r} is not known; the claim lists the arms")
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        skill=float(budget["skill"]),
    )  # fmt: skip
    share = 0.0 if knob or name == "oracle" else float(budget["share"])
    rng = np.random.default_rng([seed, 2])

    def judge(drawn: Drawn) -> Judged:
        right = world.right(drawn)
        off = rng.random(right.size) < share  # a fault of the scorer, whatever the completion is
        size = float(budget["size"]) * rng.standard_t(2, size=right.size)
        reward = np.where(off, right + size, right)
        return Judged(np.clip(reward, 0, 1) if name == "cut" else reward)

    spending = Spending(
        int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True,
        passes=int(budget["passes"]),
    )  # fmt: skip
    policy = world.policy()
    history = improved(
        policy, judge, _method(name, share, seed), spending, generator=torch.Generator().manual_seed(seed),
        watch=lambda now, _: {"accuracy": float(world.accuracy(now).mean())},
    )  # fmt: skip
    norms, curve = ([row[key] for row in history] for key in ("gradient", "accuracy"))
    return {
        "accuracy": curve[-1], "area": float(np.mean(curve)), "steepest": float(max(norms) / np.median(norms)),
        "left_out": float(np.mean([row.get("outliers", 0.0) for row in history])),
    }  # fmt: skip


def _method(name: str, share: float, seed: int) -> Method:
    """Advantages less the group's mean, in deviations of the batch; with filter and clamp, clamp alone, or none."""
    if name == "grpo":
        return online(name)[1]
    stable = online("stable-reinforce")[1]
    if name == "stable-reinforce":  # on advantages in deviations of their group, where the paper has REINFORCE++'s
        return replace(stable, estimator=WithoutOutliers(), name=name)
    centred = GroupRelative(scale="none")
    estimator: AdvantageEstimator = WithoutOutliers(centred, threshold=3.0 if name == "filtered" else 1e9)
    if name == "random":
        estimator = LeftOut(estimator, share=share, seed=seed)
    surrogate = stable.surrogate if name in ("filtered", "clamp") else partial(clipped, clip_low=0.2, clip_high=0.2)
    return replace(stable, estimator=estimator, surrogate=surrogate, name=name)
