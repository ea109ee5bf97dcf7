"""Which updates of a run began with a batch of completions."""

from plaudit.runs.history import batches_of


def test_a_batch_has_a_reward_or_at_least_outcomes():
    rows = [
        {"reward": 0.5},
        {"loss": 0.1, "kl": 0.2},
        {"outcome/timed_out": 1.0},
        {"outcome/timed_out": 0.0, "reward": 1},
    ]
    assert batches_of(rows) == [rows[0], rows[2], rows[3]]
    assert batches_of([{"loss": 0.3, "accuracy": 0.5}]) == []
