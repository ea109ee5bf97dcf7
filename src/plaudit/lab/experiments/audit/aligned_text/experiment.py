"""What a reward says of people's texts and of a model's that was aligned with a reward of other annotators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from plaudit.audit.attacks.detection import detects_aligned
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.linear import features, fit_words
from plaudit.lab.worlds.assistant import Knobs, World, label_pairs
from plaudit.lab.worlds.assistant.grammar import demonstration
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.training.frozen import fit_linear

ARMS = ("other", "same", "truth", "length", "likelihood", "shuffled", "trained")
DOSES = {"": 16, "4": 4, "64": 64, "0": 1}
"""Best of how many; of one it is a text like people's."""
NEAR = 0.1
"""How far apart true rewards of texts that count as equally good may lie, in deviations within prompts."""
L2 = 1e-2
"""Penalty of the detector that is told who wrote what."""

Texts = list[list[Sample]]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `equal`, see the claim: the chance that the model's text is worth more than a person's, over pairs of one prompt
        that are truly worth the same; `area`, over all pairs, as the audit has it; `duels`, how many count as equal.
    """
    del fit  # linear rewards over words
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in DOSES:
        raise InputError(f"aligned_text: arm {arm!r} is not known; the claim lists the arms")
    sizes = int(budget["pairs"]), int(budget["prompts"]), int(budget["people"])
    models, people = _texts(seed, 0, DOSES[knob], *sizes)
    score = _scorer(name, seed, DOSES[knob], *sizes)
    utility = World.drawn(seed).true_reward
    won, same = [], []
    for ours, theirs in zip(models, people, strict=True):
        told = [[f(texts) for texts in (ours, theirs)] for f in (score, utility)]
        margin, truly = (one[:, None] - two[None, :] for one, two in told)
        won.append((np.sign(margin).ravel() + 1) / 2)
        same.append(np.abs(truly).ravel() <= NEAR)
    equal = np.concatenate(same)
    rows = [_by(s, who) for who, texts in (("model", models), ("human", people)) for row in texts for s in row]
    audited = detects_aligned(rows, _Worth(score), resamples=1).evidence
    assert audited is not None  # every prompt has texts of both kinds
    return {"equal": float(np.concatenate(won)[equal].mean()), "area": audited.value, "duels": float(equal.sum())}


@lru_cache(maxsize=12)
def _texts(seed: int, part: int, n: int, pairs: int, prompts: int, people: int) -> tuple[Texts, Texts]:
    """For each prompt the texts of a model, each the best of n by its own reward, and those of people."""
    world, rng = World.drawn(seed), np.random.default_rng([seed, 5, part])
    reward = fit_words(_judged(seed, 1, pairs))
    models: Texts = []
    persons: Texts = []
    for prompt in world.prompts(prompts, seed=3000 + part, side="test", distinct=True):
        request = world.request(prompt)

        def drawn(many: int, prompt: Any = prompt, request: Any = request) -> list[Sample]:
            return [Sample(prompt, demonstration(request, world.habits, rng)) for _ in range(many)]

        persons.append(drawn(people))
        models.append([])
        for _ in range(4):
            found = drawn(n)
            models[-1].append(found[int(np.argmax(reward(found).reward))])
    return models, persons


@lru_cache(maxsize=4)
def _judged(seed: int, part: int, pairs: int) -> tuple[Pair, ...]:
    """Pairs of other draws for each part, all on prompts of the training side; the same annotators judge them."""
    world, rng = World.drawn(seed), np.random.default_rng([seed, 6, part])
    two = [
        tuple(Sample(p, demonstration(world.request(p), world.habits, rng)) for _ in range(2))
        for p in world.prompts(pairs, seed=4000 + part)
    ]
    return tuple(label_pairs(world, [(a, b) for a, b in two], Knobs(), seed=seed + part))


@lru_cache(maxsize=12)
def _scorer(
    name: str, seed: int, n: int, pairs: int, prompts: int, people: int
) -> Callable[[Sequence[Sample]], np.ndarray]:
    """Scores, higher where the arm takes a text to be the model's."""
    if name == "truth":
        return lambda samples: World.drawn(seed).true_reward(samples)
    if name == "length":
        return lambda samples: np.array([float(len(s.text.split())) for s in samples])
    if name == "likelihood":
        return _likelihood([s.text for row in _texts(seed, 1, 1, pairs, prompts, people)[1] for s in row])
    if name == "trained":
        models, persons = _texts(seed, 1, n, pairs, prompts, people)
        difference = [(a, p) for ours, theirs in zip(models, persons, strict=True)
                      for a, p in zip(ours, theirs, strict=False)]  # fmt: skip
        words = {w: i for i, w in enumerate(sorted({w for two in difference for s in two for w in s.text.split()}))}
        table = [features([two[i] for two in difference], words) for i in (0, 1)]
        weight = fit_linear(table[0] - table[1], l2=L2)
        return lambda samples: features(samples, words) @ weight
    rows = list(_judged(seed, 1 if name == "same" else 0, pairs))
    if name == "shuffled":
        turned = np.random.default_rng([seed, 7]).random(len(rows)) < 0.5
        rows = [Pair(p.prompt, p.rejected, p.chosen) if t else p for p, t in zip(rows, turned.tolist(), strict=True)]
    reward = fit_words(rows)
    return lambda samples: reward(samples).reward


def _likelihood(texts: Sequence[str]) -> Callable[[Sequence[Sample]], np.ndarray]:
    """Mean log-probability of a word given the one before under people's texts, one count added to each."""
    pair, single = Counter[tuple[str, str]](), Counter[str]()
    for text in texts:
        words = ["", *text.split()]
        single.update(words[:-1])
        pair.update(pairwise(words))
    size = len({w for _, w in pair}) + 1

    def mean(sample: Sample) -> float:
        words = ["", *sample.text.split()]
        return float(np.mean([np.log((pair[(a, b)] + 1) / (single[a] + size)) for a, b in pairwise(words)]))

    return lambda samples: np.array([mean(s) for s in samples])


class _Worth:
    """A scorer as a reward."""

    name, fingerprint = "scorer", "scorer"
    scope: Scope = "sample"
    bounds = (-np.inf, np.inf)

    def __init__(self, score: Callable[[Sequence[Sample]], np.ndarray]) -> None:
        self.score = score

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        return RewardBatch(np.asarray(self.score(samples), dtype=np.float64))


def _by(sample: Sample, who: str) -> Sample:
    return Sample(sample.prompt, sample.completion, meta={"source": who})
