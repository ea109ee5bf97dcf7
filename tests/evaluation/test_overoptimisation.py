"""The law of over-optimisation: planted parameters, peaks, and what is said where there is none; rollouts' spread."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation import anticoncentration, fit_optimisation_law, heterogeneity


def points(law, a, b, *, runs=8, noise=0.0, upto=64.0, seed=0):
    rng = np.random.default_rng(seed)
    kl = np.tile(np.linspace(0.0, upto, 15), runs)
    d = np.sqrt(kl)
    gain = d * (a - b * (d if law == "best-of-n" else np.log(np.maximum(d, 1e-300))))
    return kl, gain + noise * rng.normal(size=kl.size), np.repeat(np.arange(runs), 15)


def test_planted_reinforcement_law():
    # the catalogue's numbers: a = 0.3, b = 0.1: peak at e^2 = 7.389, KL 54.6, reward 0.7389
    found = fit_optimisation_law(*points("rl", 0.3, 0.1))
    assert (found.alpha.value, found.beta.value) == pytest.approx((0.3, 0.1), abs=1e-12)
    assert found.peak.value == pytest.approx(math.e**2)
    assert found.peak_reward.value == pytest.approx(0.1 * math.e**2)
    assert found.r_squared == pytest.approx(1)
    assert found.predict([math.e**4])[0] == pytest.approx(0.73890561)


def test_planted_best_of_n_law():
    # a = 1, b = 1/4: peak at a / 2b = 2, reward a^2 / 4b = 1
    found = fit_optimisation_law(*points("best-of-n", 1.0, 0.25, upto=9.0), law="best-of-n")
    assert (found.alpha.value, found.beta.value) == pytest.approx((1.0, 0.25), abs=1e-12)
    assert (found.peak.value, found.peak_reward.value) == pytest.approx((2.0, 1.0))


def test_equals_least_squares_with_noise():
    kl, gain, runs = points("rl", 0.5, 0.2, noise=0.1, seed=1)
    d = np.sqrt(kl)
    design = np.stack([d, -d * np.log(np.where(d > 0, d, 1))], axis=1)
    expected = np.linalg.lstsq(design, gain, rcond=None)[0]
    found = fit_optimisation_law(kl, gain, runs)
    assert (found.alpha.value, found.beta.value) == pytest.approx(expected, abs=1e-10)


def test_intervals_cover_what_was_planted():
    # a luck of its own for every run: points of a run are not independent
    hits = []
    for seed in range(60):
        kl, gain, runs = points("rl", 0.5, 0.2, noise=0.05, runs=20, seed=seed)
        luck = np.random.default_rng(seed + 1000).normal(0, 0.1, 20)
        found = fit_optimisation_law(kl, gain + luck[runs] * np.sqrt(kl), runs, resamples=300)
        hits.append(found.alpha.low <= 0.5 <= found.alpha.high)
    assert (
        0.85 <= np.mean(hits) <= 1.0
    )  # 95% nominal, 20 clusters: sampling error 0.03, bootstrap with few runs is short


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"b": 0.0, "noise": 0.05}, "the bend is not told from none"),
        ({"b": -0.05, "noise": 0.01}, "the bend is not told from none"),
        ({"b": 0.1, "upto": 9.0}, "beyond the largest d of 3"),
    ],
)
def test_a_peak_that_is_not_identified_is_not_given(change, words):
    found = fit_optimisation_law(*points("rl", **{"a": 0.4, "b": 0.1, **change}))
    assert math.isnan(found.peak.value)
    assert words in found.peak.method
    assert found.notes == (found.peak.method,)


def test_a_peak_below_every_point_is_extrapolated():
    # a = -0.13, b = 0.0736: peak at exp(a / b - 1) = exp(-2.766) = 0.063; six runs at d in [2, 6], reward only falling
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(6), 5)
    d = np.tile(np.linspace(2.0, 6.0, 5), 6)
    gain = d * (-0.13 - 0.0736 * np.log(d)) + 0.002 * rng.normal(size=30)
    found = fit_optimisation_law(d**2, gain, runs)
    assert math.isnan(found.peak.value)
    assert math.isnan(found.peak_reward.value)
    assert "below the smallest d of 2: extrapolated" in found.notes[0]
    # the start itself, where every law is 0, is no point that the peak could lie beyond
    with_start = fit_optimisation_law(np.append(d**2, 0.0), np.append(gain, 0.0), np.append(runs, 0))
    assert with_start.notes == found.notes


def test_best_of_n_that_only_falls_has_no_peak():
    found = fit_optimisation_law(*points("best-of-n", -0.3, 0.1, noise=0.05), law="best-of-n")
    assert math.isnan(found.peak.value)
    assert found.notes[0].startswith("the reward falls from the start (alpha -0.29")
    assert found.peak.method == found.notes[0]


def test_points_without_noise_have_no_interval():
    found = fit_optimisation_law(*points("rl", 0.3, 0.1))
    for estimate in (found.alpha, found.beta, found.peak, found.peak_reward):
        assert math.isnan(estimate.low)
        assert estimate.method == "no interval: every resample says the same"
    assert found.peak.value == pytest.approx(math.e**2)
    flat = fit_optimisation_law(*points("rl", 0.0, 0.0))
    assert flat.notes == ("the bend is not told from none (beta 0.000): no peak is seen",)
    noisy = fit_optimisation_law(*points("rl", 0.3, 0.1, noise=0.01))
    assert noisy.peak.low < noisy.peak.value < noisy.peak.high


def test_distances_that_are_alike_identify_nothing():
    found = fit_optimisation_law([4.0] * 6, [1.0, 1.1, 0.9, 1.0, 1.1, 0.9])
    assert math.isnan(found.alpha.value)
    assert "too alike" in found.notes[0]
    one = fit_optimisation_law(*(x[:15] for x in points("rl", 0.3, 0.1)))
    assert "one run" in one.notes[0]


def test_law_refusals():
    with pytest.raises(InputError, match="law 'ppo' is not known"):
        fit_optimisation_law([1, 2, 3], [1, 2, 3], law="ppo")
    with pytest.raises(InputError, match="at least three points"):
        fit_optimisation_law([1, -2, 3], [1, 2, 3])
    with pytest.raises(ShapeError, match="3 distances and 2 rewards"):
        fit_optimisation_law([1, 2, 3], [1, 2])


def test_heterogeneity_by_hand_and_by_the_sum_over_steps():
    # returns (0, 2) have variance 2, (1, 1) none: mean 1
    assert heterogeneity(np.array([[0.0, 2.0], [1.0, 1.0]])).value == pytest.approx(1.0)
    # H independent steps of reward Bernoulli(p): each step's Var Q is p (1 - p), so the sum is H p (1 - p)
    rng = np.random.default_rng(0)
    returns = rng.binomial(32, 0.3, size=(2000, 8)).astype(float)
    assert heterogeneity(returns, resamples=10).value == pytest.approx(32 * 0.21, rel=0.03)
    ragged = np.where(rng.uniform(size=returns.shape) < 0.3, np.nan, returns)
    assert heterogeneity(ragged, resamples=10).value == pytest.approx(32 * 0.21, rel=0.04)


def test_anticoncentration():
    rng = np.random.default_rng(1)
    normal = rng.normal(size=(300, 200))
    shares = [anticoncentration(normal, eps=e, resamples=10).value for e in (0.0, 0.5, 1.0, 2.0)]
    # a normal law: 1/2, and 0.3085, 0.1587, 0.0228 above 1/2, 1 and 2 deviations
    assert shares == pytest.approx([0.5, 0.3085, 0.1587, 0.0228], abs=0.01)
    # (0, 0, 0, 4): mean 1, deviation sqrt 3: only the last is above; the equal ones are left out
    found = anticoncentration(np.array([[0.0, 0.0, 0.0, 4.0], [1.0, 1.0, 1.0, 1.0]]), eps=1.0)
    assert (found.value, found.n) == (0.25, 1)
    with pytest.raises(InputError, match=r"eps is -0\.1"):
        anticoncentration(normal, eps=-0.1)
    with pytest.raises(ShapeError, match="prompts by rollouts"):
        heterogeneity(np.zeros(0)[None][0:0])
