"""Linear rewards of prompt and response, their rates on contrasts, and best-of-n by each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import spearmanr

from plaudit.audit.consistency.contrast import Contrast, contrast_rates
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.records.message import Message
from plaudit.records.sample import Sample
from plaudit.rewards.functions import FunctionReward
from plaudit.search import best_of_n_values
from plaudit.training.frozen import fit_linear

ARMS = ("interaction", "accuracy", "responses", "instructions", "coin", "oracle")
GOOD = 0.3
"""Deviation of general quality among the responses of a good policy, where fit has deviation 1."""
NEAR = 0.6
"""How far the second of two near prompts is moved, in deviations of a prompt."""
OF = 16
"""Responses of which the best is a prompt's good one."""
L2 = 1e-2

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `level`, the measure's mean over rewards.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"contrast_instructions: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in budget)
    weights, fits, measures = _rewards(seed, sizes)
    spread = 1.0 if knob else GOOD
    gold = _best_of_n(seed, 5, weights, fits, spread, sizes)
    if name == "oracle":
        value = _best_of_n(seed, 6, weights, fits, spread, sizes)
    elif name == "coin":
        value = np.random.default_rng([seed, 9]).random(len(weights))
    else:
        value = measures[name]
    return {"foretells": float(spearmanr(value, gold).statistic), "level": float(value.mean())}


def features(prompt: Numbers, response: Numbers) -> Numbers:
    """Products of prompt (d) and response (d + 1), then the response, whose first number is its quality."""
    outer = prompt[..., :, None] * response[..., None, :]
    return np.concatenate([outer.reshape(*outer.shape[:-2], -1), response], axis=-1)


@lru_cache(maxsize=2)
def _rewards(seed: int, sizes: tuple[int, ...]) -> tuple[Numbers, Numbers, dict[str, Numbers]]:
    """Weights of the rewards and of the truth, and what each measure says of each reward."""
    d, count, contrasts, pairs = sizes[:4]
    rng = np.random.default_rng([seed, 1])
    truth = np.zeros(d * (d + 1) + d + 1)
    truth[: d * (d + 1)].reshape(d, d + 1)[:, 1:] = rng.normal(size=(d, d)) / d
    truth[d * (d + 1)] = 1.0
    weights = np.stack([_fitted(seed, m, truth, d) for m in range(count)])
    x, good, poor = _ordinary(np.random.default_rng([seed, 3]), pairs, truth, d, 0.0)
    margins = (features(x, good) - features(x, poor)) @ weights.T
    measures = {"accuracy": np.asarray((margins > 0).mean(axis=0))}
    found = [_rates(seed, contrasts, truth, w, d) for w in weights]
    for k, name in enumerate(("interaction", "responses", "instructions")):
        measures[name] = np.array([row[k] for row in found])
    return weights, truth, measures


def _fitted(seed: int, place: int, truth: Numbers, d: int) -> Numbers:
    rng = np.random.default_rng([seed, 2, place])
    n, share = round(float(np.exp(rng.uniform(np.log(100), np.log(2000))))), float(rng.uniform(0, 0.5))
    x, first, second = _ordinary(rng, n, truth, d, share)
    gap = features(x, first) - features(x, second)
    return fit_linear(gap * np.where(rng.random(n) < expit(2 * gap @ truth), 1.0, -1.0)[:, None], l2=L2)


def _ordinary(
    rng: np.random.Generator, n: int, truth: Numbers, d: int, share: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Prompts, their good responses, and rejected ones: of lower quality, or (a share) good for another prompt."""
    x, other = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    good, foreign = (_good(rng, prompt, truth) for prompt in (x, other))
    poor = good.copy()
    poor[:, 1:] = rng.normal(size=(n, d)) * 0.3 + good[:, 1:]  # about what a good one says, and said worse
    poor[:, 0] = good[:, 0] - np.abs(rng.normal(1.0, 0.7, n))
    return x, good, np.where((rng.random(n) < share)[:, None], foreign, poor)


def _good(rng: np.random.Generator, prompt: Numbers, truth: Numbers) -> Numbers:
    """The best of several responses to each prompt."""
    n, d = prompt.shape
    drawn = rng.normal(size=(n, OF, d + 1))
    drawn[:, :, 0] *= GOOD
    best = (features(np.repeat(prompt[:, None], OF, axis=1), drawn) @ truth).argmax(axis=1)
    return np.asarray(drawn[np.arange(n), best])


def _rates(seed: int, count: int, truth: Numbers, weight: Numbers, d: int) -> tuple[float, float, float]:
    rng = np.random.default_rng([seed, 4])
    one = rng.normal(size=(count, d))
    two = (one + NEAR * rng.normal(size=one.shape)) / np.sqrt(1 + NEAR**2)
    prompts = np.concatenate([one, two])
    responses = np.concatenate([_good(rng, one, truth), _good(rng, two, truth)])
    samples = [Sample((Message("user", f"{i}"),), f"{i}") for i in range(2 * count)]

    def reward(rows: Sequence[Sample]) -> list[float | None]:
        at = np.array([[int(s.prompt[0].text), int(s.text)] for s in rows])
        return [float(v) for v in features(prompts[at[:, 0]], responses[at[:, 1]]) @ weight]

    contrasts = [Contrast(a, b) for a, b in zip(samples[:count], samples[count:], strict=True)]
    rates = contrast_rates(contrasts, FunctionReward(reward, "bilinear"), resamples=1)
    return rates.interaction.value, rates.responses.value, rates.instructions.value


def _best_of_n(
    seed: int, part: int, weights: Numbers, truth: Numbers, spread: float, sizes: tuple[int, ...]
) -> Numbers:
    """True reward of best-of-n by each reward, among responses whose quality differs by `spread`."""
    d, prompts, candidates, best = sizes[0], *sizes[4:]
    rng = np.random.default_rng([seed, part])
    x, y = rng.normal(size=(prompts, 1, d)), rng.normal(size=(prompts, candidates, d + 1))
    y[:, :, 0] *= spread
    table = features(np.broadcast_to(x, (prompts, candidates, d)), y)
    true = table @ truth
    true = (true - true.mean(axis=1, keepdims=True)) / true.std(axis=1).mean()
    return np.array([float(best_of_n_values(table @ w, true, [best]).mean()) for w in weights])
