"""Direct alignment in rounds: the policy answers, a reward says what its answers are worth, it learns, and again.

Between the rounds stands a plain run of `align` on rows that the policy wrote itself, so every algorithm that learns
from scores or preferences can be iterated: RAFT and SuperHF imitate the best, SPPO, INPO, DPO and the regressions take
pairs, KTO takes labels, SCIR needs no reward at all. A reward that is named with `{policy}` is the policy's own, of the
round: self-rewarding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.algorithms import NamedAlgorithm, algorithm
from plaudit.policy.offline.aligning import align
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.online.asking import asked
from plaudit.policy.online.entry import prompt_of
from plaudit.policy.online.experience import Experience
from plaudit.policy.online.staged import identity_of, rows_hash
from plaudit.policy.rollout import Sampling
from plaudit.records.rows import PromptOnly, Ranked
from plaudit.records.sample import Sample, completion_text, content_hash
from plaudit.records.writing import write
from plaudit.rewards.base import Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.files import scored_rows
from plaudit.rewards.registry import load
from plaudit.runs.progress import Progress
from plaudit.runs.stages import Stages
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.estimate import Estimate
from plaudit.training.policies.sampled import SAMPLED, joined_columns

POLICY = "{policy}"
"""What stands in a reward's reference for the policy of the round."""
KEEPS = ("inpo", "prdp", "superhf")
"""Algorithms whose reference stays the policy that the first round began from; the others' is that of their round."""
SHOWN = ("sft", "dft", "asft", "weighted-sft", "dpa")
"""Algorithms that want demonstrations or aspects, which a reward does not give."""


