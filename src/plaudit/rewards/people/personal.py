"""The reward of one person, as the variational user model knows that person [145]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, RewardBatch, Scope

if TYPE_CHECKING:
    from plaudit.rewards.people.users import VariationalUsers

DRAWN_FROM = 20240820
"""Seed of the draws: the same for everybody and everywhere, so that a reward is a function of its samples."""


@final
class PersonalReward:
    """Scores at the mean of a person's posterior; `members` at draws from it, and `std` their deviation.

    The reward is `(score - offset) / scale`, in the unit of the training completions' deviation over all people.
    Members have the shift within each prompt that Bradley-Terry leaves free, so a difference's deviation needs them.

    Args:
        users: the fitted model.
        mean: of the person's latent, (d,).
        std: of the person's latent, (d,).
        draws: an even number, mirrored pairs about the mean; 0 for no members.
        name: short and stable.
        floor: lowest reward.
    """

    scope: Scope = "sample"

    def __init__(
        self, users: VariationalUsers, mean: Float[Tensor, " d"], std: Float[Tensor, " d"], *, draws: int = 16,
        name: str = "personal", floor: float = -10.0,
    ) -> None:  # fmt: skip
        if draws < 0 or draws % 2:
            raise InputError(f"{name}: draws is {draws}; they come in mirrored pairs, so give an even number")
        self.users, self.mean, self.std, self.draws = users, mean.double(), std.double(), draws
        self.name, self.floor = name, floor

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity."""
        return self.floor, float("inf")

    @property
    def log_odds_per_unit(self) -> float:
        """The scale: differences of scores are log-odds under the decoder's Bradley-Terry likelihood."""
        return self.users.scale

    @property
    def fingerprint(self) -> str:
        """Of the reward model, the user model, the person's posterior and the draws."""
        u = self.users
        weights = [(k, v.tolist()) for k, v in sorted(u.network.state_dict().items())]
        units = [u.center.tolist(), u.spread.tolist(), u.offset, u.scale, self.floor]
        person = [self.mean.tolist(), self.std.tolist(), self.draws]
        return content_hash(["personal", u.reward.fingerprint, weights, units, person])

    def latents(self) -> Float[Tensor, "k d"]:
        """Draws from the person's posterior, the first half mirrored about the mean by the second."""
        generator = torch.Generator().manual_seed(DRAWN_FROM)
        noise = torch.randn(self.draws // 2, len(self.mean), generator=generator, dtype=torch.float64)
        return self.mean + self.std * torch.cat([noise, -noise])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples for this person; a score that is not finite is an instrument fault."""
        if not samples:
            return RewardBatch(np.zeros(0))
        features = self.users.features(samples)
        score = self._scores(features, self.mean)
        finite = np.isfinite(score)
        outcome = np.where(finite, Outcome.SCORED, Outcome.INSTRUMENT_FAULT).astype(np.int8)
        reward = np.where(finite, np.maximum(score, self.floor), np.nan)
        if not self.draws:
            return RewardBatch(reward, outcome)
        members = np.stack([self._scores(features, z) for z in self.latents()], axis=1)
        members[~finite] = np.nan
        return RewardBatch(reward, outcome, std=members.std(axis=1), members=members)

    def _scores(self, features: Float[Tensor, "n f"], latent: Float[Tensor, " d"]) -> Float[np.ndarray, " n"]:
        u = self.users
        with torch.inference_mode():
            raw = u.network.decode(features, latent.expand(len(features), -1)).numpy()
        return np.asarray((raw - u.offset) / u.scale)
