"""Several rewards as one: outcomes, bounds, names, and back from a reference."""

import math

import numpy as np
import pytest
import yaml

from plaudit import load
from plaudit.errors import InputError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.rules import LengthReward
from plaudit.shaping.combine import Combined, Term
from plaudit.testing import RewardContract

SHORT, LONG = LengthReward(target=3), LengthReward(target=30)


class Told:
    """A reward of given outcomes, worth 2 where scored, -1 as a fault."""

    scope, bounds = "sample", (-1.0, 2.0)

    def __init__(self, name, *outcomes):
        self.name, self.fingerprint, self.outcomes = name, name, outcomes

    def __call__(self, samples):
        outcome = np.array(self.outcomes[: len(samples)], dtype=np.int8)
        worth = {Outcome.SCORED: 2.0, Outcome.POLICY_FAULT: -1.0}
        return RewardBatch(np.array([worth.get(Outcome(o), np.nan) for o in outcome]), outcome)


class TestWeighted(RewardContract):
    def make_reward(self):
        return Combined((Term(SHORT, 0.3), Term(LONG, 0.7)))


class TestLexicographic(RewardContract):
    def make_reward(self):
        return Combined((Term(SHORT, tolerance=0.5), Term(LONG)), "lexicographic")


def samples(n):
    return [Sample(conversation("a"), "b", group="g") for _ in range(n)]


def test_outcomes_combine_to_the_gravest_and_a_fault_contributes_its_floor():
    o = Outcome
    first = Told("first", o.SCORED, o.SCORED, o.POLICY_FAULT, o.SCORED, o.ABSTAINED, o.TIMED_OUT)
    second = Told("second", o.SCORED, o.POLICY_FAULT, o.POLICY_FAULT, o.ABSTAINED, o.TIMED_OUT, o.INSTRUMENT_FAULT)
    found = Combined((Term(first, 1.0), Term(second, 0.5)))(samples(6))
    assert found.outcome.tolist() == [o.SCORED, o.SCORED, o.POLICY_FAULT, o.ABSTAINED, o.TIMED_OUT, o.INSTRUMENT_FAULT]
    assert found.reward[:3].tolist() == [3.0, 1.5, -1.5]  # 2 + 0.5 * -1; both floors
    assert np.isnan(found.reward[3:]).all()
    assert found.detail[1]["second"] == {"outcome": "policy_fault"}
    assert found.aspects["first"][1] == 2.0


@pytest.mark.parametrize(
    ("how", "bounds"),
    [("weighted", (-2.0, 4.0)), ("minimum", (-1.0, 2.0)), ("gated", (-2.0, 4.0)), ("lexicographic", (0.0, 1.0))],
)
def test_bounds(how, bounds):
    told = [Told(name, 0, 0, 1) for name in ("first", "second")]
    made = Combined(tuple(Term(t) for t in told), how)
    assert made.bounds == bounds
    found = made(samples(3))
    assert found.reward[2] == bounds[0]  # a fault of all is the floor
    assert made.scope == ("group" if how == "lexicographic" else "sample")


def test_two_terms_of_one_name_are_numbered():
    made = Combined((Term(Told("same", 0)), Term(Told("same", 0))))
    assert set(made(samples(1)).aspects) == {"same-1", "same-2"}
    assert made.name == "weighted(same, same)"


def test_a_gate_by_hand():
    first, second = Told("first", 0, 1), Told("second", 0, 0)
    found = Combined((Term(first, threshold=1.0), Term(second, 0.5)), "gated")(samples(2))
    assert found.reward.tolist() == [3.0, -1.0]  # the fault's floor of -1 is below 1, so the second counts nothing


def test_the_design_s_example_is_rebuilt_to_an_equal_reward(tmp_path):
    refs = tmp_path / "refs.jsonl"
    refs.write_text('{"prompt": "a", "completion": "one two three"}\n')
    text = f"""
combine/weighted:
  terms:
    - {{weight: 1.0, reward: verify/math}}
    - {{weight: 0.3, reward: {{shape/par: {{of: rule/length, references: {refs}}}}}}}
"""
    path = tmp_path / "reward.yaml"
    path.write_text(text)
    first, second = load(path), load(yaml.safe_load(text))
    assert first == second
    assert first.fingerprint == second.fingerprint
    assert first.bounds == (0.0, pytest.approx(1.3))
    assert first.name == "weighted(math, par(length))"
    found = first([Sample(conversation("a"), "The answer is \\boxed{4}", reference="4")])
    # right, and five words (the command of the box is one) against three: 1 + 0.3 sigmoid(2)
    assert found.reward[0] == pytest.approx(1 + 0.3 / (1 + math.exp(-2)), abs=1e-6)
    changed = yaml.safe_load(text)
    changed["combine/weighted"]["terms"][1]["weight"] = 0.4
    assert load(changed) != first


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"combine/weighted": {}}, "combine/weighted: needs the option 'terms'"),
        ({"combine/weighted": {"terms": []}}, "combine/weighted: there are no terms; give at least one"),
        ({"combine/weighted": {"terms": "rule/length"}}, "terms are 'rule/length'; give a list of"),
        ({"combine/weighted": {"terms": ["rule/length"]}}, "term 1 is 'rule/length'; give a mapping with a reward"),
        (
            {"combine/weighted": {"terms": [{"reward": "rule/length", "wieght": 1}]}},
            "term 1: unknown key 'wieght'; did you mean 'weight'",
        ),
        (
            {"combine/weighted": {"terms": [{"reward": "rule/length", "weight": -1}]}},
            "weights are [-1.0]; give finite ones, none below 0",
        ),
        (
            {"combine/weighted": {"terms": [{"reward": "rule/length", "weight": "heavy"}]}},
            "term 1: weight is 'heavy'; give a number",
        ),
        (
            {"combine/minimum": {"terms": [{"reward": "rule/length", "weight": 1}]}},
            "term 1: unknown key 'weight'",
        ),
        (
            {"combine/harmonic": {"terms": [{"reward": "verify/math", "weight": 0.7}]}},
            "weights [0.7] sum to 0.7; give weights of sum 1",
        ),
        (
            {"combine/harmonic": {"terms": [{"reward": "rule/length?target=3", "weight": 1}]}},
            "value 0 of row 0 is -1.0; give values of at least 0",
        ),
    ],
)
def test_bad_combinations_are_one_line(reference, message):
    with pytest.raises(InputError) as error:
        load(reference)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_term_without_a_floor_is_refused():
    class Bare(Told):
        bounds = (-math.inf, 0.0)

    with pytest.raises(InputError, match=r"combine/minimum: bare has no floor; clip it first"):
        Combined((Term(Bare("bare", 0)),), "minimum")
    with pytest.raises(InputError, match="combine: 'weigthed' is not known; did you mean 'weighted'"):
        Combined((Term(SHORT),), "weigthed")
