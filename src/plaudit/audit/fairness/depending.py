"""Dependence on continuous attributes, and on several together, as checks of an audit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.fairness.attributes import Attribute, continuous, judged_margin, rightness
from plaudit.audit.fairness.dependence import dependence_test
from plaudit.audit.fairness.examples import mistakes
from plaudit.evaluation.pairs import group_values, prompt_key
from plaudit.records.rows import Pair
from plaudit.stats.dependence import attribute_matrix, joint_distance_covariance
from plaudit.stats.estimate import Estimate

P_VALUE = 0.01
"""Below, a dependence counts as shown."""
FEWEST = 4
"""Prompts below which nothing is tested."""
JOINT = 500
"""Rows of which the joint distance covariance is told: memory and time grow with their square."""
FIX = "Collect pairs of those that it serves worse, or train with --fair distance-covariance, then audit again."


def dependence_check(
    pairs: Sequence[Pair],
    margin: NDArray[np.float64],
    attributes: Sequence[Attribute],
    true_margin: ArrayLike | None,
    seed: int,
) -> Check:
    """Whether being right depends on an attribute, or on several together, in whatever shape.

    Pairs of one prompt are right or wrong together, and a permutation takes them for independent: of each prompt one
    pair is drawn. Several together find what none shows alone (bad to a=1, b=0 and to a=0, b=1); their joint distance
    covariance, which the attributes' own dependence enters, is told beside it.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected.
        attributes: of the pairs, at least one.
        true_margin: (n,) true ones, or None.
        seed: of draw and permutations.
    """
    right = rightness(margin, true_margin)
    raw = [[_number(p.meta.get(a.column)) for p in pairs] if continuous(pairs, a.column)
           else list(group_values(pairs, a.column)) for a in attributes]  # fmt: skip
    given = np.isfinite(right) & np.array([all(v == v for v in row) for row in zip(*raw, strict=True)])
    usable = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(given))
    _, first = np.unique([prompt_key(pairs[i]) for i in usable], return_index=True)
    rows = np.sort(usable[first])
    said = ", one pair of each prompt" if len(first) < len(usable) else ""
    columns: list[Sequence[object]] = [[values[i] for i in rows] for values in raw]
    left_out = len(pairs) - len(usable)
    names = " and ".join(f"{a.column} ({a.whose})" for a in attributes)
    name = "fairness/joint" if len(attributes) > 1 else f"fairness/{attributes[0].column}"
    says = f"p-value that being right does not depend on {names}, by distance covariance{said}"
    if len(rows) < FEWEST:
        return not_measured(name, says, f"{len(rows)} prompts have all of it, and {FEWEST} are needed")
    if np.ptp(right[rows]) == 0:
        return not_measured(name, says, "it is as right on every pair, so there is nothing that could depend")
    test = dependence_test(right[rows], attribute_matrix(columns), seed=seed)
    says += f"; distance correlation {test.correlation:.2f}"
    if len(attributes) > 1:
        some = np.sort(np.random.default_rng([seed, 2]).permutation(len(rows))[:JOINT])
        parts = [attribute_matrix([[c[i] for i in some]]) for c in columns]
        joint = joint_distance_covariance([right[rows][some], *parts])
        says += f"; joint distance covariance, attributes among themselves included, {joint:.3g}"
    evidence = Estimate(test.p_value, n=test.n, method="permutation test")
    tested = np.zeros(len(pairs), dtype=bool)
    tested[rows] = True

    def values_of(i: int) -> str:
        return ", ".join(f"{a.column}={values[i]}" for a, values in zip(attributes, raw, strict=True))

    examples = mistakes(pairs, margin, judged_margin(margin, true_margin), tested, values_of)
    return Check(name, says, evidence, P_VALUE, "below", examples, left_out, fix=FIX)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
