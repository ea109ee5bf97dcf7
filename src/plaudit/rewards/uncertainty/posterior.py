"""The Laplace approximation of a linear head's posterior, from the features of pairs: pure mathematics.

Near the fitted weights the log-posterior of Bradley-Terry is `-1/2 (w - w*)' (H + prior) (w - w*)` with
`H = sum p (1 - p) d d'` over pairs, d the difference of the pair's features: the Gaussian with that precision.

Differs from the paper: only differences of rewards are identified, so a single reward's deviation has to be said
relative to something: here the mean feature of the training completions. The deviation of a difference needs no such
choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky, solve_triangular

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Floats


@dataclass(frozen=True, slots=True)
class Posterior:
    """A Gaussian over a head's weights.

    Attributes:
        center: mean feature of the training completions, (d,).
        factor: (d, d), with `factor @ factor.T` the posterior covariance.
        prior: precision of the prior, per squared weight unit.
        pairs: preferences that it was fitted to.
    """

    center: Floats
    factor: Floats
    prior: float
    pairs: int

    @classmethod
    def of(
        cls, hessian: Float[np.ndarray, "d d"], *, prior: float, center: Float[np.ndarray, " d"], pairs: int
    ) -> Posterior:
        """The posterior with precision `hessian + prior`.

        Raises:
            InputError: if the prior is not positive: where the data is silent the deviation would be infinite.
        """
        if not 0 < prior < np.inf:
            raise InputError(f"laplace: prior is {prior}; it must be positive, or weights without data have no bound")
        lower = cholesky(hessian + prior * np.eye(len(hessian)), lower=True)
        # precision L L' has covariance L'^-1 L^-1
        factor = solve_triangular(lower, np.eye(len(hessian)), lower=True).T
        return cls(np.asarray(center, np.float64), np.asarray(factor), float(prior), int(pairs))

    def whitened(self, features: Float[np.ndarray, "n d"]) -> Floats:
        """Features relative to the centre, in which distances are deviations: `|a - b|` is that of a difference."""
        if features.ndim != 2 or features.shape[1] != len(self.center):
            raise ShapeError(f"laplace: features are {features.shape}; they must be (n, {len(self.center)})")
        return np.asarray((features.astype(np.float64) - self.center) @ self.factor)

    def std(self, features: Float[np.ndarray, "n d"]) -> Floats:
        """Deviation of each score relative to that of the centre, in score units."""
        return np.asarray(np.linalg.norm(self.whitened(features), axis=1))

    def difference_std(self, first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"]) -> Floats:
        """Deviation of the difference of two scores, in score units; the centre does not matter."""
        return np.asarray(np.linalg.norm(self.whitened(first) - self.whitened(second), axis=1))

    def deviations(self, features: Float[np.ndarray, "n d"], *, members: int, seed: int = 0) -> Floats:
        """Members of the posterior minus their mean, (n, members), in score units.

        With `members` of at least twice the features these are the 2 d sigma points (and no more): their mean is zero
        and their population covariance the posterior's, exactly. With fewer they are draws and their mirror images.

        Args:
            features: of n samples.
            members: an even number.
            seed: of the draws, which are the same for every sample: a member is one head.
        """
        if members < 2 or members % 2:
            raise InputError(f"laplace: members is {members}; they come in mirrored pairs, so give an even number")
        white = self.whitened(features)
        d = white.shape[1]
        if members >= 2 * d:
            half = white * np.sqrt(d)
        else:
            half = white @ np.random.default_rng([seed, 41]).normal(size=(d, members // 2))
        return np.concatenate([half, -half], axis=1)


def logistic_hessian(
    difference: Float[np.ndarray, "m d"], logit: Float[np.ndarray, " m"], weight: Float[np.ndarray, " m"] | None = None
) -> Floats:
    """`sum w p (1 - p) d d'` with `p = sigmoid(logit)`.

    Args:
        difference: features of chosen minus rejected.
        logit: their score difference under the fitted head.
        weight: of each pair, default 1.

    Raises:
        ShapeError: if there is not one logit a pair.
    """
    if logit.shape != difference.shape[:1]:
        raise ShapeError(f"laplace: {logit.shape} logits for {difference.shape} differences; give one a pair")
    p = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
    share = p * (1 - p) * (1.0 if weight is None else weight)
    d = difference.astype(np.float64)
    return np.asarray((d * share[:, None]).T @ d)


def log_evidence(eigenvalues: Float[np.ndarray, " d"], weight_norm2: float, prior: float) -> float:
    """The part of the log marginal likelihood that the prior changes, in nats.

    `(d log prior - prior |w|^2 - sum log(eigenvalue + prior)) / 2`, the weights held at the fitted ones.

    Args:
        eigenvalues: of the data's Hessian, at least 0.
        weight_norm2: squared norm of the fitted weights.
        prior: precision, positive.

    Source: MacKay 1992, "A Practical Bayesian Framework"; Daxberger et al. 2021, "Laplace Redux", section 3.
    """
    d = len(eigenvalues)
    return 0.5 * float(d * np.log(prior) - prior * weight_norm2 - np.log(eigenvalues + prior).sum())


def best_prior(eigenvalues: Float[np.ndarray, " d"], weight_norm2: float) -> float:
    """The prior precision of highest marginal likelihood: where `prior |w|^2 = sum eigenvalue / (eigenvalue + prior)`.

    The left side rises with the prior and the right side falls, so there is one solution, found by bisection.

    Args:
        eigenvalues: of the data's Hessian, at least 0 and not all 0.
        weight_norm2: squared norm of the fitted weights, positive.

    Raises:
        InputError: if there is no data or no weight to choose by.

    Source: MacKay 1992, equation 2.22 of the evidence framework.
    """
    values = np.maximum(eigenvalues, 0.0)
    if not weight_norm2 > 0 or not values.max(initial=0.0) > 0:
        raise InputError("laplace: weights or Hessian are zero, so the evidence chooses no prior; give prior")
    low, high = np.log(1e-12), np.log(len(values) / weight_norm2)  # at the high end the right side is below d
    for _ in range(200):
        middle = (low + high) / 2
        prior = np.exp(middle)
        below = prior * weight_norm2 < (values / (values + prior)).sum()
        low, high = (middle, high) if below else (low, middle)
    return float(np.exp((low + high) / 2))
