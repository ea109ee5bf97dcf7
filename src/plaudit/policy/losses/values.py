"""What a value function is fitted to: the returns, in steps that do not leave its last estimate too far."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses.surrogates import Surrogate


def value_loss(
    value: Float[Tensor, " t"], old_value: Float[Tensor, " t"], returns: Float[Tensor, " t"], *,
    clip: float | None = 0.2,
) -> Surrogate:  # fmt: skip
    """`max((v - R)^2, (clip(v, old - c, old + c) - R)^2) / 2` a token.

    The gradient is `v - R`, and 0 where v has left the band on the side of R: an overshoot is not pulled further.

    Args:
        value: (t,) of the value function; carries the gradient.
        old_value: (t,) before the update, constants.
        returns: (t,) R, constants.
        clip: c in units of the reward, above 0; None for the plain square.

    Returns:
        The loss; `watched.high` counts tokens whose clipped term was the greater, `watched.ratio` sums values.

    Raises:
        ShapeError: if shapes differ.
        InputError: if the clip is not positive.

    Source: Schulman et al. 2017's code; verl's `compute_value_loss`.
    """
    if not value.shape == old_value.shape == returns.shape:
        raise ShapeError(
            f"value_loss: {tuple(value.shape)}, {tuple(old_value.shape)} and {tuple(returns.shape)}; give (t,) each"
        )
    plain = (value - returns).square() / 2
    if clip is None:
        return Surrogate.of(plain, value)
    if not clip > 0:
        raise InputError(f"value_loss: clip is {clip}; give units of the reward, above 0, or None")
    near = old_value + (value - old_value).clamp(-clip, clip)
    cut = (near - returns).square() / 2
    return Surrogate.of(torch.maximum(plain, cut), value, high=cut > plain)
