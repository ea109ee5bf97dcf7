"""The world of short videos of digits, and smoke runs of the judges in it: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab.experiments.evaluation.both_orders import experiment as orders
from plaudit.lab.experiments.evaluation.soft_scores import experiment as soft
from plaudit.lab.experiments.evaluation.videos import TRAIN, images, videos


def test_videos_are_worth_their_digits_share():
    # images of one colour a digit: a pixel of a frame is (1 - b) d + b o
    y = np.arange(10).repeat(3)
    shown = videos(np.random.default_rng(0), np.tile(y[:, None] / 10, (1, 4)), y, 200)
    pixel = shown.frames[..., 0]
    assert np.allclose(shown.frames, pixel[..., None])
    assert ((shown.worth >= 0.5) & (shown.worth <= 1)).all()
    asked = shown.asked[:, None] / 10
    # how far the mean frame is from the asked digit, over how far the other one would be
    far = np.abs(pixel.mean(axis=2) - asked) / np.maximum(1 - shown.worth, 1e-9)
    other = far[shown.worth < 0.99]
    assert np.allclose(other * 10, np.round(other * 10))
    assert (other > 0.09).all()
    assert shown.first.mean() == pytest.approx(0.5, abs=0.12)


def test_images_are_not_both_fitted_to_and_shown():
    x, y, left, digits = images(5)
    assert (len(x), len(left)) == (TRAIN, 797)
    assert x.max() == 1.0
    assert sorted(set(digits.tolist())) == list(range(10))
    assert len(y) + len(digits) == 1797


def test_soft_scores(smoke):
    found = smoke("evaluation/soft_scores", unknown=("nothing", "nothing@0", "frames@0"))
    assert found["oracle"]["accuracy"] == 1.0
    assert found["hard"]["ties"] > found["frames"]["ties"] >= found["soft"]["ties"] == 0
    # ties are wrong in the benchmark's score and one half in ours
    for row in found.values():
        assert row["accuracy"] == pytest.approx(row["strict"] + row["ties"] / 2)


def test_scores_of_one_judge():
    # two videos of two frames; means 1 and -1
    logit = np.array([[[3.0, -1.0], [-3.0, 1.0]]])
    rng = np.random.default_rng(0)
    assert soft._score("hard", logit, rng).tolist() == [[1, 0]]
    assert soft._score("frames", logit, rng).tolist() == [[0.5, 0.5]]
    # sigmoid(1) = 0.731, sigmoid(-1) = 0.269: whatever the third token has
    assert soft._score("soft", logit, rng)[0] == pytest.approx([0.7310586, 0.2689414])
    assert soft._score("five", logit, rng).tolist() == [[0.75, 0.25]]
    many = np.tile(logit[:, :1], (1, 1, 5000))
    assert soft._score("sampled", many, rng)[0, 0] == pytest.approx(0.731, abs=0.02)


def test_both_orders(smoke):
    found = smoke("evaluation/both_orders", unknown=("nothing", "nothing@0", "two@0"))
    assert found["oracle"]["accuracy"] == 1.0
    assert found["first@strong"]["position_bias"] > found["first@0"]["position_bias"]
    assert found["first"]["position_bias"] == found["both"]["position_bias"]
    assert len({row["accuracy"] for row in found.values()}) > 3


def test_a_judge_learns_where_the_better_one_was():
    train, test, (fitted, seen) = orders._world(1, (60, 60, 30))
    assert fitted.shape == (120, 2, 10)
    assert np.allclose(np.exp(fitted).sum(axis=2), 1)  # chances of the ten digits, the asked one first
    same = np.zeros((1, 10))
    late, early = (orders._fitted(1, train, fitted, share, 0.1, part=0) for share in (0.0, 1.0))
    # the same video twice: where it was always the second, or the first, that was better
    assert late(same, same)[0] < 0.5 < early(same, same)[0]
    # the benchmark's bias: what is said of the first, shown first, above the same shown second
    said = early(seen[:, 0], seen[:, 1]), 1 - early(seen[:, 1], seen[:, 0])
    assert orders._number(test, np.stack(said), "position_bias") == pytest.approx((said[0] - said[1]).mean())


def test_answers_that_do_not_count_twice():
    _, test, _ = orders._world(1, (60, 60, 30))
    sure = np.where(test.first, 0.9, 0.3)
    assert orders._number(test, np.stack([sure, sure]), "accuracy_without_ties") == 1.0
    # an order that says the contrary more surely turns the answer round
    assert orders._number(test, np.stack([sure, 1 - np.where(test.first, 1.0, 0.0)]), "accuracy_without_ties") == 0.0
