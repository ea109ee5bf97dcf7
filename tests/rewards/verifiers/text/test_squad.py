import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.text import ExactVerifier, F1Verifier, normalise, token_f1
from plaudit.rewards.verifiers.text.answers import after_thinking, tagged
from plaudit.rewards.verifiers.text.words import blank, content_words


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("The Denver Broncos!", "denver broncos"),
        ("a  cat, an apple & the  end.", "cat apple end"),
        ("U.S.A.", "usa"),
        ("it's", "its"),
        ("Theatre", "theatre"),
        ("$1,234.50", "123450"),
        ("-5", "5"),
        ("well-known", "wellknown"),
        ("the", ""),
    ],
)
def test_published_normalisation_by_hand(text, published):
    assert normalise(text, numbers=False) == published


@given(st.text(alphabet=string.printable, max_size=60))
@settings(max_examples=200, deadline=None)
def test_published_normalisation_on_ascii(text):
    # the official evaluation's four steps, one after the other
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    expected = " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())
    assert normalise(text, numbers=False) == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("$1,234.50.", "1234.50"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("3/5", "3/5"),
        ("2019\u201320", "2019-20"),
        ("COVID-19", "covid19"),
        (".5 litres", ".5 litres"),
        ("(10.0.0.9)", "10.0.0.9"),
        ("\u201cLima\u201d\u2026", "lima"),
        ("\u00bfD\u00f3nde?", "d\u00f3nde"),
    ],
)
def test_numbers_keep_what_makes_them_differ(text, kept):
    assert normalise(text) == kept


def judged(text, reference, **options):
    return ExactVerifier(**options).verdict(case("q", text, reference))


def test_exact_match():
    assert judged("The Lima.", ["Cusco", "lima"]).reward == 1.0
    assert judged("1234", 1234).reward == judged("1234", 1234.0).reward == 1.0
    assert judged("15", "1.5").reward == 0.0
    assert judged("15", "1.5", numbers=False).reward == 1.0
    assert judged("Cafe\u0301", "Caf\u00e9").reward == 1.0
    assert judged("L\u0456ma", "Lima").reward == 0.0
    assert judged("So: The answer is: Lima", "Lima", after="The answer is:").reward == 1.0
    assert judged("<think>Cusco</think>Lima", "Lima").reward == 1.0
    assert judged("x <answer>Lima</answer> y", "Lima", within="answer").reward == 1.0
    assert judged("First\nLima\n", "Lima", within="line").reward == 1.0


def test_gold_answers_that_normalisation_empties_stand_for_themselves():
    assert judged("A", "A").reward == 1.0
    assert judged("the", "A").reward == 0.0
    assert judged("", "A").outcome is Outcome.POLICY_FAULT
    assert judged("?", "?").reward == 1.0


def test_articles_are_english():
    assert judged("a casa", "casa").reward == 1.0  # Portuguese read as English
    assert judged("a casa", "casa", language="pt").reward == 0.0


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("", {}, "empty answer"),
        ("\u200b", {}, "empty answer"),
        ("Lima", {"within": "answer"}, "no <answer> tag"),
        ("<answer>a</answer><answer>b</answer>", {"within": "answer"}, "several <answer> tags that differ"),
        ("Lima", {"after": "Answer:"}, "no 'Answer:'"),
        ("<think>Lima", {}, "empty answer"),
    ],
)
def test_missing_answers_are_faults(text, options, reason):
    verdict = judged(text, "Lima", **options)
    assert (verdict.outcome, verdict.detail["reason"]) == (Outcome.POLICY_FAULT, reason)


@pytest.mark.parametrize("reference", [None, "", " ", [], ["a", ""], {"a": 1}, True, float("nan")])
def test_references_that_cannot_be_used(reference):
    for verifier in (ExactVerifier(), F1Verifier()):
        with pytest.raises(InputError, match=rf"{verifier.kind}: sample 0: reference is .*; give an answer"):
            verifier([case("q", "Lima", reference)])


def test_options_that_cannot_be_used():
    with pytest.raises(InputError, match="verify/exact: within is 'middle'; give one of completion, answer, line"):
        ExactVerifier(within="middle")
    with pytest.raises(InputError, match="verify/f1: language is 'English'"):
        F1Verifier(language="English")


def test_f1_by_hand():
    # "denver broncos won" beside "denver broncos": p = 2/3, r = 1: 2 * 2 / (3 + 2) = 0.8
    assert token_f1("denver broncos won".split(), "denver broncos".split()) == 0.8
    assert token_f1(["a", "a"], ["a"]) == pytest.approx(2 / 3)
    assert token_f1([], []) == token_f1([], ["a"]) == 0.0
    verdict = F1Verifier().verdict(case("q", "The Denver Broncos won", ["Carolina", "Denver Broncos"]))
    assert (verdict.reward, verdict.detail["gold"]) == (0.8, "Denver Broncos")
    assert F1Verifier().verdict(case("q", "\u200b", "x")).outcome is Outcome.POLICY_FAULT


words = st.lists(st.sampled_from("abc"), max_size=5)


@given(words, words)
@settings(max_examples=100, deadline=None)
def test_f1_is_symmetric_bounded_and_one_for_equal_bags_only(first, second):
    value = token_f1(first, second)
    assert value == token_f1(second, first)
    assert 0.0 <= value <= 1.0
    assert (value == 1.0) == (bool(first) and sorted(first) == sorted(second))


def test_tags_and_thinking():
    assert tagged("<answer>a<answer>b</answer>c</answer>") == ["a<answer>b"]
    assert tagged("<answer>" * 50_000) == []
    assert after_thinking("a</think>b</think>c") == "c"
    assert after_thinking("a<think>b") == "a"
    assert blank("\ud800\x00\u200b \n")
    assert content_words("It isn't the 2nd of 3 doors, nor a gate.") == ["not", "2nd", "3", "doors", "not", "gate"]
