"""Fairness as checks: crossed groups, completions, continuous attributes, and rewards that say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.audit.fairness.cells import cell_gaps
from plaudit.audit.fairness.checks import Attribute, fairness_checks
from plaudit.errors import InputError
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


def _measured(*args, **options):
    return tuple(c for c in fairness_checks(*args, **options) if c.light != "grey")


def _crossed(n=1600, seed=0):
    """Wrong in one cell of the two columns only."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2, n), rng.integers(0, 2, n)
    right = np.where((a == 1) & (b == 1), rng.random(n) < 0.5, rng.random(n) < 0.9)
    return _pairs(n, {"age": ["old" if v else "young" for v in a], "tongue": ["de" if v else "en" for v in b]}), right


def test_a_failure_of_one_cell_is_the_top_gap_and_larger_than_its_marginals():
    pairs, right = _crossed()
    found = cell_gaps(pairs, np.where(right, 1.0, -1.0), ["age", "tongue"])
    assert found.gaps[0].cell == "age=old, tongue=de"
    marginal = max(abs(c.gap.value) for c in found.gaps if c.order == 1)
    assert abs(found.gaps[0].gap.value) > 1.4 * marginal
    assert found.gaps[0].gap.high < -0.25  # 0.5 - 0.9 in truth
    # cells weighted by their pairs give the marginal: the law of total probability
    old = [c for c in found.gaps if c.order == 2 and c.cell.startswith("age=old")]
    total = sum(c.accuracy * c.n_pairs for c in old) / sum(c.n_pairs for c in old)
    assert total == pytest.approx(next(c.accuracy for c in found.gaps if c.cell == "age=old"))


def test_columns_and_values_may_hold_what_cells_are_written_with():
    pairs, right = _crossed(400)
    names = {"old": "65, or more", "young": "16=17"}
    pairs = [
        Pair(p.prompt, p.chosen, p.rejected, meta={"a=b": names[p.meta["age"]], "tongue": p.meta["tongue"]})
        for p in pairs
    ]
    margin = np.where(right, 1.0, -1.0)
    found = fairness_checks(pairs, *_batches(margin), [Attribute.parse("a=b:author"), Attribute("tongue")])
    old = next(c for c in found if c.name == "fairness/a=b=65, or more")
    assert old.says.startswith("accuracy on pairs whose author has a=b=65, or more")
    crossed = next(c for c in found if c.name == "fairness/crossed")
    assert "a=b=65, or more, tongue=de" in crossed.says
    assert crossed.examples


def test_intervals_hold_together():
    rng = np.random.default_rng(5)
    false = 0
    for seed in range(40):
        meta = {f"c{k}": rng.integers(0, 4, 400).astype(str).tolist() for k in range(3)}
        pairs = _pairs(400, meta)
        found = cell_gaps(pairs, np.where(rng.random(400) < 0.7, 1.0, -1.0), list(meta), seed=seed, resamples=300)
        false += any(c.gap.excludes(0.0) for c in found.gaps)
    # at most 5% of 40 audits are expected to show anything; 8 or more have probability 0.0003 at 5%
    assert false <= 7


def test_harder_pairs_are_no_unfairness_where_the_truth_is_known():
    rng = np.random.default_rng(2)
    group = rng.integers(0, 2, 3000)
    truth = np.abs(rng.normal(size=3000)) * np.where(group == 1, 0.3, 1.5)
    margin = truth + rng.normal(size=3000)
    pairs = _pairs(3000, {"group": group.astype(str).tolist()})
    plain = cell_gaps(pairs, margin, ["group"])
    matched = cell_gaps(pairs, margin, ["group"], true_margin=truth, strata=20)
    assert abs(plain.gaps[0].gap.value) > 0.15
    assert abs(matched.gaps[0].gap.value) < 0.06
    assert matched.matched


def test_the_checks_of_a_reward_that_fails_a_crossed_group():
    pairs, right = _crossed()
    chosen, rejected = _batches(np.where(right, 1.0, -1.0))
    found = {
        c.name: c for c in fairness_checks(pairs, chosen, rejected, [Attribute("age", "author"), Attribute("tongue")])
    }
    crossed = found["fairness/crossed"]
    assert crossed.light == "red"
    assert "age=old, tongue=de" in crossed.says
    assert crossed.examples
    assert "author" in found["fairness/age=old"].says
    assert found["fairness/spread/age"].light == "red"


def test_a_fair_reward_is_nowhere_red():
    rng = np.random.default_rng(7)
    pairs = _pairs(2000, {"g": rng.integers(0, 3, 2000).astype(str).tolist()})
    chosen, rejected = _batches(rng.normal(size=2000) + 1.0)
    assert {c.light for c in _measured(pairs, chosen, rejected, [Attribute("g")])} <= {"green", "amber"}


