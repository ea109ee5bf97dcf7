"""The rounds of a prover-verifier game: a new verifier from all solutions so far, then the provers against it [217].

A round is three stages: `solutions-R` (of the start at first, then of the provers that the round before left, in both
roles), `verifier-R` (trained from its beginning on pairs of a right and a wrong one), `provers-R` (one model in both
roles, by any algorithm of `plaudit align`, with `Convincing` as its reward), and what they came to, `measures-R`.

Differs from the paper: provers go on from the round before, and the KL is to the start; a round ends after its updates,
not when sneaky solutions score as helpful ones do; the verifier's penalty is that of our trainer, on the squared sum of
a pair's scores (`center_coef`); whether solutions are legible is asked of a small model that has learnt from the
start's solutions only, where the paper asks people short of time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.online.asking import asked
from plaudit.policy.online.config import OnlineConfig, needs_reference
from plaudit.policy.online.entry import align_online
from plaudit.policy.online.games.config import GameConfig
from plaudit.policy.online.games.convincing import Convincing
from plaudit.policy.online.games.measuring import round_measures, told
from plaudit.policy.online.games.pairing import Solutions, game_pairs
from plaudit.policy.online.games.roles import COLUMN, ROLES
from plaudit.policy.online.lessons import correct_of
from plaudit.policy.online.methods import online
from plaudit.policy.online.staged import identity_of, rows_hash
from plaudit.policy.rollout import Sampling
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import content_hash
from plaudit.records.splitting import split_by_prompt
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.rewards.files import read_scored, write_scored
from plaudit.rewards.models import ModelReward
from plaudit.runs.progress import Progress
from plaudit.runs.stages import Stages
from plaudit.stats.estimate import Estimate
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.fitting import fit_reward_model

START = "start"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a game.

    Attributes:
        prover: folder of the last provers' model.
        verifier: folder of the last verifier.
        rounds: for each round its measures, see `round_measures`.
    """

    prover: str
    verifier: str
    rounds: tuple[Mapping[str, Estimate], ...]


@dataclass(frozen=True)
class Player:
    """Models and how they are trained.

    Attributes:
        provers: of the provers' runs; `reference` is set by the game.
        verifier: how each verifier is fitted.
        backbone: what each verifier starts from; a hundredth to a thousandth of the prover's compute is what worked.
        reader: what the small checker starts from; None for none.
    """

    provers: OnlineConfig = field(default_factory=OnlineConfig)
    verifier: FitConfig = field(default_factory=lambda: FitConfig(center_coef=0.01))
    backbone: Backbone = field(default_factory=Backbone)
    reader: Backbone | None = None


def play(
    rows: Sequence[PromptOnly], *, model: str | Path, checker: Reward, config: GameConfig, player: Player,
    out: str | Path, progress: Callable[..., Progress] = Progress, emit: Callable[[str], None] | None = print,
) -> Played:  # fmt: skip
    """Plays a game; finished stages are not run again, one that was killed goes on where it stopped.

    Args:
        rows: prompts with what the checker needs; they are split in three, see `GameConfig`.
        model: folder or hub id of the policy that the provers begin as.
        checker: tells right from wrong by the middle of its bounds.
        config: the game.
        player: models and how they are trained.
        out: run folder.
        progress: makes the displays.
        emit: gets one line a stage; None for silence.

    Raises:
        InputError: if the split leaves a part without prompts, the checker has no bounds, the provers' algorithm
            compares, or no prompt has a right and a wrong solution.
    """
    method = online(player.provers.algorithm)[1]
    if method.compares or method.process is not None or "correct" in method.needs:
        raise InputError(f"game: {method.title} does not learn from a reward alone; give an algorithm such as grpo")
    if player.provers.reference:
        raise InputError("game: the provers' config sets a reference, which the game does; leave it out")
    shares = {"verifier": config.verifier_share, "test": config.test_share}
    shares["provers"] = 1 - sum(shares.values())
    split = split_by_prompt(list(rows), shares, seed=config.seed)
    game = _Game(split, str(model), checker, config, player, Path(out), progress)
    with Stages(out, emit=emit) as run:
        for number in range(config.rounds):
            game.round(run, number)
    last = config.rounds - 1
    return Played(game.prover(last), game.verifier(last), tuple(game.measures))


