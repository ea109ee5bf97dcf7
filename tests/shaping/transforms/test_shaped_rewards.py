"""Rewards with transforms: outcomes, bounds, state, references, and back from their reference."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import yaml

from plaudit import load
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.rules import LengthReward
from plaudit.shaping.transforms import (
    Affine,
    Clip,
    MinMax,
    Par,
    Rank,
    References,
    RunningClip,
    Shaped,
    Squash,
    Standardise,
    Whiten,
)
from plaudit.shaping.transforms.naming import TRANSFORMS
from plaudit.testing import RewardContract, example_samples

WORDS = LengthReward()


def table(rewards):
    return References({key: tuple(values) for key, values in rewards.items()})


def references(samples):
    return References.scored([replace(s, completion="a b c") for s in samples], WORDS)


class TestPar(RewardContract):
    def make_reward(self):
        from plaudit.testing import hostile_samples

        return Shaped(WORDS, Par(references([*example_samples(), *hostile_samples()])))


class TestSquashed(RewardContract):
    def make_reward(self):
        return Shaped(Shaped(WORDS, Squash("tanh", scale=20.0)), Affine(2.0, -1.0))


class TestRanked(RewardContract):
    def make_reward(self):
        return Shaped(WORDS, Rank())


class Outcomes:
    """A reward of every outcome in turn; bounded below by -4."""

    name, scope, bounds, fingerprint = "outcomes", "sample", (-4.0, 4.0), "outcomes"

    def __call__(self, samples):
        outcome = np.arange(len(samples)) % 5
        reward = np.where(outcome == 0, 2.0, np.where(outcome == Outcome.POLICY_FAULT, -4.0, np.nan))
        return RewardBatch(reward, outcome.astype(np.int8))


@pytest.mark.parametrize("by", [Squash("tanh"), Affine(0.5, 1.0), Clip(low=-1.0), Rank(), Whiten(), MinMax()])
def test_outcomes_are_kept_and_a_policy_fault_is_worth_the_floor(by):
    shaped = Shaped(Outcomes(), by)
    samples = [Sample("a", str(i)) for i in range(10)]
    found = shaped(samples)
    assert found.outcome.tolist() == [0, 1, 2, 3, 4] * 2
    assert np.isnan(found.reward).tolist() == [False, False, True, True, True] * 2
    assert found.reward[1] == shaped.bounds[0]
    assert found.detail[0]["unshaped"] == 2.0
    assert "unshaped" not in found.detail[2]


def test_members_go_through_a_transform_of_each_reward_and_through_no_other():
    batch = RewardBatch(np.array([1.0, 2.0]), members=np.array([[0.0, 2.0], [2.0, 2.0]]), std=np.array([1.0, 0.0]))
    samples = [Sample("a", "b"), Sample("a", "c")]
    shaped = Affine(3.0, 1.0)(batch, samples)
    assert shaped.members.tolist() == [[1.0, 7.0], [7.0, 7.0]]
    assert shaped.std is None  # it was the unshaped reward's
    assert Rank()(batch, samples).members is None


def test_the_larger_scope_and_the_bounds_that_are_left():
    assert Shaped(WORDS, Rank()).scope == "group"
    assert Shaped(Shaped(WORDS, Whiten()), Rank()).scope == "batch"
    assert Shaped(WORDS, Clip(high=3.0)).bounds == (0.0, 3.0)
    assert Shaped(WORDS, Squash("tanh")).bounds == (0.0, 1.0)
    with pytest.raises(
        InputError, match=r"bounds would be -inf to 0.0, and a reward needs a finite floor; clip it first"
    ):
        Shaped(Unfloored(), Squash("log-sigmoid"))


class Unfloored(Outcomes):
    bounds = (-math.inf, math.inf)


def test_references_by_prompt():
    asked = [Sample("a", "one two"), Sample("a", "one two three four"), Sample("b", "one")]
    found = References.scored(asked, WORDS)
    rows = found.table([Sample("b", "x"), Sample("a", "x"), Sample("nowhere", "x")])
    assert np.array_equal(rows, [[1, np.nan], [2, 4], [np.nan, np.nan]], equal_nan=True)
    assert found.ends == (1.0, 4.0)
    assert found == References.scored(asked, WORDS)
    with pytest.raises(InputError, match="par: 1 of 2 samples have a prompt without a reference, the first 'nowhere'"):
        Shaped(WORDS, Par(found))([asked[0], Sample("nowhere", "x")])
    with pytest.raises(InputError, match="references: none of 0 completions has a reward by length; give others"):
        References.scored([], WORDS)


def test_a_sample_without_a_reward_needs_no_reference():
    shaped = Par(table({}))(RewardBatch(np.array([np.nan]), np.array([Outcome.TIMED_OUT], np.int8)), [Sample("a", "b")])
    assert np.isnan(shaped.reward[0])


def test_state_is_handed_on_and_never_judges_its_own_batch():
    samples = [Sample("a", str(i)) for i in range(3)]
    batch = RewardBatch(np.array([0.0, 4.0, np.nan]), np.array([0, 0, Outcome.TIMED_OUT], np.int8))
    by = Standardise(epsilon=0.0)
    assert np.array_equal(by(batch, samples).reward, batch.reward, equal_nan=True)  # nothing was seen yet
    later = by.updated(batch, samples)  # mean 2, deviation 2; the time-out enters neither
    assert later(batch, samples).reward[:2].tolist() == [-1.0, 1.0]
    assert by == Standardise(epsilon=0.0)  # a value: the old one is as it was
    assert later.fingerprint != by.fingerprint
    back = Standardise(epsilon=0.0).restored(json.loads(json.dumps(later.state())))
    assert back == later
    assert RunningClip().updated(batch, samples).limits((-9.0, 9.0)) == (0.0, 4.0)
    with pytest.raises(InputError, match="clip: has no state, and was given"):
        Clip().restored(later.state())
    with pytest.raises(InputError, match=r"min-max: the state has \['mean'\]; give"):
        MinMax().restored({"mean": 1.0})


def test_a_recipe_of_four_is_rebuilt_to_an_equal_reward(tmp_path):
    refs = tmp_path / "refs.jsonl"
    refs.write_text("".join(json.dumps({"prompt": p, "completion": "one two"}) + "\n" for p in ("a", "b")))
    written = {
        "shape/clip": {
            "low": 0.1,
            "of": {
                "shape/par": {
                    "references": str(refs),
                    "k": 0.5,
                    "of": {"shape/affine": {"of": "rule/length", "scale": 2}},
                }
            },
        }
    }
    path = tmp_path / "reward.yaml"
    path.write_text(yaml.safe_dump(written))
    first, second = load(path), load(yaml.safe_load(path.read_text()))
    assert first == second
    assert first.fingerprint == second.fingerprint
    assert first.name == "clip(par(affine(length)))"
    # by hand: 2 * 3 words against 2 * 2: sigmoid(0.5 * 2) = 0.73106
    assert first([Sample("a", "x y z")]).reward[0] == pytest.approx(0.73106, abs=1e-5)
    written["shape/clip"]["of"]["shape/par"]["k"] = 0.6
    assert load(written) != first


CHANGES = {
    "Par": {"k": 2.0, "shift": 1.0}, "Centred": {}, "LogSigmoid": {"quantile": 0.1},
    "Clip": {"low": 2.5, "high": 2.8}, "Squash": {"curve": "sigmoid", "center": 1.0, "scale": 3.0},
    "LengthControlled": {"slope": 2.0, "longest": 1},
    "Affine": {"scale": 2.0, "offset": 1.0}, "Standardise": {"rate": 0.9, "epsilon": 1.0, "limit": 0.1},
    "RunningClip": {"rate": 0.9, "width": 0.1}, "MinMax": {}, "Rank": {},
    "Whiten": {"center": False, "epsilon": 1.0, "limit": 0.1},
    "Quantile": {"output": "normal", "interpolate": True},
    "Stretched": {"low": 0.4, "high": 0.6, "gamma": 3.0, "target": 5.0, "decay": 0.1},
    "GroupMatched": {"column": "two", "match": "affine"},
    "ConfidenceShaping": {"mode": "threshold", "weight": 0.1, "rate": 0.9, "clamp": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_every_option_has_an_effect(kind):
    made = TRANSFORMS[kind]
    samples = [
        Sample("a", "b", group="g", meta={"one": "x", "two": "y"}),
        Sample("a", "c d\nConfidence: 9", group="g", meta={"one": "y", "two": "x"}),
    ]
    earlier = [RewardBatch(np.array(x)) for x in ([0.0, 1.0], [3.0, 9.0])]
    batch = RewardBatch(np.array([2.0, 3.0]))
    given = (
        {"references": References.scored([Sample("a", w) for w in ("x", "x y z", "v w x y z")], WORDS)}
        if kind in REFERENCED
        else {}
    )

    if kind == "length-controlled":
        given = {"slope": 1.0}
    if kind == "stretch":
        given = {"decay": 0.2, "target": 1.0}
    if kind == "group-matched":
        given = {"column": "one", "groups": ("x", "y"), "offset": (0.25, -0.25), "scale": (2.0, 0.5)}

    def shaped(**changes):
        by = made(**(given | changes))
        for seen in earlier:
            by = by.updated(seen, samples)
        return by(batch, samples).reward.tolist(), by.fingerprint

    plain = shaped()
    changes = CHANGES[made.__name__]
    assert set(changes) == {f.name for f in fields(made)} - {*made.remembered, "references"}
    for name, value in changes.items():
        reward, fingerprint = shaped(**{name: value})
        assert reward != plain[0], name
        assert fingerprint != plain[1], name


REFERENCED = ("par", "centred", "log-sigmoid", "quantile")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("shape/par?of=rule/length", "shape/par: needs the option 'references'"),
        ("shape/clip?of=rule/length&lo=1", "shape/clip: unknown option 'lo'; did you mean 'low'"),
        ("shape/clip?of=rule/length&low=x", "shape/clip: low is 'x'; give a number"),
        ("shape/squash?of=rule/length&curve=tan", "curve 'tan' is not known; did you mean 'tanh'"),
        ("shape/squash?of=rule/length&scale=0", "give a finite center and a positive scale"),
        ("shape/affine?of=rule/length&scale=-1", "affine: scale is -1.0, offset 0.0; give a positive scale"),
        ("shape/standardise?of=rule/length&limit=0", "give epsilon >= 0, a finite limit > 0"),
        ("shape/running-clip?of=rule/length&width=0", "width is 0.0; give a positive number of deviations"),
        ("shape/min-max?of=rule/length&rate=0.5", "shape/min-max: unknown option 'rate'"),
        ("shape/length-controlled?of=rule/length", "slope is 0.0 and longest 2000; give a slope that is not 0"),
        ("shape/whiten?of=rule/length&epsilon=-1", "whiten: epsilon is -1.0"),
    ],
)
def test_bad_references_are_one_line(reference, message):
    with pytest.raises(InputError) as error:
        load(reference)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_references_must_be_samples(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")
    with pytest.raises(
        InputError, match=r"references: row 1 of .* is a pair row; give samples, with prompt and completion"
    ):
        load(f"shape/par?of=rule/length&references={path}")
