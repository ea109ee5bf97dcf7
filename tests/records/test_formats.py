import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.records import (
    Message,
    Pair,
    PromptOnly,
    Ranked,
    Rated,
    RowError,
    Sample,
    Stepwise,
    Unpaired,
    kind_of,
    parse,
    to_dict,
)
from plaudit.records.transcripts import parse_transcript
from plaudit.testing.strategies import completions, conversations, meta, pairs, samples

USER, REPLY = Message("user", "Hi"), Message("assistant", "Hello")
numbers = st.floats(-1e6, 1e6)


def rows():
    two = st.integers(2, 4).flatmap(
        lambda n: st.builds(
            Ranked,
            conversations(),
            st.lists(completions(), min_size=n, max_size=n).map(tuple),
            st.lists(numbers, min_size=n, max_size=n).map(tuple),
            meta(),
        )
    )
    steps = st.lists(st.tuples(st.text(max_size=9), numbers), min_size=1, max_size=4).map(
        lambda x: tuple(zip(*x, strict=True))
    )
    return st.one_of(
        samples(),
        pairs(),
        two,
        st.builds(
            Rated,
            conversations(),
            completions(),
            numbers,
            st.dictionaries(st.text(max_size=5), numbers, max_size=2),
            meta(),
        ),
        st.builds(Unpaired, conversations(), completions(), st.booleans(), meta()),
        st.builds(lambda p, s, m: Stepwise(p, s[0], s[1], m), conversations(), steps, meta()),
        st.builds(PromptOnly, conversations(), st.none() | st.text(), meta()),
    )


@given(rows())
def test_every_row_comes_back_as_it_was(row):
    assert parse(to_dict(row), kind_of(row)) == row


def test_explicit_plain_and_conversational():
    plain = parse({"prompt": "Hi", "chosen": "Hello", "rejected": "No", "margin": 2, "lang": "en"}, "pairs")
    assert plain == Pair((USER,), "Hello", "No", margin=2.0, meta={"lang": "en"})
    row = {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "chosen": [{"role": "assistant", "content": "Hello"}],
        "rejected": [{"role": "assistant", "content": "No"}],
    }
    assert parse(row, "pairs").prompt == (Message("system", "Be brief."), USER)
    assert to_dict(parse(row, "pairs")) == row


def test_implicit_conversations_share_their_prompt():
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "So?"},
    ]
    good, bad = {"role": "assistant", "content": "Yes"}, {"role": "assistant", "content": "No"}
    pair = parse({"chosen": [*turns, good], "rejected": [*turns, bad]}, "pairs")
    assert pair == Pair(
        (USER, REPLY, Message("user", "So?")), (Message("assistant", "Yes"),), (Message("assistant", "No"),)
    )


def test_two_equal_conversations_still_have_a_prompt():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    pair = parse({"chosen": turns, "rejected": turns}, "pairs")
    assert (pair.prompt, pair.chosen, pair.rejected) == ((USER,), (REPLY,), (REPLY,))


def test_a_difference_in_a_later_question_makes_the_reply_before_it_part_of_the_completion():
    start = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    ends = [[{"role": "user", "content": q}, {"role": "assistant", "content": "Ok"}] for q in ("A?", "B?")]
    pair = parse({"chosen": start + ends[0], "rejected": start + ends[1]}, "pairs")
    assert pair.prompt == (USER,)
    assert pair.chosen == (REPLY, Message("user", "A?"), Message("assistant", "Ok"))


def test_a_prompt_that_is_repeated_in_the_completions_is_taken_off():
    # the shape of a well-known data set: prompt as text, chosen and rejected as whole conversations
    row = {
        "prompt": "Hi",
        "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No"}],
    }
    assert parse(row, "pairs").chosen == (REPLY,)
    row["chosen"][0]["content"] = "Something else"
    with pytest.raises(RowError, match="begins with a user message that is not the prompt"):
        parse(row, "pairs")


def test_transcripts_become_messages():
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: So?\n\nAssistant:"
    pair = parse({"chosen": start + " Yes.\n\nTruly.", "rejected": start + " No"}, "pairs")
    assert pair.prompt == (USER, REPLY, Message("user", "So?"))
    assert pair.chosen == (Message("assistant", "Yes.\n\nTruly."),)
    prompt = parse({"prompt": start, "chosen": "Yes", "rejected": "No"}, "pairs").prompt
    assert prompt == pair.prompt


