"""Model folders of rewards that are causal language models: plain transformers opens them, and so does `plaudit.load`.

The folder holds the language model and its tokenizer, the manifest, and where the reward is a log-ratio the reference
model in `reference/`: a folder that is copied elsewhere goes on giving the same rewards.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from plaudit.engine.rendering import Template
from plaudit.engine.sharding import plain_weights
from plaudit.errors import InputError, MissingError, nearest
from plaudit.rewards import folders
from plaudit.rewards.base import Reward
from plaudit.rewards.calibrators.stored import read_calibration
from plaudit.rewards.likelihood.language import LanguageModel, open_causal
from plaudit.rewards.likelihood.outcomes import Scale
from plaudit.rewards.likelihood.principle import PrincipleReward
from plaudit.rewards.likelihood.questions import Wording
from plaudit.rewards.likelihood.ratio import RatioOptions, RatioReward
from plaudit.rewards.likelihood.yes import YesComparison, YesReward
from plaudit.rewards.manifest import FILE, Manifest
from plaudit.rewards.models import short_name
from plaudit.runs.atomic import atomic_folder, write_text

REFERENCE = "reference"
KINDS = ("ratio", "yes", "principle")
"""What a manifest with the reader `likelihood` may name as its head's kind."""


def save_likelihood(folder: str | Path, reward: RatioReward | YesReward | PrincipleReward, manifest: Manifest) -> None:
    """Writes a reward as a model folder; complete or not at all.

    Args:
        folder: is replaced.
        reward: its models are written.
        manifest: provenance; reader, template, normalisation and head are filled in from the reward.
    """
    from dataclasses import replace

    language, head, scale = _parts(reward)
    done = replace(
        manifest, reader="likelihood", template=language.template.to_dict(), offset=scale.offset, scale=scale.unit,
        floor=scale.floor, head=head,
    )  # fmt: skip
    with atomic_folder(folder, mark="config.json") as temporary:
        write_causal(language.model, Path(temporary))
        language.tokenizer.save_pretrained(temporary)
        if isinstance(reward, RatioReward) and reward.reference is not None:
            write_causal(reward.reference.model, Path(temporary) / REFERENCE)
            language.tokenizer.save_pretrained(Path(temporary) / REFERENCE)  # a model folder by itself, too
        write_text(Path(temporary) / FILE, done.to_json())
        if reward.calibration is not None:
            reward.calibration.write(temporary)


def load_likelihood(reference: str | Path, *, calibrated: bool = True) -> Reward:
    """The reward that `save_likelihood` wrote.

    Args:
        reference: the folder.
        calibrated: whether the folder's calibration is read.

    Raises:
        MissingError, InputError: if the folder lacks a part, or its manifest names a kind that is not known.
        IntegrityError: if the folder's calibration was fitted to other weights.
    """
    reward = _loaded(reference)
    reward.calibration = read_calibration(reference) if calibrated else None
    return reward


def _loaded(reference: str | Path) -> RatioReward | YesReward | PrincipleReward:
    folder = Path(reference)
    manifest = Manifest.read(folder)
    if manifest is None or manifest.reader != "likelihood":
        raise MissingError(
            f"{folder}: holds no reward of a causal language model; name it as likelihood/ratio?policy=..."
        )
    kind, options = str(manifest.head.get("kind", "")), dict(manifest.head.get("options", {}))
    if kind not in KINDS:
        raise InputError(f"{folder}: kind {kind!r} is not known; {nearest(kind, KINDS)}")
    template = Template.from_dict(manifest.template)
    tokenizer = folders.open_tokenizer(str(folder))
    language = _opened(folder, tokenizer, template)
    scale = Scale(manifest.offset, manifest.scale, manifest.floor)
    name = short_name(str(folder))
    if kind == "ratio":
        below = _opened(folder / REFERENCE, tokenizer, template) if manifest.head.get("reference") else None
        return RatioReward(language, below, options=RatioOptions(**options), scale=scale, name=name)
    wording = Wording(**options.pop("wording"))
    if kind == "principle":
        return PrincipleReward(language, options["principles"], wording=wording, scale=scale, name=name)
    return YesReward(YesComparison(language, wording=wording, **options), name=name)


def _parts(reward: RatioReward | YesReward | PrincipleReward) -> tuple[LanguageModel, dict[str, Any], Scale]:
    """The language model, what the manifest says of its outputs, and the normalisation."""
    if isinstance(reward, RatioReward):
        if reward.domains:
            raise InputError(f"{reward.name}: a reward with domains is named, not saved; give its folders and file")
        head = {"kind": "ratio", "options": asdict(reward.options), "reference": reward.reference is not None}
        return reward.policy, head, reward.scale
    if isinstance(reward, PrincipleReward):
        options: dict[str, Any] = {"wording": asdict(reward.wording), "principles": list(reward.principles)}
        return reward.model, {"kind": "principle", "options": options}, reward.scale
    asked = reward.comparison
    options = {"wording": asdict(asked.wording), "instruction": asked.instruction, "debias": asked.debias}
    return asked.model, {"kind": "yes", "options": options}, Scale(floor=0.0)


def _opened(folder: Path, tokenizer: Any, template: Template) -> LanguageModel:
    import torch

    model = open_causal(str(folder), dtype=torch.float32)
    where = "cuda" if torch.cuda.is_available() else "cpu"
    return LanguageModel(model.to(where), tokenizer, template, name=short_name(str(folder)))


def write_causal(model: Any, folder: Path) -> None:
    """Writes a model's weights and configuration; the attention that runs trees is no part of either."""
    attention = model.config._attn_implementation
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    try:
        model.save_pretrained(folder, state_dict=plain_weights(model))
    finally:
        model.set_attn_implementation(attention)
