import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.languages import language_of, languages
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.structure import InstructionsVerifier
from plaudit.rewards.verifiers.structure.constraints import CONSTRAINTS, loose_variants
from plaudit.rewards.verifiers.text.words import sentences

TABLE = json.loads((Path(__file__).parent / "ifeval_cases.json").read_text(encoding="utf-8"))
LABELLED = [
    (name, kwargs, text, met)
    for name, kwargs, right, wrong in TABLE["cases"]
    for texts, met in ((right, True), (wrong, False))
    for text in texts
]
# the languages that IFEval's instructions name
IFEVAL_LANGUAGES = "en es pt ar hi fr ru de ja it bn uk th ur ta te bg ko pl he fa vi ne sw kn mr gu pa ml fi".split()


def asked(name, kwargs):
    return {"instruction_id_list": [name], "kwargs": [kwargs]}


def judged(text, name, kwargs, **options):
    return InstructionsVerifier(**options).verdict(case("Do as told.", text, asked(name, kwargs)))


@pytest.mark.parametrize(("name", "kwargs", "text", "met"), LABELLED)
def test_labels_by_hand(name, kwargs, text, met):
    verdict = judged(text, name, kwargs)
    assert verdict.outcome is Outcome.SCORED
    assert verdict.reward == float(met)
    assert verdict.detail["strict"] == [met]


def test_the_table_has_three_of_each_label_for_each_kind():
    counts = {(name, met): 0 for name in CONSTRAINTS for met in (True, False)}
    for name, _, _, met in LABELLED:
        counts[name, met] += 1
    assert len(CONSTRAINTS) == 25
    assert min(counts.values()) >= 3
    assert min(sum(met is side for *_, met in LABELLED) for side in (True, False)) >= 75


@pytest.mark.parametrize(("name", "kwargs", "text", "why"), TABLE["loose"])
def test_loose_forgives_what_strict_does_not(name, kwargs, text, why):
    verdict = judged(text, name, kwargs)
    assert (verdict.detail["strict"], verdict.detail["loose"], verdict.reward) == ([False], [True], 0.0), why
    assert judged(text, name, kwargs, loose=True).reward == 1.0, why


def test_loose_variants_by_hand():
    assert loose_variants("*a*\nb\nc*") == ["*a*\nb\nc*", "a\nb\nc", "b\nc*", "*a*\nb", "b", "b\nc", "a\nb", "b"]


def test_two_of_three_constraints_are_two_thirds():
    reference = {
        "instruction_id_list": ["punctuation:no_comma", "detectable_format:title", "keywords:existence"],
        "kwargs": [{}, {"keywords": None}, {"keywords": ["sun"], "num_words": None}],
    }
    sample = case("Write.", "The sun rose.", reference)
    verdict = InstructionsVerifier().verdict(sample)
    assert verdict.reward == pytest.approx(2 / 3)
    assert verdict.detail["strict"] == [True, False, True]
    assert InstructionsVerifier(all=True).verdict(sample).reward == 0.0
    as_text = case("Write.", "The sun rose.", json.dumps(reference))
    assert InstructionsVerifier().verdict(as_text).reward == verdict.reward


@pytest.mark.parametrize("name", sorted(CONSTRAINTS))
def test_an_empty_answer_meets_nothing(name):
    kwargs = next(kwargs for known, kwargs, *_ in TABLE["cases"] if known == name)
    for text in ("", " \n ", "\u200b"):
        verdict = judged(text, name, kwargs)
        assert verdict.outcome is Outcome.POLICY_FAULT
        assert verdict.detail["strict"] == verdict.detail["loose"] == [False]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (asked("keywords:existance", {}), "did you mean 'keywords:existence'"),
        (asked("length_constraints:number_words", {"num_words": 5}), "lacks relation"),
        (asked("length_constraints:number_words", {"num_words": 5, "relation": "more"}), "'less than' or 'at least'"),
        (asked("startend:end_checker", {"end_phrases": "x"}), "did you mean 'end_phrase'"),
        (asked("language:response_language", {"language": "xx"}), "ISO 639-1"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "an object for each"),
        ({"instruction_id_list": []}, "give"),
        ("{", "not JSON"),
        (None, "instruction_id_list"),
    ],
)
def test_references_that_cannot_be_used(reference, message):
    with pytest.raises(InputError, match=r"verify/instructions: sample 0: reference") as error:
        InstructionsVerifier()([case("Write.", "text", reference)])
    assert message in str(error.value)


def test_languages_of_ifeval_are_known_and_silence_is_none():
    assert set(IFEVAL_LANGUAGES) <= set(languages())
    assert language_of("123 !?") is None
    assert {language_of("The harbour froze and no boat could leave.") for _ in range(5)} == {"en"}


def test_sentences_by_hand():
    assert sentences("Dr. Smith paid $3.50. He left!\n\nNo stop\n\n1. First item. Second.") == [
        "Dr. Smith paid $3.50.",
        "He left!",
        "No stop",
        "1. First item.",
        "Second.",
    ]
    assert sentences("\u4f60\u597d\u3002\u518d\u89c1\uff01") == ["\u4f60\u597d\u3002", "\u518d\u89c1\uff01"]


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_strict_is_never_met_where_loose_is_not(text):
    names = ["punctuation:no_comma", "detectable_format:title", "startend:quotation", "detectable_format:json_format"]
    verdict = InstructionsVerifier().verdict(case("q", text, {"instruction_id_list": names}))
    assert all(
        loose or not strict for strict, loose in zip(verdict.detail["strict"], verdict.detail["loose"], strict=True)
    )