@dataclass(frozen=True, slots=True)
class RoundsConfig:
    """How often a policy answers and learns.

    Raises:
        InputError: if there is no round, or none of the prompts is asked.
    """

    rounds: int = 1
    """Times that the policy answers and learns from it; a finished round is not run again when there are more."""
    prompts: int = 0
    """Prompts of a round, in turn; 0 for all of them in every round."""
    pairs: Literal["extremes", "all"] = "extremes"
    """Of each prompt the best against the worst, or every pair of different rewards. Where labels are read: the best
    wanted and the worst not, or all above the mean of their prompt wanted, and all below it not."""

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.prompts < 0:
            raise InputError(
                f"rounds is {self.rounds} and prompts {self.prompts}; give at least one round, of 0 or more"
            )
        if self.pairs not in ("extremes", "all"):
            raise InputError(f"pairs {self.pairs!r} is not known; give extremes or all")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to.

    Attributes:
        model: folder of the policy that it left.
        reward: mean of what its completions were worth, by the policy that it began from, over prompts.
        outcomes: completions without a reward by outcome, those of prompts that taught nothing left in.
        taught: prompts from which something was learnt.
        asked: prompts that were asked.
    """

    model: str
    reward: Estimate
    outcomes: Mapping[str, int]
    taught: int
    asked: int

    def line(self, number: int) -> str:
        """What a command prints."""
        lost = "".join(f"; {n} {name.replace('_', ' ')}" for name, n in self.outcomes.items())
        reward = "no reward" if self.reward.n == 0 else f"reward {self.reward.format()}"
        return f"round {number}: {reward} before it; {self.taught} of {self.asked} prompts taught{lost}"


def align_in_rounds(
    rows: Sequence[Any], *, model: str | Path, reward: Reward | str | None, config: AlignConfig, rounds: RoundsConfig,
    sampling: Sampling, out: str | Path, progress: Callable[..., Progress] = Progress,
    emit: Callable[[str], None] | None = print,
) -> list[Round]:  # fmt: skip
    """Aligns a policy on its own completions, in rounds; each is a folder `out/stages/round-N` with its model.

    A finished round is not run again, one that was killed goes on where it stopped: what was sampled and judged is read
    from its log.

    Args:
        rows: prompts, with what the reward needs.
        model: folder or hub id of the policy to begin from.
        reward: what completions are worth; a reference that holds `{policy}` is loaded anew for each round's policy.
            None for `scir`, which needs none.
        config: of each round's alignment. Without a `reference` it is the start of all for `inpo`, `prdp` and
            `superhf`, and else the round's own start.
        rounds: how often.
        sampling: of completions.
        out: run folder.
        progress: makes the displays.
        emit: gets one line a stage; None for silence.

    Returns:
        One entry a round.

    Raises:
        InputError: if the algorithm wants what a reward does not give, CREAM's reward is not the policy's own, no
            prompt has anything to teach, or see `align`.
    """
    named = algorithm(config.algorithm)
    _check(named, reward, sampling)
    prompts = [prompt_of(row, i) for i, row in enumerate(rows)]
    if not prompts:
        raise InputError("rounds: there are no prompts; give at least one")
    run = _Rounds(prompts, str(model), reward, named, config, rounds, sampling, progress)
    found: list[Round] = []
    with Stages(out, emit=emit) as stages:
        for number in range(rounds.rounds):
            folder = Path(out) / "stages" / f"round-{number}"
            now, before = run.model, run.before
            call = _Call(run, number, now, before)
            after = [f"round-{number - 1}"] if number else []
            told = stages.run(f"round-{number}", call, inputs=run.inputs(number), after=after).value
            run.model, run.before = str(folder / "model"), now
            estimate = Estimate(told["value"], told["low"], told["high"], told["n"], told["method"])
            found.append(Round(run.model, estimate, told["outcomes"], told["taught"], told["asked"]))
    return found


class _Rounds:
    """What all rounds share, and the policy between them."""

    def __init__(
        self, prompts: list[PromptOnly], model: str, reward: Reward | str | None, named: NamedAlgorithm,
        config: AlignConfig, rounds: RoundsConfig, sampling: Sampling, progress: Callable[..., Progress],
    ) -> None:  # fmt: skip
        self.prompts, self.start, self.named, self.config = prompts, model, named, config
        self.rounds, self.sampling, self.progress = rounds, sampling, progress
        self.given = load(reward) if isinstance(reward, str) and POLICY not in reward else reward
        self.model = self.before = model

    def inputs(self, number: int) -> list[Any]:
        """What a round depends on but for the rounds before it: a longer run goes on."""
        reward = getattr(self.given, "fingerprint", self.given)
        options = [self.rounds.prompts, self.rounds.pairs]
        return [
            asdict(self.config), asdict(self.sampling), options, number, reward, identity_of(self.start),
            rows_hash(self.prompts),
        ]  # fmt: skip

    def of_round(self, number: int) -> list[PromptOnly]:
        """The prompts of a round: so many in turn, over the end again from the beginning."""
        n = self.rounds.prompts or len(self.prompts)
        return [self.prompts[(number * n + i) % len(self.prompts)] for i in range(min(n, len(self.prompts)))]

    def judge(self, policy: str) -> Reward:
        """The reward of a round with this policy."""
        if self.given is None:
            return _Nothing()
        return load(self.given.replace(POLICY, policy)) if isinstance(self.given, str) else self.given


@dataclass(frozen=True, slots=True)
class _Call:
    """The work of one round in its folder."""

    run: _Rounds
    number: int
    model: str
    before: str

    def __call__(self, folder: Path) -> dict[str, Any]:
        run, named = self.run, self.run.named
        reward, prompts = run.judge(self.model), run.of_round(self.number)
        key = content_hash([reward.fingerprint, identity_of(self.model), rows_hash(prompts), asdict(run.sampling)])
        said = asked(
            prompts, model=self.model, reward=reward, sampling=run.sampling, log=folder / "completions.log", key=key,
            seed=run.config.seed + 7919 * self.number, max_length=run.config.max_length, progress=run.progress,
            words=f"round {self.number}: sampling",
        )  # fmt: skip
        write(folder / "samples.jsonl", scored_rows(said.samples, said.reward))
        previous = run.judge(self.before)(said.samples).reward if named.name == "cream" else None
        taught = _taught(said, named, run.rounds.pairs, previous)
        if not taught:
            raise InputError(
                f"round {self.number}: none of {len(prompts)} prompts has completions of different rewards; nothing "
                "can be learnt. Sample more of each (completions), or give a reward that tells them apart"
            )
        config = run.config
        if not config.reference and named.name in KEEPS and self.number:
            config = replace(config, reference=run.start)
        align(taught, model=self.model, config=config, out=folder, progress=run.progress)
        return {**_measured(said, run.given is not None), "taught": _prompts_of(taught), "asked": len(prompts)}


def _taught(
    said: Experience, named: NamedAlgorithm, pairs: str, previous: np.ndarray[Any, Any] | None
) -> list[Any]:  # fmt: skip
    """The rows of a round, with the tokens that were sampled.

    What has no reward is left out, and so are prompts that leave nothing to compare.
    """
    if named.algorithm.judge:
        return [_plain(sample) for sample in said.samples]
    alone = named.algorithm.data == "demonstrations"
    found: list[Any] = []
    carried: dict[Any, list[Any]] = {}  # by prompt: rows of one prompt may become one list
    for sample in said.samples:
        if SAMPLED in sample.meta:
            carried.setdefault(sample.prompt, []).append(sample.meta[SAMPLED])
    for group in range(len(said.rollouts)):
        known = said.reward.valid if previous is None else said.reward.valid & np.isfinite(previous)
        at = [int(i) for i in np.flatnonzero((said.groups == group) & known)]
        samples, scores = [said.samples[i] for i in at], [float(said.reward.reward[i]) for i in at]
        if len(at) < (1 if alone else 2) or (not alone and max(scores) == min(scores)):
            continue
        texts = [completion_text(s.completion) for s in samples]
        meta: dict[str, Any] = {} if previous is None else {"previous": [float(previous[i]) for i in at]}
        if samples[0].prompt in carried:
            meta[SAMPLED] = joined_columns(carried[samples[0].prompt])
        kept = list(range(len(at)))
        if not alone and not named.algorithm.rows and pairs == "extremes":
            kept = [scores.index(max(scores)), scores.index(min(scores))]
            if texts[kept[0]] == texts[kept[1]]:  # one text, judged twice: noise of the reward
                continue
        if named.algorithm.data == "labels":
            mean = sum(scores) / len(scores)
            kept = [i for i in kept if scores[i] != mean]
            scores = [float(score > mean) for score in scores]
        found.append(
            Ranked(samples[0].prompt, tuple(texts[i] for i in kept), tuple(scores[i] for i in kept), meta=meta)
        )
    return found


def _plain(sample: Sample) -> Sample:
    """A completion and nothing of what is known of it but its tokens."""
    return Sample(sample.prompt, sample.completion, meta={k: v for k, v in sample.meta.items() if k == SAMPLED})


def _prompts_of(rows: Sequence[Any]) -> int:
    return len({row.prompt for row in rows})


def _measured(said: Experience, judged: bool) -> dict[str, Any]:
    """Mean reward over prompts with its interval, and what has none by outcome."""
    valid = said.reward.valid if judged else np.zeros(len(said.samples), dtype=bool)
    estimate = Estimate(float("nan"), n=0, method="no reward")
    if valid.any():
        estimate = bootstrap_mean(said.reward.reward[valid], said.groups[valid])
    counts = {o.name.lower(): int((said.reward.outcome == o).sum()) for o in Outcome if not o.counts}
    told = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
    return {**told, "method": estimate.method, "outcomes": {k: n for k, n in counts.items() if n and judged}}


class _Nothing:
    """The reward where none is read: every completion is worth 0."""

    name, bounds, fingerprint = "nothing", (0.0, 0.0), "nothing"
    scope: Scope = "sample"

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        return RewardBatch(np.zeros(len(samples)))


def _check(named: NamedAlgorithm, reward: Reward | str | None, sampling: Sampling) -> None:
    """Refuses what cannot be iterated.

    Raises:
        InputError: in one line.
    """
    if named.name in SHOWN:
        raise InputError(
            f"rounds: {named.name} learns from {named.algorithm.needs}, which a reward on completions does not make; "
            "raft, superhf, dpo, sppo and others can be iterated"
        )
    if reward is None and not named.algorithm.judge:
        raise InputError(f"rounds: {named.name} needs a reward that says what completions are worth; give --reward REF")
    if reward is not None and named.algorithm.judge:
        raise InputError(f"rounds: {named.name} judges its completions itself; leave --reward out")
    if named.name == "cream" and not (isinstance(reward, str) and POLICY in reward):
        raise InputError(
            "rounds: cream compares the rankings of the policy and of the one before it; name them in the reward, as "
            "in 'likelihood/ratio?policy={policy}&reference=FOLDER'"
        )
    if sampling.completions < 2:
        raise InputError(f"rounds: completions is {sampling.completions}; two of a prompt are compared at least")


__all__ = ["Round", "RoundsConfig", "align_in_rounds"]
