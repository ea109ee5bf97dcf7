"""Rewordings of chosen completions, and which of them are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.curation import convex_pairs, light_rewordings
from plaudit.errors import InputError, ShapeError
from plaudit.records import Message, Pair

ASKED = (Message("user", "q"),)


@given(st.lists(st.sampled_from(["a", "bb", "c.", "a"]), min_size=0, max_size=40), st.integers(0, 5))
def test_a_rewording_differs_in_few_words(words, seed):
    text = "  ".join(words)
    found = light_rewordings(text, n=5, share=0.1, seed=seed)
    assert len(found) == len(set(found)) <= 5
    assert text not in found
    assert found == light_rewordings(text, n=5, share=0.1, seed=seed)
    most = max(1, len(words) // 10)
    for new in found:
        assert abs(len(new.split()) - len(words)) <= most
        assert set(new.split()) <= set(words)
    if len(words) < 2:
        assert found == []


def test_all_rewordings_of_two_words():
    """Left out, said twice, exchanged: five texts and no more."""
    found = light_rewordings("one two", n=9)
    assert set(found) == {"one", "two", "one one two", "one two two", "two one"}


def pair(chosen="the text", **more):
    return Pair(ASKED, chosen, "the other", margin=1.0, annotator="a", **more)


def test_those_on_the_hull_are_kept():
    """A square with the completion in one corner and one rewording inside."""
    at = {"the text": (0, 0), "b": (1, 0), "c": (0, 1), "d": (1, 1), "inside": (0.5, 0.4), "far": (5, 5)}

    def embed(samples):
        return np.array([at[s.completion] for s in samples], dtype=float)

    found = convex_pairs([pair()], embed, reword=lambda _: ["b", "inside", "c", "d"])
    assert [p.chosen for p in found] == ["the text", "b", "c", "d"]
    assert found[0] == pair()
    assert {p.rejected for p in found} == {"the other"}
    assert found[1].meta == {"reworded": True}
    assert found[1].margin is None
    assert found[1].annotator == "a"
    # what is the completion or the rejected one is no rewording, and only n are asked for
    asked = convex_pairs([pair()], embed, n=2, reword=lambda _: ["b", "c", "far"])
    assert [p.chosen for p in asked] == ["the text", "b", "c"]
    assert convex_pairs([pair()], embed, reword=lambda _: ["the text", "the other"]) == [pair()]


def test_conversations_have_no_rewordings():
    said = pair(chosen=(Message("assistant", "some words here"),))
    assert convex_pairs([said], lambda samples: np.zeros((len(samples), 2))) == [said]


def test_errors_say_what_is_wrong():
    for n, share in ((0, 0.05), (1, 0.0), (1, 1.5)):
        with pytest.raises(InputError, match=f"light_rewordings: n is {n} and share {share}"):
            light_rewordings("a b", n=n, share=share)
    with pytest.raises(ShapeError, match=r"convex_pairs: embeddings have shape \(1, 2\) for 6 samples"):
        convex_pairs([pair(chosen="one two")], lambda samples: np.zeros((1, 2)), n=5)
