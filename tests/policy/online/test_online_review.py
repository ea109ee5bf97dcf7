"""Cases at the edges of an online run: batches that teach nothing, columns that collide, several processes."""

import numpy as np
import pytest

from plaudit.policy.online.trainer import OnlineTrainer
from plaudit.rewards.base import Outcome, RewardBatch
from small_policies import Sevens, run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Abstaining(Sevens):
    """No reward for anything."""

    def __call__(self, samples):
        nothing = np.full(len(samples), np.nan)
        return RewardBatch(nothing, np.full(len(samples), Outcome.ABSTAINED))


def test_a_batch_that_teaches_nothing_is_taken_up_once(tmp_path, monkeypatch):
    """Its updates are many, and each would count it again in statistics, in the KL's coefficient and in the alarm."""
    seen, states, collected, moved = [], [], OnlineTrainer._collected, OnlineTrainer._moved_on

    def collect(self, asked, **rest):
        seen.append([one.key for one in asked])
        return collected(self, asked, **rest)

    def move(self, *parts):
        states.append(moved(self, *parts))
        return states[-1]

    monkeypatch.setattr(OnlineTrainer, "_collected", collect)
    monkeypatch.setattr(OnlineTrainer, "_moved_on", move)
    found = run(tmp_path, reward=Abstaining(), rows=8, passes=3, kl_coef=0.1, kl_target=1.0)
    assert len(found.history) == 6
    assert len(seen) == len(states) == 2
    # the policy does not move, so both batches have one error and multiply the coefficient by one factor
    first, second = (state.kl.value for state in states)
    assert first < 0.1
    assert second / first == pytest.approx(first / 0.1)


def test_the_coefficient_of_the_kl_is_that_of_all_processes(tmp_path, monkeypatch):
    """Each process sees its own completions; coefficients of their own would drift apart."""
    alone, together, moved = [], [], OnlineTrainer._moved_on

    def move(self, *parts):
        alone.append(moved(self, *parts))
        with monkeypatch.context() as patched:
            # another process whose KL is large: 12 completions of 100 nats
            patched.setattr(OnlineTrainer, "_everywhere", lambda _, mine: ([*mine, (1200.0, 12)], 0))
            together.append(moved(self, *parts))
        return alone[-1]

    monkeypatch.setattr(OnlineTrainer, "_moved_on", move)
    run(tmp_path, rows=4, kl_coef=0.1, kl_target=1.0)
    assert alone[0].kl.value < 0.1 < together[0].kl.value
