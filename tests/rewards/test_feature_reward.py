"""A small network over named features."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize

import plaudit
from plaudit.errors import InputError, MissingError
from plaudit.records import Pair, Sample
from plaudit.records.sample import conversation
from plaudit.rewards.features import FeatureReward, network_scores
from plaudit.testing import RewardContract
from plaudit.training.features import fit_feature_network, fit_features

FEATURES = {"words": "rule/length", "near": "rule/length?target=5"}


def rows(n=40):
    """Five words are best."""
    texts = ["w " * (1 + i % 9) for i in range(n)]
    both = [(a, b) for a, b in zip(texts, texts[::-1], strict=True) if a != b]
    better = [sorted(pair, key=lambda t: abs(len(t.split()) - 5)) for pair in both]
    return [Pair(conversation(f"q {i}"), *pair) for i, pair in enumerate(better)]


@pytest.fixture(scope="module")
def fitted():
    return fit_features(rows(), FEATURES, width=4)


class TestFeatures(RewardContract):
    @pytest.fixture(autouse=True)
    def _made(self, fitted):
        self.reward = fitted

    def make_reward(self):
        return self.reward


def test_a_linear_network_is_logistic_regression():
    rng = np.random.default_rng(0)
    chosen, rejected = rng.normal(size=(2, 60, 3)) * [1.0, 10.0, 0.1]
    arrays = fit_feature_network(chosen, rejected, width=0, l2=0.05)
    z = (chosen - rejected) / np.concatenate([chosen, rejected]).std(axis=0)
    slow = minimize(lambda w: np.logaddexp(0, -z @ w).mean() + 0.025 * w @ w, np.zeros(3), tol=1e-12).x
    assert arrays["linear"] == pytest.approx(slow, abs=1e-5)


def test_scores_by_hand():
    arrays = {
        "center": np.array([1.0]), "spread": np.array([2.0]), "linear": np.array([0.5]), "first": np.array([[1.0]]),
        "bias": np.array([-1.0]), "second": np.array([3.0]),
    }  # fmt: skip
    # z is 1 and 0: 0.5 + 3 tanh 0, and 3 tanh -1
    assert network_scores(np.array([[3.0], [1.0]]), arrays) == pytest.approx([0.5, -3 * np.tanh(1)])


def test_order_and_useless_features_mean_nothing():
    rng = np.random.default_rng(1)
    chosen, rejected = rng.normal(size=(2, 50, 3))
    chosen[:, 0] += 1
    order = [2, 0, 1]
    a, b = (fit_feature_network(chosen[:, o], rejected[:, o], width=0) for o in ([0, 1, 2], order))
    assert a["linear"][order] == pytest.approx(b["linear"], abs=1e-6)
    # a feature of zero weight: scores are as without it
    constant = np.zeros((50, 1))
    with_it = fit_feature_network(np.hstack([chosen, constant]), np.hstack([rejected, constant]), width=0)
    assert with_it["linear"][3] == pytest.approx(0, abs=1e-9)
    assert network_scores(np.hstack([chosen, constant + 7]), with_it) == pytest.approx(
        network_scores(chosen, a), abs=1e-6
    )


def test_hidden_units_learn_what_a_line_cannot():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(2, 400, 2))
    worth = -np.abs(table[..., 0])  # best in the middle
    first = worth[0] > worth[1]
    chosen, rejected = (np.where(first[:, None], table[i], table[1 - i]) for i in (0, 1))
    accuracy = {}
    for width in (0, 8):
        arrays = fit_feature_network(chosen, rejected, width=width, l2=1e-3)
        accuracy[width] = (network_scores(chosen, arrays) > network_scores(rejected, arrays)).mean()
    assert accuracy[0] < 0.6 < 0.9 < accuracy[8]


def test_it_survives_a_new_process(fitted, tmp_path, elsewhere):
    fitted.save(tmp_path)
    texts = ["w " * n for n in (1, 5, 9)]
    code = (
        "import json, sys, plaudit; from plaudit import Sample\n"
        "reward = plaudit.load(sys.argv[1])\n"
        "batch = reward([Sample('q', t) for t in json.loads(sys.argv[2])])\n"
        "print(json.dumps([batch.reward.tolist(), reward.fingerprint]))"
    )
    printed = elsewhere(code, f"features/mlp?of={tmp_path}", json.dumps(texts))
    there, fingerprint = json.loads(printed.splitlines()[-1])
    here = fitted([Sample("q", t) for t in texts])
    assert there == pytest.approx(here.reward, abs=1e-6)
    assert fingerprint == fitted.fingerprint
    assert here.reward[1] > max(here.reward[0], here.reward[2])
    assert here.aspects["words"].tolist() == [1, 5, 9]
    scores = fitted([s for row in rows() for s in row.samples()]).reward
    assert (scores.mean(), scores.std()) == pytest.approx((0, 1))


def test_refusals(tmp_path):
    with pytest.raises(MissingError, match=r"holds no features\.safetensors"):
        plaudit.load(f"features/mlp?of={tmp_path}")
    bare = fit_features(rows(), {"words": plaudit.load("rule/length")}, width=0)
    with pytest.raises(InputError, match="features were given as objects; give references"):
        bare.save(tmp_path)
    with pytest.raises(InputError, match="2 features for a network of 1"):
        FeatureReward({"a": bare, "b": bare}, bare.arrays)
    with pytest.raises(InputError, match="0 pairs, width 8"):
        fit_feature_network(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(InputError, match="a feature is not finite"):
        fit_feature_network(np.full((1, 1), np.nan), np.zeros((1, 1)))
