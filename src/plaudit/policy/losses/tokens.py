"""The tokens of a micro-batch, laid out flat, and what is asked of them: sums over completions, log-ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError, nearest

Level = Literal["token", "sequence", "sequence-token", "sequence-sum"]
FARTHEST = 20.0
"""Greatest size of a log-ratio, as in verl: a ratio of 5e8 says enough, and infinity times 0 is no number."""


@final
@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The counted tokens of n completions, one completion after another.

    Attributes:
        logp: (t,) under the policy that is trained, nats; carries the gradient.
        old_logp: (t,) under the policy that the ratio is taken to, a constant.
        advantage: (t,) of each token, a constant.
        owner: int64 (t,), the completion of each token, 0 to n - 1, never falling.
        n: completions; those without tokens count too.

    Raises:
        ShapeError: if the parts differ in number.
        InputError: if an owner is out of range or falls.
    """

    logp: Float[Tensor, " t"]
    old_logp: Float[Tensor, " t"]
    advantage: Float[Tensor, " t"]
    owner: Int[Tensor, " t"]
    n: int

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in ("logp", "old_logp", "advantage", "owner")}
        if self.logp.ndim != 1 or len(set(shapes.values())) != 1:
            raise ShapeError(f"token batch: {shapes}; give (t,) of each")
        check_owner("token batch", self.owner, self.n)

    def sum_by(self, value: Float[Tensor, " t"]) -> Float[Tensor, " n"]:
        """Sum over each completion's tokens."""
        return sum_by(value, self.owner, self.n)

    def mean_by(self, value: Float[Tensor, " t"]) -> Float[Tensor, " n"]:
        """Mean over each completion's tokens; 0 without any."""
        return self.sum_by(value) / self.lengths.clamp(min=1).to(value.dtype)

    @cached_property
    def lengths(self) -> Int[Tensor, " n"]:
        """Tokens of each completion."""
        return torch.bincount(self.owner, minlength=self.n)

    def log_ratio(self, level: Level = "token", *, clamp: tuple[float, float] | None = None) -> Float[Tensor, " t"]:
        """`log pi / pi_old` that weighs each token.

        | level | log-ratio of token t of completion i | gradient |
        | --- | --- | --- |
        | `token` | `d_t = logp_t - old_logp_t` | of its own token |
        | `sequence` | `mean_s d_s`, GSPO | of all tokens of i, divided by their number |
        | `sequence-token` | the same number, GSPO-token | of its own token |
        | `sequence-sum` | `sum_s d_s`, the exact ratio of the completion | of all tokens of i |

        All are kept within plus and minus `FARTHEST`, beyond which there is no gradient.

        Args:
            level: see the table.
            clamp: least and greatest ratio of a token, before anything else; outside, the gradient is 0.

        Raises:
            InputError: if the level is not known, or the bounds are not positive and rising.

        Source: Zheng et al. 2025, "Group Sequence Policy Optimization", equations 7 and 13 (GSPO-token); Zhang et al.
        2025, "R1-Reward" (StableReinforce) for the clamp [15].
        """
        own = self.logp - self.old_logp
        if clamp is not None:
            low, high = clamp
            if not 0 < low < high:
                raise InputError(f"log_ratio: clamp is {clamp}; give a least and a greatest ratio, 0 < low < high")
            own = own.clamp(math.log(low), math.log(high))
        return self._at(level, own).clamp(-FARTHEST, FARTHEST)

    def _at(self, level: Level, own: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
        if level == "token":
            return own
        if level == "sequence":
            return self.mean_by(own)[self.owner]
        if level == "sequence-token":
            return self.mean_by(own).detach()[self.owner] + self.logp - self.logp.detach()
        if level == "sequence-sum":
            return self.sum_by(own)[self.owner]
        raise InputError(f"log_ratio: level {level!r} is not known; {nearest(level, get_args(Level))}")


def sum_by(value: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int) -> Float[Tensor, " n"]:
    """Sum of the values of each owner.

    Args:
        value: (t,).
        owner: int64 (t,), 0 to n - 1.
        n: owners.
    """
    return value.new_zeros(n).index_add(0, owner, value)


def check_owner(who: str, owner: Int[Tensor, " t"], n: int) -> None:
    """That owners are whole numbers from 0 to n - 1 that never fall.

    Raises:
        InputError: if they are not.
    """
    if not owner.numel():
        return
    if owner.is_floating_point() or int(owner[0]) < 0 or int(owner[-1]) >= n or bool((owner[1:] < owner[:-1]).any()):
        raise InputError(
            f"{who}: owners of {owner.dtype} from {owner.min().item()} to {owner.max().item()} for {n} completions; "
            "give whole numbers from 0 to n - 1, one completion after another"
        )
