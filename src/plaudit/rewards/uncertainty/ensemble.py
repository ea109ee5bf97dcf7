"""Several rewards as one: their mean, how far they are apart, and how noisy they say the label is [148].

Each reward keeps its own normalisation. Trained ones have mean 0 and deviation 1 over their training completions, so
they are centred and of one unit as far as the whole data goes; rules and verifiers keep their units, and whoever mixes
such members brings them to one first (`shape/standardise`). Bradley-Terry leaves each prompt's shift free besides:
`center="prompt"` takes it out of the members, by what is scored together, before their deviation is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.uncertainty.moments import centred_within, mixture_moments

Center = Literal["none", "prompt"]
_SCOPES: tuple[Scope, ...] = ("sample", "group", "batch")
_WORST = (Outcome.INSTRUMENT_FAULT, Outcome.TIMED_OUT, Outcome.ABSTAINED)


@final
class EnsembleReward:
    """The mean of several rewards, with members, epistemic deviation and noise.

    Args:
        rewards: at least two.
        name: short and stable.
        weights: of the members in the mean and in the mixture, positive and of sum 1, as [93] weighs its models; alike
            by default.
        center: `prompt` takes each member's shift within a prompt out before the deviation; the samples of a prompt
            are then scored together. `none` compares members as they are.

    Raises:
        InputError: if there are fewer than two rewards, `center` is not known, or the weights are not the members'.
    """

    def __init__(
        self, rewards: Sequence[Reward], *, name: str = "ensemble", center: Center = "none",
        weights: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        if len(rewards) < 2:
            raise InputError(f"{name}: {len(rewards)} reward; an ensemble has at least 2")
        if center not in ("none", "prompt"):
            raise InputError(f"{name}: center is {center!r}; give 'none' or 'prompt'")
        self.rewards, self.name, self.center = tuple(rewards), name, center
        self.weights = None if weights is None else _weights(weights, len(rewards), name)

    @property
    def scope(self) -> Scope:
        """The widest scope of its members; at least the group where they are centred within prompts."""
        widest = max(_SCOPES.index(r.scope) for r in self.rewards)
        return _SCOPES[max(widest, 1 if self.center == "prompt" else 0)]

    @property
    def bounds(self) -> tuple[float, float]:
        """The means of the members' bounds, by their weights."""
        low, high = np.average([r.bounds for r in self.rewards], axis=0, weights=self.weights)
        return float(low), float(high)

    @property
    def fingerprint(self) -> str:
        """Hash of the members' fingerprints, in their order, of the centring, and of weights where there are any."""
        weights = [] if self.weights is None else [self.weights.tolist()]
        return content_hash(["ensemble", [r.fingerprint for r in self.rewards], self.center, *weights])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples with every member; each is asked about all of them.

        A sample counts where it counts for all members: an instrument fault, a time-out or an abstention of any (in
        this order) is the ensemble's. A policy fault contributes the member's floor; it is the ensemble's outcome where
        all members say so. Noise is given where all members give it.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        batches = [reward(samples) for reward in self.rewards]
        outcome = combined_outcomes(np.stack([b.outcome for b in batches]))
        counted = outcome <= Outcome.POLICY_FAULT
        members = np.stack([b.reward for b in batches], axis=1)
        members[~counted] = np.nan
        if self.center == "prompt":
            members = centred_within(members, [prompt_label(s) for s in samples], weights=self.weights)
        mean, std, noise = mixture_moments(members, std=_own(batches), noise=_noise(batches), weights=self.weights)
        return RewardBatch(
            mean, outcome, std=std, noise=None if noise is None else np.where(counted, noise, np.nan), members=members,
            detail=tuple({"members": [dict(b.detail[i]) for b in batches]} for i in range(len(samples))),
        )  # fmt: skip


def combined_outcomes(outcomes: Int[np.ndarray, "k n"]) -> Int[np.ndarray, " n"]:
    """One outcome a sample out of k: any instrument fault, else time-out, else abstention; a policy fault if all are.

    Args:
        outcomes: values of `Outcome`, a row a term.
    """
    policy = (outcomes == Outcome.POLICY_FAULT).all(axis=0)
    combined = np.where(policy, Outcome.POLICY_FAULT, Outcome.SCORED)
    for worst in reversed(_WORST):
        combined = np.where((outcomes == worst).any(axis=0), worst, combined)
    return combined.astype(np.int8)


def open_ensemble(models: Any, center: str = "none", weights: Any = None) -> EnsembleReward:
    """The ensemble of the rewards that references name.

    Args:
        models: references divided by commas, or a list of them (a mapping in it is a reward with options).
        center: see `EnsembleReward`.
        weights: see `EnsembleReward`; numbers divided by commas, or a list of them.

    Raises:
        InputError: if `models` is neither, or names fewer than two; or if weights are no numbers.
        MissingError: as `plaudit.load`.
    """
    from plaudit.rewards.registry import load

    named = models.split(",") if isinstance(models, str) else models
    if not isinstance(named, Sequence) or not all(isinstance(x, str | Path | Mapping) for x in named):
        raise InputError(f"ensemble/of: models is {models!r}; give a list of references, or divide them by commas")
    rewards = [load(x.strip() if isinstance(x, str) else x) for x in named if x != ""]
    given = weights.split(",") if isinstance(weights, str) else weights
    try:
        numbers = None if given is None else [float(w) for w in given]
    except (TypeError, ValueError) as error:
        raise InputError(f"ensemble/of: weights are {weights!r}; give numbers, divided by commas or a list") from error
    return EnsembleReward(rewards, center=center, weights=numbers)  # type: ignore[arg-type]  # checked by the class


def _weights(given: Sequence[float], members: int, name: str) -> Floats:
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (members,):
        raise InputError(f"{name}: {weights.size} weights for {members} rewards; give one a reward")
    if not (weights > 0).all() or abs(float(weights.sum()) - 1) > 1e-9:
        raise InputError(f"{name}: weights are {weights.tolist()}; they must be positive and of sum 1")
    return weights


def _own(batches: Sequence[RewardBatch]) -> Float[np.ndarray, "n k"] | None:
    """Each member's own epistemic deviation; zero for those that give none."""
    if all(b.std is None for b in batches):
        return None
    return np.stack([np.zeros(len(b)) if b.std is None else b.std for b in batches], axis=1)


def _noise(batches: Sequence[RewardBatch]) -> Float[np.ndarray, "n k"] | None:
    columns: list[Floats] = [b.noise for b in batches if b.noise is not None]
    return np.stack(columns, axis=1) if len(columns) == len(batches) else None


def prompt_label(sample: Sample) -> str:
    """What the samples that answer one prompt have in common: their `group`, else the prompt itself."""
    return sample.group or repr([m.to_dict() for m in sample.prompt])
