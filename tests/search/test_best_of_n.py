import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.search import best_of_n_curve, best_of_n_values, kl_best_of_n_bound, peak_and_turn
from plaudit.search.best_of_n import _weights


def brute_force(proxy, truth, n):
    """Mean over all subsets of size n of the truth of its best, ties of the proxy averaged."""
    values = []
    for subset in itertools.combinations(range(len(proxy)), n):
        top = max(proxy[i] for i in subset)
        values.append(np.mean([truth[i] for i in subset if proxy[i] == top]))
    return float(np.mean(values))


@pytest.mark.parametrize(("pool", "n"), [(6, 1), (6, 3), (6, 6), (12_600, 1000), (12_600, 12_600)])
def test_weights_sum_to_one(pool, n):
    weights = _weights(n, np.array([pool]), pool)
    assert weights.sum() == pytest.approx(1.0, abs=1e-9)
    assert (weights >= 0).all()


def test_hand_value():
    # N = 4, n = 2: C(i-1, 1) / C(4, 2) = 0, 1/6, 2/6, 3/6; truths by rank 10, 20, 0, 5: 20/6 + 15/6 = 35/6
    value = best_of_n_values(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[10.0, 20.0, 0.0, 5.0]]), [2], strict=False)
    assert value[0, 0] == pytest.approx(35 / 6)


@given(
    proxy=st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5]), min_size=6, max_size=6),
    truth=st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    n=st.integers(1, 6),
)
def test_equals_enumeration_with_ties(proxy, truth, n):
    value = best_of_n_values(np.array([proxy]), np.array([truth]), [n], strict=False)
    assert value[0, 0] == pytest.approx(brute_force(proxy, truth, n), abs=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_order_of_the_pool_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    proxy, truth = rng.integers(0, 4, (3, 8)).astype(float), rng.normal(size=(3, 8))
    shuffle = rng.permutation(8)
    ns = [1, 2, 5]
    a = best_of_n_values(proxy, truth, ns, strict=False)
    b = best_of_n_values(proxy[:, shuffle], truth[:, shuffle], ns, strict=False)
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_one_is_the_mean_and_all_is_the_top():
    rng = np.random.default_rng(0)
    proxy, truth = rng.normal(size=(5, 9)), rng.normal(size=(5, 9))
    value = best_of_n_values(proxy, truth, [1, 9], strict=False)
    np.testing.assert_allclose(value[:, 0], truth.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(value[:, 1], truth[np.arange(5), proxy.argmax(axis=1)], atol=1e-12)


def test_abstentions_leave_the_pool():
    proxy = np.array([[1.0, np.nan, 2.0, 3.0, np.nan], [1.0, 2.0, 3.0, 4.0, 5.0]])
    truth = np.array([[4.0, np.nan, 8.0, 6.0, 1e9], [1.0, 2.0, 3.0, 4.0, 5.0]])
    value = best_of_n_values(proxy, truth, [1, 3, 4], strict=False)
    assert value[0, 0] == pytest.approx(6.0)  # (4 + 8 + 6) / 3
    assert value[0, 1] == pytest.approx(6.0)  # all three: the top by proxy
    assert np.isnan(value[0, 2])  # four do not exist
    curve = best_of_n_curve(proxy, truth, [1, 4], seed=0, strict=False)
    assert (curve.excluded, curve.abstained) == (1, 2)
    assert curve.truth[0].value == pytest.approx(3.0)  # the second prompt alone, at every n


def test_refuses_n_above_a_quarter():
    pool = np.zeros((2, 16))
    best_of_n_values(pool, pool, [4])
    with pytest.raises(InputError, match=r"n = 5 is more than a quarter of prompt 0's pool of 16 .* strict=False"):
        best_of_n_values(pool, pool, [5])


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("ns", [[], [0], [1.5]])
def test_refuses_senseless_n(ns):
    with pytest.raises(InputError, match="whole numbers"):
        best_of_n_values(np.zeros((1, 8)), np.zeros((1, 8)), ns)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_shapes_and_missing_truth():
    with pytest.raises(ShapeError, match=r"proxy is \(2, 8\) and truth \(2, 7\)"):
        best_of_n_values(np.zeros((2, 8)), np.zeros((2, 7)), [1])
    truth = np.zeros((2, 8))
    truth[1, 3] = np.nan
    with pytest.raises(InputError, match="truth of prompt 1, candidate 3 is nan"):
        best_of_n_values(np.zeros((2, 8)), truth, [1])


def test_curve_of_a_perfect_proxy_is_the_oracle():
    truth = np.random.default_rng(1).normal(size=(30, 64))
    curve = best_of_n_curve(3 * truth - 1, truth, [1, 4, 16], seed=0)
    assert [e.value for e in curve.truth] == pytest.approx([e.value for e in curve.oracle])
    assert curve.truth[0].value == pytest.approx(truth.mean())
    # the expected maximum of 4 standard normals is 1.0294
    assert curve.truth[1].value == pytest.approx(1.0294, abs=0.12)
    assert all(e.low <= e.value <= e.high and e.n == 30 for e in curve.truth)


def test_kl_bound_hand_values():
    assert kl_best_of_n_bound(1) == 0.0
    assert kl_best_of_n_bound(4) == pytest.approx(math.log(4) - 0.75)
    with pytest.raises(InputError, match="n is 0"):
        kl_best_of_n_bound(0)


def test_turn_is_found_where_the_top_is_bad_and_only_there():
    rng = np.random.default_rng(2)
    proxy = rng.normal(size=(60, 256))
    truth = proxy + 0.1 * rng.normal(size=proxy.shape)
    honest = peak_and_turn(proxy, truth, [1, 4, 16, 64], seed=0)
    assert honest.peak == 64
    assert not honest.turned
    spoilt = np.where(proxy > 2.2, -4.0, truth)  # the best by proxy are bad
    turn = peak_and_turn(proxy, spoilt, [1, 4, 16, 64], seed=0)
    assert turn.turned
    assert turn.peak in (4, 16)
    assert turn.drop.low > 0
    assert turn.drop.n == 30


def test_turn_refuses_too_few():
    with pytest.raises(InputError, match="3 usable prompts and 2 n's"):
        peak_and_turn(np.zeros((3, 16)), np.zeros((3, 16)), [1, 2], seed=0)


def test_gain_is_paired_within_prompts():
    # Two prompts at very different levels: true rewards 0..3 and 100..103, ranked rightly by the proxy. The best of
    # two of four has rank 2, 3, 4 with 1/6, 2/6, 3/6: (1 + 2*2 + 3*3)/6 = 14/6 above the lowest, a random one 1.5
    # above it: a gain of 5/6 in both.
    truth = np.array([[0.0, 1.0, 2.0, 3.0], [100.0, 101.0, 102.0, 103.0]])
    curve = best_of_n_curve(truth, truth, [1, 2], seed=0, strict=False)
    assert curve.gain[0].value == 0
    assert curve.gain[1].value == pytest.approx(5 / 6)
    assert curve.gain[1].high - curve.gain[1].low < 1e-9  # the prompts' levels cancel
    assert curve.truth[1].high - curve.truth[1].low > 50
