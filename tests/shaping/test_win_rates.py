"""Win rates: hand values, cycles, what is undecided, and what is no comparison."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, PreferenceBatch
from plaudit.rewards.registry import load
from plaudit.shaping import WinRate


class Table:
    """A comparison by a table of probabilities; asked once a pair."""

    name, fingerprint = "table", "t"

    def __init__(self, table, outcome=Outcome.SCORED):
        self.table, self.outcome, self.asked = table, outcome, []

    def __call__(self, first, second):
        self.asked += [(a.text, b.text) for a, b in zip(first, second, strict=True)]
        p = [self.table.get((a.text, b.text), np.nan) for a, b in zip(first, second, strict=True)]
        outcome = [Outcome.SCORED if np.isfinite(x) else self.outcome for x in p]
        return PreferenceBatch(np.array(p), np.array(outcome, dtype=np.int8))


def samples(*texts, prompt="q"):
    return [Sample(prompt, t) for t in texts]


def test_by_hand():
    table = Table({("a", "b"): 0.9, ("a", "c"): 0.6, ("b", "c"): 0.2})
    batch = WinRate(table)(samples("a", "b", "c"))
    # a: (0.9 + 0.6) / 2; b: (0.1 + 0.2) / 2; c: (0.4 + 0.8) / 2
    assert np.allclose(batch.reward, [0.75, 0.15, 0.6])
    assert len(table.asked) == 3  # each unordered pair once
    assert [d["compared"] for d in batch.detail] == [2, 2, 2]


def test_log_odds_are_the_scores_of_gpo():
    table = Table({("a", "b"): 0.9, ("a", "c"): 0.6, ("b", "c"): 1.0})
    reward = WinRate(table, unit="log-odds")
    batch = reward(samples("a", "b", "c"))
    nine, three = np.log(9), np.log(1.5)  # log-odds of 0.9 and of 0.6
    assert np.allclose(batch.reward, [(nine + three) / 2, (30 - nine) / 2, (-three - 30) / 2])
    assert (reward.bounds, WinRate(table).bounds) == ((-30.0, 30.0), (0.0, 1.0))
    assert reward.fingerprint != WinRate(table).fingerprint
    with pytest.raises(InputError, match="unit is 'odds'; give 'probability' or 'log-odds'"):
        WinRate(table, unit="odds")


def test_a_cycle_leaves_all_alike():
    batch = WinRate(Table({("r", "p"): 0.0, ("r", "s"): 1.0, ("p", "s"): 0.0}))(samples("r", "p", "s"))
    assert np.allclose(batch.reward, 0.5)


def test_groups_are_kept_apart():
    rows = [*samples("a", "b"), *samples("a", "b", prompt="other")]
    table = Table({("a", "b"): 0.9})
    assert np.allclose(WinRate(table)(rows).reward, [0.9, 0.1, 0.9, 0.1])
    named = [Sample("q", t, group=g) for t, g in (("a", "1"), ("b", "2"))]
    assert np.isnan(WinRate(table)(named).reward).all()  # alone in their groups
    assert (WinRate(table)(named).outcome == Outcome.ABSTAINED).all()
    alone = "no other completion of its prompt is scored together with it"
    assert [d["reason"] for d in WinRate(table)(named).detail] == [alone, alone]


def test_undecided_pairs_leave_the_means():
    said = Table({("a", "b"): 0.9, ("a", "c"): 0.7}, outcome=Outcome.TIMED_OUT)  # b and c: timed out
    batch = WinRate(said)(samples("a", "b", "c"))
    assert np.allclose(batch.reward, [0.8, 0.1, 0.3])
    alone = WinRate(Table({("a", "b"): 0.9}, outcome=Outcome.INSTRUMENT_FAULT))(samples("a", "b", "c"))
    assert np.isnan(alone.reward[2])
    assert alone.outcome[2] == Outcome.INSTRUMENT_FAULT
    assert np.allclose(alone.reward[:2], [0.9, 0.1])
    assert list(alone.detail) == [
        {"compared": 1}, {"compared": 1}, {"compared": 0, "reason": "none of its 2 comparisons is decided"},
    ]  # fmt: skip


def test_empty_and_wrong_input():
    assert len(WinRate(Table({}))([])) == 0
    with pytest.raises(InputError, match="shape/win-rate: rule/length is a reward; its own numbers rank a group"):
        load("shape/win-rate?of=rule/length")
