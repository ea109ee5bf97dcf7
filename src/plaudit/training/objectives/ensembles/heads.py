"""Bradley-Terry for several heads on one backbone, each on weights of its own [148].

Differs from the paper: its ensembles have a backbone a member, from different pretraining seeds; heads on one backbone
cost one forward pass, and agree more than they should, since what the backbone has not seen none of them can doubt.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number, check_pairs


def bradley_terry_heads(
    outputs: Float[Tensor, "n k"],
    pairs: Int[Tensor, "m 2"],
    *,
    bootstrap: Float[Tensor, "m k"] | None = None,
    weight: Float[Tensor, " m"] | None = None,
    center_coef: float = 0.0,
) -> Float[Tensor, ""]:
    """Sum over pairs of the mean over heads of `b * (-log sigmoid(d) + c (r_chosen + r_rejected)^2)`, in nats.

    The mean, not the sum: the loss and the pull on the backbone are those of one head, and chance is log 2.

    Args:
        outputs: a score a head, of all sequences of the row.
        pairs: indices into `outputs`: chosen, rejected.
        bootstrap: how often each pair counts for each head, b; default 1.
        weight: weight of each pair, default 1.
        center_coef: c, per squared score unit; the paper's is 0.01. It fixes each head's free shift near zero.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if the coefficient is negative.

    Source: Eisenstein et al. 2023, "Helping or Herding?", section 2 [148].
    """
    check_pairs("bradley_terry_heads", pairs, weight=weight)
    check_number("bradley_terry_heads", "center_coef", center_coef, low=0)
    if outputs.ndim != 2:
        raise ShapeError(f"bradley_terry_heads: outputs have shape {tuple(outputs.shape)}; they must be (n, k)")
    wanted = (pairs.shape[0], outputs.shape[1])
    if bootstrap is not None and bootstrap.shape != wanted:
        raise ShapeError(f"bradley_terry_heads: bootstrap has shape {tuple(bootstrap.shape)}; it must be {wanted}")
    chosen, rejected = outputs[pairs[:, 0]], outputs[pairs[:, 1]]
    loss = -F.logsigmoid(chosen - rejected)
    if center_coef:
        loss = loss + center_coef * (chosen + rejected).square()
    if bootstrap is not None:
        loss = loss * bootstrap.to(loss.dtype)
    each = loss.mean(dim=1)
    return (each if weight is None else each * weight).sum()
