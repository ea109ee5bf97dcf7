"""Rewards with a planted fault and sound ones, in a world whose truth is known; nothing is trained."""

import math
import zlib
from functools import cache

import numpy as np

from plaudit.lab.worlds.assistant import Knobs, TrueReward, World, label_pairs
from plaudit.lab.worlds.assistant.grammar import demonstration
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, PreferenceBatch, RewardBatch


class Rule:
    """A reward from a function of the sample; None abstains. It counts the samples that it was asked for.

    `base` is a function of all samples at once whose values are added.
    """

    scope, bounds = "sample", (-math.inf, math.inf)

    def __init__(self, of, name="rule", scope="sample", base=None):
        self.base = base
        self.of, self.name, self.fingerprint, self.scope, self.asked = of, name, name, scope, 0

    def __call__(self, samples):
        self.asked += len(samples)
        values = [self.of(s) for s in samples]
        if self.base is not None:
            values = [v + b for v, b in zip(values, self.base(samples), strict=True)]
        outcome = [Outcome.SCORED if v is not None else Outcome.ABSTAINED for v in values]
        return RewardBatch([math.nan if v is None else float(v) for v in values], outcome)


class Duel:
    """A comparison from a function of two samples to the probability that the first is better."""

    name, fingerprint = "duel", "duel"

    def __init__(self, of):
        self.of = of

    def __call__(self, first, second):
        p = [self.of(a, b) for a, b in zip(first, second, strict=True)]
        return PreferenceBatch(np.array(p, dtype=np.float64), np.zeros(len(p), np.int8))


@cache
def world_pairs(seed=0, n=150):
    """An instance, and pairs of demonstrations that its annotators judged."""
    world = World.drawn(seed)
    rng = np.random.default_rng(5)
    sides = [
        tuple(Sample(p, demonstration(world.request(p), world.habits, rng)) for _ in range(2))
        for p in world.prompts(n, seed=1, distinct=True)
    ]
    return world, label_pairs(world, sides, Knobs(), seed=3)


def sound(world):
    """The true reward itself."""
    return TrueReward(world)


def noisy(world, deviation=0.5):
    """The truth with noise of its own in every text."""

    def of(sample):
        key = zlib.crc32(f"{sample.prompt[-1].text}|{sample.text}".encode())
        return deviation * np.random.default_rng(key).normal()

    return Rule(of, "noisy", base=world.true_reward)


def planted(world, extra, name="planted"):
    """The truth plus a fault: a function of the sample in true units."""
    return Rule(extra, name, base=world.true_reward)


def pair(prompt, chosen, rejected, **meta):
    return Pair(conversation(prompt), chosen, rejected, meta=meta)


def fact_pairs(n=120, seed=0):
    """Pairs whose truth goes with length, and a function for it: how many different facts about the topic are named."""
    rng = np.random.default_rng(seed)

    def truth(samples):
        topics = [s.prompt[-1].text.split()[-1] for s in samples]
        return np.array(
            [
                len({w for w in s.text.split() if w.startswith(f"{t}-fact")})
                for s, t in zip(samples, topics, strict=True)
            ],
            float,
        )

    def text(topic, k):
        return " ".join(f"it holds that {topic}-fact{int(j)} ." for j in rng.choice(12, k, replace=False))

    rows = []
    for i in range(n):
        topic = f"topic{i % 20}"
        a, b = sorted(rng.choice(np.arange(1, 9), 2, replace=False).tolist(), reverse=True)
        rows.append(pair(f"question {i} about {topic}", text(topic, a), text(topic, b)))
    return rows, truth
