"""Smoke runs of the experiments on strengths, meta steps and further terms: the machinery, not the claims."""

import math

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.experiments.rewards.fused_consistency.experiment import contrasts
from plaudit.lab.experiments.rewards.fused_reward.experiment import World as FusedWorld
from plaudit.lab.experiments.training.strength_margins import experiment as strength_margins
from plaudit.lab.experiments.training.strength_recipe import experiment as strength_recipe
from plaudit.records.message import Message
from plaudit.records.rows import Ranked
from plaudit.rewards.manifest import Manifest


def test_preference_strength(smoke):
    found = smoke("curation/preference_strength")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    assert found["flip"]["wrong_bottom"] == found["leave"]["wrong_bottom"]  # the strengths are those of all arms
    assert found["flip@0"]["wrong_bottom"] == found["flip@0"]["wrong_top"] == 0
    assert len({numbers["accuracy"] for numbers in found.values()}) >= 4  # the arms are not one another


def test_strength_margins(smoke):
    found = smoke("training/strength_margins")
    assert all(0 <= numbers[k] <= 1 for numbers in found.values() for k in ("accuracy", "learned", "learned_wrong"))
    assert len({numbers["log_loss"] for numbers in found.values()}) == len(found)  # no arm is another one


def test_what_each_arm_asks_of_a_pair():
    # three pairs: chosen leads by 1, trails by 1, leads by 2; as strong as 0.5, -2 and 3; ten models are as sure
    scores = torch.tensor([1.0, 0.0, 0.0, 1.0, 2.0, 0.0])
    pairs = torch.arange(6).reshape(3, 2)
    strength, target = torch.tensor([0.5, -2.0, 3.0]), torch.tensor([0.6, 0.1, 0.9])
    true = torch.tensor([2.0, -1.0, 0.5])

    def asked(name):
        found = strength_margins.objective_of(name, strength, target, true, np.random.default_rng(0))
        return float(found(scores, pairs, weight=torch.ones(3)))

    def loss(*leads):
        return sum(math.log1p(math.exp(-lead)) for lead in leads)

    assert asked("leave") == asked("oracle") == pytest.approx(loss(1, -1, 2))
    assert asked("margins") == asked("one") == pytest.approx(loss(1 - 0.5, -1 + 2, 2 - 3))
    assert asked("constant") == pytest.approx(loss(1 - 0.5, -1 - 0.5, 2 - 0.5))  # their mean is 0.5
    assert asked("true_margins") == pytest.approx(loss(1 - 2, -1 + 1, 2 - 0.5))
    soft = 0.6 * loss(1) + 0.4 * loss(-1) + 0.1 * loss(-1) + 0.9 * loss(1) + 0.9 * loss(2) + 0.1 * loss(-2)
    assert asked("soft") == pytest.approx(soft)
    order = np.random.default_rng(0).permutation(3)
    given = strength.numpy()[order]
    assert sorted(order.tolist()) != order.tolist()
    assert asked("shuffled") == pytest.approx(loss(1 - given[0], -1 - given[1], 2 - given[2]))


def test_the_strongest_pairs_are_kept():
    weight = strength_margins.of_the_strongest(torch.tensor([0.5, -2.0, 3.0, 1.0, 2.0]))
    assert weight.tolist() == [[0, 0, 1, 0, 1]]  # two fifths


@pytest.fixture
def fits(monkeypatch):
    """What the recipe's arms fitted, in order: objective, lists, passes, and whether from another's weights."""
    done = []

    def recorded(rows, *, epochs, objective="bradley-terry", backbone=None, **options):
        done.append((objective, len(rows), epochs, backbone is not None))
        return fit(rows, epochs=epochs, objective=objective, backbone=backbone, **options)

    fit = strength_recipe.reward_in_world
    monkeypatch.setattr(strength_recipe, "reward_in_world", recorded)
    return done


