"""Tiny reward models from configurations and a tokenizer fitted to a few lines; nothing is downloaded."""

import pytest
import torch
import transformers as tf

from plaudit.engine.rendering import Template, ensure_pad
from plaudit.records import Message, Sample
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.models import ModelReward
from plaudit.training.backbones import fit_tokenizer

LINES = [
    "What is the capital of Peru? Lima.",
    "Write two lines about rain.",
    "I cannot help with that. user assistant",
]
SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=1,
             initializer_range=0.2, max_position_embeddings=2048)  # fmt: skip


def _tokenizer(**changes):
    tokenizer = fit_tokenizer(LINES, 300)
    tokenizer.add_special_tokens(changes) if changes else None
    return tokenizer


def _bert_tokenizer():
    letters = [chr(c) for c in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
    return tf.BertTokenizer(vocab={w: i for i, w in enumerate(words)})


def _model(family, tokenizer, seed=0, **changes):
    sizes = dict(SMALL, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
                 eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id) | changes  # fmt: skip
    if family == "gpt2":
        names = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
        for ours, theirs in {**names, "max_position_embeddings": "n_positions"}.items():
            sizes[theirs] = sizes.pop(ours)
        sizes.pop("intermediate_size")
    if family == "qwen3":
        sizes |= dict(num_key_value_heads=2, head_dim=8)
    config = {"llama": tf.LlamaConfig, "gpt2": tf.GPT2Config, "bert": tf.BertConfig, "qwen3": tf.Qwen3Config}[family]
    torch.manual_seed(seed)
    return tf.AutoModelForSequenceClassification.from_config(config(**sizes)).eval()


def _reward(family="llama", seed=0, *, max_length=2048, mode="auto", **manifest):
    """A reward as a fit makes it, with a normalisation that is not the identity."""
    tokenizer = _tokenizer()
    model = _model(family, tokenizer, seed)
    ensure_pad(tokenizer, model)
    template = Template.of(tokenizer, max_length=max_length)
    made = Manifest(**{"template": template.to_dict(), "offset": 0.25, "scale": 2.0, "floor": -1e4} | manifest)
    return ModelReward(model, tokenizer, made, mode=mode)


@pytest.fixture(scope="session")
def make_tokenizer():
    return _tokenizer


@pytest.fixture(scope="session")
def bert_tokenizer():
    return _bert_tokenizer


@pytest.fixture(scope="session")
def make_model():
    return _model


@pytest.fixture(scope="session")
def make_reward():
    return _reward


@pytest.fixture(scope="session")
def samples():
    """Samples of several prompts, lengths and kinds, some of them in groups, one prompt with a system message."""
    prompts = ["What is the capital of Peru?", "Write two lines about rain.", "Say nothing."]
    made = [
        Sample(p, c, group=str(i)) for i, p in enumerate(prompts) for c in ("Lima", "I cannot help. " * 9, "", "a b c")
    ]
    turns = (
        Message("system", "Be brief."),
        Message("user", "hi"),
        Message("assistant", "ho"),
        Message("user", "he"),
    )
    return (
        *made,
        Sample(turns, "hum"),
        Sample(turns, (Message("assistant", "hum"), Message("user", "?"))),
        made[0],
    )


@pytest.fixture(autouse=True)
def _quiet_and_offline(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
