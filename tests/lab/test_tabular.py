"""Tabular policies and the loop that improves them."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from plaudit.errors import InputError, ShapeError
from plaudit.lab.improving import Judged, Spending, _Process, improved
from plaudit.lab.tabular import TabularPolicy, by_position, by_prefix, by_previous
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.online.methods import ONLINE, online
from plaudit.shaping.groups.pairwise import pairs_within

MOVES = {"position": by_position, "previous": by_previous, "prefix": by_prefix}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_policy(kind="prefix", *, prompts=2, length=3, vocabulary=3, end=2, seed=0):
    moves = MOVES[kind](length, vocabulary)
    logits = torch.randn(prompts, *moves.shape, generator=generator(seed), dtype=torch.float64)
    return TabularPolicy(logits, moves, length=length, end=end)


def test_states():
    tokens = torch.tensor([[1, 0, 1]])
    at = {
        name: TabularPolicy(torch.zeros(1, *made(3, 2).shape), made(3, 2), length=3).states(tokens)[0].tolist()
        for name, made in MOVES.items()
    }
    assert at["position"] == [0, 1, 2]
    assert at["previous"] == [0, 2, 3]  # 1 + 0 * 2 + token 1; 1 + 1 * 2 + token 0
    assert at["prefix"] == [0, 2, 5]  # children of node k are 2 k + 1 and 2 k + 2


@pytest.mark.parametrize("kind", MOVES)
def test_chances_sum_to_one(kind):
    policy = random_policy(kind)
    every = policy.every()
    # by hand: 1 that ends at once, 2 of two tokens, 2 * 2 * 3 of three
    assert len(every) == 15
    assert len({tuple(row) for row in every.tolist()}) == 15
    assert policy.chances(every).sum(1).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("kind", MOVES)
def test_kl_is_that_of_listed_sequences(kind):
    first, second = random_policy(kind), random_policy(kind, seed=1)
    p, q = (policy.chances(policy.every()) for policy in (first, second))
    assert first.kl(second).tolist() == pytest.approx((p * (p / q).log()).sum(1).tolist())
    assert first.kl(first).tolist() == [0.0, 0.0]


def test_a_hand_value():
    # ln 3 to 1 for token 1 at the first place, 1 to 1 behind it; token 1 ends
    policy = TabularPolicy(
        torch.tensor([[[0.0, math.log(3)], [0.0, 0.0]]], dtype=torch.float64), by_position(2, 2), length=2, end=1
    )
    prompt, tokens = torch.zeros(2, dtype=torch.int64), torch.tensor([[1, 0], [0, 0]])
    assert policy.logps(prompt, tokens).exp().tolist() == [pytest.approx([0.75, 1.0]), pytest.approx([0.25, 0.5])]
    assert policy.counted(tokens).tolist() == [[True, False], [True, True]]
    # by hand: ln 4 - 3/4 ln 3 = 0.562335, and ln 2
    expected = [[0.562335, 0.0], [0.562335, math.log(2)]]
    assert policy.entropy(prompt, tokens).tolist() == [pytest.approx(row, abs=1e-6) for row in expected]
    uniform = TabularPolicy(torch.zeros(1, 2, 2), by_position(2, 2), length=2, end=1)
    # by hand: ln 2 - 0.562335 at the first place, nothing at the second
    assert policy.kl(uniform).tolist() == pytest.approx([math.log(2) - 0.562335], abs=1e-6)
    assert policy.visits()[1].tolist() == [[0.0, pytest.approx(0.25)]]


def test_samples_have_the_chances_that_are_said():
    policy = random_policy("previous")
    drawn = policy.sample(torch.tensor([1, 1]), 20_000, generator())
    assert drawn.group.tolist() == [0] * 20_000 + [1] * 20_000
    assert torch.equal(drawn.mask, policy.counted(drawn.tokens))
    torch.testing.assert_close(drawn.logp, policy.logps(drawn.prompt, drawn.tokens).detach(), rtol=1e-12, atol=1e-12)
    every = policy.every()
    share = (drawn.tokens[:, None] == every).all(2).double().mean(0)
    expected = policy.chances(every)[1].detach()
    assert float((share - expected).abs().max()) < 0.01  # 4 deviations of a share of 40,000


def test_features_share_tables():
    own = random_policy(prompts=2)
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    shared = TabularPolicy(own.logits, own.moves, length=3, end=2, features=weights)
    tokens = own.every()
    assert torch.allclose(shared.chances(tokens)[0], own.chances(tokens)[0])
    assert torch.allclose(shared.table()[1], own.logits.mean(0))
    assert shared.frozen().prompts == 2
    assert not shared.frozen().logits.requires_grad


def test_one_update_is_the_policy_gradient():
    policy = random_policy("prefix", prompts=1)
    start, drawn = policy.logits.detach().clone(), []

    def judge(batch):
        drawn.append(batch)
        return Judged(batch.tokens[:, 0].double().numpy())

    improved(policy, judge, online("reinforce?weights=sequence-sum")[1], Spending(1, 1, 6, 0.5), generator=generator())
    # by hand: rate / 6 * sum_i (r_i - mean r) * sum over its tokens of (one-hot - softmax) in its state
    batch, expected = drawn[0], start.clone()
    reward, state = batch.tokens[:, 0].double(), policy.states(batch.tokens)
    for i, t in itertools.product(range(6), range(3)):
        if batch.mask[i, t]:
            row = -start[0, state[i, t]].softmax(0)
            row[batch.tokens[i, t]] += 1
            expected[0, state[i, t]] += 0.5 / 6 * (reward[i] - reward.mean()) * row
    torch.testing.assert_close(policy.logits.detach(), expected)


def test_shares_of_a_batch_and_what_is_watched():
    found = []
    policy = random_policy("position", prompts=4)
    history = improved(
        policy, lambda d: Judged(d.tokens[:, 0].double().numpy()), online("grpo")[1],
        Spending(3, 4, 4, 0.1, passes=2, minibatches=2, kl_coef=0.1), generator=generator(),
        watch=lambda p, done: found.append(done) or {"moved": float(p.kl(random_policy("position", prompts=4)).mean())},
    )  # fmt: skip
    assert found == [1, 2, 3]
    assert all(row["gradient"] > 0 and row["moved"] > 0 for row in history)


def judge_all(drawn):
    right = (drawn.tokens[:, 0] == 0).double().numpy()
    pairs = pairs_within(drawn.group.numpy())
    ahead = right[pairs[:, 0]] - right[pairs[:, 1]]
    none = np.zeros(len(right))
    return Judged(
        right, correct=right, tasks=("one",) * len(right), compared=Compared(pairs, (ahead + 1) / 2, ahead),
        columns={"hardness": none, "gap": none, "allowed": none + 1},
    )  # fmt: skip


LEARN = {
    "prime": "prime?process_rate=0.05", "online-dno": "online-dno?beta=5", "online-inpo": "online-inpo?eta=0.5&tau=0.1",
    "reinforce++": "reinforce++", "luspo": "luspo",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name, one in ONLINE.items() if not (one.critic_options or one.token_options)]
)
def test_every_method_learns_what_is_right(name):
    policy = TabularPolicy(torch.zeros(4, 2, 2), by_position(2, 2), length=2)
    method, spending = online(LEARN.get(name, name))[1], Spending(60, 4, 8, 0.05, adam=True)
    improved(policy, judge_all, method, spending, generator=generator())
    assert policy.table().softmax(-1)[:, 0, 0].min() > 0.6  # from one half


def test_a_seed_gives_the_same_again():
    method, ends = online("prime?process_rate=0.05")[1], []
    for _ in range(2):
        policy = random_policy("position")
        improved(policy, judge_all, method, Spending(5, 2, 4, 0.5), generator=generator())
        ends.append(policy.logits.detach().clone())
    assert torch.equal(*ends)


def test_token_rewards_are_fitted_to_the_groups_that_are_kept_only():
    """Of four completions two are right in the first group and all in the second, which PRIME's bounds leave out."""
    policy = random_policy("position")
    drawn = policy.sample(torch.tensor([0, 1]), 4, generator())
    right = np.array([1.0, 1, 0, 0, 1, 1, 1, 1])
    told, ref = Judged(right, correct=right), policy.logps(drawn.prompt, drawn.tokens).detach()
    for bounds, moves in (("", [True, False]), ("?low=0&high=1", [True, True]), ("?low=1&high=1", [False, True])):
        method = online(f"prime{bounds}")[1]
        process = _Process(policy, method.process)
        assert process.learnt(drawn, told, ref, method).tolist() == [0.0] * int(drawn.mask.sum())  # of before
        moved = (process.model.logits != policy.logits).flatten(1).any(dim=1)
        assert moved.tolist() == moves


def test_what_is_refused():
    with pytest.raises(ShapeError, match="give"):
        TabularPolicy(torch.zeros(2, 3), by_position(2, 3), length=2)
    with pytest.raises(ShapeError, match=r"features \(1, 3\) for 2 tables"):
        TabularPolicy(torch.zeros(2, 2, 3), by_position(2, 3), length=2, features=torch.ones(1, 3))
    with pytest.raises(InputError, match="moves within 2 states"):
        TabularPolicy(torch.zeros(1, 2, 3), by_position(2, 3) + 1, length=2)
    policy = random_policy()
    with pytest.raises(InputError, match="the same moves"):
        policy.kl(random_policy(length=2))
    with pytest.raises(InputError, match="fits a value function"):
        improved(policy, judge_all, online("ppo")[1], Spending(1, 1, 2, 0.1), generator=generator())
    bare = replace(judge_all(policy.sample(torch.tensor([0]), 2, generator())), correct=None)
    with pytest.raises(InputError, match="correct"):
        improved(policy, lambda _: bare, online("dapo")[1], Spending(1, 1, 2, 0.1), generator=generator())
