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
    ignorance is shared out evenly. So a level is drawn, with probability 1 - u, from the first two, whose mean and
    variance are m and s^2, and with probability u evenly from the k levels. The variance of this mixture falls into
    two parts, so that `noise^2 + std^2` is all of it and none is counted twice:

    - noise, what is left where a level is plausible: `(1 - u) s^2`, 0 under full ignorance
    - std: `u ((k^2 - 1) / 12 + (1 - u) (m - (k + 1) / 2)^2)`, 0 without ignorance

    Under full ignorance (all logits towards minus infinity) the score is `(k + 1) / 2`.

    Source: "Flexible Visual Recognition by Evidential Modeling of Confusion and Ignorance" [179]; the moments are ours.
    """
    k = outputs.shape[1]
    level = torch.arange(1, k + 1, dtype=outputs.dtype, device=outputs.device)
    no = F.logsigmoid(-outputs)
    none = no.sum(dim=-1, keepdim=True)
    yes = F.logsigmoid(outputs)
    belief, ignorance = torch.exp(none - no + yes), none.exp()[:, 0]
    confusion = (1 - ignorance - belief.sum(dim=-1)).clamp(min=0)
    # softmax of the log-plausibilities: their shares, though all of them be too small for a number
    share = belief + confusion[:, None] * yes.softmax(dim=-1)
    known = share.sum(dim=-1, keepdim=True)  # 1 - u; where nothing is known its shape has no weight
    share = torch.where(known > 0, share / known.where(known > 0, torch.ones_like(known)), 1 / k)
    mean = share @ level
    variance = (share @ level.square() - mean.square()).clamp(min=0)
    centre = (k + 1) / 2
    noise = (1 - ignorance) * variance
    unknown = ignorance * ((k * k - 1) / 12 + (1 - ignorance) * (mean - centre).square())
    score = (1 - ignorance) * mean + ignorance * centre
    return Readout(floats(score), std=floats(unknown.sqrt()), noise=floats(noise.sqrt()))
