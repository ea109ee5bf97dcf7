"""What a second review found: each of these once gave a wrong number, a warning or a crash."""

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.records import Sample
from plaudit.rewards.base import RewardBatch
from plaudit.shaping.combine import Combined, Term, gated_steps, lexicographic_ranks
from plaudit.shaping.constraints import Multipliers
from plaudit.shaping.filtering import SpreadFilter, group_spread
from plaudit.shaping.groups import (
    Stretch,
    TaskDeviations,
    batch_standardised,
    branch_advantages,
    mean_only,
    pairwise_advantages,
    trust_weights,
    trusted_reward,
)
from plaudit.shaping.length import relative_brevity
from plaudit.shaping.steps import Stream, stream_advantages, verifiable_step_rewards
from plaudit.shaping.transforms import Par, Quantile, References, RunningClip, Standardise, Whiten

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("baseline", ["mean", "leave-one-out", "standardised", "process-leave-one-out"])
def test_a_reward_missing_in_one_stream_enters_the_baseline_of_none(baseline):
    first, second = [[1.0], [0.0], [5.0]], [[1.0], [2.0], [NAN]]
    streams = [Stream(np.array(v), baseline=baseline) for v in (first, second)]
    found = stream_advantages(streams, np.ones((3, 1), bool), [0, 0, 0])
    without = stream_advantages(
        [Stream(np.array(v[:2]), baseline=baseline) for v in (first, second)], np.ones((2, 1), bool), [0, 0]
    )
    assert np.array_equal(found[:2], without)
    assert found[2].tolist() == [0.0]
    if baseline == "leave-one-out":  # by hand: (1 - 0) + (1 - 2) and (0 - 1) + (2 - 1)
        assert found.tolist() == [[0.0], [0.0], [0.0]]


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        # the gain was first seen after the second step; the first looks one step ahead: 0.7 * 1
        ([0, NAN, 1], [0.7, 1.0]),
        ([NAN, 0.25, 0.75], [0.35, 0.5]),  # before the first known one nothing changes; 0.7 * 0.5
        ([0.5, 1.0, NAN], [0.5, 0.0]),
        ([NAN, 0.5, NAN], [0.0, 0.0]),
        ([NAN, NAN], [NAN]),
    ],
)
def test_an_accuracy_that_is_not_known_is_no_change(accuracy, expected):
    assert verifiable_step_rewards(accuracy) == pytest.approx(expected, nan_ok=True)


def test_equal_rewards_have_no_spread_whatever_their_sum_is():
    tenths = np.array([[0.1, 0.1, 0.1], [0.1, NAN, 0.1], [0.0, 1.0, NAN], [0.1, NAN, NAN]])
    assert group_spread(tenths) == pytest.approx([0.0, 0.0, 0.5, NAN], nan_ok=True)
    assert group_spread(tenths)[0] == 0.0  # not 1e-17
    spread = SpreadFilter(ratio=0, ema_from=1, filter_from=1, step=1, mean=0.5)
    assert spread.keep(tenths).tolist() == [False, False, True, False]
    assert SpreadFilter(ema_from=1).updated(tenths[:1]).mean == 0.0
    assert group_spread(np.zeros((2, 0))) == pytest.approx([NAN, NAN], nan_ok=True)


def test_what_a_constant_does_to_a_deviation_of_raw_rewards():
    # by hand: squares about 6 are 36, 16, 16, 36, over n - 1: sqrt(104 / 3); with 10 less in the second sqrt(4 / 3)
    far = batch_standardised([0.0, 2.0, 10.0, 12.0], [0, 0, 1, 1], center=False, epsilon=0.0)
    near = batch_standardised([0.0, 2.0, 0.0, 2.0], [0, 0, 1, 1], center=False, epsilon=0.0)
    assert np.abs(far) == pytest.approx([(3 / 104) ** 0.5] * 4)
    assert np.abs(near) == pytest.approx([(3 / 4) ** 0.5] * 4)


