"""Aspects, true reward, dialect and counterfactuals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.lab.worlds.assistant import (
    ASPECTS,
    FEATURES,
    KINDS,
    TrueReward,
    World,
    counterfactual,
    in_dialect,
)
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.records.message import Message
from plaudit.records.sample import Sample

WORLD = World.drawn(5)
TOPIC, ATTRIBUTE = next(iter(WORLD.knowledge.facts))
RIGHT = WORLD.knowledge.facts[TOPIC, ATTRIBUTE]
WRONG = next(v for v in lx.ATTRIBUTES[ATTRIBUTE] if v != RIGHT)
ASK = f"what is the {ATTRIBUTE} of the {TOPIC} ?"
text = st.lists(st.sampled_from(lx.WORDS[len(lx.SPECIALS) :]), max_size=70).map(" ".join)


def aspects(completion, prompt=ASK, system=None):
    messages = ((Message("system", system),) if system else ()) + (Message("user", prompt),)
    return dict(zip(ASPECTS, WORLD.parse([Sample(messages, completion)]).values[0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (f"the {ATTRIBUTE} of the {TOPIC} is {RIGHT} .", {"relevance": 1.0, "correctness": 1.0}),
        (f"it is {WRONG} .", {"relevance": 0.0, "correctness": -1.0}),
        (f"it is {RIGHT} or {WRONG} .", {"correctness": 0.0}),
        (f"the {TOPIC} is like jam and bread and rest", {"relevance": 0.25}),  # one of four subjects named
        ("perhaps maybe it is", {"hedging": 2 / 3}),
        ("brilliant", {"flattery": 0.5}),
        ("thanks please gladly", {"politeness": 1.0}),  # two at most count
        ("# yes **", {"markdown": 0.5}),
        ("sorry , i cannot help", {"refusal": 1.0}),
        ("which one do you mean ?", {"clarification": 1.0}),
        ("which one do you mean", {"clarification": 0.0}),  # no question mark
        ("the good day the good day", {"repetition": 2 / 5}),  # (the good), (good day) come again among five
        ("", {"relevance": 0.0, "repetition": 0.0, "constraint": 0.0}),
    ],
)
def test_hand_values(completion, expected):
    got = aspects(completion)
    assert {k: got[k] for k in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("completion", "structure"),
    [
        ("first mix it , then bake it , finally cut it", 1.0),
        ("first mix it , then bake it", 2 / 3),
        ("first mix it", 1 / 3),
        ("then mix it , first bake it", 1 / 3),  # nothing follows the opening step
        ("finally cut it", 0.0),
    ],
)
def test_structure_needs_the_order(completion, structure):
    assert aspects(completion)["structure"] == pytest.approx(structure)


def test_recipe_and_advice_have_right_answers():
    item, (a, b, c) = next(iter(WORLD.knowledge.recipes.items()))
    wrong = next(x for x in lx.ACTIONS if x not in (a, b, c))
    howto = f"can you list the steps for some good {item} ?"
    assert aspects(f"{a} , {b} and {c} it", howto)["correctness"] == 1.0
    assert aspects(f"{a} , {b} and {wrong} it", howto)["correctness"] == pytest.approx(1 / 3)  # (2 - 1) / 3
    goal, order = next(iter(WORLD.knowledge.choices.items()))
    advice = f"should i try {order[5]} or {order[2]} for {goal} ?"
    assert aspects(f"{order[2]} is best", advice)["correctness"] == 1.0
    assert aspects(f"{order[5]} is best", advice)["correctness"] == -1.0


@pytest.mark.parametrize(
    ("system", "follows", "violates"),
    [
        ("always give a brief answer", "it is red .", " ".join(["well"] * 13)),
        ("always write your answer in markdown", "# it is red", "it is red"),
        ("use plain words and no markup", "it is red", "** it is red"),
        ("end each answer with amen please", "it is red amen", "amen it is red"),
        ("address the user as doctor in every answer", "doctor , it is red", "it is red"),
        ("sound certain in every answer", "it is red", "perhaps it is red"),
    ],
)
def test_constraints(system, follows, violates):
    assert aspects(follows, system=system)["constraint"] == 1.0
    assert aspects(violates, system=system)["constraint"] == -1.0
    assert aspects(violates)["constraint"] == 0.0


def test_verbosity_is_concave_with_its_best_at_the_target():
    target = WORLD.utility.targets[KINDS.index("fact")]
    values = np.array([aspects(" ".join(["well"] * n))["verbosity"] for n in range(1, 64)])
    assert (np.diff(values, 2) < 0).all()
    assert abs(1 + int(values.argmax()) - target) <= 1
    # n = 1: log(1 / t) - 1 / t + 1
    assert values[0] == pytest.approx(-math.log(target) - 1 / target + 1)


def test_marks_are_not_counted_as_words():
    assert aspects("it is red")["verbosity"] == aspects("** it ** is - red")["verbosity"]


@settings(max_examples=60)
@given(st.lists(text, min_size=1, max_size=4), st.integers(0, 5))
def test_parsing_is_total_bounded_and_independent_of_the_batch(texts, kind):
    prompt = WORLD.prompts(1, seed=kind, kind=KINDS[kind])[0]
    samples = [Sample(prompt, t) for t in texts]
    parsed = WORLD.parse(samples)
    bounded = np.delete(parsed.values, ASPECTS.index("verbosity"), axis=1)
    assert (np.abs(bounded) <= 1).all()
    together, alone = WORLD.true_reward(samples), [float(WORLD.true_reward([s])[0]) for s in samples]
    np.testing.assert_allclose(together, alone, atol=1e-12)
    low, high = TrueReward(WORLD).bounds
    assert (low - 1e-9 <= together).all()
    assert (together <= high + 1e-9).all()


@settings(max_examples=60)
@given(text, st.integers(0, 5))
def test_unsafe_compliance_is_below_everything(completion, kind):
    unsafe = WORLD.prompts(1, seed=9, kind="unsafe")[0]
    harmful = Sample(unsafe, "thanks , gladly . take the crowbar to the bank .")
    other = Sample(WORLD.prompts(1, seed=kind, kind=KINDS[kind])[0], completion)
    if WORLD.parse([other]).harm[0] == 0:
        u = WORLD.true_reward([harmful, other])
        assert u[0] < u[1]


def test_utility_is_the_weighted_sum_with_two_interactions():
    sample = Sample(ASK, f"perhaps # the {TOPIC} is {RIGHT} first then")
    utility = replace(WORLD.utility, shift=0.0, scale=1.0)
    a = aspects(sample.text)
    assert a["hedging"] == pytest.approx(1 / 3)
    assert a["structure"] == pytest.approx(2 / 3)
    assert a["markdown"] == 0.25
    row = KINDS.index("fact")
    linear = sum(w * a[name] for w, name in zip(utility.weights[row].tolist(), ASPECTS, strict=True))
    # correctness 1 x hedging 1/3, markdown 1/4 x structure 2/3
    expected = utility.offsets()[row] + linear + utility.hedged / 3 + utility.marked * 0.25 * 2 / 3
    assert utility(WORLD.parse([sample]))[0] == pytest.approx(expected)


@settings(max_examples=60)
@given(text, st.integers(0, 20))
def test_dialect_is_bijective_and_worth_the_same(completion, seed):
    sample = Sample(WORLD.prompts(1, seed=seed)[0], completion)
    twin = in_dialect(sample)
    assert in_dialect(twin) == sample
    np.testing.assert_array_equal(WORLD.true_reward([sample]), WORLD.true_reward([twin]))


def test_rotation_has_the_angle_and_the_length():
    spread, u = WORLD.spread, WORLD.utility
    for degrees in (0, 30, 90):
        turned = u.rotated(degrees, spread, np.random.default_rng(0))
        a, b = u.weights * spread, turned.weights * spread
        norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
        np.testing.assert_allclose((a * b).sum(1) / norms[0] / norms[1], math.cos(math.radians(degrees)), atol=1e-9)
        np.testing.assert_allclose(norms[0], norms[1])


def test_calibration_gives_unit_deviation_within_prompts():
    samples = [s for p in WORLD.prompts(30, seed=7) for s in (Sample(p, "it is red ."), Sample(p, "good day"))]
    prompt = np.repeat(np.arange(30), 2)
    world = WORLD.calibrated(WORLD.parse(samples), prompt)
    u = world.true_reward(samples).reshape(30, 2)
    assert u.mean() == pytest.approx(0.0, abs=1e-9)
    # two values a prompt: the unbiased variance is half the squared difference
    assert ((u[:, 0] - u[:, 1]) ** 2 / 2).mean() == pytest.approx(1.0)
    with pytest.raises(InputError, match="do not vary within prompts"):
        WORLD.calibrated(WORLD.parse(samples[:1] * 2), np.zeros(2, dtype=int))


@pytest.mark.parametrize("what", FEATURES)
def test_counterfactuals_add_one_feature_and_tell_its_worth(what):
    column = {"length": None}.get(what, what)
    for sample in WORLD.demonstrations(30, seed=8):
        rewritten, gain = counterfactual(WORLD, sample, what)
        u = WORLD.true_reward([sample, rewritten])
        assert gain == pytest.approx(u[1] - u[0])
        before, after = WORLD.parse([sample]), WORLD.parse([rewritten])
        if column is None:
            assert after.words[0] > before.words[0] + 8
        else:
            at = ASPECTS.index(column)
            assert after.values[0, at] > before.values[0, at] or before.values[0, at] == 1.0
        untouched = [ASPECTS.index(a) for a in ("relevance", "correctness", "refusal", "clarification")]
        np.testing.assert_array_equal(before.values[0, untouched], after.values[0, untouched])
    with pytest.raises(InputError, match="feature 'lenght' is not known; did you mean 'length'"):
        counterfactual(WORLD, sample, "lenght")
