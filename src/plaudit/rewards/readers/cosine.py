"""An embedding at the end of the completion and one at the end of the prompt: how alike they are [69]."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.rewards.readers.head import Readout, floats


def read_cosine(outputs: Float[Tensor, "n d2"]) -> Readout:
    """Score: the cosine of the first half (the completion's embedding) and the second (the prompt's), -1 to 1."""
    d = outputs.shape[1] // 2
    return Readout(floats(F.cosine_similarity(outputs[:, :d], outputs[:, d:], dim=-1)))
