"""Agreement with a true reward, where one is known (in a world, or from a verifier)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import ShapeError
from plaudit.evaluation.baselines import correctness
from plaudit.evaluation.results import TruthAgreement
from plaudit.evaluation.strata import without_interval
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.correlation import within_group_correlation
from plaudit.stats.intervals import share


def truth_agreement(
    chosen: ArrayLike,
    rejected: ArrayLike,
    true_chosen: ArrayLike,
    true_rejected: ArrayLike,
    clusters: Clusters,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> TruthAgreement:
    """How the rewards of pairs agree with their true rewards: on clean labels, and within prompts.

    Args:
        chosen: (n,) rewards of the chosen ones; NaN where there is none.
        rejected: (n,) rewards of the rejected ones.
        true_chosen: (n,) true rewards; NaN where unknown.
        true_rejected: (n,) true rewards.
        clusters: (n,) labels of the prompts.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if the columns differ in length.
    """
    columns = [np.asarray(c, dtype=np.float64) for c in (chosen, rejected, true_chosen, true_rejected)]
    if len({c.shape for c in columns}) != 1:
        raise ShapeError(f"truth_agreement: shapes {[c.shape for c in columns]}; the four columns must be equal")
    margin, truth = columns[0] - columns[1], columns[2] - columns[3]
    codes = cluster_codes(clusters, margin.size)
    # the label of a pair is the sign of its true margin; a pair without a better one has no right answer
    right = np.where(truth == 0, np.nan, correctness(margin * np.sign(truth)))
    label = np.where((truth == 0) | np.isnan(margin), np.nan, correctness(truth))
    proxy, gold = np.concatenate(columns[:2]), np.concatenate(columns[2:])
    both = np.concatenate([codes, codes])
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    return TruthAgreement(
        accuracy=share(right, codes, **options),
        correlation=without_interval(within_group_correlation(proxy, gold, both, **options)),
        rank_correlation=without_interval(within_group_correlation(proxy, gold, both, rank=True, **options)),
        label_accuracy=share(label, codes, **options),
    )
