"""One door to training: rows in, a saved reward model and what there is to say about it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.records.converting import routes
from plaudit.records.formats import kind_of as kind_of_row
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Reward
from plaudit.rewards.folders import check_place
from plaudit.rewards.pooled import PooledFeatures, cached_features
from plaudit.rewards.preferences import PreferenceModel
from plaudit.runs.progress import Progress
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.fitting import check_rows, completions_of, fit_reward_model
from plaudit.training.frozen import fit_frozen, open_encoder
from plaudit.training.groups import RATED, TrainingRow
from plaudit.training.identity import kind_of
from plaudit.training.methods import Chosen, chosen


@dataclass(frozen=True, slots=True)
class Trained:
    """A reward model and the facts of its fit.

    Attributes:
        reward: as saved under `OUT/model`; a comparison where the objective's head compares.
        facts: JSON object: `base`, `parameters`, `groups`, `pairs`, `truncated`, `raw_tokens`, `distinct_tokens`,
            `sharing`, `first_loss`, `last_loss` (means over a tenth of the steps), `config`.
    """

    reward: Reward | Comparison
    facts: dict[str, Any]

    def lines(self) -> list[str]:
        """What a command prints."""
        f = self.facts
        method = chosen(f["config"]["objective"])
        learned = f"{f['pairs']} preferences" if method.method.item == "pair" else f"{f['sequences']} completions"
        lines = [f"trained on {learned} in {f['groups']} groups from {f['base']} ({f['parameters']:,} parameters)"]
        if f.get("last_loss") is not None:
            # a margin or a further term changes what a model loses that knows nothing
            more = f["config"]["use_margin"] or f["config"]["contrastive_coef"]
            chance = " (log 2 = 0.6931 is chance)" if method.name == "bradley-terry" and not more else ""
            lines.append(f"loss {f['first_loss']:.4f} -> {f['last_loss']:.4f}{chance}")
        if "equal" in f:
            lines.append(f"{f['equal']}: there was nothing to learn from")
        rate = f["config"]["learning_rate"]
        if f["base"] == "scratch" and rate < 1e-4 and not f["config"].get("freeze"):
            lines.append(f"learning rate {rate:g} is one for pretrained models; a model from scratch wants about 1e-3")
        if "fair" in f:
            fair = f["fair"]
            sizes = ", ".join(f"{value} {n}" for value, n in fair.get("groups", {}).items())
            lines.append(f"fair: {fair['name']} by {', '.join(fair['columns'])}{f' (pairs: {sizes})' if sizes else ''}")
        if "shifted" in f:
            meta = f["shifted"]
            lines.append(
                f"meta steps on {meta['completions']} completions of a shifted policy to {meta['groups']} prompts"
            )
        if "truncated" in f:
            lines.append(f"{f['sharing']}; {f['truncated']} of {f['sequences']} sequences truncated")
        if f.get("left_out"):
            lines.append(f"{f['left_out']} questions are longer than max_length and were left out, as scoring does")
        return lines


def train_reward(
    rows: Iterable[Any], *, backbone: Backbone, config: FitConfig, out: str | Path,
    progress: Callable[..., Progress] = Progress, shifted: Iterable[Any] = (),
) -> Trained:  # fmt: skip
    """Fits what the configuration asks for, and saves it under `out/model`.

    Args:
        rows: pairs or ranked rows; rated ones for objectives that learn from ratings.
        backbone: what to start from.
        config: how to fit; with `freeze`, a linear head on frozen features.
        out: run folder.
        progress: makes the display.
        shifted: samples of a shifted policy, at least two a prompt and without labels, for `meta_rate` [13].

    Raises:
        InputError: if a row holds no preference, there are none, the options contradict each other, or the model would
            be written over the one that it starts from.
    """
    check_place(Path(out) / "model", *([] if backbone.name == "scratch" else [backbone.name]))
    shifted = list(shifted)
    if chosen(config.objective).method.model == "causal":
        from plaudit.training.policies.training_entry import train_likelihood

        _without_shifted(shifted, config.objective)
        return Trained(*train_likelihood(list(rows), backbone=backbone, config=config, out=out, progress=progress))
    preferences = preference_rows(rows, objective=config.objective)
    if config.freeze:
        _without_shifted(shifted, "a frozen head")
        return _frozen(preferences, backbone, config, Path(out), progress)
    fit = fit_reward_model(preferences, backbone=backbone, config=config, out=out, progress=progress, shifted=shifted)
    tenth = max(len(fit.losses) // 10, 1)
    sequences = sum(len(completions_of(r)) for r in preferences)
    meta = {name: kept for name, kept in fit.reward.manifest.training.items() if name in ("shifted", "fair", "equal")}
    return Trained(
        PreferenceModel(fit.reward) if fit.reward.head.compares else fit.reward,
        {
            "base": backbone.name, "parameters": sum(p.numel() for p in fit.reward.model.parameters()),
            "groups": fit.groups, "pairs": fit.pairs, "sequences": sequences, "truncated": fit.truncated,
            "raw_tokens": fit.raw_tokens, "sharing": fit.tree,
            "first_loss": float(np.mean(fit.losses[:tenth])), "last_loss": float(np.mean(fit.losses[-tenth:])),
            "config": asdict(config), "backbone": asdict(backbone), **meta,
        },
    )  # fmt: skip


def _without_shifted(shifted: Sequence[Any], what: str) -> None:
    if shifted:
        raise InputError(f"shifted: samples of a shifted policy have no effect on {what}; leave them out")


def preference_rows(rows: Iterable[Any], *, objective: str = "bradley-terry") -> list[TrainingRow]:
    """The rows, all of which must be of a kind that the objective learns from.

    Args:
        rows: of any kind.
        objective: with its options or without.

    Raises:
        InputError: naming the first row that is not, and the conversion that would help, or else what is needed.
    """
    method = chosen(objective)
    kinds = (Pair, Ranked, Rated) if method.method.labels in RATED else (Pair, Ranked)
    checked: list[TrainingRow] = []
    for i, row in enumerate(rows):
        if not isinstance(row, kinds):
            raise InputError(f"row {i + 1}: {kind_of(row)} row {_helps(row, method)}")
        checked.append(row)
    check_rows(checked)
    return checked


PLAIN = {"tied", "identity", "labelled"}
"""Columns that every pair has, whatever it was made of."""


def _helps(row: Any, method: Chosen) -> str:
    """What to do with a row that is not of the objective's kinds."""
    further = set(method.method.columns) - PLAIN
    if method.method.labels not in RATED and isinstance(row, Rated) and further == {"strength"}:
        return "holds no preference; convert it first (plaudit data convert --to ranked)"  # scores become strengths
    asked = further or method.method.labels in (*RATED, "aspect-preferences") or method.method.beside
    if asked:  # what no conversion adds
        return f"is none that objective {method.name} learns from; it needs {method.method.needs}"
    kind = kind_of_row(row)
    if isinstance(row, Sample) and "reward" not in row.meta:
        return (
            "holds no preference; give the samples rewards (plaudit score), then convert them "
            "(plaudit data convert --to pairs)"
        )
    if "pairs" not in routes(kind, by_reward=True):
        return f"holds no preference, and {kind} cannot become pairs; {method.name} learns from {method.method.needs}"
    return "holds no preference; convert it first (plaudit data convert --to pairs)"


