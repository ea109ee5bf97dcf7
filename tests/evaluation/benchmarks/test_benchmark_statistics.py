import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import ShapeError
from plaudit.evaluation.benchmarks.intervals import advantage, averaged, estimate
from plaudit.evaluation.benchmarks.statistics import Statistic, mean_of, ratio, sections, weighted_means


def test_weighted_means_by_hand():
    # group a: mean of 1, 0 is 1/2; group b: mean of 1, 1, 0 is 2/3; c is in no weight: (3 * 1/2 + 1 * 2/3) / 4
    s = weighted_means("x", [1, 0, 1, 1, 0, 0], list("aabbbc"), {"a": 3.0, "b": 1.0})
    found = estimate(s, range(6), resamples=200)
    assert found.value == pytest.approx((1.5 + 2 / 3) / 4)
    assert found.n == 5  # the item of c takes no part
    assert found.low <= found.value <= found.high


def test_nan_leaves_its_group_and_an_empty_group_leaves_no_number():
    some = weighted_means("x", [1, math.nan, 0], list("aab"), {"a": 1.0, "b": 1.0})
    assert estimate(some, range(3), resamples=20).value == 0.5
    none = weighted_means("x", [math.nan, math.nan, 0], list("aab"), {"a": 1.0, "b": 1.0})
    assert math.isnan(estimate(none, range(3), resamples=20).value)


def test_sections_name_what_is_missing_and_never_use_the_published_name_then():
    published = {"one": {"a": 1.0, "b": 3.0}, "two": {"c": 1.0}}
    whole = sections([1, 0, 1], list("abc"), published, overall="score")
    value = {s.name: estimate(s, range(3), resamples=20).value for s in whole.statistics}
    # one: (1 * 1 + 3 * 0) / 4, two: 1, their mean 0.625
    assert value["section/one"] == 0.25
    assert value["score"] == 0.625
    assert not whole.notes
    part = sections([1, 1], list("ac"), published, overall="score")
    rows = {s.name: s for s in part.statistics}
    assert rows["score"].absent == "missing subsets: b"
    assert math.isnan(estimate(rows["score"], range(2)).value)
    assert estimate(rows["section/present_one"], range(2)).value == 1.0
    assert estimate(rows["present_score"], range(2)).value == 1.0
    assert "missing subsets: b" in part.notes[0]
    assert rows["present_score"].headline


def test_a_share_at_its_end_keeps_an_interval():
    found = estimate(mean_of("x", np.ones(10)), range(10), resamples=20)
    # Wilson with z = 1.96: lower end 1 / (1 + z^2 / n) = 10 / 13.8415
    assert found.low == pytest.approx(10 / (10 + 1.959964**2), abs=1e-6)
    assert found.method.startswith("Wilson")


Z2 = 1.959964**2


def test_an_equal_value_between_the_ends_is_no_certainty():
    # each prompt has one right and one wrong row: every resample says 1/2. Wilson of 2 of 4: (1/2 +- h) with
    # h = z sqrt(1/16 + z^2/64) / (1 + z^2/4) about the centre 1/2
    found = estimate(mean_of("x", [1, 0] * 4), np.repeat(range(4), 2), resamples=20)
    half = math.sqrt(Z2 * (1 / 16 + Z2 / 64)) / (1 + Z2 / 4)
    assert (found.value, found.n) == (0.5, 4)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_parts_with_few_rows_widen_the_whole():
    # a: 20 of 20, b: 1 of 1, weighing alike; Wilson's lower ends are 20 / (20 + z^2) and 1 / (1 + z^2):
    # 1 - sqrt((z^2 / (20 + z^2))^2 + (z^2 / (1 + z^2))^2) / 2
    s = weighted_means("x", np.ones(21), ["a"] * 20 + ["b"], {"a": 1.0, "b": 1.0})
    found = estimate(s, range(21), resamples=50)
    assert (found.value, found.high, found.n) == (1.0, 1.0, 21)
    assert found.low == pytest.approx(1 - math.hypot(Z2 / (20 + Z2), Z2 / (1 + Z2)) / 2, abs=1e-6)
    # with one right of two in a the bootstrap has a width, but (20/21)^21 = .36 of its resamples lack b
    mixed = weighted_means("x", [1, 0] * 10 + [1], ["a"] * 20 + ["b"], {"a": 1.0, "b": 1.0})
    found = estimate(mixed, range(21), resamples=50)
    half = math.sqrt(Z2 * (1 / 80 + Z2 / 1600)) / (1 + Z2 / 20)  # Wilson of 10 of 20, about 1/2
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - math.hypot(half, Z2 / (1 + Z2)) / 2, abs=1e-6)
    assert found.high == pytest.approx(0.75 + half / 2, abs=1e-6)


