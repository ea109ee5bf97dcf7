"""What the user model's posterior says of people who answer at random: its mean tells them, its deviation does not."""

import numpy as np
import pytest
import torch

from plaudit.training.people import UserFit
from plaudit.training.people.variational import fit_user_network

FEATURES = 4


def judged(people, each, at_random, *, seed):
    """Pairs of `people`, so many `each`: one half likes the first feature, the other dislikes it; some throw a coin."""
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, people * each, FEATURES, generator=generator)
    person = torch.arange(people).repeat_interleave(each)
    liked = torch.where(person % 2 == 0, a[:, 0] > b[:, 0], a[:, 0] < b[:, 0])
    coin = torch.rand(len(person), generator=generator) < 0.5
    first = torch.where(person < at_random, coin, liked)[:, None]
    return torch.where(first, a, b), torch.where(first, b, a), person


def posterior(beta, context, *, seed):
    """Mean over new people of the latent's sd and of its mean's length: of those at random, and of the others.

    A third of the training people answer at random, and a half of the new ones; each is known by `context` pairs.
    """
    config = UserFit(beta=beta, context=context, steps=300, seed=seed)
    network = fit_user_network(*judged(30, 2 * context, 10, seed=seed), config=config)
    chosen, rejected, _ = (x.double() for x in judged(200, context, 100, seed=1000 + seed))
    shape = (200, context, FEATURES)
    with torch.no_grad():
        known = torch.ones(shape[:2], dtype=torch.bool)
        mean, log_variance = network.encode(chosen.reshape(shape), rejected.reshape(shape), known)
    spread, length = (0.5 * log_variance).exp().mean(dim=1), mean.norm(dim=1)
    return [(float(x[:100].mean()), float(x[100:].mean())) for x in (spread, length)]


@pytest.mark.parametrize(("beta", "context", "most"), [(1e-3, 8, 0.95), (1e-2, 8, 0.7)])
def test_random_answers_shorten_the_mean_and_do_not_widen_the_posterior(beta, context, most):
    """Means of two fits; `most` is of the mean's length beside the others'."""
    spread, length = np.mean([posterior(beta, context, seed=seed) for seed in range(2)], axis=0)
    assert abs(spread[0] - spread[1]) < 0.02
    assert length[0] < most * length[1]
