"""A policy that labels its own completions, round after round, with and without the opinion of the model before it.

It begins from a few noisy labels. In each round it says several phrases of each prompt, ranks them by what it has
become likelier to say than the start, and learns that the first beats the last. CREAM's label is as certain as that
ranking and the ranking by the model of the round before agree; its rows are made by the function that `plaudit align`
uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, compared, ranked, spelled
from plaudit.policy.offline.data import consistent_pairs

LOSSES = {
    "self": "dpo?beta={beta}", "cream": "cream?beta={beta}", "cream-prompt": "cream?beta={beta}",
    "smoothed": "dpo?beta={beta}&label_smoothing={smoothing}", "shuffled": "cream?beta={beta}",
    "noisy": "dpo?beta={beta}", "oracle": "dpo?beta={beta}",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth` and `kl` on prompts that are not trained on; `right`, the share of the last round's pairs whose first is
        worth more; `certain`, the mean certainty of its labels.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in (*LOSSES, "seed") or knob not in ("", "good") or (head == "seed" and knob):
        raise InputError(f"self_rewarding: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    pairs = int(budget["pairs"]) * (int(budget["many"]) if knob else 1)
    policy, before = world.policy(), world.start
    first = Fitting(int(budget["first"]), float(budget["rate"]))
    aligned(policy, compared(world, pairs, steepness=1.0, generator=draw), f"dpo?beta={budget['beta']}", first)
    told = {"right": 0.0, "certain": 0.0}
    for _ in range(0 if head == "seed" else int(budget["rounds"])):
        drawn = policy.sample(torch.arange(world.train), int(budget["each"]), draw)
        now, then = _reward(world, policy, drawn), _reward(world, before, drawn)
        if head == "oracle":
            now = world.worths(drawn)
        elif head == "noisy":
            now = world.worths(drawn) + float(budget["noise"]) * torch.randn(len(now), generator=draw, dtype=now.dtype)
        elif head == "shuffled":
            then = then[torch.randperm(len(then), generator=draw)]
        rows = consistent_pairs(ranked(drawn, now, then), average=head != "cream-prompt")
        prompt, tokens = spelled(rows)
        place = torch.arange(len(rows))
        certain = torch.tensor([float(row.meta["preference"]) for row in rows], dtype=torch.float64)
        order = torch.stack([2 * place, 2 * place + 1], 1)
        worth = world.worth[prompt, world.places(tokens)].reshape(-1, 2)
        told = {"right": float((worth[:, 0] > worth[:, 1]).double().mean()), "certain": float(certain.mean())}
        before = policy.frozen()
        name = LOSSES[head].format(beta=budget["beta"], smoothing=budget["smoothing"])
        shown = Shown(prompt, tokens, order, columns={"preference": certain})
        aligned(policy, shown, name, Fitting(int(budget["steps"]), float(budget["rate"])))
    found = world.measured(policy)
    return {"worth": found["worth"], "kl": found["kl"], **told}


@torch.no_grad()
def _reward(world: Phrases, policy: TabularPolicy, drawn: Drawn) -> Tensor:
    """What a policy has become likelier to say than the start, of each phrase."""
    return (policy.logps(drawn.prompt, drawn.tokens) - world.start.logps(drawn.prompt, drawn.tokens)).sum(1)
