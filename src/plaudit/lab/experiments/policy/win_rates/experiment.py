"""A score whose differences are tiny and that is now and then far too high: its size, or who wins by it.

Completions have a worth, the share of their tokens that are right. A scorer sees it in tiny units, with noise; and
where a completion says one certain token at the end, which is right for some prompts only, its score is at times far
too high. Arms differ in what becomes of the same scores: units of the group's deviation, or the share of siblings that
each completion beats by them. Worth is on prompts that are not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import Chains, chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.online.methods import online
from plaudit.shaping.groups.pairwise import group_win_rates, pairs_within

Floats = NDArray[np.float64]
UNIT = 0.01
"""Of the score, for a completion that is all right."""
METHODS = {
    "wins": "pref-grpo", "scores": "grpo", "unscaled": "dr-grpo", "cut": "grpo", "judge": "pref-grpo",
    "coin": "pref-grpo", "oracle": "grpo",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, the expected share of right tokens on test prompts; `score`, the mean score of the last batches in
        units of the scorer; `tempted`, the chance of the token that is scored too high.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*METHODS, "start") or knob not in ("", "0"):
        raise InputError(f"win_rates: arm {arm!r} is not known; the claim lists the arms")
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        skill=float(budget["skill"]),
    )  # fmt: skip
    policy, scores = world.policy(), [0.0]
    if name != "start":
        rng = np.random.default_rng([seed, 2])
        share = 0.0 if knob else float(budget["share"])

        def judge(drawn: Drawn) -> Judged:
            worth = world.hits(drawn).double().mean(1).numpy()
            score = UNIT * (worth + float(budget["noise"]) * rng.normal(size=worth.size))
            tempting = drawn.tokens[:, -1].numpy() == 0
            far = tempting & (rng.random(worth.size) < share)
            score = score + np.where(far, UNIT * float(budget["size"]) * np.abs(rng.standard_t(2, worth.size)), 0.0)
            scores.append(float(score.mean()) / UNIT)
            return _told(name, worth, score, drawn, rng, float(budget["flips"]))

        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True
        )
        improved(policy, judge, online(METHODS[name])[1], spending, generator=torch.Generator().manual_seed(seed))
    return _measured(world, policy) | {"score": float(np.mean(scores[-10:]))}


def _told(
    name: str, worth: Floats, score: Floats, drawn: Drawn, rng: np.random.Generator, flips: float
) -> Judged:  # fmt: skip
    if name == "oracle":
        return Judged(worth)
    if name == "cut":  # what lies above the group's second best is worth no more than that
        ordered = np.sort(score.reshape(int(drawn.group.max()) + 1, -1), axis=1)
        return Judged(np.minimum(score, ordered[:, -2][drawn.group.numpy()]))
    if METHODS[name] != "pref-grpo":
        return Judged(score)
    pairs = pairs_within(drawn.group.numpy())
    by = worth if name == "judge" else score
    ahead = by[pairs[:, 0]] - by[pairs[:, 1]]
    won = (np.sign(ahead) + 1) / 2
    if name == "judge":  # another source than the score: the worth, wrong now and then
        won = np.where(rng.random(won.size) < flips, 1 - won, won)
    if name == "coin":
        won = rng.permutation(won)
    return Judged(group_win_rates(won, pairs, n=score.size), compared=Compared(pairs, won))


@torch.no_grad()
def _measured(world: Chains, policy: TabularPolicy) -> dict[str, float]:
    shown = TabularPolicy(policy.logits, policy.moves, length=policy.length, features=world.test)
    chance = shown.table().softmax(-1)
    needed = world.needed[len(world.train) :]
    return {
        "worth": float(chance.gather(-1, needed[..., None]).mean()), "tempted": float(chance[:, -1, 0].mean())
    }  # fmt: skip
