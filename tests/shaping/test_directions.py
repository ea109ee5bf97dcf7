"""A user's direction over aspects."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.shaping import DirectionReward, along, arc, best_along, unit_direction
from plaudit.shaping.directions import read_direction

SAMPLES = [Sample("q", f"answer {i}") for i in range(5)]


class Aspects:
    """Five samples, of which only the first two say everything."""

    name, scope, bounds, fingerprint = "aspects", "sample", (-10.0, 10.0), "f"

    def __call__(self, samples):
        nan = math.nan
        return RewardBatch(
            np.array([0.0, 0.0, 0.0, -10.0, nan]),
            np.array([Outcome.SCORED] * 3 + [Outcome.POLICY_FAULT, Outcome.TIMED_OUT]),
            aspects={"help": np.array([5.0, 0.0, nan, 1.0, nan]), "brief": np.array([10.0, 5.0, 1.0, 1.0, nan])},
        )


def test_by_hand_and_outcomes():
    reward = DirectionReward(Aspects(), {"help": 3.0, "brief": -4.0}, floor=-3.5)
    assert reward.direction == pytest.approx({"help": 0.6, "brief": -0.8})
    batch = reward(SAMPLES)
    # 0.6 * 5 - 0.8 * 10 = -5, below the floor; -0.8 * 5 = -4 too
    assert batch.reward[:2].tolist() == [-3.5, -3.5]
    assert DirectionReward(Aspects(), {"help": 3.0, "brief": -4.0})(SAMPLES).reward[:2].tolist() == [-5.0, -4.0]
    assert batch.outcome[2] == Outcome.ABSTAINED  # an aspect that it needs is missing
    assert (batch.outcome[3], batch.reward[3]) == (Outcome.POLICY_FAULT, -3.5)
    assert batch.outcome[4] == Outcome.TIMED_OUT
    assert np.isnan(batch.reward[[2, 4]]).all()
    # an aspect that the direction does not name may be missing
    assert DirectionReward(Aspects(), {"brief": 2.0})(SAMPLES).reward[:3].tolist() == [10.0, 5.0, 1.0]


@pytest.mark.usefixtures("unchecked_shapes")
def test_refusals():
    with pytest.raises(InputError, match="aspects gives no aspect 'helps'; did you mean 'help'"):
        DirectionReward(Aspects(), {"helps": 1.0})(SAMPLES)
    with pytest.raises(InputError, match="has no direction"):
        DirectionReward(Aspects(), {"help": 0.0})
    for text in ("help", "help:", ":1", "help:1,help:2", "help:nan"):
        with pytest.raises(InputError, match="give aspects with weights, such as"):
            read_direction(text)
    assert read_direction("help:0.8, brief:-0.6") == {"help": 0.8, "brief": -0.6}
    with pytest.raises(ShapeError, match="aspects are"):
        along(np.zeros((2, 3)), np.ones(2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_rotating_both_changes_nothing_and_a_unit_vector_picks_its_aspect(seed, k):
    rng = np.random.default_rng(seed)
    aspects, direction = rng.normal(size=(3, 6, k)), rng.normal(size=(3, k))
    turn = np.linalg.qr(rng.normal(size=(k, k)))[0]
    assert np.allclose(along(aspects @ turn, (direction @ turn)[:, None]), along(aspects, direction[:, None]))
    assert best_along(aspects, direction).tolist() == best_along(aspects @ turn, direction @ turn).tolist()
    assert np.allclose(np.linalg.norm(unit_direction(direction), axis=1), 1)
    assert along(aspects, 7 * direction[:, None]) == pytest.approx(along(aspects, direction[:, None]))
    for i in range(k):
        chosen = best_along(aspects, np.tile(np.eye(k)[i], (3, 1)))
        assert chosen.tolist() == aspects[:, :, i].argmax(axis=1).tolist()


def test_an_arc_by_hand():
    root = math.sqrt(0.5)
    assert np.allclose(arc(2), [[root, -root], [1.0, 0.0]])
    assert np.allclose(arc(1, low=0, high=180), [[0.0, 1.0]])
    with pytest.raises(InputError, match="n is 0"):
        arc(0)
