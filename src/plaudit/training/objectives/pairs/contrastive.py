"""The contrastive term: two views of one completion should be closer than views of different ones [13].

Differs from the paper: an item's negatives are those of its own set (a prompt's group, or whatever the caller puts
together), not of the whole batch, so that the division of a step into rows does not change the loss. A set of one has
no negatives and counts nothing. The variant with swapped cluster assignments is not here: it needs prototypes,
which are parameters, and an assignment over the whole batch, which no row can see.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number, check_pairs


def contrastive_views(
    outputs: Float[Tensor, "n d"], views: Float[Tensor, "n d"], *, lists: Sequence[Int[Tensor, " _"]],
    temperature: float = 0.05,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum over items of `-log softmax_j(cos(outputs_i, views_j) / temperature)` at `j = i` (InfoNCE), in nats.

    Args:
        outputs: representation of each item: a completion's hidden state, or `differences` of pairs.
        views: the same items seen another time, with other dropout.
        lists: sets of items that are each other's negatives: indices into both.
        temperature: above 0; the default is SimCSE's.

    Returns:
        The sum over all items of the sets; add it to a pair loss with a coefficient.

    Raises:
        ShapeError: if the two views differ in shape.
        InputError: if the temperature is not above 0.

    Source: Wang et al. 2024 [13]; Gao et al. 2021, "SimCSE".
    """
    check_number("contrastive_views", "temperature", temperature, low=0, within="(]")
    if outputs.shape != views.shape:
        raise ShapeError(f"contrastive_views: outputs {tuple(outputs.shape)} and views {tuple(views.shape)} differ")
    first, second = F.normalize(outputs, dim=-1), F.normalize(views, dim=-1)
    total = outputs.sum() * 0
    for members in lists:
        alike = first[members] @ second[members].T / temperature
        total = total - alike.log_softmax(dim=-1).diagonal().sum()
    return total


def differences(outputs: Float[Tensor, "n d"], pairs: Int[Tensor, "m 2"]) -> Float[Tensor, "m d"]:
    """`outputs[chosen] - outputs[rejected]`: what the paper contrasts in its second form.

    Raises:
        ShapeError: if `pairs` is not (m, 2).

    Source: Wang et al. 2024 [13].
    """
    check_pairs("differences", pairs)
    return outputs[pairs[:, 0]] - outputs[pairs[:, 1]]
