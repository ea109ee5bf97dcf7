"""The smoke run of directional preference alignment on tables: the machinery, not the claim."""

import numpy as np
import pytest
import torch

from plaudit.lab.experiments.policy.directed_front import experiment as directed

BUDGET = {"train": 4, "test": 4, "pull": 0.5}


def test_directed_front(smoke):
    found = smoke("policy/directed_front", unknown=("nothing", "nothing@0", "averaged@0"))
    # the start is at (0, 0): 0.5 above what counts as nothing in one aspect and 2 in the other
    assert found["start"]["volume"] == pytest.approx(1.0)
    assert found["start"]["kl"] == pytest.approx(0)
    assert found["one"]["dial"] == 0.0
    # without a conflict the two aspects are one number
    assert found["directed@0"]["brief"] == pytest.approx(found["directed@0"]["helpful"])
    assert len({row["volume"] for row in found.values()}) == 9


def test_aspects_are_deviations_within_prompts():
    world = directed.Aspects.made(7, BUDGET, alike=False)
    chance = world.phrases.chance
    for x in (world.helpful, world.wordy):
        assert torch.allclose((chance * x).sum(1), torch.zeros(8, dtype=torch.float64), atol=1e-12)
        assert torch.allclose((chance * x**2).sum(1), torch.ones(8, dtype=torch.float64))
    # helpful is half a deviation of length more than worth: it goes with length where worth does not
    assert float((chance * world.helpful * world.wordy).sum(1).mean()) > 0.2


def test_what_goes_furthest_is_imitated():
    world = directed.Aspects.made(7, BUDGET, alike=False)
    policy = world.phrases.policy()
    prompt, wanted = torch.arange(4), torch.tensor([0.0, -45.0, 0.0, -45.0], dtype=torch.float64)
    place, tokens = directed._furthest(world, policy, prompt, wanted, 30, 0.0, torch.Generator().manual_seed(0))
    assert place.tolist() == [0, 1, 2, 3]
    drawn = policy.sample(prompt, 30, torch.Generator().manual_seed(0))
    phrase = world.phrases.places(drawn.tokens).reshape(4, 30)
    for i, (weight, found) in enumerate(zip((0, -1, 0, -1), world.phrases.places(tokens).tolist(), strict=True)):
        # along (1, 0), or along (1, -1) but for a factor
        value = world.helpful[i] + weight * world.wordy[i]
        assert value[found] == value[phrase[i]].max()


def test_the_arc_is_told_from_end_to_end():
    assert directed._grid(5) == [-45.0, -33.75, -22.5, -11.25, 0.0]
    assert directed._place(torch.tensor([-45.0, -22.5, 0.0])).tolist() == [-1.0, 0.0, 1.0]
    assert np.allclose(directed._told(torch.tensor([[1.0, 2.0]]), torch.tensor([-0.5])), [[1, 2, -0.5, -1]])
