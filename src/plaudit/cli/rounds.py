"""`plaudit align` in several runs that belong together: stages, games, self-play, a reward that is learnt in turns."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from plaudit.cli.inverse import run_irl
from plaudit.cli.options import from_args
from plaudit.cli.round_files import built, rows_of, tree_of
from plaudit.errors import InputError
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.games.config import GameConfig
from plaudit.policy.online.selfplay.config import SelfPlayConfig
from plaudit.training.config import Backbone, FitConfig

FILES = ("stages", "game", "self_play", "irl")


@dataclass(frozen=True, slots=True)
class StageEntry:
    """A stage as a file has it."""

    name: str
    """Letters, digits, `-` and `_`."""
    data: str = ""
    """Prompts; those of the command by default."""
    reward: Any = ""
    """What is raised; that of the command by default."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Options that differ from those of the command."""
    keep_reference: bool = False
    """Whether the KL stays to the reference of the stage before."""
    when: str = ""
    """Measure that must have fallen for the stage to run."""


@dataclass(frozen=True, slots=True)
class MeasureEntry:
    """A measure as a file has it."""

    data: str
    """Prompts that nothing is learnt from."""
    reward: Any = ""
    """What judges; that of the command by default."""
    completions: int = 4
    """Of each prompt."""


@dataclass(frozen=True, slots=True)
class StageFile:
    """What `--stages` reads."""

    stages: tuple[StageEntry, ...]
    """In order."""
    measures: Mapping[str, MeasureEntry] = field(default_factory=dict)
    """By name: the mean reward on held-out prompts."""
    tolerance: float = 0.0
    """How far a measure may lie below its best before it has fallen."""


