"""A comparison is asked about two completions in one order once: in a run, and over runs with a log."""

import numpy as np
import pytest

from plaudit.audit.compared import ComparedOnce
from plaudit.errors import ShapeError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, PreferenceBatch
from plaudit.runs.log import DurableLog


class Longer:
    """Prefers the longer text, says how sure it is, cannot tell equal ones, and times out on `slow`."""

    name, fingerprint = "longer", "longer"

    def __init__(self):
        self.asked = []

    def __call__(self, first, second):
        self.asked += [(a.text, b.text) for a, b in zip(first, second, strict=True)]
        lead = np.array([len(a.text) - len(b.text) for a, b in zip(first, second, strict=True)], dtype=float)
        slow = np.array([a.text == "slow" for a in first])
        outcome = np.where(slow, Outcome.TIMED_OUT, np.where(lead == 0, Outcome.ABSTAINED, Outcome.SCORED))
        p = np.where((lead == 0) | slow, np.nan, (lead > 0).astype(float))
        return PreferenceBatch(
            p, outcome.astype(np.int8), std=np.where(np.isnan(p), np.nan, 0.25), aspects={"size": p},
            detail=tuple({"lead": x} for x in lead),
        )  # fmt: skip


def samples(*texts, prompt="q"):
    return [Sample(prompt, text) for text in texts]


def test_no_order_is_asked_twice():
    of = Longer()
    once = ComparedOnce.wrap(of)
    assert ComparedOnce.wrap(once) is once
    found = once(samples("aaa", "b", "aaa"), samples("b", "aaa", "b"))
    assert found.probability.tolist() == [1.0, 0.0, 1.0]
    assert of.asked == [("aaa", "b"), ("b", "aaa")]  # the other order is another question
    assert once.calls == 2
    again = once(samples("b", "c"), samples("aaa", "d"))
    assert np.isnan(again.probability[1])
    assert again.outcome.tolist() == [Outcome.SCORED, Outcome.ABSTAINED]
    assert again.std[0] == 0.25
    assert again.aspects["size"][0] == 0.0
    assert again.detail[0] == {"lead": -2.0}
    assert of.asked[2:] == [("c", "d")]
    # another prompt, or other columns, are another question
    once(samples("aaa", prompt="p"), samples("b", prompt="p"))
    once([Sample("q", "aaa", meta={"reference": "1"})], samples("b"))
    assert len(of.asked) == 5
    assert len(once([], []).probability) == 0


def test_a_log_keeps_answers_for_the_next_run_but_no_fault_of_the_machine(tmp_path):
    first, second = samples("aaa", "slow", "c"), samples("b", "b", "d")
    for asked in ([("aaa", "b"), ("slow", "b"), ("c", "d")], [("slow", "b")]):
        of = Longer()
        with DurableLog(tmp_path / "log", fingerprint="longer") as log:
            found = ComparedOnce(of, log=log)(first, second)
        assert of.asked == asked
        assert found.probability[0] == 1.0
        assert found.outcome.tolist() == [Outcome.SCORED, Outcome.TIMED_OUT, Outcome.ABSTAINED]


def test_a_wrong_number_of_preferences_is_named():
    class Short(Longer):
        def __call__(self, first, second):
            return super().__call__(first[:1], second[:1])

    with pytest.raises(ShapeError, match="longer: gave 1 preferences for 2 pairs; it must give one each"):
        ComparedOnce(Short())(samples("a", "b"), samples("cc", "dd"))
