"""The variational user model's network: from a person's pairs to a latent, and from latent and features to a score.

Differs from the paper: features may be those of a fitted reward model, whose score is left aside; the number of pairs
is told to the encoder besides their mean, since a mean does not say how many pairs it is of, and who showed more is
known better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from plaudit.errors import InputError, ShapeError


@dataclass(frozen=True, slots=True)
class UserNetwork:
    """The form of a `UserModel`.

    Attributes:
        features: numbers a completion has.
        latent: d, numbers of a person's latent (the paper's: 512).
        width: of hidden layers.
        clamp: range of mean and log-variance of the latent, both ways.

    Raises:
        InputError: if a size is below 1 or the range is not positive.
    """

    features: int
    latent: int = 16
    width: int = 64
    clamp: float = 1.0

    def __post_init__(self) -> None:
        if min(self.features, self.latent, self.width) < 1 or not 0 < self.clamp < math.inf:
            raise InputError(f"user model: {asdict(self)}; sizes are at least 1 and the clamp positive")

    def to_dict(self) -> dict[str, Any]:
        """Name to value."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> UserNetwork:
        """The inverse of `to_dict`."""
        return cls(**row)


@final
class UserModel(nn.Module):
    """Encoder of a person's pairs, and decoder of a completion's score for that person.

    Args:
        form: sizes.
    """

    def __init__(self, form: UserNetwork) -> None:
        super().__init__()
        self.form = form
        d, w = form.latent, form.width
        self.pair = nn.Sequential(nn.Linear(2 * form.features, w), nn.SiLU(), nn.Linear(w, w), nn.SiLU())
        self.attention = nn.Linear(w, 1)
        self.mean, self.log_variance = nn.Linear(w + 1, d), nn.Linear(w + 1, d)
        self.decoder = nn.Sequential(
            nn.Linear(form.features + d, w), nn.SiLU(), nn.Linear(w, w), nn.SiLU(), nn.Linear(w, 1)
        )

    def encode(
        self, chosen: Float[Tensor, "u c f"], rejected: Float[Tensor, "u c f"], known: Bool[Tensor, "u c"]
    ) -> tuple[Float[Tensor, "u d"], Float[Tensor, "u d"]]:
        """Mean and log-variance of each person's latent, both within the clamp.

        Pairs are pooled by attention, so their order means nothing.

        Args:
            chosen: features of the chosen completion of each person's pairs.
            rejected: features of the rejected ones.
            known: True where there is a pair; at least one a person.

        Raises:
            ShapeError: if shapes do not belong together.
            InputError: if a person has no pair.
        """
        if chosen.shape != rejected.shape or known.shape != chosen.shape[:2]:
            shapes = [tuple(x.shape) for x in (chosen, rejected, known)]
            raise ShapeError(f"user model: chosen, rejected and known have shapes {shapes}; give (u, c, f) and (u, c)")
        if not bool(known.any(dim=1).all()):
            raise InputError("user model: somebody has no pair; a person is known by at least one")
        states = self.pair(torch.cat([chosen, rejected], dim=-1))
        share = self.attention(states)[..., 0].masked_fill(~known, -torch.inf).softmax(dim=1)
        pooled = (share[..., None] * states).sum(dim=1)
        count = known.sum(dim=1, keepdim=True).to(pooled.dtype).log1p()
        told = torch.cat([pooled, count], dim=1)
        limit = self.form.clamp
        return self.mean(told).clamp(-limit, limit), self.log_variance(told).clamp(-limit, limit)

    def decode(self, features: Float[Tensor, "n f"], latent: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Scores of completions for the people whose latents (any length) these are."""
        found: Tensor = self.decoder(torch.cat([features, on_sphere(latent)], dim=-1))[..., 0]
        return found


def on_sphere(latent: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
    """`sqrt(d) z / |z|`: the length that a standard normal vector has on average; zero stays zero."""
    return F.normalize(latent, dim=-1) * math.sqrt(latent.shape[-1])
