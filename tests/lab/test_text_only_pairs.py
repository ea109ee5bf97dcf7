"""Pairs of one modality beside pairs of two: the world by hand, and what heads can fit."""

import numpy as np
import pytest
import torch

from plaudit.lab.experiments.training.text_only_pairs.experiment import EACH, World, fitted_head
from plaudit.rewards.heads import Network


def test_smoke(smoke):
    arms = smoke("text_only_pairs")
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in arms.values())
    assert arms["mixed_and_text"] != arms["mixed_and_coins"]
    assert arms["mixed_and_text"] != arms["mixed_and_text@unrelated"]


def test_the_true_reward_has_deviation_one_in_each_modality():
    world = World.drawn(3)
    numbers = np.random.default_rng(0).normal(size=(200_000, EACH))
    for which in range(3):
        assert world.worth(numbers, which).std() == pytest.approx(1, abs=0.01)
    by_hand = world.slope[0, 2] * 2 - world.bend[0, 2] * 4
    unit = np.sqrt((world.slope[0] ** 2).sum() + 2 * (world.bend[0] ** 2).sum())
    assert world.worth(np.array([[0, 0, 2.0, 0, 0]]), 0) == pytest.approx(by_hand / unit)


def test_texts_alone_have_no_image_and_the_texts_part_of_the_reward():
    world = World.drawn(3)
    margins = {name: world.pairs(name, 20_000, 3)[1] for name in ("text", "mixed", "coins", "unrelated")}
    assert margins["text"].std() == pytest.approx(np.sqrt(2), abs=0.03)  # two sides of variance 1
    assert margins["mixed"].std() == pytest.approx(2, abs=0.04)  # two sides of two modalities
    assert not margins["coins"].any()
    # the image's rows of the mixture do not reach the states of texts: what is left of them is noise
    state, margin = world.pairs("text", 20_000, 3)
    beside = np.linalg.svd(world.mixing[:EACH])[2][EACH:]
    assert (state[:, 0] @ beside.T).std() == pytest.approx(0.3, abs=0.01)
    assert np.array_equal(world.pairs("text", 20_000, 3)[0], state)
    assert np.array_equal(margin, margins["text"])


def test_a_head_without_activation_fits_what_is_linear_and_not_a_bend():
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=(400, 2, 4))).float()
    for worth, least, most in ((x[..., 0], 0.97, 1.0), (x[..., 0] ** 2, 0.4, 0.65)):
        first = (worth[:, 0] > worth[:, 1])[:, None, None]
        ordered = torch.where(first, x, x.flip(1))
        head = fitted_head(ordered, Network(depth=2, activation="none"), seed=0, steps=200)
        said = head.outputs(ordered.flatten(0, 1), None)[:, 0].detach().reshape(-1, 2)
        assert least <= float((said[:, 0] > said[:, 1]).float().mean()) <= most
    bent = fitted_head(ordered, Network(depth=2), seed=0, steps=200)
    said = bent.outputs(ordered.flatten(0, 1), None)[:, 0].detach().reshape(-1, 2)
    assert float((said[:, 0] > said[:, 1]).float().mean()) > 0.95
