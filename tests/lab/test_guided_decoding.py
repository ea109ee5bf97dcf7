"""Decoding under guidance: the policy that comes out, its distance, and the strength that gives a distance."""

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.experiments.rewards.autoregressive_reward.walks import LENGTH, TOKENS, Walks
from plaudit.lab.experiments.search.guided_decoding.experiment import NATS, decoded, guide_of, strength


def test_smoke(smoke):
    arms = smoke("guided_decoding")
    assert arms["base"]["kl"] == 0
    for arm in ("token", "trajectory", "dpo", "oracle"):
        assert arms[arm]["kl"] == pytest.approx(NATS, rel=0.35)  # fresh texts, and only 40 of them
    assert arms["token@3"]["alpha"] > arms["token"]["alpha"] > arms["token@0.3"]["alpha"]
    assert arms["best_of_8"]["kl"] == pytest.approx(np.log(8) - 7 / 8)


def pairwise(table):
    """A guide that knows the last token only."""
    return lambda begun: torch.from_numpy(table[begun[:, -1]])


def test_the_guide_that_leads_to_a_policy_leads_there():
    walks = Walks(4)
    raised = np.exp(np.random.default_rng(0).normal(size=(TOKENS, TOKENS)))
    wanted = raised / raised.sum(axis=1, keepdims=True)
    # a reward model proportional to (wanted / base)^beta, with alpha = 1 / beta; a constant a row does not matter
    guide = pairwise(0.25 * np.log(wanted / walks.policy) + 3.0)
    texts, kl = decoded(walks, guide, 4.0, n=20_000, part=9)
    counts = np.zeros((TOKENS, TOKENS))
    np.add.at(counts, (texts[:, :-1].ravel(), texts[:, 1:].ravel()), 1)
    assert counts / counts.sum(axis=1, keepdims=True) == pytest.approx(wanted, abs=0.012)
    # its KL by the chain rule: where the wanted policy goes, times how far it is from the base there
    apart, at, total = (wanted * np.log(wanted / walks.policy)).sum(axis=1), np.full(TOKENS, 1 / TOKENS), 0.0
    for _ in range(LENGTH - 1):
        total, at = total + at @ apart, at @ wanted
    assert kl == pytest.approx(total, rel=0.01)


def test_no_guidance_is_the_base_policy():
    walks = Walks(4)
    texts, kl = decoded(walks, pairwise(np.random.default_rng(0).normal(size=(TOKENS, TOKENS))), 0.0, n=500, part=9)
    same, _ = decoded(walks, pairwise(np.zeros((TOKENS, TOKENS))), 5.0, n=500, part=9)
    assert kl == pytest.approx(0, abs=1e-12)
    assert np.array_equal(texts, same)


def test_a_strength_gives_its_distance_and_none_is_no_guide():
    walks = Walks(4)
    guide = pairwise(np.random.default_rng(0).normal(size=(TOKENS, TOKENS)))
    for nats in (0.3, 2.0):
        assert decoded(walks, guide, strength(walks, guide, nats, n=400), n=400, part=5)[1] == pytest.approx(
            nats, rel=1e-4
        )
    with pytest.raises(InputError, match=r"no strength of the guide is 1\.000 nats away"):
        strength(walks, pairwise(np.zeros((TOKENS, TOKENS))), 1.0, n=50)


def test_the_oracle_asks_what_each_next_token_leads_to():
    walks = Walks(4)
    begun = walks.draw(3, 8)[:, :5]
    said = guide_of("oracle", walks, {})(begun)
    assert said.shape == (3, TOKENS)
    for token in range(TOKENS):
        longer = np.concatenate([begun, np.full((3, 1), token)], axis=1)
        assert said[:, token].numpy() == pytest.approx(walks.expected(longer))
    # the base policy's mean over them is what the beginning itself is worth
    assert (said.numpy() * walks.policy[begun[:, -1]]).sum(axis=1) == pytest.approx(walks.expected(begun))
