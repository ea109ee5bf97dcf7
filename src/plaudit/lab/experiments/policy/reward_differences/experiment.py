"""Scores as labels and scores as numbers: what a regression on differences makes of the same pairs, at equal distance.

Each completion has a score, its worth with an error. Classifiers see which of the two scores is higher, regressions by
how much. Each loss trains until the policy is a given KL from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.phrases import Phrases, compared

LOSSES = {"rebel": "rebel?beta={tilt}", "prdp": "prdp?beta={tilt}&clip={clip}", "dno": "dno?beta={beta}",
          "dpo": "dpo?beta={beta}", "ipo": "ipo?beta={beta}&average=false", "oracle": "rebel?beta={tilt}"}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth` and `kl` on prompts that are not trained on; `steps` that it took.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in LOSSES or knob not in ("", "sign", "shuffled", "clean"):
        raise InputError(f"reward_differences: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    pairs = int(budget["pairs"]) * (int(budget["many"]) if head == "oracle" else 1)
    noise = 0.0 if head == "oracle" or knob == "clean" else float(budget["noise"])
    shown = _by_score(compared(world, pairs, steepness=1.0, generator=draw, noise=noise), knob, draw)
    name = LOSSES[head].format(beta=budget["beta"], tilt=budget["tilt"], clip=budget["clip"])
    fitting = Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=float(budget["kl"]))
    policy = world.policy()
    history = aligned(policy, shown, name, fitting)
    found = world.measured(policy)
    return {"worth": found["worth"], "kl": found["kl"], "steps": float(len(history))}


def _by_score(shown: Shown, knob: str, draw: torch.Generator) -> Shown:
    """Pairs in the order of their scores; with the knob the differences are one number, or dealt anew among pairs."""
    assert shown.scores is not None
    pairs = shown.pairs.sort(1).values
    turned = shown.scores[pairs[:, 0]] < shown.scores[pairs[:, 1]]
    pairs = torch.where(turned[:, None], pairs.flip(1), pairs)
    gap = shown.scores[pairs[:, 0]] - shown.scores[pairs[:, 1]]
    if knob == "sign":
        gap = gap.mean().expand(len(gap))
    if knob == "shuffled":
        gap = gap[torch.randperm(len(gap), generator=draw)]
    scores = torch.zeros_like(shown.scores)
    scores[pairs[:, 0]] = gap
    return replace(shown, pairs=pairs, scores=scores)
