"""All models of all instances in one ranking: what the verdict's mean over instances cannot show.

Within an instance four models give a coarse rank correlation; pooled, forty-eight give a fine one, into which also goes
whether a number means the same from world to world. Instances are resampled whole, for their models share a world.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]
Runs = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Instance to arm to numbers."""


@dataclass(frozen=True)
class Pooled:
    """One arm over all models.

    Attributes:
        spearman: rank correlation of what it said with minus the regret.
        difference: of the first arm's rank correlation and this one's; None for the first.
        models: how many.
    """

    spearman: Estimate
    difference: Estimate | None
    models: int


def pooled(runs: Runs, arms: Sequence[str], *, seed: int = 0, resamples: int = 2000) -> dict[str, Pooled]:
    """Pooled rank correlations, and how far the first arm's lies above each other's.

    Args:
        runs: instance to arm to the numbers that `run_instance` returned.
        arms: which, the first being the one that is compared with the others.
        seed: of the resampling of instances.
        resamples: number of bootstrap resamples.
    """
    names = sorted(runs)
    tables = {arm: [_table(runs[name][arm]) for name in names] for arm in arms}
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(names), len(names)) for _ in range(resamples)]
    value = {arm: _spearman(tables[arm], range(len(names))) for arm in arms}
    many = {arm: np.array([_spearman(tables[arm], d) for d in drawn]) for arm in arms}
    first = arms[0]
    count = sum(len(t) for t in tables[first])
    return {
        arm: Pooled(
            _estimate(value[arm], many[arm], len(names)),
            None if arm == first else _estimate(value[first] - value[arm], many[first] - many[arm], len(names)),
            count,
        )
        for arm in arms
    }


def _table(numbers: Mapping[str, float]) -> Floats:
    """(k, 2): what was said, and minus the regret."""
    k = sum(key.startswith("said#") for key in numbers)
    return np.array([[numbers[f"said#{i}"], -numbers[f"regret#{i}"]] for i in range(k)])


def _spearman(tables: Sequence[Floats], chosen: Sequence[int] | range | NDArray[np.int64]) -> float:
    rows = np.concatenate([tables[i] for i in chosen])
    if len(set(rows[:, 0].tolist())) < 2 or len(set(rows[:, 1].tolist())) < 2:
        return 0.0
    return float(spearmanr(rows[:, 0], rows[:, 1]).statistic)


def _estimate(value: float, drawn: Floats, n: int) -> Estimate:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n, f"bootstrap over {n} instances, 95%")


def main() -> None:
    """Prints the table of a folder of results: `python -m plaudit.lab.experiments.audit.forecast.pooled FOLDER`."""
    from plaudit.lab import find_experiment
    from plaudit.lab.running import read_results

    parser = argparse.ArgumentParser(prog="pooled")
    parser.add_argument("folder", type=Path, help="where `plaudit lab run audit/forecast --folder` wrote")
    claim = find_experiment("audit/forecast").claim
    runs = {k: v for k, v in read_results(parser.parse_args().folder, claim).items() if k.startswith("confirmatory")}
    found = pooled(runs, claim.arms)
    table = {arm: p.spearman for arm, p in found.items()}
    table |= {f"audit - {arm}": p.difference for arm, p in found.items() if p.difference is not None}
    print(f"rank correlation with minus the regret of best-of-256, {found['audit'].models} models")
    for name, estimate in table.items():
        print(f"{name:<24}{estimate.format()}  {estimate.method}")


if __name__ == "__main__":
    main()
