"""A variational user model with the reward model whose features it reads; saved beside that model's weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample
from plaudit.rewards.models import ModelReward
from plaudit.rewards.people.network import UserModel, UserNetwork
from plaudit.rewards.people.personal import PersonalReward
from plaudit.rewards.people.states import last_states
from plaudit.rewards.uncertainty.files import read_arrays, write_arrays
from plaudit.rewards.uncertainty.pairing import compared

FILE = "variational.safetensors"


@final
class VariationalUsers:
    """Everybody whom the model can learn to know: `for_user` gives the reward of one.

    Args:
        reward: a decoder whose head is read at the last token: the head's inputs are the features.
        network: the fitted user model, float64.
        center: of the features, (f,).
        spread: of the features, (f,), above 0.
        offset: mean score of the training completions under their people's latents.
        scale: their deviation, above 0.
    """

    def __init__(
        self, reward: ModelReward, network: UserModel, center: Float[Tensor, " f"], spread: Float[Tensor, " f"], *,
        offset: float = 0.0, scale: float = 1.0,
    ) -> None:  # fmt: skip
        self.reward, self.network = reward, network.double().eval()
        self.center, self.spread, self.offset, self.scale = center.double(), spread.double(), offset, scale

    def features(self, samples: Sequence[Sample]) -> Float[Tensor, "n f"]:
        """Standardised features, float64."""
        return (last_states(self.reward, samples) - self.center) / self.spread

    def posterior(self, rows: Sequence[Pair | Ranked]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
        """Mean and standard deviation of the latent of whoever judged these rows.

        Raises:
            InputError: if the rows hold no preference.
        """
        samples, better, worse = compared(rows)
        features = self.features(samples)
        chosen, rejected = features[torch.from_numpy(better)][None], features[torch.from_numpy(worse)][None]
        with torch.inference_mode():
            known = torch.ones(1, len(better), dtype=torch.bool)
            mean, log_variance = self.network.encode(chosen, rejected, known)
        return mean[0], (0.5 * log_variance[0]).exp()

    def for_user(self, rows: Sequence[Pair | Ranked], *, draws: int = 16) -> PersonalReward:
        """The reward of whoever judged these rows.

        Args:
            rows: the person's pairs; a ranked row counts as all of its ordered pairs.
            draws: latents from the posterior, an even number, whose deviation is the reward's `std`; 0 for none.

        Raises:
            InputError: if the rows hold no preference.
        """
        mean, std = self.posterior(rows)
        return PersonalReward(self, mean, std, draws=draws)

    def save(self, folder: str | Path) -> None:
        """Writes the user model beside the weights of its reward model, with that model's fingerprint."""
        arrays = {f"network.{k}": v.numpy() for k, v in self.network.state_dict().items()}
        arrays |= {"center": self.center.numpy(), "spread": self.spread.numpy()}
        write_arrays(Path(folder) / FILE, arrays, {
            "model": self.reward.fingerprint, "form": json.dumps(self.network.form.to_dict()),
            "offset": repr(self.offset), "scale": repr(self.scale),
        })  # fmt: skip

    @classmethod
    def load(cls, reward: ModelReward, folder: str | Path) -> Self:
        """The user model that stands beside a reward model.

        Raises:
            IntegrityError: if it was fitted to another model.
        """
        arrays, said = read_arrays(Path(folder) / FILE, of=reward.fingerprint)
        network = UserModel(UserNetwork.from_dict(json.loads(said["form"]))).double()
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
        return cls(
            reward, network, tensors["center"], tensors["spread"], offset=float(said["offset"]),
            scale=float(said["scale"]),
        )  # fmt: skip
