"""The table of `plaudit calibrate`: what cross-fitting must not show, and what it must."""

import numpy as np
import pytest
from scipy.special import expit

from plaudit.evaluation import calibration_metrics, probability_metrics
from plaudit.evaluation.calibrated import set_metrics
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.records.splitting import folds_by_prompt, prompt_key
from plaudit.rewards.calibrators import CrossFitted, cross_fitted, fit_calibrator
from plaudit.stats import brier_score, calibration_error, fold, log_loss


def rows(n, factor, seed):
    """Margins that are `factor` times the log-odds, two pairs a prompt."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, size=n)
    pairs = [Pair(conversation(f"q{i // 2}"), "a", "b") for i in range(n)]
    return factor * np.where(rng.random(n) < expit(z), z, -z), pairs


def table(method, factor=3.0, n=400, seed=0, resamples=200, **options):
    margin, pairs = rows(n, factor, seed)
    crossed = cross_fitted(method, margin, folds_by_prompt(pairs, 5), **options)
    prompts = [prompt_key(p) for p in pairs]
    return margin, crossed, calibration_metrics(margin, expit(margin), crossed, prompts, resamples=resamples)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic", "venn-abers"])
def test_over_confident_margins_get_better_in_every_number(method):
    _, _, found = table(method)
    for name in ("log_loss", "brier", "calibration_error"):
        assert found[f"after/{name}"].value < found[f"before/{name}"].value
    assert found["change/log_loss"].high < 0
    assert found["before/balance"].high < 0 < abs(found["before/balance"].value) - abs(found["after/balance"].value)
    assert found["after/log_loss"].n == 200  # prompts


def test_no_pair_is_judged_by_a_map_that_saw_its_prompt():
    margin, pairs = rows(60, 3.0, 1)
    folds = folds_by_prompt(pairs, 3)
    crossed = cross_fitted("temperature", margin, folds)
    for number, (train, test) in enumerate(folds):
        expected = fit_calibrator("temperature", margin[list(train)]).probability(margin[list(test)])
        np.testing.assert_array_equal(crossed.probability[list(test)], expected)
        assert set(crossed.fold[list(test)]) == {number}
        assert not {prompt_key(pairs[i]) for i in train} & {prompt_key(pairs[i]) for i in test}


def test_numbers_are_those_of_the_statistics():
    p = np.array([0.9, 0.6, 0.4, 0.8, np.nan])
    found = probability_metrics(p, n_bins=2, resamples=50)
    known, won = p[:4], np.ones(4)
    assert found["log_loss"].value == pytest.approx(log_loss(known, won))
    assert found["brier"].value == pytest.approx(brier_score(known, won))
    assert found["calibration_error"].value == pytest.approx(calibration_error(*fold(known), n_bins=2))
    # confidences .9 .6 .6 .8, the third wrong: accuracy .75 minus .725
    assert found["balance"].value == pytest.approx(0.025)
    # the wrong pair ties with one right pair and is below two: (1/2 + 1 + 1)/3
    assert found["auroc"].value == pytest.approx(2.5 / 3)


def test_a_temperature_does_not_change_the_area_of_a_fold():
    """Pooled over folds it would: the fold that came out worst is judged by the surest of the maps."""
    pooled, within = [], []
    for seed in range(20):
        margin, crossed, found = table("temperature", n=60, seed=seed, resamples=2)
        right = (margin > 0).astype(float)
        assert found["after/auroc"].value == pytest.approx(found["before/auroc"].value)
        own = probability_metrics(crossed.probability, resamples=2)["auroc"].value
        stated = probability_metrics(expit(margin), resamples=2)["auroc"].value
        if 0 < right.sum() < right.size:
            pooled.append(own - stated)
            within.append(found["after/auroc"].value - found["before/auroc"].value)
    assert np.mean(pooled) < -0.005
    assert np.abs(within).max() < 1e-12


def test_conformal_sets_and_intervals_have_their_own_numbers():
    _, crossed, found = table("conformal", level=0.8)
    assert found["coverage"].value == pytest.approx(crossed.sets[:, 0].mean())
    assert 0.75 <= found["coverage"].value <= 0.87
    assert found["set_size"].value == pytest.approx(1 + found["abstained"].value)
    _, crossed, found = table("venn-abers")
    assert found["width"].value == pytest.approx((crossed.high - crossed.low).mean())
    assert "coverage" not in found


def test_coverage_gives_each_prompt_one_vote():
    # prompt a covers two of three (the pair without a margin is none of them), b its only one: (2/3 + 1) / 2
    sets = np.array([[True, False], [True, True], [False, True], [False, False], [True, False]])
    p = np.array([0.7, 0.5, 0.2, np.nan, 0.9])
    crossed = CrossFitted(p, np.zeros(5, dtype=np.int64), sets=sets)
    found = set_metrics(crossed, p, ["a", "a", "a", "a", "b"], seed=0, resamples=20)
    assert found["coverage"].value == pytest.approx(5 / 6)
    assert found["coverage"].n == 2
    assert found["set_size"].value == pytest.approx(5 / 4)


def test_without_probabilities_before_there_is_nothing_to_compare_with():
    margin, pairs = rows(60, 1.0, 2)
    crossed = cross_fitted("platt", margin, folds_by_prompt(pairs, 5))
    found = calibration_metrics(margin, None, crossed, resamples=20)
    assert set(found) == {f"after/{n}" for n in ("log_loss", "brier", "calibration_error", "calibration_floor",
                                                  "balance", "auroc")}  # fmt: skip
