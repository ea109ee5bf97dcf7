"""Checks of methods that their entries ask for and that other files do not have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.rules import length_scaled
from plaudit.shaping import aggregated, mean, quantile, uncertainty_weighted, worst_case
from plaudit.shaping.combine import (
    gated_steps,
    implicit_gradient,
    mixed_grain,
    normalised_sum,
    scorecard,
    trivial_policies,
)
from plaudit.shaping.constraints import calibrated_reward, constrained_reward, satisfied
from plaudit.shaping.groups import (
    Groups,
    TaskDeviations,
    Tasks,
    batch_standardised,
    best_worst_weights,
    branch_advantages,
    brevity_reward,
    difficulty_scale,
    discriminability,
    efficient_reward,
    leave_one_out,
    mean_only,
    power_weights,
    prefix_values,
    relief_weights,
    standardised,
    trusted_reward,
)
from plaudit.shaping.length import length_residual, relative_brevity
from plaudit.shaping.steps import effective_rewards
from plaudit.shaping.transforms import group_ranks

NAN = float("nan")
SEEN = TaskDeviations(moments={"t": (0.0, 1.0)})

OF_GROUPS = {
    "mean_only": lambda r, g, x: mean_only(r, g),
    "leave_one_out": lambda r, g, x: leave_one_out(r, g),
    "standardised": lambda r, g, x: standardised(r, g),
    "batch_standardised": lambda r, g, x: batch_standardised(r, g),
    "ranks": lambda r, g, x: group_ranks(r, g),
    "best_worst": lambda r, g, x: best_worst_weights(r, g),
    "power": lambda r, g, x: power_weights(r**2, g),
    "normalised_sum": lambda r, g, x: normalised_sum(np.stack([r, r**2], 1), g),
    "trusted": lambda r, g, x: trusted_reward(r, np.abs(r) / 10, g, step=0, threshold=0.0),
    "brevity": lambda r, g, x: brevity_reward(r, x, g),
    "efficient": lambda r, g, x: efficient_reward(r, x, g, share=1.0),
    "relative_brevity": lambda r, g, x: relative_brevity(r, x, g),
    "tasks": lambda r, g, x: SEEN.advantages(r, g, ["t"] * len(r)),
    "residual": lambda r, g, x: length_residual(r, x, g),
    "relief": lambda r, g, x: relief_weights(r, g),
}
"""Functions of rewards, groups, and a length of each sample."""
ROUNDING = {"normalised_sum": 1e-11}
"""Two standardised columns may cancel to rounding, some 1e-15, and are then divided by epsilon, 1e-4; else 1e-12."""


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 12), st.integers(0, 2**31))
@pytest.mark.parametrize("name", sorted(OF_GROUPS))
def test_a_reward_that_is_missing_changes_nothing_for_the_others(name, data, n, seed):
    f, rng = OF_GROUPS[name], np.random.default_rng(seed)
    reward, group, length = rng.integers(-3, 4, n).astype(float), rng.integers(0, 3, n), rng.permutation(n) + 1.0
    reward[data.draw(st.lists(st.integers(0, n - 1), max_size=n // 2))] = NAN
    kept = ~np.isnan(reward)
    whole = f(reward, group, length)
    assert whole[kept] == pytest.approx(
        f(reward[kept], group[kept], length[kept]), abs=ROUNDING.get(name, 1e-12), nan_ok=True
    )
    turn = rng.permutation(n)  # numbers move with their samples, and labels are names
    assert f(reward[turn], 7 * group[turn] + 1, length[turn]) == pytest.approx(
        whole[turn], abs=ROUNDING.get(name, 1e-12), nan_ok=True
    )


def test_identical_completions_share_their_values():
    completions, reward = [[1, 2, 3], [1, 2, 3], [1, 4]], [1.0, 0.0, 0.5]
    values = prefix_values(completions, reward)
    assert values[0].tolist() == values[1].tolist()
    # by hand: the group's mean 1/2 at the root and after 1, which all share; the mean of the two from there on
    assert values[0].tolist() == [0.5, 0.5, 0.5, 0.5]
    first, second, _ = branch_advantages(completions, reward)
    assert (first - second).tolist() == pytest.approx([(1.0 - 0.0) / (np.std(reward) + 1e-6)] * 3)


def test_difficulty_scales_advantages_and_turns_none_round():
    rng = np.random.default_rng(0)
    advantage = rng.normal(size=20)
    scale = difficulty_scale(rng.random(20), rng.normal(size=20))
    assert (scale > 0).all()
    assert (np.sign(scale * advantage) == np.sign(advantage)).all()


def test_the_order_of_turns_does_not_change_a_gated_return():
    rng = np.random.default_rng(0)
    steps, mask, outcome = rng.normal(size=(4, 6)), rng.random((4, 6)) < 0.7, np.array([0.0, 0.5, 1.0, NAN])
    turn = rng.permutation(6)
    found = gated_steps(outcome, steps, mask, threshold=0.5).sum(axis=1)
    assert gated_steps(outcome, steps[:, turn], mask[:, turn], threshold=0.5).sum(axis=1) == pytest.approx(found)


def test_a_prover_gains_nothing_on_average_by_its_own_steps():
    # the prover takes each of three steps as often as p says, and V is its mean success: the expected advantage is 0
    p, after = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.1, 0.4])
    before = float(p @ after)
    gained = [float(effective_rewards([0.0], [before, v], alpha=1.0)[0]) for v in after]
    assert p @ gained == pytest.approx(0.0, abs=1e-15)


def test_scorecards_by_hand():
    # accepted and positive +1, accepted and negative -2, rejected and negative 0.5, rejected and positive 0
    found = scorecard(
        [1, 1, 0, 0, NAN], [1, 0, 0, 1, 1], true_positive=1.0, false_positive=-2.0, true_negative=0.5,
        others=[[1.0, 0.0], [0.5, 1.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]], weights=[0.2, 0.4],
    )  # fmt: skip
    assert found == pytest.approx([1.2, -1.5, 0.5, 0.6, NAN], nan_ok=True)
    # a constant policy is worth what its closed form says
    positive = np.array([1.0, 0.0, 0.0, 0.0])
    always = scorecard(np.ones(4), positive, true_positive=1.0, false_positive=-2.0).mean()
    assert always == pytest.approx(trivial_policies(0.25, true_positive=1.0, false_positive=-2.0)["accept"])
    with pytest.raises(ShapeError, match="2 decisions and other terms of"):
        scorecard([1, 0], [1, 0], true_positive=1.0, false_positive=0.0, others=[1.0, 2.0])


@given(st.floats(0.01, 100))
def test_a_factor_on_all_weights_of_a_scorecard_leaves_group_advantages(factor):
    rng = np.random.default_rng(0)
    accepted, positive, others = rng.integers(0, 2, 12), rng.integers(0, 2, 12), rng.random((12, 2))

    def advantages(scale):
        gains = {"true_positive": scale, "false_positive": -2.0 * scale, "true_negative": 0.5 * scale}
        reward = scorecard(accepted, positive, others=others, weights=[0.3 * scale, 0.7 * scale], **gains)
        return standardised(reward, np.repeat([0, 1, 2], 4), epsilon=0.0)

    assert advantages(factor) == pytest.approx(advantages(1.0), abs=1e-9)


def test_mixed_grain_knows_items_by_their_sum_and_a_page_by_itself():
    rng = np.random.default_rng(0)
    page, items = rng.normal(size=5), rng.normal(size=(5, 4))
    # what items a page holds is all that their part tells: positions that change places change nothing
    assert mixed_grain(page, items[:, [1, 0, 3, 2]]) == pytest.approx(mixed_grain(page, items))
    # by hand: with no weight of items the page alone, standardised over the batch
    assert mixed_grain(page, items, whole_weight=1.0, item_weight=0.0) == pytest.approx(
        (page - page.mean()) / page.std()
    )
    # a page that is scored lower for a duplicate comes out lower, its items alike
    worse = page.copy()
    worse[0] -= 1.0
    assert mixed_grain(worse, items)[0] < mixed_grain(page, items)[0]


def test_the_order_of_tasks_does_not_change_what_judges_leave():
    rng = np.random.default_rng(0)
    n, task = 12, np.repeat([0, 1, 2], 4)
    reward, base, verdicts, ratio = rng.normal(size=n), rng.normal(size=n), rng.integers(0, 2, (n, 2)), rng.random(n)

    def pushes(at):
        kept = constrained_reward(
            calibrated_reward(reward[at], base[at]), satisfied(verdicts[at].astype(float)), ratio[at], kl_max=2.0
        )
        return mean_only(kept, task[at])

    turned = np.concatenate([np.arange(8, 12), np.arange(4), np.arange(4, 8)])
    assert pushes(turned) == pytest.approx(pushes(np.arange(n))[turned])


def test_a_blend_s_gradient_equals_autograd_through_the_closed_form():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    features, primary, temperature, phi = rng.normal(size=(6, 3)), rng.normal(size=6), 0.7, rng.normal(size=3)
    weights = torch.tensor(phi, requires_grad=True)
    p = torch.softmax(torch.tensor(features) @ weights / temperature, dim=0)
    (p @ torch.tensor(primary)).backward()
    policy = p.detach().numpy()
    covariance = np.diag(policy) - np.outer(policy, policy)
    found = implicit_gradient(
        covariance @ primary, hessian=lambda v: -temperature * covariance @ v - 1e-9 * v,
        cross=lambda v: features.T @ (covariance @ v),
    )  # fmt: skip
    assert found == pytest.approx(weights.grad.numpy(), rel=1e-4)


def test_a_discount_is_learned_like_any_other_number_of_a_blend():
    """Two steps: what an action pays now and later, `now + gamma later`; the primary return counts both in full."""
    rng = np.random.default_rng(4)
    now, later, temperature, gamma = rng.normal(size=5), rng.normal(size=5), 0.5, 0.6
    primary = now + later

    def policy(g):
        logits = (now + g * later) / temperature
        p = np.exp(logits - logits.max())
        return p / p.sum()

    p = policy(gamma)
    covariance = np.diag(p) - np.outer(p, p)
    # Delta = covariance (now + gamma later - temperature theta): dDelta/dgamma = covariance later
    found = implicit_gradient(
        covariance @ primary, hessian=lambda v: -temperature * covariance @ v - 1e-9 * v,
        cross=lambda v: np.array([later @ (covariance @ v)]),
    )  # fmt: skip
    step = 1e-6
    expected = (policy(gamma + step) @ primary - policy(gamma - step) @ primary) / (2 * step)
    assert found == pytest.approx([expected], rel=1e-4)


def test_discriminability_by_hand():
    # right 3, 1; wrong 2, 1: of four pairs 3 > 2, 3 > 1, 1 < 2 and 1 = 1: 2.5 of 4
    assert discriminability([3.0, 1.0, 2.0, 1.0, 9.0, NAN], [1, 1, 0, 0, NAN, 1]) == 0.625
    assert np.isnan(discriminability([1.0, 2.0], [1, 1]))
    with pytest.raises(InputError, match="value 0 is inf"):
        discriminability([np.inf, 2.0], [1, 0])


def test_a_collapsed_reward_gets_weight_where_the_other_says_nothing():
    words = [0.2, 0.2, 0.2, 0.1, 0.3, NAN]
    assert relief_weights(words, [0, 0, 0, 1, 1, 1], low=0.5, high=0.9).tolist() == [0.9] * 3 + [0.5] * 3
    with pytest.raises(InputError, match="relief_weights: low is 2"):
        relief_weights(words, [0, 0, 0, 1, 1, 1], low=2.0)


def test_length_scaled_by_hand():
    # k = 0.5, half of the limit: right (0.5 + 0.5 * 0.5) * 0.5, wrong 0.5 - 1; at the limit and beyond 0 for both
    right = np.array([True, True, True, True])
    assert length_scaled(np.array([0.0, 50, 100, 150]), right, limit=100).tolist() == [0.5, 0.375, 0.0, 0.0]
    assert length_scaled(np.array([0.0, 50, 100, 150]), ~right, limit=100).tolist() == [-1.0, -0.5, 0.0, 0.0]
    # with k = 0.2 worth most at c = (1 - 0.4) / 1.6 = 0.375
    lengths = np.arange(0.0, 101.0, 0.5)
    worth = length_scaled(lengths, np.ones(lengths.size, bool), limit=100, k=0.2)
    assert lengths[worth.argmax()] == 37.5
    with pytest.raises(InputError, match=r"limit is 0 and k 0\.5"):
        length_scaled(lengths, np.ones(lengths.size, bool), limit=0)


def test_what_a_mean_and_a_deviation_say_without_members():
    outcome = np.array([Outcome.SCORED, Outcome.SCORED, Outcome.ABSTAINED, Outcome.POLICY_FAULT], dtype=np.int8)
    batch = RewardBatch(np.array([1.0, 2.0, NAN, -3.0]), outcome, std=np.array([0.0, 2.0, NAN, NAN]))
    assert aggregated(batch, mean).reward.tolist() == pytest.approx([1.0, 2.0, NAN, -3.0], nan_ok=True)
    # by hand: 2 - 0.5 * 4; a fault keeps its floor
    found = aggregated(batch, uncertainty_weighted, lam=0.5).reward
    assert found.tolist() == pytest.approx([1.0, 0.0, NAN, -3.0], nan_ok=True)
    # the tenth percentile of a normal is 1.2815516 deviations below its mean
    low = aggregated(batch, quantile, level=0.1).reward
    assert low.tolist() == pytest.approx([1.0, 2 - 2 * 1.2815515655446004, NAN, -3.0], nan_ok=True)
    with pytest.raises(InputError, match="worst_case needs members, and the batch has a deviation only"):
        aggregated(batch, worst_case)
    with pytest.raises(InputError, match=r"level is 0; of a mean and a deviation give one in \(0, 1\)"):
        aggregated(batch, quantile, level=0)
    with pytest.raises(InputError, match="lam is -1"):
        aggregated(batch, uncertainty_weighted, lam=-1)


def test_tasks_are_made_once():
    labels = ["math", "code", "math", 3]
    made = Tasks.of(labels)
    assert made.names == ("math", "code", "3")
    assert made.groups.code.tolist() == [0, 1, 0, 2]
    assert Tasks.of(made) is made
    assert Tasks.of(np.array(["b", "a"])).names == ("b", "a")
    reward = [0.0, 1.0, 4.0, 2.0]
    assert TaskDeviations().updated(reward, labels) == TaskDeviations().updated(reward, made)
    assert TaskDeviations().updated(reward, made).moments["math"] == (2.0, 8.0)  # mean of 0 and 4, of 0 and 16
    assert Groups.of(made.groups) is made.groups
