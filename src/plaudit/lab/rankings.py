"""Whether what is better in one world is better in another: rankings of the methods that two experiments share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.lab.claim import Claim
from plaudit.lab.running import Results
from plaudit.stats.correlation import kendall_tau
from plaudit.stats.estimate import Estimate

CONTROLS = frozenset({"oracle", "placebo", "longer", "linear"})
"""Arms that are no methods: they would rank alike in any two worlds."""

RESAMPLES, HALVINGS = 1000, 200


@dataclass(frozen=True)
class RankingAgreement:
    """How two experiments in different worlds rank the methods that both have.

    Attributes:
        first: name of one experiment.
        second: name of the other.
        worlds: theirs.
        methods: arms of both, without controls.
        tau: Kendall's tau-b of the two rankings by mean metric; its interval has the 2.5 and 97.5% percentiles over
            resampled instances of both. Noise in the means brings it nearer to 0 than it is.
        within: mean tau between the rankings by two halves of a world's own instances, for each of the two: how well
            half of the instances tell its ranking, so that all of them tell it better.
    """

    first: str
    second: str
    worlds: tuple[str, str]
    methods: tuple[str, ...]
    tau: Estimate
    within: tuple[float, float]


def ranking_agreements(results: Mapping[str, tuple[Claim, Results]], *, seed: int = 0) -> list[RankingAgreement]:
    """Every experiment that says whose ranking of methods it repeats in another world (`ranked_like`), with that one.

    Only arms at the dose of the claim's contrast are ranked: over several doses the dose alone would order them alike.

    Args:
        results: name to claim and what was run; where the other experiment is not among them, there is no row.
        seed: of the resampling.

    Raises:
        InputError: if the two measure other metrics, or share no two methods.
    """
    found: list[RankingAgreement] = []
    for second, other in results.values():
        if second.ranked_like not in results:
            continue
        first, one = results[second.ranked_like]
        arms = [_methods(claim) for claim in (first, second)]
        shared = tuple(method for method in arms[0] if method in arms[1])
        if first.metric != second.metric or len(shared) < 2:
            raise InputError(
                f"lab: {second.name} is ranked like {first.name}, and they measure {second.metric} and {first.metric} "
                f"of {len(shared)} methods that both have; give one metric and at least two methods"
            )
        x, y = (_values(r, [a[m] for m in shared], first.metric) for r, a in zip((one, other), arms, strict=True))
        if min(len(x), len(y)) > 1:
            rng = np.random.default_rng([seed, *f"{first.name} {second.name}".encode()])
            tau, within = _tau(x, y, rng), (_of_halves(x, rng), _of_halves(y, rng))
            found.append(RankingAgreement(first.name, second.name, (first.world, second.world), shared, tau, within))
    return found


def _methods(claim: Claim) -> dict[str, str]:
    """Methods, and their arms at the contrast's dose."""
    dose = claim.contrast[0].partition("@")[2]
    split = {arm: arm.partition("@") for arm in claim.arms if arm != claim.oracle}
    return {name: arm for arm, (name, _, at) in split.items() if at == dose and name not in CONTROLS}


def _values(runs: Results, arms: Sequence[str], metric: str) -> Float[np.ndarray, "n m"]:
    """The metric of these arms on each confirmatory instance that has them all."""
    kept = [v for k, v in runs.items() if k.startswith("confirmatory-") and all(arm in v for arm in arms)]
    return np.array([[v[arm][metric] for arm in arms] for v in kept]).reshape(len(kept), len(arms))


def _tau(first: Float[np.ndarray, "n m"], second: Float[np.ndarray, "k m"], rng: np.random.Generator) -> Estimate:
    """Tau of the columns' means, with a percentile interval over resampled rows of both."""
    both = (first, second)
    drawn = [kendall_tau(*(x[rng.integers(len(x), size=len(x))].mean(axis=0) for x in both)) for _ in range(RESAMPLES)]
    known = np.array(drawn)[~np.isnan(drawn)]  # undefined where all means of a world are equal
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return Estimate(
        kendall_tau(*(x.mean(axis=0) for x in both)), float(low), float(high), n=min(map(len, both)),
        method="bootstrap over instances, 95%",
    )  # fmt: skip


def _of_halves(values: Float[np.ndarray, "n m"], rng: np.random.Generator) -> float:
    """Mean tau between the columns' means over two random halves of the rows."""
    half, found = len(values) // 2, []
    for _ in range(HALVINGS):
        order = rng.permutation(len(values))
        found.append(kendall_tau(*(values[at].mean(axis=0) for at in (order[:half], order[half : 2 * half]))))
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")
