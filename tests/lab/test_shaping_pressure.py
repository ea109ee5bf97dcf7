"""Smoke runs of the experiments on rewards under pressure: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab.experiments.shaping.cosine_pressure import experiment as cosine
from plaudit.lab.experiments.shaping.gated_rewards import experiment as gated
from plaudit.lab.experiments.shaping.judges import experiment as judges
from plaudit.lab.experiments.shaping.length_pressure import experiment as length
from plaudit.lab.experiments.shaping.moving_fronts import experiment as fronts
from plaudit.lab.experiments.shaping.noisy_verifier import experiment as verifier
from plaudit.lab.experiments.shaping.policy_filtration import experiment as filtration
from plaudit.lab.experiments.shaping.potential_shaping import experiment as potentials
from plaudit.lab.experiments.shaping.trust_weights import experiment as trust


def test_gated_rewards(smoke):
    found = smoke("gated_rewards")
    assert found["gated@0"] == found["direct"]  # a gate that is always open
    assert found["gated@bonus0"] == found["direct@bonus0"] == found["outcome"]
    assert found["oracle"]["tidy"] == pytest.approx(0.0, abs=1e-12)


def test_gated_rewards_exact_numbers():
    # by hand: work, work, submit, each turn with 9/10 that the environment holds: 0.9^3 handed in, half of them right
    policy = np.zeros((gated.TURNS, 3, 3))
    policy[:, :2, gated.WORK] = policy[:, 2, gated.SUBMIT] = 1.0
    found = gated._exact(gated.World(chance=0.5, fails=0.1, need=2), policy)
    assert found == pytest.approx({"completion": 0.3645, "submission": 0.729, "tidy": 0.0})


def test_trust_weights(smoke):
    found = smoke("trust_weights")
    assert all(0 < numbers["accuracy"] < 1 for numbers in found.values())
    # one draw of answers for all arms: what is rewarded alike is learned alike
    assert found["trust@0"]["accuracy"] != found["trust"]["accuracy"]
    assert found["neither"]["accuracy"] < found["outcome"]["accuracy"]


def test_trust_weights_rewards():
    right, thinking, group = np.array([1.0, 0.0]), np.array([0.2, 0.95]), np.array([0, 0])
    budget = {"alpha": 1.6, "decay": 100}
    trusted = trust._reward("trust", right, thinking, group, 0, budget)
    # by hand: trust exp(0.2 - 0.95) = 0.472367; times 1.6 times the thinking: 0.151157 and 0.717997
    assert trusted == pytest.approx([1.151157, 0.717997], abs=1e-5)
    # by hand: 1 + 1.6 * 0.2 and 1.6 * 0.95: the wrong answer is paid more
    assert trust._reward("neither", right, thinking, group, 0, budget) == pytest.approx([1.32, 1.52])
    # after as many steps as the decay has, a factor of 1 / e = 0.367879 on what reasoning adds
    assert trust._reward("annealed", right, thinking, group, 100, budget) == pytest.approx(
        [1.117721, 0.559177], abs=1e-5
    )


def test_judges(smoke):
    found = smoke("judges")
    assert found["plain"]["violation"] > found["plain@0"]["violation"]  # inflation draws the policy there
    assert all(0 <= numbers["violation"] <= 1 for numbers in found.values())


def test_judges_rewards():
    world = judges.World(
        truth=np.zeros((1, 3)), proxy=np.zeros((1, 3)), breaks=np.zeros((1, 3, 2), bool), reference=np.zeros(1)
    )
    row, a, far = np.array([[0]]), np.array([[0, 1, 2]]), np.array([0.0, 0.0, 1.0])
    verdicts = np.array([[1.0, 0.0], [1.0, np.nan], [1.0, 1.0]])  # broken, no answer, allowed
    budget = {"kl_max": 4.0}
    # by hand: sigmoid(0 - 0) = 1/2; nothing, none, and (1 - 1/4) / 2
    constrained = judges._reward("constrained", world, row, a, verdicts, far, budget)
    assert constrained == pytest.approx([0.0, np.nan, 0.375], nan_ok=True)
    assert judges._reward("penalty", world, row, a, verdicts, far, budget) == pytest.approx([-0.5, 0.5, 0.5])
    assert judges._reward("near", world, row, a, verdicts, far, budget) == pytest.approx([0.5, 0.5, 0.375])


def test_policy_filtration(smoke):
    found = smoke("policy_filtration")
    # the filter that was chosen is the one under which rewards say most
    filters = [found[name] for name in filtration.FILTERS]
    assert found["chosen"]["reliability"] == max(numbers["reliability"] for numbers in filters)
    assert found["chosen"] == max(filters, key=lambda numbers: numbers["reliability"])


def test_policy_filtration_errors():
    world = filtration.World(np.zeros(1), np.zeros(1), error=0.5, even=False)
    # by hand, worth 0: 0 + 0.5 / 0.447 = 1.118568; worth 2: 2 + 0.5 * exp(-8) / 0.447 = 2.000375
    assert world.reward(np.array([0.0, 2.0]), np.ones(2)) == pytest.approx([1.118568, 2.000375], abs=1e-6)
    # as large on average as where the error is even: E exp(-2 u^2) = 1 / sqrt(5) for a standard normal u
    u = np.random.default_rng(0).normal(size=200_000)
    assert (world.reward(u, np.ones_like(u)) - u).mean() == pytest.approx(0.5, abs=0.005)


def test_length_pressure(smoke):
    found = smoke("length_pressure")
    assert found["oracle"]["accuracy"] == max(found[name]["accuracy"] for name in found if "@" not in name)
    assert found["oracle"]["length"] == length.LONGEST  # a right answer is likeliest at the longest
    # where length says nothing no policy can be better than another
    assert found["efficient@0"]["accuracy"] == pytest.approx(found["penalty@0"]["accuracy"])


def test_length_pressure_rewards():
    right, tokens, group = np.array([1.0, 1.0, 1.0, 0.0]), np.array([4.0, 12.0, 16.0, 8.0]), np.array([0, 0, 1, 1])
    budget = {"share": 0.5, "alpha": 0.6}
    # by hand: the first group is mastered, z = -1 and 1: 1 - 0.6 sigmoid(z) = 0.838635 and 0.561365
    found = length._reward("efficient", right, tokens, group, budget)
    assert found == pytest.approx([0.838635, 0.561365, 1.0, 0.0], abs=1e-6)
    # alpha 0.3 for both: 1 - 0.3 sigmoid(z); the only right completion of a group has z = 0
    found = length._reward("mild", right, tokens, group, budget)
    assert found == pytest.approx([0.919318, 0.780682, 0.85, 0.0], abs=1e-6)
    # a cushion of 4 tokens before 16: nothing up to 12, one less at 16
    assert length._reward("overlong", right, tokens, group, budget) == pytest.approx([1.0, 1.0, 0.0, 0.0])


def test_noisy_verifier(smoke):
    found = smoke("noisy_verifier")
    assert all(0 < numbers["accuracy"] < 1 for numbers in found.values())
    # a verifier that is never wrong teaches more than one that is wrong as often as right
    assert found["bare@0"]["accuracy"] > found["bare@50"]["accuracy"]


def test_noisy_verifier_rewards():
    verdict, pattern = np.array([1.0, 0.0]), np.array([0.4, 0.7])
    assert verifier._reward("bare", verdict, pattern, 0.5) == pytest.approx([1.0, 0.0])
    assert verifier._reward("pattern", verdict, pattern, 0.5) == pytest.approx([0.4, 0.7])
    # by hand: only what is called wrong gets something, 0.5 * 0.7
    assert verifier._reward("calibrated", verdict, pattern, 0.5) == pytest.approx([1.0, 0.35])


def test_potential_shaping(smoke):
    found = smoke("potential_shaping")
    for name in ("potential", "random", "potential@4", "potential@0", "bonus@0", "kept@0"):
        assert found[name]["share"] == pytest.approx(1.0)  # the theorem
    assert found["none"] == found["bonus@0"] == found["kept@0"]


def test_potential_shaping_of_steps():
    grid = potentials._grid(0, 0.2)
    inside = int(np.flatnonzero(~grid.exit)[0])
    other, out = int(np.flatnonzero(~grid.exit)[1]), int(np.flatnonzero(grid.exit)[0])
    near, rng = grid.near, np.random.default_rng(0)
    plain = potentials._shaping("potential", grid, 2.0, 0.9, rng)
    # by hand: 0.9 phi(next) - phi(here) with phi twice the nearness; into an exit only what is left behind counts
    assert plain[inside, other] == pytest.approx(1.8 * near[other] - 2 * near[inside])
    assert plain[inside, out] == pytest.approx(-2 * near[inside])
    assert potentials._shaping("kept", grid, 2.0, 0.9, rng)[inside, out] == pytest.approx(-0.2 * near[inside])
    assert potentials._shaping("bonus", grid, 2.0, 0.9, rng)[inside, out] == pytest.approx(2 * near[out])
    assert (plain[out] == 0).all()  # nothing happens after the end
    assert grid.move.sum(axis=2) == pytest.approx(1.0)


def test_moving_fronts(smoke):
    found = smoke("moving_fronts")
    # the last results are among all of them; both volumes are sums, so equal ones may differ in the last digit
    assert all(0 < v["final"] <= v["volume"] + 1e-12 < 1 for name, v in found.items() if name != "oracle")
    assert found["oracle"]["volume"] == max(numbers["volume"] for name, numbers in found.items() if "@" not in name)
    assert found["moving"]["factor"] == pytest.approx(found["matched"]["factor"])
    assert found["fixed"]["factor"] == 1.0
    # every arm sees the same front; two targets in one place have none
    assert {numbers["unsupported"] for name, numbers in found.items() if "@" not in name} == {191 / 201}
    assert found["moving@0"]["unsupported"] == 0.0


@pytest.mark.parametrize(("bend", "reached"), [(1.0, 201), (1.7, 201), (4.0, 10), (8.0, 2)])
def test_moving_fronts_are_reached_by_weights_below_a_bend_of_two(bend, reached):
    # by hand: the point that equal weights like best nearest to an end has t exp(-b t^2) = (1 - t) exp(-b (1 - t)^2).
    # With b = 4 that is t = 0.0212, so that of 0, 0.005, ... 1 five points are left at each end; with b = 8 t = 0.0003:
    # the ends alone. Below 2 the second derivative of the sum in the middle, 2 exp(-b/4) (b^2 - 2 b), is negative
    world = fronts._world(0, bend, apart=True)
    assert world.front[[0, 100, 200]] == pytest.approx(np.exp(-bend * np.array([[0.0, 1.0], [0.25, 0.25], [1.0, 0.0]])))
    assert fronts._supported(world.front).sum() == reached


def test_moving_fronts_weights_by_hand():
    # by hand: (0.4, 0.4) lies below the line from (1, 0) to (0, 1), (0.6, 0.6) above it; the first beats (0.5, 0)
    points = np.array([[1.0, 0.0], [0.4, 0.4], [0.6, 0.6], [0.5, 0.0], [0.0, 1.0]])
    assert fronts._supported(points).tolist() == [True, False, True, False, True]


def test_moving_fronts_objectives():
    world = fronts.World(np.stack([np.full(8, 0.5), np.full(8, 1.0)]), width=0.5)
    # by hand, chances of 1/2: the first target is met; the second is off by 8 * 0.25 = 2, exp(-2 / 0.5) = 0.018316
    assert world.objectives(np.full(8, 0.5)) == pytest.approx([1.0, 0.018316], abs=1e-6)
    # by hand: 2 * 0.5 / 0.5 * 0.018316 * p (1 - p) with p (1 - p) = 1/4; nothing where a target is met
    assert world.gradients(np.zeros(8)) == pytest.approx(np.array([[0.0] * 8, [0.009158] * 8]), abs=1e-6)


def test_cosine_pressure(smoke):
    found = smoke("cosine_pressure")
    assert found["oracle"]["accuracy"] == max(numbers["accuracy"] for name, numbers in found.items() if "@" not in name)
    assert found["oracle"]["length"] == cosine.WINDOW - 1  # the longest that is not cut off
    # where length says nothing no policy can be better than another
    assert found["cosine@0"]["accuracy"] == pytest.approx(found["none@0"]["accuracy"])


def test_cosine_pressure_rewards():
    right, tokens, group = np.array([1.0, 1.0, 0.0, 0.0]), np.array([16.0, 32.0, 16.0, 32.0]), np.zeros(4, np.int64)
    # by hand, half of the window: (2 + 1) / 2 and (-10 + 0) / 2; at the window -10, or nothing
    assert cosine._reward("cosine", right, tokens, group, {}) == pytest.approx([1.5, -10.0, -5.0, -10.0])
    assert cosine._reward("inside", right, tokens, group, {}) == pytest.approx([1.5, 0.0, -5.0, 0.0])
    # a cushion of 8 tokens before 32
    assert cosine._reward("overlong", right, tokens, group, {}) == pytest.approx([1.0, 0.0, 0.0, -1.0])


def test_cosine_pressure_lengths():
    chance, slope = cosine._lengths(np.array([[0.3, -1.2], [-2.0, 0.7]]))
    assert chance.sum(axis=1) == pytest.approx([1.0, 1.0])
    # by hand: after one token of 32 it stops with the chance sigmoid(0.3 - 1.2 / 32)
    assert chance[0, 0] == pytest.approx(1 / (1 + np.exp(-0.2625)))
    for k, step in enumerate(np.eye(2) * 1e-6):
        near = [cosine._lengths(np.array([[0.3, -1.2], [-2.0, 0.7]]) + s * step)[0] for s in (1, -1)]
        assert slope[..., k] == pytest.approx((np.log(near[0]) - np.log(near[1])) / 2e-6, abs=1e-7)
