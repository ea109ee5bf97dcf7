"""A model's text above a person's reworded by a model, above the person's own: the detector's triples [94].

    L = 1/3 sum over (p, m), (p, h), (m, h) of lambda_i (-log sigmoid(r+ - r-) + beta/2 (r+^2 + r-^2))

with p a model's text, h a person's and m that one reworded by a model. It makes a detector of aligned text out of a
reward model; beside it the paper replays ordinary preferences, `0.01 sum (r_teacher - r)^2`, so that it stays one.

Differs from the paper: nothing in the formula; it is a sum over triples here, as all objectives are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs.checking import check_number

ORDERED = ((0, 1), (0, 2), (1, 2))
"""Which of (model, reworded, human) stands above which."""


def written_triples(
    scores: Float[Tensor, " n"],
    triples: Int[Tensor, "m k"],
    *,
    weights: tuple[float, float, float] = (0.35, 1.0, 0.35),
    norm_coef: float = 0.01,
) -> Float[Tensor, ""]:
    """Sum of the triples' losses, in nats.

    Args:
        scores: of all sequences of the row.
        triples: (m, 3) indices into `scores`: a model's text, a person's reworded, the person's own.
        weights: lambda of (model, reworded), (model, human), (reworded, human); at least 0.
        norm_coef: beta, per squared score unit, at least 0.

    Returns:
        The sum over the m triples; 0 for none. Divide by the number of triples in the whole step.

    Raises:
        ShapeError: if the triples are not (m, 3).
        InputError: if a weight or the coefficient is negative.

    Source: Lee et al. 2024, "ReMoDetect" [94], equation 4 with the authors' weights.
    """
    if triples.ndim != 2 or triples.shape[1] != 3:
        raise ShapeError(f"written_triples: triples have shape {tuple(triples.shape)}; they must be (m, 3)")
    if min(weights) < 0:
        raise InputError(f"written_triples: weights {weights}; give three numbers of 0 or more")
    check_number("written_triples", "norm_coef", norm_coef, low=0)
    rows = scores[triples]
    parts = [
        w * (-F.logsigmoid(rows[:, i] - rows[:, j]) + norm_coef / 2 * (rows[:, i] ** 2 + rows[:, j] ** 2))
        for w, (i, j) in zip(weights, ORDERED, strict=True)
    ]
    return torch.stack(parts).sum() / 3


def replayed(scores: Float[Tensor, " n"], teacher: Float[Tensor, " n"], *, coef: float = 0.01) -> Float[Tensor, ""]:
    """`coef * sum (teacher - scores)^2` on ordinary preferences: the model stays the reward model that it was.

    Args:
        scores: of the model in training.
        teacher: of the model before.
        coef: per squared score unit, at least 0.

    Raises:
        InputError: if the coefficient is negative.

    Source: Lee et al. 2024 [94], the replay term.
    """
    check_number("replayed", "coef", coef, low=0)
    return coef * (teacher - scores).pow(2).sum()
