"""Policies that are tables: autoregressive, sampled and trained as language models are, measured exactly.

What comes next depends on the prompt and on a state, and states follow from tokens by a table of moves: a position, the
last token, the whole prefix, or whatever an experiment needs. Distances between policies are sums over states, no
estimates. They are trained by the losses of `plaudit.policy`: online by `lab.improving.improved`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses.entropy import entropies


def by_position(length: int, vocabulary: int) -> Int[Tensor, "z v"]:
    """Moves where the state is the position: what was said before says nothing of what comes."""
    return torch.arange(1, length + 1)[:, None].expand(length, vocabulary).clamp(max=length - 1).clone()


def by_previous(length: int, vocabulary: int) -> Int[Tensor, "z v"]:
    """Moves where the state is the position and the token before; `1 + (length - 1) vocabulary` states."""
    states = 1 + (length - 1) * vocabulary
    place = torch.tensor([0, *(1 + (s - 1) // vocabulary for s in range(1, states))])
    moves = 1 + place[:, None] * vocabulary + torch.arange(vocabulary)
    return torch.where(place[:, None] < length - 1, moves, 0)


def by_prefix(length: int, vocabulary: int) -> Int[Tensor, "z v"]:
    """Moves where the state is all that was said: any distribution over sequences can be had."""
    states = sum(vocabulary**t for t in range(length))
    moves = torch.arange(states)[:, None] * vocabulary + torch.arange(1, vocabulary + 1)
    return torch.where(moves < states, moves, 0)


@final
@dataclass(frozen=True, eq=False)
class Drawn:
    """Completions, padded.

    Attributes:
        prompt: int64 (s,), the prompt of each.
        group: int64 (s,), which were drawn together, from 0 on.
        tokens: int64 (s, t), 0 behind the end.
        mask: bool (s, t), True for what was said, the end itself included.
        logp: (s, t) nats under the policy that drew them, 0 behind the end.
    """

    prompt: Int[Tensor, " s"]
    group: Int[Tensor, " s"]
    tokens: Int[Tensor, "s t"]
    mask: Bool[Tensor, "s t"]
    logp: Float[Tensor, "s t"]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each, (s,)."""
        return np.asarray(self.mask.sum(1).numpy(), dtype=np.int64)


