"""One instance of the assistant world: its knowledge, what it values, and how its demonstrations behave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.lab.counts import check_counts
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.aspects import ASPECTS, Parsed, completion_ids, parse
from plaudit.lab.worlds.assistant.grammar import Habits, demonstration
from plaudit.lab.worlds.assistant.request import KINDS, Knowledge, Request, draw_prompt, read_request
from plaudit.lab.worlds.assistant.utility import Utility
from plaudit.records.message import Message
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch, Scope

Side = Literal["train", "test"]

VERSION = 1
"""Raised whenever grammar, aspects or true reward change: part of every cache's key."""


@dataclass(frozen=True)
class World:
    """An instance, made from one seed.

    Attributes:
        seed: what everything was drawn from.
        knowledge: facts, recipes and choices.
        utility: the true reward; before `prepare` has calibrated it, in raw units.
        habits: frequencies of the demonstrations.
        shares: probability of each kind of request.
        spread: within-prompt deviation of each aspect under the starting policy (demonstrations, before).
    """

    seed: int
    knowledge: Knowledge
    utility: Utility
    habits: Habits
    shares: Float[np.ndarray, " kinds"]
    spread: Float[np.ndarray, " 12"]

    @classmethod
    def drawn(cls, seed: int) -> World:
        """The instance of a seed; the last few are kept, for every arm of an experiment asks for its own."""
        return _drawn(seed)

    def prompts(
        self, n: int, *, seed: int, side: Side = "train", kind: str | None = None, distinct: bool = False
    ) -> list[tuple[Message, ...]]:
        """Prompts from the grammar; no prompt is on both sides, whatever the seeds.

        Args:
            n: how many.
            seed: of the draw, independent of the instance's.
            side: `train` or `test`: a prompt's side is decided by its content (one in five is `test`).
            kind: one of `KINDS`; None draws it.
            distinct: no prompt twice.

        Raises:
            InputError: if n is negative, or the grammar has too few distinct prompts.
        """
        check_counts("prompts", n=n)
        rng = np.random.default_rng([VERSION, self.seed, seed, 1])
        out: list[tuple[Message, ...]] = []
        seen: set[str] = set()
        for _ in range(100 * n + 1000):
            if len(out) == n:
                return out
            prompt = draw_prompt(self.knowledge, rng, kind=kind, shares=self.shares.tolist())
            key = content_hash([(m.role, m.text) for m in prompt])
            if (int(key[:8], 16) % 5 == 0) != (side == "test") or (distinct and key in seen):
                continue
            seen.add(key)
            out.append(prompt)
        if len(out) == n:
            return out
        raise InputError(f"prompts: only {len(out)} distinct {kind or ''} prompts of {n} were found; ask for fewer")

    def request(self, prompt: Sequence[Message]) -> Request:
        """What a prompt asks for, read from its text."""
        return read_request(prompt, self.knowledge)

    def demonstrations(self, n: int, *, seed: int) -> list[Sample]:
        """Prompts with completions of mixed quality."""
        rng = np.random.default_rng([VERSION, self.seed, seed, 2])
        return [Sample(p, demonstration(self.request(p), self.habits, rng)) for p in self.prompts(n, seed=seed)]

    def parse(self, samples: Sequence[Sample]) -> Parsed:
        """Aspects of samples, from their text alone."""
        known: dict[tuple[tuple[str, str], ...], Request] = {}
        requests = []
        for sample in samples:
            key = tuple((m.role, m.text) for m in sample.prompt)
            if key not in known:
                known[key] = self.request(sample.prompt)
            requests.append(known[key])
        return parse(completion_ids([s.text for s in samples]), requests, self.utility.targets)

    def true_reward(self, samples: Sequence[Sample]) -> Float[np.ndarray, " n"]:
        """U of samples, exact, in units of its standard deviation within prompts."""
        return self.utility(self.parse(samples)) if len(samples) else np.zeros(0)

    def calibrated(self, parsed: Parsed, prompt: np.ndarray) -> World:
        """U scaled and aspects' deviations measured on a policy's completions; see `Utility.calibrated`."""
        size = np.maximum(np.bincount(prompt), 1)
        freedom = max(len(prompt) - len(np.unique(prompt)), 1)
        means = np.stack([np.bincount(prompt, v) / size for v in parsed.values.T], axis=1)
        spread = np.sqrt(((parsed.values - means[prompt]) ** 2).sum(0) / freedom)
        return replace(self, utility=self.utility.calibrated(parsed, prompt), spread=spread)

    def _demonstrated(self, *, prompts: int, each: int) -> tuple[Parsed, np.ndarray]:
        rng = np.random.default_rng([VERSION, self.seed, 3])
        samples = [
            Sample(p, demonstration(self.request(p), self.habits, rng))
            for p in self.prompts(prompts, seed=0)
            for _ in range(each)
        ]
        return self.parse(samples), np.repeat(np.arange(prompts), each)


@lru_cache(maxsize=8)
def _drawn(seed: int) -> World:
    rng = np.random.default_rng([VERSION, seed])
    shares = rng.dirichlet(np.full(len(KINDS), 40.0))
    world = World(seed, Knowledge.drawn(rng), Utility.drawn(rng), Habits.drawn(rng), shares, np.ones(len(ASPECTS)))
    return world.calibrated(*world._demonstrated(prompts=150, each=6))


@dataclass(frozen=True)
class TrueReward:
    """The true reward of a world as an ordinary reward: the oracle among rewards."""

    world: World
    name: str = "world/assistant"
    scope: Scope = "sample"

    @property
    def bounds(self) -> tuple[float, float]:
        """Harm is worth at least `-2 severity` raw; nothing is worth more than all weights together."""
        u = self.world.utility
        top = float((u.offsets() + np.abs(u.weights).sum(1)).max()) + abs(u.hedged) + abs(u.marked)
        return (-2 * u.severity - u.shift) / u.scale, (top - u.shift) / u.scale

    @property
    def fingerprint(self) -> str:
        """Hash of the instance and the world's version."""
        u = self.world.utility
        return content_hash(["assistant", VERSION, self.world.seed, u.shift, u.scale, u.weights.tolist()])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """U of samples, with the twelve aspects."""
        if not samples:
            return RewardBatch(np.zeros(0))
        parsed = self.world.parse(samples)
        aspects: dict[str, Any] = {name: parsed.values[:, i] for i, name in enumerate(ASPECTS)}
        return RewardBatch(self.world.utility(parsed), aspects=aspects)


def in_dialect(sample: Sample) -> Sample:
    """The sample in the dialect, prompt and completion: bijective, its own inverse, and worth the same."""
    prompt = tuple(replace(m, content=lx.swap_dialect(m.text)) for m in sample.prompt)
    return replace(sample, prompt=prompt, completion=lx.swap_dialect(sample.text))
