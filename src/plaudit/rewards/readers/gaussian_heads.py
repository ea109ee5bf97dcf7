"""Several means and deviations: how far the heads are apart, and how noisy each says the rating is [149].

Ratings have a zero, so unlike Bradley-Terry's (`ensemble`) these heads keep theirs.
"""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def gaussian_heads_parameters(outputs: Float[Tensor, "n k2"]) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """Means, and deviations above zero, of half as many heads as there are outputs."""
    k = outputs.shape[1] // 2
    return outputs[:, :k], F.softplus(outputs[:, k:]) + 1e-6


def read_gaussian_heads(outputs: Float[Tensor, "n k2"]) -> Readout:
    """Score: the mean of the means. Std: their population deviation. Noise: the root mean square of the sigmas.

    Members: the means. The aspect `nominal`: the mean of the head whose deviation is smallest, in the members' unit.
    """
    mean, sigma = (floats(part) for part in gaussian_heads_parameters(outputs))
    nominal = np.take_along_axis(mean, sigma.argmin(axis=1, keepdims=True), axis=1)[:, 0]
    with np.errstate(invalid="ignore"):  # an infinite output makes the score infinite, which is the fault that is told
        std = mean.std(axis=1)
    return Readout(
        mean.mean(axis=1), std=std, noise=np.sqrt(np.square(sigma).mean(axis=1)), members=mean,
        scores={"nominal": nominal},
    )  # fmt: skip
