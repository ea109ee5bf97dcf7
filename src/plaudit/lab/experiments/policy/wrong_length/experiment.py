"""Answers with explanations of any length: what a loss is divided by, and how long wrong completions become.

A completion says an answer and then goes on until it ends; which answer is right depends on the prompt, and how long a
completion is does not matter, so nothing in the reward speaks of lengths. What the policy does next depends on prompt
and answer, by features of the prompt; in the arms `@apart` every prompt has a table of its own. Arms differ in what a
token's loss is divided by. Lengths are expectations, exact, on prompts that are not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.policy.online.methods import online

METHODS = {
    "grpo": "grpo", "dr-grpo": "dr-grpo", "unscaled": "dr-grpo?weights=sequence", "constant": "grpo?weights=constant",
    "token": "grpo?weights=token", "coin": "grpo",
}  # fmt: skip
NEVER = -30.0
"""Logit of a token that cannot be said."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `wrong`, expected tokens of a wrong completion; `right`, of a right one; `accuracy`.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*METHODS, "start") or knob not in ("", "apart"):
        raise InputError(f"wrong_length: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    k, answers, p, m = (int(budget[part]) for part in ("features", "answers", "train", "test"))
    x = rng.normal(size=(p + m, k))
    x[:, 0] = 1.0
    if knob:  # a table a prompt: nothing that is learnt on one carries over, so all are asked on those they learn from
        k, p, m = int(budget["prompts"]), int(budget["prompts"]), int(budget["prompts"])
        x = np.tile(np.eye(k), (2, 1))
    rule = rng.normal(size=(k, answers)) / np.sqrt(k)
    needed, shown = torch.from_numpy((x @ rule).argmax(1)), torch.from_numpy(x)
    moves = torch.arange(1 + answers)[:, None].expand(-1, answers + 1).clone()
    moves[0, :answers] = torch.arange(1, answers + 1)  # what was answered is remembered
    logits = _start(rng, rule, budget, apart=bool(knob))
    policy = TabularPolicy(logits, moves, length=int(budget["longest"]), end=answers, features=shown[:p])
    if name != "start":
        deal = np.random.default_rng([seed, 2])
        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True
        )

        def judge(drawn: Drawn) -> Judged:
            right = (drawn.tokens[:, 0] == needed[drawn.prompt]).double().numpy()
            return Judged(deal.permutation(right) if name == "coin" else right)

        generator = torch.Generator().manual_seed(seed)
        improved(policy, judge, online(METHODS[name])[1], spending, generator=generator)
    asked = TabularPolicy(policy.logits, moves, length=policy.length, end=answers, features=shown[p:])
    return measured(asked, needed[p:])


def _start(rng: np.random.Generator, rule: np.ndarray[Any, Any], budget: Mapping[str, Any], *, apart: bool) -> Tensor:
    """Logits (features, 1 + answers, answers + 1): a part of the rule, and an end that comes now and then."""
    k, answers = rule.shape
    always = slice(None) if apart else 0
    logits = np.zeros((k, 1 + answers, answers + 1))
    logits[:, 0, :answers] = float(budget["skill"]) * rule * (np.sqrt(k) if apart else 1.0)
    logits[always, 0, answers] = NEVER  # no completion without an answer
    logits[always, 1:, 1:answers] = NEVER  # behind it: token 0 goes on, the last one ends
    logits[always, 1:, answers] = -np.log(float(budget["mean"]) - 1)  # so many tokens on average, before the limit
    logits[:, 1:, answers] += 0.1 * rng.normal(size=(k, answers))
    return torch.from_numpy(logits)


@torch.no_grad()
def measured(policy: TabularPolicy, needed: Int[Tensor, " m"]) -> dict[str, float]:
    """Expected lengths of wrong and right completions, and how many are right.

    Args:
        policy: on test prompts.
        needed: the right answer of each.
    """
    said: Float[Tensor, "m a"] = policy.table()[:, 0].softmax(-1)[:, :-1]
    behind = policy.visits()[:, :, 1:].sum(0)  # expected tokens behind each answer
    right = torch.nn.functional.one_hot(needed, said.shape[1]).bool()
    of = {name: 1 + float((behind * mask).sum() / (said * mask).sum()) for name, mask in
          (("wrong", ~right), ("right", right))}  # fmt: skip
    return of | {"accuracy": float(said[right].mean())}
