"""Convex augmentation: keep the outermost of several rewordings, and train between pairs [17].

Differs from the paper: it keeps the augmented texts whose embeddings are vertices of the convex hull (`hull_vertices`)
and trains on them as ordinary pairs, so no loss changes. `convex_bradley_terry` is the complement that needs no
rewordings: the difference of scores on the segment between two pairs (mixup). Its partners are pairs of the same packed
row, so a row of one pair is plain Bradley-Terry, and accumulating 1x8 is not 8x1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_pairs, check_values, weighted_sum

_FLAT = 1e-9
"""Of the squared extent: a turn that spans less is straight, and points whose squared distance is less are one."""


def hull_vertices(embeddings: Float[Tensor, "n d"]) -> Int[Tensor, " h"]:
    """Indices of the embeddings that are vertices of the convex hull in their first two principal components.

    Args:
        embeddings: of n rewordings of one completion; n is small, the cost is quadratic.

    Returns:
        Ascending indices: one if all are the same point, two if all lie on a line; of equal points the first.

    Raises:
        InputError: if there are no embeddings, or a number is not finite.

    Source: "ConvexDA" of the Contrast Instructions paper [17]; Andrew 1979, monotone chain.
    """
    if not embeddings.shape[0]:
        raise InputError("hull_vertices: no embeddings; give at least one")
    check_values("hull_vertices", "embeddings", embeddings)
    centred = embeddings.detach().double() - embeddings.detach().double().mean(dim=0)
    plane = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    plane = F.pad(plane, (0, 2 - plane.shape[1]))
    points = _distinct(plane)
    hull = {*_chain(points), *_chain(points[::-1])}
    return torch.tensor(sorted(hull), dtype=torch.long, device=embeddings.device)


Point = tuple[float, float, int]


def _distinct(plane: Tensor) -> list[Point]:
    """Points with their indices, sorted, the first of each set of equal ones."""
    extent = float(plane.abs().max())
    if extent:
        plane = plane / extent  # so that one tolerance serves embeddings of any size
    far = (plane[:, None] - plane[None, :]).square().sum(dim=-1) > _FLAT
    first = [i for i in range(len(plane)) if bool(far[i, :i].all())]
    return sorted((float(plane[i, 0]), float(plane[i, 1]), i) for i in first)


def _chain(points: list[Point]) -> list[int]:
    """Indices of the lower hull of points sorted from left to right (the upper one from right to left)."""
    kept: list[Point] = []
    for point in points:
        while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= _FLAT:
            kept.pop()
        kept.append(point)
    return [p[2] for p in kept]


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def convex_bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    partner: Int[Tensor, " m"],
    share: Float[Tensor, " m"],
    target: Float[Tensor, " m"] | None = None,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of the mixed target under the mixed difference, in nats.

    With `d = share * d_own + (1 - share) * d_partner` and the target t mixed alike, each pair adds
    `-t log sigmoid(d) - (1 - t) log sigmoid(-d)`. Under a linear head this is mixup of the final representations.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: first, second.
        partner: of each pair, the pair of the same row that it is mixed with: indices into `pairs`.
        share: of its own, in [0, 1]; usually drawn from a Beta distribution. 1 is the unmixed loss.
        target: probability that the first one is better, in [0, 1]; default 1.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a share or target is outside [0, 1], or a partner is no pair.

    Source: Zhang et al. 2018, "mixup", on differences of scores; [17] for the setting.
    """
    check_pairs("convex_bradley_terry", pairs, partner=partner, share=share, target=target, weight=weight)
    check_values("convex_bradley_terry", "share", share, low=0, high=1)
    check_values("convex_bradley_terry", "target", target, low=0, high=1)
    check_values("convex_bradley_terry", "partner", partner, low=0, high=max(len(pairs) - 1, 0))
    own = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    lead = share * own + (1 - share) * own[partner]
    if target is None:
        return weighted_sum(-F.logsigmoid(lead), weight)
    mixed = share * target + (1 - share) * target[partner]
    return weighted_sum(-mixed * F.logsigmoid(lead) - (1 - mixed) * F.logsigmoid(-lead), weight)
