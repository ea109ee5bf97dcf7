"""Last-layer Laplace: how far a Bradley-Terry model's scores could move without fitting its pairs worse.

The posterior is fitted after training, from the training pairs' features, and stored as `laplace.safetensors` beside
the weights. The reward itself does not change; `std` and `members` come with it.

Source: Daxberger et al. 2021, "Laplace Redux"; Kristiadi et al. 2020; Yang et al. 2024, "Bayesian Reward Models for LLM
Alignment" (Laplace on the adapters of reward models).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, MissingError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample, content_hash
from plaudit.records.weights import weights_of
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.models import ModelReward, batch_of, logistic
from plaudit.rewards.readers.head import Readout
from plaudit.rewards.uncertainty.features import check_linear, head_scores, leaf_features
from plaudit.rewards.uncertainty.files import open_base, read_arrays, read_pairs, write_arrays
from plaudit.rewards.uncertainty.pairing import compared, preferences_each
from plaudit.rewards.uncertainty.posterior import Posterior, best_prior, logistic_hessian

FILE = "laplace.safetensors"


@final
class LaplaceReward:
    """A reward model with a Gaussian posterior over its head's weights.

    Args:
        reward: a Bradley-Terry model with one linear output.
        posterior: of its head, see `fit_laplace`.
        members: heads to give as members, an even number; 0 for none. See `Posterior.deviations`.
    """

    scope: Scope = "sample"

    def __init__(self, reward: ModelReward, posterior: Posterior, *, members: int = 32) -> None:
        check_linear(reward)
        if members < 0 or members % 2:
            raise InputError(f"laplace: members is {members}; they come in mirrored pairs, so give an even number")
        self.reward, self.posterior, self.members, self.name = reward, posterior, members, reward.name

    @property
    def bounds(self) -> tuple[float, float]:
        """Those of the model."""
        return self.reward.bounds

    @property
    def fingerprint(self) -> str:
        """Hash of the model, the posterior and the number of members."""
        p = self.posterior
        weights = hashlib.blake2b(p.center.tobytes() + p.factor.tobytes(), digest_size=16).hexdigest()
        return content_hash(["laplace", self.reward.fingerprint, weights, self.members])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples; `std` is that of the reward relative to the reward of the mean training feature."""
        if not samples:
            return RewardBatch(np.zeros(0))
        states = leaf_features(self.reward, samples)
        score = head_scores(self.reward, states).numpy()[:, 0]
        features = states.double().cpu().numpy()
        members = None
        if self.members:
            members = score[:, None] + self.posterior.deviations(features, members=self.members)
        readout = Readout(score, std=self.posterior.std(features), members=members)
        return batch_of(score, self.reward.manifest, [{} for _ in samples], readout=readout)

    def difference_std(
        self, first: Sequence[Sample], second: Sequence[Sample]
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Deviation of the difference of the rewards of two samples, (n,): exact, without members."""
        a, b = (leaf_features(self.reward, s).double().cpu().numpy() for s in (first, second))
        return self.posterior.difference_std(a, b) / self.reward.manifest.scale

    def save(self, folder: str | Path) -> None:
        """Writes the posterior beside the weights, with the model's fingerprint."""
        p = self.posterior
        arrays = {"center": p.center, "factor": p.factor}
        write_arrays(Path(folder) / FILE, arrays, {
            "model": self.reward.fingerprint, "prior": repr(p.prior), "pairs": str(p.pairs),
        })  # fmt: skip


def fit_laplace(
    reward: ModelReward, rows: Sequence[Pair | Ranked], *, prior: float = 0.0, members: int = 32
) -> LaplaceReward:
    """The posterior of a fitted model's head, given the pairs that it was trained on.

    Args:
        reward: fitted by Bradley-Terry, with one linear output; its score differences are log-odds.
        rows: the training pairs (a ranked row counts as all of its ordered pairs), which weigh what they weighed then.
        prior: precision of the prior; 0 chooses it by the marginal likelihood, the weights held at the fitted ones.
        members: see `LaplaceReward`.

    Raises:
        InputError: if there are no pairs, the model was fitted to something else, or rows lack the column that weighed
            them.
        UnsupportedError: if its head is not a linear one at the last token.
    """
    check_linear(reward)
    # not `log_odds_per_unit`, which a calibration gives to any objective: the Hessian is that of the scores as fitted
    if reward.head.outputs != 1 or not logistic(reward.manifest):
        raise InputError(
            f"{reward.name}: was fitted by {reward.manifest.objective or 'something unknown'}; Laplace's Hessian is "
            "that of Bradley-Terry with one output and without margins"
        )
    samples, better, worse = compared(rows)
    config = reward.manifest.training.get("config", {})
    weight = weights_of(rows, column=config.get("row_weight", ""), by_length=config.get("balance") == "length")
    states = leaf_features(reward, samples)
    features, score = states.double().cpu().numpy(), head_scores(reward, states).numpy()[:, 0]
    hessian = logistic_hessian(
        features[better] - features[worse],
        score[better] - score[worse],
        None if weight is None else np.repeat(weight, preferences_each(rows)),
    )
    norm2 = float(reward.model.score.weight.detach().double().square().sum())
    if not prior:
        prior = best_prior(np.linalg.eigvalsh(hessian), norm2)
    posterior = Posterior.of(hessian, prior=prior, center=features.mean(axis=0), pairs=len(better))
    return LaplaceReward(reward, posterior, members=members)


def open_laplace(of: str, pairs: str = "", prior: float = 0.0, members: int = 32) -> LaplaceReward:
    """A model folder with its posterior.

    Args:
        of: the model's folder, or its run's.
        pairs: file of the training pairs; where it is given the posterior is fitted and stored beside the weights.
        prior: see `fit_laplace`.
        members: see `LaplaceReward`.

    Raises:
        MissingError: if there is no posterior and no file of pairs.
        IntegrityError: if the posterior is another model's.
    """
    reward, folder = open_base("uncertainty/laplace", of)
    if pairs:
        fitted = fit_laplace(reward, read_pairs(pairs), prior=prior, members=members)
        fitted.save(folder)
        return fitted
    if not (folder / FILE).is_file():
        raise MissingError(f"{of}: holds no {FILE}; fit it with uncertainty/laplace?of={of}&pairs=FILE")
    arrays, said = read_arrays(folder / FILE, of=reward.fingerprint)
    posterior = Posterior(arrays["center"], arrays["factor"], float(said["prior"]), int(said["pairs"]))
    return LaplaceReward(reward, posterior, members=members)
