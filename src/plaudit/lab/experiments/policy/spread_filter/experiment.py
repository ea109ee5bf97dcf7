"""Graded rewards with a little noise: prompts whose completions are nearly alike, kept or left out.

A completion is worth the share of its tokens that are right. Where a policy has mastered a prompt, noise is all that is
left of the differences, and units of the group's deviation make it as large as any. Arms differ in which groups are
learnt from, or in the units. Worth is on prompts that are not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent
from plaudit.policy.advantages.wrapping import Wrapping
from plaudit.policy.online.method import Method
from plaudit.policy.online.methods import online

ARMS = ("rlpr", "grpo", "unscaled", "random", "oracle", "start")


@dataclass(frozen=True)
class LeftOut(Wrapping):
    """Groups left out, whichever they are (placebo)."""

    share: float = 0.2
    own_extent: ClassVar[Extent] = "batch"

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """By a draw of its own for each batch."""
        groups = inputs.grouped
        draw = np.random.default_rng(int(np.asarray(inputs.need("tokens", "left-out")).sum()))
        kept = inner.included & (draw.random(groups.count) >= self.share)[groups.code]
        told = {**inner.metrics, "dropped": float((inner.included & ~kept).mean())}
        return replace(inner, included=kept, sequence=np.where(kept, np.asarray(inner.sequence), 0.0), metrics=told)


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, the expected share of right tokens on test prompts; `dropped`, the share of completions that were left
        out.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"spread_filter: arm {arm!r} is not known; the claim lists the arms")
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        skill=float(budget["skill"]),
    )  # fmt: skip
    policy, rng, dropped = world.policy(), np.random.default_rng([seed, 2]), [0.0]
    noise = 0.0 if knob or name == "oracle" else float(budget["noise"])
    if name != "start":

        def judge(drawn: Drawn) -> Judged:
            worth = world.hits(drawn).double().mean(1).numpy()
            return Judged(worth + noise * rng.normal(size=worth.size))

        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True
        )
        generator = torch.Generator().manual_seed(seed)
        history = improved(policy, judge, _method(name, float(budget["left_out"])), spending, generator=generator)
        dropped = [row.get("dropped", 0.0) for row in history]
    shown = TabularPolicy(policy.logits, policy.moves, length=policy.length, features=world.test)
    chance = shown.table().detach().softmax(-1).gather(-1, world.needed[len(world.train) :, :, None])
    return {"worth": float(chance.mean()), "dropped": float(np.mean(dropped))}


def _method(name: str, left_out: float) -> Method:
    if name in ("rlpr", "oracle"):
        return online("rlpr")[1]
    method = online("dr-grpo?weights=sequence" if name == "unscaled" else "grpo")[1]
    return replace(method, estimator=LeftOut(share=left_out)) if name == "random" else method
