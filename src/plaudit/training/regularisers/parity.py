"""A hinge on the disadvantage of one group at equal merit: conditional parity with a tolerated side [2].

    gap_e = mean sigmoid(d | protected, e) - mean sigmoid(d | others, e)
    penalty = sum_e w_e max(0, -gap_e - eps)^2,     w_e = share of the protected group's pairs in stratum e

where d is a pair's margin and e the stratum of what may rightly differ. A group that is served better at equal merit
is not held back. Without strata it is the one-sided parity of soft accuracies.

Source: "Through the lens of the EU AI Act", socio-economic parity [2].

Differs from the paper: soft accuracies of pairs replace acceptance; strata without both sides enter nothing and are
not made up for, so that a stratum of three pairs is not weighed by guesses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_columns, check_number


def parity_gaps(
    favoured: Float[Tensor, " m"], protected: Bool[Tensor, " m"], stratum: Int[Tensor, " m"]
) -> tuple[Float[Tensor, " e"], Float[Tensor, " e"]]:
    """Gap of each stratum, protected minus others, and the stratum's share of the protected group.

    Args:
        favoured: how well each pair is served, 0 to 1.
        protected: True for the group that must not be worse off.
        stratum: a number a pair, from 0.

    Returns:
        Gaps and weights; strata without both sides have gap 0 and weight 0. The weights add up to 1, or are all 0.

    Raises:
        ShapeError: if there is not one entry a pair.
    """
    check_columns("parity_gaps", "pairs", favoured.shape[0], protected=protected, stratum=stratum)
    if not favoured.numel():
        return favoured, favoured
    cell = F.one_hot(stratum.long()).to(favoured.dtype)
    inside = protected.to(favoured.dtype)
    one, two = cell.T @ inside, cell.T @ (1 - inside)
    both = ((one > 0) & (two > 0)).to(favoured.dtype)
    gap = both * (
        cell.T @ (inside * favoured) / one.clamp(min=1) - cell.T @ ((1 - inside) * favoured) / two.clamp(min=1)
    )
    weight = both * one
    return gap, weight / weight.sum().clamp(min=1)


def parity_hinge(
    margin: Float[Tensor, " m"], protected: Bool[Tensor, " m"], stratum: Int[Tensor, " m"], *, eps: float = 0.0
) -> Float[Tensor, ""]:
    """`sum_e w_e max(0, -gap_e - eps)^2` of the soft accuracies sigmoid(margin), see the module.

    Args:
        margin: of the pairs.
        protected: True for the group that must not be worse off.
        stratum: a number a pair, from 0.
        eps: disadvantage that is tolerated, 0 to 1.

    Returns:
        0 to 1; 0 where no stratum has both sides.

    Raises:
        ShapeError: if there is not one entry a pair.
        InputError: if eps is outside its range.

    Source: [2], the soft squared hinge.
    """
    check_number("conditional-parity", "eps", eps, low=0, high=1)
    gap, weight = parity_gaps(torch.sigmoid(margin), protected, stratum)
    return (weight * (-gap - eps).clamp(min=0).square()).sum()
