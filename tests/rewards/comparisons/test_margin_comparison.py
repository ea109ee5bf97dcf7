import numpy as np
import pytest

from plaudit import Sample
from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Comparison, Outcome, RewardBatch
from plaudit.rewards.calibrators import Conformal, Temperature, VennAbers
from plaudit.rewards.comparisons import MarginComparison
from plaudit.rewards.registry import load, resolve


class Numbers:
    """Reward: the completion read as a number; `x` abstains, `fault` is the policy's."""

    name, scope, bounds, fingerprint = "numbers", "sample", (-5.0, float("inf")), "f"
    log_odds_per_unit = 2.0

    def __call__(self, samples):
        outcome = [{"x": Outcome.ABSTAINED, "fault": Outcome.POLICY_FAULT}.get(s.text, 0) for s in samples]
        value = [{"x": np.nan, "fault": -5.0}.get(s.text) for s in samples]
        value = [float(s.text) if v is None else v for v, s in zip(value, samples, strict=True)]
        return RewardBatch(np.array(value), np.array(outcome, dtype=np.int8))


def compared(calibrator, *pairs):
    first, second = zip(*[(Sample("q", a), Sample("q", b)) for a, b in pairs], strict=True)
    return MarginComparison(Numbers(), calibrator)(first, second)


MARGINS = np.random.default_rng(0).normal(1.0, 2.0, size=100)


def test_the_margin_is_in_the_rewards_own_log_odds():
    batch = compared(Temperature(0.5, 10), ("3", "1"), ("1", "3"), ("1", "1"))
    # a difference of 2 is a stated log-odds of 4, half of which counts: sigmoid(2)
    np.testing.assert_allclose(batch.probability, [1 / (1 + np.exp(-2)), 1 - 1 / (1 + np.exp(-2)), 0.5])
    assert batch.outcome.tolist() == [0, 0, 0]
    assert batch.std is None
    assert batch.detail[0] == {"margin": 4.0}


def test_outcomes_of_the_sides():
    batch = compared(Temperature(0.5, 10), ("x", "1"), ("fault", "1"), ("x", "fault"))
    assert batch.outcome.tolist() == [Outcome.ABSTAINED, Outcome.POLICY_FAULT, Outcome.ABSTAINED]
    assert np.isnan(batch.probability[[0, 2]]).all()
    assert batch.probability[1] == pytest.approx(1 / (1 + np.exp(6)))  # the floor of -5 counts: 2 (-5 - 1) / 2
    assert batch.detail[0] == {}


def test_venn_abers_gives_a_deviation_and_an_interval():
    fitted = VennAbers.fit(MARGINS)
    batch = compared(fitted, ("1", "0"), ("x", "0"))
    low, high = fitted.interval([2.0])
    assert batch.std[0] == pytest.approx((high[0] - low[0]) / 2)
    assert batch.detail[0]["interval"] == [low[0], high[0]]
    assert np.isnan(batch.std[1])


def test_a_conformal_set_with_both_labels_abstains():
    fitted = Conformal.fit(MARGINS, level=0.9)
    batch = compared(fitted, ("5", "0"), ("0", "5"), ("0.01", "0"), ("x", "0"))
    assert [d.get("set") for d in batch.detail] == [["first"], ["second"], ["first", "second"], None]
    assert batch.outcome.tolist() == [0, 0, Outcome.ABSTAINED, Outcome.ABSTAINED]
    assert np.isnan(batch.probability).tolist() == [False, False, True, True]


def test_fingerprints_and_errors():
    one, other = (MarginComparison(Numbers(), Temperature(s, 10)) for s in (0.5, 0.6))
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == MarginComparison(Numbers(), Temperature(0.5, 10)).fingerprint
    assert isinstance(one, Comparison)
    assert one.name == "numbers-temperature"
    with pytest.raises(ShapeError, match="1 first and 0 second samples"):
        one([Sample("q", "1")], [])
    group = Numbers()
    group.scope = "group"
    with pytest.raises(InputError, match="scores a whole group together; give a reward of samples"):
        MarginComparison(group, Temperature(0.5, 10))


def test_the_registry_says_what_is_missing(make_reward, tmp_path):
    make_reward().save(tmp_path / "model")
    with pytest.raises(InputError, match=r"has no calibration; run plaudit calibrate PAIRS --reward .*/model first"):
        resolve(f"compare/margin?of={tmp_path / 'model'}")
    with pytest.raises(InputError, match="compare/margin: needs the option 'of'"):
        resolve("compare/margin")
    with pytest.raises(InputError, match="compare/margin: rule/length has no calibration"):
        load("compare/margin?of=rule/length")