def test_completions_of_a_dialect_lose_what_they_deserve():
    rng = np.random.default_rng(3)
    n = 400
    deserves = rng.random(n) < 0.5
    meta = {
        "chosen_dialect": np.where(deserves, "north", "south").tolist(),
        "rejected_dialect": np.where(deserves, "south", "north").tolist(),
    }
    margin = np.where(deserves, -1.0, 1.0)  # south always wins
    chosen, rejected = _batches(margin)
    checks = _measured(_pairs(n, meta), chosen, rejected, [Attribute.parse("dialect:completion")])
    lights = {c.name: (c.light, round(c.evidence.value, 2)) for c in checks}
    share = round(float(deserves.mean()), 2)
    assert lights == {
        "fairness/preference/dialect=north": ("red", -share),
        "fairness/preference/dialect=south": ("red", share),
        # by the labels south outscores north in 1 - share of the prompts, and it always does; best-of-2 selects it
        # always instead of in 1 - share
        "fairness/scores/dialect=north": ("red", -share),
        "fairness/scores/dialect=south": ("red", share),
        "fairness/selection/dialect=north": ("red", -share),
        "fairness/selection/dialect=south": ("red", share),
    }


def test_a_continuous_attribute_is_tested_in_any_shape():
    rng = np.random.default_rng(4)
    age = rng.uniform(20, 80, 300)
    wrong = rng.random(300) < np.where(np.abs(age - 50) > 20, 0.6, 0.1)  # fails the young and the old alike
    pairs = _pairs(300, {"age": age.tolist()})
    (check,) = _measured(pairs, *_batches(np.where(wrong, -1.0, 1.0)), [Attribute("age")])
    assert check.name == "fairness/age"
    assert check.light == "red"
    (fair,) = _measured(pairs, *_batches(np.where(rng.permutation(wrong), -1.0, 1.0)), [Attribute("age")])
    assert fair.light == "green"


def test_pairs_of_one_prompt_are_no_independent_evidence_of_a_dependence():
    # 40 prompts with 15 pairs each: whether a prompt's pairs are right is drawn once, and nothing hangs on its age
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        prompt = np.repeat(np.arange(40), 15)
        age, wrong = rng.uniform(20, 80, 40)[prompt], (rng.random(40) < 0.3)[prompt]
        pairs = [
            Pair((Message("user", f"q{p}"),), f"a{i}", f"b{i}", meta={"age": a})
            for i, (p, a) in enumerate(zip(prompt.tolist(), age.tolist(), strict=True))
        ]
        (check,) = _measured(pairs, *_batches(np.where(wrong, -1.0, 1.0)), [Attribute("age")], seed=seed)
        alarms += check.light == "red"
        assert (check.evidence.n, check.left_out) == (40, 0)
        assert "one pair of each prompt" in check.says
    assert alarms <= 2  # at 1% each; permuting all 600 freely gives more than ten


def test_what_cannot_be_measured_is_grey_and_says_why():
    pairs = _pairs(40, {"g": ["a"] * 40})
    chosen, rejected = _batches(np.ones(40))
    (none,) = fairness_checks(pairs, chosen, rejected, [])
    assert (none.light, none.skipped) == ("grey", "no attribute was named")
    single = {c.name: c for c in fairness_checks(pairs, chosen, rejected, [Attribute("g")])}
    assert {c.light for c in single.values()} == {"grey"}
    assert set(single) == {
        "fairness/g", "fairness/spread/g", "fairness/scores", "fairness/selection", "fairness/parity",
    }  # fmt: skip
    assert single["fairness/parity"].skipped == "no column of what may rightly differ was named"
    assert "rewards of different prompts have no common zero" in single["fairness/scores"].skipped
    with pytest.raises(InputError, match="no pair has a column 'h'"):
        fairness_checks(pairs, chosen, rejected, [Attribute("h")])
    with pytest.raises(InputError, match="chosen_g"):
        fairness_checks(pairs, chosen, rejected, [Attribute("g", "completion")])
    with pytest.raises(InputError, match="nobody"):
        Attribute.parse("g:people")


def test_a_reward_that_abstains_half_the_time_is_counted():
    pairs, right = _crossed()
    margin = np.where(right, 1.0, -1.0)
    margin[::2] = np.nan
    checks = fairness_checks(pairs, *_batches(margin), [Attribute("age")])
    assert all(c.left_out == 800 for c in checks if c.name.startswith("fairness/age"))
