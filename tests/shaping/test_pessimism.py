"""`shape/ensemble`: what the aggregates make of a reward's members, by name."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.registry import load
from plaudit.rewards.uncertainty.ensemble import EnsembleReward
from plaudit.shaping import AggregatedReward
from plaudit.testing import RewardContract, example_samples

MEMBERS = {"a": [1.0, 2.0, 6.0], "b": [2.0, 2.0, 2.0], "c": [-40.0, 0.0, 10.0]}


class Heads:
    """Three members that are known; of `x` nothing is known, and `y` is a fault of the policy's."""

    name, scope, bounds, fingerprint = "heads", "sample", (-20.0, float("inf")), "heads"

    def __call__(self, samples):
        table = np.array([MEMBERS.get(s.text, [0.0] * 3) for s in samples]).reshape(-1, 3)
        outcome = np.array([{"x": Outcome.TIMED_OUT, "y": Outcome.POLICY_FAULT}.get(s.text, 0) for s in samples], int)
        reward = np.where(outcome == Outcome.TIMED_OUT, np.nan, np.where(outcome > 0, -20.0, table.mean(axis=1)))
        table[outcome > 0] = np.nan
        aspects = {"nominal": np.full(len(samples), 5.0)}
        return RewardBatch(reward, outcome.astype(np.int8), members=table, aspects=aspects)


SAMPLES = [Sample("q", text) for text in "abxy"]


@pytest.mark.parametrize(
    ("options", "a"),
    [
        ({"by": "mean"}, 3.0),
        ({"by": "worst-case"}, 1.0),
        ({"by": "lower-bound"}, 3 - np.sqrt(14 / 3)),  # the variance is (4 + 1 + 9) / 3
        ({"by": "lower-bound", "beta": 2.0}, 3 - 2 * np.sqrt(14 / 3)),
        ({}, 2 / 3),
        ({"by": "uncertainty-weighted", "lam": 0.3}, 1.6),
        ({"by": "quantile", "level": 0.5}, 2.0),
        ({"by": "nominal-minimum", "alpha": 0.5, "over": "sample"}, 3.0),  # (5 + 1) / 2
        ({"by": "nominal-minimum", "alpha": 0.5}, 3.0),  # the first member's mean is the least
    ],
)
def test_by_hand(options, a):
    batch = AggregatedReward(Heads(), **options)(SAMPLES)
    assert batch.reward[0] == pytest.approx(a)
    assert batch.detail[0]["own"] == 3.0
    assert batch.outcome.tolist() == [Outcome.SCORED, Outcome.SCORED, Outcome.TIMED_OUT, Outcome.POLICY_FAULT]
    assert np.isnan(batch.reward[2])
    assert batch.reward[3] == -20.0
    assert "own" not in batch.detail[3]


def test_nothing_lies_outside_the_bounds():
    assert AggregatedReward(Heads(), by="worst-case")([Sample("q", "c")]).reward.tolist() == [-20.0]

    class Share(Heads):
        bounds = (0.0, 1.0)

        def __call__(self, samples):
            return RewardBatch(np.full(len(samples), 0.9), std=np.full(len(samples), 0.5))

    assert AggregatedReward(Share(), by="quantile", level=0.95)([Sample("q", "a")]).reward.tolist() == [1.0]


def test_members_that_are_weighed_are_refused():
    ensemble = EnsembleReward([Heads(), Heads()], weights=[0.9, 0.1])
    with pytest.raises(InputError, match="ensemble weighs its members"):
        AggregatedReward(ensemble, by="worst-case")


def test_one_is_one():
    whole, number = (AggregatedReward(Heads(), by="lower-bound", beta=b) for b in (1, 1.0))
    assert whole.fingerprint == number.fingerprint == AggregatedReward(Heads(), by="lower-bound").fingerprint


def test_centred_members_are_compared_within_their_prompt():
    # the ensemble's level of a and b is 2.5, the members' 1.5, 2 and 4: a becomes (2, 2.5, 4.5), b (3, 2.5, 0.5)
    batch = AggregatedReward(Heads(), by="worst-case", center="prompt")(SAMPLES[:2])
    assert batch.reward.tolist() == [2.0, 0.5]
    assert AggregatedReward(Heads(), center="prompt").scope == "group"
    assert AggregatedReward(Heads(), by="nominal-minimum").scope == "batch"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "worst"}, "by is 'worst'; did you mean 'worst-case'"),
        ({"by": "worst-case", "lam": 0.5}, "worst-case has no lam; it takes no option"),
        ({"by": "quantile", "beta": 1.0}, "quantile has no beta; it takes level"),
        ({"by": "lower-bound", "beta": -1.0}, "beta is -1.0"),
        ({"center": "group"}, "center is 'group'"),
        ({"by": "mean", "center": "prompt"}, "centring does not change a mean"),
        ({"by": "lower-bound", "beta": "much"}, "give numbers"),
        ({"by": "nominal-minimum", "center": "prompt"}, "centred members have equal means over the batch"),
    ],
)
def test_mistakes(options, words):
    with pytest.raises(InputError, match=words):
        AggregatedReward(Heads(), **options)


def test_by_reference_and_of_a_reward_without_members(tmp_path):
    (tmp_path / "two.py").write_text(
        "def one(samples):\n    return [float(len(s.text)) for s in samples]\n"
        "def two(samples):\n    return [3.0 * len(s.text) for s in samples]\n"
    )
    models = [f"{tmp_path}/two.py:{name}" for name in ("one", "two")]
    reward = load({"shape/ensemble": {"of": {"ensemble/of": {"models": models}}, "by": "lower-bound", "beta": 0.5}})
    assert reward([Sample("q", "abcd")]).reward.tolist() == [8 - 0.5 * 4]
    assert reward.name == "lower-bound(ensemble)"
    plain = load("shape/ensemble?of=rule/length&by=quantile&level=0.1")
    assert plain.options == {"level": 0.1}
    with pytest.raises(InputError, match="no members and no std; score with an ensemble"):
        plain([Sample("q", "a")])
    assert load("shape/ensemble?of=rule/length&by=quantile&level=0.2").fingerprint != plain.fingerprint


class TestContract(RewardContract):
    def make_reward(self):
        return AggregatedReward(Heads())

    def make_samples(self):
        return [*example_samples(), *SAMPLES]
