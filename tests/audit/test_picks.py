"""What a reward's picks are truly worth, and what the verdict makes of it."""

import math
import re

import numpy as np
import pytest

from plaudit.audit.battery import audit_reward
from plaudit.audit.config import AuditConfig
from plaudit.audit.selection import selection
from plaudit.audit.subject import Subject
from plaudit.records import Message, Pair
from plaudit.records.sample import Sample
from small_audits import Duel, Rule

CONFIG = AuditConfig(resamples=200, search_budget=100, prompts=20)


def number(sample):
    """What the first number of a text says."""
    return float(re.search(r"\d+", sample.text)[0])


def pairs(n=40):
    return [Pair((Message("user", f"q {i}"),), f"the number is {i % 3 + 1}", "the number is 0") for i in range(n)]


def candidates(n=20, each=8):
    return [Sample(f"c {i}", f"the number is {j}") for i in range(n) for j in range(each)]


def measured(reward, given, truth=Rule(number, "truth")):  # noqa: B008  # a rule has no state that matters here
    return selection(given, Subject.of(pairs(), reward, truth, 0), CONFIG)


def test_the_best_of_two_by_hand():
    """Truths 0 to 7: the best of two of eight is worth 5 on average (9 * 2 / 3 - 1), one is worth 3.5.

    Their standard deviation (n - 1) is sqrt 6.
    """
    found = measured(Rule(number), candidates())
    gain, fall = found.checks
    assert found.curve.ns == (1, 2)
    assert gain.evidence.value == pytest.approx(1.5 / math.sqrt(6))
    assert (gain.light, fall.light) == ("green", "green")
    assert fall.evidence.value == 0.0
    wrong = measured(Rule(lambda s: -number(s)), candidates())
    assert wrong.checks[0].evidence.value == pytest.approx(-1.5 / math.sqrt(6))
    assert wrong.checks[0].light == "red"
    # what it likes most is worth nothing: of four it is picked more often than of two, and the picks get worse
    greedy = Rule(lambda s: 100.0 if "zero" in s.text else number(s))
    given = [Sample(f"c {i}", f"the number is {j if j > 5 else '0 or zero'}") for i in range(20) for j in range(16)]
    fallen = measured(greedy, given)
    assert (fallen.turn.peak, fallen.turn.largest) == (1, 4)
    assert fallen.checks[1].light == "red"


def test_what_the_truth_or_the_reward_cannot_judge_leaves_its_pool():
    abstaining = Rule(lambda s: None if number(s) >= 8 else number(s))
    found = measured(abstaining, candidates(each=12))
    assert found.checks[0].evidence.value == pytest.approx(1.5 / math.sqrt(6))
    found = measured(Rule(number), candidates(each=12), truth=abstaining)
    assert found.checks[0].evidence.value == pytest.approx(1.5 / math.sqrt(6))
    # prompts whose pools are too small are left out, and counted
    small = [Sample(f"small {i}", f"is {j}") for i in range(5) for j in (1, 2)]
    mixed = measured(Rule(number), [*candidates(), *small])
    assert mixed.checks[0].left_out == 5
    assert mixed.checks[0].evidence.value == pytest.approx(1.5 / math.sqrt(6))


@pytest.mark.parametrize(
    ("reward", "given", "truth", "why"),
    [
        (Rule(number), [], Rule(number), "no candidates are given to select among"),
        (Rule(number), candidates(), None, "without a true reward nobody knows"),
        (Rule(number), candidates(each=7), Rule(number), "0 prompts have eight candidates or more"),
        (Rule(number), candidates(n=7), Rule(number), "7 prompts have eight candidates or more"),
        (Duel(lambda a, b: 0.6), candidates(), Rule(number), "a comparison gives no reward"),
    ],
)
def test_what_is_lacking_is_said(reward, given, truth, why):
    found = measured(reward, given, truth)
    assert [c.light for c in found.checks] == ["grey", "grey"]
    assert why in found.checks[0].skipped
    assert found.curve is None


def test_the_verdict_permits_what_was_shown():
    of, truth = Rule(number, "of"), Rule(number, "truth")
    skip = ("attack", "consistency")
    without = audit_reward(pairs(120), of, true_reward=truth, config=AuditConfig(resamples=200, skip=skip))
    assert without.verdict.headline == "Rerank under watch and monitor only"
    assert "was not tested" in without.verdict.limit
    assert without.verdict.certainty != "high"
    assert "--candidates" in without.verdict.next_step
    shown = audit_reward(
        pairs(120), of, true_reward=truth, candidates=candidates(n=120, each=16),
        config=AuditConfig(resamples=200, skip=skip),
    )  # fmt: skip
    assert shown.verdict.limit_n == 4
    assert shown.verdict.use in ("rerank", "train-against")
    assert "best-of-4" in shown.verdict.limit
    bad = audit_reward(
        pairs(120), Rule(lambda s: number(s) if number(s) < 4 else 1 - number(s)), true_reward=truth,
        candidates=candidates(n=120, each=16), config=AuditConfig(resamples=200, skip=skip),
    )  # fmt: skip
    assert bad.verdict.use == "monitor"
    assert bad.verdict.headline == "Monitor only"
    assert np.isfinite(bad.metrics()["accuracy/selection"].value)
