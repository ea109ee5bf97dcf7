"""Multipliers, searched points and judges: signs, fixed points, hand values."""

import math

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.constraints import (
    Multipliers,
    best_allowed,
    calibrated_reward,
    constrained_reward,
    contrast_allowed,
    mixed_advantages,
    satisfied,
    search_thresholds,
)


def test_a_multiplier_rises_exactly_while_its_floor_is_violated():
    m = Multipliers((1.0, 1.0, 1.0), momentum=0.0, rate=0.1)
    later = m.updated([0.0, 2.0, np.nan])
    # slope of sigmoid at 0 is 1/4, times -1 and 1: lambda +-0.1 / 4; the third was not seen
    assert later.value == pytest.approx((0.025, -0.025, 0.0))
    assert ((later.weights > 0) & (later.weights < 1)).all()
    again = Multipliers((1.0,), momentum=0.9, rate=0.1, value=(0.0,), velocity=(-0.5,)).updated([1.0])
    assert again.value == pytest.approx((0.045,))  # momentum alone: 0.1 * 0.9 * 0.5
    assert Multipliers((1.0, 1.0, 1.0), momentum=0.0, rate=0.1).restored(later.state()) == later
    equal = Multipliers((1.0,), kind="equal", momentum=0.0, rate=0.1).updated([3.0])
    assert equal.weights[0] == pytest.approx(math.tanh(-0.1))  # clipped to 1; may be negative


def ascent(thresholds, steps, *, constrained):
    """Two rewards mu_i, true worth sum mu_i - mu_i^2 / (2 theta_i), which peaks at theta; the task is to stay at 0."""
    theta = np.array(thresholds)
    mu, m = np.zeros(2), Multipliers(tuple(thresholds), momentum=0.0, rate=1.0)
    worth = []
    for _ in range(steps):
        advantages = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]  # d mu_i / d mu
        s = m.weights if constrained else np.ones(2)
        task = -mu / max(np.abs(mu).max(), 1.0) if constrained else np.zeros(2)
        mu = mu + 0.02 * mixed_advantages(task, advantages, s)
        m = m.updated(mu)
        worth.append(float((mu - mu**2 / (2 * theta)).sum()))
    return mu, np.array(worth)


def test_rewards_held_at_their_points_stay_at_the_peak_that_free_ascent_leaves():
    # the optimum is sum theta_i / 2 = 1.5; unconstrained, both rewards rise together, peak and fall
    _, free = ascent((1.0, 2.0), 1500, constrained=False)
    mu, held = ascent((1.0, 2.0), 1500, constrained=True)
    assert free.max() < 1.5
    assert free[-1] < -30
    assert held[-200:].mean() == pytest.approx(1.5, abs=0.05)
    assert mu == pytest.approx([1.0, 2.0], abs=0.3)


def test_the_dual_s_fixed_point_by_hand():
    # one reward r, task -k r^2 / 2 and A = (1 - s) * -k r + s: at r = theta: s = k theta / (1 + k theta)
    theta, k = 0.5, 2.0
    m, r = Multipliers((theta,), momentum=0.0, rate=0.5), 0.0
    for _ in range(20000):
        (s,) = m.weights
        r += 0.02 * float(mixed_advantages(np.array([-k * r]), [np.array([1.0])], [s])[0])
        m = m.updated([r])
    assert r == pytest.approx(theta, abs=1e-3)
    assert m.weights[0] == pytest.approx(k * theta / (1 + k * theta), abs=1e-3)


def test_advantages_mix_by_hand():
    assert mixed_advantages(np.array([1.0]), [np.array([3.0])], [0.25]).tolist() == [1.5]  # 0.75 * 1 + 0.25 * 3
    two = mixed_advantages(np.array([1.0]), [np.array([3.0]), np.array([-1.0])], [0.25, 0.5])
    assert two.tolist() == [1.5]  # (2 - 0.75) * 1 + 0.75 - 0.5


