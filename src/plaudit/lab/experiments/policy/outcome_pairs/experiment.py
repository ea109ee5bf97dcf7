"""Answers of several steps that are right or wrong: one of each kind copied and pushed away, and the usual advantages.

All arms draw the same number of completions of each prompt and ask for as many outcomes. Accuracy is on prompts that
are not trained on, summed over all completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn
from plaudit.policy.online.methods import online

METHODS = {
    "oreal": "oreal", "copy": "oreal?wrong=0", "grpo": "grpo", "dr-grpo": "dr-grpo", "dapo": "dapo", "rloo": "rloo",
    "two": "grpo", "coin": "oreal",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, on test prompts at the end; `area`, averaged over the updates; `entropy`, of a token, nats.
    """
    del fit  # a tabular policy
    if arm not in (*METHODS, "start"):
        raise InputError(f"outcome_pairs: arm {arm!r} is not known; the claim lists the arms")
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        skill=float(budget["skill"]),
    )  # fmt: skip
    policy, deal = world.policy(), np.random.default_rng([seed, 2])
    curve = [float(world.accuracy(policy).mean())]
    if arm != "start":
        each = int(budget["each"])

        def judge(drawn: Drawn) -> Judged:
            right = world.right(drawn)
            if arm == "coin":
                right = deal.permutation(right)
            reward = np.where(np.arange(len(right)) % each < 2, right, np.nan) if arm == "two" else right
            return Judged(reward, correct=right)

        rate = float(budget["rates"].get(arm, budget["rates"]["grpo"]))
        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), each, rate, adam=True, passes=int(budget["passes"])
        )
        history = improved(
            policy, judge, online(METHODS[arm])[1], spending, generator=torch.Generator().manual_seed(seed),
            watch=lambda now, _: {"accuracy": float(world.accuracy(now).mean())},
        )  # fmt: skip
        curve = [row["accuracy"] for row in history]
    return {"accuracy": curve[-1], "area": float(np.mean(curve)), "entropy": world.entropy(policy)}
