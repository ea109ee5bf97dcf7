"""A word-level tokenizer with a chat template: the same for policies and reward models of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plaudit.lab.worlds.assistant import lexicon as lx

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|> ' + message['content'] }}"
    "{{ ' <eos>' if message['role'] == 'assistant' else '' }}"
    "{{ '' if loop.last else ' ' }}"
    "{% endfor %}"
    "{{ ' <|assistant|>' if add_generation_prompt else '' }}"
)
"""Each turn is its role and its words; an assistant's turn ends with `<eos>`."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The world's tokenizer: one token a word, ids as in the lexicon; `<pad>` never occurs in text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core: Any = Tokenizer(models.WordLevel(vocab=dict(lx.ID), unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=list(lx.SPECIALS[3:]),
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
