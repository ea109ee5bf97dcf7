"""`shape/ensemble`: one number of an ensemble as a reward of its own, for whoever optimises it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.uncertainty.ensemble import prompt_label
from plaudit.shaping import ensembles

AGGREGATES: Mapping[str, tuple[ensembles.Aggregate, Mapping[str, float | str]]] = {
    "mean": (ensembles.mean, {}),
    "worst-case": (ensembles.worst_case, {}),
    "lower-bound": (ensembles.lower_bound, {"beta": 1.0}),
    "uncertainty-weighted": (ensembles.uncertainty_weighted, {"lam": 0.5}),
    "quantile": (ensembles.quantile, {"level": 0.25}),
    "nominal-minimum": (ensembles.nominal_minimum, {"alpha": 0.4, "over": "batch"}),
}
"""What may be made of the members, and the options of each with their defaults."""


@final
class AggregatedReward:
    """What `plaudit.shaping.ensembles` makes of a reward's members, kept within its bounds.

    Args:
        of: a reward that gives `members` or `std` (`ensemble/of`, a model with several heads, `uncertainty/...`), or a
            reference to one.
        by: `mean`, `worst-case`, `lower-bound`, `uncertainty-weighted`, `quantile` or `nominal-minimum`.
        center: `prompt` gives all members the ensemble's level in each prompt first; its samples are then scored
            together. See `plaudit.shaping.ensembles`.
        beta: of `lower-bound`.
        lam: of `uncertainty-weighted`.
        level: of `quantile`.
        alpha: of `nominal-minimum`. The nominal reward is the aspect `nominal` where the ensemble names one.
        over: of `nominal-minimum`, `batch` or `sample`; over the batch, all that is scored together counts.

    Raises:
        InputError: if an option is not known, belongs to another function, has no effect, or is out of range, or the
            ensemble weighs its members; when it scores, if the reward gives neither members nor a deviation.
    """

    def __init__(
        self, of: Reward | str | Mapping[str, Any], by: str = "uncertainty-weighted", center: str = "none",
        beta: float | None = None, lam: float | None = None, level: float | None = None, alpha: float | None = None,
        over: str = "",
    ) -> None:  # fmt: skip
        from plaudit.rewards.registry import load

        if by not in AGGREGATES:
            raise InputError(f"shape/ensemble: by is {by!r}; {nearest(by, AGGREGATES)}")
        if center not in ("none", "prompt"):
            raise InputError(f"shape/ensemble: center is {center!r}; give 'none' or 'prompt'")
        self.function, defaults = AGGREGATES[by]
        options = {"beta": beta, "lam": lam, "level": level, "alpha": alpha, "over": over or None}
        given = {name: value for name, value in options.items() if value is not None}
        for name in given:
            if name not in defaults:
                raise InputError(f"shape/ensemble: {by} has no {name}; it takes {', '.join(defaults) or 'no option'}")
        if by == "mean" and center == "prompt":
            raise InputError("shape/ensemble: centring does not change a mean; leave center out")
        try:
            numbers = {name: value if name == "over" else float(value) for name, value in {**defaults, **given}.items()}
        except (TypeError, ValueError) as error:
            raise InputError(f"shape/ensemble: options are {given}; give numbers") from error
        self.by, self.center, self.options = by, center, numbers
        groups: ensembles.Groups = None if center == "none" else []
        self.function(np.zeros((0, 1)), groups=groups, **self.options)  # says what is wrong with the options
        self.reward: Reward = load(of) if isinstance(of, str | Mapping) else of
        if getattr(self.reward, "weights", None) is not None:
            raise InputError(
                f"shape/ensemble: {self.reward.name} weighs its members, which are taken alike here; leave weights out"
            )

    @property
    def name(self) -> str:
        """The reward's, marked."""
        return f"{self.by}({self.reward.name})"

    @property
    def scope(self) -> Scope:
        """The reward's, at least the group where members are centred, the batch where one member is its worst."""
        if self.options.get("over") == "batch":
            return "batch"
        return "group" if self.center == "prompt" and self.reward.scope == "sample" else self.reward.scope

    @property
    def bounds(self) -> tuple[float, float]:
        """The reward's."""
        return self.reward.bounds

    @property
    def fingerprint(self) -> str:
        """Of the reward and the options."""
        return content_hash(["shape/ensemble", self.reward.fingerprint, self.by, self.center, self.options])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """The reward's batch with the aggregate for the reward; the detail keeps what the reward said itself.

        Members stay as they are, and what does not count or is a policy's fault too.
        """
        batch = self.reward(samples)
        if not samples:
            return batch
        options: dict[str, Any] = dict(self.options)
        if self.by == "nominal-minimum" and "nominal" in batch.aspects:
            options["nominal"] = batch.aspects["nominal"]
        groups = [prompt_label(s) for s in samples] if self.center == "prompt" else None
        made = ensembles.aggregated(batch, self.function, groups=groups, **options)
        scored = batch.outcome == Outcome.SCORED
        rows = zip(batch.detail, batch.reward, scored, strict=True)
        return replace(
            made, reward=np.where(scored, np.clip(made.reward, *self.bounds), batch.reward),
            detail=tuple({**d, "own": float(r)} if ok else d for d, r, ok in rows),
        )  # fmt: skip