@final
class TabularPolicy(torch.nn.Module):
    """`log pi(token | prompt, state) = log softmax(logits)`, the state moved on by each token.

    Args:
        logits: (p, z, v) at the start, copied in float64; the one parameter, `logits`.
        moves: int64 (z, v), the state after each token; state 0 is the first. See `by_position` and others.
        length: most tokens of a completion.
        end: the token after which nothing comes; None where all completions are of full length.
        features: (q, p), where q prompts share the p tables: their logits are `features @ logits`. None for a table a
            prompt.

    Raises:
        ShapeError: if the shapes do not belong together.
        InputError: if a move leads to no state, or the end is no token.
    """

    def __init__(
        self, logits: Float[Tensor, "p z v"], moves: Int[Tensor, "z v"], *, length: int, end: int | None = None,
        features: Float[Tensor, "q p"] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if logits.ndim != 3 or moves.shape != logits.shape[1:] or length < 1:
            raise ShapeError(
                f"tabular policy: logits {tuple(logits.shape)}, moves {tuple(moves.shape)}, length {length}; give "
                "(prompts, states, tokens), (states, tokens) and at least 1"
            )
        if features is not None and (features.ndim != 2 or features.shape[1] != len(logits)):
            raise ShapeError(f"tabular policy: features {tuple(features.shape)} for {len(logits)} tables; give (q, p)")
        z, v = moves.shape
        if int(moves.min()) < 0 or int(moves.max()) >= z or not (end is None or 0 <= end < v):
            raise InputError(f"tabular policy: moves within {z} states and an end within {v} tokens are needed")
        self.logits = torch.nn.Parameter(logits.detach().to(torch.float64).clone())
        self.moves, self.length, self.end = moves, length, end
        self.features = None if features is None else features.to(torch.float64)

    @property
    def prompts(self) -> int:
        """How many there are."""
        return len(self.logits if self.features is None else self.features)

    def frozen(self) -> Self:
        """A copy that is not trained: a reference."""
        return type(self)(
            self.logits, self.moves, length=self.length, end=self.end, features=self.features
        ).requires_grad_(False)

    def table(self) -> Float[Tensor, "q z v"]:
        """The logits of every prompt."""
        if self.features is None:
            return self.logits
        return (self.features @ self.logits.flatten(1)).reshape(-1, *self.moves.shape)

    @torch.no_grad()
    def sample(self, prompts: Int[Tensor, " n"], each: int, generator: torch.Generator) -> Drawn:
        """`each` completions of each prompt, group by group.

        Args:
            prompts: (n,), one may stand there twice and has two groups then.
            each: completions of one.
            generator: of all draws.
        """
        prompt, table = prompts.repeat_interleave(each), self.table()
        n, state = len(prompt), torch.zeros(len(prompt), dtype=torch.int64)
        tokens, logp = torch.zeros(n, self.length, dtype=torch.int64), torch.zeros(n, self.length, dtype=torch.float64)
        mask, going = torch.zeros(n, self.length, dtype=torch.bool), torch.ones(n, dtype=torch.bool)
        for t in range(self.length):
            row = table[prompt, state].log_softmax(-1)
            u = torch.rand(n, 1, generator=generator, dtype=torch.float64)
            said = (row.exp().cumsum(-1)[:, :-1] < u).sum(-1)
            tokens[:, t], mask[:, t] = said * going, going
            logp[:, t] = row.gather(-1, said[:, None])[:, 0] * going
            state = self.moves[state, said]
            going = going if self.end is None else going & (said != self.end)
        return Drawn(prompt, torch.arange(len(prompts)).repeat_interleave(each), tokens, mask, logp)

    def counted(self, tokens: Int[Tensor, "s t"]) -> Bool[Tensor, "s t"]:
        """True for tokens up to and with the first end."""
        if self.end is None:
            return torch.ones_like(tokens, dtype=torch.bool)
        ended = (tokens == self.end).cumsum(1)
        return (ended == 0) | ((ended == 1) & (tokens == self.end))

    def states(self, tokens: Int[Tensor, "s t"]) -> Int[Tensor, "s t"]:
        """The state in which each token is said."""
        found = torch.zeros_like(tokens)
        for t in range(1, tokens.shape[1]):
            found[:, t] = self.moves[found[:, t - 1], tokens[:, t - 1]]
        return found

    def next_logits(self, prompt: Int[Tensor, " s"], tokens: Int[Tensor, "s t"]) -> Float[Tensor, "s t v"]:
        """Logits of each place of given completions; they carry the gradient."""
        return self.table()[prompt[:, None], self.states(tokens)]

    def logps(self, prompt: Int[Tensor, " s"], tokens: Int[Tensor, "s t"]) -> Float[Tensor, "s t"]:
        """Log-probability of each token, nats, 0 behind the end; carries the gradient.

        Args:
            prompt: (s,) of each completion.
            tokens: (s, t), padded with any token.
        """
        found = self.table().log_softmax(-1)[prompt[:, None], self.states(tokens), tokens]
        return torch.where(self.counted(tokens), found, 0.0)

    def entropy(self, prompt: Int[Tensor, " s"], tokens: Int[Tensor, "s t"]) -> Float[Tensor, "s t"]:
        """Entropy of the distribution that each token was drawn from, nats, 0 behind the end."""
        return torch.where(self.counted(tokens), entropies(self.next_logits(prompt, tokens)), 0.0)

    def visits(self) -> Float[Tensor, "t q z"]:
        """Chance of being in each state before token t with the end not said, for each prompt: exact."""
        chance, moves = self.table().softmax(-1), self.moves.flatten()
        now = chance.new_zeros(self.prompts, len(self.moves))
        now[:, 0] = 1.0
        found = [now]
        for _ in range(self.length - 1):
            goes = now[..., None] * chance
            if self.end is not None:
                goes = goes * (torch.arange(chance.shape[-1]) != self.end)
            now = torch.zeros_like(now).index_add(1, moves, goes.flatten(1))
            found.append(now)
        return torch.stack(found)

    def kl(self, other: TabularPolicy) -> Float[Tensor, " q"]:
        """KL(self, other) of whole completions, nats, for each prompt: exact; carries the gradient.

        Args:
            other: with the same moves, length and end.

        Raises:
            InputError: if they are not the same.
        """
        if not torch.equal(self.moves, other.moves) or (self.length, self.end) != (other.length, other.end):
            raise InputError("tabular policy: a KL is between policies with the same moves, length and end")
        mine, theirs = (p.table().log_softmax(-1) for p in (self, other))
        apart = (mine.exp() * (mine - theirs)).sum(-1)
        return (self.visits() * apart).sum((0, 2))

    def every(self) -> Int[Tensor, "m t"]:
        """All complete sequences, padded with 0; where they can be listed."""
        found = torch.zeros(1, 0, dtype=torch.int64)
        v = self.moves.shape[1]
        for _ in range(self.length):
            over = (found == self.end).any(1) if self.end is not None else torch.zeros(len(found), dtype=torch.bool)
            kept = torch.nn.functional.pad(found[over], (0, 1))
            going = found[~over]
            more = torch.cat([going.repeat_interleave(v, 0), torch.arange(v).repeat(len(going))[:, None]], 1)
            found = torch.cat([kept, more])
        return found

    def chances(self, tokens: Int[Tensor, "m t"]) -> Float[Tensor, "q m"]:
        """Probability of each of some complete sequences, such as `every`, for each prompt; carries the gradient."""
        said = self.table().log_softmax(-1)[:, self.states(tokens), tokens]
        return torch.where(self.counted(tokens), said, 0.0).sum(-1).exp()
