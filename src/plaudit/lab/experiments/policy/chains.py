"""A world that several experiments share: chains of tokens, each of them right or wrong by a rule in the prompt.

A prompt has features; at each place of a completion the right token is the one that a linear map of the features puts
first, and a completion is right where enough places are. The policy is linear in the same features, so that what it
learns on some prompts carries over to others; it begins with a part of the rule and with errors of its own. Accuracy is
on prompts that are not trained on, summed over all completions, no estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from plaudit.lab.tabular import Drawn, TabularPolicy, by_position

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chains:
    """One instance.

    Attributes:
        start: logits (features, length, vocabulary) that a policy begins with.
        train: (p, features).
        test: (m, features).
        needed: int64 (p + m, length), the right tokens of train, then of test prompts.
        decisive: int64 (d,), the places that count.
        places: how many of these must be right, at most d.
    """

    start: Float[Tensor, "k t v"]
    train: Float[Tensor, "p k"]
    test: Float[Tensor, "m k"]
    needed: Int[Tensor, "pm t"]
    decisive: Int[Tensor, " d"]
    places: int

    def policy(self) -> TabularPolicy:
        """A policy at its beginning, on the prompts to train on."""
        length, vocabulary = self.start.shape[1:]
        return TabularPolicy(self.start, by_position(length, vocabulary), length=length, features=self.train)

    def hits(self, drawn: Drawn) -> Bool[Tensor, "s d"]:
        """At which of the decisive places the right token was said."""
        return (drawn.tokens == self.needed[drawn.prompt])[:, self.decisive]

    def right(self, drawn: Drawn) -> Floats:
        """1 for completions with enough right tokens, else 0."""
        return np.asarray((self.hits(drawn).sum(1) >= self.places).double().numpy())

    @torch.no_grad()
    def accuracy(self, policy: TabularPolicy, *, rows: slice | Tensor | None = None) -> Float[Tensor, " m"]:
        """Chance of a right completion for each test prompt, exact.

        Args:
            policy: that is asked.
            rows: of the test prompts; all by default.
        """
        rows = slice(None) if rows is None else rows
        test, needed = self.test[rows], self.needed[len(self.train) :][rows]
        shown = TabularPolicy(policy.logits, policy.moves, length=policy.length, features=test)
        chance = shown.table().softmax(-1).gather(-1, needed[..., None])[..., 0]
        return at_least(chance[:, self.decisive], self.places)

    @torch.no_grad()
    def entropy(self, policy: TabularPolicy) -> float:
        """Mean entropy of a token on test prompts, nats."""
        shown = TabularPolicy(policy.logits, policy.moves, length=policy.length, features=self.test)
        logp = shown.table().log_softmax(-1)
        return float(-(logp.exp() * logp).sum(-1).mean())


def at_least(chance: Float[Tensor, "m t"], places: int) -> Float[Tensor, " m"]:
    """Chance that at least so many of independent events happen, each by its own chance."""
    hits = chance.new_zeros(len(chance), chance.shape[1] + 1)
    hits[:, 0] = 1.0
    for p in chance.unbind(1):
        more = torch.nn.functional.pad(hits[:, :-1], (1, 0))
        hits = hits * (1 - p[:, None]) + more * p[:, None]
    return hits[:, places:].sum(1)


def chains(
    seed: int, *, prompts: int = 48, test: int = 200, features: int = 8, length: int = 6, vocabulary: int = 4,
    decisive: int | None = None, places: int | None = None, skill: float = 1.0, errors: float = 0.5,
) -> Chains:  # fmt: skip
    """An instance.

    Args:
        seed: of rule, prompts and start.
        prompts: to train on.
        test: to be asked at the end.
        features: of a prompt, the first of them 1.
        length: tokens of a completion.
        vocabulary: tokens that there are.
        decisive: places that count, chosen at random; all by default.
        places: how many of these must be right; all by default.
        skill: how much of the rule is in the start.
        errors: deviation of what is in the start besides.
    """
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=(prompts + test, features))
    x[:, 0] = 1.0
    rule = rng.normal(size=(features, length, vocabulary)) / np.sqrt(features)
    start = skill * rule + errors * rng.normal(size=rule.shape) / np.sqrt(features)
    needed = torch.from_numpy(np.einsum("pk,ktv->ptv", x, rule).argmax(-1))
    shown, count = torch.from_numpy(x), length if decisive is None else decisive
    where = torch.from_numpy(np.sort(rng.permutation(length)[:count]))
    return Chains(
        torch.from_numpy(start), shown[:prompts], shown[prompts:], needed, where, count if places is None else places
    )
