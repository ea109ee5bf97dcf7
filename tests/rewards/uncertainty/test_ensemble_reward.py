"""Several rewards as one: moments, outcomes, centring, references."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import plaudit
from plaudit.errors import InputError, ShapeError
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.functions import FunctionReward
from plaudit.rewards.uncertainty import EnsembleReward, centred_within, combined_outcomes, mixture_moments
from plaudit.testing import RewardContract

TABLES = arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=st.floats(-10, 10))


def fixed(values, name="f", floor=-5.0, **columns):
    """A reward that gives these numbers in the samples' order, with these columns."""

    class Fixed:
        scope, bounds, fingerprint = "sample", (floor, float("inf")), name

        def __call__(self, samples):
            return RewardBatch(np.array(values, float), **{k: np.array(v) for k, v in columns.items()})

    Fixed.name = name
    return Fixed()


ASKED = [Sample("a", "x"), Sample("a", "y"), Sample("b", "z")]


class TestEnsemble(RewardContract):
    def make_reward(self):
        def letters(samples):
            return [float(len(s.text)) for s in samples]

        def vowels(samples):
            return [float(sum(c in "aeiou" for c in s.text)) for s in samples]

        letters.bounds = vowels.bounds = (0.0, float("inf"))
        return EnsembleReward([FunctionReward(letters), FunctionReward(vowels)])


def test_moments_by_hand():
    # members 1 and 3; their own deviations 1 and 2, noises 3 and 5: variance 1 + (1 + 4) / 2, noise (9 + 25) / 2
    mean, std, noise = mixture_moments(np.array([[1.0, 3.0]]), std=np.array([[1.0, 2.0]]), noise=np.array([[3.0, 5.0]]))
    assert mean.tolist() == [2.0]
    assert std.tolist() == pytest.approx([3.5**0.5])
    assert noise.tolist() == pytest.approx([17**0.5])


def test_weighted_moments_by_hand():
    # members 1 and 3 at 3/4 and 1/4: mean 1.5, variance 0.75 * 0.25 + 0.25 * 2.25 = 0.75; own 0.75 * 1 + 0.25 * 4
    members, own, noises = np.array([[1.0, 3.0]]), np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    mean, std, noise = mixture_moments(members, std=own, noise=noises, weights=np.array([0.75, 0.25]))
    assert mean.tolist() == [1.5]
    assert std.tolist() == pytest.approx([2.5**0.5])
    assert noise.tolist() == pytest.approx([13**0.5])  # 0.75 * 9 + 0.25 * 25
    alike = mixture_moments(members, std=own, noise=noises, weights=np.array([0.5, 0.5]))
    assert np.allclose(alike, mixture_moments(members, std=own, noise=noises))
    with pytest.raises(ShapeError, match="weights are"):
        mixture_moments(members, weights=np.array([1.0]))


