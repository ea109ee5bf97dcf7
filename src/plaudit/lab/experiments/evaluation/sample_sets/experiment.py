"""Sets of samples from intact and from degraded samplers, and metrics that should tell them apart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.mixtures import amd, amv, fit_mixture
from plaudit.stats.selective import auroc

ARMS = ("amd", "best", "mean", "centre", "amv", "coin")
SHIFT, WIDER = 1.0, 1.5
"""Of the sampler, in its own deviations; and the factor of its spread."""

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `seen`, see the claim: AUROC of degraded sets against intact ones of other draws, over prompts.
    """
    del fit  # samplers are drawn
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "wide"):
        raise InputError(f"sample_sets: arm {arm!r} is not known; the claim lists the arms")
    intact, changed = (
        _measured(seed, kind, int(budget["prompts"]), int(budget["samples"])) for kind in ("", knob or "1")
    )
    score = np.concatenate([intact[name], changed[name]])
    return {"seen": auroc(score, np.repeat([0.0, 1.0], len(score) // 2))}


@lru_cache(maxsize=6)
def _measured(seed: int, kind: str, prompts: int, samples: int) -> dict[str, Numbers]:
    """Every metric of every prompt's set; `kind` is empty for the intact sampler."""
    found: dict[str, list[float]] = {name: [] for name in ARMS}
    rng = np.random.default_rng([seed, 1])
    for p in range(prompts):
        middle, apart = rng.normal(size=2), rng.normal(size=2) * 1.5
        mix, own = rng.uniform(0.2, 0.8), rng.uniform(0.5, 1.0, 2)
        draw = np.random.default_rng([seed, 2, p, 0 if kind == "" else 1])
        target = _draw(np.random.default_rng([seed, 3, p]), 1, middle, apart, mix, own)[0]
        x = _draw(draw, samples, middle, apart, mix, own)
        spread = np.sqrt(mix * (1 - mix) * apart**2 + 2 * own**2)  # of each axis; t of 4 degrees has variance 2
        if kind == "1":
            turn = draw.normal(size=2)
            x = x + SHIFT * spread * turn / np.linalg.norm(turn)
        if kind == "wide":
            x = middle + mix * apart + WIDER * (x - middle - mix * apart)
        distance = np.linalg.norm(x - target, axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a start of a mixture that does not converge is as good as one that does
            mixture = fit_mixture(x, seed=0)
        row = {
            "amd": amd(target, *mixture), "amv": amv(*mixture), "best": distance.min(), "mean": distance.mean(),
            "centre": np.linalg.norm(x.mean(axis=0) - target), "coin": draw.random(),
        }  # fmt: skip
        for name, value in row.items():
            found[name].append(float(value))
    return {name: np.array(values) for name, values in found.items()}


def _draw(rng: np.random.Generator, n: int, middle: Numbers, apart: Numbers, mix: float, own: Numbers) -> Numbers:
    second = (rng.random(n) < mix)[:, None]
    return np.asarray(middle + second * apart + own * rng.standard_t(4, size=(n, 2)))
