"""What is extracted, by which rule, and that a flood costs no more than its length."""

import time

import pytest

from plaudit.errors import InputError
from plaudit.rewards.verifiers.math.extraction import RULES, Extracted, extract, parse_rules

ALL = tuple(RULES)
CASES = [
    ("So \\boxed{5}.", "boxed", "5"),
    ("\\boxed{\\frac{1}{\\sqrt{2}}} \\emph{x}", "boxed", "\\frac{1}{\\sqrt{2}}"),
    ("\\boxed{x = \\boxed{5}}", "boxed", "5"),
    ("\\fbox{7}", "boxed", "7"),
    ("\\boxed 5", "boxed", "5"),
    ("\\boxed{\\{1, 2\\}}", "boxed", "\\{1, 2\\}"),
    ("first \\boxed{ \\boxed{5}", "boxed", "5"),
    ("We add.\n#### 18", "hashes", "18"),
    ("We add.\n#### 18 ", "hashes", "18"),
    ("#### Solution\nShe has 18.", "last", "18"),
    ("#### Step 1\nWe add 3+4=7", "last", "7"),
    ("The answer is 18 because 9*2=18.", "phrase", "18"),
    ("The final answer is: $$\\frac{3}{4}$$", "phrase", "$$\\frac{3}{4}$$"),
    ("**Answer:** 18", "phrase", "18"),
    ("**Final Answer**: $x = 5$", "phrase", "$x = 5$"),
    ("The answer is:\n\n\\[ 5 \\]", "phrase", "\\[ 5 \\]"),
    ("She sells them.\nA: 18", "phrase", "18"),
    ("The answer is New York.", "phrase", "New York"),
    ("The answer is 3.5. Good.", "phrase", "3.5"),
    ("The answer is 17 or 18.", "phrase", "17 or 18"),
    ("<answer>18</answer>", "tag", "18"),
    ("<ANSWER>She makes 18 dollars</ANSWER>", "tag", "18"),
    ("<answer>\\boxed{5}</answer>", "boxed", "5"),
    ("She makes 9 * 2 = $<<9*2=18>>18 every day.", "last", "$18"),
    ("It is 41, I think.", "last", "41"),
    ("x^2+3x", "last", "x^2+3x"),
    ("3+4=7\n7*2=14", "last", "7*2=14"),
    ("- 13\n- 17\n- 19", "last", "13 or 17 or 19"),
    ("Maybe 17. Maybe 18.", "last", "17 or 18"),
    ("Therefore, the sum is \\(\\frac{3}{4}\\).", "last", "\\(\\frac{3}{4}\\)"),
    ("She has $18 and gives $3", "last", "$3"),
    ("Lima", "last", "Lima"),
    ("<think>\\boxed{4}</think>\nso \\boxed{5}", "boxed", "5"),
]


@pytest.mark.parametrize(("text", "by", "answer"), CASES)
def test_what_is_extracted_and_by_which_rule(text, by, answer):
    found = extract(text, ALL)
    assert (found.by, found.text) == (by, answer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "\\boxed{}",
        "####",
        "The answer is",
        "<answer></answer>",
        "The capital is Lima, of course.",
        "The answer is not 17.",
        "It is not 17.",
        "17 is wrong.",
        "<think>\\boxed{4}</think>",
        "I cannot help with that.",
    ],
)
def test_where_there_is_no_answer(text):
    assert extract(text, ALL) is None


def test_other_answers_of_the_rule_and_plain_ones_of_later_rules_are_told():
    text = "The answer is 17. \\boxed{3} then \\boxed{4} then \\boxed{3}, \\boxed{18}"
    assert extract(text, ALL) == Extracted("18", "boxed", ("3", "4"), ("17",))
    assert extract("The answer is simple: see below. \\boxed{18}", ALL) == Extracted("18", "boxed")


def test_rules_run_in_the_order_given():
    text = "\\boxed{1}\n<answer>2</answer>\n#### 3"
    assert extract(text, ("boxed", "hashes")).text == "1"
    assert extract(text, ("hashes", "boxed")).text == "3"
    assert extract(text, ("tag",)).text == "2"
    assert extract("no mark but 5", ("boxed", "tag")) is None


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("boxes", "extract names 'boxes'; did you mean 'boxed'"),
        ("", "give each rule once"),
        ("boxed,boxed", "give each rule once"),
    ],
)
def test_a_wrong_list_of_rules_is_refused(listed, words):
    with pytest.raises(InputError, match=words):
        parse_rules("verify/math", listed)


FLOODS = (
    "\\boxed{",
    "}",
    "{",
    "{}",
    "\\boxed{1}",
    "\\boxed{1",
    "#### ",
    "####1\n",
    "<answer>",
    "</answer>",
    "<answer>1</answer>",
    "A: ",
    "A: 1\n",
    "answer is ",
    "The answer is 1 ",
    "1",
    "1 ",
    "1,",
    "1,234,",
    "$",
    "$1",
    "\\(",
    "\\[",
    "\\frac{",
    "\n",
    "- 1\n",
    "or ",
    "1 or ",
    "<think>",
    "</think>",
    "<<",
    "<<1>>",
    "\\",
    "$ 1 ",
    "1/",
    ".",
    "x",
    "^",
    "a" * 30 + " ",
    "1-",
    "*",
    "\u0660",
)


@pytest.mark.parametrize("piece", FLOODS)
def test_two_hundred_kilobytes_cost_no_more_than_their_length(piece):
    """A pattern that backtracks needs minutes for them; they take a fraction of a second of processor time.

    The bound is twenty times what a tenth of the text takes, and five seconds for the machine.
    """
    spent = []
    for size in (20_000, 200_000):
        start = time.process_time()
        extract(piece * (size // len(piece)), ALL)
        spent.append(time.process_time() - start)
    assert spent[1] < 5.0 + 20 * spent[0]
