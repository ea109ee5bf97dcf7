"""What must not change penalties and corrections of length, and slow references, for every function of the room."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from plaudit.rewards.rules import LengthReward
from plaudit.shaping.length import (
    LengthControlled,
    attention_rate,
    band_penalty,
    compression_rate,
    difficulty_buckets,
    kept_steps,
    length_residual,
    length_slope,
    overlong_penalty,
    relative_brevity,
)
from plaudit.shaping.transforms import Shaped
from plaudit.testing import RewardContract

quick = settings(max_examples=60, deadline=None)
columns = st.lists(
    st.tuples(st.integers(-24, 24), st.integers(1, 40), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=12
)
lengths = st.lists(st.one_of(st.just(math.nan), st.integers(0, 200).map(float)), min_size=1, max_size=10)


def split(drawn):
    """Rewards in eighths, lengths, groups, verdicts."""
    r, length, g, right = (np.array([row[i] for row in drawn]) for i in range(4))
    return r / 8, length.astype(float), g, right.astype(float)


class TestLengthControlled(RewardContract):
    def make_reward(self):
        return Shaped(LengthReward(), LengthControlled(0.25, longest=30))


@quick
@given(columns)
def test_the_slope_is_that_of_least_squares_with_a_level_a_group(drawn):
    r, length, g, _ = split(drawn)
    design = np.column_stack([length, *(g == label for label in range(3))])
    inside = length - np.array([length[g == label].mean() for label in g])
    assume((inside**2).sum() > 0.1)
    theirs = np.linalg.lstsq(design, r, rcond=None)[0][0]
    assert length_slope(r, length, g) == pytest.approx(theirs, abs=1e-9)


@quick
@given(columns, st.integers(-9, 9), st.sampled_from([0.25, 2.0, 8.0]), st.randoms(use_true_random=False))
def test_levels_of_groups_say_nothing_of_length_and_units_are_units(drawn, level, unit, random):
    r, length, g, _ = split(drawn)
    slope = length_slope(r, length, g)
    assert length_slope(r + level * (g == 1), length, g) == pytest.approx(slope, abs=1e-9)
    assert length_slope(r, length + abs(level) * (g == 2), g) == pytest.approx(slope, abs=1e-9)
    assert length_slope(unit * r, length, g) == pytest.approx(unit * slope, abs=1e-9)
    assert length_slope(r, unit * length, g) == pytest.approx(slope / unit, abs=1e-9)
    assert abs(length_slope(r, length, g, ridge=5.0)) <= abs(slope) + 1e-12
    order = list(range(len(r)))
    random.shuffle(order)
    assert length_slope(r[order], length[order], [f"g{x}" for x in g[order]]) == pytest.approx(slope, abs=1e-9)
    exact = 0.5 * length + level * g  # a reward that is nothing but length and a level
    assert np.allclose(np.diff(length_residual(exact, length, g)[g == g[0]]), 0, atol=1e-9) or (
        length_slope(exact, length, g) == 0.0
    )


@quick
@given(columns, st.sampled_from([(math.nan, 7.0), (1.0, math.nan), (math.nan, math.nan)]))
def test_what_has_no_reward_or_no_length_changes_nothing_for_the_others(drawn, lost):
    r, length, g, _ = split(drawn)
    more = np.append(r, lost[0]), np.append(length, lost[1]), np.append(g, g[0])
    assert length_slope(*more) == pytest.approx(length_slope(r, length, g), abs=1e-12)
    found = length_residual(*more)
    assert np.allclose(found[:-1], length_residual(r, length, g), atol=1e-12)
    assert found[-1] == lost[0] or np.isnan([found[-1], lost[0]]).all()  # it stays as it is


@quick
@given(columns, st.floats(-2, 2), st.randoms(use_true_random=False))
def test_residuals_are_by_group_and_taken_once(drawn, slope, random):
    r, length, g, _ = split(drawn)
    found = length_residual(r, length, g, slope=slope)
    for label in set(g.tolist()):  # given the slope, a group stands alone
        at = g == label
        assert np.allclose(length_residual(r[at], length[at], g[at], slope=slope), found[at], atol=1e-12)
        assert np.allclose(found[at], r[at] - slope * (length[at] - length[at].mean()), atol=1e-12)
    left = length_residual(r, length, g)
    assert np.allclose(length_residual(left, length, g), left, atol=1e-9)
    order = list(range(len(r)))
    random.shuffle(order)
    assert np.allclose(length_residual(r[order], length[order], g[order]), left[order], atol=1e-9)


@quick
@given(lengths, st.integers(1, 100), st.integers(0, 100), st.sampled_from([0.5, 4.0]), st.integers(0, 50))
def test_an_overlong_penalty_falls_and_knows_neither_unit_nor_neighbours(drawn, limit, cushion, unit, shift):
    length, cushion = np.array(drawn), min(cushion, limit)
    found = overlong_penalty(length, limit=limit, cushion=cushion)
    assert (np.isnan(found) == np.isnan(length)).all()
    known = ~np.isnan(length)
    assert ((found[known] >= -1) & (found[known] <= 0)).all()
    assert (np.diff(found[known][np.argsort(length[known])]) <= 0).all()
    for i, x in enumerate(drawn):
        assert np.array_equal(overlong_penalty([x], limit=limit, cushion=cushion), found[i : i + 1], equal_nan=True)
    scaled = overlong_penalty(unit * length, limit=unit * limit, cushion=unit * cushion)
    assert np.allclose(scaled, found, atol=1e-12, equal_nan=True)
    moved = overlong_penalty(length + shift, limit=limit + shift, cushion=cushion)
    assert np.allclose(moved, found, atol=1e-12, equal_nan=True)


@quick
@given(lengths, st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.5, 4.0]), st.data())
def test_a_band_costs_only_outside_and_more_further_out(drawn, low, width, unit, data):
    length, n = np.array(drawn), len(drawn)
    correct = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=n, max_size=n)))
    band = {"low": low, "high": low + width, "scale": 16.0}
    found = band_penalty(length, correct, **band)
    known = ~np.isnan(length)
    assert (np.isnan(found) == ~known).all()
    assert ((found[known] >= -1) & (found[known] <= 0)).all()
    assert not found[known & (length >= low) & (length <= low + width)].any()
    assert not found[known & (length < low) & (correct == 0)].any()  # a wrong answer has no excess below the band
    mirrored = band_penalty(2 * low + width - length, np.ones(n), **band)  # right answers: alike on both sides
    assert np.array_equal(mirrored, band_penalty(length, np.ones(n), **band), equal_nan=True)
    further = np.where(length > low + width, length + 3, np.where(length < low, length - 3, length))
    assert (band_penalty(further, correct, **band)[known] <= found[known]).all()
    for i in range(n):
        alone = band_penalty(length[i : i + 1], correct[i : i + 1], **band)
        assert np.array_equal(alone, found[i : i + 1], equal_nan=True)
    scaled = band_penalty(unit * length, correct, **{key: unit * value for key, value in band.items()})
    assert np.allclose(scaled, found, atol=1e-12, equal_nan=True)
    as_if_right = band_penalty(length, np.where(np.isnan(correct), 1.0, correct), **band)
    assert np.array_equal(as_if_right, found, equal_nan=True)
    loose = band_penalty(length, correct, **band, floor=-math.inf)
    assert np.array_equal(np.maximum(loose, -1.0), found, equal_nan=True)


rates = st.lists(st.one_of(st.just(math.nan), st.integers(0, 12).map(lambda k: k / 12)), min_size=1, max_size=10)


@quick
@given(rates)
def test_harder_prompts_are_never_in_an_easier_bucket(drawn):
    p = np.array(drawn)
    found = difficulty_buckets(p)
    assert set(found.tolist()) <= {0, 1, 2}
    known = ~np.isnan(p)
    assert (found[~known] == 2).all()
    assert (np.diff(found[known][np.argsort(p[known])]) <= 0).all()
    assert [difficulty_buckets([x])[0] for x in drawn] == found.tolist()


weights = st.lists(st.integers(0, 20), min_size=1, max_size=10).filter(any)


@quick
@given(weights, st.sampled_from([0.25, 8.0]), st.randoms(use_true_random=False))
def test_attention_is_uneven_by_its_entropy_alone(drawn, scale, random):
    from scipy.special import entr

    found = attention_rate(drawn)
    entropy = entr(np.array(drawn) / sum(drawn)).sum()
    expected = 1 - entropy / math.log(len(drawn)) if len(drawn) > 1 else 0.0
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 <= found <= 1
    assert attention_rate(scale * np.array(drawn)) == pytest.approx(found, abs=1e-12)
    shuffled = list(drawn)
    random.shuffle(shuffled)
    assert attention_rate(shuffled) == pytest.approx(found, abs=1e-12)


@quick
@given(weights, st.floats(0, 1), st.floats(0, 1), st.floats(0, 10))
def test_easier_prompts_may_lose_more_and_none_more_than_its_rate(drawn, one, other, sharpness):
    low, high = sorted((one, other))
    found = [compression_rate(p, drawn, sharpness=sharpness) for p in (low, high)]
    assert 0 <= found[0] <= found[1] <= 0.5
    top = (0.5, 0.3, 0.1)[difficulty_buckets([low])[0]]
    assert found[0] == pytest.approx(top * min(1.0, sharpness * attention_rate(drawn)), abs=1e-12)
    assert compression_rate(low, 4.0 * np.array(drawn), sharpness=sharpness) == pytest.approx(found[0], abs=1e-12)


@quick
@given(weights, st.integers(0, 19), st.data())
def test_so_many_steps_go_and_none_that_is_attended_to_more(drawn, twentieths, data):
    rate = twentieths / 20
    kept = kept_steps(drawn, rate)
    a = np.array(drawn)
    assert (~kept).sum() == twentieths * len(drawn) // 20
    if not kept.all():
        assert a[~kept].max() <= a[kept].min()
    assert kept_steps(8 * a, rate).tolist() == kept.tolist()
    assert (kept_steps(a, rate / 2) >= kept).all()  # what goes at half the rate goes at the whole
    if len(set(drawn)) == len(drawn):  # of equal ones the later go first: their places count
        order = data.draw(st.permutations(range(len(drawn))))
        assert kept_steps(a[list(order)], rate).tolist() == kept[list(order)].tolist()


@quick
@given(columns, st.sampled_from([0.25, 8.0]), st.randoms(use_true_random=False))
def test_brevity_is_relative_and_for_right_answers_only(drawn, unit, random):
    _, length, g, right = split(drawn)
    found = relative_brevity(right, length, g)
    assert not found[right == 0].any()
    assert np.allclose(relative_brevity(right, unit * length, g), found, atol=1e-12)
    order = list(range(len(right)))
    random.shuffle(order)
    named = [f"prompt {x}" for x in g[order]]
    assert np.allclose(relative_brevity(right[order], length[order], named), found[order], atol=1e-12)
    share = np.array([right[g == label].mean() for label in g])
    weight = np.where(share > 2 / 3, 0.4, np.where(share > 1 / 3, 0.2, 0.1))
    for w in (0.4, 0.2, 0.1):
        mates = (weight == w) & (right == 1)
        if mates.any():
            saved = np.clip(1 - length[mates] / length[mates].mean(), -1, 1)
            assert np.allclose(found[mates], w * saved, atol=1e-12)


@quick
@given(columns)
def test_a_completion_without_a_verdict_is_no_one_elses_business(drawn):
    _, length, g, right = split(drawn)
    more = relative_brevity(np.append(right, np.nan), np.append(length, 1e6), np.append(g, g[0]))
    assert np.allclose(more[:-1], relative_brevity(right, length, g), atol=1e-12)
    assert np.isnan(more[-1])


@quick
@given(columns, st.integers(-8, 8).filter(bool), st.integers(1, 30))
def test_length_control_is_of_each_sample_and_within_its_limits(drawn, eighths, longest):
    r, words, _, _ = split(drawn)
    by = LengthControlled(eighths / 8, longest=longest)
    samples = [Sample("a", "word " * int(k)) for k in words]
    found = by(RewardBatch(r), samples).reward
    assert found.tolist() == (r - eighths / 8 * np.minimum(words, longest)).tolist()
    assert [by(RewardBatch(r[i : i + 1]), samples[i : i + 1]).reward[0] for i in range(len(r))] == found.tolist()
    low, high = by.limits((-3.0, 3.0))
    assert ((found >= low) & (found <= high)).all()
    shouted = [replace(s, completion=s.text.upper() + "!!") for s in samples]  # marks are no words
    assert by(RewardBatch(r), shouted).reward.tolist() == found.tolist()
