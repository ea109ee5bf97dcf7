"""`shape/NAME`: the transforms by reference, each as a function of the reward that it shapes and of its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from plaudit.errors import InputError
from plaudit.rewards.base import Reward
from plaudit.shaping.confidence import ConfidenceShaping, Unstated
from plaudit.shaping.length.controlled import LengthControlled
from plaudit.shaping.transforms.adaptive import MinMax, RunningClip, Standardise
from plaudit.shaping.transforms.base import Shaped, ValueTransform
from plaudit.shaping.transforms.fixed import Affine, Clip, Squash
from plaudit.shaping.transforms.matched import GroupMatched
from plaudit.shaping.transforms.quantiles import Quantile
from plaudit.shaping.transforms.ranked import Rank, Whiten
from plaudit.shaping.transforms.references import Centred, LogSigmoid, Par, references_of
from plaudit.shaping.transforms.saved import with_state
from plaudit.shaping.transforms.stretched import Stretched

TRANSFORMS: dict[str, type[ValueTransform]] = {
    t.kind: t
    for t in (
        *(Par, Centred, LogSigmoid, Quantile),
        *(Clip, Squash, Affine, LengthControlled),
        *(Standardise, RunningClip, MinMax, ConfidenceShaping),
        *(Rank, Whiten, GroupMatched, Stretched),
    )
}
"""Kind to class: what follows `shape/`."""


def _opener(made: type[ValueTransform]) -> Callable[..., Shaped]:
    """`open(of, **options)`, with a signature in which the registry finds the options and their types."""

    def opened(of: Reward | str | Mapping[str, Any], *, state: str | Path | None = None, **options: Any) -> Shaped:
        from plaudit.rewards.registry import load

        reward = as_shaped_by(made, of if isinstance(of, Reward) else load(of))
        if isinstance(options.get("references"), str | Path):
            if state is not None:
                raise InputError(f"shape/{made.kind}: the state has the references; leave one of the two out")
            options["references"] = references_of(options["references"], reward)
        by = made(**options)
        return Shaped(reward, by if state is None else with_state(by, state))

    opened.__signature__ = inspect.Signature(_parameters(made))  # type: ignore[attr-defined]
    opened.__doc__ = made.__doc__
    return opened


def as_shaped_by(made: type[ValueTransform], of: Reward) -> Reward:
    """The reward as a transform is to see it: stated confidence is no part of what is rewarded."""
    return Unstated(of) if made is ConfidenceShaping else of


def _parameters(made: type[ValueTransform]) -> list[inspect.Parameter]:
    """The reward that is shaped, the transform's options, and `state` where it has one."""
    keyword, required = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    found = [inspect.Parameter("of", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for f in fields(made):
        if f.name in made.remembered and f.name != "references":
            continue  # what it has seen is no option
        missing = f.default is MISSING
        kind, default = (Any, required) if missing else (f.type, f.default)
        found.append(inspect.Parameter(f.name, keyword, annotation=kind, default=default))
    if made.remembered:
        found.append(inspect.Parameter("state", keyword, annotation="str | None", default=None))
    return found


par, centred, log_sigmoid, quantile = _opener(Par), _opener(Centred), _opener(LogSigmoid), _opener(Quantile)
clip, squash, affine = _opener(Clip), _opener(Squash), _opener(Affine)
standardise, running_clip, min_max = _opener(Standardise), _opener(RunningClip), _opener(MinMax)
confidence = _opener(ConfidenceShaping)
rank, whiten, length_controlled = _opener(Rank), _opener(Whiten), _opener(LengthControlled)
group_matched, stretch = _opener(GroupMatched), _opener(Stretched)
