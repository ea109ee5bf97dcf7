"""A reward whose distributions in several groups of completions are matched within prompts, order within groups kept.

    r_i = alpha_prompt + m_group + e_i          (least squares on held-out samples; sum_g n_g m_g = 0)

    mean      r' = r - m_g
    affine    r' = c + (s / s_g) e,   e = r - m_g - c,   c = mean over the prompt of (r - m_g)
    quantile  r' = c + Q(F_g(e))

with the deviation s_g of the residuals e in group g and the least of them s (nothing is stretched, so that a finite
floor stays one), the distribution F_g of the group's residuals and the quantiles Q of all residuals. Levels of prompts
are never compared: a group that is asked easier questions is not held back.

**It keeps** the order of completions of one prompt and one group: each is a function of r that never falls.
**It costs** whatever the groups' rewards rightly differ by. Where one group truly writes better answers to the same
prompts, this takes that from it: measure first (`plaudit audit --group COLUMN:completion`) and only then decide.
**It is wrong** where the group is a part of what is asked for (a language that the prompt demands), where a group's
answers are longer and length is paid for (use `shape/length-controlled`), and for groups that share no prompts, whose
difference is not identified and which are refused.

Source: the affine and quantile maps are those of Feldman et al. 2015, "Certifying and Removing Disparate Impact", moved
within prompts; [10] is its counterpart for trees (`plaudit.shaping.trees`).

Differs from the paper: only differences within prompts are matched, since only these are identified; all residuals,
not a median over groups, are the target; and the repair is whole, never partial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, final, get_args

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats, Outcome, RewardBatch, Scope
from plaudit.shaping.transforms.base import Bounds, ValueTransform
from plaudit.shaping.transforms.ranked import groups_of

Match = Literal["mean", "affine", "quantile"]
KNOTS = 41
"""Quantiles that are kept of each group's residuals; between them lines, beyond them slope 1."""
LEAST = 20
"""Rewards that a group must have in prompts that it shares with others."""


