"""A score an expert at the end of the completion, and a logit an expert at the end of the prompt [139].

Differs from the paper: its prediction is of a pair, `sum_k f_k sigmoid(d_k)`, which no reward of one sample gives. The
reward here is `sum_k f_k r_k`; where experts are far apart, the sign of its difference and the side of one half on
which the mixture's probability lies need not agree. Experts' rewards are aspects, so that either can be computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.readers.head import Readout, floats


def read_mixture(outputs: Float[Tensor, "n k2"], *, tilt: Sequence[float] = ()) -> Readout:
    """Score: the experts' scores, weighed by the prompt's shares. Aspects: the experts, `expert_1` and on.

    Args:
        outputs: scores of k experts, then as many logits of their shares.
        tilt: added to the logits, a number an expert: what is known of one user, see `plaudit.rewards.people`.

    Raises:
        InputError: if there is a tilt for another number of experts.
    """
    k = outputs.shape[1] // 2
    if tilt and len(tilt) != k:
        raise InputError(f"head: {len(tilt)} numbers in tilt for {k} experts; adapt the mixture again")
    experts, logits = outputs[:, :k], outputs[:, k:]
    if tilt:
        logits = logits + torch.tensor(list(tilt), dtype=outputs.dtype, device=outputs.device)
    score = (logits.softmax(dim=-1) * experts).sum(dim=-1)
    return Readout(floats(score), aspects={f"expert_{i + 1}": floats(experts[:, i]) for i in range(k)})
