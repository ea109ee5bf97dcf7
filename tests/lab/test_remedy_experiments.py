"""Smoke runs of the experiments on fair trees, aligned text and attribute attention: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab.experiments.audit.aligned_text import experiment as aligned
from plaudit.lab.experiments.shaping.fair_trees import experiment as trees
from plaudit.lab.experiments.training.attribute_attention import experiment as attention
from plaudit.records.message import Message
from plaudit.records.sample import Sample


def test_fair_trees(smoke):
    found = smoke("shaping/fair_trees", unknown=("nothing", "mixture@1"))
    assert all(0 <= n[k] <= 1 for n in found.values() for k in ("gap", "accuracy", "merited"))
    assert found["mixture"] != found["plain"]
    assert found["without"]["split"] == 0
    # labels as given and as merited are one where nobody is biased, and one tree is fitted to both
    assert found["plain@0"]["accuracy"] == found["plain@0"]["merited"]
    assert found["plain@0"]["accuracy"] == found["just"]["merited"]


def test_fair_trees_cost_is_about_the_same_runs(smoke):
    found = smoke("shaping/fair_trees_cost", arms=("mixture", "plain"), unknown=("nothing",))
    assert all(0 <= n["accuracy"] <= 1 for n in found.values())


def test_thresholds_favour_both_sides_alike_often():
    train, test, fitted = trees._fitted(3, "", 3000, 3000)
    said = trees._rates(fitted["plain"], train, train)
    # on its own rows as many of each side as of all, but for ties of a leaf at the threshold, which are all favoured
    share = (fitted["plain"].predict_proba(train.seen)[:, 1] >= 0.5).mean()
    assert all(said[train.group == side].mean() >= share - 1e-3 for side in (False, True))
    assert test.given[test.group].mean() < test.merited[test.group].mean() - 0.1  # annotators take something off
    assert test.given[~test.group] == pytest.approx(test.merited[~test.group])


def test_aligned_text(smoke):
    found = smoke("audit/aligned_text", unknown=("nothing", "other@8"))
    assert all(0 <= n[k] <= 1 for n in found.values() for k in ("equal", "area"))
    assert len({n["equal"] for n in found.values()}) > len(found) / 2  # the arms are not one another
    # which texts count as equal is up to the truth alone
    assert len({n["duels"] for arm, n in found.items() if "@" not in arm}) == 1
    assert found["same"]["area"] > 0.5  # the model's texts are the best by this very reward


def test_likelihood_by_hand():
    score = aligned._likelihood(["a b", "a c"])
    prompt = (Message("user", "?"),)
    # four kinds of next word (a, b, c and one unseen). First a: (2 + 1) / (2 + 4); b after a: (1 + 1) / (2 + 4);
    # d after a: 1 / (2 + 4); and after d, which was never seen before a word: 1 / 4
    found = score([Sample(prompt, "a b"), Sample(prompt, "a d a")])
    assert found == pytest.approx([np.mean(np.log([1 / 2, 1 / 3])), np.mean(np.log([1 / 2, 1 / 6, 1 / 4]))])


def test_attribute_attention(smoke):
    found = smoke("training/attribute_attention", unknown=("nothing", "plain@1"))
    assert found["oracle"]["equity"] == found["oracle"]["minority"] == 1
    for n in found.values():
        overall = 0.8 * n["majority"] + 0.2 * n["minority"]
        away = abs(n["majority"] - overall) + abs(n["minority"] - overall)
        assert n["equity"] == pytest.approx(overall / (1 + away))
    assert len({n["equity"] for n in found.values()}) >= 4


def test_attribute_attention_or_input_is_about_the_same_runs(smoke):
    found = smoke("training/attribute_attention_or_input", arms=("attention", "input"), unknown=("nothing",))
    assert found["attention"] != found["input"]


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0])
def test_values_are_turned_and_differences_have_deviation_one(degrees):
    values = attention._values(np.random.default_rng(0), degrees)
    cosine = values[0] @ values[1] / np.linalg.norm(values[0]) / np.linalg.norm(values[1])
    assert cosine == pytest.approx(np.cos(np.radians(degrees)))
    # two completions of 8 words of mean 0 and variance |w|^2 / 24: 16 |w|^2 / 24 = 1
    assert 16 * (values**2).sum(axis=1) / 24 == pytest.approx([1, 1])


def test_arms_that_are_told_the_attribute_have_about_as_many_weights():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    told = attention.Told("attention")
    assert count(told.network) == pytest.approx(count(told.attention), rel=0.1)