def test_a_right_answer_of_unknown_length_is_of_mean_length():
    # two right ones in the easy bucket, the known one of the mean length: nothing saved, nothing lost
    assert relative_brevity([1, 1, 1, 0], [10, NAN, 10, 5], [0, 0, 0, 0]).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_steps_that_are_not_known_stay_so_behind_an_open_gate():
    found = gated_steps([1.0, 0.0], np.array([[NAN, 2.0], [NAN, 2.0]]), np.ones((2, 2), bool), threshold=0.5)
    assert np.array_equal(found, [[NAN, 2.0], [0.0, 0.0]], equal_nan=True)


class Rule:
    name, scope, fingerprint, bounds = "rule", "sample", "rule", (0.0, 1.0)

    def __call__(self, samples):
        return RewardBatch(np.zeros(len(samples)))


REFUSED = {
    "thresholds": (lambda: Multipliers((NAN,)), "multipliers: thresholds is .nan.; give finite numbers"),
    "another's state": (lambda: Multipliers((1.0,)).restored({}), "multipliers: the state has"),
    "tolerance": (lambda: Combined((Term(Rule(), tolerance=NAN),), "lexicographic"), "tolerance is .nan."),
    "tolerances": (lambda: lexicographic_ranks([[1.0]], [0], tolerance=INF), "tolerance is .inf."),
    "thinking": (lambda: trusted_reward([1.0, 0.0], [0.5, 5.0], [0, 0], step=0), "thinking is 5.0; give scores"),
    "endless thinking": (lambda: trust_weights([1.0, 0.0], [INF, 0.5], [0, 0]), "thinking is inf"),
    "width": (lambda: RunningClip(width=INF), "running-clip: width is inf; give a positive number"),
    "slope": (lambda: Par(References({"a": (0.0,)}), k=INF), "par: k is inf"),
    "whiten": (lambda: Whiten(epsilon=INF), "whiten: epsilon is inf"),
    "standardise": (lambda: Standardise(epsilon=INF), "standardise: epsilon is inf"),
    "branches": (lambda: branch_advantages([[1], [2]], [0.0, INF]), "branch_advantages: a reward is infinite"),
    "token ids": (lambda: branch_advantages([[2**31], [2]], [0.0, 1.0]), "token ids from 2147483648"),
    "strengths": (lambda: pairwise_advantages([INF], [[0, 1]], [0, 0]), "pairwise_advantages: a strength is infinite"),
    "similarities": (lambda: Stretch().updated([0.0, INF]), "stretch: a similarity is infinite"),
    "labels": (lambda: mean_only([1.0, 2.0], [[0], [0]]), "groups: unhashable type"),
    "squares": (
        lambda: Standardise().restored({"n": 1, "mean": 0.0, "square": -1.0, "low": 0.0, "high": 0.0, "rate": 0.0}),
        "statistics: n is 1, mean 0.0 and square -1.0",
    ),
    "references": (lambda: Quantile([0.0, 1.0]).restored({"references": 3.0}), "references are 3.0; give a list"),
    "no reference": (lambda: Quantile([0.0, 1.0]).restored({"references": [0.0, NAN]}), "give a list of finite"),
    "tasks": (
        lambda: TaskDeviations().updated([0.0, 1.0], ["a", "b"]).advantages([0.0, 1.0], [0, 0], ["a", "b"]),
        "the group of sample 0 has several tasks",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_number_of_anything_is_one_line(case):
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["plot", "all?k=2"], "all are drawn as they are; name one transform to give it options"),
        (["fit", "fused", "x.jsonl", "--out", "y.json", "--reward", "rule/length"], "shape fit: fused has no state"),
        (["fit", "shape/win-rate", "x.jsonl", "--out", "y.json", "--reward", "rule/length"], "win-rate has no state"),
    ],
)
def test_commands(command, message, capsys):
    assert main(["shape", *command]) == 2
    assert message in capsys.readouterr().err


def test_a_transform_with_a_fixed_state_is_no_statistic_of_a_batch():
    by = Quantile([0.0, 1.0])
    assert by.updated(RewardBatch(np.array([5.0])), [Sample("a", "b")]) is by
