"""WildBench's rule on length beside no rule and beside a regression, on the systems of `evaluation/length_control`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.judged.wildbench import MARGIN, wb_reward
from plaudit.evaluation.ratings.length_control import length_controlled_winrate
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.length_control.experiment import Field, judged_field

ARMS = ("ruled", "strict", "plain", "controlled", "shuffled")
CHARACTERS = 10.0
"""Answers are so many times longer than in the other experiment: 2,400 characters, as long as WildBench's."""
STRICT = 100
"""Characters from which a slight win is a tie, of the arm `strict`."""

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `agreement`, see the claim; `gamed`, the places by which the systems that game rank too high; `turned`, the
        share of verdicts that the rule made ties.
    """
    del fit  # nothing is trained
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"length_rule: arm {arm!r} is not known; the claim lists the arms")
    likes = 0.0 if knob else float(budget["likes"])
    field = judged_field(seed, int(budget["systems"]), int(budget["prompts"]), likes, int(budget["gaming"]))
    said = np.round(2 * (2 * field.preference - 1)) / 2  # the nearest of the five verdicts
    value = _values(name, seed, field, said)
    places = rankdata(value.mean(axis=1)) - rankdata(field.worth)
    return {
        "agreement": float(spearmanr(value.mean(axis=1), field.worth).statistic),
        "gamed": float(places[field.gaming].mean()),
        "turned": float((value != said).mean()) if name != "controlled" else 0.0,
    }


def _values(name: str, seed: int, field: Field, said: Numbers) -> Numbers:
    """What each verdict counts for, (systems, prompts); a column where a system has one number."""
    if name == "plain":
        return said
    own, theirs = CHARACTERS * field.length, np.broadcast_to(CHARACTERS * field.baseline, field.length.shape)
    if name == "controlled":
        rows = zip((said + 1) / 2, own, theirs, strict=True)
        return np.array([[length_controlled_winrate(*row, resamples=0).controlled.value] for row in rows])
    if name == "shuffled":
        rng = np.random.default_rng([seed, 3])
        deal = rng.permuted(np.broadcast_to(np.arange(own.shape[1]), own.shape), axis=1)
        own, theirs = (np.take_along_axis(x, deal, axis=1) for x in (own, theirs))
    margin = STRICT if name == "strict" else MARGIN
    return np.stack([
        wb_reward(v, np.stack([a, b], axis=1), margin=margin) for v, a, b in zip(said, own, theirs, strict=True)
    ])  # fmt: skip
