"""Isotonic, Venn-Abers and conformal: parity with scikit-learn and with their definitions, coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators import (
    Conformal,
    Isotonic,
    Temperature,
    VennAbers,
    conformal_p_values,
    label_p_values,
    pool_adjacent_violators,
    venn_abers_interval,
)
from plaudit.rewards.calibrators.venn_abers import merged
from plaudit.stats import brier_score, log_loss, risk_coverage

VALUES = st.lists(st.integers(-6, 6).map(float), min_size=2, max_size=25)


def margins(n, factor=1.0, seed=0):
    """Chosen-first margins that are `factor` times the true log-odds."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, size=n)
    return factor * np.where(rng.random(n) < expit(z), z, -z)


def test_pooling_by_hand():
    # 3, 1 fall: pooled to 2; then 2, 4 rise. With weights 1, 3 the pool is (3 + 3)/4 = 1.5
    assert pool_adjacent_violators(np.array([3.0, 1.0, 4.0])).tolist() == [2.0, 2.0, 4.0]
    assert pool_adjacent_violators(np.array([3.0, 1.0, 4.0]), np.array([1.0, 3.0, 1.0])).tolist() == [1.5, 1.5, 4.0]
    with pytest.raises(InputError, match="a weight is 0"):
        pool_adjacent_violators(np.array([1.0]), np.array([0.0]))
    with pytest.raises(ShapeError, match="must be as many"):
        pool_adjacent_violators(np.array([1.0]), np.array([1.0, 2.0]))


@settings(max_examples=50, deadline=None)
@given(y=VALUES, seed=st.integers(0, 99))
def test_pooling_equals_scikit_learn(y, seed):
    w = np.random.default_rng(seed).integers(1, 5, size=len(y)).astype(float)
    peer = IsotonicRegression().fit(np.arange(len(y)), y, sample_weight=w).predict(np.arange(len(y)))
    np.testing.assert_allclose(pool_adjacent_violators(np.array(y), w), peer, atol=1e-9)


def test_isotonic_equals_scikit_learn_on_pairs_in_both_orders():
    m = np.round(margins(200), 1)  # with ties
    x, y = np.concatenate([m, -m]), np.repeat([1.0, 0.0], m.size)
    peer = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    at = np.linspace(-6, 6, 301)
    np.testing.assert_allclose(Isotonic.fit(m, bound=0.0).probability(at), peer.predict(at), atol=1e-9)


def test_isotonic_is_never_sure_on_a_few_pairs():
    fitted = Isotonic.fit([1.0, 2.0, -0.5])
    # three pairs, and the rule of succession: at most 1 - 1/(3 + 2)
    assert fitted.probability([9.0])[0] == pytest.approx(0.8)
    assert fitted.right[-1] == pytest.approx(0.8)


