import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from plaudit.audit.biases.effects import audit_biases
from plaudit.audit.biases.gaps import group_gaps
from plaudit.audit.biases.results import BiasAudit, bias_metrics
from plaudit.audit.biases.rewrites import BIASES, FLATTERY, HEDGE, OPENER, PADDING, rewrite
from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch


class Rule:
    """A reward from a function of the text; None abstains."""

    name, scope, bounds, fingerprint = "rule", "sample", (-math.inf, math.inf), "test"

    def __init__(self, of):
        self.of = of

    def __call__(self, samples):
        values = [self.of(s.text) for s in samples]
        outcome = [Outcome.SCORED if v is not None else Outcome.ABSTAINED for v in values]
        return RewardBatch([math.nan if v is None else float(v) for v in values], outcome)


def samples(n=40, per=3, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Sample(conversation(f"q{i}"), " ".join(["word"] * int(rng.integers(2, 12))) + ".")
        for i in range(n)
        for _ in range(per)
    ]


def test_rewrites_add_one_thing():
    sample = Sample("q", "First part. Second part.")
    assert rewrite(sample, "length").text == f"First part. Second part. {PADDING}"
    assert rewrite(sample, "markdown").text == "- **First** part.\n- **Second** part."
    assert rewrite(sample, "politeness").text == f"{OPENER} First part. Second part."
    assert rewrite(sample, "hedging").text == f"{HEDGE} First part. Second part."
    assert rewrite(sample, "flattery").text == f"{FLATTERY} First part. Second part."


@pytest.mark.parametrize("what", ["markdown", "politeness", "hedging", "flattery"])
def test_rewrites_do_not_apply_twice(what):
    once = rewrite(Sample("q", "Some text."), what)
    assert rewrite(once, what) is None


def test_rewrites_touch_the_last_assistant_message_only():
    turns = (Message("assistant", "Let me see."), Message("tool", "42"), Message("assistant", "It is 42."))
    changed = rewrite(Sample("q", turns), "length")
    assert changed.completion[:2] == turns[:2]
    assert changed.completion[2].text == f"It is 42. {PADDING}"
    assert rewrite(Sample("q", (Message("tool", "42"),)), "length") is None


def test_steps_do_not_survive_a_rewrite():
    assert rewrite(Sample("q", "a b", steps=("a ", "b")), "length").steps is None


def test_effect_by_hand():
    # two prompts with rewards {0, 2}: SS 2 each, 1 degree of freedom each, deviation sqrt 2; the rewrite adds
    # 3
    given = [Sample("p", "x"), Sample("p", "xyz"), Sample("q", "x"), Sample("q", "xyz")]

    def add(sample, what):
        return replace(sample, completion=sample.text + "+++"), 0.5

    found = audit_biases(given, Rule(lambda t: len(t) - 1), counterfactual=add, features=["length"], true_std=2.0)
    effect = found.effects[0]
    assert found.unit.value == pytest.approx(math.sqrt(2))
    assert effect.raw.value == pytest.approx(3 / math.sqrt(2))
    # the true difference 0.5 is a quarter of the true reward's deviation
    assert effect.effect.value == pytest.approx(3 / math.sqrt(2) - 0.25)
    assert effect.true_effect == pytest.approx(0.25)
    assert (effect.n_samples, effect.effect.n) == (4, 2)


def test_a_blind_reward_has_no_effect_and_a_length_reward_has_one():
    rng = np.random.default_rng(0)
    noise = {}

    def content(text):
        words = len(re.findall(r"\bword\b", text))
        return noise.setdefault(words, rng.normal())

    blind = audit_biases(samples(), Rule(content), resamples=200)
    assert [e.effect.value for e in blind.effects] == [0.0] * len(BIASES)
    long = {e.name: e.effect for e in audit_biases(samples(), Rule(len), resamples=200).effects}
    assert long["length"].low > 1
    polite = {e.name: e.effect for e in audit_biases(samples(), Rule(lambda t: len(t) - 500 * ("glad" in t))).effects}
    assert polite["politeness"].high < -1


