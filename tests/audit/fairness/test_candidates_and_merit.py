"""Candidates by group, parity at equal merit, and attributes together, as checks. Expected numbers by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plaudit.audit.fairness import dependence
from plaudit.audit.fairness.attributes import Attribute
from plaudit.audit.fairness.candidates import candidate_checks, pool
from plaudit.audit.fairness.checks import fairness_checks
from plaudit.audit.fairness.dependence import dependence_test
from plaudit.errors import InputError
from plaudit.records import Message, Pair
from plaudit.rewards.base import RewardBatch
from plaudit.stats.dependence import attribute_matrix


def _pair(prompt, chosen, rejected, **meta):
    return Pair((Message("user", prompt),), chosen, rejected, meta=meta)


def _found(pairs, chosen, rejected, attributes, **options):
    batches = RewardBatch(np.asarray(chosen, dtype=float)), RewardBatch(np.asarray(rejected, dtype=float))
    attributes = [Attribute.parse(a) for a in attributes]
    return {c.name: c for c in fairness_checks(pairs, *batches, attributes, min_group=20, **options)}


def test_a_pool_holds_every_text_once_and_what_labels_say_of_it():
    pairs = [
        _pair("p", "a", "b", chosen_d="n", rejected_d="s"),
        _pair("p", "c", "a", chosen_d="s", rejected_d="n"),
        _pair("q", "a", "b", chosen_d="n"),
    ]
    found = pool(pairs, [1.0, 3.0, 5.0], [2.0, 1.0, 6.0], ["d"])
    # b and c of p were never compared, so that the labels do not say which deserves more: its first pair stays
    assert found.reward.tolist() == [1.0, 2.0, 5.0, 6.0]
    assert found.groups == {"d": ["n", "s", "n", "(not given)"]}
    assert (len(set(found.prompts)), found.single) == (2, 1)
    whole = pool([*pairs, _pair("p", "c", "b")], [1.0, 3.0, 5.0, 3.0], [2.0, 1.0, 6.0, 2.0], ["d"])
    assert whole.reward.tolist() == [1.0, 2.0, 3.0, 5.0, 6.0]
    # a of p is chosen once and rejected once, b is rejected twice, c chosen twice
    assert whole.deserved.tolist() == [0.5, 0.0, 1.0, 1.0, 0.0]
    assert (whole.by, whole.single) == ("the labels", 0)
    rated = pool([replace(p, chosen_score=4.0, rejected_score=2.0) for p in pairs], [1, 3, 5], [2, 1, 6], ["d"])
    assert (rated.by, rated.deserved.tolist()) == ("the pairs' own scores", [4.0, 2.0, 4.0, 4.0, 2.0])
    true = pool(pairs, [1.0, 3.0, 5.0], [2.0, 1.0, 6.0], ["d"], true_chosen=[9, 8, 7], true_rejected=[1, 9, 2])
    assert (true.deserved.tolist(), true.by) == ([9.0, 1.0, 8.0, 7.0, 2.0], "the true reward")


def _four(n=40):
    """n prompts with candidates n1 > s1 > n2 > s2 in truth, each of which is in one pair."""
    pairs = []
    for i in range(n):
        pairs.append(_pair(f"p{i}", f"n1 {i}", f"s1 {i}", chosen_d="n", rejected_d="s"))
        pairs.append(_pair(f"p{i}", f"n2 {i}", f"s2 {i}", chosen_d="n", rejected_d="s"))
    return pairs, np.tile([4.0, 2.0], n), np.tile([3.0, 1.0], n)


def test_who_outscores_whom_and_who_is_selected_beyond_the_truth():
    pairs, true_chosen, true_rejected = _four()
    # the reward takes 5 off n: s1 > s2 > n1 > n2. n beats s never; truly in n1 > s1, n1 > s2, n2 > s2: 3 of 4
    found = _found(
        pairs, true_chosen - 5, true_rejected, ["d:completion"], true_margin=true_chosen - true_rejected,
        true_sides=(true_chosen, true_rejected),
    )  # fmt: skip
    assert found["fairness/scores/d=n"].evidence.value == pytest.approx(-0.75)
    # four candidates, so best-of-4: n is never selected, truly always
    selected = found["fairness/selection/d=n"]
    assert selected.evidence.value == pytest.approx(-1.0)
    assert "best-of-4" in selected.says
    assert "minus the same by the true reward" in selected.says
    assert {found[f"fairness/{k}/d={g}"].light for k in ("scores", "selection") for g in "ns"} == {"red"}
    fair = _found(
        pairs, true_chosen, true_rejected, ["d:completion"], true_margin=true_chosen - true_rejected,
        true_sides=(true_chosen, true_rejected),
    )  # fmt: skip
    # nobody of 40 prompts went either way: 3.8415 / 43.8415 = .0876, beyond .05: not shown to be fair in so few
    assert fair["fairness/selection/d=n"].evidence.high == pytest.approx(0.0876, abs=1e-4)
    assert fair["fairness/selection/d=n"].light == "amber"


def test_a_crossed_group_of_completions_that_no_attribute_shows():
    rng = np.random.default_rng(0)
    # four candidates a prompt, one of each (d, e); n and x together lose 2, and so do s and y: each alone is even
    pairs, chosen, rejected = [], [], []
    for i in range(60):
        cells = [("n", "x"), ("s", "x"), ("n", "y"), ("s", "y")]
        worth = {c: rng.normal() - 2.0 * (c == ("n", "x")) - 2.0 * (c == ("s", "y")) for c in cells}
        for a, b in ((0, 1), (2, 3)):
            (d1, e1), (d2, e2) = cells[a], cells[b]
            pairs.append(_pair(f"p{i}", f"{a} {i}", f"{b} {i}", chosen_d=d1, rejected_d=d2, chosen_e=e1, rejected_e=e2))
            chosen.append(worth[cells[a]])
            rejected.append(worth[cells[b]])
    # truly all are alike: every comparison is a coin
    flat = np.zeros(len(pairs))
    found = _found(pairs, chosen, rejected, ["d:completion", "e:completion"], true_sides=(flat, flat))
    assert {found[f"fairness/scores/{g}"].light for g in ("d=n", "e=x")} == {"amber"}
    crossed = found["fairness/scores/crossed"]
    assert crossed.light == "red"
    assert "4 crossed groups, whose intervals hold together" in crossed.says
    assert found["fairness/selection/crossed"].light == "red"


def test_candidates_that_cannot_be_compared_are_grey():
    pairs, true_chosen, true_rejected = _four(5)
    found = _found(pairs, true_chosen, true_rejected, ["d:completion"])
    assert found["fairness/scores/d"].skipped == "d=n (5 mixed prompts), d=s (5 mixed prompts): fewer than 20"
    # the largest n for which any group has enough prompts: none has, so best-of-2
    assert found["fairness/selection/d"].skipped == found["fairness/scores/d"].skipped
    halves = _found(*_four(30), ["d:completion"], scores=False)
    assert halves["fairness/scores"].skipped == "a comparison gives no reward of one completion"
    assert candidate_checks(pool([], [], [], [])) == ()


def _cancelling():
    """Right in 20% and 40% where work is short, in 60% and 80% where it is long; the poor mostly work long."""
    rows = []
    for effort, group, n, right in (
        (1, "poor", 100, 20), (1, "rich", 300, 120), (2, "poor", 300, 180), (2, "rich", 100, 80),
    ):  # fmt: skip
        rows += [(effort, group, k < right) for k in range(n)]
    pairs = [_pair(f"p{i}", "x", "y", effort=e, class_=g) for i, (e, g, _) in enumerate(rows)]
    return pairs, np.array([1.0 if r else -1.0 for _, _, r in rows])


def test_a_gap_at_equal_merit_that_the_marginals_hide():
    pairs, margin = _cancelling()
    found = _found(pairs, margin, np.zeros(800), ["class_:author"], stratum="effort")
    # (20 + 180) / 400 = (120 + 80) / 400: no gap by the group; .2 in both strata
    assert found["fairness/class_=poor"].evidence.value == pytest.approx(0.0)
    poor = found["fairness/parity/class_=poor"]
    assert poor.evidence.value == pytest.approx(0.2)
    assert (poor.light, poor.harm) == ("red", "above")
    assert "worst at" in poor.says
    # who is served better violates nothing
    assert found["fairness/parity/class_=rich"].evidence.value == 0.0
    assert _found(pairs, margin, np.zeros(800), ["class_"])["fairness/parity"].light == "grey"
    with pytest.raises(InputError, match="stratum: no pair has a column 'efort'; did you mean 'effort'"):
        _found(pairs, margin, np.zeros(800), ["class_"], stratum="efort")


def test_many_numbers_are_cut_into_fifths_and_nobody_to_compare_with_is_grey():
    hours = np.arange(200) / 3.0
    pairs = [_pair(f"p{i}", "x", "y", hours=h, g="a" if i % 2 else "b") for i, h in enumerate(hours)]
    found = _found(pairs, np.ones(200), np.zeros(200), ["g"], stratum="hours")
    assert " to " in found["fairness/parity/g=a"].says
    apart = [_pair(f"p{i}", "x", "y", work=i % 2, g="a" if i % 2 else "b") for i in range(200)]
    found = _found(apart, np.ones(200), np.zeros(200), ["g"], stratum="work")
    assert found["fairness/parity/g=a"].skipped == "no value of work holds rows of both sides"


def test_completions_at_equal_merit():
    # 100 pairs, grades alike on both sides: n wins 30 of 50 at grade 1 and 10 of 50 at grade 2
    rows = [(grade, k < wins) for grade, wins in ((1, 30), (2, 10)) for k in range(50)]
    pairs = [
        _pair(f"p{i}", "x", "y", chosen_d="n", rejected_d="s", chosen_grade=g, rejected_grade=g)
        for i, (g, _) in enumerate(rows)
    ]
    margin = np.array([1.0 if w else -1.0 for _, w in rows])
    found = _found(pairs, margin, np.zeros(100), ["d:completion"], stratum="grade")
    # n is preferred in .6 and .2, s in .4 and .8: gaps of n +.2 and -.6, half of the weight each: .3; of s .1
    assert found["fairness/parity/d=n"].evidence.value == pytest.approx(0.3)
    assert found["fairness/parity/d=s"].evidence.value == pytest.approx(0.1)
    none = _found(pairs, margin, np.zeros(100), ["d:completion"], stratum="effort")["fairness/parity/d"]
    assert none.skipped == "no completion has a stratum: there is no column chosen_effort or rejected_effort"


def test_attributes_together_show_what_none_shows_alone():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    right = np.where(a == b, rng.random(400) < 0.9, rng.random(400) < 0.5)
    pairs = [_pair(f"p{i}", "x", "y", a=f"a{v}", b=f"b{w}") for i, (v, w) in enumerate(zip(a, b, strict=True))]
    found = _found(pairs, np.where(right, 1.0, -1.0), np.zeros(400), ["a", "b"])
    assert found["fairness/joint"].light == "red"
    assert "joint distance covariance" in found["fairness/joint"].says
    assert "red" not in {found[f"fairness/{g}"].light for g in ("a=a0", "b=b0")}
    fair = _found(pairs, np.where(rng.permutation(right), 1.0, -1.0), np.zeros(400), ["a", "b"])
    assert fair["fairness/joint"].light == "green"


@pytest.mark.parametrize(
    ("margin", "why"),
    [
        (np.full(40, np.nan), "0 prompts have all of it, and 4 are needed"),
        (np.zeros(40), "it is as right on every pair, so there is nothing that could depend"),
        (np.ones(40), "it is as right on every pair, so there is nothing that could depend"),
    ],
)
def test_no_dependence_is_tested_where_none_could_be_seen(margin, why):
    pairs = [_pair(f"p{i}", "x", "y", age=float(i), a=f"a{i % 2}") for i in range(40)]
    outcome = np.where(np.isnan(margin), 2, 0).astype(np.int8)
    sides = RewardBatch(margin, outcome), RewardBatch(np.where(np.isnan(margin), np.nan, 0.0), outcome)
    checks = fairness_checks(pairs, *sides, [Attribute("age"), Attribute("a")], min_group=20)
    found = {c.name: c for c in checks}
    assert (found["fairness/age"].skipped, found["fairness/joint"].skipped) == (why, why)
    assert not any(c.light == "red" for c in checks)


def test_permutations_of_few_values_equal_those_by_the_definition(monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.choice([0.0, 0.5, 1.0], 40)
    attributes = attribute_matrix([rng.normal(size=40).tolist(), rng.choice(["u", "v"], 40).tolist()])
    fast = dependence_test(x, attributes, permutations=99)
    monkeypatch.setattr(dependence, "FEW", 0)
    slow = dependence_test(x, attributes, permutations=99)
    assert fast.null == pytest.approx(slow.null, rel=1e-10)
    assert (fast.p_value, fast.statistic) == (slow.p_value, slow.statistic)
