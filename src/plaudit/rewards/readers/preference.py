"""Outputs that say which of two samples is better, and not how good one is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def skew_log_odds(
    first: Float[Tensor, "m d"], second: Float[Tensor, "m d"], *, planes: int, temperature: float
) -> Float[Tensor, " m"]:
    """`sum_l scale_l (a_{2l} b_{2l+1} - a_{2l+1} b_{2l}) / temperature`: general preference [98].

    Args:
        first: embedding a (2 * planes), then, where the head reads the prompt, a logit for each plane.
        second: the same for b.
        planes: k.
        temperature: above 0.

    The scales are `k * softmax` of the prompt's logits, 1 where there are none; both samples answer one prompt.
    """
    a, b = first[:, : 2 * planes], second[:, : 2 * planes]
    turned = a[:, 0::2] * b[:, 1::2] - a[:, 1::2] * b[:, 0::2]
    if first.shape[1] > 2 * planes:
        turned = turned * planes * torch.softmax(first[:, 2 * planes :], dim=-1)
    return turned.sum(dim=-1) / temperature


def joint_log_odds(first: Float[Tensor, "m 1"], second: Float[Tensor, "m 1"]) -> Float[Tensor, " m"]:
    """`(z - z') / 2`, with z for the pair as it is and z' for the pair in reverse: no place is preferred."""
    return (first[:, 0] - second[:, 0]) / 2


def twice_log_odds(first: Float[Tensor, "m 3"], second: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
    """`f_a - f_b`: what the first of two raters says [219]."""
    return first[:, 0] - second[:, 0]


def twice_deviation(first: Float[Tensor, "m 3"], second: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
    """Epistemic standard deviation of the probability that a is better: `sqrt(p (q - p))`, clipped at 0.

    With p the probability that a rater prefers a and q that a second one does when the first did: where seeing one
    answer changes what is expected of the next, the model did not know. Of two raters who may change places the same
    follows from what they say of b; a fitted model's two need not be equal, and their mean is taken: which completion
    is named first means nothing.

    Args:
        first: f, g, h of a: before any answer, when a was preferred, when it was not.
        second: the same of b.

    Source: Johnson et al. 2024 [219], `V_cheat`.
    """
    p = torch.sigmoid(first[:, 0] - second[:, 0])
    again, back = torch.sigmoid(first[:, 1] - second[:, 2]), torch.sigmoid(second[:, 1] - first[:, 2])
    variance = (p * (again - p) + (1 - p) * (back - (1 - p))) / 2
    return variance.clamp(min=0).sqrt()
