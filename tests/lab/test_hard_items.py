"""The smoke run of benchmarks of hard items, and what its filters keep: not the claim."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.experiments.evaluation.hard_items import experiment as hard

WEAK = np.array([[-1.0, 2, -3, 1, 0], [-2.0, -1, -1, 1, -1], [-1.0, -1, 1, 1, -2], [-1.0, -1, 4, 1, -1]])
"""Margins of four weak rewards on five items: all fail on the first and the last, three on the second."""


def test_hard_items(smoke):
    found = smoke("evaluation/hard_items", unknown=("nothing", "nothing@0", "all@strong"))
    # by construction no weak reward is right on what all of them get wrong
    assert all(found[arm]["weak"] == 0 for arm in ("hard", "hard@strong", "hard@raw"))
    for knob in ("", "@strong", "@raw", "@0"):
        assert found["hard" + knob]["items"] == found["random" + knob]["items"]
    assert found["hard"]["accuracy"] < found["random"]["accuracy"]
    assert found["all"]["items"] == 397 * 4
    assert all(-1 <= row["foretells"] <= 1 for row in found.values())


def test_what_is_kept():
    rng = np.random.default_rng(0)
    assert hard._chosen("hard", WEAK, rng).tolist() == [0, 4]
    assert hard._chosen("most", WEAK, rng).tolist() == [0, 1, 4]
    assert hard._chosen("split", WEAK, rng).tolist() == [1, 2]
    assert hard._chosen("all", WEAK, rng).tolist() == [0, 1, 2, 3, 4]
    drawn = hard._chosen("random", WEAK, rng)
    assert len(set(drawn.tolist())) == 2
    with pytest.raises(InputError, match="all fail on 0 of 5 items; give more pairs"):
        hard._chosen("hard", np.ones((4, 5)), rng)


def test_the_number_is_the_benchmarks():
    # images of 1, 5 and 8 are in its three groups; two of three won, ties one half
    found = hard._numbers(np.array([1, 5, 8]), np.array([[1.0, -1, 2], [1.0, 0, 2], [-1.0, -1, -1]]))
    assert found == pytest.approx([2 / 3, 2.5 / 3, 0])
    # without a group the mean is over those that are there
    assert hard._numbers(np.array([1, 2]), np.array([[1.0, -1]])) == pytest.approx([0.5])


def test_answers_are_drawn_by_their_chances():
    chance = np.tile([0.0, 3.0, 1.0], (20_000, 1))
    drawn = hard._drawn(np.random.default_rng(0), chance)
    assert np.bincount(drawn, minlength=3) / 20_000 == pytest.approx([0, 0.75, 0.25], abs=0.01)


def test_a_classifier_never_names_what_it_never_saw():
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 64)), np.repeat([0, 1], 30)
    said = hard._classifier(rng, x, y, 60, 1.0, 0.0)(x)
    assert np.exp(said[:, :2]).sum(axis=1) == pytest.approx(np.ones(60))
    assert (said[:, 2:] == -20).all()