@dataclass(frozen=True, slots=True)
class VerifierEntry:
    """A model and how it is fitted, as a file has it."""

    model: Backbone = field(default_factory=Backbone)
    """What it starts from."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(center_coef=0.01))
    """How."""


@dataclass(frozen=True, slots=True)
class GameFile:
    """What `--game` reads."""

    game: GameConfig = field(default_factory=GameConfig)
    """Rounds, roles, rewards."""
    verifier: VerifierEntry = field(default_factory=VerifierEntry)
    """The verifiers."""
    reader: Backbone | None = None
    """What the small checker starts from; null for none."""


@dataclass(frozen=True, slots=True)
class SelfPlayFile:
    """What `--self-play` reads."""

    self_play: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    """Rounds, bands, shares."""
    subject: Any = None
    """`file.py:NAME`, an object; or the fields of `TextSubject`."""
    fit: AlignConfig = field(default_factory=lambda: AlignConfig(algorithm="weighted-sft"))
    """Each fine-tuning."""


def add_files(parser: argparse.ArgumentParser) -> None:
    """The options that name a file."""
    parser.add_argument("--stages", metavar="FILE", help="YAML: runs one after the other, each from the one before")
    parser.add_argument("--game", metavar="FILE", help="YAML: helpful and sneaky provers against verifiers, in rounds")
    parser.add_argument("--self-play", metavar="FILE", help="YAML: the policy conjectures and proves, in rounds")
    parser.add_argument("--irl", metavar="FILE", help="YAML: a reward from demonstrations, learnt and spent in turns")


def named(args: argparse.Namespace) -> str:
    """Which of the files is given; empty for none.

    Raises:
        InputError: if there are several.
    """
    given = [name for name in FILES if getattr(args, name)]
    if len(given) > 1:
        both = " and ".join(f"--{name.replace('_', '-')}" for name in given[:2])
        raise InputError(f"align: {both} are two kinds of run; give one")
    return given[0] if given else ""


def run_rounds(args: argparse.Namespace, kind: str) -> int:
    """Runs what the file says; prints one line a result."""
    if args.watch and kind != "irl":
        raise InputError(f"align: --watch has no effect with --{kind.replace('_', '-')}; leave it out")
    config = from_args(args, OnlineConfig)
    tree = tree_of(Path(getattr(args, kind)))
    return {"stages": _stages, "game": _game, "self_play": _self_play, "irl": run_irl}[kind](args, config, tree)


def _stages(args: argparse.Namespace, config: OnlineConfig, tree: Mapping[str, Any]) -> int:
    from plaudit.policy.online.entry import prompt_of
    from plaudit.policy.online.held_out import HeldOut, HeldOutMeasures
    from plaudit.policy.online.staged import Stage, align_in_stages
    from plaudit.rewards.registry import load
    from plaudit.runs.fresh import vacating

    found = built(StageFile, tree, args.stages)
    stages = [
        Stage(
            one.name, rows_of(args, one.data), one.reward or _given(args, f"stage {one.name}"), _with(config, one),
            one.keep_reference, one.when,
        )
        for one in found.stages
    ]  # fmt: skip
    measures = {
        name: HeldOut(
            [prompt_of(row, i) for i, row in enumerate(rows_of(args, one.data))],
            load(one.reward or _given(args, f"measure {name}")), one.completions,
        )
        for name, one in found.measures.items()
    }  # fmt: skip
    with vacating(args.out):
        measure = HeldOutMeasures(measures, config, Path(args.out) / "measures") if measures else None
        run = align_in_stages(
            stages, model=args.model, out=args.out, measure=measure, tolerance=found.tolerance, emit=print
        )
    for name, model in (("start", args.model), *run.models.items()):
        if measure is not None:
            told = ", ".join(f"{k} {v.format()}" for k, v in measure.estimates(model).items())
            print(f"{name}: {told}")
    left_out = [s.name for s in stages if s.name not in run.models]
    if left_out:
        print(f"left out, for what they wait for has not fallen: {', '.join(left_out)}")
    print(f"saved {run.model}")
    return 0


def _game(args: argparse.Namespace, config: OnlineConfig, tree: Mapping[str, Any]) -> int:
    from plaudit.policy.online.entry import prompt_of
    from plaudit.policy.online.games.measuring import told
    from plaudit.policy.online.games.playing import Player, play
    from plaudit.rewards.registry import load
    from plaudit.runs.fresh import vacating

    found = built(GameFile, tree, args.game)
    checker = load(_given(args, "the game"))
    rows = [prompt_of(row, i) for i, row in enumerate(rows_of(args, ""))]
    player = Player(config, found.verifier.fit, found.verifier.model, found.reader)
    with vacating(args.out):
        played = play(rows, model=args.model, checker=checker, config=found.game, player=player, out=args.out)
    for number, measures in enumerate(played.rounds):
        print(f"round {number}: {told(measures)}")
    print(f"saved {played.prover} and the verifier {played.verifier}")
    return 0


def _self_play(args: argparse.Namespace, config: OnlineConfig, tree: Mapping[str, Any]) -> int:
    from plaudit.policy.online.entry import prompt_of
    from plaudit.policy.online.selfplay.playing import self_play
    from plaudit.policy.rollout import Sampling
    from plaudit.rewards.registry import load
    from plaudit.runs.fresh import vacating

    _refuse_training(args)
    tree = {**tree, "fit": {"algorithm": "weighted-sft", "max_length": config.max_length, **(tree.get("fit") or {})}}
    found = built(SelfPlayFile, tree, args.self_play)
    reward, subject = load(_given(args, "self-play")), _subject(found.subject, args.self_play)
    rows = [prompt_of(row, i) for i, row in enumerate(rows_of(args, ""))]
    sampling = Sampling(1, config.max_tokens, config.temperature, config.top_p, config.sequences)
    with vacating(args.out):
        played = self_play(
            rows, model=args.model, reward=reward, subject=subject, config=found.self_play, fit=found.fit,
            sampling=sampling, out=args.out, max_length=config.max_length,
        )  # fmt: skip
    for number, (solved, (made, taught)) in enumerate(zip(played.solved, played.conjectured, strict=True)):
        print(f"round {number}: solved {solved.format()}, {made} conjectures, {taught} of them taught")
    print(f"saved {played.model}")
    return 0


SAMPLED = ("max_tokens", "temperature", "top_p", "sequences", "max_length")
"""Options of sampling, which self-play takes from the command; how it is fitted stands in the file."""


def _refuse_training(args: argparse.Namespace) -> None:
    """Refuses options of online training, which self-play does not do."""
    for one in fields(OnlineConfig):
        if one.name not in (*SAMPLED, "algorithm") and getattr(args, one.name, None) not in (None, False):
            raise InputError(
                f"align: --{one.name.replace('_', '-')} has no effect with --self-play, whose file says how it is "
                "fitted (fit) and played (self_play); leave it out"
            )


def _subject(given: Any, where: str) -> Any:
    """The subject that a file names, or describes."""
    from plaudit.policy.online.selfplay.subjects import TextSubject
    from plaudit.recipes.loading import build

    if not isinstance(given, str):
        return build(TextSubject, given or {}, "subject", where)
    from plaudit.rewards.functions import attribute_of

    path, colon, name = given.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise InputError(f"{where}: subject {given!r} is no module.py:NAME; give one, or the fields of a text subject")
    found = attribute_of(path, name, what="a subject")
    found = found() if inspect.isclass(found) else found
    lacking = [name for name in ("fingerprint", "ask", "read", "lemmas", "embedding") if not hasattr(found, name)]
    if lacking:
        raise InputError(f"{where}: subject {given} lacks {', '.join(lacking)}; see policy.online.selfplay.Subject")
    return found


def _with(config: OnlineConfig, stage: StageEntry) -> OnlineConfig:
    """The options of a stage: those of the command, and its own in their place."""
    from plaudit.recipes.loading import build

    try:
        whole: OnlineConfig = build(OnlineConfig, {**asdict(config), **stage.config}, "", f"stage {stage.name}")
    except InputError as error:
        raise InputError(str(error).replace("the recipe", "config")) from error
    return whole


def _given(args: argparse.Namespace, who: str) -> Any:
    if not args.reward:
        raise InputError(f"align: {who} names no reward and neither does the command; give --reward REF")
    return args.reward


__all__ = ["FILES", "GameFile", "SelfPlayFile", "StageFile", "add_files", "named", "run_rounds"]
