"""The table of equivalences, beside math-verify; the shapes; the cache; where algebra fails."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, MissingError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.math import Effort, compare_all, equivalent
from plaudit.rewards.verifiers.math import equivalence as module
from plaudit.rewards.verifiers.math.cleaning import clean
from plaudit.rewards.verifiers.math.reading import Interval, read
from plaudit.rewards.verifiers.workers import Died, Overran

TABLE = json.loads((Path(__file__).parent / "equivalences.json").read_text())
KINDS = sorted({row["kind"] for row in TABLE})


def _right(rows):
    found = compare_all([(r["gold"], r["answer"]) for r in rows])
    return [(r, e) for r, e in zip(rows, found, strict=True) if e.equal == r["equal"]]


def test_the_table_is_large_and_has_both_labels_of_every_kind():
    assert len({(r["gold"], r["answer"]) for r in TABLE}) == len(TABLE) >= 300
    for kind in set(KINDS) - {"explosion"}:
        assert {r["equal"] for r in TABLE if r["kind"] == kind} == {True, False}, kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_the_table(kind):
    rows = [r for r in TABLE if r["kind"] == kind]
    wrong = [r for r in rows if r not in [right for right, _ in _right(rows)]]
    assert wrong == []


def test_whether_a_row_is_decided_here_or_in_a_child_does_not_matter():
    # the child's own reading of what this process decides exactly
    from plaudit.rewards.verifiers.math.symbolic import judge

    for row in TABLE:
        if row["kind"] in ("explosion", "no value") or not row["answer"]:
            continue
        found = judge([clean(row["gold"]), clean(row["answer"]), False])
        assert bool(found.get("equal")) == row["equal"], row


@pytest.mark.peer
def test_at_least_as_many_right_as_math_verify_alone_and_none_of_its_false_accepts():
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    try:
        rows = [r for r in TABLE if r["kind"] != "explosion"]
        theirs = [bool(verify(*(parse(f"\\boxed{{{r[k]}}}") for k in ("gold", "answer")))) for r in rows]
    finally:
        logging.disable(logging.NOTSET)
    correct = sum(t == r["equal"] for t, r in zip(theirs, rows, strict=True))
    accepted = [r for t, r in zip(theirs, rows, strict=True) if t and not r["equal"]]
    assert len(accepted) > 20  # it has them, so the next line says something
    assert len(_right(accepted)) == len(accepted)
    assert len(_right(rows)) > correct


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-20, 20))
@settings(max_examples=15, deadline=None)
def test_a_polynomial_equals_its_expansion_and_no_other(a, b, c):
    # (x + a)(x + b) = x^2 + (a + b) x + ab
    factored = f"(x + {a})(x + {b})"
    expanded = f"x^2 + {a + b} x + {a * b}".replace("+ -", "- ")
    other = f"x^2 + {a + b} x + {a * b + 1 + abs(c)}".replace("+ -", "- ")
    assert equivalent(reference=expanded, answer=factored.replace("+ -", "- ")).equal
    assert not equivalent(reference=other, answer=factored.replace("+ -", "- ")).equal


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6), st.randoms())
@settings(max_examples=40, deadline=None)
def test_lists_hold_in_any_order_and_tuples_in_one(values, random):
    mixed = values[:]
    random.shuffle(mixed)
    one, other = (", ".join(map(str, v)) for v in (values, mixed))
    assert equivalent(reference=one, answer=other).equal
    assert equivalent(reference=f"\\{{{one}\\}}", answer=f"\\{{{other}\\}}").equal
    assert equivalent(reference=f"({one})", answer=f"({other})").equal is (values == mixed)


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_reading_never_raises_and_cleaning_settles(text):
    cleaned = clean(text)
    read(cleaned)
    assert clean(cleaned) == clean(clean(cleaned))


def test_the_path_and_reason_are_told():
    assert equivalent(reference="18", answer="18.0").path == "exact"
    assert equivalent(reference="\\text{east}", answer="East").path == "text"
    found = equivalent(reference="\\sqrt{8}", answer="2\\sqrt2")
    assert (found.path, found.reason, found.outcome) == ("symbolic", "equal", Outcome.SCORED)


def test_numbers_may_be_given_as_numbers():
    assert equivalent(reference=18, answer="18").equal
    assert equivalent(reference=0.1, answer="\\frac{1}{10}").equal
    assert not equivalent(reference=1e-7, answer=0).equal


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, None, {}, 10**3000])
def test_what_is_no_reference_is_refused(value):
    with pytest.raises(InputError, match="reference is"):
        equivalent(reference=value, answer="1")


def test_a_rounded_answer_passes_where_that_is_asked_for():
    assert not equivalent(reference="1.41", answer="1.414").equal
    assert equivalent(reference="1.41", answer="1.414", rounded=True).equal
    assert equivalent(reference="1.41", answer="\\sqrt{2}", rounded=True).equal
    assert not equivalent(reference="1.41", answer="\\sqrt{3}", rounded=True).equal


def test_whose_fault_what_cannot_be_read_is():
    assert equivalent(reference="x+1", answer="\\frac{x}{").outcome is Outcome.POLICY_FAULT
    assert equivalent(reference="\\frac{x}{", answer="x+1").outcome is Outcome.ABSTAINED
    assert equivalent(reference="\\frac{x}{", answer="\\frac{x}{").equal
    # items of one answer are not compared with each other: nothing unreadable in it may pass for the reference's
    assert equivalent(reference="\\{1, 2\\}", answer="\\frac\\frac,\\frac").outcome is not Outcome.ABSTAINED
    large = equivalent(reference="x+1", answer="x+9^{9^9}")
    assert (large.outcome, large.reason) == (Outcome.POLICY_FAULT, "the answer is too large to be worked out")
    assert equivalent(reference="18", answer="1" * 3000).reason.startswith("the answer has 3000 characters")
    assert equivalent(reference="x", answer="(" * 41 + "x" + ")" * 41).reason.startswith("brackets nested")


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (Overran(5, "job"), Outcome.POLICY_FAULT), (Overran(5, "machine"), Outcome.TIMED_OUT),
        (Died("SIGSEGV", "job"), Outcome.POLICY_FAULT), (Died("SIGKILL", "machine"), Outcome.INSTRUMENT_FAULT),
    ],
)  # fmt: skip
def test_the_machines_troubles_are_not_the_candidates(monkeypatch, result, outcome):
    class Pool:
        def run(self, jobs, *, seconds):
            return [result] * len(jobs)

    monkeypatch.setattr(module, "_pool", lambda *_: Pool())
    module.forget()
    found = equivalent(reference="x + 123", answer="123 + x", effort=Effort(seconds=4.5))
    assert (found.outcome, found.equal) == (outcome, False)
    monkeypatch.undo()
    # the machine's verdicts are not remembered, so that a second try may do better
    again = equivalent(reference="x + 123", answer="123 + x", effort=Effort(seconds=4.5))
    assert again.equal is (not outcome.counts)
    module.forget()


def test_without_math_verify_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "CHILD", "plaudit_no_such_module:judge")
    monkeypatch.setattr(module, "_pools", {})
    module.forget()
    with pytest.raises(MissingError, match="pip install math-verify"):
        equivalent(reference="x + 1", answer="1 + x")


def test_a_repeated_comparison_is_remembered(monkeypatch):
    equivalent(reference="x + 7", answer="7 + x")
    monkeypatch.setattr(module, "_ask", lambda *_: pytest.fail("asked again"))
    assert equivalent(reference="x + 7", answer="7 + x").equal


@pytest.mark.parametrize(
    ("text", "ends", "low", "high"),
    [
        ("3 < x \\le 4", "(]", "3", "4"),
        ("4 \\ge x > 3", "(]", "3", "4"),
        ("x > 3", "()", "3", "\\infty"),
        ("2 \\ge y", "(]", "-\\infty", "2"),
    ],
)  # fmt: skip
def test_inequalities_are_intervals(text, ends, low, high):
    found = read(clean(text))
    assert isinstance(found, Interval)
    assert (found.ends, found.low.text, found.high.text) == (ends, low, high)
