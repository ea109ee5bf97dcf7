"""Losses of collated rows: what they sum over, by hand."""

import math

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Rated
from plaudit.training.columns import completion_columns, pair_columns
from plaudit.training.losses.general import skew
from plaudit.training.losses.lists import check_gaps, rank_list
from plaudit.training.losses.pairs import agreeing, cotrained, judged
from plaudit.training.losses.people import aspect_preferences
from plaudit.training.losses.ratings import distribution, twice

ASKED = (Message("user", "q"),)


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


def test_two_heads_of_which_nothing_is_left_out_are_two_models():
    """Entry 112 with a share of 0: half of the two plain losses, and a head's gradient knows nothing of the other."""
    outputs = torch.tensor([[2.0, -1.0], [0.5, 1.0], [0.0, 3.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    leads, weight = np.array([[1.5, -2.0], [-1.0, 3.0]]), np.array([[1.0], [3.0]])  # of two pairs, by two heads
    plain = weight * np.logaddexp(0.0, -leads)
    slope = -weight / (1 + np.exp(leads))  # d/dz log(1 + e^-z)
    row = {"pairs": torch.tensor([[0, 1], [2, 3]]), "weight": torch.tensor([1.0, 3.0], dtype=torch.float64)}
    for noise, ramp, progress in ((0.0, 0.0, 1.0), (0.5, 0.3, 0.0)):  # no noise, and noise at the ramp's foot
        found = cotrained(outputs, row | {"progress": torch.tensor(progress)}, noise=noise, ramp=ramp)
        assert float(found.detach()) == pytest.approx(plain.sum() / 2, abs=1e-12)
        (gradient,) = torch.autograd.grad(found, outputs)
        assert gradient.numpy()[::2] == pytest.approx(slope / 2, abs=1e-12)
        assert gradient.numpy()[1::2] == pytest.approx(-slope / 2, abs=1e-12)


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


def test_a_rating_whose_raters_differ_is_spread_as_a_gaussian():
    """Mean 2 of 3 levels, deviation 1.

    Masses between the midpoints: .24173, .38292, .24173, in sum .86639; at the centre alpha is one over the sum of
    (level - 2) times the derivative of the mass by the mean: phi(.5) - phi(1.5) = .22255 on either side, so 2.24671;
    beta = (1 - alpha * .86639) / 3 = -.31551; the label is .22760, .54480, .22760. Against equal chances it costs the
    sum of p log(3 p); the rating without a deviation stands at its level, and costs log 3.
    """
    label = (0.22760, 0.54480, 0.22760)
    row = {"values": torch.tensor([2.0, 2.0]), "group": torch.tensor([0, 0])}
    row["rating_std"] = torch.tensor([1.0, math.nan])
    found = distribution(torch.zeros(2, 3), row, levels=3, fidelity_coef=0.0, rater_std=0.5)
    assert float(found) == pytest.approx(sum(p * math.log(3 * p) for p in label) + math.log(3), abs=2e-4)


def test_the_fidelity_reads_the_raters_own_deviations():
    """Ratings 3 and 1; equal outputs, so the model says one half. Phi(2 / sqrt(v + v')) is what was observed."""
    row = {"values": torch.tensor([3.0, 1.0]), "group": torch.tensor([0, 0])}
    plain = distribution(torch.zeros(2, 3), row, levels=3, fidelity_coef=0.0, rater_std=0.5)
    for std, spread in (([math.nan, math.nan], 0.5**2 + 0.5**2), ([2.0, math.nan], 4 + 0.25)):
        given = row | {"rating_std": torch.tensor(std)}
        found = distribution(torch.zeros(2, 3), given, levels=3, fidelity_coef=1.0, rater_std=0.5)
        base = distribution(torch.zeros(2, 3), given, levels=3, fidelity_coef=0.0, rater_std=0.5)
        p = 0.5 * (1 + math.erf(2 / math.sqrt(spread) / math.sqrt(2)))
        assert float(found - base) == pytest.approx(1 - math.sqrt(p / 2) - math.sqrt((1 - p) / 2), abs=1e-4)
    assert float(plain) == pytest.approx(2 * math.log(3))


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (Rated(ASKED, "a", 2.0, meta={"score_std": 0.5}), [0.5]),
        (Rated(ASKED, "a", 2.0), [None]),
        (Pair(ASKED, "a", "b", meta={"chosen_score_std": 1}), [1.0, None]),
        (Ranked(ASKED, ("a", "b"), (2.0, 1.0), {"score_std": [None, 0.25]}), [None, 0.25]),
        (Ranked(ASKED, ("a", "b"), (2.0, 1.0)), [None, None]),
    ],
)
def test_how_much_raters_differ_may_be_left_out(row, found):
    read = completion_columns(("rating_std",), row, index=0)["rating_std"].tolist()
    assert [None if math.isnan(x) else x for x in read] == found


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (Rated(ASKED, "a", 2.0, meta={"score_std": -1.0}), "-1.0"),
        (Rated(ASKED, "a", 2.0, meta={"score_std": True}), "True"),
        (Ranked(ASKED, ("a", "b"), (2.0, 1.0), {"score_std": [0.5]}), r"\[0.5\]"),
        (Ranked(ASKED, ("a", "b"), (2.0, 1.0), {"score_std": 0.5}), "0.5"),
    ],
)
def test_a_deviation_that_is_none_is_named(row, shown):
    with pytest.raises(InputError, match=f"row 3: score_std is {shown}; give the standard deviation of the ratings"):
        completion_columns(("rating_std",), row, index=2)


