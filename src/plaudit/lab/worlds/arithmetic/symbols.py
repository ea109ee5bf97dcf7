"""The world's tokens: digits, signs, a line's end, the mark of the answer, and a word that says nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plaudit.errors import InputError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = ("<pad>", "<eos>", "<ask>", "<say>")
PAD, EOS, ASK, SAY = range(4)
TOKENS = (*SPECIALS, *"0123456789", "+", "-", "*", "=", "\n", "#### ", "hmm ")
ID = {token: i for i, token in enumerate(TOKENS)}
_SPLIT = re.compile(r"#### |hmm |[0-9+\-*=\n]")


def ids(text: str) -> list[int]:
    """Token ids of a text of the world.

    Raises:
        InputError: if the text has a character that is no part of a token.
    """
    found = _SPLIT.findall(text)
    if len("".join(found)) != len(text):
        bad = next(c for c in text if c not in "0123456789+-*=\n#hm ")
        raise InputError(f"arithmetic: {bad!r} is no token of the world; {nearest(bad, TOKENS)}")
    return [ID[token] for token in found]


def text_of(tokens: Sequence[int]) -> str:
    """The text of token ids, without special ones."""
    return "".join(TOKENS[i] for i in tokens if i >= len(SPECIALS))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The same as a transformers tokenizer, with a chat template; ids as above."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core: Any = Tokenizer(models.WordLevel(vocab=dict(ID), unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(_SPLIT.pattern), behavior="isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", additional_special_tokens=["<ask>", "<say>"],
        clean_up_tokenization_spaces=False, model_max_length=256,
    )  # fmt: skip
    tokenizer.chat_template = (
        "{% for message in messages %}{{ ('<ask>' if message['role'] == 'user' else '<say>') + message['content'] }}"
        "{{ '<eos>' if message['role'] == 'assistant' else '' }}{% endfor %}"
        "{{ '<say>' if add_generation_prompt else '' }}"
    )
    return tokenizer
