"""The smoke run of token-level regularisation on tables, and token rewards on the way there: not the claim."""

import pytest
import torch

from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiments.policy.token_regularisation import experiment as regularised
from plaudit.lab.worlds.phrases import Phrases

BUDGET = {"train": 6, "test": 5, "length": 4, "decisive": 2, "errors": 0.5}


def test_token_regularisation(smoke):
    found = smoke("policy/token_regularisation", unknown=("nothing", "nothing@0", "dpo@0"))
    assert found["regularised"]["worth"] != found["dpo"]["worth"]
    assert found["regularised"]["told"] == found["dpo"]["told"] != found["regularised@0"]["told"]
    assert all(0 <= row[k] <= 1 for row in found.values() for k in ("accuracy", "credit", "told"))
    assert all(row["kl"] > 0 for row in found.values())


def test_without_strength_it_is_dpo():
    world = Phrases.made(4, train=3, test=2)
    drawn = world.start.sample(torch.arange(3), 2, torch.Generator().manual_seed(0))
    pairs = torch.tensor([[0, 1], [3, 2], [4, 5]])
    rewards = torch.rand(drawn.tokens.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5
    shown = Shown(drawn.prompt, drawn.tokens, pairs, token_rewards=rewards)
    found = {}
    for name in ("dpo?beta=0.5", "t-reg?beta=0.5&alpha=0", "t-reg?beta=0.5&alpha=4"):
        policy = world.policy()
        aligned(policy, shown, name, Fitting(3, 0.05))
        found[name] = policy.logits.detach()
    plain, none, some = found.values()
    torch.testing.assert_close(plain, none)
    assert not torch.allclose(plain, some)
    # a part of the pairs brings its own token rewards
    assert torch.equal(shown.part(torch.tensor([2])).token_rewards, rewards[4:])


def test_token_rewards_are_those_of_the_two_ways_to_be_asked():
    world = regularised._world(3, BUDGET, skill=0.0)
    shown = regularised._pairs(world, 7, 1.0, torch.Generator().manual_seed(0))
    assert len(shown.pairs) == 7
    nothing = regularised._token_rewards(world, shown, torch.zeros_like(world.start))
    assert torch.equal(nothing, torch.zeros_like(nothing))
    # leaning far to one token of the first place of all prompts: almost 1/2 where it stands, almost -1/2 elsewhere
    lean = torch.zeros_like(world.start)
    lean[0, 0, 2] = 20.0
    first = regularised._token_rewards(world, shown, lean)[:, 0]
    assert ((first > 0.49) == (shown.tokens[:, 0] == 2)).all()
    assert ((first < -0.49) == (shown.tokens[:, 0] != 2)).all()


def test_chains_are_worth_their_right_deciding_tokens():
    world = regularised._world(3, BUDGET, skill=0.0)
    policy = world.policy()
    found = regularised._measured(world, policy, 200, torch.Generator().manual_seed(0))
    assert found["worth"] == pytest.approx(0)
    # insisting on the rule itself, without a bound: all deciding tokens right
    rule = regularised._world(3, BUDGET, skill=1.0).start - world.start
    found = regularised._measured(
        world, regularised._insisted(policy, rule, 1e9), 200, torch.Generator().manual_seed(0)
    )
    assert found["worth"] > 1
    assert found["accuracy"] > 0.75


def test_chances_to_be_above():
    # of 2 x 3 comparisons 3 is above all three, 1 above one and equal to another: (3 + 1 + 1/2) / 6
    number, marked = torch.tensor([3.0, 1.0, 0.0, 1.0, 2.0]), torch.tensor([True, True, False, False, False])
    assert regularised._above(number, marked) == pytest.approx(4.5 / 6)
