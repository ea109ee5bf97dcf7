"""Thinking that hard prompts need and easy ones do not: brevity asked of all alike, or by difficulty.

A completion thinks for some tokens and ends; it is right the likelier the longer it thought, and hard prompts need more
of it. How hard a prompt is, the policy sees among its features. Arms differ in what right completions are paid for
being brief. Accuracy and length are on prompts that are not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position
from plaudit.policy.advantages.reshaped import BriefByDifficulty
from plaudit.policy.online.method import Method
from plaudit.policy.online.methods import online

Floats = NDArray[np.float64]
WEIGHTS = {
    "traac": (0.4, 0.2, 0.1), "even": (0.23, 0.23, 0.23), "turned": (0.1, 0.2, 0.4), "mild": (0.1, 0.1, 0.1)
}  # fmt: skip
"""Of easy, medium and hard prompts; those of `traac` are the method's own."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, accuracy less the budget's price for a completion of full length; `accuracy`; `length`, expected
        tokens; `easy` and `hard`, those of the easier and the harder half.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*WEIGHTS, "none", "priced", "start") or knob not in ("", "0"):
        raise InputError(f"brevity_by_difficulty: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    longest, k, p, m = (int(budget[part]) for part in ("longest", "features", "train", "test"))
    x = rng.normal(size=(p + m, k))
    rule = rng.normal(size=k) / np.sqrt(k)
    hard = np.zeros(p + m) if knob else x @ rule
    chance = right_by_length(hard, longest)
    logits = np.zeros((k + 1, longest, 2))
    logits[0, :, 1] = -np.log(float(budget["mean"]) - 1)
    logits += 0.1 * rng.normal(size=logits.shape)
    shown, moves = torch.from_numpy(np.concatenate([np.ones((p + m, 1)), x], axis=1)), by_position(longest, 2)
    policy = TabularPolicy(torch.from_numpy(logits), moves, length=longest, end=1, features=shown[:p])
    price = float(budget["price"])
    if name != "start":
        draw = np.random.default_rng([seed, 2])

        def judge(drawn: Drawn) -> Judged:
            right = (draw.random(len(drawn.prompt)) < chance[drawn.prompt.numpy(), drawn.lengths - 1]).astype(float)
            return Judged(right - (price * drawn.lengths / longest if name == "priced" else 0.0), correct=right)

        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True
        )
        improved(policy, judge, _method(name), spending, generator=torch.Generator().manual_seed(seed))
    asked = TabularPolicy(policy.logits, moves, length=longest, end=1, features=shown[p:])
    return _measured(asked, chance[p:], hard[p:], price)


def right_by_length(hard: Floats, longest: int) -> Floats:
    """Chance (p, longest) of being right after so many tokens: it rises, later where a prompt is hard."""
    tokens = np.arange(1, longest + 1)
    return np.asarray(0.95 / (1 + np.exp(-(tokens - longest / 3 * (1 + np.tanh(hard))[:, None]))))


def _method(name: str) -> Method:
    if name in ("none", "priced"):
        return online("grpo")[1]
    method = online("traac")[1]
    return replace(method, estimator=BriefByDifficulty(weights=WEIGHTS[name]))


@torch.no_grad()
def _measured(policy: TabularPolicy, chance: Floats, hard: Floats, price: float) -> dict[str, float]:
    here = policy.visits()
    longest = policy.length
    at = here[torch.arange(longest), :, torch.arange(longest)].T.numpy()  # (m, t): chance that token t is said
    ends = at - np.concatenate([at[:, 1:], np.zeros((len(at), 1))], axis=1)
    length, right = (ends * np.arange(1, longest + 1)).sum(1), (ends * chance).sum(1)
    below = hard <= np.median(hard)
    return {
        "worth": float(right.mean() - price * length.mean() / longest), "accuracy": float(right.mean()),
        "length": float(length.mean()), "easy": float(length[below].mean()),
        "hard": float(length[~below].mean()) if (~below).any() else float(length.mean()),
    }  # fmt: skip