def test_turns_of_one_speaker_are_one_message_and_an_empty_reply_stays():
    text = "\n\nHuman: a\n\nHuman: b\n\nAssistant:  c \n\nHuman: d\n\nAssistant:"
    turns = [(m.role, m.content) for m in parse_transcript(text)]
    assert turns == [("user", "a\n\nb"), ("assistant", " c "), ("user", "d"), ("assistant", "")]
    assert parse_transcript(text, open_end=True)[-1].role == "user"


def test_tools_may_be_json_text_and_template_options_an_object():
    row = {
        "prompt": "Hi",
        "completion": "Hello",
        "tools": '[{"name": "f"}]',
        "chat_template_kwargs": {"think": False},
    }
    assert parse(row, "samples").meta == {"tools": [{"name": "f"}], "chat_template_kwargs": {"think": False}}


def test_ranks_are_negated_so_that_higher_is_better():
    assert parse({"prompt": "q", "completions": ["a", "b"], "ranks": [2, 1]}, "ranked").scores == (-2.0, -1.0)


PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}


STEPS = {"prompt": "q", "completions": ["a"], "labels": [1]}
TWO = {"prompt": "q", "completions": ["a", "b"]}
ONE = {"prompt": "q", "completion": "a"}


@pytest.mark.parametrize(
    ("kind", "row", "text"),
    [
        ("pairs", {**PAIR, "margin": math.nan}, "margin = nan: it is not finite"),
        ("pairs", {**PAIR, "chosen_score": "high"}, "chosen_score = 'high': it is not a number"),
        ("pairs", {**PAIR, "margin": True}, "margin = True: it is bool"),
        ("pairs", {**PAIR, "chosen": 5}, "chosen = 5: it is int; give text or a list of messages"),
        ("pairs", {**PAIR, "rejected": None}, "rejected: the column is null"),
        ("pairs", {"chosen": "a", "rejected": "b"}, "plain text and there is no column prompt"),
        ("pairs", {**PAIR, "prompt": []}, "prompt = []: the list of messages is empty"),
        ("pairs", {**PAIR, "prompt": [{"role": "user", "tool_calls": "f()"}]}, "tool_calls of a user message is 'f()'"),
        ("pairs", {**PAIR, "prompt": [{"role": "user", "tool_calls": 3}]}, "is 3; give a list of objects"),
        ("pairs", {**PAIR, "prompt": [{"role": "user", "tool_calls": ["f"]}]}, "is ['f']; give a list of objects"),
        ("pairs", {**PAIR, "chosen": [{"role": "user", "content": "x"}]}, "no message of the assistant"),
        ("samples", {"prompt": "q"}, "completion: the column is missing; the row has prompt"),
        ("samples", {**ONE, "steps": ["a", "c"]}, "do not join to the completion"),
        ("ranked", {**TWO, "scores": [1]}, "1 of them for 2 completions"),
        ("ranked", {**TWO, "scores": [1, math.inf]}, r"scores[1] = inf"),
        ("ranked", {"prompt": "q", "completions": ["a", "b"]}, "both are missing"),
        ("ranked", {"prompt": "q", "completions": ["a"], "scores": [1]}, "at least two"),
        ("rated", {"prompt": "q", "completion": "a"}, "neither score nor aspects"),
        ("rated", {**ONE, "aspects": {"x": "y"}}, "aspects.x = 'y': it is not a number"),
        ("unpaired", {**ONE, "label": "good"}, "label = 'good': give true or false"),
        ("unpaired", {**ONE, "label": 2}, "label = 2: give true or false"),
        ("stepwise", {**STEPS, "labels": [True, False]}, "2 of them for 1 step"),
        ("stepwise", {**STEPS, "completions": "a b"}, "completions = 'a b': it is str; give a list"),
        ("prompts", {"prompt": "q", "tools": "no"}, "tools = 'no'"),
    ],
)  # fmt: skip
def test_an_error_names_field_value_and_reason(kind, row, text):
    with pytest.raises(RowError) as error:
        parse(row, kind)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_a_huge_cell_is_cut_in_the_message():
    with pytest.raises(RowError) as error:
        parse({**PAIR, "margin": "x" * 10**6}, "pairs")
    assert len(str(error.value)) < 200


def test_meta_that_hides_a_column_and_an_unknown_kind_are_refused():
    with pytest.raises(InputError, match="meta has 'prompt', which is a column of samples"):
        to_dict(Sample("q", "a", meta={"prompt": 1}))
    with pytest.raises(InputError, match="kind 'pair' is not known; did you mean 'pairs'"):
        parse(PAIR, "pair")
