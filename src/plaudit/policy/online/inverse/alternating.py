"""Rounds of inverse reinforcement learning: samples, a reward that tells them from demonstrations, a better policy.

`max over rewards, min over policies, of E[(r(demonstration) - r(sample)) / beta] + KL(policy, start)`: each round takes
a step of either player. Four stages: `samples-R` of the policy of the round before, `reward-R` (a reward model a
category), `policy-R` (any algorithm of `plaudit align`; `grpo-s` scales advantages by difficulty), `measures-R` on
prompts that nothing is learnt from.

Source: "Inverse Reinforcement Learning with Dynamic Reward Scaling for LLM Alignment" (DR-IRL) [122].

Differs from the paper: a step of the reward is a fit to the round's samples, a step of the policy a run over all
prompts; a reward is brought to mean 0 and deviation 1 over its training completions, so that beta is the algorithm's
`kl_coef` in these units; the policy of a round goes on from that of the round before, with the KL to the start.
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
from plaudit.policy.online.games.measuring import outranked, told
from plaudit.policy.online.inverse.checking import check_learning
from plaudit.policy.online.inverse.config import InverseConfig
from plaudit.policy.online.inverse.demonstrations import Demonstrated, demonstrations_of, gap_pairs
from plaudit.policy.online.inverse.difficulty import Embedding, mean_gap, prompt_difficulty
from plaudit.policy.online.inverse.rewards import ByCategory, Unjudged
from plaudit.policy.online.methods import online
from plaudit.policy.online.selfplay.subjects import trigrams
from plaudit.policy.online.staged import identity_of, rows_hash
from plaudit.policy.rollout import Sampling
from plaudit.records.sample import Sample, completion_text, content_hash
from plaudit.records.splitting import split_by_prompt
from plaudit.rewards.base import Reward
from plaudit.rewards.files import read_scored, write_scored
from plaudit.rewards.models import ModelReward
from plaudit.runs.progress import Progress
from plaudit.runs.stages import Stages
from plaudit.stats.estimate import Estimate
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.fitting import fit_reward_model


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of it.

    Attributes:
        model: folder of the last policy.
        rewards: category to the folder of its last reward model; the category is empty where there is one of all.
        rounds: for each round its measures: `ranked`, how often the round's reward ranks a demonstration above a sample
            of the policy that it was set against; `ranked_after`, above one of the policy that has learnt from it;
            `gap` and `gap_after`, the mean difference of their rewards, in its deviations.
    """

    model: str
    rewards: Mapping[str, str]
    rounds: tuple[Mapping[str, Estimate], ...]


@dataclass(frozen=True)
class Learner:
    """Models and how they are trained.

    Attributes:
        policy: of the policy's runs; `reference` is set by the rounds.
        fit: of the reward models; its objective takes pairs.
        backbone: what each reward model starts from, in the first round or, without `warm`, in all.
        embedding: of clauses, for `hardness`.
    """

    policy: OnlineConfig = field(default_factory=lambda: OnlineConfig(algorithm="grpo-s"))
    fit: FitConfig = field(default_factory=lambda: FitConfig(objective="demonstration-gap"))
    backbone: Backbone = field(default_factory=Backbone)
    embedding: Embedding = trigrams


def learn_reward(
    rows: Sequence[Any], *, model: str | Path, config: InverseConfig, learner: Learner, out: str | Path,
    watched: Sequence[Any] = (), progress: Callable[..., Progress] = Progress,
    emit: Callable[[str], None] | None = print,
) -> Learnt:  # fmt: skip
    """Learns a reward from demonstrations and improves a policy by it, in turns.

    Finished stages are not run again, one that was killed goes on where it stopped, and more rounds go on from fewer.

    Args:
        rows: demonstrations: samples, wanted unpaired rows, or pairs (their chosen).
        model: folder or hub id of the policy to begin from.
        config: the rounds.
        learner: models and how they are trained.
        out: run folder.
        watched: rewards that are shown beside the learnt one in the policy's runs.
        progress: makes the displays.
        emit: gets one line a stage; None for silence.

    Raises:
        InputError: if rows hold no demonstrations, the split leaves a part without prompts, an option does not fit, or
            a category has no sample that differs from its demonstrations.
    """
    check_learning(config, learner.policy, learner.fit)
    split = _split(demonstrations_of(rows, category=config.category), config)
    lacking = {d.category for d in split["test"]} - {d.category for d in split["train"]}
    if lacking:
        raise InputError(
            f"irl: all prompts of {config.category} {min(lacking)!r} are held out; give it more prompts, or lower "
            "test_share"
        )
    run = _Rounds(split, str(model), config, learner, Path(out), watched, progress)
    with Stages(out, emit=emit) as stages:
        for number in range(config.rounds):
            run.round(stages, number)
    last = config.rounds - 1
    return Learnt(run.policy(last), run.rewards(last), tuple(run.measures))