def test_the_curriculum_of_a_list_reaches_further_as_training_goes_on():
    """Three equal scores: each comparison costs log 2. Neighbours are two; two places apart is one more."""
    row = {"group": torch.tensor([0, 0, 0]), "values": torch.tensor([3.0, 2.0, 1.0])}
    options = dict(reach=2, skip_coef=1.0, tail_coef=0.0, min_gap=0.0)
    for curriculum, progress, compared in ((True, 0.0, 2), (True, 1.0, 3), (False, 0.0, 3)):
        given = row | {"progress": torch.tensor(progress)}
        found = rank_list(torch.zeros(3, 1), given, curriculum=curriculum, **options)
        assert float(found) == pytest.approx(compared * math.log(2))


GAPS = dict(reach=2, skip_coef=1.0, tail_coef=0.0, curriculum=False)
LIST = Ranked(ASKED, tuple("abcd"), (0.0, 3.0, 1.0, 2.0))
"""By hand: neighbours lie 1 apart, those at distance 2 lie 2 apart, the first and the last 3."""


@pytest.mark.parametrize(
    ("changes", "compares"),
    [
        ({"min_gap": 2.0}, True),  # at distance 2
        ({"min_gap": 2.5}, False),  # 3 lies at distance 3, and reach ends before
        ({"min_gap": 2.5, "reach": 3}, True),
        ({"min_gap": 2.0, "reach": 1}, False),
        ({"min_gap": 2.0, "skip_coef": 0.0}, False),  # what is further apart than neighbours does not count
        ({"min_gap": 2.5, "tail_coef": 0.5}, True),  # everything below
        ({"min_gap": 3.5, "tail_coef": 0.5}, False),
        ({"min_gap": 2.0, "curriculum": True}, True),  # compared at the end
        ({"min_gap": 0.0}, True),
    ],
)
def test_a_gap_that_leaves_no_comparison_is_refused(changes, compares):
    if compares:
        check_gaps([LIST], **GAPS | changes)
        return
    further = ", or compare at a greater distance (reach, skip_coef)" if changes["min_gap"] <= 3 else ""
    with pytest.raises(InputError) as error:
        check_gaps([LIST], **GAPS | changes)
    assert str(error.value) == (
        f"objective rank-list: min_gap is {changes['min_gap']:g}, and none of the 1 rows has two completions that far "
        f"apart to compare (their scores differ by at most 3); lower it{further}"
    )


def test_one_row_with_a_comparison_is_enough():
    near = Pair(ASKED, "a", "b", chosen_score=2.0, rejected_score=1.0)
    far = Pair(ASKED, "a", "b", chosen_score=3.0, rejected_score=1.0)
    check_gaps([near, far], min_gap=2.0, **GAPS)
    with pytest.raises(InputError, match="min_gap is 2, and none of the 2 rows has two completions that far apart"):
        check_gaps([near, near], min_gap=2.0, **GAPS)
    # 0.3 - 0.1 is below 0.2 in float64 and not in float32, in which a fit compares
    check_gaps([Pair(ASKED, "a", "b", chosen_score=0.3, rejected_score=0.1)], min_gap=0.2, **GAPS)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "min_gap is in units of scores, and the pair has none; give chosen_score and rejected_score, or leave "),
        ({"chosen_score": 3.0}, "min_gap is in units of scores, and the pair has none"),
        ({"margin": 4.0}, "min_gap is in units of scores, and the pair has none"),
        ({"chosen_score": 1.0, "rejected_score": 3.0},
         "chosen_score is 1.0 and rejected_score 3.0, which does not say how far chosen leads; leave the row out, or"),
    ],
)  # fmt: skip
def test_a_gap_needs_pairs_whose_scores_say_how_far_they_are_apart(scores, message):
    rows = [LIST, Pair(ASKED, "a", "b", **scores)]
    with pytest.raises(InputError, match=f"row 2: {message}"):
        check_gaps(rows, min_gap=1.0, **GAPS)
    check_gaps(rows, min_gap=0.0, **GAPS)


def test_rows_that_are_no_lists_are_left_to_the_encoding():
    for row in (Ranked(ASKED, ("a", "b"), (1.0, math.nan)), Ranked(ASKED, ("a",), (1.0,)), Rated(ASKED, "a", 2.0)):
        check_gaps([row], min_gap=1.0, **GAPS)


def test_a_general_preference_may_be_drawn_to_a_target():
    """Embeddings (2, 1) and (0, 1): score 2 * 1 - 1 * 0 = 2, over the temperature 4; (4 - 10)^2 / 2 = 18, weight 3."""
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    row = {"pairs": torch.tensor([[0, 1]]), "weight": torch.tensor([3.0])}
    options = dict(planes=1, temperature=0.5, by_prompt=True)
    assert float(skew(outputs, row, target=10.0, **options)) == pytest.approx(54.0)
    assert float(skew(outputs, row, target=0.0, **options)) == pytest.approx(3 * loss(4.0))


def test_preferences_by_aspect_count_where_there_are_some():
    """Leads 1 and -2; the first aspect has a probability of 3/4, nothing is said of the second. Weight 2."""
    outputs = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    row = {
        "pairs": torch.tensor([[0, 1]]), "weight": torch.tensor([2.0]),
        "aspects": torch.tensor([[0.75, math.nan], [math.nan, math.nan]]),
    }  # fmt: skip
    found = aspect_preferences(outputs, row)
    assert float(found) == pytest.approx(2 * (0.75 * loss(1.0) + 0.25 * loss(-1.0)))
