"""Rounds of self-play: conjectures from what is proved, proofs of what is not, one fit of one policy to both [208].

A round is three stages: `conjectures-R`, `proofs-R` (of the problems that are not solved yet, and of the conjectures)
and `policy-R` (fine-tuned, weighted, on what taught something). At the end the start is trained on all of it.

Differs from the paper: the first round has no conjectures, since nothing is proved yet; seeds are drawn alike from all
statements that are proved often enough, lemmas alike from those of their proof; a proof's time counts where the reward
tells it (`seconds` in its detail).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.offline.aligning import align
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.online.asking import asked
from plaudit.policy.online.selfplay.config import SelfPlayConfig
from plaudit.policy.online.selfplay.data import Attempt, attempts_of, conjecturer_rows, prover_rows, scaled
from plaudit.policy.online.selfplay.selecting import within_cap
from plaudit.policy.online.selfplay.subjects import Conjecture, Proved, Subject
from plaudit.policy.online.staged import identity_of, rows_hash
from plaudit.policy.rollout import Sampling
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Conversation, Sample, content_hash, conversation
from plaudit.records.writing import write
from plaudit.rewards.base import Reward, RewardBatch, Scope
from plaudit.runs.atomic import write_text
from plaudit.runs.progress import Progress
from plaudit.runs.stages import Stages
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.estimate import Estimate
from plaudit.training.policies.sampled import SAMPLED


@dataclass(frozen=True, slots=True)
class SelfPlayed:
    """What came of it.

    Attributes:
        model: folder of the last policy.
        solved: for each round the share of the problems that have been proved so far, with an interval over problems.
        conjectured: for each round how many conjectures were made, and how many taught.
    """

    model: str
    solved: tuple[Estimate, ...]
    conjectured: tuple[tuple[int, int], ...]


def self_play(
    rows: Sequence[PromptOnly], *, model: str | Path, reward: Reward, subject: Subject, config: SelfPlayConfig,
    fit: AlignConfig, sampling: Sampling, out: str | Path, max_length: int = 2048,
    progress: Callable[..., Progress] = Progress, emit: Callable[[str], None] | None = print,
) -> SelfPlayed:  # fmt: skip
    """Improves a policy on problems, and on problems of its own making.

    Finished stages are not run again, one that was killed goes on where it stopped.

    Args:
        rows: problems, with what the reward needs.
        model: folder or hub id of the policy; it conjectures and proves.
        reward: a checker of proofs; right is above the middle of its bounds, what it cannot check is neither.
        subject: how conjectures are asked for and read.
        config: the self-play.
        fit: of each fine-tuning; its algorithm is `weighted-sft`.
        sampling: of conjectures and proofs; how many is `config`'s.
        out: run folder.
        max_length: most tokens of prompt and completion.
        progress: makes the displays.
        emit: gets one line a stage; None for silence.

    Raises:
        InputError: if there are no problems, two of them are the same, the reward has no bounds, or the algorithm is
            another one.
    """
    problems = list(rows)
    names = [_name(row.prompt) for row in problems]
    if not problems or len(set(names)) < len(names):
        raise InputError(f"self-play: {len(problems)} problems, {len(set(names))} of them different; give each once")
    if not np.isfinite(reward.bounds).all():
        raise InputError(
            f"self-play: {reward.name} has bounds {tuple(reward.bounds)}, whose middle says what is right; give a "
            "verifier such as verify/math"
        )
    if fit.algorithm != "weighted-sft":
        raise InputError(f"self-play: the fit's algorithm is {fit.algorithm!r}; give weighted-sft")
    run = _SelfPlay(problems, str(model), reward, subject, config, fit, sampling, Path(out), max_length, progress)
    with Stages(out, emit=emit) as stages:
        for number in range(config.rounds):
            run.round(stages, number)
        if config.retrain:
            after = [f"proofs-{n}" for n in range(config.rounds)] + [f"policy-{n}" for n in range(config.rounds)]
            stages.run("policy-retrained", run.retrained, inputs=[*run.inputs, config.rounds], after=after)
    last = "policy-retrained" if config.retrain else f"policy-{config.rounds - 1}"
    trained = Path(out) / "stages" / last / "model"
    return SelfPlayed(
        str(trained) if trained.is_dir() else run.policy(config.rounds - 1), tuple(run.solved), tuple(run.conjectured)
    )


class _SelfPlay:
    """The state between stages."""

    def __init__(
        self, problems: list[PromptOnly], model: str, reward: Reward, subject: Subject, config: SelfPlayConfig,
        fit: AlignConfig, sampling: Sampling, out: Path, max_length: int, progress: Callable[..., Progress],
    ) -> None:  # fmt: skip
        self.problems, self.model, self.reward, self.subject = problems, model, reward, subject
        self.config, self.fit, self.sampling, self.out, self.max_length = config, fit, sampling, out, max_length
        self.progress = progress
        self.solved: list[Estimate] = []
        self.conjectured: list[tuple[int, int]] = []
        options = {k: v for k, v in asdict(config).items() if k not in ("rounds", "retrain")}  # a longer run goes on
        self.inputs = [
            options, asdict(fit), asdict(sampling), max_length, identity_of(model), reward.fingerprint,
            subject.fingerprint, rows_hash(problems),
        ]  # fmt: skip

    def stage(self, name: str, number: int) -> Path:
        return self.out / "stages" / f"{name}-{number}"

    def policy(self, number: int) -> str:
        """The policy after a round; one in which nothing taught leaves it as it was."""
        for n in range(number, -1, -1):
            folder = self.stage("policy", n) / "model"
            if folder.is_dir():
                return str(folder)
        return self.model

    def round(self, stages: Stages, number: int) -> None:
        """Runs the stages of a round."""
        before = [f"{name}-{n}" for n in range(number) for name in ("proofs", "policy")]
        stages.run(
            f"conjectures-{number}", lambda at: self._conjectures(at, number), inputs=self.inputs, after=before,
            headline=lambda v: f"{v['conjectures']} conjectures of {v['asked']}",
        )  # fmt: skip
        found = stages.run(
            f"proofs-{number}", lambda at: self._proofs(at, number), inputs=self.inputs,
            after=[*before, f"conjectures-{number}"],
            headline=lambda v: f"{v['solved']['value']:.1%} of problems solved",
        ).value  # fmt: skip
        fitted = stages.run(
            f"policy-{number}", lambda at: self._policy(at, number), inputs=self.inputs,
            after=[*before, f"conjectures-{number}", f"proofs-{number}"],
            headline=lambda v: f"{v['proofs']} proofs, {v['conjectures']} conjectures",
        ).value  # fmt: skip
        self.solved.append(Estimate.from_dict(found["solved"]))
        self.conjectured.append((found["conjectures"], fitted["conjectures"]))

    # --- conjectures

    def _conjectures(self, folder: Path, number: int) -> dict[str, Any]:
        """New statements that the policy makes of proved ones."""
        seeds = self._seeds(number) if self.config.conjecturing else []
        if not seeds:
            write_text(folder / "conjectures.json", "[]\n")
            return {"asked": 0, "conjectures": 0}
        rng = np.random.default_rng([self.config.seed, number, 37])
        chosen = [seeds[int(k)] for k in rng.integers(len(seeds), size=self.config.conjectures)]
        lemmas = []
        for seed in chosen:
            known = self.subject.lemmas(seed.statement, seed.proof)
            lemmas.append(str(known[int(rng.integers(len(known)))]) if known else "")
        told = [PromptOnly(self.subject.ask(s, lemma)) for s, lemma in zip(chosen, lemmas, strict=True)]
        said = self._asked(told, _Unjudged(), 1, folder, number, "conjectures")
        known_names = {_name(row.prompt) for row in self._statements(number)}
        found: list[Conjecture] = []
        for seed, row, lemma, sample in zip(chosen, told, lemmas, said, strict=True):
            statement = self.subject.read(sample.text)
            if statement is not None and _name(statement.prompt) not in known_names:
                known_names.add(_name(statement.prompt))
                bare = self.subject.ask(seed, "")
                tokens = sample.meta.get(SAMPLED, {})
                found.append(Conjecture(statement, row.prompt, bare, sample.text, lemma, tokens))
        named = [c.lemma for c in found]
        kept = within_cap(named, batch=self.config.conjectures, share=self.config.lemma_share)
        # what has no lemma is not one lemma that could fill the batch
        found = [c for c, inside, lemma in zip(found, kept, named, strict=True) if inside or not lemma]
        write_text(folder / "conjectures.json", json.dumps([_cells(c) for c in found], indent=1) + "\n")
        return {"asked": len(told), "conjectures": len(found)}

    def _made(self, number: int) -> list[Conjecture]:
        rows = json.loads((self.stage("conjectures", number) / "conjectures.json").read_text(encoding="utf-8"))
        return [_conjecture(row) for row in rows]

    def _statements(self, number: int) -> list[PromptOnly]:
        """All problems, and the conjectures of the rounds before."""
        return [*self.problems, *(c.statement for n in range(number) for c in self._made(n))]

    def _seeds(self, number: int) -> list[Proved]:
        found: dict[str, Proved] = {}
        for n in range(number):
            for one in self._attempts(n):
                if one.right.any() and one.rate > self.config.seed_rate:
                    proof = one.texts[int(np.flatnonzero(one.right)[0])]
                    found[_name(one.statement.prompt)] = Proved(one.statement, proof, one.rate)
        return list(found.values())

    # --- proofs

    def _proofs(self, folder: Path, number: int) -> dict[str, Any]:
        """Proofs of the problems that no round before has proved, and of the conjectures."""
        done = self._solved(number)
        open_ = [row for row in self.problems if _name(row.prompt) not in done]
        made = self._made(number)
        told = [*open_, *(c.statement for c in made)]
        if told:
            self._asked(told, self.reward, self.config.proofs, folder, number, "proofs")
        write_text(folder / "asked.json", json.dumps({"problems": len(open_), "conjectures": len(made)}) + "\n")
        now = done | {
            _name(a.statement.prompt) for a in self._attempts(number)[: len(open_)] if a.right.any()
        }  # fmt: skip
        share = bootstrap_mean([float(_name(row.prompt) in now) for row in self.problems], seed=self.config.seed)
        return {"solved": share.to_dict(), "problems": len(open_), "conjectures": len(made)}

    def _attempts(self, number: int) -> list[Attempt]:
        """What a round asked proofs of, in its order: problems, then conjectures."""
        folder = self.stage("proofs", number)
        if not (folder / "proofs.jsonl").is_file():
            return []
        return attempts_of(folder / "proofs.jsonl", self.config.proofs, self.reward.bounds)

    def _solved(self, number: int) -> set[str]:
        known = {_name(row.prompt) for row in self.problems}
        proved = {
            _name(a.statement.prompt) for n in range(number) for a in self._attempts(n) if a.right.any()
        }  # fmt: skip
        return proved & known

    # --- the fit

    def _policy(self, folder: Path, number: int) -> dict[str, Any]:
        rows = self._lessons(number)
        write_text(folder / "counts.json", json.dumps({k: len(v) for k, v in rows.items()}) + "\n")
        return self._fitted(folder, [r for part in rows.values() for r in part], self.policy(number - 1), rows)

    def retrained(self, folder: Path) -> dict[str, Any]:
        """The start, on the data of all rounds."""
        parts = [self._lessons(n) for n in range(self.config.rounds)]
        rows = {kind: [r for part in parts for r in part[kind]] for kind in ("proofs", "conjectures")}
        return self._fitted(folder, [r for part in rows.values() for r in part], self.model, rows)

    def _lessons(self, number: int) -> dict[str, list[Sample]]:
        """What a round teaches prover and conjecturer, weighted."""
        attempts, made = self._attempts(number), self._made(number)
        solved = self._solved(number + 1)
        unproved = [row for row in self.problems if _name(row.prompt) not in solved]
        proofs = prover_rows(attempts, high=self.config.high_band)
        tried = attempts[len(attempts) - len(made) :] if made else []
        conjectures = conjecturer_rows(
            list(zip(made, tried, strict=True)), unproved, subject=self.subject, config=self.config
        )
        return {"proofs": proofs, "conjectures": conjectures}

    def _fitted(
        self, folder: Path, rows: Sequence[Sample], start: str, kinds: Mapping[str, Sequence[Sample]]
    ) -> dict[str, Any]:
        counts = {kind: len(part) for kind, part in kinds.items()}
        if rows:
            write(folder / "lessons.jsonl", rows)
            align(scaled(rows), model=start, config=self.fit, out=folder, progress=self.progress)
        return counts

    def _asked(
        self, rows: Sequence[PromptOnly], reward: Reward, completions: int, folder: Path, number: int, words: str
    ) -> list[Sample]:
        """Completions of the round's policy, kept as a scored file in the stage's folder."""
        from plaudit.rewards.files import write_scored

        model = self.policy(number - 1)
        sampling = replace(self.sampling, completions=completions)
        key = content_hash([identity_of(model), rows_hash(rows), asdict(sampling), reward.fingerprint])
        found = asked(
            rows, model=model, reward=reward, sampling=sampling, log=folder / "rollouts.log", key=key,
            seed=self.config.seed + 2 * number + (words == "proofs"), max_length=self.max_length,
            progress=self.progress, words=words,
        )  # fmt: skip
        write_scored(folder / f"{words}.jsonl", found.samples, found.reward)
        return found.samples


class _Unjudged:
    """A reward that says nothing: conjectures are judged by their proofs."""

    scope: Scope = "sample"
    name, bounds, fingerprint = "unjudged", (0.0, 1.0), "unjudged"

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        return RewardBatch(np.zeros(len(samples)))


def _name(prompt: Conversation) -> str:
    return content_hash([m.to_dict() for m in prompt])


def _cells(c: Conjecture) -> dict[str, Any]:
    return {
        "statement": [m.to_dict() for m in c.statement.prompt], "reference": c.statement.reference,
        "asked": [m.to_dict() for m in c.asked], "bare": [m.to_dict() for m in c.bare], "said": c.said,
        "lemma": c.lemma, "sampled": dict(c.sampled),
    }  # fmt: skip


def _conjecture(row: Mapping[str, Any]) -> Conjecture:
    statement = PromptOnly(conversation(row["statement"]), row["reference"])
    told, bare = conversation(row["asked"]), conversation(row["bare"])
    return Conjecture(statement, told, bare, row["said"], row["lemma"], row.get("sampled", {}))


__all__ = ["SelfPlayed", "self_play"]