def _frozen(
    rows: Sequence[TrainingRow], backbone: Backbone, config: FitConfig, out: Path, progress: Callable[..., Progress]
) -> Trained:
    pairs = [r for r in rows if isinstance(r, Pair)]
    if len(pairs) != len(rows):
        raise InputError("freeze: a frozen head learns from pairs; convert ranked rows first (plaudit data convert)")
    if backbone.name == "scratch":
        raise InputError("freeze: features of random weights are noise; name a pretrained encoder with --model")
    encoder, features = pair_features(pairs, backbone, config, out, progress)
    reward = fit_frozen(
        pairs, features, encoder=encoder, l2=config.l2, seed=config.seed,
        label_smoothing=config.label_smoothing, base=backbone.name,
    )  # fmt: skip
    reward.save(out / "model")
    return Trained(
        reward,
        {
            "base": backbone.name, "parameters": int(reward.weight.size), "groups": len(pairs), "pairs": len(pairs),
            "l2": reward.manifest.training["l2"],
            "sequences": 2 * len(pairs),
            "truncated": encoder.truncated([s for p in pairs for s in p.samples()]),
            "sharing": "frozen features, each text encoded once",
            "config": asdict(config), "backbone": asdict(backbone),
        },
    )  # fmt: skip


def pair_features(
    pairs: Sequence[Pair],
    backbone: Backbone,
    config: FitConfig,
    out: Path,
    progress: Callable[..., Progress] = Progress,
) -> tuple[PooledFeatures, Float[np.ndarray, "n 2 d"]]:
    """The frozen encoder and its features of chosen and rejected, kept in `out/features.npz` for the next who asks."""
    encoder = open_encoder(backbone.name, max_length=min(config.max_length, 256))
    samples = [s for p in pairs for s in p.samples()]
    with progress("encoding") as display:
        found = cached_features(encoder, samples, out / "features.npz", progress=display)
    return encoder, found.reshape(len(pairs), 2, -1)
