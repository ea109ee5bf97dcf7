import numpy as np
import pytest

from plaudit.audit import audit_confidence, overconfidence
from plaudit.errors import ShapeError
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.rewards.base import RewardBatch
from plaudit.shaping import read_confidence


def test_shares_by_hand():
    # chosen: higher, tie, lower, unknown -> (1 + 1/2 + 0)/3; rejected: lower, lower, higher, higher -> 1/2;
    # paired over the three rows that have both: (1 - 0) + (1/2 - 0) + (0 - 1) over 3
    nan = np.nan
    found = overconfidence([2, 1, 0, nan], [1, 1, 1, 1], [0, 0, 3, 3], [1, 1, 1, 1])
    assert found.chosen.value == pytest.approx(0.5)
    assert found.rejected.value == pytest.approx(0.5)
    assert found.separation.value == pytest.approx((1 + 0.5 - 1) / 3)
    with pytest.raises(ShapeError, match="each pair has all four"):
        overconfidence([1.0], [1.0], [1.0], [1.0, 2.0])


class Reads:
    """Reward: worth of the text plus `pay(worth)` for the stated confidence."""

    name, scope, bounds, fingerprint = "reads", "sample", (-100.0, 100.0), "f"

    def __init__(self, pay):
        self.pay = pay

    def __call__(self, samples):
        rows = []
        for sample in samples:
            rest, stated = read_confidence(sample.text)
            worth = 1.0 if "good" in rest else -1.0
            rows.append(worth + self.pay(worth) * stated)
        return RewardBatch(np.array(rows))


@pytest.mark.parametrize(
    ("pay", "chosen", "rejected"),
    [(lambda _: 1.0, 1.0, 1.0), (lambda worth: worth, 1.0, 0.0), (lambda _: 0.0, 0.5, 0.5), (lambda _: -1.0, 0.0, 0.0)],
)
def test_a_reward_that_pays_for_confidence_is_found(pay, chosen, rejected):
    pairs = [Pair(conversation(f"q{i // 2}"), f"good {i}", f"bad {i}") for i in range(60)]
    found = audit_confidence(pairs, Reads(pay), np.random.default_rng(0), resamples=50)
    assert (found.chosen.value, found.rejected.value) == (chosen, rejected)
    assert found.separation.value == chosen - rejected
    assert found.chosen.n == 30  # prompts, not pairs
