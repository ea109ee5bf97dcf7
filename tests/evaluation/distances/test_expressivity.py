"""Orders that no Markov reward expresses, with the contradiction; and objectives that express them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.distances import (
    MDP,
    RewardMachine,
    expressible_as_markov,
    limit_average,
    machine_return,
    occupancy,
    policy_return,
    product,
)
from plaudit.evaluation.distances.mdp import deterministic

# two states that alternate whatever is done, two actions: the catalogue's counterexample
ALTERNATE = MDP(np.array([[[0.0, 1.0]] * 2, [[1.0, 0.0]] * 2]), 0.5, np.array([0.5, 0.5]))
ACTIONS = list(itertools.product(range(2), repeat=2))
POLICIES = [deterministic(ALTERNATE, np.array(a)) for a in ACTIONS]
SAME, DIFFERENT = [0, 3], [1, 2]
XOR = [(i, j) for i in SAME for j in DIFFERENT]


def test_xor_cannot_be_expressed_and_the_proof_holds():
    found = expressible_as_markov(ALTERNATE, POLICIES, XOR)
    assert not found.expressible
    # J(00) + J(11) = J(01) + J(10): weights at least 0, summing to 1, under which the statements add up to nothing
    visits = np.stack([occupancy(ALTERNATE, p).reshape(-1) for p in POLICIES])
    total = sum(w * (visits[i] - visits[j]) for w, (i, j) in zip(found.contradiction, XOR, strict=True))
    assert total == pytest.approx(np.zeros(4), abs=1e-9)
    assert (found.contradiction >= 0).all()
    assert found.contradiction.sum() == pytest.approx(1)


def same_as_before():
    """Memory: the last action, or none yet; 1 for doing the same again."""
    moves, reward = np.zeros((3, 2, 2, 2), dtype=np.int64), np.zeros((3, 2, 2, 2))
    for u, a in itertools.product(range(3), range(2)):
        moves[u, :, a, :] = a
        reward[u, :, a, :] = float(u == a)
    return RewardMachine(2, moves, reward)


def test_xor_is_expressed_by_a_reward_machine():
    returns = [machine_return(ALTERNATE, same_as_before(), p) for p in POLICIES]
    # the same action in both states: 0 at first, then 1 a step: 1/2 + 1/4 + ... = 1; different: never
    assert returns == pytest.approx([1, 0, 0, 1], abs=1e-12)


def test_xor_is_expressed_by_a_function_of_a_return():
    # R = 1 for the second action: J is 0, 1, 1, 2, and (J - 1)^2 orders as wished (start and visits are even)
    returns = np.array([policy_return(ALTERNATE, np.array([[0.0, 1.0]] * 2), p) for p in POLICIES])
    outer = (returns - 1) ** 2
    assert returns == pytest.approx([0, 1, 1, 2])
    assert all(outer[i] > outer[j] for i, j in XOR)


def test_what_can_be_expressed_comes_with_its_reward():
    order = [(3, 1), (1, 0), (3, 2), (2, 0)]
    found = expressible_as_markov(ALTERNATE, POLICIES, order, equal=[(1, 2)])
    assert found.expressible
    returns = [policy_return(ALTERNATE, found.reward, p) for p in POLICIES]
    assert all(returns[i] >= returns[j] + 1 - 1e-7 for i, j in order)
    assert returns[1] == pytest.approx(returns[2])
    # with 1 as good as 2 and both equal to 0, 3 cannot be better: J(3) = J(1) + J(2) - J(0)
    tied = expressible_as_markov(ALTERNATE, POLICIES, [(3, 0)], equal=[(1, 0), (2, 0)])
    assert not tied.expressible
    assert np.abs(tied.equalities).sum() > 0


@settings(deadline=None)  # the first linear programme loads its solver
@given(st.integers(0, 300))
def test_the_order_of_a_reward_is_found_expressible_and_its_reverse_contradicts(seed):
    rng = np.random.default_rng(seed)
    mdp = MDP(rng.dirichlet(np.ones(3), size=(3, 2)), 0.9, np.ones(3) / 3)
    policies = [deterministic(mdp, np.array(a)) for a in itertools.product(range(2), repeat=3)]
    reward = rng.normal(size=(3, 2))
    returns = np.array([policy_return(mdp, reward, p) for p in policies])
    order = np.argsort(-returns)
    chain = list(itertools.pairwise(order.tolist()))
    assert expressible_as_markov(mdp, policies, chain).expressible
    assert not expressible_as_markov(mdp, policies, [*chain, (chain[-1][1], chain[0][0])]).expressible


def test_the_product_is_the_machine_on_trajectories():
    rng = np.random.default_rng(0)
    mdp = MDP(rng.dirichlet(np.ones(3), size=(3, 2)), 0.5, rng.dirichlet(np.ones(3)))
    machine = RewardMachine(0, rng.integers(0, 2, (2, 3, 2, 3)), rng.normal(size=(2, 3, 2, 3)))
    policy = rng.dirichlet(np.ones(2), size=3)
    # the plain way: forward over (state, memory), 60 steps of discount 1/2
    mass = np.zeros((3, 2))
    mass[:, 0] = mdp.start
    total = 0.0
    for step in range(60):
        after = np.zeros((3, 2))
        for s, u, a, t in itertools.product(range(3), range(2), range(2), range(3)):
            p = mass[s, u] * policy[s, a] * mdp.transition[s, a, t]
            total += 0.5**step * p * machine.reward[u, s, a, t]
            after[t, machine.moves[u, s, a, t]] += p
        mass = after
    assert machine_return(mdp, machine, policy) == pytest.approx(total, abs=1e-12)
    whole, _ = product(mdp, machine)
    assert whole.shape == (6, 2)


def test_a_machine_of_one_state_is_a_markov_reward():
    rng = np.random.default_rng(1)
    reward = rng.normal(size=(2, 2, 2))
    machine = RewardMachine(0, np.zeros((1, 2, 2, 2), dtype=np.int64), reward[None])
    for p in POLICIES:
        assert machine_return(ALTERNATE, machine, p) == pytest.approx(policy_return(ALTERNATE, reward, p), abs=1e-12)


def test_limit_average_by_hand():
    # the states alternate: half of the time in each, whatever the start, though the chain is periodic
    reward = np.array([[1.0, 5.0], [0.0, 3.0]])
    assert limit_average(ALTERNATE, reward, POLICIES[0]) == pytest.approx(0.5)
    assert limit_average(ALTERNATE, reward, POLICIES[3]) == pytest.approx(4.0)


def test_what_is_refused():
    with pytest.raises(InputError, match="nothing is better"):
        expressible_as_markov(ALTERNATE, POLICIES, [])
    with pytest.raises(InputError, match="policy 7 of 4"):
        expressible_as_markov(ALTERNATE, POLICIES, [(7, 0)])
    with pytest.raises(ShapeError, match="RewardMachine: moves"):
        RewardMachine(0, np.zeros((1, 2), dtype=np.int64), np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"memories are 0\.\.0"):
        RewardMachine(1, np.zeros((1, 2, 2, 2), dtype=np.int64), np.zeros((1, 2, 2, 2)))
