"""An entailment model as judge of support: transformers' sequence classification, from a local folder or the hub."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from plaudit.errors import InputError
from plaudit.rewards import folders

_LOADING, _TOKENIZING = threading.Lock(), threading.Lock()
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Entailment:
    """A model that says how probable it is that a passage entails a claim.

    Attributes:
        model: a sequence-classification model in evaluation mode.
        tokenizer: its tokenizer.
        label: index of its class for entailment.
        longest: tokens of a pair that it can read.
        digest: hash of weights and vocabulary.
    """

    model: Any
    tokenizer: Any
    label: int
    longest: int
    digest: str

    def probabilities(self, passages: Sequence[str], claim: str) -> list[float]:
        """The probability that each passage entails the claim, in [0, 1].

        Passages that are too long are read in overlapping windows, of which the best counts. A claim that fills more
        than half of what the model can read is entailed by nothing.
        """
        import torch

        best = [0.0] * len(passages)
        with _TOKENIZING:  # setting the truncation of one tokenizer from two threads at once fails
            batches = self._batches(passages, claim)
        for owners, batch in batches:
            with torch.inference_mode():
                probability = self.model(**batch).logits.float().softmax(-1)[:, self.label].tolist()
            for i, p in zip(owners, probability, strict=True):
                best[i] = max(best[i], p)
        return best

    def _batches(self, passages: Sequence[str], claim: str) -> list[tuple[list[int], Any]]:
        read = self.tokenizer(claim, truncation=True, max_length=self.longest)["input_ids"]
        if len(read) > self.longest // 2:
            return []
        pairs: list[tuple[int, dict[str, list[int]]]] = []
        for i, passage in enumerate(passages):
            windows = self.tokenizer(
                [passage], [claim], truncation="only_first", max_length=self.longest, stride=self.longest // 8,
                return_overflowing_tokens=True,
            )  # fmt: skip
            names = [name for name in self.tokenizer.model_input_names if name in windows]
            pairs += [(i, {name: windows[name][w] for name in names}) for w in range(len(windows["input_ids"]))]
        parts = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
        return [
            ([i for i, _ in part], self.tokenizer.pad([pair for _, pair in part], return_tensors="pt"))
            for part in parts
        ]


def load_entailment(path: str) -> Entailment:
    """The model at a local folder or hub id, loaded once.

    Raises:
        MissingError: if there is no such model.
        InputError: if it lacks weights, has them as a pickle, or not exactly one of its labels is named entailment.
    """
    with _LOADING:
        return _loaded(path)


@lru_cache(maxsize=2)
def _loaded(path: str) -> Entailment:
    from transformers import AutoModelForSequenceClassification

    model, report = folders.open_pretrained(
        AutoModelForSequenceClassification, path, use_safetensors=True, output_loading_info=True
    )
    if report["missing_keys"]:
        raise InputError(
            f"entailment: {path} holds no weights for {sorted(report['missing_keys'])[0]}, which would be random; "
            "give a trained model"
        )
    tokenizer = folders.open_tokenizer(path)
    label = entailment_label(model.config.id2label, path)
    # some families keep two positions for themselves
    positions = int(getattr(model.config, "max_position_embeddings", 514)) - 2
    longest = min(positions, int(tokenizer.model_max_length), 4096)
    digest = folders.weights_hash(model, folders.vocabulary(tokenizer), str(label))
    return Entailment(model.eval(), tokenizer, label, longest, digest)


def entailment_label(labels: dict[int, str], path: str) -> int:
    """The class that stands for entailment: the one label that begins with `entail`.

    Raises:
        InputError: if there is none, or more than one.
    """
    found = [i for i, name in labels.items() if str(name).lower().startswith("entail")]
    if len(found) != 1:
        raise InputError(
            f"entailment: the labels of {path} are {sorted(map(str, labels.values()))}; one must begin with 'entail'"
        )
    return int(found[0])
