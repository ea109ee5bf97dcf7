"""A system message that fills what the model reads costs its own sample the reward, and no other."""

import numpy as np
import pytest

from plaudit.records import Message, Sample
from plaudit.rewards.base import Outcome

LONG = (Message("system", "be brief " * 40), Message("user", "q"))
REASON = "truncation: template and system message alone exceed max_length 64"


@pytest.fixture(scope="module")
def short(make_reward):
    return make_reward(max_length=64)


def test_one_sample_without_room_costs_no_other(short):
    others = [Sample("What is the capital of Peru?", "Lima"), Sample("q", "a b c"), Sample("q", "d")]
    alone = short(others)
    batch = short([others[0], Sample(LONG, "yes"), others[1], Sample(LONG, "no"), others[2]])
    assert batch.outcome.tolist() == [0, Outcome.ABSTAINED, 0, Outcome.ABSTAINED, 0]
    assert batch.reward[[0, 2, 4]] == pytest.approx(alone.reward, abs=1e-6)
    assert np.isnan(batch.reward[[1, 3]]).all()
    assert batch.detail[1] == {"reason": REASON}
    assert [batch.detail[i] for i in (0, 2, 4)] == list(alone.detail)


def test_none_has_room(short):
    batch = short([Sample(LONG, "yes"), Sample(LONG, "no")])
    assert batch.outcome.tolist() == [Outcome.ABSTAINED] * 2
