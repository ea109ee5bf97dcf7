"""Tiny causal language models from configurations; nothing is downloaded."""

import pytest
import torch
import transformers as tf

from plaudit.rewards.likelihood import LanguageModel
from plaudit.training.backbones import fit_tokenizer

LINES = ["What is the capital of Peru? Lima.", "Write two lines about rain.", "I cannot help with that. user assistant"]


def _language(seed=0, *, lines=LINES, vocabulary=300, max_length=1024, mode="auto", budget=8192):
    tokenizer = fit_tokenizer(lines, vocabulary)
    torch.manual_seed(seed)
    config = tf.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        initializer_range=0.2, max_position_embeddings=2048, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    model = tf.LlamaForCausalLM(config)
    return LanguageModel(model, tokenizer, name=f"tiny-{seed}", max_length=max_length, mode=mode, budget=budget)


# as templates of reasoning models do, it trims turns and sets lines around what was thought
RESET = (
    "{% for m in messages %}[{{ m.role }}]\n{% if m.role == 'assistant' and '</think>' in m.content %}<think>\n"
    "{{ m.content.split('</think>')[0].split('<think>')[-1].strip('\n') }}\n</think>\n\n"
    "{{ m.content.split('</think>')[-1].strip() }}{% else %}{{ m.content.strip() }}{% endif %}[end]\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)


def _save(language, folder):
    before = language.model.config._attn_implementation
    language.model.set_attn_implementation("sdpa")
    language.model.save_pretrained(folder)
    language.model.set_attn_implementation(before)
    language.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def language():
    return _language


@pytest.fixture(scope="session")
def save_language():
    return _save


@pytest.fixture(scope="session")
def strong():
    return _language(0)


@pytest.fixture(scope="session")
def resetting():
    """One whose template changes the white space of turns."""
    found = _language(0)
    found.tokenizer.chat_template = RESET
    return found


@pytest.fixture(scope="session")
def weak():
    return _language(1)


@pytest.fixture(scope="session")
def slow_logps():
    """Log-probability of each token after the first, by one plain forward call of one sequence."""

    def logps(language, ids):
        row = torch.tensor([list(map(int, ids))])
        language.model.set_attn_implementation("sdpa")
        try:
            with torch.inference_mode():
                logits = language.model(row).logits[0, :-1].double().log_softmax(-1)
        finally:
            language.model.set_attn_implementation("plaudit_tree")
        return logits.gather(1, row[0, 1:, None])[:, 0].numpy()

    return logps
