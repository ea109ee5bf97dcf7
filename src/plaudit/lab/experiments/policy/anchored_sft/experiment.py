"""Demonstrations with mistakes in them: likelihood, likelihood weighted by belief, and the same held to the base.

An expert answers some prompts well, and now and then says what comes to mind to the starting policy of another prompt.
A policy imitates it, and is judged on prompts that it was shown nothing of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.phrases import Phrases

LOSSES = {"asft": "asft?kl_coef={anchor}", "dft": "dft", "sft": "sft", "sft-kl": "superhf?kl_coef={anchor}",
          "asft-free": "asft?kl_coef=0", "oracle": "sft"}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, `entropy` and `kl` (from policy to start) on prompts that nothing was shown of; `drift`, KL from start
        to policy there, nats a phrase.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in LOSSES or knob not in ("", "clean", "random"):
        raise InputError(f"anchored_sft: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    n = int(budget["shown"]) * (int(budget["many"]) if head == "oracle" else 1)
    prompt = torch.randint(world.train, (n,), generator=draw)
    expert = (world.chance.log() + float(budget["skill"]) * world.worth).softmax(1)
    place = torch.multinomial(expert[prompt], 1, generator=draw)[:, 0]
    other = torch.randint(world.train, (n,), generator=draw)
    strange = torch.multinomial(world.chance[other], 1, generator=draw)[:, 0]
    wrong = 1.0 if knob == "random" else 0.0 if knob == "clean" or head == "oracle" else float(budget["wrong"])
    mistaken = torch.rand(n, generator=draw) < wrong
    tokens = world.every[torch.where(mistaken, strange, place)]
    policy = world.policy()
    shown = Shown(prompt, tokens, wanted=torch.ones(n, dtype=torch.float64))
    name = LOSSES[head].format(anchor=budget["anchor"])
    fitting = Fitting(int(budget["steps"]), float(budget["rate"]))
    aligned(policy, shown, name, fitting, reference=world.start)
    found = world.measured(policy)
    with torch.no_grad():
        drift = world.asked(world.start).kl(world.asked(policy)).mean()
    return {**{k: found[k] for k in ("worth", "kl", "entropy")}, "drift": float(drift)}
