"""KL to a reference from the tokens that were sampled: three estimators, as a loss and as a penalty in the reward.

With `d = logp - ref_logp` of a sampled token: `k1 = d`, `k2 = d^2 / 2`, `k3 = e^{-d} - 1 + d`. On tokens of the policy
itself k1 and k3 have the mean KL(pi || ref), k2 one that is near it where d is small; k3 is never negative and varies
least. What counts in a loss is the mean of the *gradient*, which is another matter:

| | mean of the value | as a loss, mean gradient | as a penalty, mean policy gradient |
| --- | --- | --- | --- |
| k1 | KL(pi, ref) | 0 | grad KL(pi, ref) |
| k2 | near it | grad KL(pi, ref) | grad E[k2] - grad KL(pi, ref) |
| k3 | KL(pi, ref) | grad KL(ref, pi) | grad KL(pi, ref) - grad KL(ref, pi) |

This is on tokens of the policy itself; on tokens of an older one each is multiplied by `pi / pi_old`. As a constant
the ratio makes the mean gradient that of the table, whatever the policy has become: so does a run, where `kl_estimator`
means the same in every update of a batch. With its own gradient (TRL's `use_bias_correction_kl`), k1 and k3 both have a
mean gradient of grad KL(pi, ref). It is never let into k2, which would have grad E[k2] then.

So: in the reward use k1; as a loss use k2, or k3 times a ratio with its gradient; report k3. k3 as a loss, which TRL's
GRPO has by default, descends the *forward* KL: it spreads the policy over what the reference does instead of keeping it
within it. The tests show each line on a softmax policy by enumeration.

Source: Schulman 2020, "Approximating KL Divergence"; the gradients: Tang and Munos 2025, "On a few pitfalls in KL
divergence gradient estimation for RL".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError, nearest

Estimator = Literal["k1", "k2", "k3"]


def kl_estimate(
    logp: Float[Tensor, " *t"], ref_logp: Float[Tensor, " *t"], *, estimator: Estimator = "k3"
) -> Float[Tensor, " *t"]:
    """One of the three estimators, a token, in nats.

    Args:
        logp: of the sampled tokens under the policy.
        ref_logp: under the reference.
        estimator: which.

    Raises:
        ShapeError: if shapes differ.
        InputError: if the estimator is not known.
    """
    if logp.shape != ref_logp.shape:
        raise ShapeError(f"kl: {tuple(logp.shape)} and {tuple(ref_logp.shape)} log-probabilities; give as many")
    if estimator not in get_args(Estimator):
        raise InputError(f"kl: estimator {estimator!r} is not known; {nearest(estimator, get_args(Estimator))}")
    d = logp - ref_logp
    if estimator == "k1":
        return d
    return d.square() / 2 if estimator == "k2" else torch.exp(-d) - 1 + d


def kl_loss(
    logp: Float[Tensor, " *t"], ref_logp: Float[Tensor, " *t"], *, optimised: Estimator = "k2",
    reported: Estimator | None = None, ratio: Float[Tensor, " *t"] | None = None,
) -> Float[Tensor, " *t"]:  # fmt: skip
    """A loss a token whose gradient is that of one estimator and whose value may be another's; multiply by `kl_coef`.

    Args:
        logp: of the sampled tokens under the policy; carries the gradient.
        ref_logp: under the reference, a constant.
        optimised: whose gradient; see the table above. `k1` moves nothing but noise on fresh tokens.
        reported: whose value; None for the same. `k3` is the one to look at.
        ratio: `pi / pi_old` of each token, for tokens of an older policy. Without a gradient (`ratio.detach()`) the
            mean gradient is that of the table; with one, k1 and k3 follow KL(pi, ref) (TRL's `use_bias_correction_kl`),
            and k2, which follows it anyhow, leaves the ratio's gradient out.

    Raises:
        ShapeError, InputError: as `kl_estimate`.
    """
    found = kl_estimate(logp, ref_logp, estimator=optimised)
    told = found if reported is None else kl_estimate(logp, ref_logp, estimator=reported)
    if ratio is not None:
        ratio = ratio.detach() if optimised == "k2" else ratio
        found, told = found * ratio, told * ratio
    return found if reported is None else found + (told - found).detach()


@torch.no_grad()
def kl_penalty(
    logp: Float[Tensor, " *t"], ref_logp: Float[Tensor, " *t"], *, kl_coef: float, estimator: Estimator = "k1"
) -> Float[Tensor, " *t"]:
    """`-kl_coef * k` a token, a constant that is added to the token's reward.

    Args:
        logp: of the sampled tokens under the policy that drew them.
        ref_logp: under the reference.
        kl_coef: reward units per nat, at least 0.
        estimator: k1, unless the bias of the others is wanted; see the table above.

    Raises:
        ShapeError: if shapes differ.
        InputError: if the coefficient is negative or the estimator not known.

    Source: Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences", equation 2.
    """
    if not kl_coef >= 0:
        raise InputError(f"kl_penalty: kl_coef is {kl_coef}; give reward units per nat, at least 0")
    return -kl_coef * kl_estimate(logp, ref_logp, estimator=estimator)


@final
@dataclass(frozen=True)
class AdaptiveCoefficient:
    """A `kl_coef` that follows a target; a pure value.

    `e = clip((KL - target) / target, -0.2, 0.2)`; `kl_coef <- kl_coef (1 + e n / horizon)` after n completions.

    Attributes:
        value: the coefficient, reward units per nat, above 0.
        target: KL of a completion (summed over its tokens), nats, above 0.
        horizon: completions in which a KL far from the target changes the coefficient by a fifth, roughly.

    Raises:
        InputError: if a number is not positive.

    Source: Ziegler et al. 2019, section 2.2, with the constants of their code (0.2; target 6; horizon 10000).
    """

    value: float = 0.2
    target: float = 6.0
    horizon: float = 10_000.0

    def __post_init__(self) -> None:
        if not (self.value > 0 and self.target > 0 and self.horizon > 0):
            raise InputError(
                f"adaptive coefficient: value is {self.value}, target {self.target}, horizon {self.horizon}; give "
                "positive numbers"
            )

    def updated(self, kl: float, n: int) -> Self:
        """After n completions of mean KL `kl`; itself where `kl` is NaN: nothing was measured.

        Raises:
            InputError: if n is negative, or so large that the coefficient would reach 0.
        """
        if kl != kl or not n:
            return self
        if n < 0 or 0.2 * n >= self.horizon:
            raise InputError(
                f"adaptive coefficient: n is {n} for a horizon of {self.horizon}; give at least 0, below 5 horizons"
            )
        error = min(max((kl - self.target) / self.target, -0.2), 0.2)
        return replace(self, value=self.value * (1 + error * n / self.horizon))

    def state(self) -> dict[str, Any]:
        """The coefficient, for a run's folder."""
        return {"value": self.value}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With the coefficient that `state` gave."""
        return replace(self, value=float(state["value"]))
