"""Many linear rewards of different merit, several benchmarks of them, and best-of-n by each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import best_credit, pair_credit
from plaudit.evaluation.benchmarks.items import Item
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.records.message import Message
from plaudit.records.sample import Sample
from plaudit.search import best_of_n_values
from plaudit.training.frozen import fit_linear

WRONG = {"ten": 9, "nine_pairs": 9, "four": 3, "pair": 1}
"""Wrong candidates a problem; `styled_` before a name changes the style of the right one."""
STYLED = ("ten", "pair")
RIGHT = 0.8
"""Quantile of the true reward above which a solution is right."""
MINDS = 1.5
"""Most that annotators mind a unit of style, where a unit of a feature is worth about 1."""
L2 = 1e-2

Numbers = np.ndarray


@dataclass(frozen=True)
class Setting:
    """An instance: what is true, and its rewards.

    Attributes:
        worth: of each content feature, (d,).
        weights: of the rewards, (rewards, d + styles).
        gold: true reward of best-of-n by each, (rewards,), and on other prompts.
    """

    worth: Numbers
    weights: Numbers
    gold: Numbers
    other: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `score`, the benchmark's mean over rewards.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    kind = name.removeprefix("styled_")
    known = kind in WRONG and (kind == name or kind in STYLED)
    if not (known or name in ("coin", "oracle")) or knob not in ("", "0"):
        raise InputError(f"one_against_nine: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("features", "styles", "rewards", "prompts", "candidates", "best"))
    setting = _setting(seed, bool(knob), sizes)
    if name == "coin":
        score = np.random.default_rng([seed, 9]).random(len(setting.gold))
    elif name == "oracle":
        score = setting.other
    else:
        score = _scores(seed, setting, kind, styled=kind != name, problems=int(budget["problems"]))
    return {"foretells": float(spearmanr(score, setting.gold).statistic), "score": float(score.mean())}


def _scores(seed: int, setting: Setting, kind: str, *, styled: bool, problems: int) -> Numbers:
    """What each reward reaches on a benchmark."""
    d, s = len(setting.worth), setting.weights.shape[1] - len(setting.worth)
    rng = np.random.default_rng([seed, 5])
    pool = rng.normal(size=(problems, 200, d))
    true = pool @ setting.worth
    bar = float(np.quantile(true, RIGHT))
    style, shift = rng.normal(size=(problems, 1, s)), rng.normal(size=s)
    wrong = WRONG[kind]
    x = np.empty((problems, wrong + 1, d + s))
    for row, candidates, worth, own in zip(x, pool, true, style, strict=True):
        # the first solution on each side of the bar, in the order drawn
        order = np.concatenate([np.flatnonzero(worth > bar)[:1], np.flatnonzero(worth <= bar)[:wrong]])
        row[:, :d], row[:, d:] = candidates[order], own
    if styled:
        x[:, 0, d:] += shift
    items = [_item(i, wrong) for i in range(problems)]
    return np.array([_score(kind, items, x @ w) for w in setting.weights])


def _item(number: int, wrong: int) -> Item:
    prompt = (Message("user", f"problem {number}"),)
    candidates = tuple(Sample(prompt, f"{j}") for j in range(wrong + 1))
    return Item(f"{number}", "", candidates, (True, *[False] * wrong), meta={"rejected": wrong})


def _score(kind: str, items: list[Item], rewards: Numbers) -> float:
    judged = fixed(list(rewards))
    if kind == "ten":
        statistic = benchmark("rewardmath").statistics(items, judged).statistics[0]
        total = statistic.columns.sum(axis=0)[None]
        return float(statistic.function(total)[0])
    if kind == "four":
        return float(best_credit(items, judged).mean())
    return float(pair_credit(judged.margins(items), tie=0.5).mean())


@lru_cache(maxsize=2)
def _setting(seed: int, plain: bool, sizes: tuple[int, ...]) -> Setting:
    d, s, count, prompts, candidates, best = sizes
    rng = np.random.default_rng([seed, 1])
    worth = rng.normal(size=d)
    weights = np.stack([_reward(seed, m, worth, s, plain) for m in range(count)])
    found = []
    for part in (2, 3):
        pool = np.random.default_rng([seed, part]).normal(size=(prompts, candidates, d + s))
        true = pool[:, :, :d] @ worth
        found.append(
            np.array([float(best_of_n_values(pool @ w, true, [best]).mean()) / np.linalg.norm(worth) for w in weights])
        )
    return Setting(worth, weights, *found)


def _reward(seed: int, place: int, worth: Numbers, styles: int, plain: bool) -> Numbers:
    """Weights of one reward: fitted to its own annotators' labels of its own pairs, by what it can see."""
    rng, d = np.random.default_rng([seed, 4, place]), len(worth)
    sees = rng.random(d) < rng.uniform(0.3, 1.0)
    minds = rng.normal(size=styles) * rng.uniform(0, MINDS)
    gap = rng.normal(size=(round(np.exp(rng.uniform(np.log(50), np.log(2000)))), d + styles)) * np.sqrt(2)
    if plain:
        minds = np.zeros(styles)
    margin = gap[:, :d] @ worth + gap[:, d:] @ minds
    sign = np.where(rng.random(len(gap)) < 1 / (1 + np.exp(-margin)), 1.0, -1.0)
    seen = np.concatenate([sees, np.full(styles, not plain)])
    weight = np.zeros(d + styles)
    if seen.any():
        weight[seen] = fit_linear(gap[:, seen] * sign[:, None], l2=L2)
    return weight
