"""Losses of collated rows: what they sum over, by hand."""

import math

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.records import Message, Pair
from plaudit.training.columns import pair_columns
from plaudit.training.losses.pairs import agreeing, cotrained, judged
from plaudit.training.losses.ratings import distribution, twice


def pair_row(leads, weight=None, progress=1.0):
    """Outputs of two heads that agree, and a row of pairs with these leads."""
    scores = torch.tensor([x for lead in leads for x in (lead, 0.0)])
    pairs = torch.arange(2 * len(leads)).reshape(-1, 2)
    given = torch.ones(len(leads)) if weight is None else torch.tensor(weight)
    return scores[:, None].expand(-1, 2), {"pairs": pairs, "weight": given, "progress": torch.tensor(progress)}


def loss(lead):
    return math.log1p(math.exp(-lead))


def test_cotraining_scales_by_what_was_left_out_and_not_by_what_was_asked_for():
    # a fifth of two pairs is none: both are kept, and the sum is theirs
    found = cotrained(*pair_row([1.0, -1.0]), noise=0.2, ramp=0.0)
    assert float(found) == pytest.approx(loss(1.0) + loss(-1.0))
    # a half of two is one: the easy one, for the weight of both
    found = cotrained(*pair_row([1.0, -1.0]), noise=0.5, ramp=0.0)
    assert float(found) == pytest.approx(2 * loss(1.0))
    found = cotrained(*pair_row([1.0, -1.0], weight=[3.0, 1.0]), noise=0.5, ramp=0.0)
    assert float(found) == pytest.approx(4 * loss(1.0))
    assert float(cotrained(*pair_row([1.0]), noise=0.9, ramp=0.0)) == 0.0  # nothing is kept


def test_the_fidelity_of_rated_rows_of_one_prompt_counts_as_that_of_a_list():
    outputs = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    row = {"values": torch.tensor([3.0, 1.0, 1.0, 2.0]), "group": torch.tensor([0, 0, 0, 1])}
    options = {"levels": 3, "rater_std": 0.5}
    rated = distribution(outputs, row | {"pairs": torch.zeros(0, 2, dtype=torch.long)}, fidelity_coef=1.0, **options)
    ranked = distribution(outputs, row | {"pairs": torch.tensor([[0, 1], [0, 2]])}, fidelity_coef=1.0, **options)
    without = distribution(outputs, row | {"pairs": torch.zeros(0, 2, dtype=torch.long)}, fidelity_coef=0.0, **options)
    assert float(rated) == pytest.approx(float(ranked))
    assert float(rated) > float(without) + 0.1
    with pytest.raises(InputError, match="fidelity_coef is -1"):
        distribution(outputs, row, fidelity_coef=-1.0, **options)


def test_pairs_without_a_label_count_by_what_two_heads_agree_about():
    """Two pairs, leads (2, 1) and (-1, 3) by the two heads: the first is labelled, the second is not agreed about."""
    outputs = torch.tensor([[2.0, 1.0], [0.0, 0.0], [-1.0, 3.0], [0.0, 0.0]])
    row = {"pairs": torch.tensor([[0, 1], [2, 3]]), "weight": torch.tensor([1.0, 2.0])}
    options = {"consistency_coef": 0.5, "entropy_coef": 0.0}
    known = agreeing(outputs, row | {"labelled": torch.tensor([1.0, 1.0])}, **options)
    assert float(known) == pytest.approx((loss(2.0) + loss(1.0) + 2 * loss(-1.0) + 2 * loss(3.0)) / 2)
    half = agreeing(outputs, row | {"labelled": torch.tensor([1.0, 0.0])}, **options)
    apart = (1 / (1 + math.exp(-3.0)) - 1 / (1 + math.exp(1.0))) * 4.0  # (p - q)(z_p - z_q) with z = 3 and -1
    assert float(half) == pytest.approx((loss(2.0) + loss(1.0)) / 2 + 2 * 0.5 * apart)


def test_two_ratings_count_in_both_orders():
    """Levels 1 then 2: p1 = (3/4, 1/4), p2 = (1/2, 1/2) after a 1 and (1/5, 4/5) after a 2."""
    logits = [math.log(x) for x in (3 / 4, 1 / 4, 1 / 2, 1 / 2, 1 / 5, 4 / 5)]
    row = {"values": torch.tensor([1.0, 2.0]), "second_rating": torch.tensor([2.0, 2.0])}
    found = twice(torch.tensor([logits, logits]), row, levels=2)
    forth, back, same = math.log(3 / 4 * 1 / 2), math.log(1 / 4 * 1 / 5), math.log(1 / 4 * 4 / 5)
    assert float(found) == pytest.approx(-(forth + back) / 2 - same)


def judged_pair(judgements):
    return Pair((Message("user", "q"),), "a", "b", meta={"judgements": judgements})


def test_judgements_of_a_row_weigh_by_their_difference():
    """Equal scores lose log 2; judgements 0 and 1 differ by 1 and weigh e^-1, those 0, 1, 3 by (1 + 3 + 2) / 3 = 2."""
    outputs = torch.zeros(4, 1)
    rows = [judged_pair([0.0, 1.0]), judged_pair([0, 1, 3])]
    spread = np.concatenate([pair_columns(("spread",), row, [(0, 1)], index=0)["spread"] for row in rows])
    assert spread.tolist() == [1.0, 2.0]
    row = {"pairs": torch.tensor([[0, 1], [2, 3]]), "weight": torch.ones(2), "spread": torch.from_numpy(spread)}
    expected = (math.exp(-1) + math.exp(-2)) * math.log(2)
    assert float(judged(outputs, row, scale=1.0)) == pytest.approx(expected)


@pytest.mark.parametrize("judgements", [[True, False], [0.5], [0.0, math.inf], "ab", None])
def test_judgements_are_numbers(judgements):
    with pytest.raises(InputError, match=r"row 3: .* the row has judgements .*; give pairs with a list of at least"):
        pair_columns(("spread",), judged_pair(judgements), [(0, 1)], index=2)
