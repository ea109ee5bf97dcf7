"""Temperature and Platt: closed forms, scikit-learn and SciPy in float64, the edges."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize, root
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from plaudit.errors import InputError, PlauditError
from plaudit.rewards.calibrators import Platt, Temperature, cross_fitted
from plaudit.rewards.calibrators.platt import logistic_fit, smoothed_targets


def over_confident(n, factor=3.0, seed=0):
    """Margins that are `factor` times the true log-odds, in the chosen-first order of a file."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, size=n)
    first = rng.random(n) < expit(z)
    return factor * np.where(first, z, -z)


def test_temperature_by_hand():
    # four margins of 2, one of them wrong: sigmoid(2 a) = 3/4, so a = log(3) / 2 = 0.5493
    fitted = Temperature.fit([2.0, 2.0, 2.0, -2.0])
    assert fitted.slope == pytest.approx(np.log(3) / 2, abs=1e-12)
    assert fitted.temperature == pytest.approx(2 / np.log(3), abs=1e-12)
    assert fitted.probability([2.0])[0] == pytest.approx(0.75, abs=1e-12)


def test_temperature_equals_a_logistic_regression_without_intercept():
    m = over_confident(300)
    x, y = np.concatenate([m, -m])[:, None], np.repeat([1, 0], m.size)
    peer = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x, y)
    assert Temperature.fit(m).slope == pytest.approx(float(peer.coef_[0, 0]), rel=1e-6)


def test_temperature_undoes_a_known_factor():
    # the margins are three times the log-odds; the slope's standard error at n = 40,000 is about 0.005
    assert Temperature.fit(over_confident(40_000)).slope == pytest.approx(1 / 3, abs=0.015)


def test_a_reward_that_is_worse_than_chance_is_worth_nothing_and_is_not_turned_round():
    fitted = Temperature.fit([-1.0, -2.0, 0.5])
    assert fitted.slope == 0.0
    assert fitted.temperature == float("inf")
    assert fitted.probability([-3.0, 5.0]).tolist() == [0.5, 0.5]


def test_pairs_that_are_all_ranked_right_have_no_temperature():
    with pytest.raises(InputError, match=r"all 3 pairs are ranked right, so no slope is steep enough; .* use platt"):
        Temperature.fit([0.5, 1.0, 2.0, 0.0])
    fitted = Platt.fit([0.5, 1.0, 2.0, 0.0])  # the tie leaves; targets are 4/5
    assert 0.5 < fitted.probability([0.5])[0] < 1.0


def test_platt_targets_by_hand():
    # two right, one wrong: (2 + 1)/(2 + 2) and 1/(1 + 2); a tie is half of each of N+ = 2.5, N- = 1.5
    assert smoothed_targets(np.array([1.0, 1.0, 0.0])).tolist() == [0.75, 0.75, pytest.approx(1 / 3)]
    tied = smoothed_targets(np.array([1.0, 1.0, 0.0, 0.5]))
    assert tied[3] == pytest.approx(0.5 * 3.5 / 4.5 + 0.5 / 3.5)


def test_platt_equals_a_general_optimiser():
    m = over_confident(400, seed=1)
    u, t = np.abs(m), smoothed_targets((m > 0).astype(float))

    def loss(theta):
        z = theta[0] * u + theta[1]
        return np.sum(np.logaddexp(0, z) - t * z), np.array([u @ (expit(z) - t), (expit(z) - t).sum()])

    peer = minimize(loss, [0.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2,
                    options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000})  # fmt: skip
    fitted = Platt.fit(m)
    np.testing.assert_allclose([fitted.slope, fitted.intercept], peer.x, atol=1e-5)
    free = minimize(loss, [0.0, 0.0], jac=True, options={"gtol": 1e-10}).x
    np.testing.assert_allclose(logistic_fit(u, t), free, atol=1e-6)


def test_platt_leaves_calibrated_margins_alone():
    fitted = Platt.fit(over_confident(60_000, factor=1.0, seed=2))
    assert fitted.slope == pytest.approx(1.0, abs=0.05)
    assert fitted.intercept == pytest.approx(0.0, abs=0.05)


