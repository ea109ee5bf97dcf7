import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.pairs import confidently_wrong, evaluate_pairs, margin_histogram, pair_margins
from plaudit.evaluation.results import PairEvaluation, metrics
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.rewards.base import Outcome, RewardBatch


def pair(prompt="q", chosen="yes", rejected="no", **meta):
    return Pair(conversation(prompt), chosen, rejected, meta=meta)


def batches(margin, outcome=None):
    margin = np.asarray(margin, float)
    outcome = np.zeros(margin.size, np.int8) if outcome is None else np.array(outcome, np.int8)
    return RewardBatch(np.where(outcome <= 1, margin, np.nan), outcome), RewardBatch(np.zeros(margin.size))


def evaluate(margin, pairs=None, outcome=None, **options):
    pairs = pairs or [pair(f"q{i}") for i in range(len(margin))]
    return evaluate_pairs(pairs, *batches(margin, outcome), resamples=options.pop("resamples", 100), **options)


def test_accuracy_by_hand():
    # margins 1, 2, 0, -1: right, right, tie, wrong: 2.5/4 with half ties, 2/4 strictly, a quarter ties
    result = evaluate([1.0, 2.0, 0.0, -1.0])
    assert result.accuracy.value == pytest.approx(0.625)
    assert result.accuracy_strict.value == pytest.approx(0.5)
    assert result.ties.value == pytest.approx(0.25)
    assert result.margin.value == pytest.approx(0.5)
    assert result.outcomes == {"scored": 4}


def test_proper_scores_by_hand():
    # sigmoid(log 3) = 3/4 and sigmoid(-log 3) = 1/4; Brier (1/16 + 9/16) / 2, log loss (log 4/3 + log 4) / 2
    result = evaluate([math.log(3), -math.log(3)])
    assert result.brier.value == pytest.approx(5 / 16)
    assert result.log_loss.value == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    # folded: confidence 3/4 twice, right once: error 1/4
    assert result.calibration_error.value == pytest.approx(0.25)


def test_numbers_without_spread_claim_no_certainty():
    # margins all log 3: Brier 1/16 each, in [0, 1]: Wilson's upper end about p = 1/16 with n = 4; a mean margin has no
    # bounds and so no interval
    found = evaluate([math.log(3)] * 4)
    z2, p = 1.959964**2, 1 / 16
    upper = (p + z2 / 8 + math.sqrt(z2 * (p * (1 - p) / 4 + z2 / 64))) / (1 + z2 / 4)
    assert found.brier.high == pytest.approx(upper, abs=1e-6)
    for number in (found.margin, found.log_loss, found.calibration_error):
        assert math.isnan(number.low)
        assert number.method == "no interval: every resample says the same"
    assert found.margin.value == pytest.approx(math.log(3))


def test_pairs_without_a_reward_leave_the_mean_and_are_counted():
    outcome = [Outcome.SCORED, Outcome.ABSTAINED, Outcome.TIMED_OUT, Outcome.POLICY_FAULT]
    result = evaluate([1.0, 9.0, 9.0, -1.0], outcome=outcome)
    assert result.accuracy.value == pytest.approx(0.5)  # of the two with a margin
    assert result.accuracy.n == 2
    assert result.outcomes == {"scored": 1, "policy_fault": 1, "abstained": 1, "timed_out": 1}
    assert sum(result.outcomes.values()) == result.n_pairs


def test_a_pair_has_the_worse_of_its_two_outcomes():
    chosen = RewardBatch([math.nan], [Outcome.ABSTAINED])
    rejected = RewardBatch([math.nan], [Outcome.INSTRUMENT_FAULT])
    result = evaluate_pairs([pair()], chosen, rejected)
    assert result.outcomes == {"instrument_fault": 1}
    assert math.isnan(result.accuracy.value)
    assert result.brier is None


def test_intervals_are_over_prompts():
    pairs = [pair("same")] * 5 + [pair(f"q{i}") for i in range(5)]
    result = evaluate(np.linspace(-1, 1.5, 10), pairs)
    assert result.n_prompts == 6
    assert result.accuracy.n == 6


def test_subsets_pool_the_rare_and_name_the_missing():
    pairs = [pair(f"q{i}", lang="en") for i in range(4)] + [pair("a", lang="de"), pair("b", lang="fr")]
    pairs += [pair(f"x{i}") for i in range(3)]
    result = evaluate([1, 1, 1, -1, 1, -1, 1, 1, 1.0], pairs, subsets=["lang"], min_group=3)
    found = {g.value: (g.n_pairs, g.accuracy.value) for g in result.groups}
    assert found == {"en": (4, 0.75), "(fewer than 3 pairs)": (2, 0.5), "(not given)": (3, 1.0)}
    assert sum(g.n_pairs for g in result.groups) == result.n_pairs


