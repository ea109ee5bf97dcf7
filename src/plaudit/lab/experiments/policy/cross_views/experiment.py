"""Questions in two wordings, answered by a policy whose errors have to do with the wording: labels without a truth.

What is right depends on the question; the policy begins with a part of that rule, and with leanings that depend on the
wording. Nobody tells it what is right: it is rewarded for the answer that most of its own completions give, to the same
wording, to the other one, or to both. Accuracy is on questions that it is not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position
from plaudit.policy.online.methods import online
from plaudit.rewards.verifiers.agreement.classes import majority_label
from plaudit.rewards.verifiers.agreement.views import cross_labels

Floats = NDArray[np.float64]
ARMS = ("cross", "own", "pooled", "coin", "oracle", "start")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, chance of the right answer on unseen questions; `commonest`, the share of the answer that is given
        most often over all questions; `agreement`, the chance that the two wordings get the same answer.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"cross_views: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    k, answers, q, m = (int(budget[part]) for part in ("features", "answers", "questions", "test"))
    x, wording = rng.normal(size=(q + m, k)), rng.normal(size=(q + m, 2, k))
    rule, leaning = rng.normal(size=(2, k, answers)) / np.sqrt(k)
    needed = (x @ rule).argmax(1)
    shown = np.concatenate([np.repeat(x[:, None], 2, axis=1), wording], axis=2)  # (questions, wordings, 2 k)
    if knob:  # both wordings are the same to the policy
        shown[:, 1] = shown[:, 0]
    start = np.concatenate([float(budget["skill"]) * rule, float(budget["leaning"]) * leaning])[:, None]
    rows = torch.from_numpy(shown.reshape(-1, 2 * k))
    moves = by_position(1, answers)
    policy = TabularPolicy(torch.from_numpy(start), moves, length=1, features=rows[: 2 * q])
    if name != "start":
        deal = np.random.default_rng([seed, 2])

        def judge(drawn: Drawn) -> Judged:
            said, prompt = drawn.tokens[:, 0].numpy(), drawn.prompt.numpy()
            if name == "oracle":
                return Judged((said == needed[prompt // 2]).astype(float))
            found = rewards("cross" if name == "coin" else name, said, prompt)
            return Judged(deal.permutation(found) if name == "coin" else found)

        spending = Spending(int(budget["updates"]), 2 * q, int(budget["each"]), float(budget["rate"]), adam=True)
        improved(policy, judge, online("grpo")[1], spending, generator=torch.Generator().manual_seed(seed))
    asked = TabularPolicy(policy.logits, moves, length=1, features=rows[2 * q :])
    chance = asked.table().detach().softmax(-1)[:, 0].numpy().reshape(m, 2, answers)
    return {
        "accuracy": float(chance[np.arange(m), :, needed[q:]].mean()),
        "commonest": float(chance.mean(axis=(0, 1)).max()),
        "agreement": float((chance[:, 0] * chance[:, 1]).sum(1).mean()),
    }


def rewards(name: str, said: NDArray[np.int64], prompt: NDArray[np.int64]) -> Floats:
    """1 for the answer that most completions give, to the other wording, the own or both; NaN where none leads.

    Args:
        name: `cross`, `own` or `pooled`.
        said: (s,) answers.
        prompt: (s,) twice the number of the question, and 1 more for its second wording.
    """
    found = np.full(said.size, np.nan)
    for question in np.unique(prompt // 2):
        at = np.flatnonzero(prompt // 2 == question)
        views = [int(v) for v in prompt[at] % 2]
        if name == "cross":
            labels = cross_labels(said[at], views)
        else:
            labels = {
                v: majority_label(said[at] if name == "pooled" else said[at][np.array(views) == v]) for v in set(views)
            }
        told = [labels[v] for v in views]
        found[at] = [np.nan if label is None else float(a == label) for a, label in zip(said[at], told, strict=True)]
    return found