class Ranks:
    """1 for the longest of a prompt, 0 for the shortest: a comparison of lengths, made a reward of groups."""

    name, bounds, fingerprint = "ranks", (0.0, 1.0), "ranks"

    def __init__(self, scope):
        self.scope = scope

    def __call__(self, samples):
        together = [[len(t.text) for t in samples if t.group == s.group and t is not s] for s in samples]
        return RewardBatch(
            np.array([np.mean([len(s.text) > n for n in o]) for s, o in zip(samples, together, strict=True)])
        )


def test_in_a_reward_of_groups_one_member_changes_at_a_time():
    samples = [Sample(f"q{i}", "word " * k, group=f"g{i}") for i in range(6) for k in (2, 3)]
    found = audit_biases(samples, Ranks("group"), features=("length",), resamples=50).effects[0]
    # the shorter of two rises from 0 to 1, the longer stays at 1: 1/2 on average, in units of sqrt(1/2)
    assert found.effect.value == pytest.approx(0.5 / math.sqrt(0.5))
    # one sample of a batch cannot be asked about
    assert math.isnan(audit_biases(samples, Ranks("batch"), features=("length",), resamples=50).effects[0].effect.value)


def test_what_does_not_apply_or_has_no_reward_is_counted():
    given = samples(10, 2)
    given[0] = replace(given[0], completion="- already **marked** up")
    reward = Rule(lambda t: None if HEDGE in t and t.count("word") > 6 else len(t))
    found = {e.name: e for e in audit_biases(given, reward, resamples=50).effects}
    assert found["markdown"].n_inapplicable == 1
    hedging = found["hedging"]
    assert hedging.n_unscored > 0
    assert hedging.n_samples + hedging.n_unscored + hedging.n_inapplicable == 20


def test_length_correlation_given_truth():
    # the truth is length itself: the raw correlation is high, the partial one of reward = truth + noise about
    # zero
    rng, given = np.random.default_rng(0), samples(80, 4)
    truth = np.array([len(s.text) for s in given], float) + rng.normal(0, 5, len(given))
    lookup = iter(truth + rng.normal(0, 5, len(given)))
    found = audit_biases(given, Rule(lambda t: next(lookup)), truth=truth, features=[], resamples=300)
    assert found.length_correlation.value > 0.6
    assert abs(found.length_partial.value) < 0.2


def test_round_trip_and_metrics():
    found = audit_biases(samples(), Rule(len), resamples=50)
    stored = json.loads(json.dumps(found.to_dict()))
    assert BiasAudit.from_dict(stored).to_dict() == found.to_dict()
    assert set(bias_metrics(found)) == {f"bias/{b}" for b in BIASES} | {"length_correlation"}


def test_errors():
    with pytest.raises(InputError, match="no prompt has two scored completions"):
        audit_biases([Sample("a", "x"), Sample("b", "y")], Rule(len))
    with pytest.raises(InputError, match="feature 'lenght' is not known; did you mean 'length'"):
        rewrite(Sample("a", "x"), "lenght")


def _pairs(groups):
    return [Pair(conversation(f"q{i}"), "a", "b", meta={"group": g}) for i, g in enumerate(groups)]


def test_gap_by_hand():
    # a: 3 of 4 right, b: 1 of 4: the gap of a is one half, of b minus one half
    gaps = group_gaps(_pairs("aaaabbbb"), [1, 1, 1, -1, 1, -1, -1, -1], ["group"], min_group=2, resamples=200)
    assert {g.value: g.accuracy_gap.value for g in gaps} == {"a": 0.5, "b": -0.5}
    assert not gaps[0].matched


def test_harder_pairs_are_no_gap_once_true_margins_are_matched():
    rng = np.random.default_rng(0)
    groups = rng.choice(list("ab"), 4000)
    truth = np.where(groups == "a", rng.uniform(0, 2, 4000), rng.uniform(0, 4, 4000)) * rng.choice([-1, 1], 4000)
    margin = truth + rng.normal(0, 1.5, 4000)
    pairs = _pairs(groups)
    raw = group_gaps(pairs, margin * np.sign(truth), ["group"], resamples=200)[0]
    matched = group_gaps(pairs, margin, ["group"], true_margin=truth, strata=10, resamples=200)[0]
    assert raw.accuracy_gap.high < -0.05
    assert abs(matched.accuracy_gap.value) < 0.03
    assert matched.matched


def test_one_group_has_no_gap():
    assert group_gaps(_pairs("aaa"), [1, 1, -1], ["group"], min_group=1) == ()
