"""Trees that judge applicants as biased annotators did, and what repairs them after they were fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.tree import DecisionTreeClassifier

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.trees import fair_tree_values

ARMS = ("mixture", "full", "plain", "without", "elsewhere", "rates", "just")
MERIT, BIAS = 0.3, (0.5, 1.5)
"""Deviation of the group's mean merit where it differs, and what biased annotators take off, in deviations of merit."""
SHARE, VIEWS, SEEN, PROXY, SHARPNESS = 0.3, 2, 0.5, 1.0, 3.0
"""Share of the group; features that show merit, their noise; how far one more shows the group; log-odds of a label."""
DEPTH, LEAF = 6, 20

Numbers = np.ndarray


@dataclass(frozen=True)
class People:
    """Applicants: what a tree sees, (n, 2 + views), the attribute first; the group; labels as given and as merited."""

    seen: Numbers
    group: Numbers
    given: Numbers
    merited: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `gap`: how far the shares of the group and of the others that are favoured lie apart; `accuracy` by labels as
        they are given, `merited` by labels that nobody biased; `split`, the tree's nodes on the attribute.
    """
    del fit  # trees of given numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "age", "merit"):
        raise InputError(f"fair_trees: arm {arm!r} is not known; the claim lists the arms")
    train, test, trees = _fitted(seed, knob, int(budget["train"]), int(budget["test"]))
    tree = trees[name if name in ("without", "just") else "plain"]
    if name == "rates":
        said = _rates(tree, train, test)
    elif name in ("without", "just", "plain"):
        said = tree.predict_proba(_shown(name, test.seen))[:, 1]
    else:
        options: dict[str, Any] = {"protected": [0], "ranges": np.ptp(train.seen, axis=0)}
        if name == "elsewhere":
            options["protected"] = range(1, 1 + VIEWS)
        elif name == "full":
            options["flip"] = 1.0
        said = fair_tree_values(tree, test.seen, test.group, **options)[:, 1]
    favoured = said >= 0.5
    return {
        "gap": float(abs(favoured[test.group].mean() - favoured[~test.group].mean())),
        "accuracy": float((favoured == test.given).mean()), "merited": float((favoured == test.merited).mean()),
        "split": float((tree.tree_.feature == 0).sum()) if name != "without" else 0.0,
    }  # fmt: skip


@lru_cache(maxsize=3)
def _fitted(seed: int, knob: str, train: int, test: int) -> tuple[People, People, dict[str, DecisionTreeClassifier]]:
    """Applicants to learn from and to judge; trees of all columns, without the attribute, and of unbiased labels."""
    rng = np.random.default_rng([seed, 1])
    bias, shift = float(rng.uniform(*BIAS)), float(rng.normal(0, MERIT))
    bias, shift = 0.0 if knob == "0" else bias, shift if knob == "merit" else 0.0
    rows, others = (_people(np.random.default_rng([seed, 2, part]), n, bias, shift, knob == "age")
                    for part, n in enumerate((train, test)))  # fmt: skip
    trees = {
        name: DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=LEAF, random_state=0).fit(
            _shown(name, rows.seen), rows.merited if name == "just" else rows.given
        )
        for name in ("plain", "without", "just")
    }
    return rows, others, trees


def _people(rng: np.random.Generator, n: int, bias: float, shift: float, aged: bool) -> People:
    attribute = rng.random(n)
    group = attribute > 1 - SHARE
    merit = rng.normal(size=n) + shift * group
    views = merit[:, None] + rng.normal(0, SEEN, (n, VIEWS))
    proxy = PROXY * group + rng.normal(size=n)
    chance = rng.random(n)
    given, merited = (chance < expit(SHARPNESS * (merit - b * group)) for b in (bias, 0.0))
    first = attribute if aged else group.astype(np.float64)
    return People(np.concatenate([first[:, None], views, proxy[:, None]], axis=1), group, given, merited)


def _shown(name: str, seen: Numbers) -> Numbers:
    return seen[:, 1:] if name == "without" else seen


def _rates(tree: DecisionTreeClassifier, train: People, test: People) -> Numbers:
    """The tree, with a threshold for each side that favours as large a share of it as the tree favours of all."""
    learnt, said = (tree.predict_proba(p.seen)[:, 1] for p in (train, test))
    share = float((learnt >= 0.5).mean())
    bar = {side: np.quantile(learnt[train.group == side], 1 - share) for side in (False, True)}
    return np.asarray(said >= np.where(test.group, bar[True], bar[False]), dtype=np.float64)
