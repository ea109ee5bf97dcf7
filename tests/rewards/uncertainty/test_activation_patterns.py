"""Patterns by hand and on digits; the gate's actions, and its life beside the weights."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import plaudit
from plaudit.errors import InputError, MissingError, ShapeError
from plaudit.records import Message, Pair, Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.uncertainty import PatternGate, Patterns, fit_patterns, mine_patterns
from plaudit.rewards.uncertainty.patterns import patterns_of
from plaudit.stats.selective import auroc
from plaudit.testing import RewardContract

BITS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 6)))


def rows(n=24):
    return [
        Pair((Message("user", f"Write {i} lines about rain."),), f"Lima {'la ' * (i % 5)}", f"I cannot {i}")
        for i in range(n)
    ] + [
        Pair((Message("user", f"Write {i} lines about rain."),), f"I cannot {i}", f"Lima {'la ' * (i % 5)}")
        for i in range(n)
    ]


def test_patterns_by_hand():
    # neuron 0 always on, 1 always off, 2 on in three of four, 3 on in half
    active = np.array([[1, 0, 1, 1], [1, 0, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0]], dtype=bool)
    bucket = np.zeros(4, dtype=np.int64)
    assert mine_patterns(active, bucket, buckets=2, delta=1.0).tolist() == [[1, -1, 0, 0], [0, 0, 0, 0]]
    assert mine_patterns(active, bucket, buckets=1, delta=0.75).tolist() == [[1, -1, 1, 0]]
    found = Patterns(np.zeros(0), mine_patterns(active, bucket, buckets=1, delta=0.75), 0.75)
    assert found.violated(active, np.zeros(4)).tolist() == pytest.approx([0, 0, 0, 1 / 3])
    free = Patterns(np.zeros(0), np.zeros((1, 4), dtype=np.int8), 1.0)
    assert free.violated(active, np.zeros(4)).tolist() == [0, 0, 0, 0]


def test_a_share_of_exactly_delta_constrains():
    active = np.ones((100, 2), dtype=bool)
    active[0, 0], active[1:, 1] = False, False  # on in 99 of 100, and in 1 of 100
    assert mine_patterns(active, np.zeros(100, dtype=np.int64), buckets=1, delta=0.99).tolist() == [[1, -1]]


@settings(max_examples=50, deadline=None)
@given(BITS)
def test_patterns_nest_and_the_majority_conforms(active):
    bucket, score = np.zeros(len(active), dtype=np.int64), np.zeros(len(active))
    strict, loose = (mine_patterns(active, bucket, buckets=1, delta=d) for d in (1.0, 0.8))
    assert ((strict == 0) | (strict == loose)).all()  # what always holds holds mostly
    # with delta 1 every sample that it was mined from conforms
    assert (Patterns(np.zeros(0), strict, 1.0).violated(active, score) == 0).all()
    majority = active.mean(axis=0, keepdims=True) > 0.5
    assert Patterns(np.zeros(0), loose, 0.8).violated(majority, score[:1]).tolist() == [0.0]


@settings(max_examples=50, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(2, 12), st.just(5))))
def test_patterns_that_one_neuron_tells_apart_do_not_overlap(active):
    bucket = np.arange(len(active)) % 2
    active[:, 0] = bucket == 1  # off in the one class, on in the other; the rest is as it comes
    found = Patterns(np.array([0.5]), mine_patterns(active, bucket, buckets=2, delta=0.8), 0.8)
    everything = np.array([[bool(k >> i & 1) for i in range(5)] for k in range(32)])
    conforms = [found.violated(everything, np.full(32, float(c))) == 0 for c in (0, 1)]
    assert not (conforms[0] & conforms[1]).any()
    assert all(own.any() for own in conforms)


def test_buckets_are_quantiles_and_each_has_its_pattern():
    score = np.arange(10.0)
    active = (score[:, None] >= 5) & np.ones((10, 3), dtype=bool)  # all on in the upper half
    found = patterns_of(active, score, buckets=2, delta=1.0)
    assert found.bucket(score).tolist() == [0] * 5 + [1] * 5
    assert found.signs.tolist() == [[-1] * 3, [1] * 3]
    assert found.violated(~active, score).tolist() == [1.0] * 10
    for options, message in (({"buckets": 11}, "11 buckets for 10 samples"), ({"delta": 0.5}, "delta is 0.5")):
        with pytest.raises(InputError, match=message):
            patterns_of(active, score, **options)
    with pytest.raises(ShapeError, match=r"they must be \(n, 3\)"):
        found.violated(active[:, :2], score)


def test_noise_is_strange_and_held_out_digits_are_a_little():
    """[215]'s check on 8x8 digits: a network trained on 0 to 7.

    Uniform noise is told from digits as the catalogue asks (area above 0.85). The held-out 8 and 9 are not: over three
    widths, three penalties and three deltas the area lay between 0.41 and 0.70, so only the direction is asserted here.
    Nor are the digits' patterns without overlap: 4 of 100 held-out images conform to two of them at a delta of 0.9, 33
    at 0.99.
    """
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    x, known = x / 16, y < 8
    train = known & (np.arange(len(y)) % 2 == 0)
    net = MLPClassifier((128,), max_iter=600, tol=3e-4, random_state=0).fit(x[train], y[train])

    def on(images):
        return images @ net.coefs_[0] + net.intercepts_[0] > 0

    def mined(delta):
        return Patterns(np.arange(0.5, 7), mine_patterns(on(x[train]), y[train], buckets=8, delta=delta), delta)

    def violated(images, delta):
        return mined(delta).violated(on(images), net.predict(images).astype(float))

    def digits(images, delta):  # to how many digits' patterns each conforms
        return sum(mined(delta).violated(on(images), np.full(len(images), float(c))) == 0 for c in range(8))

    def area(strange):
        share = np.concatenate([violated(x[known & ~train], 0.99), violated(strange, 0.99)])
        return auroc(share, np.arange(len(share)) >= (known & ~train).sum())

    assert area(np.random.default_rng(0).random((300, 64))) > 0.85
    assert area(x[~known]) > 0.55
    # what conforms altogether grows with delta: it constrains fewer neurons
    recall = [float((violated(x[known & ~train], delta) == 0).mean()) for delta in (0.9, 0.95, 0.99)]
    assert recall == sorted(recall)
    assert recall[0] < recall[-1]
    # and so does what conforms to the patterns of two digits
    overlap = [float((digits(x[known & ~train], delta) > 1).mean()) for delta in (0.9, 0.95, 0.99)]
    assert overlap == sorted(overlap)
    assert overlap[0] < 0.1


class TestGate(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _made(self, make_reward):
        self.reward = fit_patterns(make_reward(), rows(), delta=0.8)

    def make_reward(self):
        return self.reward


def test_actions(make_reward, samples):
    reward = make_reward()
    patterns = fit_patterns(reward, rows(), delta=0.8).patterns
    plain = reward(samples)
    none, shrink, abstain = (
        PatternGate(reward, patterns, most=0.1, action=action)(samples) for action in ("none", "shrink", "abstain")
    )
    share = none.aspects["violated"]
    strange = share > 0.1
    assert 0 < strange.sum() < strange.size
    assert np.allclose(none.reward, plain.reward, atol=1e-5)
    expected = np.minimum(plain.reward, plain.reward * 0.1 / np.maximum(share, 1e-9))  # towards 0 from above alone
    assert np.allclose(shrink.reward[strange], expected[strange], atol=1e-5)
    assert (shrink.reward <= plain.reward + 1e-5).all()
    assert np.allclose(shrink.reward[~strange], plain.reward[~strange], atol=1e-5)
    assert (abstain.outcome == np.where(strange, Outcome.ABSTAINED, Outcome.SCORED)).all()
    assert np.isnan(abstain.reward[strange]).all()
    assert abstain.detail[0]["violated"] == share[0]
    fingerprints = {
        PatternGate(reward, patterns, most=m, action=a).fingerprint for m in (0.1, 0.2) for a in ("none", "shrink")
    }
    assert len(fingerprints) == 4


def test_deviations_and_members_go_with_the_reward(make_reward):
    gate = PatternGate(make_reward(), Patterns(np.zeros(0), np.zeros((1, 32), dtype=np.int8), 0.99), most=0.2)
    batch = RewardBatch(np.array([2.0, 2.0]), std=np.ones(2), noise=np.ones(2), members=np.array([[1.0, 3.0]] * 2))
    gone = gate._gated(batch, np.array([0.0, 0.4]))
    assert gone.std[0] == 1.0
    assert np.isnan([gone.reward[1], gone.std[1], gone.noise[1], *gone.members[1]]).all()
    gate.action = "shrink"
    half = gate._gated(batch, np.array([0.0, 0.4]))
    assert half.reward.tolist() == [2.0, 1.0]  # 0.2 / 0.4 of it
    assert half.std.tolist() == [1.0, 0.5]
    assert half.members[1].tolist() == [0.5, 1.5]


def test_strangeness_never_pays(make_reward):
    gate = PatternGate(make_reward(), Patterns(np.zeros(0), np.zeros((1, 32), dtype=np.int8), 0.99), most=0.1)
    gate.action = "shrink"
    batch = RewardBatch(np.array([-4.0, 4.0, 0.0, 8.0]), std=np.ones(4))
    said = gate._gated(batch, np.full(4, 0.4))
    # a quarter of what lies above the mean of the training completions, 0; what lies below stays, and so does the order
    assert said.reward.tolist() == [-4.0, 1.0, 0.0, 2.0]
    assert said.std.tolist() == [1.0, 0.25, 1.0, 0.25]


def test_only_pairs_that_are_ranked_right_are_mined(make_reward):
    reward = make_reward()
    asked = (Message("user", "What is the capital of Peru?"),)
    a, b = reward([Sample(asked, "Lima"), Sample(asked, "no")]).reward
    better, worse = ("Lima", "no") if a > b else ("no", "Lima")
    right, wrong = Pair(asked, better, worse), Pair(asked, worse, better)
    both, only = (fit_patterns(reward, r, buckets=1, delta=1.0).patterns for r in ([right, wrong], [right]))
    assert np.array_equal(both.signs, only.signs)
    with pytest.raises(InputError, match="ranks none of 1 pairs as they are labelled"):
        fit_patterns(reward, [wrong])


def test_it_survives_a_new_process(make_reward, tmp_path, elsewhere):
    make_reward().save(tmp_path / "model")
    said = [{"prompt": p.prompt[0].text, "chosen": p.chosen, "rejected": p.rejected} for p in rows()]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    reference = f"gate/patterns?of={tmp_path / 'model'}&most=0.05&action=shrink"
    with pytest.raises(MissingError, match=r"holds no patterns.safetensors; mine it with gate/patterns"):
        plaudit.load(reference)
    made = plaudit.load(f"{reference}&pairs={tmp_path / 'pairs.jsonl'}&delta=0.8")
    here = made([Sample("Say nothing.", "Lima"), Sample("Say nothing.", "x y z")])
    code = (
        "import json, sys, plaudit; from plaudit import Sample\n"
        "r = plaudit.load(sys.argv[1]); b = r([Sample('Say nothing.', 'Lima'), Sample('Say nothing.', 'x y z')])\n"
        "print(json.dumps([b.reward.tolist(), b.aspects['violated'].tolist(), r.fingerprint]))"
    )
    printed = elsewhere(code, reference)
    reward, share, fingerprint = json.loads(printed.splitlines()[-1])
    assert np.allclose(reward, here.reward, rtol=0, atol=1e-6)
    assert np.allclose(share, here.aspects["violated"], rtol=0, atol=1e-6)
    assert fingerprint == made.fingerprint


def test_what_is_refused(make_reward):
    patterns = Patterns(np.zeros(0), np.zeros((1, 32), dtype=np.int8), 0.99)
    with pytest.raises(InputError, match="most is 2; it is a share, 0 to 1"):
        PatternGate(make_reward(), patterns, most=2)
    with pytest.raises(InputError, match="action is 'drop'; give one of abstain, shrink, none"):
        PatternGate(make_reward(), patterns, action="drop")
