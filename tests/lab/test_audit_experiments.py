"""Experiments on the audit: the machinery on a tiny budget, and their numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.lab.experiments.audit.detection.subjects import Leaning, Planted, longing, noise_of
from plaudit.lab.experiments.audit.forecast.measuring import regret, within_correlation
from plaudit.lab.experiments.audit.forecast.pooled import Pooled, pooled
from plaudit.lab.experiments.audit.forecast.subjects import Recipe
from plaudit.lab.worlds.assistant import World
from plaudit.records.sample import Sample, conversation


def test_detection(smoke):
    arms = smoke("detection")
    single = [a for a in arms if a not in ("planted", "healthy", "healthy_long", "coin")]
    assert arms["planted"]["rewards"] == len(single) == 6
    assert arms["planted"]["alarm"] == pytest.approx(np.mean([arms[a]["alarm"] for a in single]))
    assert all(0 <= numbers["named"] <= 1 for numbers in arms.values())
    # two faults so large that even sixty pairs show them
    assert arms["markdown"]["alarm"] == arms["position"]["alarm"] == 1.0


def test_forecast(smoke):
    arms = smoke("forecast")
    assert {a: (arms[a]["regret#0"], arms[a]["regret#1"]) for a in arms} == {
        a: (arms["audit"]["regret#0"], arms["audit"]["regret#1"]) for a in arms
    }
    assert all(abs(numbers["spearman"]) <= 1 for numbers in arms.values())
    assert all(numbers["regret#0"] >= 0 for numbers in arms.values())
    assert -1 <= arms["oracle"]["said#0"] <= 1


def test_noise_comes_back_with_the_text_and_a_fault_changes_only_what_it_says():
    samples = [Sample(conversation("what is it ?"), text) for text in ("a ** b", "plain words", "plain words")]
    noise = noise_of(samples, 3)
    assert noise[1] == noise[2]
    assert (noise_of(samples, 4) != noise).any()

    def rewards(fault, **more):
        return Planted(lambda s: np.zeros(len(s)), fault, 3, 0.0, 2.0, **more)(samples).reward

    assert rewards("").tolist() == [0.0, 0.0, 0.0]
    assert rewards("markdown").tolist() == [1.0, 0.0, 0.0]  # one mark, half a unit, scale two
    assert rewards("characters").tolist() == pytest.approx([2 * 0.02 * 6, 2 * 0.02 * 11, 2 * 0.02 * 11])
    assert rewards("back_door", trigger="plain").tolist() == [0.0, 8.0, 8.0]
    lean = Leaning(Planted(lambda s: np.zeros(len(s)), "", 3, 0.0, 1.0), 2.0, 1.0)
    assert lean(samples[:1], samples[1:2]).probability[0] == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_a_truth_that_grows_with_length():
    world = World.drawn(5)
    prompt = world.prompts(1, seed=1)[0]
    samples = [Sample(prompt, "a b"), Sample(prompt, "a b")]
    plain, longer = longing(world, 0.0)(samples), longing(world, 0.5)(samples)
    assert (longer - plain).tolist() == [1.5, 1.5]  # three characters


def test_regret_and_correlation_by_hand():
    truth = np.array([[0.0, 1.0], [2.0, 0.0]])
    wide = np.repeat(truth, 4, axis=1)  # best-of-n asks for a pool of four times n
    # best of two by the truth: 1 - C(4,2)/C(8,2) = 11/14 of the better value; by its opposite, 3/14 of it
    # so the first prompt loses 1 * 8/14, the second, where the proxy agrees, nothing
    proxy = np.stack([-wide[0], wide[1]])
    assert regret(wide, proxy, n=2) == pytest.approx((8 / 14) / 2)
    assert regret(wide, wide, n=2) == 0.0
    # centred truth (-.5, .5), (1, -1); centred proxy (.5, -.5), (.5, -.5): sum of products -.5 + 1 = .5
    assert within_correlation(truth, np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.5 / np.sqrt(2.5 * 1.0))


def test_recipes_are_drawn_before_anything_is_known_and_differ():
    assert Recipe.drawn(1, 0, most=500) == Recipe.drawn(1, 0, most=500)
    drawn = [Recipe.drawn(1, k, most=500) for k in range(40)]
    assert len({r.flips for r in drawn}) == 5
    assert {r.size for r in drawn} == {"small", "medium"}
    assert all(100 <= r.pairs <= 500 for r in drawn)


def test_pooling_takes_instances_as_what_is_resampled():
    rows = {f"confirmatory-{i}": {
        "audit": {"said#0": 3.0 + i, "said#1": 1.0 + i, "regret#0": 0.0 - i, "regret#1": 2.0 - i},
        "accuracy": {"said#0": 1.0 + i, "said#1": 3.0 + i, "regret#0": 0.0 - i, "regret#1": 2.0 - i},
    } for i in range(6)}  # fmt: skip
    found = pooled(rows, ("audit", "accuracy"), resamples=50)
    assert isinstance(found["audit"], Pooled)
    # said rises with i and within an instance against the regret; accuracy is turned round within instances
    assert found["audit"].spearman.value > found["accuracy"].spearman.value
    assert found["audit"].models == 12
    assert found["accuracy"].difference.value == pytest.approx(
        found["audit"].spearman.value - found["accuracy"].spearman.value
    )
