"""Linear rewards fitted to English pairs, a benchmark in four languages, and their accuracy in three further ones.

What is preferred is the same in all languages. Cues that go with it do so in English; in another language less, and
what a translation says of the content is blurred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import pair_credit
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.training.frozen import fit_linear

ARMS = ("kappa", "english", "mean", "both", "gap", "coin", "oracle")
KNOBBED = ("kappa", "english")
LANGUAGES = ("eng_Latn", "arb_Arab", "jpn_Jpan", "tur_Latn")
CUES = (0.3, 1.0)
"""How strongly a cue goes with what is preferred in English, in deviations of the margin."""
KEPT = 0.6
"""Most of a cue's strength that is left in another language."""
BLUR = (0.2, 0.8)
"""Deviation of what a translation adds to a feature of the content, in the feature's own."""
L2 = 1e-2

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """An instance.

    Attributes:
        weights: of the rewards, (rewards, d + cues).
        bench: language to differences of right minus wrong answers, the same items in the same order.
        target: accuracy of each reward in new languages, (rewards,).
        kept: that minus its accuracy in English, on other items than the benchmark's.
        other: target and kept on further items.
    """

    weights: Numbers
    bench: Mapping[str, Numbers]
    target: Numbers
    kept: Numbers
    other: tuple[Numbers, Numbers]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `keeps`, the rank correlation of the score with the accuracy in new languages minus
        that in English; `gap`, what rewards lose in new languages on average.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in KNOBBED):
        raise InputError(f"language_agreement: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("features", "cues", "rewards", "items", "new"))
    setting = _setting(seed, bool(knob), sizes)
    table = _table(seed, bool(knob), sizes)
    if name == "coin":
        score = np.random.default_rng([seed, 9]).random(len(setting.target))
    elif name == "oracle":
        score = setting.other[0]
    elif name == "both":
        score = rankdata(table["english"]) + rankdata(table["kappa"])
    else:
        score = table[name]
    by_loss = setting.other[1] if name == "oracle" else score
    return {
        "foretells": float(spearmanr(score, setting.target).statistic),
        "keeps": float(spearmanr(by_loss, setting.kept).statistic),
        "gap": -float(setting.kept.mean()),
    }


@lru_cache(maxsize=2)
def _table(seed: int, plain: bool, sizes: tuple[int, ...]) -> dict[str, Numbers]:
    """Number of the benchmark to its value for each reward."""
    setting = _setting(seed, plain, sizes)
    count, others = sizes[3], LANGUAGES[1:]
    items = [
        made_item(i, (True, False), subset="alpacaeval-easy", key=f"{i}", meta={"language": language})
        for language in LANGUAGES
        for i in range(count)
    ]
    rows: dict[str, list[float]] = {k: [] for k in ("kappa", "english", "mean", "gap")}
    for w in setting.weights:
        judged = fixed([np.array([m, 0.0]) for language in LANGUAGES for m in setting.bench[language] @ w])
        found = benchmark("m-rewardbench").statistics(items, judged)
        right = pair_credit(judged.margins(items), tie=0.0).reshape(len(LANGUAGES), count).mean(axis=1)
        rows["english"].append(float(right[0]))
        rows["mean"].append(float(right[1:].mean()))
        rows["kappa"].append(float(np.mean([number_of(found, f"kappa_with_english/{x}") for x in others])))
        rows["gap"].append(-float(np.mean([number_of(found, f"gap_to_english/{x}") for x in others])))
    return {k: np.array(v) for k, v in rows.items()}


@lru_cache(maxsize=2)
def _setting(seed: int, plain: bool, sizes: tuple[int, ...]) -> Setting:
    d, c, count, items, new = sizes
    rng = np.random.default_rng([seed, 1])
    worth, strength = rng.normal(size=d), rng.uniform(*CUES, size=c)
    tongues = [(rng.uniform(0, KEPT, size=c), float(rng.uniform(*BLUR))) for _ in range(len(LANGUAGES) - 1 + new)]
    english = (np.ones(c), 0.0)
    weights = np.stack([_reward(seed, m, worth, strength, plain) for m in range(count)])
    # one set of items, translated: the same content under each language's blur
    content = _content(np.random.default_rng([seed, 2]), worth, items)
    bench = {
        language: _translated(np.random.default_rng([seed, 3, i]), content, worth, strength, *tongue)
        for i, (language, tongue) in enumerate(zip(LANGUAGES, [english, *tongues], strict=False))
    }
    found = []
    for part in (4, 5):
        accuracy = []
        for i, tongue in enumerate([english, *tongues[len(LANGUAGES) - 1 :]]):
            draw = np.random.default_rng([seed, part, i])
            rows = _translated(draw, _content(draw, worth, 10 * items), worth, strength, *tongue)
            accuracy.append((rows @ weights.T > 0).mean(axis=0))
        there = np.mean(accuracy[1:], axis=0)
        found.append((there, there - accuracy[0]))
    return Setting(weights, bench, *found[0], found[1])


def _content(rng: np.random.Generator, worth: Numbers, count: int) -> Numbers:
    """Differences of the content of right minus wrong answers, (count, d)."""
    x = rng.normal(size=(count, len(worth)))
    return np.asarray(x * np.sign(x @ worth)[:, None])


def _translated(
    rng: np.random.Generator, content: Numbers, worth: Numbers, strength: Numbers, kept: Numbers, blur: float
) -> Numbers:
    """What a reward sees of the differences in a language, (n, d + cues)."""
    margin = content @ worth / np.linalg.norm(worth)
    cues = margin[:, None] * strength * kept + rng.normal(size=(len(content), len(strength)))
    return np.concatenate([content + blur * rng.normal(size=content.shape), cues], axis=1)


def _reward(seed: int, place: int, worth: Numbers, strength: Numbers, plain: bool) -> Numbers:
    """Weights of one reward: fitted to annotators' labels of English pairs, by what it can see."""
    rng, d, c = np.random.default_rng([seed, 6, place]), len(worth), len(strength)
    sees = rng.random(d) < rng.uniform(0.3, 1.0)
    cues = rng.random(c) < rng.uniform(0.0, 1.0)
    count = round(np.exp(rng.uniform(np.log(50), np.log(2000))))
    rows = _translated(rng, _content(rng, worth, count), worth, strength, np.ones(c), 0.0)
    swapped = rng.random(count) > 1 / (1 + np.exp(-rows[:, :d] @ worth))  # annotators err where the margin is small
    rows[swapped] *= -1
    seen = np.concatenate([sees, np.zeros(c, dtype=bool) if plain else cues])
    weight = np.zeros(d + c)
    if seen.any():
        weight[seen] = fit_linear(rows[:, seen], l2=L2)
    return weight