def test_weights_of_members(tmp_path):
    first, second = fixed([1.0, 2.0, 3.0]), fixed([3.0, 2.0, -3.0], name="g", floor=-9.0)
    weighted = EnsembleReward([first, second], weights=[0.75, 0.25])
    assert weighted(ASKED).reward.tolist() == [1.5, 2.0, 1.5]
    assert weighted.bounds == (-6.0, float("inf"))  # 0.75 * -5 + 0.25 * -9
    assert weighted.fingerprint != EnsembleReward([first, second], weights=[0.5, 0.5]).fingerprint
    # centred within prompts the weighted mean is what it was
    centred = EnsembleReward([first, second], weights=[0.75, 0.25], center="prompt")(ASKED)
    assert centred.reward.tolist() == pytest.approx([1.5, 2.0, 1.5])
    (tmp_path / "e.yaml").write_text(
        yaml.safe_dump({"ensemble/of": {"models": ["rule/length", "rule/repetition"], "weights": [0.9, 0.1]}})
    )
    assert plaudit.load(str(tmp_path / "e.yaml")).weights.tolist() == [0.9, 0.1]
    assert plaudit.load("ensemble/of?models=rule/length,rule/repetition&weights=0.9,0.1").weights.tolist() == [0.9, 0.1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 rewards; give one a reward"),
        ([0.5, 0.6], r"weights are \[0.5, 0.6\]; they must be positive and of sum 1"),
        ([1.0, 0.0], "they must be positive and of sum 1"),
        ([0.5, float("nan")], "they must be positive and of sum 1"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(InputError, match=message):
        EnsembleReward([fixed([1.0]), fixed([2.0])], weights=weights)


def test_moments_are_those_of_the_mixture():
    rng = np.random.default_rng(0)
    centre, spread = np.array([0.0, 2.0, -1.0]), np.array([0.5, 1.0, 2.0])
    draws = (centre + spread * rng.normal(size=(200_000, 3))).ravel()
    mean, std, noise = mixture_moments(centre[None], noise=spread[None])
    assert float(mean[0]) == pytest.approx(draws.mean(), abs=0.01)
    assert float(std[0] ** 2 + noise[0] ** 2) == pytest.approx(draws.var(), rel=0.01)
    with pytest.raises(ShapeError, match="noise is"):
        mixture_moments(centre[None], noise=spread[None, :2])


@settings(max_examples=40, deadline=None)
@given(TABLES, st.integers(0, 99))
def test_centring_takes_shifts_out_and_keeps_the_mean(members, seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 3, len(members)).tolist()
    found = centred_within(members, groups)
    assert np.allclose(found.mean(axis=1), members.mean(axis=1), atol=1e-9)
    shifts = rng.normal(size=(3, members.shape[1]))
    moved = centred_within(members + shifts[groups], groups)
    level = shifts.mean(axis=1)[groups][:, None]
    assert np.allclose(moved, found + level, atol=1e-9)
    assert np.allclose(centred_within(found, groups), found, atol=1e-9)


def test_centring_by_hand_and_without_what_does_not_count():
    members = np.array([[0.0, 10.0], [2.0, 14.0], [np.nan, np.nan]])
    # levels of the members over the two that count: 1 and 12, of the ensemble 6.5
    found = centred_within(members, ["a", "a", "a"])
    assert found[:2].tolist() == [[5.5, 4.5], [7.5, 8.5]]
    assert np.isnan(found[2]).all()
    with pytest.raises(ShapeError, match="2 groups for 3 samples"):
        centred_within(members, ["a", "a"])


def test_a_batch_by_hand():
    first = fixed([1.0, 2.0, 3.0], std=[0.0, 0.0, 3.0], noise=[1.0, 1.0, 1.0])
    second = fixed([3.0, 2.0, 3.0], noise=[1.0, 7.0, 1.0])
    batch = EnsembleReward([first, second])(ASKED)
    assert batch.reward.tolist() == [2.0, 2.0, 3.0]
    assert batch.std.tolist() == pytest.approx([1.0, 0.0, 4.5**0.5])  # the mean of the variances 9 and 0
    assert batch.noise.tolist() == pytest.approx([1.0, 5.0, 1.0])  # root of (1 + 49) / 2
    assert batch.members.tolist() == [[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]]
    assert EnsembleReward([first, fixed([0.0, 0.0, 0.0])])(ASKED).noise is None


@pytest.mark.parametrize("options", [{}, {"weights": [0.75, 0.25]}, {"center": "prompt"}])
def test_members_that_are_one_model_are_that_model(options):
    values, own, noise = [1.0, -2.5, 3.0], [0.0, 0.5, 2.0], [1.0, 3.0, 0.0]
    plain = EnsembleReward([fixed(values), fixed(values, name="g")], **options)(ASKED)
    assert plain.reward.tolist() == values
    assert plain.std.tolist() == [0.0, 0.0, 0.0]
    assert plain.members.tolist() == [[v, v] for v in values]
    # with a deviation of its own: that, and no more
    unsure = [fixed(values, name=name, std=own, noise=noise) for name in "fg"]
    batch = EnsembleReward(unsure, **options)(ASKED)
    assert batch.std.tolist() == pytest.approx(own)
    assert batch.noise.tolist() == pytest.approx(noise)


def test_outcomes_are_combined_by_the_worst():
    s, p, a, t, i = (Outcome(k) for k in range(5))
    rows = np.array([[s, s, s, p, p, a, t], [s, p, a, p, i, i, a]])
    assert combined_outcomes(rows).tolist() == [s, s, a, p, i, i, t]
    first = fixed([1.0, -5.0, np.nan], outcome=[s, p, a])
    batch = EnsembleReward([first, fixed([3.0, 1.0, 2.0])])(ASKED)
    assert batch.outcome.tolist() == [s, s, a]
    assert batch.reward[:2].tolist() == [2.0, -2.0]  # the floor of -5 takes part
    assert np.isnan([batch.reward[2], batch.std[2], *batch.members[2]]).all()


def test_centred_members_do_not_see_shifts_of_prompts():
    first = fixed([0.0, 1.0, 5.0])
    shifted = fixed([10.0, 11.0, -5.0])
    plain, centred = (EnsembleReward([first, shifted], center=c) for c in ("none", "prompt"))
    assert (plain.scope, centred.scope) == ("sample", "group")
    assert plain(ASKED).std.tolist() == [5.0, 5.0, 5.0]
    assert np.allclose(centred(ASKED).std, 0.0)  # the members agree on every difference
    assert centred(ASKED).reward.tolist() == plain(ASKED).reward.tolist()
    assert plain.fingerprint != centred.fingerprint


def test_references(tmp_path, make_reward, samples):
    for seed in (0, 1):
        make_reward(seed=seed).save(tmp_path / str(seed))
    paths = [str(tmp_path / "0"), str(tmp_path / "1")]
    found = plaudit.load(f"ensemble/of?models={','.join(paths)}")
    apart = [plaudit.load(p)(samples).reward for p in paths]
    batch = found(samples)
    assert np.allclose(batch.reward, np.mean(apart, axis=0), atol=1e-6)
    assert np.allclose(batch.members, np.stack(apart, axis=1), atol=1e-6)
    assert np.allclose(batch.std, np.abs(apart[0] - apart[1]) / 2, atol=1e-6)
    (tmp_path / "e.yaml").write_text(yaml.safe_dump({"ensemble/of": {"models": paths, "center": "prompt"}}))
    written = plaudit.load(tmp_path / "e.yaml")
    assert written.center == "prompt"
    assert np.allclose(written(samples).reward, batch.reward, atol=1e-6)
    nested = plaudit.load({"ensemble/of": {"models": [paths[0], {"rule/length": {"target": 5}}]}})
    assert nested.rewards[0].name == "0"


def test_what_is_refused():
    with pytest.raises(InputError, match="1 reward; an ensemble has at least 2"):
        plaudit.load("ensemble/of?models=rule/length")
    with pytest.raises(InputError, match="center is 'group'; give 'none' or 'prompt'"):
        plaudit.load("ensemble/of?models=rule/length,rule/repetition&center=group")
    with pytest.raises(InputError, match="models is 3; give a list of references"):
        plaudit.load({"ensemble/of": {"models": 3}})
    with pytest.raises(InputError, match="needs the option 'models'"):
        plaudit.load("ensemble/of")
