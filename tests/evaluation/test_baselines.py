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


def test_a_reward_that_is_length_has_no_advantage_over_length():
    rng = np.random.default_rng(0)
    pairs = [pair("a" * rng.integers(1, 30), "a" * rng.integers(1, 30)) for _ in range(50)]
    longer = evaluate_baselines(pairs, baseline_margins(pairs)["longer"], range(50))[0]
    assert longer.advantage.value == 0
    assert not longer.advantage.excludes(0.0)