@final
@dataclass(frozen=True)
class GroupMatched(ValueTransform):
    """The reward with equal distributions over groups of completions, within prompts; fitted by `plaudit shape fit`."""

    column: str = ""
    """Column of the samples by which completions are grouped."""
    match: Match = "mean"
    """`mean` moves each group, `affine` scales it too, `quantile` matches the whole distribution."""
    groups: tuple[str, ...] = ()
    """State: the groups."""
    offset: tuple[float, ...] = ()
    """State: m_g."""
    scale: tuple[float, ...] = ()
    """State: s / s_g, at most 1."""
    knots: tuple[tuple[float, ...], ...] = ()
    """State: quantiles of the residuals of each group, and of all of them last."""

    kind: ClassVar[str] = "group-matched"
    scope: ClassVar[Scope] = "group"
    remembered: ClassVar[tuple[str, ...]] = ("groups", "offset", "scale", "knots")

    def __post_init__(self) -> None:
        if self.match not in get_args(Match):
            raise InputError(
                f"group-matched: match {self.match!r} is not known; {nearest(self.match, get_args(Match))}"
            )
        if not self.column:
            raise InputError("group-matched: column is missing; name the column of the samples that has their group")

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """See the module.

        Raises:
            InputError: if nothing was fitted yet, or a sample with a reward is of no group that was.
        """
        if not self.groups:
            raise InputError("group-matched: nothing was fitted yet; give a state (plaudit shape fit writes it)")
        known = ~np.isnan(reward)
        code = self._codes(samples, known)
        level = np.where(known, reward - np.array(self.offset)[code], np.nan)
        if self.match == "mean":
            return level
        centre = _prompt_means(level, groups_of(samples).code)
        residual = level - centre
        if self.match == "affine":
            return np.asarray(centre + np.array(self.scale)[code] * residual)
        out = np.full(reward.shape, np.nan)
        for g, knots in enumerate(self.knots[:-1]):
            at = known & (code == g)
            out[at] = centre[at] + _through(residual[at], np.array(knots), np.array(self.knots[-1]))
        return out

    def limits(self, bounds: Bounds) -> Bounds:
        """The bounds moved by the offsets; widened by how far a residual may grow."""
        if not self.groups:
            return bounds
        low, high = bounds[0] - max(self.offset), bounds[1] - min(self.offset)
        more = 0.0
        if self.match == "affine" and max(self.scale) > 1:
            more = (max(self.scale) - 1) * (high - low)
        if self.match == "quantile":
            table = np.array(self.knots)
            more = float(np.abs(table[:-1] - table[-1]).max())
        return low - more, high + more

    def fitted(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:
        """With the groups of these samples; a policy's faults tell nothing of its groups' taste and are left out.

        Raises:
            InputError: if there are fewer than two groups, one has too few rewards in prompts shared with others, or
                their differences are not identified.
        """
        at = np.flatnonzero(batch.outcome == Outcome.SCORED)
        used = [samples[i] for i in at.tolist()]
        names = sorted({self._name(s, i) for s, i in zip(used, at.tolist(), strict=True)})
        if len(names) < 2:
            raise InputError(
                f"group-matched: column {self.column!r} has {len(names)} value in {at.size} scored samples"
            )
        code = np.array([names.index(str(s.meta[self.column])) for s in used])
        prompt = groups_of(used).code
        offset = _offsets(batch.reward[at], code, prompt, names)
        level = batch.reward[at] - offset[code]
        residual = level - _prompt_means(level, prompt)
        spread = np.array([residual[code == g].std() for g in range(len(names))])
        if self.match != "mean" and not spread.all():
            flat = names[int(np.flatnonzero(spread == 0)[0])]
            raise InputError(f"group-matched: the rewards of {flat!r} do not differ within prompts; use match=mean")
        share = np.linspace(0, 1, KNOTS)
        parts = [*(residual[code == g] for g in range(len(names))), residual]
        return replace(
            self, groups=tuple(names), offset=tuple(offset.tolist()),
            scale=tuple((spread.min() / np.where(spread > 0, spread, 1.0)).tolist()),
            knots=tuple(tuple(np.quantile(part, share).tolist()) for part in parts),
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Groups, offsets, scales and quantiles."""
        return {
            "groups": list(self.groups), "offset": list(self.offset), "scale": list(self.scale),
            "knots": [list(row) for row in self.knots],
        }  # fmt: skip

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With a saved state.

        Raises:
            InputError: if it is none.
        """
        if set(state) != set(self.remembered):
            raise InputError(f"{self.kind}: the state has {sorted(state)}; give {sorted(self.remembered)}")
        n = len(state["groups"])
        try:
            offset, scale = (tuple(float(x) for x in state[key]) for key in ("offset", "scale"))
            knots = tuple(tuple(float(x) for x in row) for row in state["knots"])
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.kind}: the state holds something else than numbers; give what it saved") from error
        if not len(offset) == len(scale) == n or (n and len(knots) != n + 1):
            raise InputError(f"{self.kind}: the state has {n} groups and numbers of others; give what it saved")
        return replace(self, groups=tuple(map(str, state["groups"])), offset=offset, scale=scale, knots=knots)

    def _name(self, sample: Sample, place: int) -> str:
        value = sample.meta.get(self.column)
        if value is None:
            raise InputError(f"group-matched: sample {place + 1} has no value in the column {self.column!r}")
        return str(value)

    def _codes(self, samples: Sequence[Sample], known: NDArray[np.bool_]) -> NDArray[np.int64]:
        places = {name: i for i, name in enumerate(self.groups)}
        code = np.zeros(len(samples), dtype=np.int64)
        for i in np.flatnonzero(known).tolist():
            name = self._name(samples[i], i)
            if name not in places:
                raise InputError(
                    f"group-matched: sample {i + 1} is of {name!r}, and nothing was fitted for it; fitted: "
                    f"{', '.join(self.groups)}"
                )
            code[i] = places[name]
        return code


def _prompt_means(values: Floats, prompt: NDArray[np.int64]) -> Floats:
    known = ~np.isnan(values)
    total = np.bincount(prompt, weights=np.where(known, values, 0.0))
    return np.asarray((total / np.maximum(np.bincount(prompt, weights=known), 1))[prompt])


def _offsets(reward: Floats, code: NDArray[np.int64], prompt: NDArray[np.int64], names: Sequence[str]) -> Floats:
    """Least squares of rewards on groups, prompts taken out; weighted mean 0."""
    inside = np.eye(len(names))[code]
    spread = inside - np.stack([_prompt_means(column, prompt) for column in inside.T], axis=1)
    shared = (inside * (np.abs(spread) > 1e-12)).sum(axis=0)
    for name, n in zip(names, shared.tolist(), strict=True):
        if n < LEAST:
            raise InputError(
                f"group-matched: {name!r} has {int(n)} rewards in prompts that it shares with other groups, and needs "
                f"{LEAST}: within prompts is where groups can be compared"
            )
    found, _, rank, _ = np.linalg.lstsq(spread, reward - _prompt_means(reward, prompt), rcond=None)
    if rank < len(names) - 1:
        raise InputError("group-matched: some groups share no prompts with the others; their difference is not known")
    return np.asarray(found - (inside @ found).mean())


def _through(x: Floats, start: Floats, end: Floats) -> Floats:
    """The rising line through knots (start, end), slope 1 beyond them; knots that coincide are one."""
    at, first = np.unique(start, return_index=True)
    last = np.array([np.flatnonzero(start == v)[-1] for v in at])
    goal = (end[first] + end[last]) / 2
    inner = np.interp(x, at, goal)
    moved = np.where(x < at[0], goal[0] + x - at[0], np.where(x > at[-1], goal[-1] + x - at[-1], inner))
    return np.asarray(moved)
