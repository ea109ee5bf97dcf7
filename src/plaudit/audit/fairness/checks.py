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

from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.fairness.attributes import Attribute, completion_values, continuous, rightness
from plaudit.audit.fairness.candidates import SCORES, SELECTED, candidate_checks, pool
from plaudit.audit.fairness.cells import CellGap, Cells, cell_gaps
from plaudit.audit.fairness.depending import dependence_check
from plaudit.audit.fairness.disparity import disparity_estimates
from plaudit.audit.fairness.merit import SAYS, completion_parity, pair_parity
from plaudit.audit.fairness.selection import preference_excess
from plaudit.evaluation.pairs import confidently_wrong, group_values, prompt_key
from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text
from plaudit.rewards.base import RewardBatch

GAP = 0.05
"""Accuracy points from which a gap matters, as in the verdict's thresholds."""
FIX = "Collect pairs of the group that it serves worse, or weigh them up (training/regularisers), then audit again."


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
        min_group: pairs below which a group is pooled or left out.
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
        found += _pair_checks(pairs, margin, nominal, true_margin, threshold, options)
    for attribute in shared:
        if attribute not in nominal:
            found.append(dependence_check(pairs, margin, [attribute], true_margin, seed))
    if len(shared) > 1:
        found.append(dependence_check(pairs, margin, shared, true_margin, seed))
    of_completions = [a for a in attributes if a.whose == "completion"]
    for attribute in of_completions:
        found += _completion_checks(pairs, margin, attribute, true_margin, threshold, options)
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
        right = rightness(margin, true_margin)
        found += pair_parity(pairs, right, a.column, a.whose, stratum, threshold=threshold, **options)
    for a in of_completions:
        found += completion_parity(pairs, margin, a.column, stratum, threshold=threshold, **options)
    if not found:
        found.append(not_measured("fairness/parity", SAYS, "attributes are numbers; name one of groups"))
    return found


def _pair_checks(
    pairs: Sequence[Pair],
    margin: NDArray[np.float64],
    attributes: Sequence[Attribute],
    true_margin: ArrayLike | None,
    threshold: float,
    options: dict[str, Any],
) -> list[Check]:
    whose = {a.column: a.whose for a in attributes}
    cells = cell_gaps(pairs, margin, list(whose), true_margin=true_margin, **options)
    lost = int(np.isnan(margin).sum())
    found = []
    for c in cells.gaps:
        if c.order == 1:
            who = whose[c.where[0][0]]
            says = f"accuracy on pairs whose {who} has {c.cell}, minus that on all others{_matched(cells)}"
            examples = _wrong(pairs, margin, c) if c.gap.value < 0 else ()
            found.append(Check(f"fairness/{c.cell}", says, c.gap, threshold, "outside", examples, lost, fix=FIX))
    crossed = next((c for c in cells.gaps if c.order > 1), None)
    says = f"accuracy in the crossed group with the largest gap, minus that of all others{_matched(cells)}"
    if crossed is not None:
        says = says.replace("the crossed group with the largest gap", f"the crossed group {crossed.cell}, the worst")
        examples = _wrong(pairs, margin, crossed)
        found.append(Check("fairness/crossed", says, crossed.gap, threshold, "outside", examples, lost, fix=FIX))
    elif len(attributes) > 1:
        found.append(not_measured("fairness/crossed", says, f"no crossed group has {options['min_group']} pairs"))
    if not found:
        why = f"no group has {options['min_group']} scored pairs beside others ({cells.too_small} are too small)"
        found.append(not_measured("fairness/gaps", "accuracy of each group minus that of all others", why))
    else:
        found += _equity(pairs, margin, attributes, true_margin, options)
    return found


def _equity(
    pairs: Sequence[Pair],
    margin: NDArray[np.float64],
    attributes: Sequence[Attribute],
    true_margin: ArrayLike | None,
    options: dict[str, Any],
) -> list[Check]:
    """Performance-scaled disparity of each attribute: a tenth of the accuracy between best and worst group matters."""
    right = rightness(margin, true_margin)
    prompts = [prompt_key(p) for p in pairs]
    found = []
    for a in attributes:
        d = disparity_estimates(right, group_values(pairs, a.column), prompts, **options)
        if np.isfinite(d.psd_max.value):
            says = f"best minus worst accuracy over the groups of {a.column} ({a.whose}), as a share of the accuracy"
            says += f"; scaled by evenness the accuracy is {d.equity_scaled.format()}"
            found.append(Check(f"fairness/spread/{a.column}", says, d.psd_max, 0.1, "above", fix=FIX))
    return found


def _completion_checks(
    pairs: Sequence[Pair],
    margin: NDArray[np.float64],
    attribute: Attribute,
    true_margin: ArrayLike | None,
    threshold: float,
    options: dict[str, Any],
) -> list[Check]:
    sides = completion_values(pairs, attribute.column)
    deserved = np.ones(margin.shape) if true_margin is None else np.asarray(true_margin, dtype=np.float64)
    gaps = preference_excess(
        margin, sides[0], sides[1], deserved, [prompt_key(p) for p in pairs], min_pairs=options["min_group"],
        seed=options["seed"], resamples=options["resamples"],
    )  # fmt: skip
    by = "the labels" if true_margin is None else "the true reward"
    if not gaps:
        says = f"how much more often a group of {attribute.column} is preferred than {by} would"
        why = f"fewer than {options['min_group']} pairs hold completions of two groups"
        return [not_measured(f"fairness/preference/{attribute.column}", says, why)]
    return [
        Check(
            f"fairness/preference/{attribute.column}={g.group}",
            f"how much more often the completion with {attribute.column}={g.group} is preferred in mixed pairs "
            f"({g.preferred.format(2)}) than by {by} ({g.deserved.format(2)})",
            g.excess,
            threshold,
            "outside",
            left_out=int(np.isnan(margin).sum()),
            fix=FIX,
        )
        for g in gaps
    ]


def _matched(cells: Cells) -> str:
    return ", at equal true margins" if cells.matched else "; true margins are not known, so its pairs may be harder"


def _wrong(pairs: Sequence[Pair], margin: NDArray[np.float64], cell: CellGap, k: int = 3) -> tuple[Example, ...]:
    """The most confident mistakes within a cell."""
    columns = {c: group_values(pairs, c) for c, _ in cell.where}
    inside = np.array([all(columns[c][i] == v for c, v in cell.where) for i in range(len(pairs))])
    return tuple(
        Example(
            "\n\n".join(f"{m.role}: {m.text}" for m in pairs[i].prompt),
            completion_text(pairs[i].chosen),
            completion_text(pairs[i].rejected),
            float("nan"),
            float(margin[i]),
            f"margin {margin[i]:.3g}, {cell.cell}",
        )
        for i in confidently_wrong(np.where(inside, margin, np.nan), k)
    )
