"""Places among reference rewards: by hand, beside SciPy's and scikit-learn's, and what must not change them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit import load
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.rules import LengthReward
from plaudit.shaping.transforms import Quantile, References, Shaped, reference_quantiles
from plaudit.testing import RewardContract

# few different numbers, so that ties with references and between them are common
level = st.one_of(st.integers(-3, 3).map(float), st.floats(-10, 10).map(lambda x: round(x, 3)))
references = st.lists(level, min_size=2, max_size=15)
rewards = st.lists(st.one_of(st.just(math.nan), level), min_size=1, max_size=15)
forms = st.fixed_dictionaries({"output": st.sampled_from(["uniform", "normal"]), "interpolate": st.booleans()})


class TestQuantile(RewardContract):
    def make_reward(self):
        return Shaped(LengthReward(), Quantile([1.0, 4.0, 4.0, 9.0], output="normal"))


def test_by_hand():
    refs = [3.0, 1.0, 2.0, 2.0]
    # below 2 there is one of four and two are equal: (1 + 2/2) / 4; below 2.5 three; ends 0 and 1; at 1 half of one
    found = reference_quantiles([2.0, 2.5, 0.0, 9.0, 1.0, np.nan], refs)
    assert found[:5].tolist() == [0.5, 0.75, 0.0, 1.0, 0.125]
    assert np.isnan(found[5])
    # ranks from 0: 1 -> 0, the two 2s share 1 and 2: 1.5, 3 -> 3; over m - 1 = 3. Halfway from the second 2 to 3: 2.5
    lines = reference_quantiles([2.0, 2.5, 0.0, 9.0, 1.0, 3.0, 1.5], refs, interpolate=True)
    assert lines == pytest.approx([1.5 / 3, 2.5 / 3, 0.0, 1.0, 0.0, 1.0, 0.5 / 3])
    # deviates of 1/8 and 7/8, by the table 1.15035; of 3/4 0.67449
    normal = reference_quantiles([0.0, 9.0, 2.5, 2.0], refs, output="normal")
    assert normal == pytest.approx([-1.15035, 1.15035, 0.67449, 0.0], abs=1e-5)


@pytest.mark.peer
@settings(max_examples=40, deadline=None)
@given(rewards, references)
def test_steps_equal_scipy(r, refs):
    from scipy.stats import norm, percentileofscore

    there = [x for x in r if not math.isnan(x)]
    theirs = [percentileofscore(refs, x, kind="mean") / 100 for x in there]
    found = reference_quantiles(r, refs)[~np.isnan(r)]
    assert np.allclose(found, theirs, atol=1e-12)
    half = 0.5 / len(refs)
    normal = reference_quantiles(there, refs, output="normal")
    assert np.allclose(normal, norm.ppf(np.clip(theirs, half, 1 - half)), atol=1e-9)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:n_quantiles")
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-40, 40), min_size=2, max_size=15), st.lists(st.integers(-90, 90), min_size=1, max_size=15))
def test_lines_equal_scikit_learn(refs, doubled):
    """Where both define the same: its own ends are 0 and 1 also where several references share them."""
    from sklearn.preprocessing import QuantileTransformer

    refs, r = np.array(refs, dtype=float), np.array(doubled) / 2
    peer = QuantileTransformer(n_quantiles=len(refs), subsample=None).fit(refs[:, None])
    assert np.allclose(peer.quantiles_[:, 0], np.sort(refs))
    peer.quantiles_ = np.sort(refs)[:, None]  # a percentile of theirs is off in its last bit, which breaks ties
    theirs = peer.transform(r[:, None])[:, 0]
    found = reference_quantiles(r, refs, interpolate=True)
    tied = [end for end in (refs.min(), refs.max()) if (refs == end).sum() > 1]
    same = ~np.isin(r, tied)
    assert np.allclose(found[same], theirs[same], atol=1e-9)


@pytest.mark.peer
def test_normal_lines_equal_scikit_learn_inside_the_ends():
    from sklearn.preprocessing import QuantileTransformer

    rng = np.random.default_rng(0)
    refs = rng.gumbel(size=200)
    r = rng.uniform(*np.quantile(refs, [0.02, 0.98]), size=300)
    peer = QuantileTransformer(n_quantiles=200, output_distribution="normal").fit(refs[:, None])
    found = reference_quantiles(r, refs, output="normal", interpolate=True)
    assert np.allclose(found, peer.transform(r[:, None])[:, 0], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(rewards, references, forms, st.randoms(use_true_random=False))
def test_each_reward_stands_alone_and_order_is_kept(r, refs, form, random):
    found = reference_quantiles(r, refs, **form)
    assert (np.isnan(found) == np.isnan(r)).all()
    for i, x in enumerate(r):  # alone, as in any batch, to the last bit
        assert np.array_equal(reference_quantiles([x], refs, **form), found[i : i + 1], equal_nan=True)
    shuffled = list(refs)
    random.shuffle(shuffled)
    assert np.array_equal(reference_quantiles(r, [*shuffled, math.nan], **form), found, equal_nan=True)
    order = np.argsort(r)[: (~np.isnan(r)).sum()]
    assert (np.diff(found[order]) >= 0).all()
    low, high = Quantile(refs, **form).limits((-9.0, 9.0))
    assert ((found[order] >= low) & (found[order] <= high)).all()


@settings(max_examples=100, deadline=None)
@given(rewards, references, forms, st.integers(-5, 5))
def test_nothing_but_the_order_counts_of_steps_and_nothing_but_the_place_of_lines(r, refs, form, shift):
    r, refs = np.array(r), np.array(refs)
    stretched = (4.0 * r + shift, 4.0 * refs + shift)
    atol = 0.0 if not form["interpolate"] else 1e-9  # lines: (r - left) / (right - left) is rounded anew
    again = reference_quantiles(*stretched, **form)
    assert np.allclose(again, reference_quantiles(r, refs, **form), atol=atol, rtol=0, equal_nan=True)
    if not form["interpolate"]:
        bent = reference_quantiles(np.exp2(r), np.exp2(refs), **form)  # any increasing map
        assert np.array_equal(bent, again, equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-500, 500), min_size=2, max_size=20, unique=True), st.data())
def test_lines_never_let_two_rewards_within_the_references_tie(refs, data):
    inside = st.integers(2 * min(refs), 2 * max(refs))
    r = np.array(sorted(data.draw(st.lists(inside, min_size=2, max_size=8, unique=True)))) / 2
    assert (np.diff(reference_quantiles(r, refs, interpolate=True)) > 0).all()


@settings(max_examples=60, deadline=None)
@given(references)
def test_references_are_spread_evenly_among_themselves(refs):
    # the mid-distribution function has mean 1/2 under its own distribution, whatever the ties
    assert reference_quantiles(refs, refs).mean() == pytest.approx(0.5)


def test_a_transform_of_references_or_of_their_state():
    by = Quantile(References({"a": (3.0, 1.0), "b": (2.0, 2.0)}))
    assert by == Quantile([1.0, 2.0, 2.0, 3.0])
    assert by.state() == {"references": [1.0, 2.0, 2.0, 3.0]}
    assert Quantile().restored(json.loads(json.dumps(by.state()))) == by
    batch = RewardBatch(np.array([2.5, np.nan]), np.array([0, Outcome.ABSTAINED], np.int8))
    samples = [Sample("nowhere", "x")] * 2  # a prompt without references of its own
    assert by(batch, samples).reward[0] == 0.75
    assert by.updated(batch, samples) is by  # a policy is not measured by itself
    assert by.limits((-math.inf, math.inf)) == (0.0, 1.0)  # bounds even where the reward has none
    low, high = Quantile([1.0, 2.0, 2.0, 3.0], output="normal").limits((-math.inf, math.inf))
    assert (low, high) == (pytest.approx(-1.15035, abs=1e-5), pytest.approx(1.15035, abs=1e-5))


def test_by_reference(tmp_path):
    refs = tmp_path / "refs.jsonl"
    rows = [("a", "one"), ("a", "one two"), ("b", "one two three")]
    refs.write_text("".join(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in rows))
    reward = load(f"shape/quantile?of=rule/length&references={refs}")
    # 1, 2 and 3 words are the references: (1 + 1/2) / 3 for two words, 1 for five
    assert reward([Sample("c", "x y"), Sample("c", "v w x y z")]).reward.tolist() == [0.5, 1.0]
    lines = load(f"shape/quantile?of=rule/length&references={refs}&interpolate=true&output=normal")
    assert lines.by == Quantile([1.0, 2.0, 3.0], output="normal", interpolate=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference_quantiles([1.0], [2.0]), r"quantile: 1 references \[2.0\]; give at least two rewards"),
        (
            lambda: reference_quantiles([1.0], [1.0, math.inf]),
            r"2 references \[1.0, inf\]; give at least two rewards, all",
        ),
        (lambda: Quantile([1.0, 2.0], output="gaussian"), "output 'gaussian' is not known; known: normal, uniform"),
        (lambda: Quantile([math.nan, 2.0]), r"quantile: 1 references \[2.0\]"),
        (lambda: Shaped(LengthReward(), Quantile()), "there are no references yet; give references, or a state"),
        (lambda: Quantile().restored({"seen": 1}), r"quantile: the state has \['seen'\]; give \['references'\]"),
        (lambda: Quantile().restored({"references": ["x", 1.0]}), "the state's references is 'x'; give what quantile"),
        (lambda: load("shape/quantile?of=rule/length"), "there are no references yet; give references, or a state"),
        (lambda: load("shape/quantile?of=rule/length&interpolate=maybe"), "interpolate is 'maybe'; give true or false"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
