"""What the table under the bar shows of a run."""

from __future__ import annotations

from plaudit.training.callbacks import followed, told


def test_rewards_first_then_what_is_watched_then_outcomes_that_occur():
    history = [
        {"loss": 0.1, "reward": 0.2, "watched/judge": 0.5, "kl": 0.0, "outcome/other": 0.0, "outcome/timed_out": 0.1},
        {"loss": 0.1, "reward": 0.4, "watched/judge": 0.4, "kl": 0.3, "outcome/other": 0.0, "outcome/timed_out": 0.0},
        {"train_loss": 0.1},
    ]  # fmt: skip
    assert followed(history) == {
        "reward": [0.2, 0.4], "watched/judge": [0.5, 0.4], "kl": [0.0, 0.3], "outcome/timed_out": [0.1, 0.0],
    }  # fmt: skip


def test_batches_in_which_every_reward_was_lost_are_shown_too():
    history = [
        {"loss": 0.1, "reward": 0.2, "length": 3.0, "outcome/instrument_fault": 0.0, "outcome/timed_out": 0.0},
        {"loss": 0.0, "length": 4.0, "outcome/instrument_fault": 1.0, "outcome/timed_out": 0.0},
    ]
    assert followed(history) == {"reward": [0.2], "length": [3.0, 4.0], "outcome/instrument_fault": [0.0, 1.0]}
    assert told(history[0]) == "loss 0.1, reward 0.2, length 3"
    assert told(history[1]) == "loss 0, length 4, instrument fault 1"


def test_a_run_without_rewards_has_no_table():
    assert followed([{"loss": 0.3, "accuracy": 0.5}]) == {}
