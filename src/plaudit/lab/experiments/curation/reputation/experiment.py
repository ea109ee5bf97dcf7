"""Ten annotators, three of whom turn labels round and one of whom guesses, and a linear reward of their pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plaudit.curation.reputation import annotator_reputations
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise

ARMS = ("reputation", "endless", "uniform", "outvoted", "shuffled", "oracle")
ANNOTATORS, LIARS, GUESSERS = 10, (7, 8, 9), (6,)
BETA = 2.0


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on clean fresh pairs; `liars`, the share of the weight that those who turn labels round have, and
        `honest`, how many of the honest have any.
    """
    del fit  # a linear reward of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"reputation: arm {arm!r} is not known; the claim lists the arms")
    rng, d, each = np.random.default_rng([seed, 1]), int(budget["features"]), int(budget["each"])
    truth = rng.normal(size=d)
    truth /= np.linalg.norm(truth)
    who = np.repeat(np.arange(ANNOTATORS), each)
    x = rng.normal(size=(len(who), d))
    sign = np.where(rng.random(len(who)) < 1 / (1 + np.exp(-BETA * x @ truth)), 1.0, -1.0)
    guess = rng.choice([-1.0, 1.0], len(who))
    if not knob:
        sign = np.where(np.isin(who, LIARS), -sign, np.where(np.isin(who, GUESSERS), guess, sign))
    x *= sign[:, None]
    share = _shares(name, x, who, knob, np.random.default_rng([seed, 3]), int(budget["steps"]))
    weight = _fitted(x, share[who], int(budget["steps"]))
    test = np.random.default_rng([seed, 2]).normal(size=(int(budget["test"]), d))
    honest = [i for i in range(ANNOTATORS) if i not in (*LIARS, *GUESSERS)]
    return {
        "accuracy": float(((test @ weight > 0) == (test @ truth > 0)).mean()),
        "liars": float(share[list(LIARS)].sum() / share.sum()), "honest": float((share[honest] > 0).sum()),
    }  # fmt: skip


def _shares(name: str, x: np.ndarray, who: np.ndarray, knob: str, rng: np.random.Generator, steps: int) -> np.ndarray:
    """A weight an annotator."""
    if name == "uniform":
        return np.ones(ANNOTATORS)
    if name == "oracle":
        return np.array([float(bool(knob) or i not in (*LIARS, *GUESSERS)) for i in range(ANNOTATORS)])
    if name == "outvoted":  # whoever is right less often than not by a model of all others is left out
        kept = []
        for i in range(ANNOTATORS):
            model = _fitted(x[who != i], np.ones((who != i).sum()), steps)
            kept.append(float((x[who == i] @ model > 0).mean() > 0.5))
        return np.array(kept)
    found = annotator_reputations(x, [str(i) for i in who], errors=0.0 if name == "endless" else 2.0)
    share = np.array([found.weights[str(i)] for i in range(ANNOTATORS)])
    return rng.permutation(share) if name == "shuffled" else share


def _fitted(x: np.ndarray, share: np.ndarray, steps: int) -> np.ndarray:
    """Weighted Bradley-Terry with a small penalty."""
    rows, part = torch.from_numpy(x), torch.from_numpy(share / share.mean())
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)

    def loss(_: int) -> Tensor:
        return -(part * F.logsigmoid(rows @ weight)).mean() + 1e-3 * weight.square().sum()

    minimise([weight], loss, steps=steps, lr=0.1)
    return np.asarray(weight.detach().numpy())
