"""Beginnings ranked by a reward a token and by a reward of whole texts, from one network and the same pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.autoregressive_reward.walks import LENGTH, TOKENS, Walks
from plaudit.lab.networks import minimise, small_network
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.policies.likelihood import autoregressive_loss

ARMS = ("token", "trajectory", "every_prefix", "shuffled", "base", "oracle")
KNOBS = {"": 6, "0": 0, "3": 3}
"""Tokens that are left."""
RATE = 0.02
"""Of Adam; it, the steps and beta were chosen on development instances, in four trials of `token` and three of
`trajectory`, the first of each with a recurrent network, which was too slow."""
SHARPNESS = 2.0
"""Log-odds of a label per unit of the truth."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on pairs of beginnings of one length, by their expected final truth, ties half.
    """
    del fit  # a small network of counts
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in KNOBS:
        raise InputError(f"autoregressive_reward: arm {arm!r} is not known; the claim lists the arms")
    walks = Walks(seed)
    test = walks.draw(2 * int(budget["test"]), 3)[:, : LENGTH - KNOBS[knob]]
    truth = walks.expected(test)
    if name == "oracle":
        said = truth
    elif name == "base":
        said = walks.base_logp(test)
    else:
        said = fitted(name, walks, budget).reward(test)
    lead, right = (x[::2] - x[1::2] for x in (said, truth))
    return {"accuracy": float((np.sign(lead) * np.sign(right) + 1).mean() / 2)}


def seen(texts: np.ndarray) -> Tensor:
    """What a network sees of each beginning, the empty one first: counts of token pairs and the last token.

    Args:
        texts: (n, t).

    Returns:
        (n, t + 1, 36 + 7), float64.
    """
    n, t = texts.shape
    pairs = np.zeros((n, t + 1, TOKENS * TOKENS))
    at = texts[:, :-1] * TOKENS + texts[:, 1:]
    pairs[np.arange(n)[:, None], np.arange(2, t + 1), at] = 1.0
    last = np.concatenate([np.full((n, 1), TOKENS), texts], axis=1)
    return torch.from_numpy(np.concatenate([pairs.cumsum(axis=1), np.eye(TOKENS + 1)[last]], axis=2))


@final
class Reader:
    """A network of beginnings: either the next token's log-probabilities, or a score.

    Args:
        width: hidden units.
        seed: of the weights.
        by_token: which of the two.
    """

    def __init__(self, width: int, seed: int, *, by_token: bool) -> None:
        self.by_token = by_token
        inputs = TOKENS * TOKENS + TOKENS + 1
        self.network = small_network(inputs, TOKENS if by_token else 1, width=width, seed=seed)

    def scores(self, shown: Tensor, texts: Tensor) -> Tensor:
        """Score of each beginning of each text, (n, t): of its first token, of its first two, and so on."""
        if not self.by_token:
            return torch.as_tensor(self.network(shown[:, 1:])[..., 0])
        logp = self.network(shown[:, :-1]).log_softmax(-1).gather(2, texts[..., None])[..., 0]
        return torch.as_tensor(logp.cumsum(dim=1))

    def reward(self, texts: np.ndarray) -> np.ndarray:
        """Of beginnings (n, t), read at their ends."""
        with torch.no_grad():
            return np.asarray(self.scores(seen(texts), torch.from_numpy(texts))[:, -1].numpy())


def labelled(name: str, walks: Walks, m: int) -> tuple[np.ndarray, Tensor]:
    """Texts (2 m, 12) and m pairs of them, what a rater calls better first; `shuffled` has a coin for a rater."""
    texts = walks.draw(2 * m, 2)
    truth = walks.expected(texts)
    rng = np.random.default_rng([walks.seed, 4])
    odds = 0.0 if name == "shuffled" else SHARPNESS * (truth[:m] - truth[m:])
    first = rng.random(m) < 1 / (1 + np.exp(-odds))
    left = np.arange(m)
    return texts, torch.from_numpy(np.stack([np.where(first, left, left + m), np.where(first, left + m, left)], axis=1))


def fitted(name: str, walks: Walks, budget: Mapping[str, Any]) -> Reader:
    """The network of an arm, fitted to the instance's labelled pairs."""
    texts, pairs = labelled(name, walks, int(budget["pairs"]))
    model = Reader(int(budget["width"]), walks.seed, by_token=name in ("token", "shuffled"))
    return trained(model, texts, pairs, budget, every_prefix=name == "every_prefix")


def trained(
    model: Reader, texts: np.ndarray, pairs: Tensor, budget: Mapping[str, Any], *, every_prefix: bool = False
) -> Reader:
    """Fits a network to labelled pairs, in place.

    Args:
        model: next tokens, or scores.
        texts: (n, 12).
        pairs: (m, 2) rows of texts, the better first.
        budget: its `steps` and `beta`.
        every_prefix: whether scores are fitted on all beginnings and not on whole texts alone.
    """
    told, shown, m = torch.from_numpy(texts), seen(texts), len(pairs)
    if not model.by_token and not every_prefix:  # nothing but whole texts is scored
        told, shown = told[:, -1:], shown[:, -2:]

    def loss(_: int) -> Tensor:
        scores = model.scores(shown, told)
        if model.by_token:
            return autoregressive_loss(scores[:, -1], pairs, beta=float(budget["beta"])) / m
        if every_prefix:
            return torch.stack([bradley_terry(column, pairs) for column in scores.unbind(dim=1)]).mean() / m
        return bradley_terry(scores[:, -1], pairs) / m

    minimise(model.network.parameters(), loss, steps=int(budget["steps"]), lr=RATE)
    return model
