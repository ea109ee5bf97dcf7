"""One output an aspect, and their weighted mean; or weights that the prompt gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.base import Floats
from plaudit.rewards.readers.head import Readout, floats


def read_aspects(
    outputs: Float[Tensor, "n k"], *, names: Sequence[str], weights: Sequence[float] = (),
    centres: Sequence[float] = (), spreads: Sequence[float] = (),
) -> Readout:  # fmt: skip
    """Score: the weighted mean of the aspects. Aspects: each output under its name, on its raters' scale.

    Args:
        outputs: of the head.
        names: of the k aspects.
        weights: of the aspects in the score, adding up to any positive number; equal by default.
        centres: of the raters' scales, 0 by default.
        spreads: of the raters' scales, 1 by default.

    Raises:
        InputError: if the numbers of names, weights, centres and spreads do not agree.
    """
    columns = _on_scale(outputs, names, centres, spreads)
    shares = list(weights) or [1.0] * len(columns)
    if len(shares) != len(columns) or not sum(shares) > 0:
        raise InputError(f"head: weights are {shares} for the aspects {list(names)}; give one each, with a sum above 0")
    score = np.average(np.stack(list(columns.values())), axis=0, weights=shares)
    return Readout(score, aspects=columns)


def read_gated_aspects(
    outputs: Float[Tensor, "n k2"], *, names: Sequence[str], centres: Sequence[float] = (),
    spreads: Sequence[float] = (),
) -> Readout:  # fmt: skip
    """Score: `exp(c) * sum_a softmax(gates)_a z_a` of standardised aspects z. Aspects: on their raters' scale.

    Args:
        outputs: k aspects at the end of the completion, k gates at the end of the prompt, the logarithm c of the scale.
        names: of the k aspects.
        centres: of the raters' scales, 0 by default.
        spreads: of the raters' scales, 1 by default.
    """
    k = len(names)
    z, gates = outputs[:, :k], outputs[:, k : 2 * k]
    score = outputs[:, 2 * k].exp() * (gates.softmax(dim=-1) * z).sum(dim=-1)
    return Readout(floats(score), aspects=_on_scale(z, names, centres, spreads))


def _on_scale(
    outputs: Float[Tensor, "n k"], names: Sequence[str], centres: Sequence[float], spreads: Sequence[float]
) -> dict[str, Floats]:
    k = len(names)
    centre, spread = list(centres) or [0.0] * k, list(spreads) or [1.0] * k
    if {k, len(centre), len(spread)} != {outputs.shape[1]}:
        raise InputError(
            f"head: {outputs.shape[1]} outputs for {k} names, {len(centre)} centres and {len(spread)} spreads; "
            "save the model again"
        )
    return {name: centre[i] + spread[i] * floats(outputs[:, i]) for i, name in enumerate(names)}
