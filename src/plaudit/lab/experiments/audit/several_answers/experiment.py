"""Questions with several right answers, a model that knows them to some degree, and uncertainties of its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.audit.consistency.answers import answer_consistency, answer_entropy
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.selective import auroc

ARMS = ("entropy", "top", "consistency", "distinct", "own", "coin", "known")
RIGHT = 5
"""Right answers a question, where they are not one or mixed."""
MOST = 8
"""Most right answers where they are mixed."""
WRONG = (0.03, 1.0)
"""Concentration of wrong answers: from one firm mistake of a question to guesses all over."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `area`, see the claim; `right`, the share of right answers.
    """
    del fit  # nothing is trained
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "1", "mixed"):
        raise InputError(f"several_answers: arm {arm!r} is not known; the claim lists the arms")
    answers, samples = int(budget["answers"]), int(budget["samples"])
    rng, coin = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    certainty, right = [], []
    for _ in range(int(budget["questions"])):
        count = 1 if knob == "1" else RIGHT if not knob else int(rng.integers(1, MOST + 1))
        known = rng.beta(1.0, 1.0)
        chance = np.zeros(answers)
        chance[:count] = known * rng.dirichlet(np.full(count, 1.0))
        spread = np.exp(rng.uniform(*np.log(WRONG)))
        chance[count:] = (1 - known) * rng.dirichlet(np.full(answers - count, spread))
        drawn = rng.choice(answers, size=samples + 1, p=chance / chance.sum())
        said = [str(a) for a in drawn[:-1]]
        right.append(float(drawn[-1] < count))
        certainty.append(_certainty(name, said, str(drawn[-1]), known, float(coin.random())))
    return {"area": auroc(np.array(certainty), np.array(right)), "right": float(np.mean(right))}


def _certainty(name: str, said: list[str], answer: str, known: float, coin: float) -> float:
    counts = Counter(said)
    if name == "entropy":
        return -answer_entropy(said)
    if name == "consistency":
        return answer_consistency(said)
    if name == "top":
        return max(counts.values()) / len(said)
    if name == "distinct":
        return 1 - len(counts) / len(said)
    if name == "own":
        return counts[answer] / len(said)
    return known if name == "known" else coin
