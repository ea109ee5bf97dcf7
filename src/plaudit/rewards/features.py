"""A reward of named numbers: domain features of a sample, and a small network over them [21].

Differs from the paper: features are any rewards (rules, verifiers, judges, aspects of models); the paper's seven are
scores of one language model. They are standardised, so that their units say nothing. The order of the features means
nothing to the linear part; hidden units are drawn in that order, and another order is another draw.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.uncertainty.ensemble import combined_outcomes
from plaudit.rewards.uncertainty.files import read_arrays, write_arrays

FILE = "features.safetensors"


@final
class FeatureReward:
    """`w2 . tanh(W1 z + b1)` of standardised features z, plus a linear part; normalised to mean 0 and deviation 1.

    A sample counts where every feature counts; an instrument fault, a time-out or an abstention of any (in this order)
    is the whole's. A policy fault contributes the feature's floor.

    Args:
        features: name to the reward that measures it, in the network's order.
        arrays: `center` and `spread` (k,), `first` (h, k), `bias` (h,), `second` (h,), `linear` (k,), `unit` (2,): mean
            and deviation of the scores of the training completions.
        references: how each feature is named in a file; None where it is no reference.
        name: short and stable.
        floor: lowest reward.
    """

    def __init__(
        self, features: Mapping[str, Reward], arrays: Mapping[str, Floats], *,
        references: Mapping[str, Any] | None = None, name: str = "features", floor: float = -10.0,
    ) -> None:  # fmt: skip
        if not features or len(features) != len(arrays["center"]):
            raise InputError(f"{name}: {len(features)} features for a network of {len(arrays['center'])}")
        self.features, self.arrays = dict(features), {k: np.asarray(v, np.float64) for k, v in arrays.items()}
        self.references, self.name, self.floor = references, name, floor

    @property
    def scope(self) -> Scope:
        """The widest of its features'."""
        order: tuple[Scope, ...] = ("sample", "group", "batch")
        return order[max(order.index(r.scope) for r in self.features.values())]

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity."""
        return self.floor, float("inf")

    @property
    def log_odds_per_unit(self) -> float:
        """The deviation of the scores: their differences are log-odds under Bradley-Terry."""
        return float(self.arrays["unit"][1])

    @property
    def fingerprint(self) -> str:
        """Of the features, in their order, and of the network."""
        digest = hashlib.blake2b(digest_size=16)
        for key in sorted(self.arrays):
            digest.update(self.arrays[key].tobytes())
        rewards = [(name, r.fingerprint) for name, r in self.features.items()]
        return content_hash(["features", rewards, digest.hexdigest(), self.floor])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples; the features are the batch's aspects."""
        if not samples:
            return RewardBatch(np.zeros(0))
        table, outcome = measured(self.features, samples)
        counted = outcome <= Outcome.POLICY_FAULT
        score = network_scores(np.where(counted, table.T, 0.0).T, self.arrays)
        mean, deviation = self.arrays["unit"]
        reward = np.where(counted, np.maximum((score - mean) / deviation, self.floor), np.nan)
        return RewardBatch(reward, outcome, aspects={n: table[:, i] for i, n in enumerate(self.features)})

    def save(self, folder: str | Path) -> None:
        """Writes the network and the references of its features.

        Raises:
            InputError: if a feature is no reference, so that nobody could open it again.
        """
        if self.references is None or set(self.references) != set(self.features):
            raise InputError(
                f"{self.name}: features were given as objects; give references, so that they can be opened"
            )
        said = {"model": "features", "features": json.dumps(dict(self.references)), "floor": repr(self.floor)}
        write_arrays(Path(folder) / FILE, self.arrays, said)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The inverse of `save`.

        Raises:
            MissingError: if the folder holds none.
        """
        from plaudit.rewards.registry import load

        path = Path(folder) / FILE
        if not path.is_file():
            raise MissingError(f"{folder}: holds no {FILE}; fit one with plaudit.training.features.fit_features")
        arrays, said = read_arrays(path, of="features")
        references = json.loads(said["features"])
        return cls(
            {n: load(r) for n, r in references.items()}, arrays, references=references, floor=float(said["floor"])
        )


def measured(
    features: Mapping[str, Reward], samples: Sequence[Sample]
) -> tuple[Float[np.ndarray, "n k"], np.ndarray[Any, np.dtype[np.int8]]]:
    """Features of samples, and one outcome a sample; NaN where a feature's outcome does not count."""
    batches = [reward(samples) for reward in features.values()]
    outcome = combined_outcomes(np.stack([b.outcome for b in batches]))
    return np.stack([b.reward for b in batches], axis=1), outcome


def network_scores(table: Float[np.ndarray, "n k"], arrays: Mapping[str, Floats]) -> Float[np.ndarray, " n"]:
    """`w . z + w2 . tanh(W1 z + b1)` with `z = (table - center) / spread`: what `FeatureReward` normalises."""
    z = (table - arrays["center"]) / arrays["spread"]
    return np.asarray(z @ arrays["linear"] + np.tanh(z @ arrays["first"].T + arrays["bias"]) @ arrays["second"])


def open_features(of: str) -> FeatureReward:
    """A saved feature reward.

    Args:
        of: its folder.
    """
    return FeatureReward.load(of)