class _Game:
    """The state of a game between its stages."""

    def __init__(
        self, split: Mapping[str, list[PromptOnly]], model: str, checker: Reward, config: GameConfig, player: Player,
        out: Path, progress: Callable[..., Progress],
    ) -> None:  # fmt: skip
        self.split, self.model, self.checker, self.config, self.player = split, model, checker, config, player
        self.out, self.progress = out, progress
        self.measures: list[Mapping[str, Estimate]] = []
        self.base = [identity_of(model), checker.fingerprint]
        options = {k: v for k, v in asdict(config).items() if k != "rounds"}  # a longer game goes on
        self.inputs = [options, asdict(player), self.base, {k: rows_hash(v) for k, v in split.items()}]

    def stage(self, name: str, number: int) -> Path:
        return self.out / "stages" / f"{name}-{number}"

    def prover(self, number: int) -> str:
        """The policy that a round leaves; before the first it is the start."""
        return self.model if number < 0 else str(self.stage("provers", number) / "model")

    def verifier(self, number: int) -> str:
        return str(self.stage("verifier", number) / "model")

    def round(self, run: Stages, number: int) -> None:
        """Runs the stages of a round."""
        seen = [f"solutions-{n}" for n in range(number + 1)]
        before = [f"provers-{number - 1}"] if number else []
        run.run(f"solutions-{number}", lambda at: self._solved(at, number), inputs=self.inputs, after=before)
        if self.player.reader is not None and number == 0:
            run.run("reader-0", self._read, inputs=self.inputs, after=seen)
        run.run(f"verifier-{number}", lambda at: self._fitted(at, number), inputs=self.inputs, after=seen)
        after = [*before, f"verifier-{number}"]
        run.run(f"provers-{number}", lambda at: self._improved(at, number), inputs=self.inputs, after=after)
        reader = ["reader-0"] if self.player.reader is not None else []
        after = [f"verifier-{number}", f"provers-{number}", *reader]
        found = run.run(
            f"measures-{number}", lambda at: self._measured(at, number), inputs=self.inputs, after=after,
            headline=lambda value: told({k: Estimate.from_dict(v) for k, v in value.items()}),
        )  # fmt: skip
        self.measures.append({name: Estimate.from_dict(row) for name, row in found.value.items()})

    def _solved(self, folder: Path, number: int) -> dict[str, Any]:
        """Solutions of the verifier's prompts by the start, or by the provers of the round before."""
        solutions = self._asked(self.split["verifier"], number - 1, folder, seed=2 * number)
        known = solutions.correct[~np.isnan(solutions.correct)]
        return {"solutions": len(solutions.correct), "right": int(known.sum()), "wrong": int((known == 0).sum())}

    def _asked(self, rows: Sequence[PromptOnly], number: int, folder: Path, *, seed: int) -> Solutions:
        roles = self.config.roles
        told = [replace(r, meta={**r.meta, COLUMN: START}) for r in rows] if number < 0 else roles.asked(rows)
        provers, model = self.player.provers, self.prover(number)
        sampling = Sampling(
            self.config.solutions, provers.max_tokens, provers.temperature, provers.top_p, provers.sequences
        )
        key = content_hash([identity_of(model), rows_hash(told), asdict(sampling), self.checker.fingerprint, seed])
        found = asked(
            told, model=model, reward=_Plainly(self.checker, roles), sampling=sampling, log=folder / "rollouts.log",
            key=key, seed=self.config.seed + seed, max_length=provers.max_length, progress=self.progress,
            words="solutions",
        )  # fmt: skip
        write_scored(folder / "solutions.jsonl", found.samples, found.reward)
        return self._solutions(folder)

    def _solutions(self, folder: Path, *, number: int | None = None) -> Solutions:
        """What a stage sampled, as a verifier sees it."""
        kept = read_scored(folder / "solutions.jsonl")
        correct = correct_of(kept.batch.reward, self.checker.bounds)
        assert correct is not None
        roles = self.config.roles
        source = [str(s.meta[COLUMN]) for s in kept.samples]
        plain = [roles.plain(s) if s.meta[COLUMN] in ROLES else s for s in kept.samples]
        named = [name if number is None or name == START else f"{name}-{number}" for name in source]
        return Solutions(tuple(plain), correct, tuple(named))

    def _mixture(self, number: int) -> Solutions:
        rounds = range(number + 1)
        if self.config.mixture == "start":
            rounds = range(1)
        elif self.config.mixture == "last" and number > 0:
            rounds = range(number, number + 1)
        return Solutions.joined([self._solutions(self.stage("solutions", n), number=n - 1) for n in rounds])

    def _fitted(self, folder: Path, number: int) -> dict[str, Any]:
        """A verifier from its beginning."""
        pairs = game_pairs(self._mixture(number), most=self.config.pairs, seed=self.config.seed + number)
        return self._fit(folder, pairs, self.player.backbone)

    def _read(self, folder: Path) -> dict[str, Any]:
        """The small checker, from the start's solutions."""
        assert self.player.reader is not None
        pairs = game_pairs(self._solutions(self.stage("solutions", 0)), most=self.config.pairs, seed=self.config.seed)
        return self._fit(folder, pairs, self.player.reader)

    def _fit(self, folder: Path, pairs: Sequence[Any], backbone: Backbone) -> dict[str, Any]:
        fit = fit_reward_model(
            pairs, backbone=backbone, config=self.player.verifier, out=folder, progress=self.progress
        )
        return {"pairs": fit.pairs, "loss": fit.losses[-1]}

    def _improved(self, folder: Path, number: int) -> dict[str, Any]:
        """The provers, in both roles, against the round's verifier."""
        config, now = self.player.provers, self.prover(number - 1)
        if number and needs_reference(config, online(config.algorithm)[1]):
            config = replace(config, reference=self.model)
        reward = Convincing(
            ModelReward.load(self.verifier(number)), self.checker, self.config.roles, design=self.config.design,
            floor=self.config.floor,
        )  # fmt: skip
        found = align_online(
            self.config.roles.asked(self.split["provers"]), model=now, reward=reward, config=config, out=folder,
            progress=self.progress,
        )  # fmt: skip
        rewards = [row["reward"] for row in found.run.history if "reward" in row]
        return {"updates": len(found.run.history), "reward": rewards[-1] if rewards else None}

    def _measured(self, folder: Path, number: int) -> dict[str, Any]:
        solutions = self._asked(self.split["test"], number, folder, seed=2 * number + 1)
        reader = None if self.player.reader is None else ModelReward.load(self.out / "stages" / "reader-0" / "model")
        found = round_measures(
            solutions, verifier=ModelReward.load(self.verifier(number)), reader=reader, seed=self.config.seed
        )
        return {name: one.to_dict() for name, one in found.items()}


class _Plainly:
    """A reward of plain prompts, for samples that were asked in a role."""

    def __init__(self, reward: Reward, roles: Any) -> None:
        self.reward, self.roles = reward, roles
        self.name, self.scope, self.bounds, self.fingerprint = (
            reward.name, reward.scope, reward.bounds, reward.fingerprint,
        )  # fmt: skip

    def __call__(self, samples: Sequence[Any]) -> RewardBatch:
        return self.reward([self.roles.plain(s) if s.meta[COLUMN] in ROLES else s for s in samples])


__all__ = ["Played", "Player", "play"]