def test_platt_never_falls():
    # larger margins are wrong more often: the free slope is negative, so the constant share is the best that rises:
    # four of six right gives the target mean (4 (5/6) + 2 (1/4)) / 6 = 23/36, its log-odds log(23/13)
    falling = Platt.fit([0.1, 0.1, 0.1, 4.0, -4.0, -4.0])
    assert (falling.slope, falling.intercept) == (0.0, pytest.approx(np.log(23 / 13)))
    # small margins are wrong more often than not: the free intercept is negative, so it is 0
    steep = Platt.fit([-0.1, -0.1, -0.1, 4.0, 4.0, 4.0])
    assert steep.intercept == 0.0
    assert steep.slope > 0


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_temperature_has_no_unit(scale):
    # three in four of margins of one size are right: log-odds of log 3 at it
    slope = Temperature.fit(scale * np.array([2.0, 2.0, -2.0, 2.0])).slope
    assert slope == pytest.approx(np.log(3) / 2 / scale, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_platt_has_no_unit(scale):
    """Margins in another unit have the same probabilities: those of SciPy's root of the gradient at the usual one."""
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1.5, size=200)
    m = 2 * np.where(rng.random(200) < expit(z) * 0.8 + 0.1, z, -z)
    u, t = np.abs(m), smoothed_targets((m > 0).astype(float))

    def gradient(theta):
        wrong = expit(theta[0] * u + theta[1]) - t
        return [u @ wrong, wrong.sum()]

    a, b = root(gradient, [0.5, 0.1], tol=1e-14).x
    assert a > 0.05
    assert b > 0.05
    at = np.array([0.1, 1.0, 3.0])
    np.testing.assert_allclose(Platt.fit(scale * m).probability(scale * at), expit(a * at + b), rtol=0, atol=1e-9)
    # on the edge, where the small margins are the wrong ones: intercept 0, and the slope a root of its own
    edge = np.array([-0.1, -0.1, -0.1, 4.0, 4.0, -4.0, 4.0])
    v, right = np.abs(edge), smoothed_targets((edge > 0).astype(float))
    slope = brentq(lambda s: v @ (expit(s * v) - right), 0.0, 10.0, xtol=1e-15)
    fitted = Platt.fit(scale * edge)
    assert fitted.intercept == 0.0
    np.testing.assert_allclose(fitted.probability(scale * at), expit(slope * at), rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-9, 0.5, 1.0, 1e9])
def test_platt_splits_one_size_alike_in_every_unit(scale):
    # six of eight right at one size: targets 7/8 and 1/4, their mean 23/32, its log-odds log(23/9), half of it the
    # slope's: at half the size three quarters of it
    alike = Platt.fit(scale * np.array([2.0] * 6 + [-2.0] * 2))
    expected = expit(np.log(23 / 9) * np.array([0.75, 1.0]))
    np.testing.assert_allclose(alike.probability(scale * np.array([1.0, 2.0])), expected, rtol=0, atol=1e-9)


def test_a_constant_size_has_many_fits_and_gives_the_least():
    slope, intercept = logistic_fit(np.full(8, 2.0), np.array([1.0] * 6 + [0.0] * 2))
    # 2 a + b = log 3 with the smallest a^2 + b^2: (a, b) = log(3) (2, 1) / 5
    np.testing.assert_allclose([slope, intercept], np.log(3) * np.array([0.4, 0.2]), atol=1e-9)


def test_a_fit_that_has_no_optimum_says_so():
    with pytest.raises(PlauditError, match="did not converge on 4 margins"):
        logistic_fit(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.0, 1.0, 1.0]))


def test_a_fold_whose_other_pairs_are_all_right_has_smoothed_targets():
    # 19 margins of 1 and one of -1, the last: the fold that holds it out is fitted to 16 right ones, whose smoothed
    # target is 17/18, a log-odds of log 17 a unit. The others see 15 right and 1 wrong: log 15
    margin = np.array([1.0] * 19 + [-1.0])
    at = [np.arange(i, 20, 5) for i in range(5)]
    folds = [(np.setdiff1d(np.arange(20), test), test) for test in at]
    found = cross_fitted("temperature", margin, folds)
    assert found.smoothed == 1
    assert found.probability[[4, 9, 14]] == pytest.approx([17 / 18] * 3)
    assert found.probability[19] == pytest.approx(1 / 18)
    assert found.probability[[0, 1, 2, 3]] == pytest.approx([15 / 16] * 4)
    assert cross_fitted("platt", margin, folds).smoothed == 0
    with pytest.raises(InputError, match=r"all 4 margins are 0.* \(fold 2 of 2 is fitted to 4 of the 8 pairs\)"):
        cross_fitted("platt", [0.0] * 4 + [1.0] * 4, [(range(4, 8), range(4)), (range(4), range(4, 8))])
