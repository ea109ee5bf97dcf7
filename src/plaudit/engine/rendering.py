"""From a conversation to token ids: template, EOS and truncation, the same in training, evaluation and serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from plaudit.engine.tree import Ids, common_prefix
from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.sample import Completion, Conversation, completion_messages

Kwargs = Mapping[str, Any] | None
_WORDS = (  # content is a string, or parts of which only text can be read
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] or '' }}{% endfor %}{% endif %}"
)
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' }}" + _WORDS + "{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
"""What a tokenizer without a chat template gets; it is saved with the model."""
END = "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"
"""What is added to a chat template that does not end with EOS, so that whoever applies it reads the same end."""
ENCODER_TEMPLATE = "{{ cls_token }}{% for message in messages %}" + _WORDS + "{{ sep_token }}{% endfor %}"
"""The same for an encoder's tokenizer: for one turn, what `tokenizer(prompt, completion)` makes of it."""


@dataclass(frozen=True, slots=True)
class Template:
    """How text becomes token ids, as the manifest keeps it.

    Attributes:
        append_eos: whether EOS is appended to the ids of the rendered conversation. `Template.of` writes it into the
            chat template instead where it can, so that plain transformers and servers, which know no policy, read
            the score at the same end.
        max_length: longest sequence in tokens.
        kwargs: further arguments of the chat template (`enable_thinking`, ...).
    """

    append_eos: bool = True
    max_length: int = 2048
    kwargs: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, tokenizer: Any, *, max_length: int, kwargs: Mapping[str, Any] | None = None) -> Template:
        """The policy with which a model is trained: every text ends with EOS, an encoder's with its separator.

        A tokenizer without a chat template gets a plain one, and one whose template does not end with EOS gets `END`
        added to it: the tokenizer is changed in place.

        Raises:
            InputError: if the tokenizer has neither an EOS token nor a template that ends by itself.
        """
        if getattr(tokenizer, "chat_template", None) is None:
            closes = tokenizer.sep_token_id is not None and tokenizer.eos_token_id in (None, tokenizer.sep_token_id)
            encoder = closes and tokenizer.cls_token_id is not None
            tokenizer.chat_template = ENCODER_TEMPLATE if encoder else PLAIN_TEMPLATE
        template = cls(False, max_length, tuple(sorted((kwargs or {}).items())))
        if tokenizer.eos_token_id is not None:
            given = tokenizer.chat_template
            if not _ends(tokenizer, template) and isinstance(given, str):
                tokenizer.chat_template = given + END
            if _ends(tokenizer, template):
                return template
            tokenizer.chat_template = given
            return replace(template, append_eos=True)
        if tokenizer.sep_token_id is not None:  # encoders close with their separator
            return template
        raise InputError(f"template: tokenizer {tokenizer.name_or_path!r} has no EOS token; set tokenizer.eos_token")

    @classmethod
    def foreign(cls, tokenizer: Any, *, max_length: int) -> Template:
        """The policy of a model from elsewhere: its own chat template and nothing more, as its makers score with it.

        Where it has no chat template, the policy is that of `of`.
        """
        if getattr(tokenizer, "chat_template", None) is None:
            return cls.of(tokenizer, max_length=max_length)
        return cls(False, max_length)

    def to_dict(self) -> dict[str, Any]:
        """The policy as the manifest stores it."""
        return {**asdict(self), "kwargs": dict(self.kwargs)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Template:
        """The inverse of `to_dict`.

        Raises:
            InputError: if the policy lacks a field.
        """
        for name in ("append_eos", "max_length"):
            if name not in row:
                raise InputError(f"template: the manifest's template has no {name!r}; save the model again")
        return cls(bool(row["append_eos"]), int(row["max_length"]), tuple(sorted(row.get("kwargs", {}).items())))


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as the model sees it.

    Attributes:
        ids: int32 (t,).
        prompt_length: tokens that belong to the prompt: the common prefix with the prompt rendered alone.
        cut: tokens that truncation removed.
    """

    ids: Ids
    prompt_length: int
    cut: int = 0


class NoRoomError(InputError):
    """The template and the system message alone are longer than the model reads."""


class _Render(NamedTuple):
    tools: Any
    kwargs: Mapping[str, Any]


class Encoder:
    """Renders and tokenises conversations under one template policy.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        template: the policy.
    """

    def __init__(self, tokenizer: Any, template: Template) -> None:
        self.tokenizer, self.template = tokenizer, template

    def encode(
        self, prompt: Conversation, completion: Completion, *, tools: Any = None, kwargs: Kwargs = None
    ) -> Encoded:
        """One conversation; see `encode_group`."""
        return self.encode_group(prompt, [completion], tools=tools, kwargs=kwargs)[0]

    def encode_group(
        self, prompt: Conversation, completions: Sequence[Completion], *, tools: Any = None, kwargs: Kwargs = None
    ) -> list[Encoded]:
        """The completions of one prompt, truncated alike where the longest does not fit.

        Truncation takes from the left of the conversation: the system message and the template stay, the oldest
        turns go first; only when the prompt is used up do completions lose their beginnings.

        Args:
            prompt: the shared conversation.
            completions: at least one.
            tools: tool descriptions for the template (a row's `tools`).
            kwargs: further arguments of the template, over those of the policy (a row's `chat_template_kwargs`).

        Raises:
            NoRoomError: if the template and the system message alone are longer than `max_length`.
        """
        limit, render = self.template.max_length, _Render(tools, {**dict(self.template.kwargs), **(kwargs or {})})
        ids = self._ids([prompt + completion_messages(c) for c in completions], render)
        full = [len(x) for x in ids]
        while max(len(x) for x in ids) > limit:
            excess = max(len(x) for x in ids) - limit
            shorter = self._shorten(prompt, completions, excess)
            if shorter is None:
                raise NoRoomError(
                    f"truncation: template and system message alone exceed max_length {limit}; raise max_length"
                )
            prompt, completions = shorter
            ids = self._ids([prompt + completion_messages(c) for c in completions], render)
        head = self._ids([prompt], render, generation=True)[0] if prompt else np.zeros(0, np.int32)
        return [Encoded(x, common_prefix(head, x), before - len(x)) for x, before in zip(ids, full, strict=True)]

    def encode_prompt(self, prompt: Conversation, *, tools: Any = None, kwargs: Kwargs = None) -> Ids:
        """The conversation up to where the assistant speaks, int32 (t,): what a completion is sampled after.

        Args:
            prompt: at least one message.
            tools: tool descriptions for the template.
            kwargs: further arguments of the template, over those of the policy.

        Nothing is cut: the caller knows how much room a completion needs.
        """
        return self._ids([prompt], _Render(tools, {**dict(self.template.kwargs), **(kwargs or {})}), generation=True)[0]

    def text(
        self, messages: Conversation, *, tools: Any = None, kwargs: Kwargs = None, generation: bool = False
    ) -> str:
        """The conversation after the template, before tokenisation.

        The pad token's text, should it occur in a message, is broken by a zero-width space: plain transformers finds
        the end of a text by looking for pad ids, so no text may contain one.

        Raises:
            InputError: if the template refuses the conversation (some know no system message, or insist on turns).
        """
        from jinja2 import TemplateError

        pad = self.tokenizer.pad_token
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                [_without(m.to_dict(), pad) for m in messages],
                tokenize=False, add_generation_prompt=generation, tools=_without(tools, pad),
                **{**dict(self.template.kwargs), **(kwargs or {})},
            )  # fmt: skip
        except TemplateError as error:
            roles = ", ".join(m.role for m in messages)
            raise InputError(
                f"template: the tokenizer's chat template refuses the roles {roles} ({error}); "
                "change the messages, or the tokenizer's chat_template"
            ) from error
        return rendered

    def _ids(self, conversations: Sequence[Conversation], render: _Render, generation: bool = False) -> list[Ids]:
        tools, kwargs = render
        texts = [well_formed(self.text(c, tools=tools, kwargs=kwargs, generation=generation)) for c in conversations]
        rows = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        end = [self.tokenizer.eos_token_id] if self.template.append_eos and not generation else []
        return [np.array([*row, *end], dtype=np.int32) for row in rows]

    def _shorten(
        self, prompt: Conversation, completions: Sequence[Completion], excess: int
    ) -> tuple[Conversation, Sequence[Completion]] | None:
        """Removes about `excess` tokens (at least one) from the oldest message that may lose some."""
        for i, message in enumerate(prompt):
            if message.role == "system":
                continue
            if not message.text and len([m for m in prompt if m.role != "system"]) > 1:
                return prompt[:i] + prompt[i + 1 :], completions
            if message.text:
                cut = replace(message, content=self._drop(message.text, excess))
                return (*prompt[:i], cut, *prompt[i + 1 :]), completions
        texts = ["".join(m.text for m in completion_messages(c)) for c in completions]
        if not any(texts):
            return None
        keep = max(max(self._count(t) for t in texts) - excess, 0)
        return prompt, [self._drop(t, max(self._count(t) - keep, 0)) if t else t for t in texts]

    def _count(self, text: str) -> int:
        return len(self.tokenizer(well_formed(text), add_special_tokens=False, verbose=False)["input_ids"])

    def _drop(self, text: str, tokens: int) -> str:
        """The text without its first `tokens` tokens; at least one character goes when any token should."""
        if tokens <= 0:
            return text
        text = well_formed(text)
        if not self.tokenizer.is_fast:  # no offsets: by share of the characters, and the caller looks again
            return text[max(len(text) * tokens // max(self._count(text), 1), 1) :]
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = encoded["offset_mapping"]
        return "" if tokens >= len(offsets) else text[max(offsets[tokens][0], 1) :]


def _ends(tokenizer: Any, template: Template) -> bool:
    probe = Encoder(tokenizer, replace(template, max_length=1 << 20)).encode((Message("user", "a"),), "b").ids
    # some templates close the turn and add a line break: EOS within the last two tokens is an end
    return tokenizer.eos_token_id in probe[-2:].tolist()


def well_formed(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which are no Unicode text and on which tokenizers raise."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _without(value: Any, pad: str | None) -> Any:
    """The value (strings, lists, mappings) with the pad token's text broken wherever it occurs."""
    if isinstance(value, str):
        return value.replace(pad, pad[0] + "\u200b" + pad[1:]) if pad and pad in value else value
    if isinstance(value, Mapping):
        return {key: _without(item, pad) for key, item in value.items()}
    return [_without(item, pad) for item in value] if isinstance(value, list | tuple) else value


def ensure_pad(tokenizer: Any, model: Any) -> None:
    """Gives tokenizer and model a pad token that no rendered text contains.

    Plain transformers reads a sequence classification score at the last token that is not padding; where pad equals
    EOS it skips the end of the text and reads the score one token early. A new token is added in that case, and the
    embedding grows by one row, of zeros: it is never attended to, and a model opened twice has one fingerprint.
    """
    special = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in special:
        tokenizer.add_special_tokens({"pad_token": "<|plaudit_pad|>"})
    config = model.config.get_text_config()
    known = model.get_input_embeddings().num_embeddings
    if tokenizer.pad_token_id >= known:
        model.resize_token_embeddings(tokenizer.pad_token_id + 1, mean_resizing=False)
        model.get_input_embeddings().weight.data[known:] = 0.0
    model.config.pad_token_id = config.pad_token_id = tokenizer.pad_token_id
