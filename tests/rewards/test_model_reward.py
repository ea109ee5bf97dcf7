"""One score everywhere: a saved reward model gives its scores here, in plain transformers, in any batch."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

import plaudit
from plaudit.errors import InputError, MissingError, UnsupportedError
from plaudit.records import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.models import ModelReward, short_name

CLOSE = dict(atol=1e-4, rtol=0)


def scores(batch):
    return np.array([d["score"] for d in batch.detail])


def by_plain_transformers(folder, samples, *, side="right", batch=4):
    """What a user of transformers does with the folder, knowing nothing of this library."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=side)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = [tokenizer.apply_chat_template([m.to_dict() for m in s.messages], tokenize=False) for s in samples]
    found = []
    for i in range(0, len(texts), batch):
        rows = tokenizer(texts[i : i + batch], add_special_tokens=False, padding=True, return_tensors="pt")
        if "gpt2" in type(model).__name__.lower():  # absolute positions: transformers leaves them to the caller
            rows["position_ids"] = (rows["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        rows.pop("token_type_ids", None)
        with torch.no_grad():
            found.extend(model(**rows).logits[:, 0].tolist())
    return np.array(found)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_a_saved_model_gives_its_scores_in_plain_transformers(family, make_reward, samples, tmp_path):
    reward = make_reward(family)
    expected = scores(reward(samples))
    assert len(np.unique(expected)) == len(samples) - 1  # one sample is there twice
    reward.save(tmp_path / "model")
    for side in ("left", "right"):
        for batch in (1, 3, 50):
            found = by_plain_transformers(tmp_path / "model", samples, side=side, batch=batch)
            np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("mode", ["tree", "padded"])
def test_a_saved_model_comes_back(mode, make_reward, samples, tmp_path):
    reward = make_reward()
    expected = reward(samples)
    reward.save(tmp_path / "model")
    found = ModelReward.load(tmp_path / "model", mode=mode, budget=64)
    np.testing.assert_allclose(found(samples).reward, expected.reward, **CLOSE)
    assert found.manifest == reward.manifest
    assert found.fingerprint == reward.fingerprint
    assert found.name == tmp_path.name  # the run's folder
    assert plaudit.load(tmp_path).fingerprint == reward.fingerprint  # a run folder means its model


def test_reward_is_the_normalised_score_and_not_below_the_floor(make_reward, samples):
    reward = make_reward(offset=0.5, scale=4.0, floor=-0.1)
    batch = reward(samples)
    np.testing.assert_allclose(batch.reward, np.maximum((scores(batch) - 0.5) / 4.0, -0.1))
    assert (batch.reward == -0.1).any()
    assert (batch.reward > -0.1).any()
    assert reward.bounds == (-0.1, math.inf)
    assert reward.log_odds_per_unit == 4.0


def test_saving_leaves_the_model_on_trees_and_replaces_the_folder_whole(make_reward, samples, tmp_path):
    reward = make_reward()
    attention = reward.model.config._attn_implementation
    reward.save(tmp_path / "model")
    (tmp_path / "model" / "old").write_text("x")
    reward.save(tmp_path / "model")
    assert reward.model.config._attn_implementation == attention
    assert "plaudit_tree" not in (tmp_path / "model" / "config.json").read_text()
    assert not (tmp_path / "model" / "old").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_is_no_model_is_not_replaced(make_reward, tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    with pytest.raises(InputError, match="what it holds would be lost; name another path"):
        make_reward().save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("template", [None, "own"])
def test_a_model_from_elsewhere_loads(family, template, make_model, make_tokenizer, bert_tokenizer, samples, tmp_path):
    tokenizer = bert_tokenizer() if family == "bert" else make_tokenizer()
    own = "{{ bos_token or cls_token or '' }}{% for m in messages %}{{ m['role'] + m['content'] }} . {% endfor %}"
    tokenizer.chat_template = own if template else None
    make_model(family, tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = plaudit.load(str(tmp_path))
    assert reward.manifest.reader == ("classification" if family == "bert" else "leaf")
    batch = reward(samples)
    assert batch.outcome.tolist() == [Outcome.SCORED] * len(samples)
    np.testing.assert_allclose(batch.reward, scores(batch))  # no normalisation is known, so none is made up
    if template:
        found = by_plain_transformers(tmp_path, samples)
        np.testing.assert_allclose(found, scores(batch), **CLOSE)
    reward.save(tmp_path / "saved")  # and what is saved of it is one of ours
    np.testing.assert_allclose(plaudit.load(tmp_path / "saved")(samples).reward, batch.reward, **CLOSE)
    np.testing.assert_allclose(by_plain_transformers(tmp_path / "saved", samples), scores(batch), **CLOSE)


@pytest.mark.parametrize("mode", ["tree", "padded"])
def test_a_model_without_a_pad_token_scores_batches(mode, make_model, make_tokenizer, samples, tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    make_model("gpt2", tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = ModelReward.load(tmp_path, mode=mode)
    alone = [reward([s]).reward[0] for s in samples]
    np.testing.assert_allclose(reward(samples).reward, alone, **CLOSE)
    assert reward.fingerprint == ModelReward.load(tmp_path).fingerprint  # the row that its pad needs is not random


def test_several_outputs_are_refused(make_model, make_tokenizer, tmp_path):
    make_model("llama", make_tokenizer(), num_labels=3).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedError) as error:
        plaudit.load(tmp_path)
    assert str(error.value) == f"{tmp_path}: has 3 outputs; a scalar reward model has one (num_labels=1)"


def test_a_language_model_is_no_reward_model(make_tokenizer, tmp_path):
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48,
        num_labels=1,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"holds no weights for score\.weight, so its scores would be random"):
        plaudit.load(tmp_path)


def test_unusable_folders_are_named_in_one_line(make_reward, tmp_path, monkeypatch):
    reward = make_reward()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()

    def saved(name):
        reward.save(tmp_path / name)
        return tmp_path / name

    bare = saved("bare")
    (bare / "model.safetensors").unlink()
    pickled = saved("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    torn = saved("torn")
    whole = (torn / "model.safetensors").read_bytes()
    (torn / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    header = saved("header")
    (header / "model.safetensors").write_bytes(b"\xff" * 100)
    other = saved("other")
    weights = load_file(other / "model.safetensors")
    save_file({k: v[:1].contiguous() for k, v in weights.items()}, other / "model.safetensors", {"format": "pt"})
    config = saved("config")
    (config / "config.json").write_text("{not json")
    family = saved("family")
    (family / "config.json").write_text(json.dumps({"model_type": "no-such-family"}))
    wordless = saved("wordless")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (wordless / name).unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    file = tmp_path / "file"
    file.write_text("x")
    for folder, kind, text in (
        (bare, MissingError, "holds no weights; expected model.safetensors"),
        (
            pickled,
            InputError,
            "weights are a pickle (pytorch_model.bin), which can run code when it is opened; convert",
        ),
        (torn, InputError, "is torn or not safetensors"),
        (header, InputError, "is torn or not safetensors"),
        (other, InputError, "cannot be opened as a model"),
        (config, InputError, "cannot be opened as a model"),
        (family, InputError, "cannot be opened as a model"),
        (
            empty,
            MissingError,
            "holds no config.json; is it a model folder, or a run that has finished?",
        ),
        (file, InputError, "is a file; give the model's folder"),
        (tmp_path / "gone", MissingError, "neither a path that exists nor a known reward"),
        ("no-one/no-such-model", MissingError, "not found here or on the hub, or no network"),
        ("runs/nothing-here", MissingError, "runs/nothing-here: no such model folder"),
        ("package:no_such_package/x", MissingError, "package 'no_such_package' is not installed"),
    ):
        with pytest.raises(kind) as error:
            plaudit.load(folder)
        assert text in str(error.value), (folder, str(error.value))
        assert "\n" not in str(error.value)
        assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "holds list, not a JSON object"),
        ('{"readr": "leaf"}', "unknown key 'readr'; did you mean 'reader'"),
        ('{"reader": "leef"}', "reader 'leef' is not known; did you mean 'leaf'?"),
        ('{"scale": 0}', "must be finite and the scale positive"),
        ('{"scale": "2"}', "they must be numbers"),
        ('{"offset": NaN}', "must be finite"),
        ('{"format": 2}', "format 2 is not known, only 1"),
        ('{"template": {"append_eos": false}}', "has no 'max_length'"),
    ],
)
def test_a_manifest_that_cannot_be_read(text, message, make_reward, tmp_path):
    make_reward().save(tmp_path / "m")
    (tmp_path / "m" / "plaudit.json").write_text(text)
    with pytest.raises(InputError) as error:
        plaudit.load(tmp_path / "m")
    assert message in str(error.value)


def test_a_reader_that_the_model_does_not_have(make_model, bert_tokenizer):
    tokenizer = bert_tokenizer()
    made = ModelReward(make_model("bert", tokenizer), tokenizer)
    assert made.engine.gate.reason == "bert: an encoder; later tokens would change the shared prefix"
    with pytest.raises(InputError, match="reader is 'leaf', but bert has no linear `score`; give 'classification'"):
        ModelReward(made.model, tokenizer, Manifest(template=made.manifest.template))


def test_an_unknown_dtype_is_refused(tmp_path):
    for name in ("float31", "nn", "Tensor"):
        with pytest.raises(InputError, match=f"dtype '{name}' is not known to torch"):
            ModelReward.load(tmp_path, dtype=name)


@pytest.mark.parametrize("mode", ["tree", "padded"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_model_is_an_instrument_fault_and_never_a_number(value, mode, make_reward, samples):
    reward = make_reward(mode=mode)
    with torch.no_grad():
        reward.model.score.weight[0, 3] = value
    batch = reward(samples)
    assert batch.outcome.tolist() == [Outcome.INSTRUMENT_FAULT] * len(samples)
    assert np.isnan(batch.reward).all()
    assert not batch.valid.any()
    for detail in batch.detail:
        assert detail["score"] is None
        assert "overflowed" in detail["error"]


def test_only_the_affected_samples_are_faults(make_reward, samples):
    reward = make_reward()
    marked = reward.tokenizer("\u2603", add_special_tokens=False)["input_ids"][-1]
    prompt = samples[0].prompt
    together = [samples[0], Sample(prompt, "Lima \u2603"), samples[1], Sample(prompt, "\u2603")]
    sound = reward(together).reward  # the same batch before the fault: what is multiplied together rounds together
    with torch.no_grad():
        reward.model.get_input_embeddings().weight[marked] = math.nan
    batch = reward(together)
    assert batch.outcome.tolist() == [0, Outcome.INSTRUMENT_FAULT, 0, Outcome.INSTRUMENT_FAULT]
    np.testing.assert_allclose(batch.reward[[0, 2]], sound[[0, 2]])


def test_the_fingerprint_is_that_of_content(make_reward, tmp_path):
    reward = make_reward()
    reward.save(tmp_path / "a" / "model")
    reward.save(tmp_path / "b" / "model")
    first, second = (
        ModelReward.load(tmp_path / "a" / "model"),
        ModelReward.load(tmp_path / "b" / "model", name="other"),
    )
    assert first.fingerprint == second.fingerprint == reward.fingerprint
    moved = {
        "weights": make_reward(seed=1),
        "offset": make_reward(offset=0.26),
        "scale": make_reward(scale=2.1),
        "floor": make_reward(floor=-9.0),
        "length": make_reward(max_length=99),
    }
    other = make_reward()
    other.tokenizer.chat_template = "-" + other.tokenizer.chat_template
    moved["chat template"] = other
    policy = make_reward()
    rules = dict(policy.manifest.template, append_eos=True)
    moved["policy"] = ModelReward(policy.model, policy.tokenizer, Manifest(template=rules, offset=0.25, scale=2.0))
    vocabulary = make_reward()
    vocabulary.tokenizer.add_tokens(["Peru?"])
    moved["vocabulary"] = vocabulary
    prints = {name: r.fingerprint for name, r in moved.items()}
    assert len({reward.fingerprint, *prints.values()}) == len(prints) + 1, prints


def test_long_completions_are_cut_counted_and_keep_their_end(make_reward):
    reward = make_reward(max_length=40)
    long = Sample("What is the capital of Peru?", "nothing of note, " * 200 + "Lima.")
    batch = reward([long])
    assert batch.detail[0]["tokens"] <= 40
    assert batch.detail[0]["cut"] > 400
    assert "cut" not in reward([Sample("q", "a")]).detail[0]
    other = Sample("What is the capital of Peru?", "something else, " * 300 + "Lima.")
    assert reward([other]).reward[0] == pytest.approx(reward([Sample(other.prompt, "x " + other.text)]).reward[0])


def test_tools_and_template_options_are_part_of_the_prompt(make_reward):
    reward = make_reward()
    reward.tokenizer.chat_template = "{{ tools or '' }}{{ loud or '' }}" + reward.tokenizer.chat_template
    plain, tools, loud = (
        Sample("q", "a", meta=meta)
        for meta in ({}, {"tools": [{"name": "f"}]}, {"chat_template_kwargs": {"loud": "L"}})
    )
    together = reward([plain, tools, loud]).reward
    assert len(set(together)) == 3
    np.testing.assert_allclose(together, [reward([s]).reward[0] for s in (plain, tools, loud)], **CLOSE)


def test_names():
    assert short_name("runs/demo/model") == "demo"
    assert short_name("Skywork/Reward-V2") == "Reward-V2"
    assert short_name("/") == "model"