def test_parts_of_the_same_prompts_err_together():
    # two languages of three prompts, all right: as uncertain as three prompts, 3 / (3 + z^2), and not as six
    s = weighted_means("x", np.ones(6), list("aaabbb"), {"a": 1.0, "b": 1.0})
    found = estimate(s, [0, 1, 2, 0, 1, 2], resamples=20)
    assert found.n == 3
    assert found.low == pytest.approx(3 / (3 + Z2), abs=1e-6)


def test_bounded_values_without_spread_have_wilsons_interval_on_their_scale():
    # three verdicts of 1 in [-1, 1]: on [0, 1] that is 3 of 3, lower end l = 3 / (3 + z^2), so 2 l - 1
    found = estimate(mean_of("x", np.ones(3), share=False, bounds=(-1.0, 1.0)), range(3), resamples=20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(6 / (3 + Z2) - 1, abs=1e-6)


def test_a_number_that_rises_in_its_parts_lies_between_their_ends():
    # a harmonic mean of a: 8 of 8 and b: 2 of 2, Wilson's lower ends 8 / (8 + z^2) and 2 / (2 + z^2)
    base = weighted_means("f1", np.ones(10), ["a"] * 8 + ["b"] * 2, {"a": 1.0, "b": 1.0})

    def harmonic(p):
        return float(2 * p[0] * p[1] / (p[0] + p[1]))

    function = lambda t: 2 / (t[:, 2] / t[:, 0] + t[:, 3] / t[:, 1])  # noqa: E731
    s = Statistic("f1", base.make, function, parts=base.parts, rising=harmonic)
    found = estimate(s, range(10), resamples=50)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(2 / ((8 + Z2) / 8 + (2 + Z2) / 2), abs=1e-6)


def test_what_has_no_bounds_has_no_interval_where_nothing_differs():
    found = estimate(mean_of("x", np.full(5, 3.0), share=False), range(5), resamples=20)
    assert math.isnan(found.low)
    assert found.method == "no interval: every resample says the same"
    halves = Statistic("f", lambda: np.stack([np.full(6, 0.5), np.ones(6)], axis=1), ratio)
    assert math.isnan(estimate(halves, range(6), resamples=20).low)


def test_an_advantage_without_losses_is_no_certainty():
    # right on all 3 where the rule is wrong on all 3: gains 3 of 3 in [l, 1], losses 0 of 3 in [0, 1 - l]:
    # 1 - sqrt(2) (1 - l), with 1 - l = z^2 / (3 + z^2)
    found = advantage(mean_of("x", [1, 1, 1]), mean_of("x", [0, 0, 0]), range(3), resamples=20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - math.sqrt(2) * Z2 / (3 + Z2), abs=1e-6)
    # the same on every item: neither gains nor losses were seen, each at most z^2 / (3 + z^2)
    same = advantage(mean_of("x", [1, 0, 1]), mean_of("x", [1, 0, 1]), range(3), resamples=20)
    assert (same.low, same.high) == pytest.approx((-Z2 / (3 + Z2), Z2 / (3 + Z2)), abs=1e-6)
    # functions that are no means: the two numbers as if independent, without an interval where one has none
    own, rule = (
        Statistic("f", lambda v=v: np.stack([v, np.ones(3)], axis=1), ratio) for v in (np.ones(3), np.zeros(3))
    )
    assert advantage(own, rule, range(3), resamples=20).low == pytest.approx(1 - math.sqrt(2) * Z2 / (3 + Z2), abs=1e-6)


def test_clusters_are_resampled_whole():
    values = np.repeat([1.0, 0.0, 1.0, 0.0], 25)
    alone = estimate(mean_of("x", values), range(100), resamples=500)
    together = estimate(mean_of("x", values), np.repeat(range(4), 25), resamples=500)
    assert together.n == 4
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_advantage_is_paired_and_averaging_draws_averages_columns():
    own, rule = mean_of("x", [1, 1, 0, math.nan]), mean_of("x", [1, 0, 0, 1])
    found = advantage(own, rule, range(4), resamples=20)
    assert found.value == pytest.approx(1 / 3)  # over the three that both have
    assert found.n == 3
    assert estimate(averaged([mean_of("x", [1, 0]), mean_of("x", [0, 0])]), range(2)).value == 0.25


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match="2 groups for 3 values"):
        weighted_means("x", [1, 0, 1], ["a", "b"], {"a": 1.0})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 1.0])), min_size=3, max_size=30))
def test_the_order_of_items_does_not_matter(rows):
    weights = {g: 1.0 + i for i, g in enumerate(sorted({g for g, _ in rows}))}
    forth = weighted_means("x", [v for _, v in rows], [g for g, _ in rows], weights)
    back = weighted_means("x", [v for _, v in rows[::-1]], [g for g, _ in rows[::-1]], weights)
    a, b = (estimate(s, range(len(rows)), resamples=2).value for s in (forth, back))
    assert a == pytest.approx(b)
    slow = sum(w * np.mean([v for h, v in rows if h == g]) for g, w in weights.items()) / sum(weights.values())
    assert a == pytest.approx(slow)
