"""What people did with completions, as pairs."""

import pytest

from plaudit.curation import Event, Reception, reception_pairs, receptions
from plaudit.errors import InputError


def shown(item, *users, prompt="p"):
    return [Event(prompt, item, user, "shown") for user in users]


def test_receptions_by_hand():
    """b, c and d saw it, c and e took it (e unlogged), c twice; its maker's own three remixes count for nothing."""
    events = [
        *[Event("p", "x", "a", "reused")] * 3, *shown("x", "a", "b", "c", "d"), Event("p", "x", "c", "reused"),
        Event("p", "x", "c", "reused"), Event("p", "x", "e", "reused"), Event("p", "x", "a", "made"), *shown("y", "b"),
    ]  # fmt: skip
    assert receptions(events) == [Reception("p", "x", 4, 2), Reception("p", "y", 1, 0)]
    assert receptions(events[::-1]) == receptions(events)[::-1]
    assert receptions(events)[0].rate == 0.5
    assert receptions([Event("p", "z", "a", "made")]) == [Reception("p", "z", 0, 0)]
    assert receptions([Event("p", "z", "a", "made")])[0].rate == 0.0


def test_pairs_need_exposure_and_a_gap_and_one_prompt():
    received = [
        Reception("p", "loved", 20, 10), Reception("p", "passed over", 20, 1), Reception("p", "middling", 20, 4),
        Reception("p", "unseen", 2, 0), Reception("q", "alone", 50, 0),
    ]  # fmt: skip
    options = {"min_exposure": 10, "min_rate": 0.5, "max_rate": 0.1}
    (pair,) = reception_pairs(received, **options)
    assert (pair.prompt[0].content, pair.chosen, pair.rejected) == ("p", "loved", "passed over")
    assert pair.meta == {"chosen_rate": 0.5, "rejected_rate": 0.05, "weight": 1.0}
    (turned,) = reception_pairs([Reception("p", "loved", 20, 1), Reception("p", "passed over", 20, 10)], **options)
    assert (turned.chosen, turned.rejected) == ("passed over", "loved")  # other counts, the other order
    assert len(reception_pairs(received, **options | {"min_exposure": 2})) == 2
    assert reception_pairs([], **options) == []


def test_refusals():
    with pytest.raises(InputError, match="community: action 'liked' of 'a' is not known; give made, shown, reused"):
        Event("p", "x", "a", "liked")
    with pytest.raises(InputError, match="max_rate is"):
        reception_pairs([Reception("p", "x", 1, 1)], min_rate=0.1, max_rate=0.5)
