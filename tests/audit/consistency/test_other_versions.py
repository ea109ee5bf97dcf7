from dataclasses import replace

import numpy as np
import pytest

from plaudit.audit.consistency import invariance, margins, paraphrase, versions_of
from plaudit.errors import InputError
from plaudit.lab.worlds.assistant import in_dialect
from plaudit.records.message import Message
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from small_audits import Duel, Rule, pair, sound, world_pairs


def dialect(row):
    a, b = (in_dialect(s) for s in row.samples())
    return replace(row, prompt=a.prompt, chosen=a.text, rejected=b.text)


def test_the_truth_does_not_mind_a_dialect_and_a_reward_that_does_is_red():
    world, pairs = world_pairs()
    assert paraphrase(pairs, sound(world), dialect, resamples=100).light == "green"
    # a reward that hates one dialect's words for `the`
    words = Rule(lambda s: 5.0 * s.text.split().count("ye"), base=world.true_reward)
    found = paraphrase(pairs, words, dialect, resamples=200)
    assert found.name == "consistency/paraphrase"
    assert found.light == "red"
    assert found.examples[0].reward_before * found.examples[0].reward_after < 0


def test_share_by_hand():
    # margins 2 in all; in the version 10 of 40 are turned
    rows = [
        pair(f"p{i}", "xxx", "x", other={"chosen": "x", "rejected": "xxx"} if i < 10 else f"q{i}") for i in range(40)
    ]
    found = invariance(rows, versions_of(rows, "other"), Rule(lambda s: len(s.text)), name="other", resamples=100)
    assert found.evidence.value == 0.25
    assert (found.name, found.left_out) == ("consistency/other", 0)


def test_near_ties_do_not_count():
    # 30 clear pairs that stay, 30 near ties (margin 0.01 of a deviation) that turn
    rows = [pair(f"p{i}", "xxx" if i % 2 else "y", "x", other="again") for i in range(60)]

    def of(s):
        tie = 0.01 if s.prompt[0].text == "again" else -0.01
        return {"xxx": 3.0, "x": 1.0, "y": 1.0 - tie}[s.text]

    found = invariance(rows, versions_of(rows, "other"), Rule(of), name="other", resamples=50)
    assert (found.evidence.value, found.left_out) == (0.0, 30)


def test_a_shift_of_a_prompt_is_no_change():
    rows = [pair(f"p{i}", "xxx", "x", other="other words") for i in range(60)]
    shifted = Rule(lambda s: len(s.text) + 100 * (s.prompt[0].text == "other words"))
    assert invariance(rows, versions_of(rows, "other"), shifted, name="other", resamples=50).light == "green"


def test_comparisons_have_margins_too():
    rows = [pair(f"p{i}", "xxx", "x", other="again") for i in range(60)]
    duel = Duel(lambda a, b: 0.8 if len(a.text) > len(b.text) else 0.2)
    assert margins(rows[:1], duel) == pytest.approx([np.log(4)])  # log-odds of 0.8
    assert invariance(rows, versions_of(rows, "other"), duel, name="other", resamples=50).light == "green"


def test_versions_of_a_column():
    turns = (Message("system", "be brief"), Message("user", "what?"))
    row = Pair(turns, "a", "b", meta={"de": "was?", "all": {"prompt": "x", "chosen": "A"}, "bad": 3})
    assert versions_of([row], "de")[0].prompt == (turns[0], Message("user", "was?"))
    made = versions_of([row], "all")[0]
    assert (made.prompt, made.chosen, made.rejected) == (conversation("x"), "A", "b")
    assert versions_of([row], "none") == [None]
    with pytest.raises(InputError, match=r"column .bad. of the pair with prompt .what\?.: holds 3; give a text"):
        versions_of([row], "bad")


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ({"prompt": 5}, "prompt = 5: it is int; give text or a list of messages"),
        ({"prompt": None}, "prompt: the column is null"),
        ({"prompt": []}, "the list of messages is empty"),
        ({"chosen": True}, "chosen = True: it is bool; give text or a list of messages"),
        ({"rejected": [{"role": "user", "content": "x"}]}, "no message of the assistant in it"),
        ({"prompt": [3]}, "expected an object with role and content, got int"),
        ({"rejcted": "x"}, "give a text, or an object with prompt, chosen or rejected"),
        ({}, "give a text, or an object with prompt, chosen or rejected"),
    ],
)
def test_a_version_that_is_none_names_its_row(cell, error):
    rows = [pair("first", "a", "b"), pair("second", "a", "b", other=cell)]
    with pytest.raises(InputError) as found:
        versions_of(rows, "other")
    assert str(found.value).startswith("column 'other' of the pair with prompt 'second': ")
    assert error in str(found.value)
    assert "\n" not in str(found.value)


def test_what_cannot_be_measured_is_grey():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(30)]
    length = Rule(lambda s: len(s.text))
    assert invariance(rows, [None] * 30, length, name="x").skipped == "no pair has another version"
    few = [*rows[:5], *[None] * 25]
    assert invariance(rows, few, length, name="x").skipped == "5 clear pairs have another version, and 20 are needed"
    assert invariance(rows, rows, Rule(lambda s: 1.0), name="x").light == "grey"
    with pytest.raises(InputError, match="1 versions for 30 pairs"):
        invariance(rows, [None], length, name="x")
