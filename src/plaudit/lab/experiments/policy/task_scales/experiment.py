"""Three tasks in one policy, whose rewards are of different kinds: what a difference of rewards is divided by.

`strict` is right where all tokens are, `loose` where half of them are, `dense` is paid a small amount for each right
token. The tasks have rules of their own; the policy has features that they share and features that they do not. What
counts is each task by its own measure, averaged, on prompts that are not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import at_least
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position
from plaudit.policy.online.methods import online

Floats = NDArray[np.float64]
TASKS = ("strict", "loose", "dense")
METHODS = {
    "ema-grpo": "ema-grpo", "grpo": "grpo", "unscaled": "dr-grpo?weights=sequence",
    "batch": "reinforce++-baseline?weights=sequence", "fixed": "dr-grpo?weights=sequence",
    "dealt": "ema-grpo",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, the mean over tasks of their own measures on test prompts; `strict`, `loose`, `dense`, each.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*METHODS, "start") or knob not in ("", "0"):
        raise InputError(f"task_scales: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    k, v, length, p, m = (int(budget[part]) for part in ("features", "vocabulary", "length", "train", "test"))
    x = rng.normal(size=(p + m, k))
    task = np.arange(p + m) % 3
    apart = np.zeros((p + m, 3, k))
    apart[np.arange(p + m), task] = x
    common, own = rng.normal(size=(k, length, v)), rng.normal(size=(3, k, length, v))
    rules = (common + own) / np.sqrt(2 * k)
    needed = np.einsum("pk,pktv->ptv", x, rules[task]).argmax(-1)
    start = np.concatenate([float(budget["skill"]) * common / np.sqrt(2 * k), np.zeros((3 * k, length, v))])
    shown = torch.from_numpy(np.concatenate([x, apart.reshape(p + m, 3 * k)], axis=1))
    moves = by_position(length, v)
    policy = TabularPolicy(torch.from_numpy(start), moves, length=length, features=shown[:p])
    right = torch.from_numpy(needed)
    if name != "start":
        size = 1.0 if knob else float(budget["size"])
        units = np.ones(3)
        if name == "fixed":  # the deviation of each task's rewards under the starting policy, once and for all
            first = policy.sample(torch.arange(p), 32, torch.Generator().manual_seed(seed + 1))
            told = rewards(first, right, task, size)
            units = np.array([told[task[first.prompt.numpy()] == j].std() for j in range(3)])
        deal = np.random.default_rng([seed, 2])

        def judge(drawn: Drawn) -> Judged:
            of = task[drawn.prompt.numpy()]
            reward = rewards(drawn, right, task, size) / units[of]
            names = deal.integers(0, 3, size=p)[drawn.prompt.numpy()] if name == "dealt" else of
            return Judged(reward, tasks=tuple(TASKS[j] for j in names))

        rate = float(budget["rates"].get(name, budget["rates"]["other"]))
        spending = Spending(int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), rate, adam=True)
        improved(policy, judge, online(METHODS[name])[1], spending, generator=torch.Generator().manual_seed(seed))
    asked = TabularPolicy(policy.logits, moves, length=length, features=shown[p:])
    chance = asked.table().detach().softmax(-1).gather(-1, right[p:, :, None])[..., 0]
    found = {
        "strict": float(at_least(chance, length)[task[p:] == 0].mean()),
        "loose": float(at_least(chance, length // 2)[task[p:] == 1].mean()),
        "dense": float(chance[task[p:] == 2].mean()),
    }
    return {"worth": float(np.mean([*found.values()])), **found}


def rewards(drawn: Drawn, needed: torch.Tensor, task: NDArray[np.int64], size: float) -> Floats:
    """What each completion is paid by the rule of its prompt's task.

    Args:
        drawn: completions.
        needed: (p, t) right tokens.
        task: (p,) 0 to 2, in the order of `TASKS`.
        size: what `dense` pays for a completion that is all right.
    """
    share = (drawn.tokens == needed[drawn.prompt]).double().mean(1).numpy()
    return np.asarray(np.choose(task[drawn.prompt.numpy()], [share == 1.0, share >= 0.5, size * share]))