@settings(max_examples=30, deadline=None)
@given(scores=st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_venn_abers_is_two_isotonic_fits(scores, seed):
    rng = np.random.default_rng(seed)
    s, new = np.array(scores), np.linspace(-5, 5, 21)
    y = rng.integers(0, 2, size=s.size).astype(float)
    found = venn_abers_interval(s, y, new)
    for label, ends in zip((0.0, 1.0), found, strict=True):
        peer = [IsotonicRegression().fit([*s, v], [*y, label]).predict([v])[0] for v in new]
        np.testing.assert_allclose(ends, peer, atol=1e-9)
    assert (found[0] <= found[1]).all()


@pytest.mark.parametrize(
    ("score", "label", "kind"),
    [
        ([1.0, 2.0], [1.0], ShapeError), ([1.0], [[1.0]], ShapeError), ([1.0, 2.0], [1.0, 2.0], InputError),
        ([1.0, 2.0], [0.5, 1.0], InputError), ([1.0, 2.0], [-1.0, 1.0], InputError), ([1.0], [np.nan], InputError),
    ],
)  # fmt: skip
def test_venn_abers_refuses_labels_that_are_none(score, label, kind):
    with pytest.raises(kind, match="venn_abers_interval"):
        venn_abers_interval(score, label, [0.0])


def test_venn_abers_of_pairs_is_two_fits_with_both_orders_added():
    m = np.round(margins(60, seed=3), 1)
    x, y = np.concatenate([m, -m]), np.repeat([1.0, 0.0], m.size)
    fitted, at = VennAbers.fit(m), np.array([-3.3, -1.0, -0.05, 0.4, 1.1, 2.0, 7.0])
    for label, ends in zip((0.0, 1.0), fitted.interval(at), strict=True):
        peer = [IsotonicRegression().fit([*x, v, -v], [*y, label, 1 - label]).predict([v])[0] for v in at]
        np.testing.assert_allclose(ends, peer, atol=1e-9)


def test_merging_by_hand():
    # p1 / (1 - p0 + p1) = 0.6 / (1 - 0.4 + 0.6) = 0.5; equal ends are themselves
    assert merged([0.4], [0.6]).tolist() == [pytest.approx(0.5)]
    assert merged([0.7], [0.7]).tolist() == [pytest.approx(0.7)]


def test_venn_abers_improves_over_confident_margins_and_is_worth_selecting_by():
    """The catalogue's check: margins three times the log-odds, 200 calibration pairs."""
    before, after, curves = [], [], []
    for seed in range(20):
        test = margins(1000, 3.0, seed=1000 + seed)
        fitted, won = VennAbers.fit(margins(200, 3.0, seed=seed)), np.ones(test.size)
        p, q = expit(test), fitted.probability(test)
        before.append((log_loss(p, won), brier_score(p, won)))
        after.append((log_loss(q, won), brier_score(q, won)))
        curve = risk_coverage(np.abs(q - 0.5), (test > 0).astype(float))
        curves.append([np.interp(c, curve.coverage, curve.risk) for c in (0.25, 0.5, 1.0)])
    assert (np.mean(after, axis=0) < np.mean(before, axis=0)).all()
    assert (np.diff(np.mean(curves, axis=0)) > 0).all()  # risk falls as coverage falls


def test_venn_abers_is_wider_where_pairs_are_few():
    def width(n):
        low, high = VennAbers.fit(margins(n, seed=5)).interval(np.linspace(0.1, 3, 50))
        return float((high - low).mean())

    assert width(50) > 2 * width(1000)


def test_p_values_by_hand():
    # three calibration values; 2 of them are at least 2: (1 + 2)/(3 + 1)
    assert conformal_p_values([1.0, 2.0, 3.0], [2.0, 0.0, 4.0]).tolist() == [0.75, 1.0, 0.25]
    # class 1 has the nonconformities -2, -1; a new score of 1.5 has -1.5 for the label 1: one of two is at least it;
    # class 0 has 3: for the label 0 the score's own 1.5 is below it
    found = label_p_values([2.0, 1.0, 3.0], [1, 1, 0], [1.5])
    assert found.tolist() == [[1.0, pytest.approx(2 / 3)]]
    # split: both labels are compared with -2, -1 and 3
    both = label_p_values([2.0, 1.0, 3.0], [1, 1, 0], [1.5], mondrian=False)
    assert both.tolist() == [[0.5, 0.75]]
    with pytest.raises(InputError, match=r"a label is 0\.5; give 0 or 1"):
        label_p_values([1.0], [0.5], [1.0])
    assert np.isnan(label_p_values([1.0, 2.0], [1, 0], [np.nan])).all()
    with pytest.raises(ShapeError, match="2 scores and 1 labels"):
        label_p_values([1.0, 2.0], [1], [1.0])


@pytest.mark.parametrize("mondrian", [True, False])
def test_label_sets_cover_over_many_splits(mondrian):
    rng, hits, by_class = np.random.default_rng(0), [], [[], []]
    for _ in range(500):
        z = rng.normal(0.7, 1.5, size=160)
        y = (rng.random(160) < expit(z)).astype(int)  # classes of unequal size
        inside = label_p_values(z[:60], y[:60], z[60:], mondrian=mondrian) > 0.1
        hit = inside[np.arange(100), y[60:]]
        hits.append(hit.mean())
        for k in (0, 1):
            by_class[k].append(hit[y[60:] == k].mean())
    # coverage is at least 1 - eps on average; the mean of 500 splits has a standard error below 0.003
    assert np.mean(hits) >= 0.9 - 0.006
    if mondrian:  # and within each class
        assert min(np.mean(rows) for rows in by_class) >= 0.9 - 0.01


def test_preference_sets_cover_over_many_splits_and_mean_something():
    rng, hits, singles = np.random.default_rng(1), [], []
    for _ in range(500):
        z = rng.normal(0, 1.5, size=180)
        m = np.where(rng.random(180) < expit(z), z, -z)
        inside = Conformal.fit(m[:80], level=0.9).sets(m[80:])
        hits.append(inside[:, 0].mean())
        singles.append((inside.sum(axis=1) == 1).mean())
    assert 0.9 - 0.006 <= np.mean(hits) <= 0.93
    assert 0.2 < np.mean(singles) < 0.9


def test_preference_sets_by_hand():
    # nineteen calibration margins 1 ... 19 less one at -19: at a margin of 5 the second label has the nonconformity 5,
    # and one margin is at most -5: p = (1 + 1)/20 = 0.1, which is not above 1 - 0.9. The first has (1 + 6)/20.
    fitted = Conformal.fit([*range(1, 19), -19.0], level=0.9)
    np.testing.assert_allclose(fitted.p_values([5.0, -5.0]), [[7 / 20, 0.1], [0.1, 7 / 20]])
    assert fitted.sets([5.0, -5.0, np.nan]).tolist() == [[True, False], [False, True], [False, False]]
    # near 0 both labels are strange: the favoured one stays, and at 0 neither is favoured
    assert fitted.sets([0.5, 0.0]).tolist() == [[True, False], [True, True]]
    sure = Conformal.fit([*range(1, 19), -19.0], level=0.95)
    assert sure.sets([5.0, 20.0]).tolist() == [[True, True], [True, False]]


def test_ties_of_the_annotators_have_no_side():
    m = margins(50, seed=7)
    label = np.ones(52)
    label[-2:] = 0.5
    fitted = Conformal.fit([*m, 1.0, -1.0], label)
    assert fitted.n == 50
    turned = Conformal.fit(-m, np.zeros(50))
    assert turned.margin == Conformal.fit(m).margin


def test_levels_and_too_few_pairs():
    with pytest.raises(InputError, match=r"level is 1\.0; give a coverage between 0 and 1"):
        Conformal.fit([1.0, 2.0], level=1.0)
    with pytest.raises(InputError, match="8 pairs cannot promise 90%; give pairs of at least 9 prompts"):
        Conformal.fit(margins(8), level=0.9)
    assert Conformal.fit(margins(9), level=0.9).n == 9


def test_the_probability_beside_the_sets_is_a_temperature():
    m = margins(4000, 3.0, seed=8)
    # pseudo-pairs move the slope by the order of 1/n
    assert Conformal.fit(m).slope == pytest.approx(Temperature.fit(m).slope, rel=0.01)


def test_pairs_of_a_prompt_share_one_vote():
    # prompts a and b, margins 1, 3 and 2: weights 1/2, 1/2, 1. Nonconformities -3 (1/2), -2 (1), -1 (1/2); at a margin
    # of -1.5 the first label has 1.5, which none reaches: 1/3; the second has -1.5: -1 alone is at least that, 1.5/3
    both = conformal_p_values([-1.0, -3.0, -2.0], [1.5, -1.5], weight=[0.5, 0.5, 1.0])
    np.testing.assert_allclose(both, [1 / 3, 1.5 / 3])
    with pytest.raises(ShapeError, match="2 nonconformities and 1 weights"):
        conformal_p_values([1.0, 2.0], [0.0], weight=[1.0])
    # ten copies of each pair of twenty prompts say what the twenty say
    m = margins(20)
    once, copied = Conformal.fit(m), Conformal.fit(np.repeat(m, 10), prompts=np.repeat(np.arange(20), 10).tolist())
    at = np.linspace(-5, 5, 41)
    np.testing.assert_allclose(copied.p_values(at), once.p_values(at))
    assert (copied.sets(at) == once.sets(at)).all()
    assert once.weight == ()
    # in whichever order they come, and without those that have no margin
    turned = Conformal.fit([*m[::-1], np.nan], prompts=[*"tsrqponmlkjihgfedcba", "a"])
    assert (turned.margin, turned.weight) == (once.margin, once.weight)


def test_few_prompts_promise_little_however_many_pairs():
    m, prompts = np.repeat(margins(3), 10), np.repeat(["a", "b", "c"], 10).tolist()
    with pytest.raises(InputError, match="30 pairs of 3 prompts cannot promise 90%; give pairs of at least 9 prompts"):
        Conformal.fit(m, level=0.9, prompts=prompts)
    assert Conformal.fit(m, level=0.7, prompts=prompts).n == 30
    with pytest.raises(ShapeError, match="30 margins and 2 prompts"):
        Conformal.fit(m, prompts=["a", "b"])


def test_p_values_cover_a_new_prompt_s_pair_where_pairs_go_together():
    """Twelve prompts of 1 to 30 pairs that share most of their noise, the easier the more pairs: as pairs they fail."""
    rng, kept, pooled = np.random.default_rng(2), [], []
    for _ in range(4000):
        sizes = rng.choice([1, 3, 30], size=13)
        owner = np.repeat(np.arange(13), sizes)
        m = (rng.normal(0, 1.0, size=13) + 0.05 * sizes)[owner] + rng.normal(0, 0.2, size=owner.size)
        held, new = owner < 12, m[owner == 12][:1]
        kept.append(conformal_p_values(-m[held], -new, weight=1 / sizes[owner[held]])[0] > 0.1)
        pooled.append(conformal_p_values(-m[held], -new)[0] > 0.1)
    # the standard error of a share of 4000 at 0.9 is 0.0047
    assert np.mean(kept) >= 0.9 - 0.01
    assert np.mean(pooled) < 0.85
