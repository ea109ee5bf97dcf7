"""Every estimator: by hand, and what must be true of all of them."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.policy import AdvantageEstimator, AdvantageInputs, Compared
from plaudit.policy.advantages import (
    BestAllowed,
    BranchCredit,
    BriefByDifficulty,
    BriefWhereMastered,
    Constrained,
    ContrastAllowed,
    DifficultyScaled,
    Filtered,
    GroupRelative,
    LeaveOneOut,
    OneOfEachKind,
    ReinforcePlusPlus,
    ReinforcePlusPlusBaseline,
    SpreadFiltered,
    StreamCredit,
    Strengths,
    TaskScaled,
    ValueBased,
    WinRates,
    WithinAccuracy,
    WithoutOutliers,
)
from plaudit.shaping import SpreadFilter
from plaudit.shaping.groups import pairs_within

ALL = {
    "grpo": GroupRelative(), "grpo-batch": GroupRelative(scale="batch"), "dr-grpo": GroupRelative(scale="none"),
    "rloo": LeaveOneOut(), "rloo-kl": LeaveOneOut(kl_coef=0.1, normalise=True),
    "reinforce++": ReinforcePlusPlus(kl_coef=0.1, gamma=0.9), "reinforce++-baseline": ReinforcePlusPlusBaseline(),
    "ppo": ValueBased(kl_coef=0.05, gamma=0.9), "tempo": BranchCredit(), "prime": StreamCredit(gamma=0.9),
    "pref-grpo": WinRates(), "think-rm": Strengths(), "ema-grpo": TaskScaled(),
    "stable": WithoutOutliers(of=ReinforcePlusPlus()), "stable-grpo": WithoutOutliers(threshold=1.0),
    "pf-ppo": Filtered(), "grpo-s": DifficultyScaled(),
    "rlpr": SpreadFiltered(filter=SpreadFilter(filter_from=1, ema_from=1)), "grpo-lambda": BriefWhereMastered(),
    "traac": BriefByDifficulty(), "crpg": Constrained(of=GroupRelative(scale="none")),
    "crraft": BestAllowed(), "codpo": ContrastAllowed(), "oreal": OneOfEachKind(),
    "dapo": WithinAccuracy(low=0.0, high=1.0, open=True),
}  # fmt: skip


def full(inputs, seed=0):
    """The batch with everything that any estimator asks for."""
    rng = np.random.default_rng(seed + 1)
    n, count = len(inputs), inputs.grouped.count
    pairs = pairs_within(inputs.groups)
    there = inputs.included[pairs].all(axis=1)
    apart = np.where(there, rng.normal(size=len(pairs)), np.nan)
    columns = {
        "allowed": (rng.random(n) < 0.7).astype(float), "hardness": rng.random(count)[inputs.grouped.code],
        "gap": rng.normal(size=count)[inputs.grouped.code],
    }  # fmt: skip
    told = Compared(pairs, np.where(there, (apart > 0).astype(float), np.nan), apart)
    return replace(inputs, columns=columns, compared=told)


@pytest.mark.parametrize("name", ALL)
def test_the_contract(make_inputs, name):
    estimator, inputs = ALL[name], full(make_inputs())
    assert isinstance(estimator, AdvantageEstimator)
    assert estimator.extent in ("group", "batch")
    found = estimator(inputs)
    flat = found.flat(inputs.lengths)
    assert flat.shape == (inputs.lengths.sum(),)
    assert np.abs(flat).max() > 0
    assert not flat[~found.included[inputs.owner]].any()
    assert (found.included <= inputs.included).all()
    assert all(isinstance(value, float) for value in found.metrics.values())
    assert {"reward", "included", "silent_groups"} <= set(found.metrics)
    # every option is a field of its own with a default, and the state comes back
    assert all(f.default is not f.default_factory for f in fields(estimator))
    later = estimator.updated(inputs)
    again = estimator.restored(later.state())
    assert np.array_equal(again(inputs).flat(inputs.lengths), later(inputs).flat(inputs.lengths))


@pytest.mark.parametrize("name", ALL)
def test_what_is_needed_is_said(make_inputs, name):
    estimator = ALL[name]
    inputs = full(make_inputs())
    bare = AdvantageInputs(inputs.reward, inputs.groups, inputs.lengths)
    kept = {k: getattr(inputs, k) for k in estimator.needs if k in AdvantageInputs.__dataclass_fields__}
    columns = {k: inputs.columns[k] for k in estimator.needs if k not in kept}
    told = replace(bare, columns=columns, **kept)  # what it says it needs is enough
    taken = {k: getattr(inputs, k) for k in estimator.takes if k in AdvantageInputs.__dataclass_fields__}
    assert estimator(told).included.any()
    # and nothing else is read than what it needs or takes
    everything = replace(told, columns={**columns, **_only(inputs, estimator.takes)}, **taken)
    assert np.array_equal(estimator(everything).flat(bare.lengths), estimator(inputs).flat(bare.lengths))
    for name in estimator.needs:
        less = replace(told, columns={k: v for k, v in columns.items() if k != name})
        less = replace(less, **{name: None}) if name in kept else less
        with pytest.raises(InputError, match=f"needs `{name}`, which this batch does not have"):
            estimator(less)


def _only(inputs, names):
    return {name: inputs.columns[name] for name in names if name in inputs.columns}


@pytest.mark.parametrize("name", [name for name, e in ALL.items() if e.takes])
def test_what_is_taken_counts(make_inputs, name):
    estimator, rng = ALL[name], np.random.default_rng(0)
    inputs = full(make_inputs())
    for taken in estimator.takes:
        if taken == "token_rewards":
            other = replace(inputs, token_rewards=rng.normal(size=inputs.owner.size))
        else:
            other = replace(inputs, columns={**inputs.columns, taken: rng.uniform(1, 9, len(inputs))})
        assert not np.allclose(estimator(inputs).flat(inputs.lengths), estimator(other).flat(inputs.lengths))


def without(inputs, gone):
    """The batch without some of its completions."""
    kept, tokens = ~gone, ~gone[inputs.owner]
    place = np.cumsum(kept) - 1
    told = inputs.compared
    inside = kept[told.pairs].all(axis=1)
    parts = {k: getattr(inputs, k)[tokens] for k in ("tokens", "token_rewards", "values", "logp", "ref_logp")}
    return AdvantageInputs(
        inputs.reward[kept], inputs.grouped.code[kept], inputs.lengths[kept], correct=inputs.correct[kept],
        tasks=tuple(t for t, k in zip(inputs.tasks, kept, strict=True) if k),
        compared=Compared(place[told.pairs[inside]], told.probability[inside], told.strength[inside]),
        columns={k: v[kept] for k, v in inputs.columns.items()}, **parts,
    )  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
@pytest.mark.parametrize("name", ALL)
def test_what_has_no_reward_changes_nothing_for_the_others(make_inputs, name, seed):
    inputs = full(make_inputs((3, 4, 2, 5), seed=seed, missing=0.3), seed)
    gone = ~inputs.included
    whole, less = ALL[name](inputs), ALL[name](without(inputs, gone))
    assert np.allclose(whole.flat(inputs.lengths)[~gone[inputs.owner]], less.flat(inputs.lengths[~gone]), atol=1e-9)
    assert np.array_equal(whole.included[~gone], less.included)
    assert not whole.included[gone].any()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
@pytest.mark.parametrize("name", sorted(set(ALL) - {"oreal", "crraft", "codpo"}))  # they take the first of several
def test_the_order_of_completions_does_not_matter(make_inputs, name, seed):
    rng = np.random.default_rng(seed)
    inputs = full(make_inputs((3, 4, 2), seed=seed), seed)
    order = rng.permutation(len(inputs))
    back = np.argsort(order)
    parts = {
        k: np.concatenate([inputs.split(getattr(inputs, k))[i] for i in order])
        for k in ("tokens", "token_rewards", "values", "logp", "ref_logp")
    }
    told = inputs.compared
    moved = AdvantageInputs(
        inputs.reward[order], inputs.grouped.code[order], inputs.lengths[order], correct=inputs.correct[order],
        tasks=tuple(inputs.tasks[i] for i in order), columns={k: v[order] for k, v in inputs.columns.items()},
        compared=Compared(back[told.pairs], told.probability, told.strength), **parts,
    )  # fmt: skip
    found = moved.split(ALL[name](moved).flat(moved.lengths))
    expected = inputs.split(ALL[name](inputs).flat(inputs.lengths))
    assert all(np.allclose(found[place], expected[i], atol=1e-9) for place, i in enumerate(order))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3))
@pytest.mark.parametrize(
    "name", ["grpo", "dr-grpo", "rloo", "tempo", "ema-grpo", "reinforce++-baseline", "stable-grpo", "prime"]
)
def test_a_constant_added_to_a_groups_rewards_changes_nothing(make_inputs, name, seed, shift):
    inputs = full(make_inputs(seed=seed), seed)
    estimator = StreamCredit() if name == "prime" else ALL[name]  # discounted, long completions see less of it
    if name == "ema-grpo":  # its running variance may see the level of the rewards; one frozen before does not
        estimator = estimator.updated(inputs).updated(inputs)
        frozen = replace(estimator.deviations, decay=1 - 1e-15)
        estimator = replace(estimator, deviations=frozen)
    moved = replace(inputs, reward=inputs.reward + shift * (inputs.grouped.code == 1))
    a, b = (estimator(x).flat(inputs.lengths) for x in (inputs, moved))
    assert np.allclose(a, b, atol=1e-7)


def batch(reward, groups, lengths=None, **more):
    lengths = np.ones(len(reward), dtype=int) if lengths is None else np.array(lengths)
    return AdvantageInputs(np.array(reward, dtype=float), groups, lengths, **more)


def test_grpo_and_rloo_by_hand():
    given = batch([1, 0, 0, 1, np.nan], [0, 0, 0, 0, 0])
    # mean 1/2; over n - 1 the variance is (4 / 4) / 3
    assert GroupRelative(epsilon=0.0)(given).sequence == pytest.approx(
        np.array([1, -1, -1, 1, 0]) * 0.5 / math.sqrt(1 / 3)
    )
    assert GroupRelative(scale="none")(given).sequence.tolist() == [0.5, -0.5, -0.5, 0.5, 0]
    # 4/3 of it
    assert LeaveOneOut()(given).sequence == pytest.approx(np.array([2, -2, -2, 2, 0]) / 3)
    costly = batch([1, 0], [0, 0], [2, 1], logp=[-1, -1, -1], ref_logp=[-2, -3, -1])
    # the first pays a tenth of 1 + 2 nats: 0.7 - 0
    found = LeaveOneOut(kl_coef=0.1)(costly)
    assert found.sequence == pytest.approx(np.array([0.7, -0.7]))
    assert found.metrics["kl_penalty"] == pytest.approx(-0.15)
    normal = LeaveOneOut(normalise=True, epsilon=0.0)(given).sequence
    assert normal == pytest.approx(np.array([1, -1, -1, 1, 0]) * math.sqrt(3) / 2)
    assert not LeaveOneOut(normalise=True)(batch([1, 1], [0, 0])).sequence.any()


def test_reinforce_plus_plus_by_hand():
    given = batch([1, 0, np.nan], [0, 1, 2], [2, 1, 3])
    # returns of the tokens 1, 1 and 0: mean 2/3, variance (1/9 + 1/9 + 4/9) / 2 = 1/3
    found = ReinforcePlusPlus()(given)
    assert found.token == pytest.approx(np.array([1, 1, -2, 0, 0, 0]) / 3 / math.sqrt(1 / 3), abs=1e-6)
    assert found.returns.tolist() == [1, 1, 0, 0, 0, 0]
    alone = batch([1, 0, 7], [0, 0, 1], [1, 3, 2])
    # 1/2 once, -1/2 three times: mean -1/4, variance (9/16 + 3/16) / 3 = 1/4; the one alone says nothing
    expected = np.array([1.5, -0.5, -0.5, -0.5, 0, 0])
    assert ReinforcePlusPlusBaseline()(alone).token == pytest.approx(expected, abs=1e-6)


def test_value_based_by_hand():
    given = batch([1, np.nan], [0, 1], [2, 1], values=[0.5, 0.25, 3.0])
    found = ValueBased(lam=0.5, whiten=False)(given)
    # d = (0.25 - 0.5, 1 - 0.25); A = (-0.25 + 0.5 * 0.75, 0.75)
    assert found.token.tolist() == [0.125, 0.75, 0]
    assert found.returns.tolist() == [0.625, 1, 3.0]
    assert found.metrics["value_error"] == pytest.approx((0.125**2 + 0.75**2) / 2)
    cut = replace(given, columns={"last_value": np.array([2.0, 0.0])})
    # the last error sees 2 after the end: 1 + 2 - 0.25
    assert ValueBased(lam=0.0, whiten=False)(cut).token.tolist() == [-0.25, 2.75, 0]


def test_tempo_by_hand():
    # 7 8, 7 9, 5 9 with rewards 1, 0, 0; V after 7 is 1/2, after 7 8 it is 1
    given = batch([1, 0, 0], [0, 0, 0], [2, 2, 2], tokens=[7, 8, 7, 9, 5, 9])
    scale = math.sqrt(2) / 3
    expected = np.array([2 / 3 + 1 / 6, 2 / 3 + 0.5, -1 / 3 + 1 / 6, -1 / 3 - 0.5, -2 / 3, -1 / 3]) / scale
    assert BranchCredit(epsilon=0.0)(given).token == pytest.approx(expected)


def test_prime_by_hand():
    given = batch([1, 0], [0, 0], [2, 1], token_rewards=[0.5, 0.25, -0.25])
    # outcome: +1 and -1; process: 2 r - (0.375 - 0.25) summed from the end; the largest return is 0.75
    q = np.array([0.5, 0.25, -0.25]) / 0.75
    mean = q[:2].mean() + q[2]
    process = [2 * q[0] - mean + 2 * q[1] - mean, 2 * q[1] - mean, 2 * q[2] - mean]
    expected = np.array([1, 1, -1]) + 0.5 * np.array(process)
    found = StreamCredit(process=0.5, whiten=False)(given)
    assert found.token == pytest.approx(expected)
    assert found.metrics["largest_process_return"] == 0.75
    # the implicit reward of a model that is its own reference is 0: what is left is leave one out
    same = replace(given, token_rewards=np.zeros(3))
    assert StreamCredit(whiten=False)(same).token.tolist() == [1, 1, -1]
    # [1, 0, 0, 1] by leave one out: 2/3 apart from the mean of the others [198]
    four = batch([1, 0, 0, 1], [0] * 4, token_rewards=np.zeros(4))
    assert StreamCredit(whiten=False)(four).token == pytest.approx(np.array([2, -2, -2, 2]) / 3)


def test_prime_says_nothing_of_a_completion_alone():
    # the second group has one reward that counts; its token rewards and its own count nowhere
    given = batch([1, 0, 1, np.nan], [0, 0, 1, 1], [1, 1, 2, 1], token_rewards=[0.5, 0.5, 9, 9, 9])
    found = StreamCredit()(given)
    assert found.token == pytest.approx([1, -1, 0, 0, 0], abs=1e-6)
    assert found.metrics["largest_process_return"] == 0.5
    assert found.included.tolist() == [True, True, True, False]


def test_pref_grpo_by_hand():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 7.0, 10.0])
    pairs = pairs_within([0] * 8)
    probability = (scores[pairs[:, 0]] > scores[pairs[:, 1]]).astype(float)
    given = batch([np.nan] * 8, [0] * 8, compared=Compared(pairs, probability))
    found = WinRates(epsilon=0.0)(given)
    # rates k / 7 of deviation sqrt(63 / 12) / 7: evenly spaced, 3.5 / 2.29129 at the ends [128]
    assert found.sequence == pytest.approx((np.arange(8) - 3.5) / math.sqrt(63 / 12))
    assert found.sequence[-1] == pytest.approx(1.5275, abs=1e-4)
    assert found.included.all()  # a win rate needs no reward
    assert WinRates(epsilon=0.0, clip=1.0)(given).sequence[-1] == 1.0
    # with the scores themselves added, and no preference to speak of, it is their z-score
    mixed = WinRates(preference=1e-9, pointwise=1.0, epsilon=0.0)(replace(given, reward=scores))
    assert mixed.sequence == pytest.approx((scores - scores.mean()) / scores.std(), abs=1e-6)


def test_think_rm_by_hand():
    reward = np.array([2.0, -1.0, 0.5])
    pairs = pairs_within([0] * 3)
    strength = reward[pairs[:, 0]] - reward[pairs[:, 1]]
    given = batch([np.nan] * 3, [0] * 3, compared=Compared(pairs, np.full(3, np.nan), strength))
    assert Strengths(epsilon=0.0)(given).sequence == pytest.approx((reward - 0.5) / reward.std(ddof=1))
    # the third was in no judgement
    less = Compared(pairs[:1], np.array([np.nan]), np.array([3.0]))
    assert Strengths()(replace(given, compared=less)).included.tolist() == [True, True, False]
    with pytest.raises(InputError, match="the comparison gave probabilities only"):
        Strengths()(replace(given, compared=Compared(pairs, np.ones(3))))


def test_ema_grpo_by_hand():
    given = batch([1, 0, 0, 0, 1, 1, 1, 0], [0] * 4 + [1] * 4, tasks=["x"] * 8)
    found = TaskScaled()(given)
    # mean 1/2 and deviation 1/2 of the task: the batch counts before it is used [83]
    assert found.sequence == pytest.approx(np.array([1.5, -0.5, -0.5, -0.5, 0.5, 0.5, 0.5, -1.5]), abs=1e-5)
    assert found.metrics["deviation/x"] == 0.5
    state = TaskScaled().updated(given).state()
    assert state == {"moments": {"x": [0.5, 0.5]}}
    # a task without a single reward is no error
    none = batch([1, 0, np.nan], [0, 0, 1], tasks=["x", "x", "y"])
    assert TaskScaled()(none).sequence[2] == 0


def test_outliers_by_hand():
    # 99 zeros and one 1: mean 1/100, variance (99/100) / 99, so z is 9.9 once and -1/10 otherwise: the one goes [15]
    given = batch([*[0.0] * 99, 1000.0], range(100))
    found = WithoutOutliers(of=ReinforcePlusPlus())(given)
    assert found.token == pytest.approx(np.array([*[-0.1] * 99, 0.0]))
    assert found.metrics["outliers"] == 0.01
    assert WithoutOutliers(of=ReinforcePlusPlus(), threshold=10.0)(given).token[-1] == pytest.approx(9.9)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10))
def test_of_ten_values_three_deviations_filter_nothing(values):
    found = WithoutOutliers(of=ReinforcePlusPlus())(batch(values, range(len(values))))
    assert found.metrics["outliers"] == 0.0


def test_rounding_is_not_blown_up_to_outliers():
    noise = 1e-17 * np.random.default_rng(0).normal(size=50)
    inner = ReinforcePlusPlus()
    given = batch(1e-9 * np.arange(50) + noise, range(50))
    assert np.abs(WithoutOutliers(of=inner)(given).token).max() < 2
    tiny = batch(noise, range(50))
    assert np.abs(WithoutOutliers(of=inner)(tiny).token).max() < 1e-4


def test_z_scores_know_nothing_of_who_is_alone():
    # 1/2 and -1/2 have deviation sqrt(1/2) over n - 1; the two that are alone would make it sqrt(1/6)
    given = batch([1, 0, 1, 0, np.nan], [0, 0, 1, 2, 2])
    found = WithoutOutliers(of=GroupRelative(scale="none"))(given)
    assert found.sequence == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5), 0, 0, 0])
    # long completions weigh more in the mean over tokens, which is then not 0
    tokens = batch([1, 0, 1], [0, 0, 1], [2, 4, 3], tokens=[1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert WithoutOutliers(of=BranchCredit())(tokens).token[6:].tolist() == [0, 0, 0]


def test_pf_ppo_by_hand():
    given = batch([3, 1, 2, 5, 5], [0, 0, 0, 1, 1])
    found = Filtered()(given)
    # the best and the worst by half each; equals share
    assert found.weight.tolist() == [0.5, 0.5, 0, 0.5, 0.5]
    assert np.array_equal(found.sequence, GroupRelative()(given).sequence)
    assert found.metrics["kept"] == 0.8
    assert Filtered(filter="best")(given).weight.tolist() == [1, 0, 0, 0.5, 0.5]
    # |r|^2 of rewards normalised over the batch: 3.2 apart from the mean in thousandths, see the order
    power = Filtered(filter="power")(given).weight
    squares = (np.array([3, 1, 2]) - 3.2) ** 2
    assert power[:3] == pytest.approx(squares / squares.sum())
    twice = Filtered(of=Filtered(filter="best"), filter="best-worst")(given)
    assert twice.weight.tolist() == [0.5, 0, 0, 0.25, 0.25]


def test_grpo_s_by_hand():
    columns = {"hardness": [0, 0, 1, 1], "gap": [2, 2, 2, 2]}
    given = batch([1, 0, 1, 0], [0, 0, 1, 1], columns=columns)
    inner = GroupRelative(scale="none")
    mean = 1 / (1 + math.exp(-0.5))
    # gaps are equal, and count 1; sigmoid(0) / sigmoid(1/2) and sigmoid(1) / sigmoid(1/2) [122]
    expected = np.array([0.5, 0.5, 1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(-1.0))]) / mean
    assert DifficultyScaled(of=inner)(given).sequence == pytest.approx(expected * [0.5, -0.5, 0.5, -0.5])
    tokens = DifficultyScaled(of=ReinforcePlusPlus())(given).token
    assert tokens == pytest.approx(expected * ReinforcePlusPlus()(given).token)


def test_rlpr_by_hand():
    estimator = SpreadFiltered(filter=SpreadFilter(ratio=0.5, ema_from=1, filter_from=2, decay=0.5))
    given = batch([1, 0, 0.6, 0.5], [0, 0, 1, 1])
    assert estimator(given).included.all()  # the first step filters nothing
    later = estimator.updated(given)
    assert later.filter.mean == pytest.approx((0.5 + 0.05) / 2)
    found = later(given)
    # 0.05 is below half of 0.275
    assert found.included.tolist() == [True, True, False, False]
    assert found.sequence[2:].tolist() == [0, 0]
    assert found.metrics["dropped"] == 0.5
    assert estimator.restored(later.state()) == later


def test_groups_within_an_accuracy_by_hand():
    correct = [1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, np.nan]
    given = batch(np.nan_to_num(correct), np.repeat([0, 1, 2], [2, 4, 6]), correct=correct)
    # all of the first, none of the second, and 4 of the 5 of the third that are known are right
    assert WithinAccuracy()(given).included.tolist() == [False] * 6 + [True] * 6
    assert WithinAccuracy(open=True)(given).included.tolist() == [False] * 12
    assert WithinAccuracy(low=0.0, high=1.0, open=True)(given).included.tolist() == [False] * 6 + [True] * 6
    assert WithinAccuracy(low=0.0, high=1.0)(given).included.all()
    found = WithinAccuracy(of=ReinforcePlusPlus())(given)
    assert not found.token[:6].any()
    assert found.metrics["dropped"] == 0.5


def test_grpo_lambda_by_hand():
    # the first group is right most often, and paid by length [36]; the wrong one there gets 0
    correct = [1, 1, 1, 0, 1, 0, 0, 0]
    given = batch(correct, [0] * 4 + [1] * 4, [100, 200, 300, 50, 5, 6, 7, 8], correct=correct)
    shown = BriefWhereMastered().shown(given).reward
    assert shown == pytest.approx(np.array([0.86374, 0.7, 0.53626, 0, 1, 0, 0, 0]), abs=1e-5)
    found = BriefWhereMastered(of=GroupRelative(scale="none"))(given)
    assert found.sequence == pytest.approx(np.concatenate([shown[:4] - shown[:4].mean(), shown[4:] - 0.25]))
    assert found.metrics["reward"] == 0.5
    assert found.metrics["reshaped_reward"] == pytest.approx(shown.mean())


def test_traac_by_hand():
    correct = [1, 1, 1, 0]
    given = batch(correct, [0] * 4, [10, 20, 30, 5], correct=correct)
    # three of four are right: easy, 0.4 of the share saved beside the mean of 20; wrong ones as they are [31]
    assert BriefByDifficulty().shown(given).reward == pytest.approx(np.array([1.2, 1.0, 0.8, 0.0]))
    shorter = replace(given, columns={"kept_length": [10, 10, 10, 1]})
    assert BriefByDifficulty().shown(shorter).reward.tolist() == [1, 1, 1, 0]


def test_crpg_and_crraft_by_hand():
    given = batch(
        [0.5, 0.8, 0.6, 0.9], [0] * 4, [1, 1, 2, 1], logp=[-1, -1, -1, -1, -1], ref_logp=[-1, -3, -2, -2, -1],
        columns={"allowed": [1, 1, 1, 0]},
    )  # fmt: skip
    # log-ratios 0, 2, 2, 0 of at most 4: 0.5, 0.4, 0.3, and nothing for the forbidden one [62]
    estimator = Constrained(of=GroupRelative(scale="none"), kl_max=4.0)
    assert estimator.shown(given).reward == pytest.approx(np.array([0.5, 0.4, 0.3, 0.0]))
    assert estimator(given).sequence == pytest.approx(np.array([0.2, 0.1, 0, -0.3]))
    far = replace(estimator, kl_max=2.0)
    assert far.shown(given).reward.tolist() == [0.5, 0, 0, 0]
    best = BestAllowed(kl_max=4.0)(given)
    assert best.included.tolist() == [False, True, False, False]
    assert best.sequence.tolist() == [0, 0.8, 0, 0]
    assert BestAllowed(kl_max=1.0)(given).sequence.tolist() == [0.5, 0, 0, 0]
    nothing = replace(given, columns={"allowed": np.zeros(4)})
    assert not estimator(nothing).sequence.any()
    assert not BestAllowed()(nothing).included.any()
    with pytest.raises(InputError, match="constrained: a log-ratio is inf"):
        estimator(replace(given, ref_logp=np.array([-np.inf, 0, 0, 0, 0])))


def test_oreal_selection_by_hand():
    given = batch([0, 1, 1, 0, 1, 1], [0, 0, 0, 0, 1, 1], correct=[0, 1, 1, 0, 1, 1])
    found = OneOfEachKind()(given)
    # the first wrong and the first right one of the mixed group; the group that is all right is dropped [24]
    assert found.included.tolist() == [True, True, False, False, False, False]
    assert found.sequence == pytest.approx(np.array([-2, 2, 0, 0, 0, 0]) / 3)


def test_errors_say_what_is_wrong():
    for make, text in [
        (lambda: GroupRelative(scale="groups"), "scale 'groups' is not known; did you mean 'group'"),
        (lambda: WithoutOutliers(threshold=0.0), "without-outliers: threshold is 0"),
        (lambda: Filtered(filter="bests"), "filter 'bests' is not known; did you mean 'best'"),
        (lambda: WinRates(clip=0.0), "win-rates: weights are 1"),
        (lambda: StreamCredit(outcome=-1.0), "stream-credit: weights are -1"),
        (lambda: WithinAccuracy(low=0.9), "within-accuracy: low is 0.9 and high 0.8"),
        (lambda: GroupRelative().restored({"x": 1}), "GroupRelative: has no state, and was given"),
        (lambda: Filtered().restored({"x": 1}), "Filtered: was given"),
    ]:
        with pytest.raises(InputError, match=text):
            make()


def test_codpo_contrasts_the_best_allowed_with_the_worst_forbidden():
    """Group a: 0.9 is forbidden and 0.8 the best allowed; the worst forbidden is 0.2, though 0.1 is less.

    Group b forbids nothing: best against worst. Group c allows nothing, and group d has one completion: left out.
    """
    inputs = AdvantageInputs(
        reward=[0.9, 0.8, 0.2, 0.1, 0.5, 0.7, 0.6, 0.3, 0.4, 1.0], groups=[*"aaaabbbccd"], lengths=[1] * 10,
        columns={"allowed": [0, 1, 0, 1, 1, 1, 1, 0, 0, 1]},
    )  # fmt: skip
    found = ContrastAllowed()(inputs)
    assert found.sequence.tolist() == [0, 1, -1, 0, -1, 1, 0, 0, 0, 0]
    assert found.included.tolist() == [False, True, True, False, True, True, False, False, False, False]
