"""Annotators who like length as well: how long phrases become under losses of sums and of means, at equal distance.

Pairs are labelled by worth and by length. Each loss trains until the policy is a given KL from the start, so that none
is longer or better only because it went further.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.phrases import Phrases, compared

LOSSES = {
    "simpo": "simpo?beta={beta}&gamma={gamma}", "dpo": "dpo?beta=0.1", "dpo-norm": "dpo-norm?beta={beta}",
    "ld-dpo": "dpo?beta=0.1&length_alpha=0", "ipo": "ipo?beta=0.1", "oracle": "dpo?beta=0.1",
    "random": "dpo?beta=0.1",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `growth`, expected tokens less those of the start; `worth`; `kl`, nats; all on prompts that are not trained on.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in (*LOSSES, "start") or knob not in ("", "0"):
        raise InputError(f"length_growth: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]), ends=float(budget["ends"]))
    clean = head == "oracle"
    shown = compared(
        world, int(budget["pairs"]), steepness=np.inf if clean else 0.0 if head == "random" else 1.0,
        per_token=0.0 if clean or knob else float(budget["per_token"]),
        generator=torch.Generator().manual_seed(seed + 1),
    )  # fmt: skip
    policy = world.policy()
    if head != "start":
        name = LOSSES[head].format(beta=budget["beta"], gamma=budget["gamma"])
        fitting = Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=float(budget["kl"]))
        aligned(policy, shown, name, fitting)
    found, start = world.measured(policy), world.measured(world.start)
    return {"growth": found["length"] - start["length"], "worth": found["worth"], "kl": found["kl"]}
