"""One output an aspect, and their weighted mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def read_aspects(outputs: Float[Tensor, "n k"], *, names: Sequence[str], weights: Sequence[float] = ()) -> Readout:
    """Score: the weighted mean of the aspects. Aspects: each output under its name.

    Args:
        outputs: of the head.
        names: of the k aspects.
        weights: of the aspects in the score, adding up to any positive number; equal by default.
    """
    columns = {name: floats(outputs[:, i]) for i, name in enumerate(names)}
    shares = list(weights) or [1.0] * len(columns)
    score = np.average(np.stack(list(columns.values())), axis=0, weights=shares)
    return Readout(score, aspects=columns)
