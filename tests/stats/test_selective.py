import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from plaudit.errors import InputError, ShapeError
from plaudit.stats import auprc, auroc, auroc_estimate, discrimination_at, most_certain, risk_coverage

ROWS = st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 1)), min_size=2, max_size=40)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_areas_equal_scikit_learn(rows):
    score, label = np.array(rows).T
    if 0 < label.sum() < label.size:
        assert auroc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
        assert auprc(score, label) == pytest.approx(average_precision_score(label, score), abs=1e-12)
    else:
        assert np.isnan(auroc(score, label))


def test_strata_compare_their_own_rows_only():
    # within either stratum the positive row is above the negative one; across them it is below
    score, label, strata = [1.0, 0.0, 11.0, 10.0], [1, 0, 1, 0], [0, 0, 1, 1]
    assert auroc(score, label) == pytest.approx(0.75)
    assert auroc(score, label, strata) == 1.0
    assert np.isnan(auroc([1.0, 2.0], [1, 0], [0, 1]))


def test_ties_and_missing_rows_are_left_out():
    assert auroc([1.0, 2.0, 3.0, np.nan], [0, 0.5, 1, 0]) == 1.0
    with pytest.raises(InputError, match=r"auroc: a label is 0\.3"):
        auroc([1.0], [0.3])
    with pytest.raises(ShapeError, match="2 scores, 1 labels"):
        auroc([1.0, 2.0], [1])


def test_intervals_over_prompts_cover_the_true_area():
    rng, prompts, hits = np.random.default_rng(0), np.repeat(np.arange(50), 3), []
    for seed in range(60):
        y = rng.integers(0, 2, size=150).astype(float)
        found = auroc_estimate(y + rng.normal(size=150), y, prompts, seed=seed, resamples=150)
        hits.append(found.low < 0.760 < found.high)  # Phi(1 / sqrt 2) = 0.760
    # 95% of 60 is 57; below 51 lies 1 in 400
    assert sum(hits) >= 51
    assert found.n == 50


def test_risk_and_coverage_by_hand():
    # from the surest: right, then a tie of two rows (one wrong), then wrong: risks 0, 1/3, 2/4 at 1/4, 3/4, 1
    found = risk_coverage([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 0])
    np.testing.assert_allclose(found.coverage, [0.25, 0.75, 1.0])
    np.testing.assert_allclose(found.risk, [0.0, 1 / 3, 0.5])
    assert found.area == pytest.approx(0 * 0.25 + 1 / 3 * 0.5 + 0.5 * 0.25)
    assert np.isnan(risk_coverage([], []).area)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.floats(0.05, 1))
def test_the_most_certain_share(rows, share):
    certainty = np.array(rows)[:, 0]
    kept = most_certain(certainty, share)
    assert kept.size >= np.ceil(share * certainty.size)
    left = np.setdiff1d(np.arange(certainty.size), kept)
    assert not left.size or certainty[kept].min() > certainty[left].max()


def test_discrimination_at_thresholds():
    score, label = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0])
    certainty = np.array([9.0, 1.0, 2.0, 8.0])
    found = discrimination_at(score, label, certainty, shares=(1.0, 0.5))
    assert found[1.0] == (pytest.approx(0.75), pytest.approx((1 + 2 / 3) / 2))
    assert found[0.5] == (1.0, 1.0)  # rows 0 and 3
    with pytest.raises(InputError, match="share is 0; give a fraction"):
        most_certain(certainty, 0)
    assert most_certain([np.nan], 1.0).size == 0
