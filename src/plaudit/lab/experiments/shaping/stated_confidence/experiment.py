"""Policies that answer and say how sure they are, at one measured KL under several rewards.

A prompt has many answers, and each can be given with a stated confidence of 0 to 10. The policy is the exact optimum of
the KL-regularised problem, `pi ~ pi_0 exp(r / beta)` over answers and confidences together, with beta set so that the
mean KL over prompts is the one that is asked for. An answer is right where its worth and the prompt's ease add up to
more than 0, as they do for one in seven or so at the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax, logsumexp

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.rewards.calibrators import Platt
from plaudit.shaping.confidence import Mode, confidence_reward

LEVELS = np.arange(11) / 10
"""Confidences that can be stated."""
LIKING = {"": 1.0, "0": 0.0, "2": 2.0, "shifted": 1.0}
"""Reward units by which the reward model likes full confidence better than none."""
ARMS = ("unshaped", "stripped", "difference", "threshold", "shuffled", "brier", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Prompts with answers.

    Attributes:
        right: whether each answer is right, (p, k).
        reward: of each answer without a stated confidence, (p, k).
        start: log-probability of each answer and confidence under the starting policy, (p, k, 11).
        held_out: rewards of answers to other prompts, and whether they are right: what a calibration is fitted to.
    """

    right: NDArray[np.bool_]
    reward: Numbers
    start: Numbers
    held_out: tuple[Numbers, NDArray[np.bool_]]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        Of the policy: `ece`, the expected distance of the stated confidence from the share of answers given with it
        that are right; `auroc`, the probability that a right answer is given with a higher confidence than a wrong one,
        ties half; `accuracy`, the share of right answers; `stated`, the mean confidence; `kl`, in nats.
    """
    del fit  # exact policies
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in LIKING:
        raise InputError(f"stated_confidence: arm {arm!r} is not known; the claim lists the arms")
    world = made(seed, int(budget["prompts"]), int(budget["answers"]), shifted=knob == "shifted")
    policy = shaped_policy(name, world, LIKING[knob], float(budget["kl"]), np.random.default_rng([seed, 3]))
    return measured(policy, world)


def made(seed: int, prompts: int, answers: int, *, shifted: bool) -> World:
    """A world from a seed.

    Args:
        seed: of all that is drawn.
        prompts: p; a half as many are held out.
        answers: k.
        shifted: whether the rewards of each prompt are off by a number of its own, which Bradley-Terry leaves open.
    """
    rng = np.random.default_rng([seed, 1])
    p = prompts + prompts // 2
    worth, ease = rng.normal(size=(p, answers)), rng.normal(size=(p, 1)) - 1.5
    off = 2.0 * np.random.default_rng([seed, 2]).normal(size=(p, 1)) * shifted
    right = worth + ease > 0
    reward = worth + ease + off + 0.7 * rng.normal(size=(p, answers))
    # the start says 8 of 10 on average, whatever is asked, and hardly more of what is better
    centre = 8 + 0.3 * worth + rng.normal(size=(p, answers))
    said = log_softmax(-((10 * LEVELS - centre[..., None]) ** 2) / 8, axis=-1)
    start = said - np.log(answers)
    return World(right[:prompts], reward[:prompts], start[:prompts], (reward[prompts:], right[prompts:]))


def shaped_policy(name: str, world: World, liking: float, kl: float, rng: np.random.Generator) -> Numbers:
    """The policy (p, k, 11) that an arm's reward leads to.

    PPO-C's running mean is that of the policy's rewards; as the policy depends on it, both are found together.
    """
    r, s = world.reward[..., None], np.broadcast_to(LEVELS, world.start.shape)
    if name in ("difference", "threshold", "shuffled"):
        seen = rng.permuted(world.reward, axis=1)[..., None] if name == "shuffled" else r
        mean = float(world.reward.mean())
        for _ in range(30):
            mode: Mode = "threshold" if name == "threshold" else "difference"
            deserved = confidence_reward(np.broadcast_to(seen, s.shape), s, mean, mode=mode) - seen
            policy = at_kl(r + deserved, world.start, kl)
            mean = float((policy * r).sum(axis=(1, 2)).mean())
        return policy
    if name == "brier":
        rewards, right = world.held_out
        calibrated = Platt.fit(rewards.ravel(), right.ravel().astype(np.float64))
        chance = calibrated.probability(world.reward.ravel()).reshape(r.shape)
        # the expected Brier score of a confidence, where the chance is what the calibrated reward says
        return at_kl(r - 2.0 * (chance * (1 - s) ** 2 + (1 - chance) * s**2), world.start, kl)
    if name == "oracle":
        return at_kl(r - 2.0 * (s - world.right[..., None]) ** 2, world.start, kl)
    return at_kl(r + (liking * s if name == "unshaped" else 0.0), world.start, kl)


def at_kl(reward: Numbers, start: Numbers, kl: float) -> Numbers:
    """The tilt of the start by a reward whose mean KL over prompts is `kl` nats, (p, k, 11)."""
    reward = np.broadcast_to(reward, start.shape)

    def tilted(pressure: float) -> Numbers:
        logits = start + pressure * reward
        return np.asarray(logits - logsumexp(logits, axis=(1, 2), keepdims=True))

    def excess(log_pressure: float) -> float:
        logp = tilted(float(np.exp(log_pressure)))
        return float((np.exp(logp) * (logp - start)).sum(axis=(1, 2)).mean()) - kl

    return np.asarray(np.exp(tilted(float(np.exp(brentq(excess, -8.0, 8.0))))))


def measured(policy: Numbers, world: World) -> dict[str, float]:
    """The numbers of `run_instance`, exact for the policy."""
    mass = policy / len(policy)
    at, right = mass.sum(axis=(0, 1)), (mass * world.right[..., None]).sum(axis=(0, 1))
    known = at > 0
    gap = np.abs(LEVELS[known] * at[known] - right[known]).sum()
    wrong = at - right
    below = np.concatenate([[0.0], np.cumsum(wrong)[:-1]])
    logp = np.log(np.where(policy > 0, policy, 1.0))
    return {
        "ece": float(gap),
        "auroc": float((right * (below + wrong / 2)).sum() / (right.sum() * wrong.sum())),
        "accuracy": float(right.sum()),
        "stated": float((at * LEVELS).sum()),
        "kl": float((policy * (logp - world.start)).sum(axis=(1, 2)).mean()),
    }
