import json

import numpy as np
import pytest
import torch

import plaudit
from plaudit.errors import InputError, MissingError
from plaudit.records import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.pooled import PooledFeatures, PooledReward, cached_features

TEMPLATE = {"context_chars": 30, "max_length": 48}


@pytest.fixture
def features(make_model, bert_tokenizer):
    tokenizer = bert_tokenizer()
    return PooledFeatures(make_model("bert", tokenizer).bert, tokenizer, **TEMPLATE)


@pytest.fixture
def reward(features):
    weight = np.random.default_rng(0).normal(size=features.width)
    manifest = Manifest(reader="pooled", template=TEMPLATE, offset=0.5, scale=3.0)
    return PooledReward(features, weight, manifest)


def test_features_are_the_means_over_the_two_texts(features):
    sample = Sample("abc " * 40, "yes")
    context = ("user: " + "abc " * 40)[-30:]
    expected = []
    for text in (f"{context}\nassistant: yes", "yes"):
        with torch.no_grad():
            rows = features.tokenizer(text, return_tensors="pt")
            rows["token_type_ids"] = torch.zeros_like(rows["input_ids"])
            expected.append(features.encoder(**rows).last_hidden_state[0].mean(0))
    np.testing.assert_allclose(features([sample])[0], torch.cat(expected).numpy(), atol=1e-5)
    assert features.width == 2 * 32


def test_long_texts_lose_their_beginning_after_the_first_token(features):
    first, second = (
        Sample("q", start + " and then the very end of a long text that has to be cut to fit, or else")
        for start in ("x " * 99, "y " * 80)
    )
    a, b = features([first])[0], features([second])[0]
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert not np.allclose(a, features([Sample("q", "another end")])[0], atol=1e-3)


def test_features_do_not_depend_on_the_batch(features, samples):
    whole = features(samples)
    assert whole.shape == (len(samples), features.width)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, np.concatenate([features([s]) for s in samples]), atol=1e-5)
    np.testing.assert_allclose(whole[::-1], features(samples[::-1]), atol=1e-5)


def test_reward_is_affine_in_the_features(reward, samples):
    batch = reward(samples)
    scores = reward.features(samples).astype(np.float64) @ reward.weight
    np.testing.assert_allclose(batch.reward, np.maximum((scores - 0.5) / 3.0, -10.0))
    np.testing.assert_allclose([d["score"] for d in batch.detail], scores)
    assert reward.log_odds_per_unit == 3.0


def test_saved_and_loaded_it_is_the_same(reward, samples, tmp_path):
    reward.save(tmp_path / "model")
    found = plaudit.load(tmp_path)
    assert isinstance(found, PooledReward)
    np.testing.assert_allclose(found(samples).reward, reward(samples).reward, atol=1e-6)
    assert found.fingerprint == reward.fingerprint
    assert found.manifest == reward.manifest
    assert found.name == tmp_path.name


def test_the_fingerprint_follows_content(reward, features, make_model, bert_tokenizer):
    def of(weight=reward.weight, features=features, **changes):
        manifest = Manifest(**{"reader": "pooled", "template": TEMPLATE, "offset": 0.5, "scale": 3.0} | changes)
        return PooledReward(features, weight, manifest).fingerprint

    tokenizer = bert_tokenizer()
    encoder = make_model("bert", tokenizer).bert
    wider = bert_tokenizer()
    wider.add_tokens(["yes"])
    others = [
        of(weight=reward.weight * 2), of(offset=0.0), of(scale=1.0), of(floor=-2.0),
        of(features=PooledFeatures(encoder, tokenizer, context_chars=31, max_length=48)),
        of(features=PooledFeatures(encoder, tokenizer, context_chars=30, max_length=47)),
        of(features=PooledFeatures(encoder, wider, **TEMPLATE)),
        of(features=PooledFeatures(make_model("bert", tokenizer, seed=1).bert, tokenizer, **TEMPLATE)),
    ]  # fmt: skip
    assert of() == of(features=PooledFeatures(encoder, tokenizer, **TEMPLATE)) == reward.fingerprint
    assert len({of(), *others}) == 9


def test_a_broken_head_is_an_instrument_fault(reward, samples):
    reward.weight[3] = np.nan
    batch = reward(samples)
    assert batch.outcome.tolist() == [Outcome.INSTRUMENT_FAULT] * len(samples)
    assert np.isnan(batch.reward).all()
    assert "overflowed" in batch.detail[0]["error"]


def test_folders_that_lack_something(reward, tmp_path):
    def saved(name):
        reward.save(tmp_path / name)
        return tmp_path / name

    headless, torn, narrow, silent = map(saved, ("headless", "torn", "narrow", "silent"))
    (headless / "head.safetensors").unlink()
    (torn / "head.safetensors").write_bytes((torn / "head.safetensors").read_bytes()[:50])
    PooledReward(reward.features, reward.weight[:5], reward.manifest).save(narrow)
    manifest = json.loads((silent / "plaudit.json").read_text())
    (silent / "plaudit.json").write_text(json.dumps(manifest | {"template": {"max_length": 9}}))
    for folder, kind, message in (
        (headless, MissingError, "holds no head.safetensors, the weights of the pooled head"),
        (torn, InputError, "head.safetensors: is torn or not safetensors"),
        (narrow, InputError, "has shape (5,) for 64 features"),
        (silent, InputError, "says nothing of context_chars"),
    ):
        with pytest.raises(kind) as error:
            plaudit.load(folder)
        assert message in str(error.value)


def test_cached_features_are_made_once_for_the_same_samples_and_encoder(features, samples, tmp_path, monkeypatch):
    calls = []
    encode = PooledFeatures._encode
    monkeypatch.setattr(PooledFeatures, "_encode", lambda self, *a: calls.append(1) or encode(self, *a))
    path = tmp_path / "deep" / "features.npz"
    made = cached_features(features, samples, path)
    np.testing.assert_array_equal(cached_features(features, samples, path), made)
    assert len(calls) == 1
    fewer = cached_features(features, samples[:3], path)
    np.testing.assert_allclose(fewer, made[:3], atol=1e-5)
    assert len(calls) == 2
    other = PooledFeatures(features.encoder, features.tokenizer, context_chars=5, max_length=48)
    cached_features(other, samples[:3], path)
    assert len(calls) == 3


def test_a_torn_cache_is_made_again(features, samples, tmp_path):
    path = tmp_path / "features.npz"
    made = cached_features(features, samples, path)
    for torn in (path.read_bytes()[:200], b"", b"not a zip"):
        path.write_bytes(torn)
        np.testing.assert_allclose(cached_features(features, samples, path), made)


def test_samples_that_are_not_read_whole_are_counted(features):
    short = Sample("hi", "yes")
    long_context, long_reply = Sample("abc " * 40, "yes"), Sample("hi", "word " * 60)
    assert features.truncated([short]) == 0
    assert features.truncated([short, long_context, long_reply]) == 2
