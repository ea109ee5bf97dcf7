"""Direct alignment on few noisy preferences, watched as it goes: how the true worth rises and falls.

Pairs that the starting policy drew are labelled by a noisy annotator; a policy is fitted to them step after step, and
its worth on prompts that are not trained on is computed exactly. One half of these prompts says where to stop, the
other half what that was worth: stopping gains nothing unless going on loses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.evaluation.overoptimisation import fit_optimisation_law
from plaudit.lab.aligning import Fitting, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, compared

LOSSES = ("dpo", "ipo", "hinge")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, of the policy on the test prompts that say nothing of where to stop; `kl` to the start, nats; `at`, the
        share of training at which it stopped; `fall`, how much is lost from there to the end; `r_squared` of the law
        `d (a - b log d)`, `d = sqrt KL`, over all checkpoints; `accuracy`, the share of training pairs in order.
    """
    del fit  # a tabular policy
    how, loss, knob = _read(arm)
    seen, accuracy = _watched(seed, loss, knob, json.dumps(dict(budget), sort_keys=True))
    best = int(np.argmax([row["choosing"] for row in seen]))
    at = {"stopped": best, "early": len(seen) // 4, "last": len(seen) - 1}[how]
    law = fit_optimisation_law([r["kl"] for r in seen], [r["worth"] for r in seen], law="rl", resamples=2)
    return {
        "worth": seen[at]["worth"], "kl": seen[at]["kl"], "at": at / (len(seen) - 1),
        "fall": seen[best]["worth"] - seen[-1]["worth"], "r_squared": law.r_squared,
        "accuracy": accuracy,
    }  # fmt: skip


@lru_cache(maxsize=16)
def _watched(seed: int, loss: str, knob: str, told: str) -> tuple[list[dict[str, float]], float]:
    """Checkpoints of one training, the start first; and the share of training pairs that end up in order.

    Arms that differ in where they stop share it.
    """
    budget = json.loads(told)
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    pairs = int(budget["pairs"]) * (int(budget["many"]) if knob in ("many", "oracle") else 1)
    shown = compared(world, pairs, steepness=np.inf if knob == "oracle" else 1.0, generator=draw)
    beta = float(knob) if knob.startswith("0") else float(budget["beta"])
    name = f"{loss}?beta={beta}" + ("&average=false" if loss == "ipo" else "")

    def watch(policy: TabularPolicy, step: int) -> dict[str, float]:
        if step % int(budget["every"]):
            return {}
        per = world.worth_by_prompt(policy)
        return {"choosing": float(per[::2].mean()), "worth": float(per[1::2].mean())}

    fitting = Fitting(int(budget["steps"]), float(budget["rate"]))
    history = aligned(world.policy(), shown, name, fitting, watch=watch)
    seen = [{"choosing": 0.0, "worth": 0.0, "kl": 0.0}, *(row for row in history if "worth" in row)]
    return seen, history[-1]["told/accuracy"]


def _read(arm: str) -> tuple[str, str, str]:
    """How it ends, which loss, and the knob of an arm."""
    head, _, knob = arm.partition("@")
    how, _, loss = head.partition("-")
    if head in LOSSES:
        how, loss = "last", head
    if head == "oracle":
        how, loss, knob = "stopped", "dpo", "oracle"
    loss = loss or "dpo"
    if (
        how not in ("stopped", "early", "last")
        or loss not in LOSSES
        or knob not in ("", "many", "oracle", "0.02", "0.5")
    ):
        raise InputError(f"direct_overoptimisation: arm {arm!r} is not known; the claim lists the arms")
    return how, loss, knob
