"""One output a level: how plausible it is, with confusion and ignorance kept apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def read_beliefs(outputs: Float[Tensor, "n k"]) -> Readout:
    """Score: the expected level, 1 to k. Noise: from confusion. Epistemic: from ignorance.

    With plausibility `p = sigmoid(logit)`: the belief in a level is the mass of "only this one is plausible",
    ignorance u that of "none is". What is neither, the confusion, is shared out in proportion to the plausibilities;
    ignorance is shared out evenly. With m and s^2 the mean and variance of the first two, normalised, the noise is s,
    and the epistemic deviation that of a mixture which with probability u is uniform over the levels:
    `sqrt(u ((k^2 - 1) / 12 + (1 - u) (m - (k + 1) / 2)^2))`.

    Source: "Flexible Visual Recognition by Evidential Modeling of Confusion and Ignorance" [179]; the moments are ours.
    """
    k = outputs.shape[1]
    level = torch.arange(1, k + 1, dtype=outputs.dtype, device=outputs.device)
    no = F.logsigmoid(-outputs)
    none = no.sum(dim=-1, keepdim=True)
    belief, ignorance = torch.exp(none - no + F.logsigmoid(outputs)), none.exp()[:, 0]
    confusion = (1 - ignorance - belief.sum(dim=-1)).clamp(min=0)
    plausible = torch.sigmoid(outputs)
    share = belief + confusion[:, None] * plausible / plausible.sum(dim=-1, keepdim=True)
    share = share / share.sum(dim=-1, keepdim=True)
    mean = share @ level
    variance = (share @ level.square() - mean.square()).clamp(min=0)
    centre = (k + 1) / 2
    unknown = ignorance * ((k * k - 1) / 12 + (1 - ignorance) * (mean - centre).square())
    score = (1 - ignorance) * mean + ignorance * centre
    return Readout(floats(score), std=floats(unknown.sqrt()), noise=floats(variance.sqrt()))
