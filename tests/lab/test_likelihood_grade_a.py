"""Smoke runs of the small experiments on likelihoods and principles: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab.experiments.rewards.autoregressive_reward.experiment import seen
from plaudit.lab.experiments.rewards.autoregressive_reward.walks import Walks
from plaudit.lab.experiments.rewards.policy_discriminator.experiment import letter_pairs, reference_in
from plaudit.lab.experiments.rewards.yes_against_reference.experiment import KNOBS, Levels
from plaudit.rewards.likelihood.discriminator import triple


def test_principle_consensus(smoke):
    found = smoke("curation/principle_consensus")
    assert found["oracle"]["label_accuracy"] == 1.0
    assert found["random"]["labels"] == found["consensus"]["labels"] < found["unfiltered"]["labels"]
    # whoever agrees in the verdict too agrees in the principle
    assert found["agreement"]["labels"] <= found["consensus"]["labels"]
    assert all(0 <= n["auc"] <= 1 and 0 <= n["label_accuracy"] <= 1 for n in found.values())


def test_followup_likelihood(smoke):
    found = smoke("followup_likelihood")
    assert found["oracle"]["accuracy"] == 1.0
    assert found["both_8"]["accuracy"] > 0.6  # the machinery: half of them would be chance
    # a constant of the response cancels between the signs, whatever its size, and not within one sign
    assert found["both_8"]["accuracy"] == found["both_8@0"]["accuracy"] == found["both_8@2"]["accuracy"]
    assert found["positive_8"]["accuracy"] != found["positive_8@0"]["accuracy"]
    assert 0.35 < found["mixed_8"]["accuracy"] < 0.65  # a difference of sets with equal signs says nothing


def test_policy_discriminator(smoke):
    found = smoke("policy_discriminator")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    # telling policies apart is learned before the triples are seen
    assert found["finetuned"]["same_policy"] == found["pretrained"]["same_policy"]
    assert found["oracle"]["accuracy"] == 1.0
    assert len({tuple(numbers.values()) for numbers in found.values()}) >= 5  # the arms are not one another


def test_the_discriminator_reads_what_stands_in_the_prompt():
    asked = triple("a question", "abba", "a", "b").prompt[-1].text
    assert reference_in(asked) == "abba"
    # abba: letters a and b half each; pairs ab, bb and ba a third each; roots of the shares
    row = letter_pairs(["abba"])[0]
    assert row[:2] == pytest.approx([0.5**0.5] * 2)
    assert row[12 + np.array([1, 13, 12])] == pytest.approx([3**-0.5] * 3)
    assert np.count_nonzero(row) == 5


def test_yes_against_reference(smoke):
    found = smoke("yes_against_reference")
    assert found["oracle"]["accuracy"] == 1.0
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in found.values())


@pytest.mark.parametrize("knob", ["", "3"])
def test_levels_have_the_spreads_that_they_are_said_to_have(knob):
    within, between = KNOBS[knob]
    drawn = Levels(7, 6, within, between).draw(4000, 8, 1)
    assert drawn.features.shape == (4000, 8, 12)
    assert drawn.worth.std(axis=1, ddof=1).mean() == pytest.approx(within, rel=0.06)  # c4(8) = 0.965 below it
    # sin^2 is 1/2 on average where phases are even: the level's deviation is near the one that is asked for
    assert drawn.worth.mean(axis=1).std() == pytest.approx(between, rel=0.25)


def test_autoregressive_reward(smoke):
    found = smoke("autoregressive_reward")
    assert found["oracle"]["accuracy"] == 1.0
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in found.values())
    assert found["token"] != found["token@0"]


def test_the_expected_truth_of_a_beginning():
    walks = Walks(5)
    text = walks.draw(1, 2)
    # of a whole text: its neighbours' worth, and what the machine's last state adds
    state = 0
    for token in text[0]:
        state = walks.turn[state, token]
    neighbours = sum(walks.worth[a, b] for a, b in zip(text[0], text[0][1:], strict=False))
    assert walks.expected(text)[0] == pytest.approx(neighbours + walks.bonus[state])
    # of a beginning: the mean over what the policy writes next
    for t in range(1, text.shape[1]):
        begun = text[:, :t]
        longer = np.concatenate([begun.repeat(6, axis=0), np.arange(6)[:, None]], axis=1)
        assert walks.expected(begun)[0] == pytest.approx(walks.policy[begun[0, -1]] @ walks.expected(longer))
    # counts of a beginning by hand: after 2, 2, 3 the pairs (2, 2) and (2, 3) stand once each, and the last token is 3
    shown = seen(np.array([[2, 2, 3]]))[0, 3].numpy()
    assert np.flatnonzero(shown).tolist() == [2 * 6 + 2, 2 * 6 + 3, 36 + 3]
