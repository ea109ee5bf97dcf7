"""Invariants of a fit: how rows are packed, accumulated or recomputed does not matter; what is trained comes back."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers as tf

import plaudit
from plaudit.engine.gate import Gate
from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Sample, Stepwise, Unpaired
from plaudit.rewards.registry import load
from plaudit.training.backbones import build_backbone, fit_tokenizer
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.entry import preference_rows, train_reward
from plaudit.training.trainer import rate_at


@pytest.fixture(scope="module")
def base(fit, pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("base")
    return fit(out, pairs(margins=True)), out


def same_losses(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one.losses, other.losses, atol=tolerance, rtol=0)


def same_parameters(one, other, parameters, tolerance=1e-6):
    first, second = parameters(one), parameters(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=tolerance, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def by_plain_transformers(folder, samples):
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    model = tf.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for s in samples:
        messages = [m.to_dict() for m in s.messages]
        rows = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            found.append(model(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits.item())
    return np.array(found)


def rewards_equal_plain(fitted, folder, rows):
    samples = [s for row in rows for s in row.samples()]
    manifest = fitted.reward.manifest
    expected = (by_plain_transformers(folder, samples) - manifest.offset) / manifest.scale
    np.testing.assert_allclose(fitted.reward(samples).reward, expected, atol=1e-4)
    np.testing.assert_allclose(plaudit.load(folder)(samples).reward, expected, atol=1e-4)


def test_a_fit_learns_and_says_what_it_took(fit, pairs, tmp_path, logged):
    rows = pairs(16)
    fitted = fit(tmp_path, rows, epochs=6.0)
    assert len(fitted.losses) == 24  # 16 groups, 4 a step, 6 epochs
    assert fitted.losses[0] == pytest.approx(np.log(2), abs=0.05)
    assert np.mean(fitted.losses[-4:]) < 0.35
    assert [r["loss"] for r in logged(tmp_path) if "loss" in r] == list(fitted.losses)
    assert (fitted.groups, fitted.pairs, fitted.truncated, fitted.tree) == (16, 16, 0, "prefix trees")
    samples = [s for r in rows for s in r.samples()]
    batch = fitted.reward(samples)
    assert np.mean(batch.reward[::2] > batch.reward[1::2]) == 1
    assert batch.reward.mean() == pytest.approx(0, abs=1e-5)  # mean 0 and deviation 1 over the training completions
    assert batch.reward.std() == pytest.approx(1, abs=1e-5)
    assert fitted.raw_tokens == sum(d["tokens"] for d in batch.detail)
    assert fitted.distinct_tokens < 6 * fitted.raw_tokens
    assert not (tmp_path / "checkpoints").exists()
    training = fitted.reward.manifest.training
    assert (training["groups"], training["pairs"], training["config"]["epochs"]) == (16, 16, 6.0)
    assert fitted.reward.manifest.objective == "bradley-terry"
    rewards_equal_plain(fitted, tmp_path / "model", rows)


def test_the_same_seed_gives_the_same_fit(base, fit, pairs, tmp_path, parameters):
    again = fit(tmp_path, pairs(margins=True))
    assert again.losses == base[0].losses
    same_parameters(again, base[0], parameters, tolerance=0)
    assert again.reward.fingerprint == base[0].reward.fingerprint


@pytest.mark.usefixtures("by_descent")
def test_accumulation_is_one_large_batch(fit, pairs, ranked, tmp_path, parameters):
    """1 x 8 equals 8 x 1, and 2 x 4, although groups hold one to six pairs, and the last step is not full."""
    rows = [r for both in zip(pairs(13), [*ranked(6), *ranked(6)], strict=False) for r in both]
    options = dict(rows=rows, learning_rate=0.05, warmup=0.0)
    whole = fit(tmp_path / "a", batch_size=8, accumulation=1, **options)
    assert len(whole.losses) == 3
    for name, sizes in (("b", (1, 8)), ("c", (2, 4))):
        parts = fit(tmp_path / name, batch_size=sizes[0], accumulation=sizes[1], **options)
        same_losses(whole, parts, 1e-6)
        same_parameters(whole, parts, parameters)


@pytest.mark.parametrize("change", [{"tokens_per_row": 20}, {"gradient_checkpointing": True}])
def test_packing_and_recomputing_change_nothing(change, base, fit, pairs, tmp_path):
    same_losses(fit(tmp_path, pairs(margins=True), **change), base[0])


@pytest.mark.parametrize("tokens", [60, 8192])
def test_the_padded_path_trains_the_same(tokens, base, fit, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("plaudit.engine.engine.static_gate", lambda _: Gate(False, "padded for the test"))
    padded = fit(tmp_path, pairs(margins=True), tokens_per_row=tokens)
    assert padded.tree == "padded for the test"
    same_losses(padded, base[0])
    assert padded.distinct_tokens > base[0].distinct_tokens


def test_gradient_checkpointing_recomputes(fit, tmp_path, monkeypatch):
    calls = []
    checkpoint = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        "transformers.modeling_utils.checkpoint",
        lambda *a, **k: calls.append(k["use_reentrant"]) or checkpoint(*a, **k),
    )
    fit(tmp_path / "plain")
    assert calls == []
    fit(tmp_path / "less", gradient_checkpointing=True)
    assert set(calls) == {False}
    assert len(calls) == 3 * 2  # three steps of one row, two layers


def test_ranked_rows_learn_all_their_pairs(fit, ranked, tmp_path):
    rows = ranked(6, 4)
    fitted = fit(tmp_path, rows, epochs=2.0)
    assert (fitted.groups, fitted.pairs) == (6, 6 * 6)
    one = fit(tmp_path / "one", [rows[0]], batch_size=1, learning_rate=1e-9)
    samples = [Sample(rows[0].prompt, c) for c in rows[0].completions]
    scores = np.array([d["score"] for d in one.reward(samples).detail])
    # the mean over the six pairs of -log sigmoid of their differences; the scores have hardly moved
    better = [(i, j) for i in range(4) for j in range(4) if rows[0].scores[i] > rows[0].scores[j]]
    expected = np.mean([np.log1p(np.exp(scores[j] - scores[i])) for i, j in better])
    assert one.losses == pytest.approx([expected], abs=1e-5)


def test_a_ranked_row_of_two_is_a_pair(fit, pairs, tmp_path, parameters):
    rows = pairs(8)
    as_ranked = [Ranked(r.prompt, (r.rejected, r.chosen), (0.0, 1.0)) for r in rows]
    one, other = fit(tmp_path / "a", rows), fit(tmp_path / "b", as_ranked)
    same_losses(one, other)


def test_lora_trains_adapters_and_the_head_and_saves_plain_weights(fit, pairs, tmp_path, small):
    rows = pairs(16)
    folder = tmp_path / "start"
    fit(folder, rows, epochs=2.0)
    start = Backbone(name=str(folder / "model"))
    fitted = fit(tmp_path / "lora", rows, backbone=start, lora_rank=4, learning_rate=1e-2, epochs=3.0)
    before = tf.AutoModelForSequenceClassification.from_pretrained(folder / "model").state_dict()
    after = tf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "lora" / "model").state_dict()
    assert before.keys() == after.keys()  # merged: nothing of peft is left
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {n.split(".")[-2] for n in moved} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "score",
    }  # fmt: skip
    assert not any("embed" in n or "norm" in n for n in moved)
    assert fitted.losses[-1] < fitted.losses[0]
    rewards_equal_plain(fitted, tmp_path / "lora" / "model", rows)


def save(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tokenizer_of(pairs, **specials):
    texts = [m.text for r in pairs(16) for s in r.samples() for m in s.messages]
    tokenizer = fit_tokenizer(texts, 300)
    for name, value in specials.items():
        setattr(tokenizer, name, value)
    return tokenizer


SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, initializer_range=0.1)


def test_a_language_model_gets_a_head(fit, pairs, tmp_path):
    tokenizer = tokenizer_of(pairs, pad_token="<|end|>")  # pad equals EOS, as with many language models
    config = tf.LlamaConfig(**SIZES, vocab_size=len(tokenizer), max_position_embeddings=128, attention_dropout=0.3)
    folder = save(tf.LlamaForCausalLM(config), tokenizer, tmp_path / "lm")
    fitted = fit(tmp_path / "run", pairs(16), backbone=Backbone(name=str(folder)), epochs=4.0)
    assert np.mean(fitted.losses[-4:]) < np.mean(fitted.losses[:4])
    assert fitted.reward.tokenizer.pad_token == "<|plaudit_pad|>"
    assert fitted.reward.manifest.base == str(folder)
    rewards_equal_plain(fitted, tmp_path / "run" / "model", pairs(16))


def test_gpt2_without_a_pad_and_with_dropout(fit, pairs, tmp_path):
    tokenizer = tokenizer_of(pairs, pad_token=None)
    config = tf.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=128, vocab_size=len(tokenizer))
    assert config.resid_pdrop == config.attn_pdrop == config.embd_pdrop == 0.1
    folder = save(tf.GPT2LMHeadModel(config), tokenizer, tmp_path / "lm")
    fitted = fit(tmp_path / "run", pairs(16), backbone=Backbone(name=str(folder)), epochs=2.0)
    assert fitted.tree == "prefix trees"
    rewards_equal_plain(fitted, tmp_path / "run" / "model", pairs(16))


def test_an_encoder_is_fine_tuned_on_the_padded_path(fit, pairs, tmp_path):
    words = sorted({w for r in pairs(16) for s in r.samples() for m in s.messages for w in m.text.split()})
    tokenizer = tf.BertTokenizer(
        vocab={w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    )
    config = tf.BertConfig(**SIZES, vocab_size=len(tokenizer), max_position_embeddings=96)
    folder = save(tf.BertModel(config), tokenizer, tmp_path / "encoder")
    fitted = fit(tmp_path / "run", pairs(16), backbone=Backbone(name=str(folder)), epochs=8.0, learning_rate=1e-3)
    assert fitted.tree.startswith("bert: an encoder")
    assert fitted.reward.manifest.reader == "classification"
    assert np.mean(fitted.losses[-4:]) < 0.5
    rewards_equal_plain(fitted, tmp_path / "run" / "model", pairs(16))


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_dropout_is_zero(family, pairs, tmp_path):
    tokenizer = tokenizer_of(pairs)
    config = {
        "gpt2": tf.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=128, vocab_size=len(tokenizer)),
        "llama": tf.LlamaConfig(**SIZES, vocab_size=len(tokenizer), attention_dropout=0.3),
        "bert": tf.BertConfig(**SIZES, vocab_size=len(tokenizer)),
    }[family]
    folder = save(tf.AutoModel.from_config(config), tokenizer, tmp_path / "m")
    model, _, _ = build_backbone(Backbone(name=str(folder)), [], max_length=64, seed=0)
    ids = torch.arange(5, 25)[None]
    trained, still = model.train()(ids).logits, model.eval()(ids).logits
    assert torch.equal(trained, still)
    assert not any(m.p for m in model.modules() if isinstance(m, torch.nn.Dropout))


def test_a_reward_model_goes_on_from_its_head(fit, pairs, tmp_path):
    first = fit(tmp_path / "a", pairs(16), epochs=6.0)
    second = fit(tmp_path / "b", pairs(16), backbone=Backbone(name=str(tmp_path / "a" / "model")), learning_rate=1e-6)
    assert second.losses[0] < 0.5
    assert first.losses[0] > 0.6


@pytest.mark.parametrize("network", [{}, {"head_depth": 2}])
def test_a_head_of_the_same_form_is_gone_on_with(network, fit, pairs, tmp_path):
    first = fit(tmp_path / "a", pairs(8), epochs=1.0, **network).reward
    start = Backbone(name=str(tmp_path / "a" / "model"))
    still = fit(tmp_path / "b", pairs(8), backbone=start, learning_rate=1e-12, **network).reward
    for (name, a), (other, b) in zip(first.model.named_parameters(), still.model.named_parameters(), strict=True):
        assert name == other
        torch.testing.assert_close(b, a, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (dict(head_depth=2), dict()),
        (dict(head_depth=2), dict(head_depth=3)),
        (dict(objective="bradley-terry"), dict(objective="bradley-terry-heads?heads=3")),
        (dict(objective="bradley-terry-heads?heads=3"), dict(objective="bradley-terry")),
    ],
)
def test_a_head_of_another_form_is_begun_anew(before, after, fit, pairs, tmp_path):
    first = fit(tmp_path / "a", pairs(8), epochs=1.0, **before).reward
    start = Backbone(name=str(tmp_path / "a" / "model"))
    still = fit(tmp_path / "b", pairs(8), backbone=start, learning_rate=1e-12, **after).reward
    bodies = [dict(reward.model.model.named_parameters()) for reward in (first, still)]
    for name, value in bodies[0].items():
        torch.testing.assert_close(bodies[1][name], value, atol=1e-9, rtol=0)
    again = load(tmp_path / "b" / "model")
    assert np.isfinite(again(pairs(8)[0].samples()).reward).all()


def test_a_many_headed_backbone_gets_a_head_of_its_own(fit, pairs, tmp_path):
    tokenizer = tokenizer_of(pairs)
    config = tf.LlamaConfig(**SIZES, vocab_size=len(tokenizer), max_position_embeddings=128, num_labels=3)
    folder = save(tf.LlamaForSequenceClassification(config), tokenizer, tmp_path / "three")
    assert fit(tmp_path / "run", backbone=Backbone(name=str(folder))).reward.model.config.num_labels == 1


def test_weights_that_the_configuration_contradicts_are_refused(fit, pairs, tmp_path):
    tokenizer = tokenizer_of(pairs)
    config = tf.LlamaConfig(**SIZES, vocab_size=len(tokenizer), max_position_embeddings=128)
    folder = save(tf.LlamaForSequenceClassification(config), tokenizer, tmp_path / "model")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"intermediate_size": 2 * told["intermediate_size"]}))
    with pytest.raises(InputError, match=r"down_proj.weight is \(\d+, \d+\), and its config says .*; save it again"):
        fit(tmp_path / "run", backbone=Backbone(name=str(folder)))


def test_max_length_beyond_the_positions_is_refused(fit, pairs, tmp_path):
    tokenizer = tokenizer_of(pairs)
    config = tf.LlamaConfig(**SIZES, vocab_size=len(tokenizer), max_position_embeddings=64)
    folder = save(tf.LlamaForCausalLM(config), tokenizer, tmp_path / "lm")
    with pytest.raises(InputError) as error:
        fit(tmp_path / "run", backbone=Backbone(name=str(folder)), max_length=65)
    assert str(error.value) == f"max_length is 65, but {folder} has 64 positions; lower max_length"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "training: there are no rows; give a file with at least one preference"),
        (
            [Pair((Message("user", "q"),), "same", "same")] * 3,
            "training: chosen and rejected are identical in all 3 rows; there is nothing to learn. "
            "Were the columns filled from the same field?",
        ),
        (
            [Pair((Message("user", "q"),), "a", "b"), Unpaired((Message("user", "q"),), "a", True)],
            "row 2: an unpaired row holds no preference; convert it first (plaudit data convert --to pairs)",
        ),
        (
            [Stepwise((Message("user", "q"),), ("a", "b"), (True, False))],
            "row 1: a stepwise row holds no preference, and stepwise cannot become pairs; bradley-terry learns from "
            "pairs and ranked rows",
        ),
    ],
)
def test_rows_without_a_preference(rows, message, small, tmp_path):
    with pytest.raises(InputError) as error:
        train_reward(rows, backbone=small, config=FitConfig(), out=tmp_path)
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


def test_some_identical_pairs_are_let_through(pairs):
    rows = [*pairs(2), Pair((Message("user", "q"),), "same", "same")]
    assert preference_rows(rows) == rows


def test_diverged_training_is_said_at_once(fit, tmp_path, logged):
    with pytest.raises(InputError) as error:
        fit(tmp_path, learning_rate=1e38, warmup=0.0, epochs=9.0)
    assert str(error.value) == "training: the loss of step 2 is nan; training diverged. Lower learning_rate"
    assert len(logged(tmp_path)) == 1
    assert not (tmp_path / "model").exists()


def test_training_that_diverged_in_its_last_step_is_said(fit, tmp_path):
    with pytest.raises(
        InputError, match=r"24 of 24 training scores are not finite; training diverged\. Lower learning_rate"
    ):
        fit(tmp_path, learning_rate=1e38, warmup=0.0, batch_size=12)
    assert not (tmp_path / "model").exists()


def test_long_rows_are_cut_and_counted(fit, tmp_path):
    prompt = (Message("user", "a very long question " * 30),)
    rows = [
        Pair(prompt, "good", "bad"),
        *[Pair((Message("user", f"q {i}"),), "good", "bad") for i in range(3)],
    ]
    fitted = fit(tmp_path, rows, max_length=40)
    assert fitted.truncated == 2
    assert fitted.reward.manifest.template["max_length"] == 40


def test_length_balance_needs_pairs(fit, ranked, tmp_path):
    with pytest.raises(InputError, match="balance='length' needs pairs; convert ranked rows first"):
        fit(tmp_path, ranked(), balance="length")


def test_train_reward_says_what_a_command_prints(pairs, small, tmp_path):
    config = FitConfig(learning_rate=3e-3, batch_size=4, max_length=96, epochs=3.0)
    trained = train_reward(iter(pairs(16)), backbone=small, config=config, out=tmp_path)
    facts = trained.facts
    assert (facts["groups"], facts["pairs"], facts["sequences"], facts["truncated"]) == (16, 16, 32, 0)
    assert facts["parameters"] == sum(p.numel() for p in trained.reward.model.parameters())
    assert facts["config"] == dataclasses.asdict(config)
    assert facts["last_loss"] < facts["first_loss"]
    lines = trained.lines()
    assert lines[0].startswith("trained on 16 preferences in 16 groups from scratch")
    assert "(log 2 = 0.6931 is chance)" in lines[1]
    assert lines[2] == "prefix trees; 0 of 32 sequences truncated"
    # with margins a model that knows nothing loses more than log 2
    more = dataclasses.replace(config, use_margin=True, epochs=1.0)
    told = train_reward(pairs(4, margins=True), backbone=small, config=more, out=tmp_path).lines()
    assert "chance" not in told[1]


def test_margins_that_no_row_has_are_not_used_in_silence(fit, pairs, tmp_path):
    with pytest.raises(InputError, match="use_margin: no row has a margin or scores that differ; leave it out"):
        fit(tmp_path, pairs(4), use_margin=True)


def test_another_s_folder_is_not_replaced_by_a_model(pairs, small, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("kept")
    monkeypatch.setattr("plaudit.training.fitting.run_steps", lambda *a, **k: pytest.fail("it was trained"))
    with pytest.raises(InputError, match="what it holds would be lost"):
        train_reward(pairs(4), backbone=small, config=FitConfig(max_length=96), out=tmp_path)
    assert (tmp_path / "model" / "mine.txt").read_text() == "kept"


def test_the_learning_rate_rises_from_above_nothing_and_falls_to_nothing():
    """Two steps of warm-up are thirds; then half a cosine over three: 1, (1 + cos 60°) / 2 and (1 + cos 120°) / 2."""
    found = [rate_at(step, warmup=2, steps=5) for step in range(6)]
    assert found == pytest.approx([1 / 3, 2 / 3, 1.0, 0.75, 0.25, 0.0])
    assert rate_at(0, warmup=1, steps=1) == 0.5
    plain = [rate_at(step, warmup=0, steps=2) for step in range(2)]
    assert plain == pytest.approx([1.0, 0.5])


def test_a_fit_of_one_step_learns(fit, parameters, tmp_path):
    """With the default warm-up, whose first step had a rate of 0."""
    one = fit(tmp_path / "one", batch_size=64)
    none = fit(tmp_path / "none", batch_size=64, learning_rate=1e-12)
    assert len(one.losses) == 1
    apart = [float((parameters(one)[n] - parameters(none)[n]).abs().max()) for n in parameters(one)]
    assert max(apart) > 1e-4
