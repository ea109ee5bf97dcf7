"""PPO-M's rows: four texts a pair, ranges, order; and that their loss is the paper's."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from plaudit.curation import confidence_lists, confidence_pairs, stated_versions
from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.shaping import read_confidence
from plaudit.training import bradley_terry

PAIRS = [Pair(conversation(f"q{i}"), f"good {i}", f"bad {i}", margin=2.0, meta={"kind": "k"}) for i in range(200)]


def rng():
    return np.random.default_rng(0)


def stated(text):
    rest, value = read_confidence(text)
    return rest, round(10 * value)


def test_the_four_texts_of_a_pair():
    made = stated_versions(PAIRS, rng())
    numbers = {name: [stated(getattr(s, name)) for s in made] for name in made[0].__slots__}
    for name, rows in numbers.items():
        word, level = name.split("_")
        assert [rest for rest, _ in rows] == [f"{'good' if word == 'chosen' else 'bad'} {i}" for i in range(200)]
        assert {n for _, n in rows} == set(range(7, 11) if level == "high" else range(4))
    columns = np.array([[n for _, n in rows] for rows in numbers.values()])
    # drawn independently: correlations of 200 draws stay within 4 / sqrt(200)
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 4 / np.sqrt(200)
    assert stated_versions(PAIRS, rng()) == made


def test_rows_for_bradley_terry():
    made, rows = stated_versions(PAIRS, rng()), confidence_pairs(PAIRS, rng())
    assert len(rows) == 400
    for i, s in enumerate(made):
        first, second = rows[2 * i : 2 * i + 2]
        assert (first.chosen, first.rejected) == (s.chosen_high, s.chosen_low)
        assert (second.chosen, second.rejected) == (s.rejected_low, s.rejected_high)
    assert all(r.margin is None and r.meta == {"kind": "k"} for r in rows)
    more = confidence_pairs(PAIRS[:1], rng(), original=True, ordered=True)
    assert more[0] == PAIRS[0]
    assert [stated(r.chosen)[0] for r in more[1:]] == ["good 0", "bad 0", "good 0"]
    assert (stated(more[3].chosen)[1] >= 7, stated(more[3].rejected)[0]) == (True, "bad 0")


def test_what_a_pair_says_of_its_completions_is_not_said_of_the_rows():
    said = {"preference": 0.6, "second": True, "judgements": [1.0], "aspect_preferences": {"a": 1}, "chosen_second": 3}
    pair = replace(PAIRS[0], chosen_score=5.0, rejected_score=1.0, meta={"kind": "k", **said})
    rows = [*confidence_pairs([pair], rng()), *confidence_lists([pair], rng())]
    assert [row.meta for row in rows] == [{"kind": "k"}] * 3
    assert rows[0].chosen_score is None


def test_their_loss_is_the_papers():
    # -log sigmoid(r_ch - r_cl) - log sigmoid(r_rl - r_rh) with rewards 2, 1, 3, 1 (ch, cl, rl, rh)
    expected = np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-2.0))
    scores = torch.tensor([2.0, 1.0, 3.0, 1.0], dtype=torch.float64)
    assert float(bradley_terry(scores, torch.tensor([[0, 1], [2, 3]])).sum()) == pytest.approx(expected)


def test_lists_for_plackett_luce():
    row, made = confidence_lists(PAIRS[:1], rng())[0], stated_versions(PAIRS[:1], rng())[0]
    assert row.completions == (made.chosen_high, made.chosen_low, made.rejected_low, made.rejected_high)
    assert row.scores == (3.0, 2.0, 1.0, 0.0)
    assert row.prompt == PAIRS[0].prompt


@pytest.mark.parametrize(("high", "low"), [((7, 11), (0, 3)), ((3, 7), (0, 3)), ((8, 7), (0, 3)), ((7, 10), (-1, 3))])
def test_ranges_that_are_none(high, low):
    with pytest.raises(InputError, match="give ranges in 0 to 10, low below high"):
        stated_versions(PAIRS, rng(), high=high, low=low)
