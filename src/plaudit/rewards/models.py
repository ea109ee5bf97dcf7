"""Reward models: a transformers backbone with a scalar head, read at the end of each completion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch

from plaudit.engine.engine import Engine, Mode, has_read_head, install_head
from plaudit.engine.gate import Gate, static_gate
from plaudit.engine.rendering import Encoded, Encoder, NoRoomError, Template, ensure_pad
from plaudit.engine.sharding import plain_weights
from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards import folders
from plaudit.rewards.base import Outcome, RewardBatch, Scope
from plaudit.rewards.calibrators.stored import Calibration, read_calibration
from plaudit.rewards.manifest import FILE, Manifest
from plaudit.rewards.readers.head import Head, Readout
from plaudit.runs.atomic import atomic_folder, write_text

LOGISTIC = ("bradley-terry", "plackett-luce", "soft-bradley-terry", "judged-bradley-terry", "variational")
"""Objectives under which a difference of scores is the log-odds of a preference."""


def logistic(manifest: Manifest) -> bool:
    """Whether differences of a model's scores were fitted to be log-odds; nothing is known of one without an objective.

    Margins move them: fitted so that chosen leads by at least the margin, a difference says more than how probable.
    """
    config = manifest.training.get("config", {})
    moved = config.get("use_margin") and config.get("margin_scale")
    return not moved and manifest.objective.partition("?")[0] in ("", *LOGISTIC)


READINGS = {"twice": 2}
"""Kinds of head whose outputs have been read in more than one way, and which way it is now."""


@final
class ModelReward:
    """A sequence-classification reward model, ours or the hub's.

    The head's outputs at a sample's last token are read as the manifest's head says; the reward is
    `(score - offset) / scale`, not below the floor; deviations are in the same unit, aspects as the head emits them.
    Samples of one prompt are run on one prefix tree and truncated alike.

    Args:
        model: a transformers sequence-classification model with as many outputs as the head has.
        tokenizer: its tokenizer.
        manifest: template, normalisation, provenance; made up for a model that has none.
        name: short and stable; the base name of the folder by default.
        budget: distinct tokens a packed row.
        mode: see `plaudit.engine.Engine`.
    """

    scope: Scope = "sample"

    def __init__(
        self, model: Any, tokenizer: Any, manifest: Manifest | None = None, *, name: str = "model",
        budget: int = 8192, mode: Mode = "auto",
    ) -> None:  # fmt: skip
        model = install_head(model).eval()
        if manifest is None:
            ensure_pad(tokenizer, model)
            longest = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 4096)
            template = Template.foreign(tokenizer, max_length=min(longest, 4096))
            reader = "leaf" if has_read_head(model) else "classification"
            manifest = Manifest(reader=reader, template=template.to_dict(), base=name)  # type: ignore[arg-type]
        self.name, self.manifest, self.tokenizer, self.model = name, manifest, tokenizer, model
        self.head = Head(**manifest.head)
        self.encoder = Encoder(tokenizer, Template.from_dict(manifest.template))
        self.engine = _engine(model, manifest, mode, budget)
        self.calibration: Calibration | None = None
        self._fingerprint = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity: a scalar head is unbounded above."""
        return self.manifest.floor, float("inf")

    @property
    def log_odds_per_unit(self) -> float:
        """Log-odds of a preference per unit of reward difference: Bradley-Terry's logit is the score difference.

        A temperature that was fitted by `plaudit calibrate` is in it, whatever the objective; rewards stay as they are.

        Raises:
            AttributeError: if the model was fitted to something whose differences are no log-odds.
        """
        factor = self.calibration.log_odds_factor if self.calibration else None
        if factor is None and not logistic(self.manifest):
            how = self.manifest.objective if self.manifest.objective not in LOGISTIC else "bradley-terry with margins"
            raise AttributeError(f"{self.name}: differences of scores fitted by {how} are no log-odds")
        return self.manifest.scale * (1.0 if factor is None else factor)

    @property
    def fingerprint(self) -> str:
        """Hash of weights, tokenizer, template and normalisation; made at first use."""
        if not self._fingerprint:
            m = self.manifest
            rest = [m.reader, dict(m.template), m.offset, m.scale, m.floor, self.tokenizer.chat_template]
            rest += [dict(m.head)] if m.head else []  # a scalar head's fingerprint stays what it was
            rest += [READINGS[self.head.kind]] if self.head.kind in READINGS else []
            self._fingerprint = folders.weights_hash(self.model, content_hash(rest), folders.vocabulary(self.tokenizer))
        return self._fingerprint

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples.

        A score that is not finite is an instrument fault, and says so in its detail; a sample whose template and system
        message alone are longer than the model reads has none (`ABSTAINED`).
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        try:
            outputs, detail = self.outputs(samples)
        except NoRoomError:
            return self._apart(samples)
        readout = self.head.read(outputs)
        return batch_of(readout.score, self.manifest, detail, readout=readout)

    def outputs(self, samples: Sequence[Sample]) -> tuple[torch.Tensor, list[dict[str, Any]]]:
        """What the head emits, float64 (n, k), and for each sample its tokens and how many were cut off."""
        groups, order = by_prompt(samples)
        encoded = [self._encode([samples[i] for i in group]) for group in groups]
        with torch.inference_mode():
            lengths = [[e.prompt_length for e in group] for group in encoded] if self.head.network else None
            flat = self.engine.scores([[e.ids for e in group] for group in encoded], prompts=lengths).double().cpu()
        outputs = torch.empty_like(flat)
        outputs[torch.from_numpy(order)] = flat
        details: list[Encoded] = [e for group in encoded for e in group]
        detail: list[dict[str, Any]] = [{} for _ in samples]
        for i, e in zip(order, details, strict=True):
            detail[i] = {"tokens": int(e.ids.size), **({"cut": e.cut} if e.cut else {})}
        return outputs, detail

    def _encode(self, group: Sequence[Sample]) -> list[Encoded]:
        completions, meta = [s.completion for s in group], group[0].meta
        return self.encoder.encode_group(
            group[0].prompt, completions, tools=meta.get("tools"), kwargs=meta.get("chat_template_kwargs")
        )

    def _apart(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores what there is room for, and abstains from the rest; where one sample at least has none."""
        never: dict[int, str] = {}
        for group in by_prompt(samples)[0]:
            try:
                self._encode([samples[i] for i in group])
            except NoRoomError as error:
                never |= dict.fromkeys(group, str(error).partition(";")[0])
        left = [i for i in range(len(samples)) if i not in never]
        abstained = RewardBatch(
            np.full(len(never), np.nan), np.full(len(never), Outcome.ABSTAINED),
            detail=tuple({"reason": reason} for reason in never.values()),
        )  # fmt: skip
        whole = RewardBatch.concat([self([samples[i] for i in left]), abstained])
        return whole.take(np.argsort([*left, *never]))

    def save(self, folder: str | Path) -> None:
        """Writes a model folder that plain transformers opens as well; complete or not at all.

        Its calibration goes with it: whoever changes the weights of a calibrated model sets `calibration` to None.
        """
        attention = self.model.config._attn_implementation
        with atomic_folder(folder, mark="config.json") as temporary:
            self.model.set_attn_implementation("sdpa" if self.model._supports_sdpa else "eager")
            try:
                self.model.save_pretrained(temporary, state_dict=plain_weights(self.model))
            finally:
                self.model.set_attn_implementation(attention)
            self.tokenizer.save_pretrained(temporary)
            write_text(Path(temporary) / FILE, self.manifest.to_json())
            if self.calibration is not None:
                self.calibration.write(temporary)

    @classmethod
    def load(cls, reference: str | Path, *, name: str | None = None, budget: int = 8192, mode: Mode = "auto",
             device: str | None = None, dtype: str = "float32", calibrated: bool = True) -> Self:  # fmt: skip
        """Opens a model folder or hub id.

        Args:
            reference: folder with config.json and model.safetensors, or a hub id.
            name: see the class.
            budget: see the class.
            mode: see the class.
            device: for example `cuda`; an accelerator is taken where there is one.
            dtype: name of a torch dtype; float32 keeps scores equal everywhere to 1e-4.
            calibrated: whether the folder's calibration is read.

        Raises:
            MissingError, InputError, UnsupportedError: in one line each; see `plaudit.rewards.folders`.
            IntegrityError: if the folder's calibration was fitted to other weights.
        """
        reference = str(reference)
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise InputError(f"dtype {dtype!r} is not known to torch; use float32, bfloat16 or float16")
        folder = folders.check_folder(reference)
        manifest = Manifest.read(folder) if folder else None
        calibration = read_calibration(folder) if folder and calibrated else None
        head = Head(**manifest.head) if manifest else Head()
        model = folders.open_classifier(
            reference, outputs=head.outputs, network=head.network, dtype=getattr(torch, dtype)
        )
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        tokenizer = folders.open_tokenizer(reference)
        made = cls(model.to(where), tokenizer, manifest, name=name or short_name(reference), budget=budget, mode=mode)
        made.calibration = calibration
        return made


def _engine(model: Any, manifest: Manifest, mode: Mode, budget: int) -> Engine:
    """The engine that runs a model as its manifest reads it."""
    name = model.config.model_type
    if manifest.reader == "leaf":
        if not has_read_head(model):
            raise InputError(f"manifest: reader is 'leaf', but {name} has no linear `score`; give 'classification'")
        return Engine(model, mode=mode, budget=budget)
    engine = Engine(model, mode="padded", budget=budget)
    refused = static_gate(model)
    engine.gate = Gate(False, f"{name}: reads its score by a head of its own") if refused.open else refused
    return engine


def by_prompt(samples: Sequence[Sample]) -> tuple[list[list[int]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Indices of samples with the same rendered prompt together, by first appearance, and all of them in a row."""
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        rendered = [m.to_dict() for m in sample.prompt], *map(sample.meta.get, ("tools", "chat_template_kwargs"))
        key = json.dumps(rendered, default=repr)
        groups.setdefault(key, []).append(i)
    members = list(groups.values())
    return members, np.array([i for group in members for i in group], dtype=np.int64)


def short_name(reference: str) -> str:
    """A readable name: the run's folder for `runs/x/model`, else the last part of a path or hub id."""
    parts = [p for p in Path(reference).parts if p not in ("/", ".", "..")]
    if len(parts) > 1 and parts[-1] == "model":
        return parts[-2]
    return parts[-1] if parts else "model"


def batch_of(
    scores: np.ndarray[Any, np.dtype[np.float64]], manifest: Manifest, detail: Sequence[dict[str, Any]],
    *, readout: Readout | None = None,
) -> RewardBatch:  # fmt: skip
    """Rewards `max((score - offset) / scale, floor)`; where a score is not finite, an instrument fault.

    Args:
        scores: float64 (n,).
        manifest: normalisation and floor.
        detail: for each sample what is known of it; its `score` (and `error`) are added.
        readout: deviations in score units, members and further scores, which are brought to the reward's (they keep
            what lies below the floor), and aspects; none by default.
    """
    finite = np.isfinite(scores)
    rows = [{"score": float(s) if ok else None, **row} for s, ok, row in zip(scores, finite, detail, strict=True)]
    for i in np.flatnonzero(~finite):
        rows[i]["error"] = f"score is {scores[i]}: the model's weights or activations overflowed"
    reward = np.maximum((np.where(finite, scores, 0.0) - manifest.offset) / manifest.scale, manifest.floor)
    outcome = np.where(finite, Outcome.SCORED, Outcome.INSTRUMENT_FAULT).astype(np.int8)
    said = readout or Readout(scores)

    def unit(values: np.ndarray[Any, np.dtype[np.float64]] | None) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        return None if values is None else np.where(finite, values / manifest.scale, np.nan)

    members = said.members
    if members is not None:
        members = np.where(finite[:, None], (members - manifest.offset) / manifest.scale, np.nan)
    placed = {name: (values - manifest.offset) / manifest.scale for name, values in said.scores.items()}
    aspects = {**said.aspects, **placed}
    return RewardBatch(
        np.where(finite, reward, np.nan), outcome, std=unit(said.std), noise=unit(said.noise), members=members,
        aspects={name: np.where(finite, values, np.nan) for name, values in aspects.items()}, detail=tuple(rows),
    )  # fmt: skip
