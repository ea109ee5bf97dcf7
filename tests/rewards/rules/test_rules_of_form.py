import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.rules import (
    FormatReward,
    ReasoningPatternReward,
    RepetitionReward,
    calibrated_by_pattern,
    distinct_share,
    repeated_positions,
)
from plaudit.rewards.rules.format import tagged_sections
from plaudit.rewards.rules.reasoning import PHRASES, pattern_hits
from plaudit.rewards.rules.segments import segments
from plaudit.testing import RewardContract


def ask(text, reference=None):
    return Sample(conversation("q"), text, reference)


def reward(rule, text):
    return float(rule([ask(text)]).reward[0])


class TestFormat(RewardContract):
    def make_reward(self):
        return FormatReward(partial=True)


class TestRepetition(RewardContract):
    def make_reward(self):
        return RepetitionReward()


class TestReasoningPattern(RewardContract):
    def make_reward(self):
        return ReasoningPatternReward()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, it's 3.14!", ["Hello", "it's", "3.14"]),
        ("我们喜欢猫。", ["我", "们", "喜", "欢", "猫"]),
        ("naïve café — x-ray", ["naïve", "café", "x", "ray"]),
        ("Привет, мир", ["Привет", "мир"]),
        ("😀 ... \n", []),
    ],
)
def test_words_of_any_script(text, words):
    assert segments(text) == words


GOOD = "<think>because</think>\n<answer>42</answer>"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<think></think><answer>42</answer>", "<think> is empty"),
        ("<think>x</think><answer> </answer>", "<answer> is empty"),
        ("<answer>42</answer><think>x</think>", "<answer> is out of order"),
        (GOOD + GOOD, "<think> stands 2 times"),
        ("so " + GOOD, "text before <think>"),
        (GOOD + " done", "text after the last tag"),
        ("<think>x<answer>42</answer>", "</think> stands 0 times"),
        ("<think>x<answer></think>42</answer>", "<answer> is out of order"),
        ("", "<think> stands 0 times"),
    ],
)
def test_what_is_wrong_with_a_format(text, why):
    batch = FormatReward()([ask(text)])
    assert batch.reward[0] == 0.0
    assert batch.detail[0]["reason"] == why


def test_the_right_format_and_its_contents():
    assert reward(FormatReward(), GOOD) == 1.0
    assert tagged_sections(GOOD, ("think", "answer")) == ({"think": "because", "answer": "42"}, "")


def test_a_partial_format_never_earns_more_than_half():
    # three of four marks stand exactly once
    assert reward(FormatReward(partial=True), "<think>x</think><answer>42") == pytest.approx(0.375)
    assert reward(FormatReward(partial=True), "<answer>42</answer><think>x</think>") == 0.5
    with pytest.raises(InputError, match="tags are 'think,think'"):
        FormatReward(tags="think,think")


def test_repetition_by_hand():
    # a b a b a b: bigrams ab ba ab ba ab: 2 distinct of 5
    assert reward(RepetitionReward(n=2), "a b a b A b") == pytest.approx(-(1 - 2 / 5))
    assert reward(RepetitionReward(n=3, penalty=2.0), "one two") == 0.0  # no trigram, no penalty
    assert reward(RepetitionReward(n=1), "我我我我") == pytest.approx(-0.75)
    assert distinct_share([], 3) == 1.0
    with pytest.raises(InputError, match="n is 0"):
        RepetitionReward(n=0)


def test_dense_repetition_is_the_published_example():
    marked = repeated_positions([1, 2, 3, 1, 2, 3, 1, 2], 3)
    assert np.flatnonzero(marked).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(repeated_positions([1, 2, 3, 1, 2, 3, 1, 2], 3, only_start=True)).tolist() == [3, 4, 5]


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 5))
def test_marks_are_those_of_a_slow_count(items, n):
    expected = [False] * len(items)
    for i in range(len(items) - n + 1):
        if any(items[j : j + n] == items[i : i + n] for j in range(i)):
            expected[i : i + n] = [True] * n
    assert repeated_positions(items, n).tolist() == expected


def test_seven_phrases_earn_the_published_value():
    text = "First we check. Wait, therefore it follows; however, suppose not. Finally"
    found = [p for p in ("first", "check", "wait", "therefore", "it follows", "however", "suppose", "finally")]
    assert pattern_hits(text) == len(found) == 8
    assert reward(ReasoningPatternReward(), text) == pytest.approx(8 / 20)
    seven = text.replace(" Finally", "")
    assert reward(ReasoningPatternReward(), seven) == pytest.approx(0.35)
    assert len(set(PHRASES)) == 40


def test_invented_turns_and_repetition_are_taken_off():
    assert reward(ReasoningPatternReward(), "first, then, wait. user: go on") == 0.0
    once = "first wait then check it all again " * 1
    assert reward(ReasoningPatternReward(target=4, n=2), once) == 1.0
    # 14 words, 13 bigrams, of which 7 distinct
    assert reward(ReasoningPatternReward(target=4, n=2), once * 2) == pytest.approx(1 - 6 / 13)
    assert pattern_hits("furthermore weightless") == 0  # whole words only


def test_a_noisy_reward_is_softened_where_it_says_wrong():
    softened = calibrated_by_pattern(np.array([0.2, 0.9]), np.array([1.0, 1.0]))
    assert softened.tolist() == pytest.approx([0.3, 0.9])
