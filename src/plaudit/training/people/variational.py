"""The variational user model: a person is a set of labelled pairs, and a reward depends on who asks [145].

Differs from the paper: it is fitted on features of a reward model that stay as they are. Each step shows a random
number of a person's pairs, 1 to `context`, so that one fit serves whoever is known well and whoever is hardly known;
in the paper the number is fixed.

People who answer at random do not get a wider posterior, which one would expect: in the mean of two fits to two
groups of opposite taste their standard deviation is within 0.02 of the others', at beta 1e-3 and at 1e-2, with 8 pairs
of each. What tells them is the posterior's mean, at beta 1e-2 less than 0.7 times as long as the others': the
decoder reads a latent's direction alone, so theirs is the less certain one all the same
(`tests/training/test_user_posterior.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.rewards.models import ModelReward
from plaudit.rewards.people.network import UserModel, UserNetwork
from plaudit.rewards.people.states import last_states
from plaudit.rewards.people.users import VariationalUsers
from plaudit.training.objectives.people.users import cyclical_weight, latent_divergence


@dataclass(frozen=True, slots=True)
class UserFit:
    """How a user model is fitted.

    Raises:
        InputError: if a number is outside its range.
    """

    latent: int = 16
    """Numbers of a person's latent."""

    width: int = 64
    """Of hidden layers."""

    context: int = 8
    """Pairs by which a person is known, at most."""

    targets: int = 8
    """Pairs a person whose preference is predicted in a step."""

    people: int = 16
    """People a step."""

    steps: int = 1000
    """Steps of AdamW; the learning rate falls to zero by a cosine."""

    learning_rate: float = 1e-3
    """At the beginning."""

    weight_decay: float = 1e-2
    """Of AdamW."""

    beta: float = 1e-3
    """Weight of the divergence; the paper's is 3e-6 to 1e-2. A large one makes the model forget who asks."""

    cycles: int = 4
    """Of the divergence's weight; see `cyclical_weight`."""

    seed: int = 0
    """Of weights, people and pairs."""

    def __post_init__(self) -> None:
        sizes = (self.context, self.targets, self.people, self.steps, self.cycles)
        if min(sizes) < 1 or self.beta < 0 or not self.learning_rate > 0:
            raise InputError(
                f"UserFit: context, targets, people, steps, cycles are {sizes}, beta {self.beta}, learning_rate "
                f"{self.learning_rate}; give at least 1, at least 0, above 0"
            )


def fit_user_network(
    chosen: Float[Tensor, "m f"], rejected: Float[Tensor, "m f"], person: Int[Tensor, " m"], *, config: UserFit
) -> UserModel:
    """A user model of features, by Bradley-Terry on a person's pairs given others of that person's.

    Args:
        chosen: features of the chosen completion of each pair, of order 1.
        rejected: features of the rejected one.
        person: whose pair it is.
        config: how to fit.

    Returns:
        The fitted network, float64.

    Raises:
        InputError: if nobody has two pairs: then nobody can be predicted from what is known of them.
    """
    pools = [at for at in ((person == u).nonzero()[:, 0] for u in torch.unique(person)) if len(at) > 1]
    if not pools:
        raise InputError("user model: nobody has two pairs; give pairs whose annotator occurs again")
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = UserModel(UserNetwork(chosen.shape[1], config.latent, config.width))
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    c, r = chosen.float(), rejected.float()
    for step in range(config.steps):
        asked, known, target = _drawn(pools, config, generator)
        mean, log_variance = network.encode(c[asked], r[asked], known)
        latent = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        z = latent.repeat_interleave(target.shape[1], dim=0)
        at = target.flatten()
        loss = -F.logsigmoid(network.decode(c[at], z) - network.decode(r[at], z)).mean()
        kl = cyclical_weight(step / config.steps, cycles=config.cycles) * latent_divergence(mean, log_variance).mean()
        optimiser.zero_grad()
        (loss + config.beta * kl).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.double().eval()


def fit_users(reward: ModelReward, rows: Sequence[Pair], *, config: UserFit | None = None) -> VariationalUsers:
    """A user model on a reward model's features.

    Args:
        reward: read at the last token; fitted to the same people's pairs, its features know what matters to them.
        rows: pairs with their `annotator`.
        config: how to fit.

    Raises:
        InputError: if a row does not say whose it is, or nobody has two pairs.
        UnsupportedError: if it is read elsewhere.
    """
    config = config or UserFit()
    for i, row in enumerate(rows):
        if row.annotator is None:
            raise InputError(f"row {i + 1}: a user model learns who prefers what, and the row has no annotator")
    names = {name: i for i, name in enumerate(dict.fromkeys(row.annotator for row in rows))}
    person = torch.tensor([names[row.annotator] for row in rows], dtype=torch.long)
    features = last_states(reward, [s for row in rows for s in row.samples()])
    center, spread = features.mean(dim=0), features.std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    z = ((features - center) / spread).reshape(len(rows), 2, -1)
    network = fit_user_network(z[:, 0], z[:, 1], person, config=config)
    scores = _own_scores(network, z, person, config)
    return VariationalUsers(
        reward, network, center, spread, offset=float(scores.mean()), scale=float(scores.std(correction=0)) or 1.0
    )


def fit_beside(reward: ModelReward, rows: Sequence[Pair], **options: Any) -> VariationalUsers:
    """The user model that is saved beside the weights of its reward model.

    Args:
        reward: as for `fit_users`.
        rows: pairs with their `annotator`.
        options: of `UserFit`.

    Raises:
        InputError: as `fit_users`.
    """
    return fit_users(reward, rows, config=UserFit(**options))


def _drawn(
    pools: Sequence[Tensor], config: UserFit, generator: torch.Generator
) -> tuple[Int[Tensor, "u c"], Tensor, Int[Tensor, "u t"]]:
    """Pairs by which people are known, which of them count, and others of theirs that are predicted."""
    people = torch.randint(len(pools), (config.people,), generator=generator).tolist()
    asked = torch.zeros(config.people, config.context, dtype=torch.long)
    known = torch.zeros(config.people, config.context, dtype=torch.bool)
    target = torch.zeros(config.people, config.targets, dtype=torch.long)
    for i, u in enumerate(people):
        pool = pools[u][torch.randperm(len(pools[u]), generator=generator)]
        most = min(config.context, len(pool) - 1)
        n = 1 + int(torch.randint(most, (1,), generator=generator))
        asked[i, :n], known[i, :n] = pool[:n], True
        rest = pool[n:]
        target[i] = rest[torch.arange(config.targets) % len(rest)]
    return asked, known, target


def _own_scores(
    network: UserModel, features: Float[Tensor, "m 2 f"], person: Int[Tensor, " m"], config: UserFit
) -> Float[Tensor, " n"]:
    """Scores of all training completions under their own people's mean latents, for the reward's zero and unit."""
    found = []
    with torch.inference_mode():
        for u in torch.unique(person):
            own = features[person == u]
            shown = own[: config.context]
            mean, _ = network.encode(shown[None, :, 0], shown[None, :, 1], torch.ones(1, len(shown), dtype=torch.bool))
            flat = own.reshape(-1, own.shape[-1])
            found.append(network.decode(flat, mean.expand(len(flat), -1)))
    return torch.cat(found)
