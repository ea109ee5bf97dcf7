"""`shape/NAME`: the transforms by reference, each as a function of the reward that it shapes and of its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from plaudit.rewards.base import Reward
from plaudit.shaping.length.controlled import LengthControlled
from plaudit.shaping.transforms.adaptive import MinMax, RunningClip, Standardise
from plaudit.shaping.transforms.base import Shaped, ValueTransform
from plaudit.shaping.transforms.fixed import Affine, Clip, Squash
from plaudit.shaping.transforms.ranked import Rank, Whiten
from plaudit.shaping.transforms.references import Centred, LogSigmoid, Par, references_of

TRANSFORMS: dict[str, type[ValueTransform]] = {
    t.kind: t
    for t in (
        *(Par, Centred, LogSigmoid),
        *(Clip, Squash, Affine, LengthControlled),
        *(Standardise, RunningClip, MinMax),
        *(Rank, Whiten),
    )
}
"""Kind to class: what follows `shape/`."""

STATE = "seen"
"""The field that is no option: what a transform has seen."""


def _opener(made: type[ValueTransform]) -> Callable[..., Shaped]:
    """`open(of, **options)`, with a signature in which the registry finds the options and their types."""

    def opened(of: Reward | str | Mapping[str, Any], **options: Any) -> Shaped:
        from plaudit.rewards.registry import load

        reward = of if isinstance(of, Reward) else load(of)
        if isinstance(options.get("references"), str | Path):
            options["references"] = references_of(options["references"], reward)
        return Shaped(reward, made(**options))

    keyword = inspect.Parameter.KEYWORD_ONLY
    named = [
        inspect.Parameter(
            f.name,
            keyword,
            annotation=Any if f.default is MISSING else f.type,
            default=inspect.Parameter.empty if f.default is MISSING else f.default,
        )
        for f in fields(made)
        if f.name != STATE
    ]
    of = inspect.Parameter("of", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    opened.__signature__ = inspect.Signature([of, *named])  # type: ignore[attr-defined]
    opened.__doc__ = made.__doc__
    return opened


par, centred, log_sigmoid = _opener(Par), _opener(Centred), _opener(LogSigmoid)
clip, squash, affine = _opener(Clip), _opener(Squash), _opener(Affine)
standardise, running_clip, min_max = _opener(Standardise), _opener(RunningClip), _opener(MinMax)
rank, whiten, length_controlled = _opener(Rank), _opener(Whiten), _opener(LengthControlled)
