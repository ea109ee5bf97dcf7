"""Short phrases after prompts with features: what they are worth is known exactly, for every phrase of every prompt.

A phrase is up to five tokens, the last of which may be its end. What comes next depends on position, token before and
the prompt's features, and so does what a token is worth; prompts that are not trained on share the weights through
their features. Worth is scaled to mean 0 and deviation 1 within each prompt under the starting policy, so that a unit
is a within-prompt deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.lab.aligning import Shown
from plaudit.lab.tabular import Drawn, TabularPolicy, by_previous
from plaudit.records import Message, Pair, Ranked, Sample

TOKENS, LONGEST, FEATURES = 5, 5, 5
"""Tokens, of which 0 is the end; most tokens of a phrase; features of a prompt, the first of which is 1."""


@final
@dataclass(frozen=True, eq=False)
class Phrases:
    """One world.

    Attributes:
        start: the starting policy on the training prompts.
        test: features of prompts that are not trained on, (m, FEATURES).
        every: int64 (k, LONGEST), all phrases.
        chance: (p + m, k), of each under the starting policy.
        worth: (p + m, k), of training prompts and then of test prompts.
    """

    start: TabularPolicy
    test: Float[Tensor, "m f"]
    every: Int[Tensor, "k t"]
    chance: Float[Tensor, "q k"]
    worth: Float[Tensor, "q k"]

    @classmethod
    def made(cls, seed: int, *, train: int, test: int, spread: float = 0.5, ends: float = -0.5) -> Self:
        """The world of a seed.

        Args:
            seed: of everything.
            train: prompts that are trained on.
            test: prompts that are not.
            spread: deviation of the starting policy's logits.
            ends: mean logit of the end, the others' being 0: the higher, the shorter phrases are.
        """
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draw, dtype=torch.float64)

        moves = by_previous(LONGEST, TOKENS)
        x = normal(train + test, FEATURES)
        x[:, 0] = 1.0
        logits, weight = spread * normal(FEATURES, *moves.shape), normal(FEATURES, *moves.shape)
        logits[0, :, 0] += ends
        logits[0, 0, 0] = -30.0  # there is no empty phrase
        start = TabularPolicy(logits, moves, length=LONGEST, end=0, features=x[:train])
        whole = TabularPolicy(logits, moves, length=LONGEST, end=0, features=x)
        every = whole.every()
        every = every[every[:, 0] != 0]
        with torch.no_grad():
            chance = whole.chances(every)
            value = _values(whole, (x @ weight.flatten(1)).reshape(-1, *moves.shape), every)
        mean = (chance * value).sum(1, keepdim=True)
        deviation = (chance * (value - mean).square()).sum(1, keepdim=True).sqrt()
        return cls(start, x[train:], every, chance, (value - mean) / deviation)

    @property
    def train(self) -> int:
        """Training prompts."""
        return self.start.prompts

    def policy(self) -> TabularPolicy:
        """The starting policy, to be trained."""
        return self.start.frozen().requires_grad_(True)

    def asked(self, policy: TabularPolicy) -> TabularPolicy:
        """A policy on the test prompts."""
        return TabularPolicy(policy.logits, policy.moves, length=LONGEST, end=0, features=self.test).requires_grad_(
            False
        )

    def places(self, tokens: Int[Tensor, "s t"]) -> Int[Tensor, " s"]:
        """Which of `every` each phrase is."""
        base = TOKENS ** torch.arange(LONGEST)
        known = (self.every * base).sum(1)
        order = known.argsort()
        return order[torch.searchsorted(known[order], (tokens * base).sum(1))]

    def worths(self, drawn: Drawn) -> Float[Tensor, " s"]:
        """What phrases of training prompts are worth."""
        return self.worth[drawn.prompt, self.places(drawn.tokens)]

    @property
    def lengths(self) -> Int[Tensor, " k"]:
        """Tokens of each phrase, its end included where there is one."""
        return self.start.counted(self.every).sum(1)

    @torch.no_grad()
    def measured(self, policy: TabularPolicy) -> dict[str, float]:
        """Exact means over test prompts: `worth`, `length`, `kl` from the start in nats, `entropy` in nats."""
        asked = self.asked(policy)
        chance = asked.chances(self.every)
        per = (chance * self.worth[self.train :]).sum(1)
        return {
            "worth": float(per.mean()), "length": float((chance @ self.lengths.double()).mean()),
            "kl": float(asked.kl(self.asked(self.start)).mean()),
            "entropy": float(-torch.special.xlogy(chance, chance).sum(1).mean()),
        }  # fmt: skip

    @torch.no_grad()
    def worth_by_prompt(self, policy: TabularPolicy) -> Float[Tensor, " m"]:
        """Expected worth on each test prompt: exact."""
        return (self.asked(policy).chances(self.every) * self.worth[self.train :]).sum(1)


def compared(
    world: Phrases, pairs: int, *, steepness: float, generator: torch.Generator, per_token: float = 0.0,
    noise: float = 0.0,
) -> Shown:  # fmt: skip
    """Pairs that the starting policy drew for training prompts, with labels and scores.

    Args:
        world: of the phrases.
        pairs: how many.
        steepness: of the labels, see `labelled`.
        generator: of prompts, phrases, labels.
        per_token: what the annotator gives for each token beyond its worth.
        noise: deviation of the scores' error.

    Returns:
        Pairs with labels, and as scores what each phrase is worth plus its error.
    """
    drawn = world.start.sample(torch.randint(world.train, (pairs,), generator=generator), 2, generator)
    worth = world.worths(drawn)
    seen = (worth + per_token * drawn.mask.sum(1)).reshape(-1, 2)
    first = labelled(seen[:, 0] - seen[:, 1], steepness=steepness, generator=generator)
    error = torch.randn(2 * pairs, generator=generator, dtype=torch.float64)
    place = 2 * torch.arange(pairs)
    order = torch.stack([place + 1 - first, place + first], 1)
    return Shown(drawn.prompt, drawn.tokens, order, scores=worth + noise * error)


def labelled(gap: Float[Tensor, " m"], *, steepness: float, generator: torch.Generator) -> Int[Tensor, " m"]:
    """Bradley-Terry labels: 1 where the first of a pair is chosen, with chance `sigmoid(steepness gap)`, else 0.

    Args:
        gap: what the first is worth more than the second.
        steepness: infinite for labels without noise.
        generator: of the labels.
    """
    u = torch.rand(len(gap), generator=generator, dtype=torch.float64)
    if steepness == float("inf"):
        return (gap > 0).long()
    return (u < torch.sigmoid(steepness * gap)).long()


def _values(policy: TabularPolicy, table: Float[Tensor, "q z v"], every: Int[Tensor, "k t"]) -> Float[Tensor, "q k"]:
    """The sum of a table's entries along each phrase, for each prompt."""
    states, counted = policy.states(every), policy.counted(every)
    return (table[:, states, every] * counted).sum(-1)