def test_truth_by_hand():
    # true margins 1, -1, 0: the label of the second is wrong, the third has no right answer
    pairs = [pair(f"q{i}") for i in range(3)]
    chosen, rejected = batches([2.0, 1.0, 5.0])
    result = evaluate_pairs(pairs, chosen, rejected, true_chosen=[1, 0, 0], true_rejected=[0, 1, 0], resamples=50)
    assert result.truth.accuracy.value == pytest.approx(0.5)
    assert result.truth.label_accuracy.value == pytest.approx(0.5)
    # within pairs the deviations are (1, -1, ...)/2 * margin: sum 2*1/2 - 1*1/2 + 0 over sqrt((4+1+25)/2 *
    # (1+1)/2)
    assert result.truth.correlation.value == pytest.approx(0.5 / math.sqrt(15 * 1))


def test_rewards_that_are_no_log_odds_have_no_probabilities():
    result = evaluate([1.0, -2.0], logit_scale=None)
    assert result.brier is None
    assert result.reliability is None
    assert "log_loss" not in metrics(result)


def test_probabilities_are_of_the_scaled_margin():
    # a margin of log(3)/2 at two log-odds a unit is sigmoid(log 3) = 3/4
    result = evaluate([math.log(3) / 2, math.log(3) / 2], logit_scale=2.0)
    assert result.brier.value == pytest.approx(1 / 16)
    assert result.margin.value == pytest.approx(math.log(3) / 2)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20))
def test_swapping_chosen_and_rejected_mirrors_the_accuracy(margin):
    there, back = evaluate(margin, resamples=20), evaluate([-m for m in margin], resamples=20)
    assert there.accuracy.value == pytest.approx(1 - back.accuracy.value)
    assert there.ties.value == pytest.approx(back.ties.value)
    assert there.histogram.count[0] == back.histogram.count[-1] or 0.0 in margin


def test_round_trip_through_json():
    pairs = [pair(f"q{i}", lang="en" if i % 2 else "de") for i in range(60)]
    margin = np.random.default_rng(0).normal(0.5, 1, 60)
    chosen, rejected = batches(margin)
    result = evaluate_pairs(
        pairs,
        chosen,
        rejected,
        subsets=["lang"],
        true_chosen=margin,
        true_rejected=np.zeros(60),
        resamples=50,
    )
    stored = json.loads(json.dumps(result.to_dict()))
    # NaN (the position rule) is no equal of itself: compare what is stored
    assert PairEvaluation.from_dict(stored).to_dict() == result.to_dict()
    assert {
        "accuracy",
        "baseline/longer",
        "advantage/shorter",
        "accuracy/lang=en",
        "truth/correlation",
    } <= set(metrics(result))


def test_stored_results_of_another_shape_are_refused():
    row = evaluate([1.0, -1.0]).to_dict()
    with pytest.raises(InputError, match="key 'acuracy' is not known; did you mean 'accuracy'"):
        PairEvaluation.from_dict({**row, "acuracy": 1})
    del row["margin"]
    with pytest.raises(InputError, match="key 'margin' is missing"):
        PairEvaluation.from_dict(row)


def test_confidently_wrong():
    assert list(confidently_wrong([1.0, -3.0, -1.0, math.nan, 0.0, -2.0], 2)) == [1, 5]
    assert list(confidently_wrong([1.0, 0.0])) == []


def test_histogram_counts_every_margin_and_parts_at_zero():
    margin = [*np.random.default_rng(0).normal(0, 1, 500), 100.0, math.nan]
    drawn = margin_histogram(margin)
    assert sum(drawn.count) == 501
    below = sum(n for e, n in zip(drawn.edges[1:], drawn.count, strict=True) if e <= 0)
    assert below == sum(m < 0 for m in margin)
    assert margin_histogram([math.nan]) is None


def test_errors():
    with pytest.raises(InputError, match="there is no pair"):
        evaluate_pairs([], RewardBatch([]), RewardBatch([]))
    with pytest.raises(ShapeError, match="2 margins for 1 pairs"):
        evaluate_pairs([pair()], *batches([1.0, 2.0]))
    with pytest.raises(ShapeError, match="1 chosen and 2 rejected"):
        pair_margins(RewardBatch([1.0]), RewardBatch([1.0, 2.0]))
    with pytest.raises(InputError, match="no pair has a column 'language'; did you mean 'lang'"):
        evaluate([1.0], [pair(lang="en")], subsets=["language"])
