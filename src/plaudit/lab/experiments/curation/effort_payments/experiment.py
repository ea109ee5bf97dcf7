"""Annotators who learn by trial whether to look and what to report, under several ways to pay the same."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.curation.payments import affine_payment, cheapest_payments
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit

ARMS = ("scored", "cheapest", "half", "agreement", "flat", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`: share of the reports in the second half of the rounds that name the state; `looks`, the share of
        these rounds in which the annotators look; `paid`, the mean payment there.
    """
    del fit  # annotators are bandits
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"effort_payments: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    rows = []
    for i in range(int(budget["annotators"])):
        prior, sharp, dull = rng.uniform(0.35, 0.65), rng.uniform(0.75, 0.95), rng.uniform(0.5, 0.65)
        cost = 0.0 if knob else rng.uniform(0.1, 0.4)
        look, lazy = _joint(prior, sharp), _joint(prior, dull)
        table = _table(name, look, lazy, cost, float(budget["slack"]))
        draws = np.random.default_rng([seed, 2, i])
        rows.append(_learned(table, look, lazy, cost, int(budget["rounds"]), draws, always=name == "oracle"))
    accuracy, looks, paid = np.mean(rows, axis=0)
    return {"accuracy": float(accuracy), "looks": float(looks), "paid": float(paid)}


def _joint(prior: float, right: float) -> np.ndarray:
    return np.array([[prior * right, prior * (1 - right)], [(1 - prior) * (1 - right), (1 - prior) * right]])


def _table(name: str, look: np.ndarray, lazy: np.ndarray, cost: float, slack: float) -> np.ndarray:
    """Payments by report and state; all of them pay an honest annotator who looks what the score pays."""
    scored = affine_payment(look, lazy, cost, slack=slack)
    if not scored.feasible:
        raise InputError(f"effort_payments: {scored.why}")
    if name == "cheapest":  # the rest of what the score pays is paid whatever happens
        cheap = cheapest_payments(look, lazy, cost, slack=slack)
        return np.asarray(cheap.table + scored.expected - cheap.expected)
    if name == "half":  # half of the scale, below the threshold
        half = 0.5 * scored.table
        return np.asarray(half + scored.expected - float((look.T * half).sum()))
    if name == "agreement":  # so much for a report that names the state
        return np.asarray(np.eye(2) * scored.expected / float(np.trace(look)))
    if name == "flat":
        return np.full((2, 2), scored.expected)
    return scored.table


def _learned(
    table: np.ndarray, look: np.ndarray, lazy: np.ndarray, cost: float, rounds: int, rng: np.random.Generator, *,
    always: bool,
) -> tuple[float, float, float]:  # fmt: skip
    """Q-learning over looking or not and a report for each signal, with exploration that fades."""
    choices = list(itertools.product((0, 1), itertools.product((0, 1), repeat=2)))
    honest = choices.index((1, (0, 1)))
    # what would be seen in each round, looking and not: the same in all arms
    drawn = rng.random(rounds)
    seen = [np.searchsorted(np.cumsum(p.reshape(-1)), drawn).clip(0, 3).tolist() for p in (lazy, look)]
    explore = (rng.random(rounds) < np.maximum(0.02, 1 - 4 * np.arange(rounds) / rounds)).tolist()
    tried, pays = rng.integers(len(choices), size=rounds).tolist(), table.tolist()
    noise = 1e-9 * rng.random((rounds, len(choices)))  # equal values are chosen among at random
    value, count = np.zeros(len(choices)), np.zeros(len(choices))
    kept = []
    for t in range(rounds):
        choice = honest if always else tried[t] if explore[t] else int(np.argmax(value + noise[t]))
        looks, reports = choices[choice]
        state, signal = divmod(seen[looks][t], 2)
        paid = pays[reports[signal]][state]
        count[choice] += 1
        value[choice] += (paid - cost * looks - value[choice]) / count[choice]
        if t >= rounds // 2:
            kept.append((float(reports[signal] == state), float(looks), paid))
    accuracy, looked, mean = np.mean(kept, axis=0)
    return float(accuracy), float(looked), float(mean)
