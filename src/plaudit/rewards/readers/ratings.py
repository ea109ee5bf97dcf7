"""One output a rating: the distribution over the scale's values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def read_ratings(outputs: Float[Tensor, "n k"], *, values: Sequence[float]) -> Readout:
    """Score: the expected rating. Noise: the standard deviation of the distribution.

    Args:
        outputs: logits of the ratings.
        values: what each rating is worth, k numbers, increasing.
    """
    probability = outputs.softmax(dim=-1)
    worth = torch.tensor(list(values), dtype=outputs.dtype, device=outputs.device)
    mean = probability @ worth
    variance = probability @ worth.square() - mean.square()
    return Readout(floats(mean), noise=floats(variance.clamp(min=0).sqrt()))
