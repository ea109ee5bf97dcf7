"""Four outputs: a normal-inverse-gamma distribution over mean and variance."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats

Column = Float[Tensor, " n"]


def evidential_parameters(outputs: Float[Tensor, "n 4"]) -> tuple[Column, Column, Column, Column]:
    """`gamma` (location), `nu > 0` (evidence for it), `alpha > 1` and `beta > 0` (of the variance).

    Source: Amini et al. 2020, "Deep Evidential Regression", section 3.
    """
    gamma, nu, alpha, beta = outputs.unbind(dim=-1)
    return gamma, F.softplus(nu) + 1e-6, F.softplus(alpha) + 1 + 1e-6, F.softplus(beta) + 1e-6


def read_evidential(outputs: Float[Tensor, "n 4"]) -> Readout:
    """Score: `gamma`. Noise: `sqrt(beta / (alpha - 1))`. Epistemic: `sqrt(beta / (nu (alpha - 1)))`."""
    gamma, nu, alpha, beta = evidential_parameters(outputs)
    variance = beta / (alpha - 1)
    return Readout(floats(gamma), std=floats((variance / nu).sqrt()), noise=floats(variance.sqrt()))
