"""Reference trajectories in the prompt: rendering, rows, and scoring through any scalar reward."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records import Message, Ranked, Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.likelihood import DiscriminatorReward, carrying, pretraining_pairs, triple, triples_of
from plaudit.rewards.uncertainty.ensemble import EnsembleReward
from plaudit.shaping import AggregatedReward

ASKED = (Message("system", "Be brief."), Message("user", "Name a city."))


def bigrams(text):
    words = text.split()
    return set(pairwise(words)) | set(words)


class Likeness:
    """A bag-of-n-grams model of (prompt with reference, candidate): the share of n-grams that both have."""

    name, scope, bounds, fingerprint = "likeness", "sample", (0.0, 1.0), "likeness"

    def __call__(self, samples):
        scores = []
        for s in samples:
            told = s.prompt[-1].text.split("[a reference answer]\n")[1].split("\n[end")[0]
            a, b = bigrams(told), bigrams(s.text)
            scores.append(len(a & b) / max(len(a | b), 1))
        return RewardBatch(np.array(scores))


def test_the_reference_stands_in_the_last_user_turn():
    prompt = carrying(ASKED, "Lima")
    assert [m.role for m in prompt] == ["system", "user"]
    assert prompt[-1].text == "Name a city.\n\n[a reference answer]\nLima\n[end of the reference answer]"
    after = carrying((*ASKED, Message("assistant", "Which?")), "Lima")
    assert [m.role for m in after] == ["system", "user", "assistant", "user"]
    assert carrying(ASKED, "{prompt}")[-1].text.count("{prompt}") == 1  # braces in a reference stay
    with pytest.raises(InputError, match=r"it holds \{prompt\} and \{reference\}"):
        carrying(ASKED, "Lima", wording="{prompt}")


def test_a_candidate_like_the_reference_scores_highest():
    reward = DiscriminatorReward(Likeness())
    texts = ("the city of Lima", "the city of Cusco", "rain")
    batch = reward([Sample(ASKED, t, "the city of Lima") for t in texts])
    assert batch.reward[0] == 1.0
    assert batch.reward.argmax() == 0
    two = reward([Sample(ASKED, "rain", ["rain", "snow"])])
    assert two.reward.tolist() == [0.5]
    assert reward.bounds == (0.0, 1.0)
    with pytest.raises(InputError, match="sample 0: reference is 'None'"):
        reward([Sample(ASKED, "rain")])


def test_one_reference_that_does_not_count_is_passed_on():
    class Broken(Likeness):
        def __call__(self, samples):
            outcome = [Outcome.TIMED_OUT if "snow" in s.prompt[-1].text else Outcome.SCORED for s in samples]
            return RewardBatch(np.where(np.array(outcome) > 1, np.nan, 1.0), np.array(outcome))

    batch = DiscriminatorReward(Broken())([Sample(ASKED, "rain", ["rain", "snow"]), Sample(ASKED, "rain", "rain")])
    assert batch.outcome.tolist() == [Outcome.TIMED_OUT, Outcome.SCORED]
    assert np.isnan(batch.reward[0])


def test_all_that_the_model_says_is_passed_on():
    class Sure(Likeness):
        def __call__(self, samples):
            found = super().__call__(samples)
            members = np.stack([found.reward - 1, found.reward + 1], axis=1)
            told = tuple({"cost": i} for i in range(len(samples)))
            return replace(found, std=np.arange(1.0, len(samples) + 1), members=members, detail=told)

    batch = DiscriminatorReward(Sure())([Sample(ASKED, "rain", "rain"), Sample(ASKED, "rain", ["rain", "snow"])])
    assert batch.std.tolist() == [1.0, 2.5]
    assert batch.members.tolist() == [[0.0, 2.0], [-0.5, 1.5]]
    assert batch.detail == ({"cost": 0}, {"references": [{"cost": 1}, {"cost": 2}]})


def test_a_policy_fault_contributes_its_floor():
    class Harsh(Likeness):
        bounds = (-10.0, 1.0)

        def __call__(self, samples):
            outcome = [Outcome.POLICY_FAULT if "snow" in s.prompt[-1].text else Outcome.SCORED for s in samples]
            return RewardBatch(np.where(np.array(outcome) == Outcome.POLICY_FAULT, -10.0, 1.0), np.array(outcome))

    batch = DiscriminatorReward(Harsh())([Sample(ASKED, "a", ["rain", "snow"]), Sample(ASKED, "a", ["snow", "snow"])])
    assert batch.reward.tolist() == [-4.5, -10.0]
    assert batch.outcome.tolist() == [Outcome.SCORED, Outcome.POLICY_FAULT]

    class Heads(Harsh):
        def __call__(self, samples):
            found = super().__call__(samples)
            ok = found.outcome == Outcome.SCORED
            members = np.where(ok[:, None], np.array([[0.0, 2.0]]), np.nan)
            aspects = {"a": np.where(ok, 3.0, np.nan)}
            return replace(found, members=members, std=np.where(ok, 1.0, np.nan), aspects=aspects)

    batch = DiscriminatorReward(Heads())([Sample(ASKED, "a", ["rain", "snow"])])
    assert batch.members.tolist() == [[-5.0, -4.0]]  # the floor of -10 for each
    assert (batch.std.tolist(), batch.aspects["a"].tolist()) == ([0.5], [3.0])
    worst = AggregatedReward(DiscriminatorReward(Heads()), by="worst-case")
    assert worst([Sample(ASKED, "a", ["rain", "snow"])]).reward.tolist() == [-5.0]


def test_a_reference_is_read_whole_or_not_at_all(make_reward):
    model = make_reward(max_length=96)
    reward = DiscriminatorReward(model)
    short, long = Sample(ASKED, "Lima", "Cusco"), Sample(ASKED, "Lima", "rain " * 300)
    flood = Sample(ASKED, "rain " * 300, "Cusco")
    batch = reward([short, flood, long])
    assert batch.outcome.tolist() == [Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.ABSTAINED]
    assert batch.reward[0] == reward([short]).reward[0]  # it did not lose its reference to its neighbour
    assert batch.detail[1]["reason"] == "with this completion the reference is longer than max_length"
    assert batch.detail[2]["reason"] == (
        "the question with its reference leaves no room for a completion within max_length"
    )
    # so it is through an ensemble
    both = DiscriminatorReward(EnsembleReward([model, make_reward(max_length=96, seed=1)]))
    assert both([short, flood, long]).outcome.tolist() == [Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.ABSTAINED]
    # older turns may go, as for any model
    older = (Message("user", "rain " * 200), Message("assistant", "Yes."), Message("user", "A city?"))
    assert reward([Sample(older, "Lima", "Cusco")]).outcome.tolist() == [Outcome.SCORED]


def test_rows_are_ordinary_pairs():
    row = triple(ASKED, "Lima", "Cusco", "rain")
    assert (row.chosen, row.rejected) == ("Cusco", "rain")
    assert "Lima" in row.prompt[-1].text
    ranked = Ranked(ASKED, ("b", "a", "c", "d"), (3.0, 4.0, 2.0, 1.0))
    (made,) = triples_of([ranked])
    assert (made.chosen, made.rejected) == ("b", "c")
    assert made.prompt == carrying(ASKED, "a")
    with pytest.raises(InputError, match="row 1: scores"):
        triples_of([Ranked(ASKED, ("a", "b", "c"), (3.0, 1.0, 1.0))])


def test_pretraining_pairs_tell_policies_apart():
    samples = [Sample(ASKED, f"{p}{i}") for p in "AB" for i in range(2)] + [Sample("other", "A9")]
    rows = pretraining_pairs(samples, ["A", "A", "B", "B", "A"], seed=0)
    assert len(rows) == 2  # one a policy with two completions of a prompt; the other prompt has one policy only
    for row in rows:
        reference = row.prompt[-1].text.split("answer]\n")[1][:2]
        assert reference[0] == row.chosen[0] != row.rejected[0]
        assert reference != row.chosen
    assert pretraining_pairs(samples, ["A", "A", "B", "B", "A"], seed=0) == rows
    with pytest.raises(InputError, match="no prompt has two completions of one policy and one of another"):
        pretraining_pairs(samples[:2], ["A", "A"], seed=0)
    with pytest.raises(InputError, match="1 policies for 2 samples"):
        pretraining_pairs(samples[:2], ["A"], seed=0)
