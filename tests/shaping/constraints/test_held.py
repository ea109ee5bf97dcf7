"""Rewards held at their points: weights by hand, their movement, references, and what is refused."""

import math

import numpy as np
import pytest
import yaml

from plaudit import load
from plaudit.errors import InputError
from plaudit.policy.online.state import taken_apart
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.shaping.constraints import open_constrained
from plaudit.shaping.nested import evaluated, updated
from plaudit.testing import RewardContract

NAN = float("nan")


class Fixed:
    """Says these numbers; NaN is an abstention."""

    scope = "sample"

    def __init__(self, name, values, bounds):
        self.name, self.values, self.bounds, self.fingerprint = name, values, bounds, name

    def __call__(self, samples):
        reward = np.array(self.values[: len(samples)])
        return RewardBatch(reward, np.where(np.isnan(reward), Outcome.ABSTAINED, 0).astype(np.int8))


ASKED = [Sample("q", str(i)) for i in range(3)]
HELP, BRIEF = Fixed("help", [1.0, 3.0, NAN], (0.0, 4.0)), Fixed("brief", [-2.0, 0.0, 0.0], (-2.0, 0.0))


def held(**options):
    return open_constrained(
        [{"reward": HELP, "threshold": 3.0}, {"reward": BRIEF, "threshold": -1.5}], **{"momentum": 0.0, **options}
    )


class TestHeld(RewardContract):
    def make_reward(self):
        return load({"combine/constrained": {"terms": [{"reward": "rule/repetition", "threshold": -0.1}]}})


def test_weights_begin_at_a_half_and_follow_the_means_by_hand():
    reward = held(rate=1.0)
    batch = reward(ASKED)
    assert batch.reward.tolist() == pytest.approx([0.5 * 1 + 0.5 * -2, 0.5 * 3, NAN], nan_ok=True)
    assert batch.outcome.tolist() == [0, 0, Outcome.ABSTAINED]
    assert reward.bounds == (-2.0, 4.0)  # weights of 0 to 1: 0 + -2 at least, 4 + 0 at most
    # means 2 and -1 over the two that count; gradients s (1 - s) (mean - threshold): -1/4 and 1/8, descended
    core, tree = taken_apart(reward)
    after, same = updated(tree, iter([core(ASKED)]), ASKED)
    assert same.reward == pytest.approx(batch.reward, nan_ok=True)
    assert after.by.multipliers.value == pytest.approx((0.25, -0.125))
    weights = [1 / (1 + math.exp(-0.25)), 1 / (1 + math.exp(0.125))]
    now = evaluated(after, iter([core(ASKED)]), ASKED).reward
    assert now[:2].tolist() == pytest.approx([weights[0] - 2 * weights[1], 3 * weights[0]])
    assert after.fingerprint != tree.fingerprint
    assert tree.by.restored(after.by.state()) == after.by


def test_equal_weights_begin_at_nothing_and_turn_negative_above_the_point():
    reward = held(kind="equal", rate=1.0)
    assert reward(ASKED).reward[:2].tolist() == [0.0, 0.0]
    assert reward.bounds == (-6.0, 6.0)
    core, tree = taken_apart(reward)
    after = updated(tree, iter([core(ASKED)]), ASKED)[0]
    # gradients (mean - threshold) of -1 and 0.5: brief lies above its point, and is pushed down
    assert after.by.multipliers.weights == pytest.approx([math.tanh(1.0), math.tanh(-0.5)])


def test_a_batch_in_which_nothing_counts_moves_nothing():
    nothing = open_constrained([{"reward": Fixed("none", [NAN, NAN], (0.0, 1.0)), "threshold": 0.5}])
    core, tree = taken_apart(nothing)
    assert updated(tree, iter([core(ASKED[:2])]), ASKED[:2])[0] == tree


def test_a_recipe_is_rebuilt_to_an_equal_reward(tmp_path):
    recipe = {
        "combine/constrained": {
            "kind": "equal", "rate": 0.1,
            "terms": [
                {"reward": {"shape/squash": {"of": "rule/length", "scale": 50}}, "threshold": 0.5},
                {"reward": "rule/repetition", "threshold": -0.2},
            ],
        }
    }  # fmt: skip
    (tmp_path / "held.yaml").write_text(yaml.safe_dump(recipe))
    first, second = load(str(tmp_path / "held.yaml")), load(recipe)
    assert first == second
    assert first.fingerprint == second.fingerprint


TERM = {"reward": "rule/length", "threshold": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terms": []}, "give a list of"),
        ({"terms": ["rule/length"]}, "term 1 is 'rule/length'; give a mapping with a reward and a threshold"),
        ({"terms": [{"reward": "rule/length"}]}, "term 1 has no threshold; give it a reward and a threshold"),
        ({"terms": [{"reward": "rule/length", "treshold": 1.0}]}, "unknown key 'treshold'; did you mean 'threshold'"),
        ({"terms": [{**TERM, "weight": 1.0}]}, "term 1: unknown key 'weight'; known: reward, threshold"),
        ({"terms": [{**TERM, "threshold": "high"}]}, "term 1: threshold is 'high'; give a number"),
        ({"terms": [{**TERM, "threshold": NAN}]}, "thresholds is .nan.; give finite numbers"),
        ({"terms": [TERM], "kind": "most"}, "kind 'most' is not known"),
        ({"terms": [TERM], "rate": 0}, "give at least one threshold, a positive rate"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        load({"combine/constrained": options})
