"""Reinforcement learning in stages: a mixture first, then what has suffered, the reference begun anew at each.

Source: Walsh et al. 2024, "2 OLMo 2 Furious" [190], after Lambert et al. 2024, "Tulu 3" [189].

Their reward of -10 for completions without an end is `OnlineConfig.unfinished_reward`.

Differs from the papers: whether a further stage runs is decided by a rule (a measure fell below its best so far), where
the papers' authors looked at the numbers. The value function of `ppo` begins as its method says, on the policy; the
papers' begins as a reward model fitted to preferences, which is not done here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from plaudit.errors import InputError
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.entry import align_online, prompt_of, reward_of
from plaudit.policy.online.methods import online
from plaudit.records.sample import content_hash
from plaudit.runs.progress import Progress
from plaudit.runs.stages import Stages

Measure = Callable[[str], Mapping[str, float]]
"""From a policy's folder to numbers by name, the greater the better."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of several, on the policy that the one before it left.

    Attributes:
        name: letters, digits, `-` and `_`; its folder is `stages/NAME`.
        rows: prompts.
        reward: an object, or what a reference names.
        config: of the run; its `reference` is set by the stages.
        keep_reference: whether the KL stays to the reference of the stage before; else it is to this stage's start.
        when: name of a measure: the stage is left out unless that fell below its best so far; empty for always.
    """

    name: str
    rows: Sequence[Any]
    reward: Any
    config: OnlineConfig
    keep_reference: bool = False
    when: str = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """What came of the stages.

    Attributes:
        model: folder of the last policy.
        models: stage to the folder that it left, in order; stages that were left out are not there.
        measures: `start` and each stage that ran, to what was measured after it.
    """

    model: str
    models: Mapping[str, str]
    measures: Mapping[str, Mapping[str, float]]


def align_in_stages(
    stages: Sequence[Stage], *, model: str | Path, out: str | Path, measure: Measure | None = None,
    tolerance: float = 0.0, progress: Callable[..., Progress] = Progress, emit: Callable[[str], None] | None = print,
) -> Staged:  # fmt: skip
    """Runs stages one after the other, each from the policy of the one before.

    A finished stage is not run again; one that was killed goes on where it stopped; what depends on a stage that is
    changed is run again.

    Args:
        stages: in order.
        model: folder or hub id of the policy that they begin from.
        out: run folder.
        measure: what is asked of the start and after each stage, on problems that nothing is learnt from.
        tolerance: how far a measure may lie below its best before it has fallen, in its own units.
        progress: makes the displays.
        emit: gets one line a stage; None for silence.

    Raises:
        InputError: if names are not different, a stage waits for a measure that is not made, or sets a `reference`.
    """
    _check(stages, measure)
    now, models, measures = str(model), dict[str, str](), dict[str, dict[str, float]]()
    base = reference = now
    with Stages(out, emit=emit) as run:
        after: list[str] = []
        if measure is not None:
            started = run.run("start", lambda _: dict(measure(now)), inputs=identity_of(now))
            measures["start"], after = started.value, ["start"]
        for stage in stages:
            if stage.when and not fallen(stage.when, [*measures.values()], tolerance=tolerance):
                continue
            reference = reference if stage.keep_reference else now
            config = replace(stage.config, reference="" if reference == now else reference)
            reward = reward_of(stage.reward, compares=online(config.algorithm)[1].compares)
            call = _Call(stage, reward, config, now, measure, progress)
            inputs = [asdict(config), identity_of(base), rows_hash(stage.rows), reward.fingerprint]
            found = run.run(stage.name, call, inputs=inputs, after=after).value
            after = [*after, stage.name]
            now = models[stage.name] = str(Path(out) / "stages" / stage.name / "model")
            if measure is not None:
                measures[stage.name] = found["measures"]
    return Staged(now, models, measures)


def fallen(name: str, measures: Sequence[Mapping[str, float]], *, tolerance: float = 0.0) -> bool:
    """Whether the last of several measures lies below the best of them by more than a tolerance.

    Args:
        name: of the measure.
        measures: in order, at least one.
        tolerance: in its units.

    Raises:
        InputError: if it was not made, or is NaN.
    """
    for told in measures:
        if name not in told:
            raise InputError(f"stages: measure {name!r} is not made; there are {', '.join(sorted(told)) or 'none'}")
    values = [told[name] for told in measures]
    if any(math.isnan(v) for v in values):
        raise InputError(f"stages: measure {name!r} is NaN, so nothing says whether it fell; let it give a number")
    return values[-1] < max(values) - tolerance


@dataclass(frozen=True, slots=True)
class _Call:
    """The work of a stage in its folder."""

    stage: Stage
    reward: Any
    config: OnlineConfig
    model: str
    measure: Measure | None
    progress: Callable[..., Progress]

    def __call__(self, folder: Path) -> dict[str, Any]:
        align_online(
            self.stage.rows, model=self.model, reward=self.reward, config=self.config, out=folder,
            progress=self.progress,
        )  # fmt: skip
        return {"measures": None if self.measure is None else dict(self.measure(str(folder / "model")))}


def _check(stages: Sequence[Stage], measure: Measure | None) -> None:
    names = [stage.name for stage in stages]
    if not names or len(set(names)) < len(names) or "start" in names:
        raise InputError(f"stages: names are {names}; give at least one, all different, none of them 'start'")
    for i, stage in enumerate(stages):
        if stage.when and measure is None:
            raise InputError(f"stage {stage.name}: waits for {stage.when!r} to fall, and nothing is measured")
        if stage.config.reference:
            raise InputError(f"stage {stage.name}: sets a reference, which stages do; use keep_reference")
        if stage.keep_reference and i == 0:
            raise InputError(f"stage {stage.name}: is the first, and there is no reference before it to keep")


def identity_of(model: str) -> str:
    """A policy's folder by its weights; a hub id by its name."""
    weights = sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    found = []
    for path in weights:
        with path.open("rb") as handle:
            found.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return content_hash(found) if found else model


def rows_hash(rows: Sequence[Any]) -> str:
    """Hash of prompts: what is learnt from."""
    asked = [prompt_of(row, i) for i, row in enumerate(rows)]
    told = [[[m.to_dict() for m in r.prompt], r.reference, dict(r.meta)] for r in asked]
    return content_hash(told)


__all__ = ["Stage", "Staged", "align_in_stages", "fallen", "identity_of", "rows_hash"]
