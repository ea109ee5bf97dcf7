"""Texts by a base policy of token pairs, and a truth whose expectation after any beginning is exact."""

from __future__ import annotations

from typing import final

import numpy as np

TOKENS, LENGTH, STATES = 6, 12, 3
BONUS = 1.0
"""What the machine's last state adds, beside a sum over neighbours with deviation 1."""


@final
class Walks:
    """A world: policy, worth of neighbours, and a machine that reads along.

    Args:
        seed: of the instance.
        beside: a world whose policy this one has, for a second objective of the same texts.
        correlation: of the worths of neighbours with those of that world.
    """

    def __init__(self, seed: int, *, beside: Walks | None = None, correlation: float = 0.0) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 1])
        raised = np.exp(rng.normal(size=(TOKENS, TOKENS)))
        self.policy = raised / raised.sum(axis=1, keepdims=True)
        self.worth = rng.normal(size=(TOKENS, TOKENS)) / np.sqrt(LENGTH - 1)
        self.turn = rng.integers(STATES, size=(STATES, TOKENS))
        self.bonus = BONUS * rng.permutation(np.linspace(-1, 1, STATES))
        if beside is not None:
            self.policy = beside.policy
            self.worth = correlation * beside.worth + np.sqrt(1 - correlation**2) * self.worth
        self.ahead = self._ahead()

    def draw(self, n: int, part: int) -> np.ndarray:
        """Draws n texts, (n, 12); `part` is of the random stream."""
        rng = np.random.default_rng([self.seed, part])
        upto = self.policy.cumsum(axis=1)
        found = [rng.integers(TOKENS, size=n)]
        for coin in rng.random((LENGTH - 1, n, 1)):
            found.append((upto[found[-1]] < coin).sum(axis=1).clip(max=TOKENS - 1))
        return np.stack(found, axis=1)

    def expected(self, texts: np.ndarray) -> np.ndarray:
        """Expected final truth of beginnings (n, t) under the base policy, (n,); of whole texts the truth itself."""
        n, t = texts.shape
        state = np.zeros(n, dtype=np.int64)
        for token in texts.T:
            state = self.turn[state, token]
        so_far = self.worth[texts[:, :-1], texts[:, 1:]].sum(axis=1)
        return np.asarray(so_far + self.ahead[LENGTH - t][state, texts[:, -1]])

    def base_logp(self, texts: np.ndarray) -> np.ndarray:
        """Log-probability of beginnings after their first token, under the base policy, in nats."""
        return np.asarray(np.log(self.policy[texts[:, :-1], texts[:, 1:]]).sum(axis=1))

    def _ahead(self) -> list[np.ndarray]:
        """Expected worth of what is to come by state and last token, (3, 6), for each number of tokens left."""
        found = [np.repeat(self.bonus[:, None], TOKENS, axis=1)]
        for _ in range(LENGTH - 1):
            after = found[-1][self.turn, np.arange(TOKENS)]  # (state, next token)
            found.append(np.asarray(((self.worth + after[:, None]) * self.policy).sum(axis=2)))
        return found
