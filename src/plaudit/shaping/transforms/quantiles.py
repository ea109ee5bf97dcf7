"""Rewards as places among reference rewards: the quantile transform, of all prompts' references together.

Where `par` asks how a completion does against its own prompt's references, this one gives every reward of a run the
same scale, whatever its distribution was: even between 0 and 1, or normal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, final, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats, RewardBatch
from plaudit.shaping.transforms.base import Bounds, ValueTransform, checked_state
from plaudit.shaping.transforms.references import References

Output = Literal["uniform", "normal"]


def reference_quantiles(
    reward: ArrayLike, references: ArrayLike, *, output: Output = "uniform", interpolate: bool = False
) -> Float[np.ndarray, " n"]:
    """`(#{ref < r} + #{ref = r} / 2) / m`: the references' distribution function at each reward, ties averaged.

    A reward below all references is worth 0, one above all of them 1: like a rank, it pays nothing for being far out.

    Args:
        reward: (n,), NaN where there is none.
        references: (m,) rewards of reference completions, in any order; NaN enters nothing.
        output: `normal` gives the normal deviate of that share, kept within those of 1 / 2m and 1 - 1 / 2m: beyond the
            references a reward is worth what the outermost is.
        interpolate: straight lines between neighbouring references in place of steps, so that no two rewards in their
            range tie: at a reference `(mean rank from 0) / (m - 1)`, scikit-learn's definition. The least is worth 0
            and the greatest 1 where they are the only ones.

    Raises:
        InputError: if fewer than two references are given, one is infinite, or the output is not known.

    Source: the steps are Parzen's mid-distribution function (1997); Conover 1999, "Practical Nonparametric Statistics",
    section 5.10, for normal scores.
    """
    if output not in get_args(Output):
        raise InputError(f"quantile: output {output!r} is not known; {nearest(output, get_args(Output))}")
    return _quantiles(np.asarray(reward, dtype=np.float64), _sorted(references), output, interpolate)


@final
@dataclass(frozen=True)
class Quantile(ValueTransform):
    """The place among reference rewards, even in [0, 1] or normal; see `reference_quantiles`.

    The references stay what they were: `updated` adds none, so that a policy is not measured by itself.
    """

    references: References | Sequence[float] = ()
    """Rewards of reference completions, of whatever prompts; kept sorted. They are the state, and may be restored."""
    output: Output = "uniform"
    """`uniform` between 0 and 1, or `normal`: mean 0 and deviation 1 on the references."""
    interpolate: bool = False
    """Lines between references in place of steps."""

    kind: ClassVar[str] = "quantile"
    remembered: ClassVar[tuple[str, ...]] = ("references",)

    def __post_init__(self) -> None:
        given = self.references
        every = [v for row in given.rewards.values() for v in row] if isinstance(given, References) else given
        kept = np.sort(np.asarray(every, dtype=np.float64))
        reference_quantiles([0.0], kept if kept.size else [0, 1], output=self.output)  # says what is wrong with either
        object.__setattr__(self, "references", tuple(kept.tolist()))

    @cached_property
    def _table(self) -> Floats:
        if not self.references:
            raise InputError("quantile: there are no references yet; give references, or a state that was saved")
        return np.array(self.references, dtype=np.float64)

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `reference_quantiles`."""
        return _quantiles(reward, self._table, self.output, self.interpolate)

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """From 0 to 1, or the deviates of 1 / 2m and 1 - 1 / 2m."""
        low, high = _quantiles(np.array([-np.inf, np.inf]), self._table, self.output, interpolate=False)
        return float(low), float(high)

    def fitted(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """With these rewards as references; those that do not count are none."""
        return replace(self, references=batch.reward[batch.valid].tolist())

    def state(self) -> dict[str, Any]:
        """The references."""
        return {"references": self._table.tolist()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With saved references.

        Raises:
            InputError: if they are none.
        """
        kept = checked_state(self.kind, state, ["references"])["references"]
        if not isinstance(kept, list) or not np.isfinite(np.array(kept, dtype=np.float64)).all():
            raise InputError(f"quantile: the state's references are {kept!r}; give a list of finite numbers")
        return replace(self, references=kept)


def _sorted(references: ArrayLike) -> Floats:
    refs = np.asarray(references, dtype=np.float64).reshape(-1)
    refs = np.sort(refs[~np.isnan(refs)])
    if refs.size < 2 or not np.isfinite(refs[[0, -1]]).all():
        raise InputError(f"quantile: {refs.size} references {refs[:3].tolist()}; give at least two rewards, all finite")
    return refs


def _quantiles(reward: Floats, refs: Floats, output: str, interpolate: bool) -> Floats:
    """On sorted references."""
    m, below, upto = refs.size, np.searchsorted(refs, reward, "left"), np.searchsorted(refs, reward, "right")
    share = (below + upto) / (2 * m)
    if interpolate:
        at = np.clip(below, 1, m - 1)  # the references to either side of what lies between two
        left, right = refs[at - 1], refs[at]
        part = np.divide(
            reward - left, right - left, out=np.zeros(reward.shape), where=(right > left) & (below == upto)
        )
        within = np.where(below < upto, (below + upto - 1) / 2, at - 1 + np.clip(part, 0.0, 1.0))
        share = np.clip(np.where(below >= m, m - 1.0, np.where(upto == 0, 0.0, within)), 0.0, m - 1) / (m - 1)
    if output == "normal":
        from scipy.special import ndtri

        share = ndtri(np.clip(share, 0.5 / m, 1 - 0.5 / m))
    return np.where(np.isnan(reward), np.nan, share)
