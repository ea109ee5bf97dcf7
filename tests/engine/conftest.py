"""Tiny, randomly initialised models of many families; nothing is downloaded."""

import numpy as np
import pytest
import torch
import transformers as tf

VOCABULARY = 61
COMMON = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=128, initializer_range=0.2, pad_token_id=0,
    eos_token_id=1, bos_token_id=2,
)  # fmt: skip
PLAIN_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}  # the class default is YaRN for 128k tokens
SLIDING = ["sliding_attention", "full_attention", "sliding_attention"]


def _config(family):
    match family:
        case "llama":
            return tf.LlamaConfig(**COMMON)
        case "qwen3":
            return tf.Qwen3Config(**COMMON)
        case "gemma3":
            return tf.Gemma3TextConfig(**COMMON, sliding_window=6, layer_types=SLIDING, query_pre_attn_scalar=8)
        case "mistral":
            return tf.MistralConfig(**COMMON, sliding_window=5)
        case "gpt_oss":
            experts = dict(num_local_experts=4, num_experts_per_tok=2)
            return tf.GptOssConfig(
                **COMMON, **experts, sliding_window=6, layer_types=SLIDING, rope_parameters=PLAIN_ROPE
            )
        case "gemma2":
            caps = dict(attn_logit_softcapping=2.0, final_logit_softcapping=5.0)
            return tf.Gemma2Config(**COMMON, **caps, sliding_window=6, layer_types=SLIDING, query_pre_attn_scalar=8)
        case "gpt2":
            sizes = dict(n_embd=32, n_layer=3, n_head=4, n_positions=128, vocab_size=VOCABULARY)
            still = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
            return tf.GPT2Config(
                **sizes, **still, initializer_range=0.2, pad_token_id=0, bos_token_id=2, eos_token_id=1
            )
    raise KeyError(family)


def _build(family, kind="score", seed=0):
    """A float32 model in eval mode with its stock attention.

    Args:
        family: see `_config`.
        kind: `score` (sequence classification, one output), `causal` (language model).
        seed: of the weights.
    """
    config = _config(family) if isinstance(family, str) else family
    config.num_labels = 1
    auto = {"score": tf.AutoModelForSequenceClassification, "causal": tf.AutoModelForCausalLM}[kind]
    torch.manual_seed(seed)
    model = auto.from_config(config).eval()
    with torch.no_grad():  # sinks start empty, and a sink that is zero would not be seen to be missing
        for name, parameter in model.named_parameters():
            if "sinks" in name:
                parameter.normal_()
    return model


@pytest.fixture(scope="session")
def build():
    return _build


@pytest.fixture(scope="session")
def config_of():
    return _config


def _texts(rng, prompt, *tails):
    """Sequences that share `prompt` random tokens and go on with tails of the given lengths."""
    head = rng.integers(3, VOCABULARY, prompt).tolist()
    return [head + rng.integers(3, VOCABULARY, n).tolist() for n in tails]


@pytest.fixture(scope="session")
def mixtures():
    """Groups of sequences, by what is difficult about them; all longer than the models' windows somewhere."""
    rng = np.random.default_rng(7)
    root = rng.integers(3, VOCABULARY, 9).tolist()
    branches = [root + t for t in _texts(rng, 4, 3, 1, 8)] + [root + t for t in _texts(rng, 7, 2, 5)] + [[*root[:5], 3]]
    chain = rng.integers(3, VOCABULARY, 14).tolist()
    return {
        "no sharing": [_texts(rng, 0, n) for n in (1, 2, 17, 30, 5)],
        "several depths": [branches],
        "prefixes and duplicates": [[chain, chain[:4], chain[:9], chain, chain[:1], [*chain[:9], 3]]],
        "groups": [_texts(rng, 11, 6, 1, 3, 9, 2, 4, 8, 7), _texts(rng, 3, 12), _texts(rng, 20, 2, 2)],
    }


def _alone(body, text):
    """Hidden states of one sequence in a plain call, (length, width)."""
    ids = torch.tensor([list(text)])
    return body(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).last_hidden_state[0]


@pytest.fixture(scope="session")
def alone():
    return _alone


def _same_gradients(model, other, tolerance=1e-5):
    """Every parameter's gradient, to `tolerance` of one or of the largest gradient of that parameter."""
    found, expected = dict(model.named_parameters()), dict(other.named_parameters())
    assert found.keys() == expected.keys()
    compared = 0
    for name, parameter in expected.items():
        if parameter.grad is None:
            assert found[name].grad is None or not found[name].grad.any(), name
            continue
        scale = max(1.0, float(parameter.grad.abs().max()))
        torch.testing.assert_close(
            found[name].grad,
            parameter.grad,
            atol=tolerance * scale,
            rtol=0,
            msg=lambda m, n=name: f"{n}: {m}",
        )
        compared += bool(parameter.grad.any())
    assert compared > 2  # something was learned from


@pytest.fixture(scope="session")
def same_gradients():
    return _same_gradients
