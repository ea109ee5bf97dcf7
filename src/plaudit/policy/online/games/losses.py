"""What a verifier is fitted to: prover-verifier games [217]."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError


def verifier_loss(right: Float[Tensor, " m"], wrong: Float[Tensor, " m"], *, coef: float = 0.01) -> Float[Tensor, ""]:
    """`mean of -log sigmoid(V(x, z_right) - V(x, z_wrong)) + coef (V(x, z_right)^2 + V(x, z_wrong)^2) / 2`.

    The second term takes hold of what the first leaves free: at the least loss the scores of each pair that has a shift
    of its own sum to 0.

    Args:
        right: scores of right solutions, (m,).
        wrong: of wrong solutions of the same prompts.
        coef: weight of the squares, at least 0.

    Raises:
        ShapeError: if the two differ in number.
        InputError: if the weight is negative.

    Source: as `prover_rewards`, section 3; the catalogue's entry writes the difference times `sign(c_1 - c_2)`.
    """
    if right.shape != wrong.shape or right.ndim != 1:
        raise ShapeError(f"verifier_loss: {tuple(right.shape)} right and {tuple(wrong.shape)} wrong; give (m,) of each")
    if not coef >= 0:
        raise InputError(f"verifier_loss: coef is {coef}; give a weight of at least 0")
    return -F.logsigmoid(right - wrong).mean() + coef * (right.square() + wrong.square()).mean() / 2