def test_points_are_found_without_gradients():
    found = search_thresholds(lambda t: -((t[0] - 1) ** 2) - (t[1] - 2) ** 2, [0.0, 0.0], evaluations=120)
    assert found.thresholds == pytest.approx((1.0, 2.0), abs=0.02)
    assert found.converged
    assert found.value == max(value for _, value in found.history)
    short = search_thresholds(lambda t: -float(t[0] ** 2), [5.0], evaluations=4)
    assert not short.converged
    assert len(short.history) <= 5
    with pytest.raises(InputError, match="2 evaluations for 3 corners; allow more"):
        search_thresholds(lambda t: 0.0, [0.0, 0.0], evaluations=2)
    with pytest.raises(InputError, match="gave nan; it must be finite"):
        search_thresholds(lambda t: math.nan, [0.0])


def test_judges_by_hand():
    verdicts = np.array([[1, 1], [1, 0], [1, np.nan], [0, np.nan]])
    v = satisfied(verdicts)
    assert v[[0, 1, 3]].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(v[2])  # nobody says no, and one cannot say
    # sigmoid(2) = 0.88080, whatever the level of the prompt
    assert calibrated_reward([2.0, 7.0], [0.0, 5.0]) == pytest.approx([0.88080, 0.88080], abs=1e-5)
    found = constrained_reward([0.8, 0.8, 0.8, 0.8], [1, 1, 0, 1], [0.0, 5.0, 0.0, 20.0], kl_max=10.0)
    assert found.tolist() == pytest.approx([0.8, 0.4, 0.0, 0.0])
    assert constrained_reward([0.8], [1], [10.0], kl_max=10.0).tolist() == [0.0]


def test_pairs_and_the_best_among_what_is_allowed():
    r = [0.9, 0.5, 0.2, 0.7, 0.4, 0.3, 0.6]
    v = [0, 1, 0, 1, 1, 1, np.nan]
    g = [0, 0, 0, 1, 1, 2, 2]
    # group 0: best allowed 1, worst forbidden 2; group 1: none forbidden, so its worst; group 2: one alone
    assert contrast_allowed(r, v, g).tolist() == [[1, 2], [3, 4]]
    at, weight = best_allowed(r, v, [0, 0, 0, 99, 0, 0, 0], g, kl_max=10)
    assert at.tolist() == [1, 4, 5]  # 3 is too far
    assert weight.tolist() == [0.5, 0.4, 0.3]


def test_a_forbidden_arm_that_pays_is_left_alone():
    """Twenty arms, the proxy inflated where a judge says no: plain policy gradient goes there, CRPG does not."""
    rng = np.random.default_rng(0)
    worth = rng.uniform(0, 1, 20)
    forbidden = np.arange(20) % 4 == 0
    proxy = worth + 2.0 * forbidden
    ends = {}
    for name in ("plain", "constrained"):
        logits = np.zeros(20)
        for _ in range(4000):
            p = np.exp(logits - logits.max())
            p /= p.sum()
            ratio = np.log(np.maximum(p, 1e-12) * 20)
            c = calibrated_reward(proxy, np.full(20, 0.5))
            r = proxy if name == "plain" else constrained_reward(c, ~forbidden * 1.0, ratio, kl_max=10.0)
            logits += 0.5 * p * (r - p @ r)
        ends[name] = float(p[forbidden].sum())
    assert ends["plain"] > 0.9
    assert ends["constrained"] < 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Multipliers(()), "0 thresholds, rate 0.01"),
        (lambda: Multipliers((1.0,), kind="atleast"), "kind 'atleast' is not known; did you mean 'at-least'"),
        (lambda: Multipliers((1.0,), value=(1.0, 2.0)), "value has 2 entries for 1 thresholds"),
        (lambda: Multipliers((1.0,)).updated([1.0, 2.0]), r"\(2,\) means for 1 thresholds"),
        (lambda: mixed_advantages(np.zeros(2), [np.zeros(3)], [1.0]), r"task \(2,\), rewards \[\(3,\)\]"),
        (lambda: constrained_reward([1.0], [1], [0.0], kl_max=0), "kl_max is 0; give a positive number of nats"),
        (lambda: satisfied(np.zeros(3)), r"verdicts have shape \(3,\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
