"""Causal language models as instruments: how likely is this text, after that one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.engine.engine import Engine, Mode
from plaudit.engine.rendering import Encoder, Template
from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards import folders
from plaudit.rewards.likelihood.spans import Index, Located, locate_group
from plaudit.rewards.models import by_prompt, short_name

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Read:
    """A completion's counted tokens and how likely each was.

    Attributes:
        spans: int64 (k, 2), see `Located`.
        logps: float64 (k,), in nats.
        ids: the counted tokens' ids, (k,).
    """

    spans: Index
    logps: Floats
    ids: Index


@final
class LanguageModel:
    """A causal language model with its tokenizer and rendering policy, run on prefix trees.

    Args:
        model: a transformers causal LM.
        tokenizer: its tokenizer, a fast one.
        template: how text becomes ids; by default the tokenizer's own chat template and nothing more (a plain one that
            ends with EOS where it has none).
        name: short and stable.
        max_length: longest sequence in tokens, with the default template.
        budget: distinct tokens a packed row.
        mode: see `plaudit.engine.Engine`.
    """

    def __init__(
        self, model: Any, tokenizer: Any, template: Template | None = None, *, name: str = "model",
        max_length: int = 2048, budget: int = 8192, mode: Mode = "auto",
    ) -> None:  # fmt: skip
        if template is None:
            positions = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or max_length)
            template = Template.foreign(tokenizer, max_length=min(max_length, positions))
        self.model, self.tokenizer, self.template, self.name = model.eval(), tokenizer, template, name
        self.encoder = Encoder(tokenizer, template)
        self.engine = Engine(model, mode=mode, budget=budget)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, tokenizer and template; made at first use."""
        return folders.weights_hash(self.model, self.rendering)

    @cached_property
    def rendering(self) -> str:
        """Hash of what turns text into ids: models with the same one run on the same trees."""
        told = [self.template.to_dict(), self.tokenizer.chat_template, folders.vocabulary(self.tokenizer)]
        return content_hash(told)

    def locate(self, samples: Sequence[Sample], *, end: bool = True) -> list[Located | None]:
        """Samples as token ids, those of one prompt truncated alike; None where a completion alone is too long."""
        found: list[Located | None] = [None] * len(samples)
        for group in by_prompt(samples)[0]:
            first = samples[group[0]]
            located = locate_group(
                self.encoder, first.prompt, [samples[i].completion for i in group], end=end,
                tools=first.meta.get("tools"), kwargs=first.meta.get("chat_template_kwargs"),
            )  # fmt: skip
            for i, one in zip(group, located, strict=True):
                found[i] = one
        return found

    def logps(
        self, sequences: Sequence[Sequence[int] | NDArray[Any]], wanted: Sequence[Index] | None = None
    ) -> list[Floats]:
        """Log-probabilities of tokens in nats, shared prefixes run once; see `Engine.token_logps`.

        Args:
            sequences: token ids.
            wanted: positions that are asked for, by default all but the first of each sequence.
        """
        if not sequences:
            return []
        with torch.inference_mode():
            found = self.engine.token_logps(sequences, wanted=wanted)
        return [np.asarray(row.double().cpu().numpy()) for row in found]

    def read(self, located: Sequence[Located | None]) -> list[Read | None]:
        """How likely the counted tokens of located samples are; None where there is none to read."""
        some = [one for one in located if one is not None]
        rows = iter(self.logps([one.ids for one in some], [one.counted for one in some]))
        return [
            None if one is None else Read(one.spans, next(rows), one.ids[one.counted].astype(np.int64))
            for one in located
        ]

    @classmethod
    def open(
        cls, reference: str | Path, *, max_length: int = 2048, budget: int = 8192, mode: Mode = "auto",
        device: str | None = None, dtype: str = "float32", template: Template | None = None,
    ) -> Self:  # fmt: skip
        """Opens a model folder or hub id.

        Args:
            reference: folder with config.json and model.safetensors, or a hub id.
            max_length: see the class.
            budget: see the class.
            mode: see the class.
            device: for example `cuda`; an accelerator is taken where there is one.
            dtype: name of a torch dtype; float32 keeps rewards equal everywhere to 1e-4.
            template: see the class.

        Raises:
            MissingError, InputError: in one line each; see `plaudit.rewards.folders`.
            InputError: if weights of the language model are missing, as in a classifier's folder.
        """
        reference = str(reference)
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise InputError(f"dtype {dtype!r} is not known to torch; use float32, bfloat16 or float16")
        model = open_causal(reference, dtype=getattr(torch, dtype))
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        tokenizer = folders.open_tokenizer(reference)
        return cls(
            model.to(where), tokenizer, template, name=short_name(reference), max_length=max_length, budget=budget,
            mode=mode,
        )  # fmt: skip


def open_causal(reference: str, **options: Any) -> Any:
    """A causal language model whose weights are all there.

    Args:
        reference: a folder, or a hub id.
        **options: passed on to transformers.

    Raises:
        MissingError, InputError: as `plaudit.rewards.folders.open_pretrained`.
        InputError: if the folder lacks weights: a classifier has no output layer over the vocabulary.
    """
    from transformers import AutoModelForCausalLM

    model, report = folders.open_pretrained(
        AutoModelForCausalLM, reference, use_safetensors=True, output_loading_info=True, **options
    )
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise InputError(
            f"{reference}: holds no weights for {lacking[0]}, so its probabilities would be random; "
            "give a causal language model"
        )
    return model
