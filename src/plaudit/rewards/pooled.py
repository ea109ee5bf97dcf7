"""A linear head on the mean-pooled features of a frozen encoder: the reward model that little data can pay for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float

from plaudit.engine.engine import padded_batches
from plaudit.engine.rendering import well_formed
from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards import folders
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.calibrators.stored import Calibration, read_calibration
from plaudit.rewards.manifest import FILE, Manifest
from plaudit.rewards.models import batch_of, short_name
from plaudit.runs.atomic import atomic_folder, write_bytes, write_text
from plaudit.runs.progress import Progress

HEAD = "head.safetensors"


class PooledFeatures:
    """What a frozen encoder says about a sample: two mean-pooled vectors side by side.

    The first half pools the end of the conversation together with the completion, the second half the completion
    alone: which of the two carries the preference is for the head to learn.

    Args:
        encoder: a transformers encoder (`AutoModel`), not trained here.
        tokenizer: its tokenizer.
        context_chars: characters of the conversation's end that go with the completion.
        max_length: tokens of a text; longer ones lose their beginning.
    """

    def __init__(self, encoder: Any, tokenizer: Any, *, context_chars: int = 400, max_length: int = 256) -> None:
        self.encoder, self.tokenizer = encoder.eval().requires_grad_(False), tokenizer
        self.context_chars, self.max_length = context_chars, max_length
        self._fingerprint = ""

    @property
    def width(self) -> int:
        """Features of a sample: twice the encoder's width."""
        return 2 * int(self.encoder.config.hidden_size)

    @property
    def fingerprint(self) -> str:
        """Hash of the encoder's weights, its vocabulary, and how texts are made for it; made at first use."""
        if not self._fingerprint:
            texts = content_hash([self.context_chars, self.max_length])
            self._fingerprint = folders.weights_hash(self.encoder, texts, folders.vocabulary(self.tokenizer))
        return self._fingerprint

    def __call__(self, samples: Sequence[Sample], *, progress: Progress | None = None) -> Float[np.ndarray, "n width"]:
        """Features, float32; equal texts are encoded once."""
        texts = [t for s in samples for t in self.texts(s)]
        distinct = {t: i for i, t in enumerate(dict.fromkeys(texts))}
        vectors = self._encode(list(distinct), progress)
        return vectors[[distinct[t] for t in texts]].reshape(len(samples), -1)

    def texts(self, sample: Sample) -> tuple[str, str]:
        """The two texts of a sample: context's end with the completion, and the completion alone."""
        context = "\n".join(f"{m.role}: {m.text}" for m in sample.prompt)[-self.context_chars :]
        return well_formed(f"{context}\nassistant: {sample.text}"), well_formed(sample.text)

    def truncated(self, samples: Sequence[Sample]) -> int:
        """How many samples are not read whole: a context longer than `context_chars`, or a text than `max_length`."""
        texts = [t for s in samples for t in self.texts(s)]
        rows = self.tokenizer(texts, add_special_tokens=True, return_attention_mask=False, verbose=False)["input_ids"]
        return sum(
            len("\n".join(f"{m.role}: {m.text}" for m in sample.prompt)) > self.context_chars
            or max(len(rows[2 * i]), len(rows[2 * i + 1])) > self.max_length
            for i, sample in enumerate(samples)
        )

    def _encode(self, texts: list[str], progress: Progress | None) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = self.tokenizer(texts, add_special_tokens=True, return_attention_mask=False, verbose=False)["input_ids"]
        ids = [row if len(row) <= self.max_length else [row[0], *row[-self.max_length + 1 :]] for row in rows]
        out = np.zeros((len(texts), self.encoder.config.hidden_size), dtype=np.float32)
        device = next(self.encoder.parameters()).device
        with torch.inference_mode():
            for batch in padded_batches(ids, budget=8192, pad_id=self.tokenizer.pad_token_id or 0, device=device):
                states = self.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
                mask = batch.attention_mask[..., None].to(states.dtype)
                out[batch.members] = ((states * mask).sum(1) / mask.sum(1)).float().cpu().numpy()
                if progress is not None:
                    progress.advance(len(batch.members))
        return out


