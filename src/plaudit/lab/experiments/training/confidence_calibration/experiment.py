"""A reward that learnt to pay for stated confidence goes on learning, from rows of different kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.audit.biases.confidence import audit_confidence
from plaudit.curation.confidence import HIGH, LOW, confidence_lists, confidence_pairs
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.fitting import Scratch, reward_in_world
from plaudit.lab.worlds.assistant import PolicyConfig, Prepared, build_tokenizer, prepare
from plaudit.records.rows import Pair
from plaudit.rewards.base import Reward
from plaudit.shaping.confidence import state_confidence
from plaudit.training.groups import TrainingRow

MORE = ("continued", "ppo_m", "ppo_m_lists", "balanced", "coin")
"""Arms that go on from the start."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `rejected_high` and `chosen_high`, shares of the truly worse and the truly better completions of held-out pairs
        on which the high confidence is preferred, `separation`, the second minus the first, and `accuracy` of pairs
        without confidences, ties half.
    """
    del fit  # fine-tuning needs model folders
    world = _world(seed, budget)
    test = in_true_order(world.pairs(budget["test"], seed=2, side="test"))
    if arm == "oracle":  # prefers the high confidence on what is truly better, and nowhere else
        return {"rejected_high": 0.0, "chosen_high": 1.0, "separation": 1.0, "accuracy": _accuracy(world.reward, test)}
    reward = _reward(seed, arm, budget)
    found = audit_confidence(test, reward, np.random.default_rng([seed, 51]), resamples=1)
    return {
        "rejected_high": found.rejected.value,
        "chosen_high": found.chosen.value,
        "separation": found.separation.value,
        "accuracy": _accuracy(reward, test),
    }


def in_true_order(rows: Sequence[Pair]) -> list[Pair]:
    """The pairs with the truly better completion as the chosen one; pairs that are as good are left out."""
    margins = [row.meta["true_margin"] for row in rows]
    return [
        row if margin > 0 else replace(row, chosen=row.rejected, rejected=row.chosen)
        for row, margin in zip(rows, margins, strict=True)
        if abs(margin) > 1e-9
    ]


def _world(seed: int, budget: Mapping[str, Any]) -> Prepared:
    return prepare(seed, PolicyConfig(demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"]))


def _reward(seed: int, arm: str, budget: Mapping[str, Any]) -> Reward:
    if arm not in (*MORE, "start", "unbiased"):
        raise InputError(f"confidence_calibration: arm {arm!r} is not known; the claim lists the arms")
    correlation = 0.0 if arm == "unbiased" else budget["correlation"]
    start, reward = _start(seed, correlation, tuple(sorted(budget.items())))
    if arm not in MORE:
        return reward
    pairs = _world(seed, budget).pairs(budget["pairs"], seed=1)
    return reward_in_world(
        more_rows(arm, pairs, correlation, np.random.default_rng([seed, 52])), seed=seed, size=budget["size"],
        epochs=budget["more"], objective="plackett-luce" if arm == "ppo_m_lists" else "bradley-terry",
        backbone=start.path / "run" / "model",
        batch_size=16 if arm == "ppo_m_lists" else 32,  # a list has the texts of two pairs: as many steps
    )  # fmt: skip


def more_rows(arm: str, pairs: Sequence[Pair], correlation: float, rng: np.random.Generator) -> list[TrainingRow]:
    """The rows that an arm goes on from: four completions a pair in each arm.

    Args:
        arm: one of `MORE`.
        pairs: n pairs.
        correlation: of being chosen with stating the higher confidence, for `continued`.
        rng: of all that is drawn.
    """
    if arm == "ppo_m_lists":
        return [*confidence_lists(pairs, rng)]
    if arm in ("continued", "balanced"):
        strength = correlation if arm == "continued" else 0.0
        return [*stating_rows(pairs, strength, rng), *stating_rows(pairs, strength, rng)]
    rows = confidence_pairs(pairs, rng)
    turn = rng.random(len(rows)) < (0.5 if arm == "coin" else 0.0)
    return [replace(r, chosen=r.rejected, rejected=r.chosen) if t else r for r, t in zip(rows, turn, strict=True)]


def stating_rows(pairs: Sequence[Pair], correlation: float, rng: np.random.Generator) -> list[Pair]:
    """The pairs with a high confidence on one side and a low one on the other.

    Args:
        pairs: n pairs.
        correlation: the chosen side has the high one with probability `(1 + correlation) / 2`.
        rng: of the sides and the numbers.
    """
    high, low = rng.integers(HIGH[0], HIGH[1] + 1, len(pairs)), rng.integers(LOW[0], LOW[1] + 1, len(pairs))
    agrees = rng.random(len(pairs)) < (1 + correlation) / 2
    said = np.where(agrees, [high, low], [low, high]).T.tolist()
    return [
        replace(pair, chosen=state_confidence(pair.chosen, a), rejected=state_confidence(pair.rejected, b))
        for pair, (a, b) in zip(pairs, said, strict=True)
    ]


@lru_cache(maxsize=2)
def _start(seed: int, correlation: float, items: tuple[tuple[str, Any], ...]) -> tuple[Scratch, Reward]:
    """The model that pays for confidence, in a folder that lives as long as it is cached: arms share it."""
    budget, folder = dict(items), Scratch()
    backbone, world = folder.path / "backbone", _world(seed, budget)
    _extended(world, backbone, seed=seed)
    pairs = world.pairs(budget["pairs"], seed=1)
    rows = stating_rows(pairs, correlation, np.random.default_rng([seed, 53]))
    reward = reward_in_world(
        rows, seed=seed, size=budget["size"], epochs=budget["epochs"], backbone=backbone, keep=folder.path / "run"
    )
    return folder, reward


def _extended(world: Prepared, folder: Path, *, seed: int) -> None:
    """The world's policy with further words, which state a confidence: what the rewards start from."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["Confidence:", *map(str, range(11))])
    model = AutoModelForCausalLM.from_pretrained(world.policy_folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _accuracy(reward: Reward, rows: Sequence[Pair]) -> float:
    values = reward([side for row in rows for side in row.samples()]).reward
    return float(((np.sign(values[0::2] - values[1::2]) + 1) / 2).mean())
