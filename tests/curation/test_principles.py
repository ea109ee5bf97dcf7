"""Principles out of feedback: evidence, verdicts, consensus."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.curation import (
    ExtractedPrinciple,
    decided,
    partial_ratio,
    principle_consensus,
    principle_ratings,
    supported,
)
from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import conversation
from plaudit.training.policies.asking import principle_rows

TEXT = st.text("abc ", max_size=12)
ASKED = conversation("q")


def extracted(principle, verdict="yes", annotator="a", *, evidence="it is short", feedback="I like it: it is short."):
    return ExtractedPrinciple(principle, verdict, evidence, annotator, feedback)


def at(*degrees):
    return np.array([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])


def test_partial_ratio_by_hand():
    # the best stretch of four signs is abXc (or bXcd), which shares three with abcd: 2 * 3 / (4 + 4)
    assert partial_ratio("abcd", "xxabXcdxx") == 75.0
    # at an end a stretch may be shorter: "abc" against the "ab" that the long text begins with, 2 * 2 / (3 + 2)
    assert partial_ratio("abc", "abzzzz") == 80.0
    assert partial_ratio("ab", "cd") == 0.0
    assert partial_ratio("", "something") == partial_ratio("", "") == 0.0


@settings(max_examples=80, deadline=None)
@given(TEXT, TEXT, TEXT)
def test_a_part_is_wholly_supported(before, part, after):
    assert partial_ratio(part, before + part + after) == (100.0 if part else 0.0)
    other = before + after
    assert partial_ratio(part, other) == partial_ratio(other, part)
    assert 0 <= partial_ratio(part, other) <= 100


@settings(max_examples=60, deadline=None)
@given(st.text("ab", min_size=1, max_size=6), st.text("ab", min_size=1, max_size=6))
def test_bits_agree_with_the_table(a, b):
    def common(x, y):  # the textbook recursion
        if not x or not y:
            return 0
        return 1 + common(x[1:], y[1:]) if x[0] == y[0] else max(common(x[1:], y), common(x, y[1:]))

    short, long = sorted((a, b), key=len)
    n = len(short)
    pieces = [long[max(i, 0) : max(i, 0) + n] for i in range(len(long))] + [long[:k] for k in range(1, n)]
    best = max(200 * common(short, w) / (n + len(w)) for w in pieces)
    if len(a) != len(b):  # where they are equal either counts as the shorter one
        assert partial_ratio(a, b) == pytest.approx(best)
    else:
        assert partial_ratio(a, b) >= best - 1e-9


def test_evidence_that_the_feedback_does_not_hold_is_dropped():
    kept, invented = extracted("brevity"), extracted("accuracy", evidence="QQQ ### QQQ")
    assert supported([kept, invented]) == [kept]
    edge = extracted("brevity", evidence="abcd", feedback="xxabXcdxx")
    assert supported([edge], threshold=74.9) == [edge]
    assert supported([edge], threshold=75.0) == []  # at the threshold it is dropped
    with pytest.raises(InputError, match=r"threshold is 101; it is a ratio from 0 to 100"):
        supported([kept], threshold=101)


def test_undecided_and_global_principles_are_dropped():
    rows = [extracted("brevity", "partially"), extracted(" Helpfulness"), extracted("tone", "no")]
    assert [e.principle for e in decided(rows)] == ["tone"]
    assert [e.principle for e in decided(rows, left_out=())] == [" Helpfulness", "tone"]
    with pytest.raises(InputError, match="verdict of 'tone' is 'maybe'; give 'yes', 'no' or 'partially'"):
        extracted("tone", "maybe")


def test_consensus_by_hand():
    # cos 30 = 0.87 > 0.8 > cos 40 = 0.77. The one at 0 has a like in b (30) but none in c (40); that at 30 has likes in
    # a (30 apart) and c (10 apart); that at 40 has one in b (10 apart) but none in a (40 apart).
    found = principle_consensus(at(0, 30, 40), ["a", "b", "c"])
    assert found.tolist() == [False, True, False]
    # lengths do not matter, and further principles of one's own neither help nor harm
    longer = at(0, 30, 40, 200) * np.array([[1.0], [5.0], [0.1], [2.0]])
    assert principle_consensus(longer, ["a", "b", "c", "b"]).tolist() == [False, True, False, False]
    assert principle_consensus(at(0, 90), ["a", "a"]).tolist() == [True, True]  # nobody else is there
    assert principle_consensus(at(0, 0), ["a", "b"], everyone=["a", "b", "c"]).tolist() == [False, False]
    assert principle_consensus(at(0, 0), ["a", "b"]).tolist() == [True, True]
    assert principle_consensus(at(0, 0), ["a", "b"], verdicts=["yes", "no"]).tolist() == [False, False]
    assert principle_consensus(at(0, 0), ["a", "b"], verdicts=["no", "no"]).tolist() == [True, True]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_threshold_never_keeps_more(seed, one, other):
    rng = np.random.default_rng(seed)
    e, who = rng.normal(size=(8, 3)), rng.choice(list("abc"), size=8).tolist()
    low, high = (principle_consensus(e, who, threshold=t) for t in sorted((one, other)))
    assert not (high & ~low).any()
    order = rng.permutation(8)
    turned = principle_consensus(e[order], [who[i] for i in order], threshold=one)
    assert (turned == principle_consensus(e, who, threshold=one)[order]).all()


def test_consensus_refuses_what_it_cannot_compare():
    with pytest.raises(ShapeError, match=r"embeddings are \(2, 2\) for 1 annotators"):
        principle_consensus(at(0, 1), ["a"])
    with pytest.raises(InputError, match="threshold is 2; it is a cosine"):
        principle_consensus(at(0), ["a"], threshold=2)
    with pytest.raises(InputError, match="an embedding is zero or not finite"):
        principle_consensus(np.zeros((1, 2)), ["a"])


def test_rows_that_principle_token_is_trained_on():
    directions = {"brevity": 0, "being brief": 10, "tone": 90, "kind tone": 95}

    def embed(texts):
        return at(*(directions[t] for t in texts))

    rows = [
        extracted("brevity", "yes", "a"), extracted("being brief", "no", "b"),
        extracted("tone", "no", "a"), extracted("kind tone", "no", "b"), extracted("kind tone", "yes", "b"),
        extracted("helpfulness", "yes", "b"),
    ]  # fmt: skip
    found = principle_ratings(ASKED, "an answer", rows, embed)
    # "kind tone" ties and is left out; what is said in other words keeps its own verdict
    assert found.aspects == {"brevity": 1.0, "being brief": 0.0, "tone": 0.0}
    questions = principle_rows([found])
    assert [(q.chosen, q.rejected) for q in questions] == [("Yes", "No"), ("No", "Yes"), ("No", "Yes")]
    assert all(name in questions[i].prompt[-1].text for i, name in enumerate(found.aspects))
    # c has nothing but what was dropped, and so agrees with nothing
    alone = principle_ratings(ASKED, "an answer", [*rows, extracted("tone", "partially", "c")], embed)
    assert alone is None
    assert principle_ratings(ASKED, "an answer", [extracted("tone", "partially")], embed) is None