def ranked(drawn: Drawn, scores: Float[Tensor, " s"], previous: Float[Tensor, " s"] | None = None) -> list[Ranked]:
    """Phrases as records, a row a group: prompts and phrases are named by their numbers and tokens.

    Args:
        drawn: the phrases.
        scores: of each.
        previous: of each by another reward, kept in `meta["previous"]`.
    """
    found = []
    for group in range(int(drawn.group[-1]) + 1):
        at = (drawn.group == group).nonzero()[:, 0]
        meta = {} if previous is None else {"previous": previous[at].tolist()}
        prompt = (Message("user", str(int(drawn.prompt[at[0]]))),)
        texts = tuple("".join(map(str, drawn.tokens[i].tolist())) for i in at)
        found.append(Ranked(prompt, texts, tuple(scores[at].tolist()), meta=meta))
    return found


def spelled(rows: Sequence[Pair | Sample]) -> tuple[Int[Tensor, " n"], Int[Tensor, "n t"]]:
    """The prompts and tokens of records that `ranked` wrote: of pairs, chosen and rejected by turns."""
    texts = [
        (row.prompt[-1].text, str(text))
        for row in rows
        for text in ((row.chosen, row.rejected) if isinstance(row, Pair) else (row.completion,))
    ]
    prompts = torch.tensor([int(prompt) for prompt, _ in texts])
    return prompts, torch.tensor([[int(c) for c in text] for _, text in texts])
