"""Groups that are too small, and the worst texts of unfair checks. Expected values by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plaudit.audit.fairness.checks import Attribute, fairness_checks
from plaudit.records import Message, Pair
from plaudit.rewards.base import Outcome, RewardBatch


def _pairs(n, meta):
    return [
        Pair(
            (Message("user", f"question {i}"),),
            "a good answer",
            "a bad answer",
            meta={k: v[i] for k, v in meta.items()},
        )
        for i in range(n)
    ]


def _batches(margin):
    reward = np.asarray(margin, dtype=float)
    outcome = np.where(np.isnan(reward), Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
    return RewardBatch(reward, outcome), RewardBatch(np.where(np.isnan(reward), np.nan, 0.0), outcome)


def _few():
    """100 pairs of de and en, half each and all right, and 25 Frisian ones, all wrong; north in 20 of all."""
    tongues = ["de", "en"] * 50 + ["Frisian"] * 25
    meta = {"tongue": tongues, "region": ["north"] * 20 + ["south"] * 105, "one": ["solo"] * 125}
    return _pairs(125, meta), np.array([1.0] * 100 + [-1.0] * 25)


def test_a_group_that_is_too_small_is_named_wherever_it_is_left_out():
    pairs, margin = _few()
    found = {c.name: c for c in fairness_checks(pairs, *_batches(margin), [Attribute("tongue")])}
    assert (found["fairness/tongue"].light, found["fairness/tongue"].skipped) == (
        "grey", "tongue=Frisian (25 pairs): fewer than 30",
    )  # fmt: skip
    assert found["fairness/spread/tongue"].says.endswith("; left out: tongue=Frisian (25 pairs): fewer than 30")
    assert "fairness/tongue=Frisian" not in found
    found = {c.name: c for c in fairness_checks(pairs, *_batches(margin), [Attribute("tongue"), Attribute("region")])}
    # Frisian lies in the south only; of the 20 of the north 10 are de and 10 en
    assert "not measured: tongue=Frisian, region=south (25 pairs), tongue=de, region=north (10 pairs), " in (
        found["fairness/crossed"].says
    )


def test_a_column_of_which_nothing_can_be_measured_has_a_line_of_its_own():
    pairs, margin = _few()
    attributes = [Attribute("tongue"), Attribute("region"), Attribute("one")]
    found = {c.name: c for c in fairness_checks(pairs, *_batches(margin), attributes)}
    assert found["fairness/region"].skipped == (
        "region=north (20 pairs): fewer than 30, too few to hold region=south against"
    )
    assert found["fairness/one"].skipped == "all scored pairs have one=solo, so there is nobody to compare with"
    assert found["fairness/spread/region"].skipped == (
        "fewer than two groups have 30 scored pairs (region=north (20 pairs): fewer than 30)"
    )
    assert found["fairness/spread/one"].skipped == "fewer than two groups have 30 scored pairs"
    assert "one=solo" not in found["fairness/crossed"].says  # the other column again
    two = {c.name: c for c in fairness_checks(pairs, *_batches(margin), [Attribute("one"), Attribute("tongue")])}
    assert two["fairness/crossed"].skipped == "fewer than two columns have several groups"
    nothing = fairness_checks(pairs, *_batches(np.full(125, np.nan)), [Attribute("tongue")])
    assert {c.light for c in nothing} == {"grey"}
    why = next(c.skipped for c in nothing if c.name == "fairness/tongue")
    assert why == "no pair has a reward and something that deserves to win"


def test_many_small_groups_are_counted():
    names = [f"a{i:02}" for i in range(12) for _ in range(12 - i)]  # 12 of a00 down to 1 of a11, 78 pairs in all
    found = {c.name: c for c in fairness_checks(_pairs(78, {"by": names}), *_batches(np.ones(78)), [Attribute("by")])}
    said = found["fairness/by"].skipped
    assert said.startswith("by=a00 (12 pairs), by=a01 (11 pairs), ")
    # the four smallest have 4 + 3 + 2 + 1
    assert said.endswith("by=a07 (5 pairs) and 4 more with 10 in all: fewer than 30")


def test_groups_of_completions_that_meet_others_too_seldom_are_named():
    kinds = ["rare"] * 5 + ["a"] * 60
    meta = {"chosen_kind": kinds, "rejected_kind": ["b"] * 65}
    attribute = Attribute.parse("kind:completion")
    found = {c.name: c for c in fairness_checks(_pairs(65, meta), *_batches(np.ones(65)), [attribute])}
    assert found["fairness/preference/kind"].skipped == "kind=rare (5 mixed pairs): fewer than 30"
    assert found["fairness/scores/kind"].skipped == "kind=rare (5 mixed prompts): fewer than 30"
    assert found["fairness/selection/kind"].skipped == "kind=rare (5 mixed prompts): fewer than 30"
    assert "fairness/preference/kind=a" in found
    same = {"chosen_kind": ["a"] * 65, "rejected_kind": ["a"] * 65}
    found = {c.name: c for c in fairness_checks(_pairs(65, same), *_batches(np.ones(65)), [attribute])}
    whys = {found[f"fairness/{kind}/kind"].skipped for kind in ("preference", "scores", "selection")}
    assert whys == {"all completions have kind=a, so there is nobody to compare with"}


def test_parity_names_groups_that_are_too_small():
    pairs, margin = _few()
    pairs = [replace(p, meta={**p.meta, "grade": i % 2}) for i, p in enumerate(pairs)]
    checks = fairness_checks(pairs, *_batches(margin), [Attribute("tongue"), Attribute("one")], stratum="grade")
    found = {c.name: c for c in checks}
    assert found["fairness/parity/tongue"].skipped == "tongue=Frisian (25 rows): fewer than 30"
    assert found["fairness/parity/one"].skipped == "all rows have one=solo, so there is nobody to compare with"
    assert "fairness/parity/tongue=de" in found


def test_a_reward_that_is_never_right_has_a_spread_that_says_so():
    pairs, _ = _few()
    found = {c.name: c for c in fairness_checks(pairs, *_batches(-np.ones(125)), [Attribute("tongue")])}
    assert (
        found["fairness/spread/tongue"].skipped == "it is right on no pair, so there is no accuracy to take a share of"
    )


def _texts(n, meta):
    return [
        replace(p, chosen=f"chosen {i}", rejected=f"rejected {i}") for i, p in enumerate(_pairs(n, meta))
    ]  # fmt: skip


def test_mistakes_are_those_of_whoever_is_worse_off():
    # a: right in 40 of 50, b: in 10 of 50; the margins of mistakes are -1 to -10 and -11 to -50
    group = ["a"] * 50 + ["b"] * 50
    wrong = np.array([40 <= i < 50 or i >= 60 for i in range(100)])
    margin = np.where(wrong, -np.cumsum(wrong), 1.0)
    pairs = _texts(100, {"g": group, "h": ["x", "y"] * 50})
    found = {c.name: c for c in fairness_checks(pairs, *_batches(margin), [Attribute("g"), Attribute("h")])}
    worst = [("chosen 99", "rejected 99"), ("chosen 98", "rejected 98"), ("chosen 97", "rejected 97")]
    for name in ("fairness/g=a", "fairness/g=b", "fairness/spread/g"):
        assert found[name].light == "red"
        assert [(e.before, e.after) for e in found[name].examples] == worst
    assert found["fairness/g=b"].examples[0].note == "margin -50, g=b"
    assert found["fairness/g=a"].examples[0].note == "margin -50, not g=a"
    assert found["fairness/g=a"].examples[0].prompt == "user: question 99"


def test_the_crossed_group_that_is_served_best_shows_mistakes_of_the_others():
    # right in one cell only: a=1, b=1; its gap is the largest and above 0
    a, b = [i % 2 for i in range(160)], [i // 2 % 2 for i in range(160)]
    margin = np.array([1.0 if x and y else -1.0 - i for i, (x, y) in enumerate(zip(a, b, strict=True))])
    pairs = _texts(160, {"a": a, "b": b})
    found = {c.name: c for c in fairness_checks(pairs, *_batches(margin), [Attribute("a"), Attribute("b")])}
    crossed = found["fairness/crossed"]
    assert crossed.light == "red"
    assert crossed.evidence.value > 0
    # 159 is 1, 1
    assert [e.before for e in crossed.examples] == ["chosen 158", "chosen 157", "chosen 156"]
    assert {e.note.split(", ", 1)[1] for e in crossed.examples} == {"not a=1, b=1"}


def test_mistakes_are_judged_by_the_truth_where_it_is_known():
    # the truth turns all labels of b round; the reward follows the labels
    pairs = _texts(100, {"g": ["a"] * 50 + ["b"] * 50})
    margin = np.arange(1.0, 101.0)
    truth = np.array([1.0] * 50 + [-1.0] * 50)
    found = {c.name: c for c in fairness_checks(pairs, *_batches(margin), [Attribute("g")], true_margin=truth)}
    first = found["fairness/g=b"].examples[0]
    assert (first.before, first.after, first.reward_after) == ("rejected 99", "chosen 99", -100.0)


def test_preferences_scores_and_selection_show_what_was_passed_over():
    # 60 prompts of a north and a south text; labels choose north in 40, the reward always prefers south, by i + 1
    north = [i % 3 != 0 for i in range(60)]
    meta = {"chosen_d": ["n" if v else "s" for v in north], "rejected_d": ["s" if v else "n" for v in north]}
    margin = np.array([-(i + 1.0) if v else i + 1.0 for i, v in enumerate(north)])
    found = {c.name: c for c in fairness_checks(_texts(60, meta), *_batches(margin), [Attribute.parse("d:completion")])}
    passed_over = [("chosen 59", "rejected 59"), ("chosen 58", "rejected 58"), ("chosen 56", "rejected 56")]
    for kind in ("preference", "scores", "selection"):
        for group in "ns":  # n loses what s gains
            check = found[f"fairness/{kind}/d={group}"]
            assert check.light == "red"
            assert [(e.before, e.after) for e in check.examples] == passed_over
    assert found["fairness/preference/d=s"].examples[0].note == "margin -60, d=n deserves it, d=s is preferred"
    first = found["fairness/scores/d=n"].examples[0]
    assert (first.reward_before, first.reward_after, first.note) == (-60.0, 0.0, "d=n deserves more, d=s scores higher")
    assert found["fairness/selection/d=n"].examples[0].note == "d=n deserves more, d=s is selected"


def test_parity_shows_the_stratum_in_which_the_group_is_worst_off():
    # poor and rich alike in grade 1 (all right); in grade 2 the poor are always wrong, by i
    poor = [i % 2 == 0 for i in range(160)]
    grade = [1 if i < 80 else 2 for i in range(160)]
    margin = np.array([-float(i) if p and g == 2 else 1.0 for i, (p, g) in enumerate(zip(poor, grade, strict=True))])
    pairs = _texts(160, {"class_": ["poor" if p else "rich" for p in poor], "grade": grade})
    checks = fairness_checks(pairs, *_batches(margin), [Attribute("class_")], stratum="grade")
    found = {c.name: c for c in checks}["fairness/parity/class_=poor"]
    assert found.light == "red"
    assert [e.before for e in found.examples] == ["chosen 158", "chosen 156", "chosen 154"]
    assert found.examples[0].note == "margin -158, class_=poor at grade 2"
    # completions: the same, whose north ones are rejected and lose
    meta = {"chosen_d": ["s"] * 80, "rejected_d": ["n"] * 80, "chosen_grade": [1] * 80, "rejected_grade": [1] * 80}
    checks = fairness_checks(
        _texts(80, meta), *_batches(np.arange(1.0, 81.0)), [Attribute.parse("d:completion")], stratum="grade"
    )
    found = {c.name: c for c in checks}["fairness/parity/d=n"]
    assert found.light == "red"
    assert [(e.before, e.after) for e in found.examples][:2] == [
        ("rejected 79", "chosen 79"),
        ("rejected 78", "chosen 78"),
    ]


def test_a_dependence_shows_mistakes_with_their_values():
    age = np.arange(100.0)
    margin = np.where(age > 60, -age, 1.0)
    found = fairness_checks(_texts(100, {"age": age.tolist()}), *_batches(margin), [Attribute("age")])
    check = next(c for c in found if c.name == "fairness/age")
    assert check.light == "red"
    assert check.examples[0].note == "margin -99, age=99.0"
