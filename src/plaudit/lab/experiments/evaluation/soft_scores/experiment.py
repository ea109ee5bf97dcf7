"""A small judge that answers yes or no whether a video shows a digit, and scores that are made of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import pair_credit, tie_share
from plaudit.evaluation.benchmarks.judged.video import soft_score
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.lab.experiments.evaluation.videos import DIGITS, FRAMES, Numbers, Places, Videos, images, videos

ARMS = ("soft", "hard", "frames", "sampled", "five", "dealt", "oracle")
YES, NO = 0, 1
"""The words among the judge's tokens; the third is any other."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, see the claim; `strict`, the benchmark's own score, in which a tie is wrong; `ties`, their share.
    """
    del fit  # a linear classifier of pixels
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in ("soft", "hard")):
        raise InputError(f"soft_scores: arm {arm!r} is not known; the claim lists the arms")
    shown, logit = _judged(seed, int(budget["seen"]), int(budget["pairs"]), bool(knob))
    score = shown.worth if name == "oracle" else _score(name, logit, np.random.default_rng([seed, 9]))
    items = [
        made_item(i, (bool(a), not a), meta={"label": "A is better" if a else "B is better"})
        for i, a in enumerate(shown.first)
    ]
    judged = fixed(list(score), bounds=(0.0, 1.0))
    margins = judged.margins(items)
    return {
        "accuracy": float(pair_credit(margins, tie=0.5).mean()),
        "strict": number_of(benchmark("uve").statistics(items, judged), "score"),
        "ties": float(tie_share(margins).mean()),
    }


def _score(name: str, logit: Numbers, rng: np.random.Generator) -> Numbers:
    """Scores in [0, 1] of videos, (n, 2), of the judge's logits of yes against no for each frame, (n, 2, frames)."""
    whole = logit.mean(axis=2)  # the judge is linear: what it says of the mean frame
    if name == "hard":
        return np.asarray(whole > 0, dtype=np.float64)
    if name == "frames":
        return np.asarray((logit > 0).mean(axis=2))
    if name == "sampled":
        return np.asarray((rng.random(logit.shape) < expit(whole)[..., None]).mean(axis=2))
    tokens = np.stack([whole.ravel(), np.zeros(whole.size), np.full(whole.size, 3.0)], axis=1)
    soft = soft_score(tokens, [YES], [NO]).reshape(whole.shape)
    if name == "five":
        return np.asarray(np.round(4 * soft) / 4)
    return rng.permutation(soft) if name == "dealt" else soft


@lru_cache(maxsize=2)
def _judged(seed: int, seen: int, pairs: int, blank: bool) -> tuple[Videos, Numbers]:
    """Pairs of videos, and the logit of yes against no for each frame; a blank judge learnt from answers dealt anew."""
    x, y, left, digits = images(seed)
    shown = videos(np.random.default_rng([seed, 2]), left, digits, pairs)
    rng = np.random.default_rng([seed, 3])
    some = rng.choice(len(y), size=seen, replace=False)
    weight, constant = _judge(x[some], rng.permutation(y[some]) if blank else y[some])
    logit = np.einsum("npfk,nk->npf", shown.frames, weight[shown.asked]) + constant[shown.asked][:, None, None]
    assert logit.shape[2] == FRAMES
    return shown, logit


def _judge(x: Numbers, y: Places) -> tuple[Numbers, Numbers]:
    """Of each digit the weights and the constant of yes against no."""
    from sklearn.linear_model import LogisticRegression

    fitted = [LogisticRegression(C=1.0, max_iter=500).fit(x, y == d) for d in range(DIGITS)]
    return np.stack([f.coef_[0] for f in fitted]), np.array([f.intercept_[0] for f in fitted])