@final
class PooledReward:
    """A scalar reward `(features @ weight - offset) / scale`, features standardised by constants of the fit.

    Args:
        features: the frozen encoder.
        weight: float64 (width,), already divided by the features' standard deviations.
        manifest: normalisation and provenance.
        name: short and stable.
    """

    scope: Scope = "sample"

    def __init__(
        self, features: PooledFeatures, weight: Float[np.ndarray, " width"], manifest: Manifest, *, name: str = "pooled"
    ) -> None:
        self.features, self.weight, self.manifest, self.name = features, np.asarray(weight, np.float64), manifest, name
        self.calibration: Calibration | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity."""
        return self.manifest.floor, float("inf")

    @property
    def log_odds_per_unit(self) -> float:
        """Log-odds of a preference per unit of reward difference: Bradley-Terry's logit is the score difference.

        A temperature that was fitted by `plaudit calibrate` is in it; rewards stay as they are.
        """
        factor = self.calibration.log_odds_factor if self.calibration else None
        return self.manifest.scale * (1.0 if factor is None else factor)

    @property
    def fingerprint(self) -> str:
        """Hash of encoder, head and normalisation."""
        m = self.manifest
        return content_hash([self.features.fingerprint, self.weight.tolist(), m.offset, m.scale, m.floor])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples; a score that is not finite is an instrument fault, and says so in its detail."""
        if not samples:
            return RewardBatch(np.zeros(0))
        return self.from_features(self.features(samples))

    def from_features(self, features: Float[np.ndarray, "n width"]) -> RewardBatch:
        """Rewards of samples whose features are known already."""
        scores = features.astype(np.float64) @ self.weight
        return batch_of(scores, self.manifest, tuple({} for _ in scores))

    def save(self, folder: str | Path) -> None:
        """Writes encoder, head and manifest; complete or not at all."""
        from safetensors.numpy import save

        with atomic_folder(folder, mark="config.json") as temporary:
            self.features.encoder.save_pretrained(temporary)
            self.features.tokenizer.save_pretrained(temporary)
            (Path(temporary) / HEAD).write_bytes(save({"weight": self.weight}))
            write_text(Path(temporary) / FILE, self.manifest.to_json())
            if self.calibration is not None:
                self.calibration.write(temporary)

    @classmethod
    def load(cls, reference: str | Path, *, name: str | None = None, calibrated: bool = True, **_: Any) -> Self:
        """Opens what `save` wrote; `calibrated`: whether the folder's calibration is read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from transformers import AutoModel

        folder = Path(reference)
        manifest = Manifest.read(folder)
        lacks = [k for k in ("context_chars", "max_length") if manifest is None or k not in manifest.template]
        if manifest is None or lacks:
            raise InputError(f"{folder / FILE}: says nothing of {lacks[0]}; save the pooled reward again")
        encoder = folders.open_pretrained(AutoModel, str(folder), use_safetensors=True)
        options = {k: int(manifest.template[k]) for k in ("context_chars", "max_length")}
        features = PooledFeatures(encoder, folders.open_tokenizer(str(folder)), **options)
        if not (folder / HEAD).is_file():
            raise MissingError(f"{folder}: holds no {HEAD}, the weights of the pooled head; save the reward again")
        try:
            weight = load_file(folder / HEAD)["weight"]
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{folder / HEAD}: is torn or not safetensors ({error}); save the reward again") from error
        if weight.shape != (features.width,):
            raise InputError(f"{folder / HEAD}: has shape {weight.shape} for {features.width} features; mixed folders?")
        made = cls(features, weight, manifest, name=name or short_name(str(reference)))
        made.calibration = read_calibration(folder) if calibrated else None
        return made


def cached_features(
    features: PooledFeatures, samples: Sequence[Sample], path: Path, *, progress: Progress | None = None
) -> Float[np.ndarray, "n width"]:
    """Features of samples, read from `path` where that file holds these samples' by this encoder, else made and kept.

    Args:
        features: the encoder.
        samples: what to encode.
        path: an `.npz` file, replaced whole.
        progress: counts texts.
    """
    key = content_hash([features.fingerprint, [s.key for s in samples]])
    kept = _kept(path)
    if kept is not None and kept[0] == key:
        return kept[1]
    made = features(samples, progress=progress)
    buffer = io.BytesIO()
    np.savez(buffer, key=np.array(key), features=made)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
    return made


def _kept(path: Path) -> tuple[str, np.ndarray[Any, Any]] | None:
    """Key and features of a cache; None where there is none, or it is torn: it is only a cache, and made again."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return str(kept["key"]), kept["features"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
