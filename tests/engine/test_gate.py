"""Which models may take the tree path, why the others may not, and that the others get right numbers all the same."""

import numpy as np
import pytest
import torch
import transformers as tf

from plaudit.engine import attention
from plaudit.engine.engine import Engine, has_read_head, install_head, padded_batches
from plaudit.engine.gate import trunk
from plaudit.errors import InputError, UnsupportedError

SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=61, pad_token_id=0,
             bos_token_id=1, eos_token_id=2)  # fmt: skip
MLP = dict(SIZES, intermediate_size=48)
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64,
        "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}  # fmt: skip
IGNORES = "ignores set_attn_implementation; its attention is not the AttentionInterface's"
LAYERS = "only full and sliding attention run on trees"
ROPE = "which depends on the longest text in the batch"

REFUSED = {
    "bloom": (lambda: tf.BloomConfig(**SIZES), f"bloom: {IGNORES}"),
    "falcon": (lambda: tf.FalconConfig(**SIZES), f"falcon: {IGNORES}"),
    "mpt": (
        lambda: tf.MptConfig(vocab_size=61, d_model=32, n_layers=2, n_heads=4, pad_token_id=0),
        f"mpt: {IGNORES}",
    ),
    "gptj": (
        lambda: tf.GPTJConfig(
            vocab_size=61, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        ),
        f"gptj: {IGNORES}",
    ),
    "llama 4": (
        lambda: tf.Llama4TextConfig(
            **MLP, intermediate_size_mlp=48, num_key_value_heads=2, head_dim=8, num_local_experts=2,
            num_experts_per_tok=1,
        ),
        f"llama4_text: layers of type chunked_attention; {LAYERS}",
    ),
    "mamba": (
        lambda: tf.MambaConfig(
            vocab_size=61, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=0, bos_token_id=1,
            eos_token_id=2,
        ),
        f"mamba: layers of type linear_attention; {LAYERS}",
    ),
    "bert": (lambda: tf.BertConfig(**MLP), "bert: an encoder; later tokens would change the shared prefix"),
    "t5": (
        lambda: tf.T5Config(
            vocab_size=61, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, eos_token_id=2, pad_token_id=0,
            decoder_start_token_id=0,
        ),
        "t5: encoder-decoder; a tree needs one causal stack",
    ),
    "dynamic rotary": (
        lambda: tf.LlamaConfig(**MLP, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
        f"llama: rotary scaling of type 'dynamic', {ROPE}",
    ),
    "longrope": (
        lambda: tf.LlamaConfig(**MLP, rope_parameters=LONG),
        f"llama: rotary scaling of type 'longrope', {ROPE}",
    ),
}  # fmt: skip
GROUPS = [[[5, 6, 7, 8, 9], [5, 6, 7, 11], [5, 6, 7]], [[20, 21, 22, 23, 24, 25, 26, 27], [20, 21]]]
TEXTS = [s for g in GROUPS for s in g]


def bare(family):
    torch.manual_seed(0)
    return tf.AutoModel.from_config(REFUSED[family][0]()).eval()


def scorer(family):
    config = REFUSED[family][0]()
    config.num_labels = 1
    torch.manual_seed(0)
    return tf.AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("family", REFUSED)
def test_families_that_must_not_are_named_with_their_reason(family):
    model, reason = bare(family), REFUSED[family][1]
    own = model.config._attn_implementation
    assert Engine(model).gate.reason == reason
    assert model.config._attn_implementation == own
    with pytest.raises(UnsupportedError) as error:
        Engine(model, mode="tree")
    assert str(error.value) == f"engine: trees were asked for, but {reason}; use mode='auto'"


@pytest.mark.parametrize("family", [f for f in REFUSED if f != "t5"])
def test_they_fall_back_to_right_hidden_states(family):
    model = bare(family)
    with torch.no_grad():
        ours = Engine(model, budget=12).hidden(TEXTS)
        for found, text in zip(ours, TEXTS, strict=True):
            ids = torch.tensor([text])
            expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bloom", "falcon", "mpt", "gptj", "bert", "t5", "dynamic rotary", "longrope"])
def test_they_fall_back_to_right_scores(family):
    model = install_head(scorer(family))
    assert has_read_head(model) == (family not in ("bert", "t5"))
    groups = [[[*s, 2] for s in g] for g in GROUPS]  # T5 reads its score at EOS
    with torch.no_grad():
        ours = Engine(model, budget=12).scores(groups)
        stock = scorer(family)
        expected = torch.cat([stock(torch.tensor([s])).logits for g in groups for s in g])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert len(set(ours[:, 0].tolist())) == len(TEXTS)


def off_by_a_little(by_segment):
    return lambda q, k, v, *rest: by_segment(q, k, v * 1.001, *rest)


def without_a_window(by_segment):
    return lambda q, k, v, plan, extras, window: by_segment(q, k, v, plan, extras, None)


def without_the_past(by_segment):
    def wrong(q, k, v, plan, extras, window):
        plan.__dict__["paths"] = tuple(np.arange(start, stop) for start, stop, *_ in plan.segments.tolist())
        return by_segment(q, k, v, plan, extras, window)

    return wrong


@pytest.mark.parametrize(
    ("family", "mistake"),
    [
        ("llama", off_by_a_little),
        ("gpt2", off_by_a_little),
        ("mistral", without_a_window),
        ("gemma3", without_a_window),
        ("qwen3", without_the_past),
    ],
)
def test_the_probe_refuses_wrong_numbers(family, mistake, monkeypatch, build, alone):
    monkeypatch.setattr(attention, "_by_segment", mistake(attention._by_segment))
    model = build(family).train()
    own = model.config._attn_implementation
    engine = Engine(model)
    assert not engine.gate.open
    assert engine.gate.reason.startswith(f"{model.config.model_type}: hidden states on a tree differ by ")
    assert "tolerance" in engine.gate.reason
    assert model.config._attn_implementation == own
    assert all(layer.config._attn_implementation == own for layer in model.modules() if hasattr(layer, "config"))
    assert model.training
    with pytest.raises(UnsupportedError, match="hidden states on a tree differ"):
        Engine(model, mode="tree")
    model.eval()
    with torch.no_grad():
        for found, text in zip(Engine(model).hidden(TEXTS), TEXTS, strict=True):
            torch.testing.assert_close(found, alone(trunk(build(family)), text), atol=1e-5, rtol=1e-5)


def test_a_nan_does_not_pass_the_probe(monkeypatch, build):
    right = attention._by_segment
    monkeypatch.setattr(attention, "_by_segment", lambda *a: right(*a) * float("nan"))
    assert "differ by nan" in Engine(build("llama")).gate.reason


def test_a_probe_that_breaks_closes_the_gate_and_restores(monkeypatch, build):
    def broken(*_):
        raise RuntimeError("the kernel does not like this shape\nand says so at length")

    monkeypatch.setattr("plaudit.engine.probe._texts", broken)
    model = build("llama")
    assert Engine(model).gate.reason == "llama: the probe failed: the kernel does not like this shape"
    assert model.config._attn_implementation == "sdpa"

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("plaudit.engine.probe._texts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Engine(model)
    assert model.config._attn_implementation == "sdpa"


def test_layers_that_do_not_call_the_function_are_counted(build):
    model = build("llama")
    layer = model.model.layers[1].self_attn
    layer.forward = lambda hidden_states, **_: (hidden_states, None)
    assert Engine(model).gate.reason == (
        "llama: 2 of its 3 layers call the registered attention function; the family ignores set_attn_implementation"
    )
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_every_module_keeps_its_mode(family, build):
    model = build("llama") if family == "llama" else scorer("bert")
    model.train()
    still = next(m for m in model.modules() if isinstance(m, torch.nn.Embedding))
    still.eval()
    engine = Engine(install_head(model))
    modes = [m.training for m in model.modules()]
    engine.scores(GROUPS)
    engine.hidden(TEXTS)
    assert [m.training for m in model.modules()] == modes
    assert model.training
    assert not still.training
    assert Engine(model.eval()).model.training is False


def test_a_second_engine_finds_the_attention_installed(build):
    model = install_head(build("llama"))
    first = Engine(model).scores(GROUPS)
    assert model.config._attn_implementation == attention.NAME
    second = Engine(model, mode="tree")
    torch.testing.assert_close(second.scores(GROUPS), first)


@pytest.mark.parametrize("mode", ["tree", "padded"])
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "engine: no sequences; give at least one"),
        ([[4], []], "engine: sequence 1 is empty; every sequence needs at least one token"),
    ],
)
def test_nothing_to_run_is_refused(mode, texts, message, build):
    engine = Engine(install_head(build("llama")), mode=mode)
    for call in (engine.hidden, lambda t: engine.scores([t] if t else []), engine.token_logps):
        with pytest.raises(InputError) as error:
            call(texts)
        assert str(error.value) == message


