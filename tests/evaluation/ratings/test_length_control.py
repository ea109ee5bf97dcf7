"""AlpacaEval 2's regression: against scikit-learn as the published code calls it, planted effects, and its quirks."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import sklearn
from scipy.special import expit, logit
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import make_scorer
from sklearn.model_selection import GroupKFold

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.ratings import (
    GamedRows,
    baseline_itself,
    fit_instruction_difficulty,
    fit_l1_logistic,
    is_extreme,
    length_controlled_winrate,
    winrate_from_weights,
)
from plaudit.evaluation.ratings.l1_logistic import Rows
from plaudit.evaluation.ratings.length_control import PENALTIES, _counts
from plaudit.evaluation.ratings.refits import refit_l1_logistic

N = 200


def weighted_log_loss(y_true, y_pred, true_prob, true_sample_weight):
    y = np.where(y_true == 1, true_prob, 1 - true_prob)
    q = np.clip(y_pred, 1e-15, 1 - 1e-15)
    return -np.mean((y * np.log(q) + (1 - y) * np.log(1 - q)) * true_sample_weight)


def published(preference, own, theirs, difficulty, gamed):
    """The published fit, with liblinear run to convergence: coefficients and mean prediction at equal lengths."""
    delta = theirs - own
    mine = np.stack([np.tanh(delta / delta.std(ddof=1)), difficulty, np.ones(len(own))], axis=1)
    above = np.stack([np.tanh(gamed.std_delta_len), gamed.difficulty, np.zeros(len(gamed.preference))], axis=1)
    known = ~np.isnan(preference)
    x, p = np.concatenate([above, mine[known]]), np.concatenate([gamed.preference, preference[known]])
    weight = np.concatenate([np.full(len(above), 0.2 / 2), np.ones(known.sum())])
    twice = {"X": np.concatenate([x, x]), "y": np.repeat([1, 0], len(p))}
    probability, weights = np.concatenate([p, 1 - p]), np.concatenate([weight, weight])
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scorer = make_scorer(weighted_log_loss, response_method="predict_proba", greater_is_better=False)
        model = LogisticRegressionCV(
            cv=GroupKFold(5), scoring=scorer.set_score_request(true_sample_weight=True, true_prob=True),
            random_state=123, dual=False, penalty="l1", solver="liblinear", fit_intercept=False,
            tol=1e-10, max_iter=100_000,
        )  # fmt: skip
        model.set_fit_request(sample_weight=True).fit(
            **twice, sample_weight=probability * weights, groups=np.tile(np.arange(len(p)), 2),
            true_sample_weight=weights, true_prob=probability,
        )  # fmt: skip
    mine[:, 0] = 0
    return model.coef_[0], float(model.C_[0]), model.predict_proba(mine)[:, 1]


def workload(seed, *, noise=1.0, phi=-1.0, n=N):
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=n)
    own, theirs = rng.lognormal(7, 0.5, n).round(), rng.lognormal(7, 0.5, n).round()
    delta = (theirs - own) / (theirs - own).std(ddof=1)
    p = expit(-1.5 * np.tanh(delta) + 0.8 * difficulty + phi + noise * rng.normal(size=n))
    far = rng.normal(size=2 * n)
    gamed = GamedRows(expit(-1.5 * np.tanh(far) + rng.normal(size=2 * n)), far, np.tile(difficulty, 2))
    return p, own, theirs, difficulty, gamed


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn_as_published(seed):
    # in the last two workloads nothing is learned from the rows, and a strong penalty is chosen
    p, own, theirs, difficulty, gamed = workload(seed, n=40 if seed > 1 else N, noise=8.0 if seed > 1 else 1.0)
    p[3] = np.nan  # leaves the fit, and is predicted
    coefficients, c, predicted = published(p, own, theirs, difficulty, gamed)
    found = length_controlled_winrate(p, own, theirs, difficulty=difficulty, gamed=gamed, resamples=0)
    assert found.penalty == pytest.approx(c)
    assert found.weights == pytest.approx(coefficients, abs=1e-6)
    assert found.predicted == pytest.approx(predicted, abs=1e-6)
    assert found.controlled.value == pytest.approx(predicted.mean(), abs=1e-6)
    assert found.plain.value == pytest.approx(np.nanmean(p), abs=1e-12)


@pytest.mark.parametrize("c", [1e-3, 0.02, 0.3, 50.0])
def test_fits_meet_the_conditions_of_optimality(c):
    # |b|_1 + c L(b): the slope of c L is -sign(b) where b is not 0, and within [-1, 1] where it is
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(80, 4)), rng.uniform(size=80)
    weights = rng.uniform(0, 2, size=(3, 80))
    for b, w in zip(fit_l1_logistic(x, p, weights, c), weights, strict=True):
        slope = c * ((w * (expit(x @ b) - p)) @ x)
        assert slope[b != 0] == pytest.approx(-np.sign(b[b != 0]), abs=1e-6)
        assert (np.abs(slope[b == 0]) <= 1 + 1e-9).all()
    if c == 1e-3:
        assert (b == 0).all()


def test_planted_length_bias_is_taken_out():
    p, own, theirs, difficulty, _ = workload(0, noise=0.0, phi=0.4, n=800)
    found = length_controlled_winrate(p, own, theirs, difficulty=difficulty, gamed=None, resamples=0)
    assert found.weights == pytest.approx((-1.5, 0.8, 0.4), abs=0.02)  # the penalty takes about 1 / (C sum p q)
    assert found.controlled.value == pytest.approx(expit(0.8 * difficulty + 0.4).mean(), abs=1e-3)


def test_without_a_length_effect_both_win_rates_agree():
    rng = np.random.default_rng(5)
    p = np.full(100, 0.3)
    found = length_controlled_winrate(p, rng.uniform(1, 9, 100), rng.uniform(1, 9, 100), resamples=0)
    # sigmoid(phi) = 0.3 but for the penalty, which draws phi towards 0 by less than 1 / (C n p (1 - p)) at C = 10^4
    assert found.controlled.value == pytest.approx(0.3, abs=1e-4)
    assert math.isnan(found.weights[1])


def test_swapping_the_sides_mirrors_the_win_rate():
    p, own, theirs, difficulty, _ = workload(2)
    one = length_controlled_winrate(p, own, theirs, difficulty=difficulty, resamples=0)
    other = length_controlled_winrate(1 - p, theirs, own, difficulty=difficulty, resamples=0)
    # d, psi, phi and the target all change sign
    assert other.controlled.value == pytest.approx(1 - one.controlled.value, abs=1e-9)
    assert other.weights == pytest.approx((one.weights[0], -one.weights[1], -one.weights[2]), abs=1e-7)


def test_control_brings_the_order_of_models_nearer_to_the_truth():
    # the catalogue's check (its pilot: 0.80 to 0.98): twelve models whose lengths have nothing to do with their
    # quality, and a judge that likes length; mean of ten draws of the models
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        quality, verbosity = rng.normal(0, 0.6, 12), rng.normal(0, 0.5, 12)
        base, rates = rng.lognormal(6, 0.4, 300), []
        for q, v in zip(quality, verbosity, strict=True):
            own = base * rng.lognormal(v, 0.3, 300)
            p = expit(q + 1.2 * np.tanh((own - base) / base.std()) + 0.5 * rng.normal(size=300))
            fit = length_controlled_winrate(p, own, base, resamples=0)
            rates.append((fit.plain.value, fit.controlled.value))
        found.append([spearmanr(r, quality).statistic for r in np.array(rates).T])
    plain, controlled = np.mean(found, axis=0)
    assert controlled > 0.9
    assert controlled - plain > 0.2


def test_interval_refits_on_resampled_prompts():
    p, own, theirs, difficulty, gamed = workload(3)
    whole = length_controlled_winrate(p, own, theirs, difficulty=difficulty, gamed=gamed, resamples=400)
    assert whole.controlled.low < whole.controlled.value < whole.controlled.high
    # every row four times over, as one prompt each: the same information, so about the same width
    four = [np.tile(x, 4) for x in (p, own, theirs)]
    again = length_controlled_winrate(
        *four, np.tile(np.arange(N), 4), difficulty=np.tile(difficulty, 4), gamed=gamed, resamples=400
    )
    width = whole.controlled.high - whole.controlled.low
    assert again.controlled.high - again.controlled.low == pytest.approx(width, rel=0.25)
    assert again.controlled.n == N


def slow_refit(features, target, weights, c):
    """One refit by scikit-learn, liblinear run to convergence: a row counts p as a win and 1 - p as a loss."""
    model = LogisticRegression(
        C=c, dual=False, penalty="l1", solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000,
        random_state=0,
    )  # fmt: skip
    twice = np.concatenate([weights * target, weights * (1 - target)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the spelling of the penalty
        model.fit(np.concatenate([features, features]), np.repeat([1, 0], len(target)), sample_weight=twice)
    return model.coef_[0]


@pytest.mark.peer
@pytest.mark.parametrize("c", [0.2, 1.0, 400.0])
@pytest.mark.parametrize("most", [4, 400])
def test_refits_equal_refitting_each(c, most):
    # counts up to 400 are far from the rows as they are: there the polynomial is of no use, and is not trusted
    rng = np.random.default_rng(2)
    x, p = rng.normal(size=(60, 3)), rng.uniform(size=60)
    above, q = rng.normal(size=(30, 3)), rng.uniform(size=30)
    counts = rng.integers(0, 4, size=(12, 60)).astype(float)
    counts[:, :5] *= most / 4
    start = fit_l1_logistic(
        np.concatenate([x, above]), np.concatenate([p, q]), np.repeat([1.0, 0.1], [60, 30])[None], c
    )
    found = refit_l1_logistic([Rows(x, p, counts), Rows(above, q, np.full(30, 0.1))], c, start[0], 12)
    for b, w in zip(found, counts, strict=True):
        weights = np.concatenate([w, np.full(30, 0.1)])
        expected = slow_refit(np.concatenate([x, above]), np.concatenate([p, q]), weights, c)
        assert b == pytest.approx(expected, abs=1e-6)
    assert (found == 0).any() == (c <= 1)  # held there by the penalty


@pytest.mark.peer
@pytest.mark.parametrize("with_gamed", [True, False])
def test_the_interval_is_that_of_refitting_each_resample(with_gamed):
    p, own, theirs, difficulty, gamed = workload(4, n=60)
    p[7] = np.nan  # leaves each fit, and is predicted
    prompts = np.arange(60) // 2
    gamed = gamed if with_gamed else None
    found = length_controlled_winrate(p, own, theirs, prompts, difficulty=difficulty, gamed=gamed, resamples=80, seed=3)
    delta, known = theirs - own, ~np.isnan(p)
    x = np.stack([np.tanh(delta / delta.std(ddof=1)), difficulty, np.ones(60)], axis=1)
    equal, drawn = x * [0, 1, 1], []
    for counts in np.concatenate(list(_counts(prompts, 80, 3))):
        assert (counts[::2] == counts[1::2]).all()
        assert counts.sum() == 60
        rows, target, weights = x[known], p[known], counts[known]
        if gamed is not None:
            above = np.stack([np.tanh(gamed.std_delta_len), gamed.difficulty, np.zeros(120)], axis=1)
            rows, target = np.concatenate([above, rows]), np.concatenate([gamed.preference, target])
            weights = np.concatenate([np.full(120, 0.1), weights])
        beta = slow_refit(rows, target, weights, found.penalty)
        drawn.append((counts * expit(equal @ beta)).sum() / 60)
    assert (found.controlled.low, found.controlled.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-6)
    assert found.penalty in PENALTIES


def test_both_win_rates_share_resamples_and_the_plain_one_always_has_a_width():
    p, own, theirs, *_ = workload(4, n=60)
    prompts = np.arange(60) // 2
    found = length_controlled_winrate(p, own, theirs, prompts, resamples=80, seed=3)
    drawn = np.concatenate(list(_counts(prompts, 80, 3))) @ p / 60
    assert (found.plain.low, found.plain.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert (found.plain.value, found.plain.n) == (pytest.approx(p.mean()), 30)
    # every prompt won once of two: no resample differs, and Wilson's interval of 15 of 30 stands in:
    # half its width is z sqrt(1/4/30 + z^2/4/30^2) / (1 + z^2/30) = 0.1684
    even = length_controlled_winrate(np.tile([1.0, 0.0], 30), own, theirs, prompts, resamples=80)
    assert (even.plain.low, even.plain.high) == pytest.approx((0.5 - 0.1684, 0.5 + 0.1684), abs=2e-4)
    # a prompt without a preference leaves the plain rate
    assert length_controlled_winrate(np.r_[[np.nan] * 2, p[2:]], own, theirs, prompts, resamples=80).plain.n == 29


def test_lengths_that_all_differ_by_the_same_leave_the_length_out():
    p = np.random.default_rng(0).uniform(size=30)
    found = length_controlled_winrate(p, np.full(30, 5.0), np.full(30, 9.0), resamples=0)
    assert found.weights[0] == 0.0
    assert np.isfinite(found.predicted).all()


def test_gamed_rows_without_a_preference_are_dropped_as_published():
    p, own, theirs, difficulty, gamed = workload(1)
    holes = gamed.preference.copy()
    holes[[2, 9]] = np.nan
    kept = ~np.isnan(holes)
    without = GamedRows(gamed.preference[kept], gamed.std_delta_len[kept], gamed.difficulty[kept])
    one, other = (
        length_controlled_winrate(p, own, theirs, difficulty=difficulty, gamed=g, resamples=0)
        for g in (GamedRows(holes, gamed.std_delta_len, gamed.difficulty), without)
    )
    assert one.weights == other.weights
    assert (
        one.weights
        != length_controlled_winrate(p, own, theirs, difficulty=difficulty, gamed=gamed, resamples=0).weights
    )


def test_the_baseline_itself_is_half():
    assert baseline_itself(805).controlled.value == 0.5


@pytest.mark.parametrize(
    ("plain", "controlled", "extreme"),
    # the published docstring: 20 may become 10..40; a quarter of the room above 0.5 is 0.125
    [(0.20, 0.101, False), (0.20, 0.099, True), (0.20, 0.41, True), (0.50, 0.62, False), (0.50, 0.63, True)],
)
def test_what_is_extreme(plain, controlled, extreme):
    assert is_extreme(plain, controlled) is extreme


def test_win_rate_between_two_models_by_hand():
    # phi differ by log 3 and psi by 1: sigmoid(log 3) = 3/4, sigmoid(log 3 + log 3) = 9/10; mean 0.825
    model, base = (-1.0, 2.0, math.log(3)), (0.5, 1.0, 0.0)
    assert winrate_from_weights(model, base, [0.0, math.log(3)]) == pytest.approx(0.825, abs=1e-12)


def test_instruction_difficulty_recovers_what_was_planted():
    rng = np.random.default_rng(0)
    gamma = rng.normal(size=60)
    gamma -= gamma.mean()
    delta = rng.normal(size=(40, 60))
    p = expit(rng.normal(-1, 0.3, (40, 1)) * np.tanh(delta) + gamma + rng.normal(size=(40, 1)))
    assert fit_instruction_difficulty(p, delta, ridge=1e-9) == pytest.approx(gamma, abs=1e-5)
    shrunk = fit_instruction_difficulty(p, delta)
    assert 0.8 < np.polyfit(gamma, shrunk, 1)[0] < 1.0


def test_instruction_difficulty_leaves_out_what_is_not_there():
    rng = np.random.default_rng(1)
    p = expit(logit(0.4) + rng.normal(size=20) * np.ones((30, 1)))
    p[:, 3][:29] = np.nan
    assert np.isfinite(fit_instruction_difficulty(p, np.zeros((30, 20)) + rng.normal(size=(30, 20)))).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"length": np.ones(3)}, ShapeError, "200 preferences, 3 and 200 lengths"),
        ({"preference": np.full(N, np.nan)}, InputError, "0 rows have a preference; at least 10"),
        ({"preference": np.full(N, 1.5)}, InputError, "subtract 1 from AlpacaEval's 1..2"),
        ({"difficulty": None}, InputError, "give both or none"),
        ({"length": np.where(np.arange(N) == 3, np.nan, 9.0)}, InputError, "length of row 3 is nan; it has to be 0 or"),
        ({"length": np.where(np.arange(N) == 5, -1.0, 9.0)}, InputError, "length of row 5 is -1"),
        ({"baseline_length": np.full(N, np.inf)}, InputError, "baseline_length of row 0 is inf"),
        ({"difficulty": np.where(np.arange(N) == 8, np.nan, 0.0)}, InputError, "difficulty of row 8 is nan; it has to"),
        (
            {"gamed": GamedRows(np.array([0.5, 1.5]), np.zeros(2), np.zeros(2))},
            InputError,
            r"row 1 is 1.5; .* \[0, 1\]",
        ),
        (
            {"gamed": GamedRows(np.array([0.5]), np.array([np.nan]), np.zeros(1))},
            InputError,
            "std_delta_len of the gamed",
        ),
        ({"gamed": GamedRows(np.zeros(2), np.zeros(3), np.zeros(2))}, ShapeError, r"\[2, 3, 2\] rows"),
    ],
)
def test_what_is_refused(change, error, words):
    p, own, theirs, difficulty, gamed = workload(0)
    given = {"preference": p, "length": own, "baseline_length": theirs, "difficulty": difficulty, "gamed": gamed}
    with pytest.raises(error, match=words):
        length_controlled_winrate(**{**given, **change})


def test_forty_wins_of_forty_are_no_certainty():
    # every refit says 0.9999975; Wilson's lower end about p = 1 is 40 / (40 + z^2) = 0.9124, the plain rate's
    rng = np.random.default_rng(0)
    found = length_controlled_winrate(np.ones(40), rng.uniform(100, 900, 40), rng.uniform(100, 900, 40), resamples=50)
    assert found.controlled.value > 0.999
    assert found.controlled.low == pytest.approx(40 / (40 + 1.959964**2), abs=1e-3)
    assert found.controlled.low == pytest.approx(found.plain.low, abs=1e-3)
    assert "every judgement is 1" in found.controlled.method
    assert found.controlled.n == 40
