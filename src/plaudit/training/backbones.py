"""Building the model that a fit starts from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plaudit.engine.rendering import PLAIN_TEMPLATE, Template, ensure_pad
from plaudit.errors import InputError
from plaudit.rewards import folders
from plaudit.rewards.heads import ComposedHead, Network, install_network
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.readers.head import Head
from plaudit.training.config import Backbone

SPECIALS = ("<|pad|>", "<|end|>", "<|unknown|>")


def build_backbone(
    spec: Backbone, texts: Iterable[str], *, max_length: int, seed: int, head: Head | None = None
) -> tuple[Any, Any, Template]:
    """Model, tokenizer and template of a fit.

    Args:
        spec: what to start from.
        texts: training texts, for a tokenizer that is fitted to them.
        max_length: longest sequence in tokens; not above what the model was made for.
        seed: of random weights.
        head: that is trained; a linear one with one output by default.

    Returns:
        A sequence-classification model with this head and no dropout, its tokenizer with a pad token of its own,
        and the template. The head is that of the model folder where it has the same form, else a fresh one.

    Raises:
        InputError: if `max_length` is more than the model's positions.
    """
    from transformers import set_seed

    set_seed(seed)
    head = head or Head()
    outputs = 1 if head.network else head.outputs
    if spec.name == "scratch":
        tokenizer = folders.open_tokenizer(spec.tokenizer) if spec.tokenizer else fit_tokenizer(texts, spec.vocabulary)
        model = scratch_llama(spec, tokenizer, max_length, outputs=outputs)
    else:
        tokenizer = folders.open_tokenizer(spec.tokenizer or spec.name)
        model = _pretrained(spec.name, head)
        positions = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or max_length)
        if max_length > positions:
            raise InputError(f"max_length is {max_length}, but {spec.name} has {positions} positions; lower max_length")
    ensure_pad(tokenizer, model)
    if head.network and not isinstance(getattr(model, "score", None), ComposedHead):
        install_network(model, Network.from_dict(head.network))
    return model, tokenizer, Template.of(tokenizer, max_length=max_length)


def fit_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer fitted to texts: any string round-trips, and nothing is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIALS), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=SPECIALS[0], eos_token=SPECIALS[1], unk_token=SPECIALS[2]
    )
    tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def scratch_llama(spec: Backbone, tokenizer: Any, max_length: int, *, outputs: int = 1) -> Any:
    """A small Llama with random weights and so many outputs, sized to the tokenizer."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=spec.width, intermediate_size=int(spec.width * 8 / 3 + 7) // 8 * 8,
        num_hidden_layers=spec.layers, num_attention_heads=spec.heads, num_key_value_heads=spec.heads,
        max_position_embeddings=max(max_length, 64), pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id, num_labels=outputs,
    )  # fmt: skip
    return LlamaForSequenceClassification(config)


def _pretrained(name: str, head: Head) -> Any:
    """A pretrained model with a fresh head, or with its own where that has the form which is wanted.

    A composed head is opened only where the folder has its like; else it comes in place of a linear one.
    """
    from transformers import AutoConfig

    network = head.network if head.network and _network_of(name) == Network.from_dict(head.network) else None
    outputs = head.outputs if network or not head.network else 1
    config = folders.open_pretrained(AutoConfig, name)
    config.num_labels = outputs
    without_dropout(config.get_text_config())
    return folders.open_classifier(
        name, fresh_head=True, outputs=outputs, network=network, config=config, dtype="float32"
    )


def _network_of(name: str) -> Network | None:
    """The form of the composed head that a model folder or hub id has, if it has one."""
    folder = folders.check_folder(name)
    manifest = Manifest.read(folder) if folder else None
    network = manifest.head.get("network") if manifest else None
    return Network.from_dict(network) if network else None


def without_dropout(config: Any) -> None:
    """Sets every dropout probability of a configuration to zero: preferences are noisy enough, and scores repeat."""
    for name, value in vars(config).items():
        if isinstance(value, float) and ("dropout" in name or name.endswith("pdrop")):
            setattr(config, name, 0.0)


def disable_dropout(model: Any) -> None:
    """The same for a model that is built: its modules, what attention reads from them, and its configuration."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    without_dropout(model.config)
