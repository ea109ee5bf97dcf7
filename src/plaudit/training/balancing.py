"""Weights that take the information out of a surface feature of the pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text


def length_balance(pairs: Sequence[Pair], *, bins: int = 6) -> Float[np.ndarray, " n"]:
    """Weights under which length says nothing about the label.

    Pairs are put into bins by how much the two completions differ in length (words). Within a bin with c pairs whose
    longer completion was chosen and r whose shorter one was, each pair weighs `(c + r) / (2 c)` or `(c + r) / (2 r)`:
    both kinds then weigh the same. Pairs of equal length keep weight 1, and so do bins that hold one kind only.

    This removes what length alone predicts, an annotator's bias together with any true worth of length.

    Args:
        pairs: n pairs.
        bins: of the absolute difference of length, at its quantiles.

    Returns:
        Weights with mean 1 over every balanced bin.
    """
    gap = np.array([len(completion_text(p.chosen).split()) - len(completion_text(p.rejected).split()) for p in pairs])
    weight = np.ones(len(pairs))
    uneven = np.flatnonzero(gap)
    if not uneven.size:
        return weight
    size = np.abs(gap[uneven])
    edges = np.unique(np.quantile(size, np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, size, side="left")
    for b in np.unique(where):
        members = uneven[where == b]
        longer = gap[members] > 0
        c, r = int(longer.sum()), int((~longer).sum())
        if c and r:
            weight[members] = np.where(longer, (c + r) / (2 * c), (c + r) / (2 * r))
    return weight
