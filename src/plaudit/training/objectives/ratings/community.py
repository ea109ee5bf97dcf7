"""What a community does with completions as a label: triplets of a prompt, a reused item and a passed-over one [69].

Differs from the paper: reuse is counted and pairs are made from counts that the caller has cleaned (one action a user,
none on one's own item), with exposure, which the paper requires, as a threshold. Prompts are balanced by weights,
which a fit reads with `row_weight="weight"`. The paper's two towers are one decoder here: its embedding of a
completion has seen the prompt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import (
    check_columns,
    check_number,
    check_pairs,
    check_values,
    weighted_sum,
)


def community_triplets(
    outputs: Float[Tensor, "n d"],
    pairs: Int[Tensor, "m 2"],
    *,
    anchors: Float[Tensor, "m d"],
    margin: float = 0.3,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `max(|a - p|^2 - |a - q|^2 + margin, 0)` over unit vectors: anchor a, preferred p, other q.

    For unit vectors `|a - p|^2 = 2 - 2 cos(a, p)`: a hinge on the difference of cosines, with half the margin.

    Args:
        outputs: embedding of every sequence of the row; divided by their norms here.
        pairs: indices into `outputs`: preferred, other.
        anchors: embedding of each pair's prompt; divided by their norms here.
        margin: in squared distance, at least 0.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none. The score of a completion is `cos(anchor, output)`.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if the margin is negative.

    Source: Isajanyan et al. 2024, "Social Reward" [69].
    """
    check_pairs("community_triplets", pairs, weight=weight)
    check_number("community_triplets", "margin", margin, low=0)
    if anchors.shape != (pairs.shape[0], outputs.shape[1]):
        wanted = (pairs.shape[0], outputs.shape[1])
        raise ShapeError(f"community_triplets: anchors have shape {tuple(anchors.shape)}; they must be {wanted}")
    unit, anchor = F.normalize(outputs, dim=-1), F.normalize(anchors, dim=-1)
    cosine = (unit[pairs] * anchor[:, None, :]).sum(dim=-1)
    return weighted_sum(F.relu(2 * (cosine[:, 1] - cosine[:, 0]) + margin), weight)


def community_pairs(
    reuses: Int[Tensor, " n"],
    exposures: Int[Tensor, " n"],
    prompts: Int[Tensor, " n"],
    *,
    min_exposure: int = 20,
    min_rate: float = 0.1,
    max_rate: float = 0.01,
) -> tuple[Int[Tensor, "m 2"], Float[Tensor, " m"]]:
    """Pairs of one prompt: an item that many reuse before one that was shown and passed over.

    An item counts only from `min_exposure` on: what was never shown was never passed over. Its rate is
    `reuses / exposures`; the better one's is at least `min_rate`, the other's at most `max_rate`.

    Args:
        reuses: users who reused each item, its author left out.
        exposures: users to whom it was shown, at least as many.
        prompts: number of the prompt of each item.
        min_exposure: at least 1.
        min_rate: of the better one, in (0, 1].
        max_rate: of the other, in [0, min_rate): the gap between the two is the popularity gap.

    Returns:
        Pairs of indices, preferred first, and weights that add up to 1 for each prompt that has pairs.

    Raises:
        ShapeError: if the columns differ in number.
        InputError: if an item was reused more often than shown, or a threshold is outside its range.

    Source: Isajanyan et al. 2024, "Social Reward", data collection [69]; the thresholds are ours.
    """
    check_columns("community_pairs", "items", reuses.numel(), exposures=exposures, prompts=prompts)
    check_number("community_pairs", "min_exposure", min_exposure, low=1)
    check_number("community_pairs", "min_rate", min_rate, low=0, high=1, within="(]")
    check_number("community_pairs", "max_rate", max_rate, low=0, high=min_rate, within="[)")
    check_values("community_pairs", "reuses", reuses, low=0)
    check_values("community_pairs", "exposures - reuses", exposures - reuses, low=0)
    seen = exposures >= min_exposure
    rate = reuses / exposures.clamp(min=1)
    better, worse = seen & (rate >= min_rate), seen & (rate <= max_rate)
    pairs = (better[:, None] & worse[None, :] & (prompts[:, None] == prompts[None, :])).nonzero()
    _, which, count = torch.unique(prompts[pairs[:, 0]], return_inverse=True, return_counts=True)
    return pairs, 1 / count[which].to(torch.get_default_dtype())