def test_strength_recipe(smoke, fits):
    found = smoke("training/strength_recipe", ["recipe", "sequence", "scaled", "placebo", "oracle"])
    assert found["oracle"]["accuracy"] == 1
    assert found["recipe"]["factor"] in strength_recipe.FACTORS
    assert found["sequence"]["factor"] == found["scaled"]["factor"] == 1
    regression, scaled = "regression", "scaled-bradley-terry"
    of_twelve = [(regression, 12, 1.0, False), (scaled, 12, 1.0, True)]
    assert fits == [
        *of_twelve, (regression, 16, 1.0, False), (scaled, 16, 1.0, True),
        (scaled, 16, 1.0, False), (scaled, 16, 1.0, True), *of_twelve,
    ]  # fmt: skip
    assert len({numbers["correlation"] for numbers in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("right", "factor"), [({1.25: 0.8, 1.5: 0.8}, 1.25), ({2.0: 0.9}, 2.0), ({}, 1.1)], ids=["tie", "last", "all alike"]
)
def test_the_factor_that_orders_most_validation_pairs(smoke, monkeypatch, right, factor):
    """The step goes from the first fit's folder beyond the second's, and the smallest of equally good factors is it."""
    steps, objectives = [], set()

    def merged(first, second, *, factor, out):
        steps.append((first, second, factor))
        objectives.add(tuple(Manifest.read(folder).objective for folder in (first, second)))
        return merge(first, second, factor=factor, out=out)

    merge = strength_recipe.merge_rewards
    monkeypatch.setattr(strength_recipe, "merge_rewards", merged)
    monkeypatch.setattr(strength_recipe, "agreement", lambda scorer, rows: right.get(steps[-1][2], 0.5))
    assert smoke("training/strength_recipe", ["recipe"], unknown=())["recipe"]["factor"] == factor
    assert [f for _, _, f in steps] == [1.1, 1.25, 1.5, 1.75, 2.0]
    assert objectives == {("regression", "scaled-bradley-terry")}
    assert len({(first, second) for first, second, _ in steps}) == 1


def test_a_factor_is_chosen_by_differently_rated_completions():
    asked = (Message("user", "q"),)
    rows = [Ranked(asked, ("a", "bb", "ccc"), (1.0, 2.0, 2.0)), Ranked(asked, ("dddd", "e"), (3.0, 1.0))]

    def length(samples):
        return np.array([float(len(s.text)) for s in samples])

    # a < bb, a < ccc and dddd > e as rated; bb and ccc are rated alike
    assert strength_recipe.agreement(length, rows) == 1
    assert strength_recipe.agreement(lambda samples: np.zeros(len(samples)), rows) == 0.5
    assert strength_recipe.agreement(lambda samples: -length(samples), rows) == 0
    with pytest.raises(InputError, match="no validation list has two ratings"):
        strength_recipe.agreement(length, [Ranked(asked, ("a", "b"), (1.0, 1.0))])


def test_meta_reward(smoke):
    found = smoke("training/meta_reward")
    assert all(0 <= numbers[k] <= 1 for numbers in found.values() for k in ("accuracy", "accuracy_shifted"))
    assert found["meta"] != found["plain"] != found["longer"]
    assert found["start"] != found["meta"]
    assert found["plain@bare"] != found["plain"]
    # without a shift both policies' completions have one distribution, and the scores the same deviation but for chance
    assert found["plain@0"]["accuracy"] == found["plain"]["accuracy"]
    assert found["plain@0"]["spread"] == pytest.approx(1, abs=0.5)


def test_contrastive_term(smoke):
    found = smoke("training/contrastive_term")
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in found.values())
    assert found["contrastive@0"] == found["plain"]  # a coefficient of 0 is plain training
    assert len({numbers["log_loss"] for numbers in found.values()}) == len(found) - 1


def test_agreement_falls(smoke):
    found = smoke("rewards/agreement_falls")
    assert all(-1 <= numbers["agreement"] <= 1 for numbers in found.values())
    assert found["best_of_64@same"]["agreement"] == found["all@same"]["agreement"] == pytest.approx(1)
    # at a smoke run's sizes: n of 1, 2 and 4; log n - (n - 1) / n
    assert found["all"]["kl_bound"] == 0
    assert found["best_of_8"]["kl_bound"] == pytest.approx(math.log(2) - 1 / 2)
    assert found["best_of_64"]["kl_bound"] == pytest.approx(math.log(4) - 3 / 4)
    assert len({numbers["agreement"] for numbers in found.values()}) >= 9


def test_contrasting_prompts_and_their_answers():
    budget = {"features": 4, "topics": 3, "ways": 5}
    world = FusedWorld(3, budget)
    texts, truth = contrasts(world, 7, 200, 6)
    first, second = texts[:200, 0], texts[200:, 0]
    norms = [np.linalg.norm(x[:, :4], axis=1) for x in (first, second)]
    cosine = (first[:, :4] * second[:, :4]).sum(axis=1) / (norms[0] * norms[1])
    assert 0.75 <= cosine.min() < cosine.max() <= 0.9
    assert norms[1] == pytest.approx(norms[0])
    # a prompt's own answer first, the like prompt's second, with the prompt's own embedding before either
    assert np.array_equal(texts[:200, 0, :4], texts[:200, 1, :4])
    assert np.array_equal(texts[:200, 1, 4:], texts[200:, 0, 4:])
    assert np.array_equal(texts[200:, 1, 4:], texts[:200, 0, 4:])
    x, y = texts[5, 1, :4], texts[5, 1, 4:]
    assert truth[5, 1] == pytest.approx(x @ world.between @ y)
    assert 0.5 < np.mean(truth[:, 0] > truth[:, 1]) < 1  # the best of six for itself: of like prompts often the same


def test_fused_consistency(smoke):
    found = smoke("rewards/fused_consistency")
    assert found["bare"]["moved"] == found["oracle"]["moved"] == 0
    assert found["bare@0"]["c_res"] == found["oracle"]["c_res"]
    assert found["fused"]["moved"] > 0


def test_fused_reward(smoke):
    found = smoke("rewards/fused_reward")
    assert found["bare@0"]["accuracy"] == found["oracle"]["accuracy"] == 1
    assert found["bare"]["moved"] == found["twice"]["moved"] == 0 < found["fused"]["moved"] <= found["wide"]["moved"]
    assert found["fused"] != found["shuffled"]
