import pytest

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.text import ChoiceVerifier
from plaudit.rewards.verifiers.text.letters import boxed

CHOICES = ["Cusco", "Lima", "Quito", "3.5 million"]
KNOWN = {"answer": "B", "choices": CHOICES}


def extracted(text, reference=KNOWN):
    return ChoiceVerifier().verdict(case("q", text, reference)).detail.get("extracted")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("b", "B"),
        ("The answer is B I think", "B"),
        ("c.", "C"),
        ("B.", "B"),
        ("**B**", "B"),
        ("[C]", "C"),
        ("B) Lima", "B"),
        ("B: Lima.", "B"),
        ("The answer is (B).", "B"),
        ("the answer is b", "B"),
        ("Answer: C", "C"),
        ("**Answer:** D", "D"),
        ("The correct answer is option C.", "C"),
        ("I would choose C because of its height.", "C"),
        ("Final answer: \\boxed{\\text{C}}", "C"),
        ("\\boxed{Quito}", "C"),
        ("$\\boxed{(A)}$", "A"),
        ("<answer>D</answer>", "D"),
        ("<answer> lima </answer>", "B"),
        ("<think>The answer is A.</think>B", "B"),
        ("A is wrong since it is too high. C is correct.", "C"),
        ("Lima", "B"),
        ("The answer is Lima, the capital.", "B"),
        ("The answer is 3.5 million.", "D"),
        ("The answer is:\n\nB", "B"),
        ("Some thoughts on A.\n\nB", "B"),
        ("Options A and C are wrong, so the answer is B.", "B"),
        ("A) Cusco\nB) Lima\nC) Quito\nThe answer is B.", "B"),
        ("The answer is B. As said, the answer is B.", "B"),
        ("Is it A? The answer is B.", "B"),
    ],
)
def test_what_is_extracted(text, letter):
    assert extracted(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        "A or B",
        "The answer is B C D",
        "The answer is (B) (C).",
        "A, B",
        "A B C D",
        "The answer is A and B.",
        "The answer is (A) or (B).",
        "A\nB",
        "(A)\n(B)",
        "The answer is A. The answer is B.",
        "\\boxed{A} and \\boxed{B}",
        "<answer>B</answer> The answer is C.",
        "B) Quito",
        "The answer is (B) Quito.",
        "Lima\nQuito",
        "A is correct. B is correct.",
    ],
)
def test_several_options_contradict_each_other(text):
    verdict = ChoiceVerifier().verdict(case("q", text, KNOWN))
    assert (verdict.outcome, verdict.detail["reason"]) == (Outcome.POLICY_FAULT, "names several options")


@pytest.mark.parametrize(
    "text",
    [
        "The answer is a matter of taste.",
        "A city in Peru is the capital.",
        "I think so.",
        "The answer is not B.",
        "I don't think the answer is B.",
        "It is wrong to say that the answer is B.",
        "The answer isn't (B).",
        "Is the answer B?",
        "The answer is \u0412.",
        "The answer is (\uff22).",
        "\u212a",
        "none of them",
        "Answer:",
        "\\boxed{}",
        "\\boxed{" * 100,
        "The answer is BC.",
        "B2",
        "It could be anything",
    ],
)
def test_no_option_is_named(text):
    verdict = ChoiceVerifier().verdict(case("q", text, KNOWN))
    assert (verdict.outcome, verdict.detail["reason"]) == (Outcome.POLICY_FAULT, "names no option")


@pytest.mark.parametrize(
    "reference",
    [
        "B",
        "(b)",
        KNOWN,
        {"answer": "Lima", "choices": CHOICES},
        {"answer": "b", "choices": {"A": "Cusco", "B": "Lima"}},
    ],
)
def test_every_form_of_the_reference(reference):
    assert ChoiceVerifier().verdict(case("q", "The answer is B.", reference)).reward == 1.0
    assert ChoiceVerifier().verdict(case("q", "The answer is A.", reference)).reward == 0.0


def test_a_text_alone_is_a_reference_too():
    assert ChoiceVerifier().verdict(case("q", "The answer is Lima.", "Lima")).reward == 1.0
    assert not ChoiceVerifier().verdict(case("q", "The answer is Cusco.", "Lima")).reward


@pytest.mark.parametrize(
    "reference",
    [
        None,
        "",
        2,
        {"choices": CHOICES},
        {"answer": "E", "choices": CHOICES},
        {"answer": "B", "choices": ["x"]},
        {"answer": "B", "choices": ["x", "X."]},
        {"answer": "B", "choices": "AB"},
        {"answer": "B", "choices": {"1": "x", "2": "y"}},
    ],
)
def test_references_that_cannot_be_used(reference):
    with pytest.raises(InputError, match="verify/choice: sample 0: reference"):
        ChoiceVerifier()([case("q", "B", reference)])


def test_boxes():
    assert boxed("\\boxed{a{b}c} \\fbox {d} \\boxed{e") == ["a{b}c", "d"]
    assert boxed("\\boxed{x\\boxed{y}}") == ["x\\boxed{y}"]


@pytest.mark.parametrize("reference", ["B", {"answer": "B", "choices": ["Cusco", "Lima", "Quito", "Arequipa"]}])
@pytest.mark.parametrize(
    "text",
    [
        "Option B", "Option (B): Lima", "B - Lima", "So the answer must be B.", "The answer should be B.", "It's B.",
        "Therefore B.", "The answer is clearly B.", "The answer is 'B'.", '{"answer": "B"}', "B<|im_end|>",
        "答案是B", "正确答案是 B。", "La respuesta correcta es B.", "Die richtige Antwort ist B.", "Ответ: B",
        "The answer is B, a city in the west.", "The answer is B, and I am sure.",
    ],
)  # fmt: skip
def test_what_models_write_around_a_right_letter(text, reference):
    assert ChoiceVerifier().verdict(case("?", text, reference)).reward == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "The answer is B. The answer is also C.", "Answer: B|C", "Answer: B;C", "Answer: B - C", "Answer: B (or C)",
        "Answer: B... or C", "Answer: B, possibly C", "Answer: B, then C", "It's B or C", "答案不是B",
        "Die Antwort ist nicht B",
    ],
)  # fmt: skip
def test_hedges_behind_a_letter_contradict_it(text):
    assert ChoiceVerifier().verdict(case("?", text, "B")).outcome is Outcome.POLICY_FAULT
