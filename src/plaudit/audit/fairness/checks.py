"""Fairness as checks of an audit: whose group it is, what was compared, and whether the truth was there to match.

An attribute belongs to the pair (its author, subject or annotator: one value a pair, in the column itself) or to the
completions (their style, dialect, model: one value each, in `chosen_COLUMN` and `rejected_COLUMN`). Pairs are
compared by accuracy, also at equal merit and jointly; completions by who is preferred in mixed pairs, who scores higher
and who is selected. Without a true reward, labels stand for what is deserved, and every sentence says so. What the
columns do not allow is grey and says what it would need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.fairness.attributes import Attribute, continuous, judged_margin
from plaudit.audit.fairness.candidates import SCORES, SELECTED, candidate_checks, pool
from plaudit.audit.fairness.depending import dependence_check
from plaudit.audit.fairness.gaps import gap_checks
from plaudit.audit.fairness.merit import SAYS, completion_parity, pair_parity
from plaudit.audit.fairness.preferred import preference_checks
from plaudit.records.rows import Pair
from plaudit.rewards.base import RewardBatch

GAP = 0.05
"""Accuracy points from which a gap matters, as in the verdict's thresholds."""


def fairness_checks(
    pairs: Sequence[Pair],
    chosen: RewardBatch,
    rejected: RewardBatch,
    attributes: Sequence[Attribute],
    *,
    true_margin: ArrayLike | None = None,
    true_sides: tuple[ArrayLike, ArrayLike] | None = None,
    stratum: str = "",
    scores: bool = True,
    threshold: float = GAP,
    min_group: int = 30,
    seed: int = 0,
    resamples: int = 2000,
) -> tuple[Check, ...]:
    """Every fairness check that the pairs allow, and a grey one for each that they do not.

    Args:
        pairs: n pairs.
        chosen: their rewards.
        rejected: likewise.
        attributes: by which groups are formed; none gives one grey check that says so.
        true_margin: (n,) true rewards of chosen minus rejected, where known.
        true_sides: (n,) true rewards of the chosen and of the rejected completions, where known.
        stratum: column of what may rightly differ, for conditional parity; empty where there is none.
        scores: whether the rewards are scores of one completion each, and not halves of a comparison.
        threshold: of gaps, in accuracy points.
        min_group: pairs below which a group is named, and not measured.
        seed: of bootstrap and permutations.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if an attribute is in no pair.
    """
    if not attributes:
        says = "how much worse the reward is for some groups than for others"
        return (not_measured("fairness/gaps", says, "no attribute was named", fix="Name columns with --group."),)
    margin = np.asarray(chosen.reward - rejected.reward)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "min_group": min_group}
    found: list[Check] = []
    shared = [a for a in attributes if a.whose != "completion"]
    nominal = [a for a in shared if not continuous(pairs, a.column)]
    if nominal:
        found += gap_checks(pairs, margin, nominal, true_margin, threshold=threshold, **options)
    for attribute in shared:
        if attribute not in nominal:
            found.append(dependence_check(pairs, margin, [attribute], true_margin, seed))
    if len(shared) > 1:
        found.append(dependence_check(pairs, margin, shared, true_margin, seed))
    of_completions = [a for a in attributes if a.whose == "completion"]
    for attribute in of_completions:
        found += preference_checks(pairs, margin, attribute.column, true_margin, threshold=threshold, **options)
    found += _pool_checks(pairs, chosen, rejected, of_completions, true_sides, scores, threshold, options)
    found += _parity_checks(pairs, margin, nominal, of_completions, true_margin, stratum, threshold, options)
    return tuple(found)


def _pool_checks(
    pairs: Sequence[Pair],
    chosen: RewardBatch,
    rejected: RewardBatch,
    attributes: Sequence[Attribute],
    true_sides: tuple[ArrayLike, ArrayLike] | None,
    scores: bool,
    threshold: float,
    options: dict[str, Any],
) -> list[Check]:
    """Gaps between the scores of groups of candidates, and who is selected; grey where no candidate has a group."""
    why = "a comparison gives no reward of one completion" if not scores else ""
    if not attributes:
        why = "the attributes belong to pairs, and rewards of different prompts have no common zero"
    if why:
        fix = "Name an attribute of completions: --group COLUMN:completion, with chosen_COLUMN and rejected_COLUMN."
        return [not_measured("fairness/scores", SCORES, why, fix=fix),
                not_measured("fairness/selection", SELECTED, why, fix=fix)]  # fmt: skip
    true = {} if true_sides is None else {"true_chosen": true_sides[0], "true_rejected": true_sides[1]}
    found = pool(pairs, chosen.reward, rejected.reward, [a.column for a in attributes], **true)
    return list(
        candidate_checks(found, threshold=threshold, min_prompts=options["min_group"], seed=options["seed"],
                         resamples=options["resamples"])
    )  # fmt: skip


def _parity_checks(
    pairs: Sequence[Pair],
    margin: NDArray[np.float64],
    nominal: Sequence[Attribute],
    of_completions: Sequence[Attribute],
    true_margin: ArrayLike | None,
    stratum: str,
    threshold: float,
    options: dict[str, Any],
) -> list[Check]:
    """Conditional parity, where a stratum was named."""
    if not stratum:
        why = "no column of what may rightly differ was named"
        return [not_measured("fairness/parity", SAYS, why, fix="Name one with --stratum.")]
    found: list[Check] = []
    for a in nominal:
        judged = judged_margin(margin, true_margin)
        found += pair_parity(pairs, margin, judged, a.column, a.whose, stratum, threshold=threshold, **options)
    for a in of_completions:
        found += completion_parity(pairs, margin, a.column, stratum, threshold=threshold, **options)
    if not found:
        found.append(not_measured("fairness/parity", SAYS, "attributes are numbers; name one of groups"))
    return found