def _split(demonstrated: Sequence[Demonstrated], config: InverseConfig) -> dict[str, list[Demonstrated]]:
    """`train` and `test`, by prompt."""
    shares = {"train": 1 - config.test_share, "test": config.test_share}
    of = {id(one.row): one for one in demonstrated}
    parts = split_by_prompt([one.row for one in demonstrated], shares, seed=config.seed)
    return {name: [of[id(row)] for row in part] for name, part in parts.items()}


class _Rounds:
    """The state between stages."""

    def __init__(
        self, split: Mapping[str, list[Demonstrated]], model: str, config: InverseConfig, learner: Learner, out: Path,
        watched: Sequence[Any], progress: Callable[..., Progress],
    ) -> None:  # fmt: skip
        self.split, self.model, self.config, self.learner = split, model, config, learner
        self.out, self.watched, self.progress = out, watched, progress
        self.categories = sorted({one.category for one in split["train"]})
        self.measures: list[Mapping[str, Estimate]] = []
        options = {k: v for k, v in asdict(config).items() if k != "rounds"}  # more rounds go on
        data = {
            name: [rows_hash([d.row for d in part]), [[completion_text(c) for c in d.shown] for d in part]]
            for name, part in split.items()
        }  # fmt: skip
        trained = [asdict(learner.policy), asdict(learner.fit), asdict(learner.backbone)]
        self.inputs = [options, trained, identity_of(model), data, self._embedding()]

    def _embedding(self) -> str:
        """Hash of what the embedding says of two texts: a function has no other name that lasts."""
        return content_hash(np.round(self.learner.embedding(["a clause", "another one."]), 6).tolist())

    def stage(self, name: str, number: int) -> Path:
        return self.out / "stages" / f"{name}-{number}"

    def policy(self, number: int) -> str:
        """The policy that a round leaves; before the first it is the start."""
        return self.model if number < 0 else str(self.stage("policy", number) / "model")

    def rewards(self, number: int) -> dict[str, str]:
        """Category to the folder of a round's reward model."""
        return {
            name: str(self.stage("reward", number) / f"category-{i}" / "model")
            for i, name in enumerate(self.categories)
        }  # fmt: skip

    def reward(self, number: int) -> ByCategory:
        """The reward of a round."""
        models: dict[str, Reward] = {name: ModelReward.load(at) for name, at in self.rewards(number).items()}
        return ByCategory(models, column=self.config.category)

    def round(self, stages: Stages, number: int) -> None:
        """Runs the stages of a round."""
        before = [f"policy-{number - 1}"] if number else []
        warm = [f"reward-{number - 1}"] if number and self.config.warm else []
        here = [f"samples-{number}"]
        stages.run(here[0], lambda at: self._sampled(at, number), inputs=self.inputs, after=before)
        stages.run(f"reward-{number}", lambda at: self._fitted(at, number), inputs=self.inputs, after=[*here, *warm])
        after = [*before, *here, f"reward-{number}"]
        watched = [getattr(one, "fingerprint", one) for one in self.watched]
        stages.run(
            f"policy-{number}", lambda at: self._improved(at, number), inputs=[*self.inputs, watched], after=after
        )  # fmt: skip
        earlier = [f"measures-{number - 1}"] if number else []
        after = [f"reward-{number}", *earlier, f"policy-{number}"]
        found = stages.run(
            f"measures-{number}", lambda at: self._measured(at, number), inputs=self.inputs, after=after,
            headline=lambda value: told({k: Estimate.from_dict(v) for k, v in value.items()}),
        )  # fmt: skip
        self.measures.append({name: Estimate.from_dict(row) for name, row in found.value.items()})

    def _asked(self, part: str, number: int, folder: Path) -> list[list[Sample]]:
        """Samples of a part's prompts by the policy that a round leaves, prompt by prompt; read where they are."""
        options, model, n = self.learner.policy, self.policy(number), self.config.samples
        rows = [one.row for one in self.split[part]]
        sampling = Sampling(n, options.max_tokens, options.temperature, options.top_p, options.sequences)
        seed = self.config.seed + 7919 * (number + 1) + (part == "test")
        found = asked(
            rows, model=model, reward=Unjudged(), sampling=sampling, log=folder / f"{part}-{number + 1}.log",
            key=content_hash([identity_of(model), rows_hash(rows), asdict(sampling), seed]),
            seed=seed, max_length=options.max_length, progress=self.progress, words="samples",
        )  # fmt: skip
        write_scored(folder / f"{part}-{number + 1}.jsonl", found.samples, found.reward)
        return self._read(part, number, folder)

    def _read(self, part: str, number: int, folder: Path) -> list[list[Sample]]:
        """What `_asked` left there."""
        kept, n = read_scored(folder / f"{part}-{number + 1}.jsonl").samples, self.config.samples
        return [list(kept[i : i + n]) for i in range(0, len(kept), n)]

    def _sampled(self, folder: Path, number: int) -> dict[str, Any]:
        sampled = self._asked("train", number - 1, folder)
        return {"prompts": len(sampled), "samples": sum(map(len, sampled))}

    def _train_samples(self, number: int) -> list[list[Sample]]:
        """What a round's first stage sampled."""
        return self._read("train", number - 1, self.stage("samples", number))

    def _fitted(self, folder: Path, number: int) -> dict[str, Any]:
        """A reward model a category."""
        pairs = gap_pairs(
            self.split["train"], self._train_samples(number), most=self.config.pairs, seed=self.config.seed + number
        )
        value = {}
        for i, name in enumerate(self.categories):
            if not pairs[name]:
                raise InputError(
                    f"irl: round {number}: every sample{f' of {name}' if name else ''} is a demonstration's text, so "
                    "nothing tells them apart; the policy has arrived: ask for fewer rounds"
                )
            backbone = self.learner.backbone
            if number and self.config.warm:
                backbone = replace(backbone, name=self.rewards(number - 1)[name], tokenizer="")
            fit = fit_reward_model(
                pairs[name], backbone=backbone, config=self.learner.fit, out=folder / f"category-{i}",
                progress=self.progress,
            )  # fmt: skip
            value[name] = {"pairs": fit.pairs, "loss": fit.losses[-1]}
        return value

    def _improved(self, folder: Path, number: int) -> dict[str, Any]:
        """The policy, by the round's reward."""
        config, reward = self.learner.policy, self.reward(number)
        if number and needs_reference(config, online(config.algorithm)[1]):
            config = replace(config, reference=self.model)
        hardness, gap = prompt_difficulty(
            self.split["train"], self._train_samples(number), reward=reward, embedding=self.learner.embedding
        )
        rows = [
            replace(one.row, meta={**one.row.meta, "hardness": h, "gap": None if np.isnan(g) else g})
            for one, h, g in zip(self.split["train"], hardness.tolist(), gap.tolist(), strict=True)
        ]
        found = align_online(
            rows, model=self.policy(number - 1), reward=reward, config=config, out=folder, watched=self.watched,
            progress=self.progress,
        )  # fmt: skip
        told = [row["reward"] for row in found.run.history if "reward" in row]
        return {"updates": len(found.run.history), "reward": told[-1] if told else None}

    def _measured(self, folder: Path, number: int) -> dict[str, Any]:
        """The round's reward on held-out prompts, against the policy before and after."""
        reward, found = self.reward(number), dict[str, Estimate]()
        earlier = self.stage("measures", number - 1)
        before = self._read("test", number - 1, earlier) if number else self._asked("test", -1, folder)
        for suffix, sampled in (("", before), ("_after", self._asked("test", number, folder))):
            flat = [(i, x, True) for i, one in enumerate(self.split["test"]) for x in one.samples()]
            flat += [(i, x, False) for i, samples in enumerate(sampled) for x in samples]
            prompt, shown = [str(i) for i, _, _ in flat], np.array([x for *_, x in flat])
            worth = reward([x for _, x, _ in flat]).reward
            found[f"ranked{suffix}"] = outranked(worth, shown, ~shown, prompt, seed=self.config.seed)
            found[f"gap{suffix}"] = mean_gap(worth, shown, prompt, seed=self.config.seed)
        return {name: one.to_dict() for name, one in found.items()}


__all__ = ["Learner", "Learnt", "learn_reward"]
