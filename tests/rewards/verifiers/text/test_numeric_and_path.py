from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.text import (
    NumericVerifier,
    PathVerifier,
    class_and_severity,
    path_credit,
    within_tolerance,
)
from plaudit.rewards.verifiers.text.numbers import declared_numbers, numbers_in
from plaudit.rewards.verifiers.text.path import enumerated, without_lists


def judged(text, reference, **options):
    return NumericVerifier(**options).verdict(case("q", text, reference))


def test_the_border_is_strict_and_exact():
    # 3.2 + 0.34 and 3.2 + 0.35: in binary 3.55 - 3.2 is 0.3499999999999996
    assert judged("3.54", 3.2).reward == 1.0
    assert judged("3.55", 3.2).reward == 0.0
    assert judged("2.85", 3.2).reward == 0.0
    assert judged("3.2", 3.2, tolerance=0.0).reward == 1.0
    assert judged("110", 100, tolerance=0.1, relative=True).reward == 0.0
    assert judged("109.9", "100", tolerance=0.1, relative=True).reward == 1.0
    assert judged("3.4", {"value": 3.2, "tolerance": 0.1}).reward == 0.0
    assert within_tolerance(Decimal("1"), Decimal("1"), Decimal("0"))


def test_class_and_severity_by_hand():
    assert [class_and_severity(c, s) for c, s in ((1, 1), (1, 0), (0, 1), (0, 0))] == [1.0, 0.25, 0.0, 0.0]
    gold = {"class": "blur", "severity": 3}
    assert judged('<answer>{"class": "Blur", "severity": 3}</answer>', gold).reward == 1.0
    assert judged('{"class": "blur", "severity": 4}', gold).reward == 0.25
    assert judged('{"class": "noise", "severity": 3}', gold).reward == 0.0
    assert judged("blur 3", gold).outcome is Outcome.POLICY_FAULT


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.2", "3.2"),
        ("It is \u22121,234.50 in all.", "-1234.50"),
        ("about .5 of it", "0.5"),
        ("1e3", "1E+3"),
        ("5%", "5"),
        ("<answer>3</answer> of 5", "3"),
        ("\\boxed{7} or 8", "7"),
        ("Of 4 things. The score is 3.5 points.", "3.5"),
        ('<answer>{"rating": 3.2}</answer>', "3.2"),
        ("3.2.", "3.2"),
        ("The result: **12**", "12"),
        ("4 and 4", "4"),
        ("3/4", "0.75"),
    ],
)
def test_what_is_extracted(text, number):
    assert declared_numbers(text)[1] == [Decimal(number)]


def test_marks_out_of_a_scale():
    assert judged("3.2/5", 3.2, scale=5.0).reward == 1.0
    assert judged("3.2 out of 5", 3.2, scale=5.0).reward == 1.0
    assert judged("1/2", 0.5, scale=5.0).reward == 1.0
    assert numbers_in("1/0") == [None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1, 2 or 3", "several different numbers"),
        ("<answer>1 2</answer>", "several different numbers"),
        ("The score is 3, 1 or 2.", "several different numbers"),
        ("The score is 3 to 4", "several different numbers"),
        ("none", "no number"),
        ("nan inf", "no number"),
        ("v1.2.3", "no number"),
        ("9" * 5_000, "a number that cannot be read"),
        ("", "empty answer"),
        ("The score is 1. The score is 2.", "several different numbers"),
        ("1/0", "a number that cannot be read"),
    ],
)
def test_faults(text, reason):
    verdict = judged(text, 3)
    assert (verdict.outcome, verdict.detail["reason"]) == (Outcome.POLICY_FAULT, reason)


@pytest.mark.parametrize(
    "reference",
    [None, "x", True, float("inf"), {"value": None}, {"value": 1, "tolerance": -1}, {"class": "", "severity": 1}, [1]],
)
def test_references_that_cannot_be_used(reference):
    with pytest.raises(InputError, match="verify/numeric: sample 0: reference is"):
        NumericVerifier()([case("q", "1", reference)])


@given(st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3), st.decimals(0, 5, places=2))
@settings(max_examples=100, deadline=None)
def test_tolerance_is_symmetric(a, b, tolerance):
    assert within_tolerance(a, b, tolerance) == within_tolerance(b, a, tolerance)
    assert within_tolerance(a, a, tolerance)


def test_path_credit_by_hand():
    # 0.4 + 0.16 + 0.064; only the step before the answer; only the first of three; the answer itself
    assert path_credit([True, True, True, False]) == pytest.approx(0.624)
    assert path_credit([False, False, True, False]) == pytest.approx(0.4)
    assert path_credit([True, False, False, False]) == pytest.approx(0.064)
    assert path_credit([False, False, False, True]) == 1.0
    assert path_credit([True] * 50 + [False], gamma=0.9) == 1.0
    assert path_credit([]) == 0.0


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_another_step_never_lowers_credit(found, data):
    at = data.draw(st.integers(0, len(found) - 1))
    better = [hit or i == at for i, hit in enumerate(found)]
    assert path_credit(found) <= path_credit(better) <= 1.0


STEPS = {"steps": ["phish.example", ["host-17", "HOST17"], "mallory", "10.0.0.9"]}


def path(text, reference=STEPS, **options):
    return PathVerifier(**options).verdict(case("q", text, reference))


def test_paths():
    assert path("<answer>10.0.0.9</answer>").reward == 1.0
    way = path("From phish.example to HOST17, then user mallory. <answer>10.0.0.8</answer>")
    assert (way.reward, way.detail["steps"]) == (pytest.approx(0.624), [True, True, True, False])
    assert path("mallory").reward == pytest.approx(0.4)
    assert path("It was malloryx on host-170").reward == 0.0
    assert path("First\n10.0.0.9", within="line").reward == 1.0
    assert path("<answer>x</answer>", {"steps": ["a", "b"], "answer": ["x", "y"]}).reward == 1.0
    listed = ", ".join(f"h{i}" for i in range(20))
    assert path(f"<answer>{listed}</answer>").outcome is Outcome.POLICY_FAULT
    assert path(f"{listed}, mallory, host-17").reward == 0.0


def test_enumerations():
    assert enumerated("a, b and c") == 3
    assert enumerated("- a\n- b\n\n1. c") == 2
    assert without_lists("keep\n- a\n- b\n- c\nkeep too", 2) == "keep\nkeep too\n"


@pytest.mark.parametrize("reference", [None, {}, {"steps": []}, {"steps": [""]}, {"steps": ["a"], "answer": ""}, "a"])
def test_paths_that_cannot_be_used(reference):
    with pytest.raises(InputError, match="verify/path: sample 0: reference"):
        PathVerifier()([case("q", "a", reference)])
