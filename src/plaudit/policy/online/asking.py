"""Asking a policy in a folder and judging what it says, outside a training run: logged, so that nothing is paid twice.

What methods in rounds need between the rounds: solutions for a verifier to learn from, proofs, conjectures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from plaudit.engine.rendering import Encoder, Template, ensure_pad
from plaudit.errors import InputError
from plaudit.policy.online.experience import Collector, Experience
from plaudit.policy.rollout import LocalSampler, Question, Rollout, Sampling, questions_of
from plaudit.policy.scoring import Patience, Scorer
from plaudit.records.rows import PromptOnly
from plaudit.rewards.base import Reward
from plaudit.runs.log import DurableLog
from plaudit.runs.progress import Progress
from plaudit.training.policies.sampled import SAMPLED, sampled_column, vocabulary_hash


def asked(
    rows: Sequence[PromptOnly], *, model: str | Path, reward: Reward, sampling: Sampling, log: Path, key: str,
    seed: int = 0, max_length: int = 2048, patience: Patience | None = None,
    progress: Callable[..., Progress] = Progress, words: str = "sampling",
) -> Experience:  # fmt: skip
    """Completions of prompts by a policy, with their rewards, and with their tokens in the column `sampled_tokens`.

    Args:
        rows: prompts, with the references that the reward needs; the same prompt may stand there twice.
        model: folder or hub id of the policy.
        reward: what judges; what it cannot judge has no reward and says why.
        sampling: how.
        log: the file that keeps what was sampled and judged; asked again, it is read from there.
        key: hash of model, rows, reward and sampling: another's log is refused.
        seed: of sampling.
        max_length: most tokens of prompt and completion.
        patience: limits of a call of the reward.
        progress: makes the display.
        words: what the display says.

    Raises:
        InputError: if there are no rows, or one leaves no room for a completion.
        IntegrityError: if the log belongs to something else.
    """
    from plaudit.rewards.likelihood.language import LanguageModel

    if not rows:
        raise InputError("asking: there are no prompts; give at least one")
    language = LanguageModel.open(model, max_length=max_length, mode="padded")
    ensure_pad(language.tokenizer, language.model)
    positions = int(getattr(language.model.config.get_text_config(), "max_position_embeddings", 0) or max_length)
    encoder = Encoder(language.tokenizer, Template.foreign(language.tokenizer, max_length=min(max_length, positions)))
    kept, long = questions_of(rows, encoder, room=sampling.max_tokens)
    if long:
        raise InputError(
            f"asking: prompt {long[0] + 1} leaves no room for {sampling.max_tokens} tokens within "
            f"{encoder.template.max_length}; raise max_length, lower max_tokens, or leave it out"
        )
    questions = [Question(row, ids, f"{i}") for i, (row, ids) in enumerate(kept)]
    with progress(words, total=len(rows) * sampling.completions) as display, DurableLog(log, fingerprint=key) as paid:
        collect = Collector(
            LocalSampler(language.model, encoder), sampling, Scorer(reward, patience), watched={}, log=paid, seed=seed
        )
        found = collect(questions, progress=_counted(display))
    return with_tokens(found, vocabulary_hash(language.tokenizer))


def with_tokens(found: Experience, vocabulary: str) -> Experience:
    """The same with samples that carry the ids that were sampled, in the column `sampled_tokens`.

    Args:
        found: what was sampled.
        vocabulary: hash of the sampling tokenizer's, see `vocabulary_hash`.
    """
    rows = tuple(tuple(_carrying(one, vocabulary) for one in row) for row in found.rollouts)
    return replace(found, rollouts=rows)


def _carrying(rollout: Rollout, vocabulary: str) -> Rollout:
    column = sampled_column([(rollout.sample.text, rollout.completion_ids)], vocabulary)
    return replace(rollout, sample=replace(rollout.sample, meta={**rollout.sample.meta, SAMPLED: column}))


def _counted(display: Progress) -> Callable[[int], object]:
    """A count over all calls of a sampler, each of which counts from 0."""
    before, last = 0, 0

    def told(n: int) -> None:
        nonlocal before, last
        if n < last:
            before += last
        last = n
        display.update(before + n)

    return told


__all__ = ["asked", "with_tokens"]
