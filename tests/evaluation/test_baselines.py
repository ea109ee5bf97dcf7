import math

import numpy as np
import pytest

from plaudit.evaluation.baselines import baseline_margins, evaluate_baselines, markdown_marks
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation


def pair(chosen, rejected, **meta):
    return Pair(conversation("q"), chosen, rejected, meta=meta)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("plain words - not a list, 3 * 4 is 12, a#b", 2),  # the lone dash and the lone star
        ("# Title\n\n- one\n- two\n1. three", 4),
        ("**bold** and ```code```", 4),
        ("well-known, e.g. 3*4", 0),
        ("", 0),
    ],
)
def test_markdown_marks(text, marks):
    assert markdown_marks(text) == marks


def test_margins_by_hand():
    found = baseline_margins([pair("long answer", "short"), pair("a", "- b\n- c")])
    assert list(found["longer"]) == [6, -6]
    assert list(found["shorter"]) == [-6, 6]
    assert list(found["more markdown"]) == [0, -2]
    assert list(found["less markdown"]) == [0, 2]


def test_position_is_never_made_up():
    plain = evaluate_baselines([pair("aa", "b")] * 4, np.ones(4), range(4))
    position = next(b for b in plain if b.name == "position")
    assert math.isnan(position.accuracy.value)
    assert "chosen_position" in position.note
    pairs = [pair("a", "b", chosen_position=0)] * 3 + [pair("a", "b", chosen_position=1), pair("a", "b")]
    known = next(b for b in evaluate_baselines(pairs, np.ones(5), range(5)) if b.name == "position")
    assert known.accuracy.value == 0.75
    assert known.note == "recorded for 4 of 5 pairs"


def test_advantage_is_paired_and_on_scored_pairs_only():
    # longer is right on rows 0 and 1; the reward on 0, 1, 2; row 3 has no reward and counts for neither
    pairs = [pair("aa", "b"), pair("aa", "b"), pair("a", "bb"), pair("aa", "b")]
    rules = evaluate_baselines(pairs, [1.0, 1.0, 1.0, math.nan], range(4), resamples=50)
    longer = rules[0]
    assert longer.accuracy.value == pytest.approx(2 / 3)
    assert longer.accuracy.n == 3
    assert longer.advantage.value == pytest.approx(1 / 3)


def test_a_coin_is_exactly_one_half():
    coin = evaluate_baselines([pair("a", "b")] * 3, np.ones(3), range(3))[-1]
    assert (coin.name, coin.accuracy.value, coin.advantage.value) == ("random", 0.5, 0.5)
    assert math.isnan(coin.accuracy.low)


def test_three_pairs_prove_no_advantage():
    # right on all three, where "longer" is wrong on all three: gains 3 of 3, losses 0 of 3, each Wilson's, combined:
    # 1 - sqrt(2) z^2 / (3 + z^2). The coin is a constant: the accuracy's interval, 3 / (3 + z^2) to 1, less 1/2
    z2 = 1.959964**2
    rules = {b.name: b for b in evaluate_baselines([pair("a", "bb")] * 3, np.ones(3), range(3))}
    longer, coin = rules["longer"].advantage, rules["random"].advantage
    assert (longer.value, longer.high) == (1.0, 1.0)
    assert longer.low == pytest.approx(1 - math.sqrt(2) * z2 / (3 + z2), abs=1e-6)
    assert (coin.low, coin.high) == pytest.approx((3 / (3 + z2) - 0.5, 0.5), abs=1e-6)
    assert rules["longer"].accuracy.high == pytest.approx(z2 / (3 + z2), abs=1e-6)
    # every pair ties under "more markdown": one half on each, and Wilson of 1.5 of 3 about it
    half = math.sqrt(z2 * (1 / 12 + z2 / 36)) / (1 + z2 / 3)
    assert rules["more markdown"].accuracy.low == pytest.approx(0.5 - half, abs=1e-6)


def test_a_reward_that_is_length_has_no_advantage_over_length():
    rng = np.random.default_rng(0)
    pairs = [pair("a" * rng.integers(1, 30), "a" * rng.integers(1, 30)) for _ in range(50)]
    longer = evaluate_baselines(pairs, baseline_margins(pairs)["longer"], range(50))[0]
    assert longer.advantage.value == 0
    assert not longer.advantage.excludes(0.0)
