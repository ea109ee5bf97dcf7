import numpy as np
import pytest
import transformers as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import plaudit
from plaudit.errors import InputError, MissingError, ShapeError
from plaudit.records import Message, Pair, Ranked
from plaudit.rewards.pooled import PooledFeatures, PooledReward
from plaudit.training import frozen
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.entry import train_reward
from plaudit.training.frozen import choose_l2, fit_frozen, fit_linear, open_encoder, standardiser


def problem(m=300, d=12, seed=0, noise=1.0):
    """Differences of features, turned so that the first of each pair is preferred by a noisy linear judge."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(m, d)), rng.normal(size=d)
    return x * np.sign(x @ w + noise * rng.logistic(size=m))[:, None]


def by_scikit_learn(x, l2, weight=None):
    """The same minimum, by another solver: pairs in both directions, so that neither class is the rarer one."""
    m = len(x)
    weight = np.ones(m) if weight is None else np.asarray(weight)
    # scikit-learn minimises |w|^2 / 2 + C sum(weight * loss); ours is l2 |w|^2 / 2 + sum(weight * loss) / sum(weight)
    model = LogisticRegression(
        C=1 / (2 * l2 * weight.sum()),
        fit_intercept=False,
        tol=1e-12,
        max_iter=10_000,
        solver="newton-cholesky",
    )
    model.fit(np.concatenate([x, -x]), np.repeat([1, 0], m), sample_weight=np.concatenate([weight, weight]))
    return model.coef_[0]


@pytest.mark.parametrize("l2", [1e-3, 1e-2, 0.3, 10.0])
@pytest.mark.parametrize(("m", "d"), [(300, 12), (60, 100)])
def test_parity_with_scikit_learn(l2, m, d):
    x = problem(m, d)
    np.testing.assert_allclose(fit_linear(x, l2=l2), by_scikit_learn(x, l2), atol=1e-6, rtol=0)


def test_parity_with_scikit_learn_under_weights():
    x = problem()
    weight = np.random.default_rng(1).uniform(0.1, 3, len(x))
    np.testing.assert_allclose(
        fit_linear(x, l2=0.01, weight=weight), by_scikit_learn(x, 0.01, weight), atol=1e-6, rtol=0
    )
    np.testing.assert_allclose(
        fit_linear(x, l2=0.01, weight=3 * weight), fit_linear(x, l2=0.01, weight=weight), atol=1e-7
    )


def test_hand_value():
    # one pair, one feature of 1: the minimum has sigmoid(-w) = l2 w. For w = 1: l2 = sigmoid(-1) = 0.2689414
    assert fit_linear(np.ones((1, 1)), l2=0.2689414213699951)[0] == pytest.approx(1, abs=1e-8)
    # with smoothing s it is (1 - s) - sigmoid(w) = l2 w. For w = 1 and s = 0.1: l2 = 0.9 - 0.7310586 = 0.1689414
    assert fit_linear(np.ones((1, 1)), l2=0.1689414213699951, label_smoothing=0.1)[0] == pytest.approx(1, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e-3, 0.1, 3.0]), st.sampled_from([0.0, 0.2]))
def test_the_gradient_vanishes_and_order_does_not_matter(seed, l2, smoothing):
    x = problem(40, 5, seed=seed)
    w = fit_linear(x, l2=l2, label_smoothing=smoothing)
    p = 1 / (1 + np.exp(-x @ w))
    np.testing.assert_allclose(x.T @ (p - 1 + smoothing) / 40 + l2 * w, 0, atol=5e-8)
    turned = np.random.default_rng(seed).permutation(40)
    np.testing.assert_allclose(fit_linear(x[turned], l2=l2, label_smoothing=smoothing), w, atol=1e-6)


def test_separable_pairs_have_a_finite_solution():
    assert np.isfinite(fit_linear(np.eye(3) * 50, l2=1e-3)).all()


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            dict(l2=0.0),
            InputError,
            "fit_linear: l2 is 0.0; it must be positive, or separable pairs have no finite solution",
        ),
        (dict(l2=1.0, weight=np.ones(3)), ShapeError, r"fit_linear: weight has shape \(3,\) for 4 pairs"),
    ],
)
def test_what_is_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        fit_linear(np.ones((4, 2)), **arguments)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NaN is the case at hand
def test_features_that_are_not_finite_do_not_converge():
    x = problem(20, 3)
    x[3, 1] = np.nan
    with pytest.raises(InputError, match="fit_linear: did not converge; are the features finite"):
        fit_linear(x, l2=0.1)


def test_the_penalty_is_chosen_by_held_out_loss(monkeypatch):
    """Against a loop that fits every fold by scikit-learn."""
    x, clusters = problem(120, 30, noise=3.0), [f"p{i // 3}" for i in range(120)]
    folds = []
    approach = frozen._approach
    monkeypatch.setattr(frozen, "_approach", lambda x, *a: folds.append(x) or approach(x, *a))
    chosen = choose_l2(x, clusters, seed=4, folds=4, penalties=(1e-3, 0.03, 0.3, 10.0))
    assert len(folds) == 16
    losses = []
    for l2 in (1e-3, 0.03, 0.3, 10.0):
        total = 0.0
        for part in folds[:4]:
            inside = {row.tobytes() for row in part}
            held = np.array([row for row in x if row.tobytes() not in inside])
            total += np.logaddexp(0, -held @ by_scikit_learn(part, l2)).sum()
        losses.append(total)
    assert chosen == (1e-3, 0.03, 0.3, 10.0)[int(np.argmin(losses))] == 0.3


def test_no_prompt_stands_on_both_sides_of_a_fold(monkeypatch):
    x, clusters = problem(90, 4), [f"p{i % 17}" for i in range(90)]
    cluster_of = {row.tobytes(): c for row, c in zip(x, clusters, strict=True)}
    parts, approach = [], frozen._approach
    monkeypatch.setattr(frozen, "_approach", lambda x, *a: parts.append(x) or approach(x, *a))
    choose_l2(x, clusters, seed=0, penalties=(0.1,))
    assert len(parts) == 5
    held = []
    for part in parts:
        inside = {cluster_of[row.tobytes()] for row in part}
        outside = {cluster_of[row.tobytes()] for row in x if row.tobytes() not in {r.tobytes() for r in part}}
        assert not inside & outside
        assert outside
        held.extend(outside)
    assert sorted(held) == sorted(set(clusters))  # each prompt is held out once


def test_too_few_prompts_for_the_folds():
    with pytest.raises(InputError, match="choose_l2: 3 prompts for 5 folds; give l2 instead"):
        choose_l2(problem(9, 2), ["a", "b", "c"] * 3, seed=0)


def test_standardiser_gives_unit_spread_and_drops_constants():
    features = np.column_stack([np.arange(10.0), np.full(10, 7.0), np.arange(10) * -3e3])
    unit = standardiser(features)
    np.testing.assert_allclose((features * unit).std(axis=0), [1, 0, 1])


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(c) for c in range(33, 127)]
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "good",
        "bad",
        *letters,
        *("##" + c for c in letters),
    ]
    tokenizer = tf.BertTokenizer(vocab={w: i for i, w in enumerate(words)})
    config = tf.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        initializer_range=0.3,
    )  # fmt: skip
    tf.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows(n=24):
    return [Pair((Message("user", f"question {i // 2}"),), f"good {i}", f"bad {i * 7 % 5}") for i in range(n)]


def test_a_frozen_fit_ranks_its_pairs_and_is_normalised(encoder_folder, tmp_path):
    config = FitConfig(freeze=True, max_length=64)
    trained = train_reward(rows(), backbone=Backbone(name=str(encoder_folder)), config=config, out=tmp_path)
    reward = trained.reward
    assert isinstance(reward, PooledReward)
    batch = reward([s for r in rows() for s in r.samples()])
    assert np.mean(batch.reward[::2] > batch.reward[1::2]) == 1
    assert batch.reward.mean() == pytest.approx(0, abs=1e-6)
    assert batch.reward.std() == pytest.approx(1, abs=1e-6)
    assert trained.facts["l2"] in frozen.PENALTIES
    assert trained.facts["pairs"] == 24
    assert trained.lines()[0].startswith("trained on 24 preferences in 24 groups from ")
    assert reward.manifest.training["l2"] == trained.facts["l2"]
    found = plaudit.load(tmp_path)
    np.testing.assert_allclose(found([s for r in rows() for s in r.samples()]).reward, batch.reward, atol=1e-5)


def test_a_frozen_fit_is_its_parts(encoder_folder):
    encoder = open_encoder(str(encoder_folder), max_length=32)
    features = encoder([s for r in rows() for s in r.samples()]).reshape(24, 2, -1)
    reward = fit_frozen(rows(), features, encoder=encoder, l2=0.05, seed=0, label_smoothing=0.1, base="x")
    flat = features.reshape(48, -1).astype(np.float64)
    unit = 1 / flat.std(axis=0)
    weight = fit_linear((features[:, 0].astype(np.float64) - features[:, 1]) * unit, l2=0.05, label_smoothing=0.1)
    np.testing.assert_allclose(reward.weight, weight * unit, rtol=1e-6)
    # on standardised features the head is scikit-learn's logistic regression (without smoothing)
    plain = fit_frozen(rows(), features, encoder=encoder, l2=0.05, seed=0)
    theirs = by_scikit_learn((features[:, 0].astype(np.float64) - features[:, 1]) * unit, 0.05)
    np.testing.assert_allclose(plain.weight / unit, theirs, atol=1e-6)
    manifest = reward.manifest
    assert manifest.template == {"context_chars": encoder.context_chars, "max_length": 32}
    assert (manifest.base, manifest.reader, manifest.training["pairs"]) == ("x", "pooled", 24)
    assert manifest.offset == pytest.approx((flat @ reward.weight).mean())
    assert manifest.scale == pytest.approx((flat @ reward.weight).std())


def test_texts_are_encoded_once_a_run(encoder_folder, tmp_path, monkeypatch):
    calls, encode = [], PooledFeatures._encode
    monkeypatch.setattr(PooledFeatures, "_encode", lambda self, texts, p: calls.append(texts) or encode(self, texts, p))
    for l2 in (0.1, 0.2):
        config = FitConfig(freeze=True, max_length=64, l2=l2)
        trained = train_reward(rows(), backbone=Backbone(name=str(encoder_folder)), config=config, out=tmp_path)
        assert trained.facts["l2"] == l2
    assert len(calls) == 1
    assert len(calls[0]) == len(set(calls[0]))


@pytest.mark.parametrize(
    ("data", "backbone", "kind", "message"),
    [
        (
            rows(),
            Backbone(),
            InputError,
            "freeze: features of random weights are noise; name a pretrained encoder",
        ),
        (
            [Ranked((Message("user", "q"),), ("a", "b"), (1.0, 2.0))],
            Backbone(name="x"),
            InputError,
            "freeze: a frozen head learns from pairs; convert ranked rows first",
        ),
        (rows(), Backbone(name="no/such/folder"), MissingError, "no/such/folder: no such model folder"),
        ([], Backbone(name="x"), InputError, "there are no rows"),
    ],
)
def test_what_a_frozen_fit_cannot_do(data, backbone, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        train_reward(data, backbone=backbone, config=FitConfig(freeze=True), out=tmp_path)
