"""Tokens and texts as vectors: by spelling, without any model, or by a transformers model.

Vectors by spelling know that `colour` and `color` are near; they do not know that `car` and `automobile` are. Name
a model where meaning counts.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, final

import numpy as np
from jaxtyping import Float

from plaudit.records.sample import content_hash
from plaudit.rewards.rules.segments import segments

WIDTH = 512
LONGEST = 512
"""Tokens of a text that are embedded; the rest is cut off and counted."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's tokens.

    Attributes:
        tokens: what the tokens are, n of them.
        vectors: (n, d).
        cut: tokens left out beyond `LONGEST`.
    """

    tokens: tuple[str, ...]
    vectors: Float[np.ndarray, "n d"]
    cut: int

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """The mean vector at length 1; zeros where there are no tokens."""
        total = self.vectors.sum(axis=0)
        norm = np.linalg.norm(total)
        return np.asarray(total / norm if norm > 0 else total)


class Embedder(Protocol):
    """From a text to its token vectors; equal texts give equal vectors, whatever they are embedded beside."""

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def __call__(self, text: str) -> Embedded:
        """The tokens of one text with their vectors."""
        ...


@final
class SpellingEmbedder:
    """Words as hashed sums of their character 3- to 5-grams and of the whole word, at length 1.

    Two words are the nearer, the more of their spelling they share; unrelated words are near 0.
    """

    @property
    def fingerprint(self) -> str:
        """Of the method; it has no options."""
        return content_hash(["spelling", 1, WIDTH])

    def __call__(self, text: str) -> Embedded:
        """Lower-cased words and their vectors."""
        words = segments(text.lower())
        kept = words[:LONGEST]
        vectors = np.stack([_spelled(word) for word in kept]) if kept else np.zeros((0, WIDTH))
        return Embedded(tuple(kept), vectors, len(words) - len(kept))


@lru_cache(maxsize=50_000)
def _spelled(word: str) -> Float[np.ndarray, " d"]:
    marked = f"<{word[:64]}>"
    pieces = [marked[i : i + n] for n in (3, 4, 5) for i in range(len(marked) - n + 1)] + [word[:64]]
    vector = np.zeros(WIDTH)
    for piece in pieces:
        # a sign a piece, so that what two words share by accident of hashing cancels on average
        digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        code = int.from_bytes(digest, "little")
        vector[code % WIDTH] += 1.0 if (code >> 31) & 1 else -1.0
    norm = np.linalg.norm(vector)
    return np.asarray(vector / norm if norm > 0 else vector)


@final
@dataclass(eq=False)
class ModelEmbedder:
    """Token vectors of a transformers model: of its input table, or of its last layer.

    Args:
        model: an encoder or a decoder (`AutoModel`).
        tokenizer: its tokenizer.
        contextual: last hidden states, else the rows of the input table.
    """

    model: Any
    tokenizer: Any
    contextual: bool = True
    _kept: OrderedDict[str, Embedded] = field(default_factory=OrderedDict, init=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)
    _fingerprint: str = field(default="", init=False, repr=False)

    @classmethod
    def open(cls, reference: str, *, contextual: bool = True) -> ModelEmbedder:
        """Opens a folder, hub id or `package:NAME/FOLDER`; safetensors only.

        Raises:
            MissingError, InputError: if there is no model that can be used.
        """
        from transformers import AutoModel

        from plaudit.rewards import folders

        where = str(folders.locate(reference) or reference)
        model = folders.open_pretrained(AutoModel, reference, use_safetensors=True)
        return cls(model.eval().requires_grad_(False), folders.open_tokenizer(where), contextual)

    @property
    def fingerprint(self) -> str:
        """Hash of weights, vocabulary and which layer is read."""
        if not self._fingerprint:
            from plaudit.rewards import folders

            layer = content_hash(["embedder", self.contextual])
            self._fingerprint = folders.weights_hash(self.model, layer, folders.vocabulary(self.tokenizer))
        return self._fingerprint

    def __call__(self, text: str) -> Embedded:
        """Tokens without special ones, and their vectors; the last 2,000 texts are remembered."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text]
        found = self._embed(text)
        with self._lock:
            self._kept[text] = found
            while len(self._kept) > 2000:
                self._kept.popitem(last=False)
        return found

    def _embed(self, text: str) -> Embedded:
        import torch

        from plaudit.engine.rendering import well_formed

        ids, before, after = self._ids(well_formed(text))
        most = min(LONGEST, getattr(self.model.config, "max_position_embeddings", LONGEST + 2) - 2)
        kept = ids[:most]
        names = tuple(self.tokenizer.convert_ids_to_tokens(kept))
        if not kept:
            return Embedded((), np.zeros((0, int(self.model.config.hidden_size))), 0)
        with torch.inference_mode():
            if not self.contextual:
                vectors = self.model.get_input_embeddings()(torch.tensor(kept))
            else:
                row = torch.tensor([[*before, *kept, *after]])
                states = self.model(input_ids=row).last_hidden_state[0]
                vectors = states[len(before) : len(before) + len(kept)]
        return Embedded(names, vectors.float().cpu().numpy().astype(np.float64), len(ids) - len(kept))

    def _ids(self, text: str) -> tuple[list[int], list[int], list[int]]:
        """The text's own ids, and the special ones that the tokenizer puts before and after a text."""
        plain, whole = (
            self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"] for special in (False, True)
        )
        start = next((i for i in range(len(whole) - len(plain) + 1) if whole[i : i + len(plain)] == plain), 0)
        return plain, whole[:start], whole[start + len(plain) :]


def open_embedder(model: str, *, contextual: bool = True) -> Embedder:
    """By spelling where no model is named, else by the model: opened once a process.

    Args:
        model: empty, or a folder, hub id or `package:NAME/FOLDER`.
        contextual: last hidden states of the model, else its input table.
    """
    return SpellingEmbedder() if not model else _opened(model, contextual)


@lru_cache(maxsize=4)
def _opened(model: str, contextual: bool) -> Embedder:
    return ModelEmbedder.open(model, contextual=contextual)