@pytest.mark.parametrize("mode", ["tree", "padded"])
def test_a_bad_budget_is_refused(mode, build):
    with pytest.raises(InputError) as error:
        Engine(build("llama"), mode=mode, budget=0)
    assert str(error.value) == "engine: budget is 0; give the distinct tokens that a row may hold, at least 1"


def test_an_empty_sequence_in_a_padded_batch():
    with pytest.raises(InputError, match="padded batch: sequence 1 is empty"):
        list(padded_batches([[1], []], budget=4, pad_id=0, device="cpu"))


def test_padded_batches_keep_to_the_budget_and_hold_everything():
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 9, n).tolist() for n in rng.integers(1, 15, 40)]
    seen = []
    for batch in padded_batches(texts, budget=30, pad_id=0, device="cpu"):
        assert batch.input_ids.numel() <= 30 or len(batch.members) == 1
        flat = batch.input_ids.reshape(-1)
        for i, m in enumerate(batch.members):
            assert batch.input_ids[i][batch.attention_mask[i] == 1].tolist() == texts[m]
            assert flat[batch.last[i]] == texts[m][-1]
            seen.append(m)
    assert sorted(seen) == list(range(40))


def test_a_pad_id_of_minus_one_is_never_looked_up(build, config_of):
    config = config_of("llama")
    model = build(config)
    model.config.pad_token_id = -1  # as old Llama configurations have it
    engine = Engine(model, mode="padded")
    assert engine.pad_id == 0
    assert all(torch.isfinite(s).all() for s in engine.hidden(TEXTS))
