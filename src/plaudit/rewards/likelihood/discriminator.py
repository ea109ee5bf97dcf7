"""A policy discriminator: how like a reference trajectory is a candidate?

A scalar reward model whose prompt carries the reference. It is pre-trained to tell completions of one policy from those
of another, which needs no annotator, and fine-tuned on (prompt, reference, chosen, rejected). Both kinds of data are
ordinary pairs once the reference stands in the prompt, so the trainer of pairs trains it: `plaudit train`.

Differs from the paper: the reference stands in the user's turn, between marks, in place of a model's own format with a
reward token; the score is read where this library's scalar models read theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Completion, Conversation, Sample, completion_text, content_hash, conversation
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.likelihood.outcomes import Scale, assembled, fault, no_room
from plaudit.rewards.likelihood.questions import filled
from plaudit.rewards.likelihood.yes import references_of
from plaudit.rewards.uncertainty.ensemble import combined_outcomes

WORDING = "{prompt}\n\n[a reference answer]\n{reference}\n[end of the reference answer]"
"""What the last turn of the user's becomes."""
CUT = "with this completion the reference is longer than max_length"


def carrying(prompt: Conversation, reference: Completion, *, wording: str = WORDING) -> Conversation:
    """The prompt with a reference trajectory in its last user turn (in a turn of its own where it ends otherwise).

    Args:
        prompt: the conversation.
        reference: a completion of it.
        wording: holds {prompt} and {reference}.

    Raises:
        InputError: if the wording lacks one of the two.
    """
    if "{prompt}" not in wording or "{reference}" not in wording:
        raise InputError(f"discriminator: wording is {wording!r}; it holds {{prompt}} and {{reference}}")
    ends = bool(prompt) and prompt[-1].role == "user"
    asked = prompt[-1].text if ends else ""
    told = filled(wording, {"prompt": asked, "reference": completion_text(reference)}).strip()
    return (*(prompt[:-1] if ends else prompt), Message("user", told))


def triple(
    prompt: Conversation | str, reference: Completion, chosen: Completion, rejected: Completion, *,
    wording: str = WORDING,
) -> Pair:  # fmt: skip
    """(prompt, reference, chosen, rejected) as a pair that the trainer of pairs takes."""
    return Pair(carrying(conversation(prompt), reference, wording=wording), chosen, rejected)


def triples_of(rows: Sequence[Ranked], *, wording: str = WORDING) -> list[Pair]:
    """Fine-tuning rows: of each ranking the best as the reference, the second chosen, the third rejected.

    Raises:
        InputError: if a ranking has fewer than three completions, or its second and third are tied.
    """
    found = []
    for i, row in enumerate(rows):
        order = np.argsort([-s for s in row.scores], kind="stable")
        if len(order) < 3 or row.scores[order[1]] == row.scores[order[2]]:
            raise InputError(
                f"discriminator: row {i + 1}: scores {list(row.scores)}; a triple needs three completions, of which "
                "the second and the third differ"
            )
        best, second, third = (row.completions[j] for j in order[:3])
        found.append(triple(row.prompt, best, second, third, wording=wording))
    return found


def pretraining_pairs(
    samples: Sequence[Sample], policies: Sequence[str], *, seed: int, wording: str = WORDING
) -> list[Pair]:
    """Pre-training rows: reference and chosen by one policy, rejected by another, all to one prompt.

    For each prompt and each policy with two completions of it, one row against a completion of a policy drawn at random
    from the others.

    Args:
        samples: completions, several a prompt.
        policies: who wrote each of them.
        seed: of the draws.
        wording: see `carrying`.

    Raises:
        InputError: if there is not one policy a sample, or no prompt has two completions of one policy and one of
            another.
    """
    if len(policies) != len(samples):
        raise InputError(f"discriminator: {len(policies)} policies for {len(samples)} samples; give one each")
    rng = np.random.default_rng(seed)
    asked = [content_hash([m.to_dict() for m in s.prompt]) for s in samples]
    order = sorted(range(len(samples)), key=lambda i: asked[i])
    found = []
    for _, members in groupby(order, key=lambda i: asked[i]):
        by: dict[str, list[int]] = {}
        for i in members:
            by.setdefault(policies[i], []).append(i)
        found += _rows(by, samples, rng, wording)
    if not found:
        raise InputError(
            "discriminator: no prompt has two completions of one policy and one of another; sample each policy twice"
        )
    return found


def _rows(by: Mapping[str, list[int]], samples: Sequence[Sample], rng: np.random.Generator, wording: str) -> list[Pair]:
    rows = []
    for name, mine in by.items():
        others = [i for other, members in by.items() if other != name for i in members]
        if len(mine) < 2 or not others:
            continue
        a, b = (mine[int(k)] for k in rng.permutation(len(mine))[:2])
        c = others[int(rng.integers(len(others)))]
        rows.append(
            triple(
                samples[a].prompt, samples[a].completion, samples[b].completion, samples[c].completion, wording=wording
            )
        )
    return rows


@final
class DiscriminatorReward:
    """A scalar model's reward of (prompt, reference, candidate), averaged over a sample's references.

    With one reference all that the model says is passed on; of several, rewards, members, aspects and deviations are
    averaged (of deviations that is the most that theirs can be), and steps and tokens left out. A model of text is to
    read the reference whole, for what truncation leaves of it would be another reference: a
    candidate with which it does not fit is a `POLICY_FAULT`; where it would not fit with an empty one either, the
    sample is an abstention.

    Args:
        of: the scalar model, trained on such rows.
        wording: as in training.
        name: short and stable.
    """

    def __init__(self, of: Reward, *, wording: str = WORDING, name: str = "discriminator") -> None:
        self.of, self.wording, self.name = of, wording, name

    @property
    def scope(self) -> Scope:
        """The model's."""
        return self.of.scope

    @property
    def bounds(self) -> tuple[float, float]:
        """The model's."""
        return self.of.bounds

    @property
    def fingerprint(self) -> str:
        """Hash of the model's and the wording."""
        return content_hash(["likelihood/discriminator", 2, self.of.fingerprint, self.wording])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples; one reference whose reward does not count makes the sample's not count, with its outcome.

        A policy fault contributes the floor; it is the sample's outcome where all its references say so.

        Raises:
            InputError: if a sample has no reference completion.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        references = [references_of(i, s) for i, s in enumerate(samples)]
        asked = [
            replace(s, prompt=carrying(s.prompt, r, wording=self.wording))
            for s, rows in zip(samples, references, strict=True) for r in rows
        ]  # fmt: skip
        batch = self._read(asked)
        ends = np.cumsum([len(rows) for rows in references])
        return RewardBatch.concat([_mean(batch.take(mine)) for mine in np.split(np.arange(len(batch)), ends[:-1])])

    def _read(self, asked: Sequence[Sample]) -> RewardBatch:
        """The model's rewards; of those whose reference it cannot read whole, what that is."""
        batch = self.of(asked)
        cut = [i for i, told in enumerate(batch.detail) if _truncated(told)]
        found = {i: self._cut(asked[i]) for i in cut}
        lost = {i: one for i, one in found.items() if one is not None}
        if not lost:
            return batch
        # candidates of a prompt are truncated alike: what was cut is read again without those that are too long
        again = [i for i in cut if i not in lost]
        rest = [i for i in range(len(asked)) if i not in found]
        whole = [batch.take(np.array(rest, dtype=np.int64)), self.of([asked[i] for i in again]), *lost.values()]
        return RewardBatch.concat([b for b in whole if len(b)]).take(np.argsort([*rest, *again, *lost]))

    def _cut(self, sample: Sample) -> RewardBatch | None:
        """What a sample is whose reference loses words to `max_length`; None where only older turns do."""
        turn = (*(m for m in sample.prompt[:-1] if m.role == "system"), sample.prompt[-1])
        told = {"tools": sample.meta.get("tools"), "kwargs": sample.meta.get("chat_template_kwargs")}
        encoders = [e for e in _encoders(self.of) if e.encode(turn, sample.completion, **told).cut]
        if not encoders:
            return None
        never = any(e.encode(turn, "", **told).cut for e in encoders)
        return assembled(
            [no_room("the question with its reference") if never else fault(CUT)], Scale(floor=self.bounds[0])
        )


def _encoders(reward: Any) -> list[Any]:
    """What renders text for a reward: its own encoder, or those of the rewards that it is made of."""
    if hasattr(reward, "encoder"):
        return [reward.encoder]
    parts = [
        *getattr(reward, "rewards", ()),
        *(getattr(reward, name) for name in ("reward", "of") if hasattr(reward, name)),
    ]
    return [encoder for part in parts for encoder in _encoders(part)]


def _truncated(told: Mapping[str, Any]) -> bool:
    """Whether a detail, or that of a member, says that text was cut off."""
    return bool(told.get("cut")) or any(_truncated(member) for member in told.get("members", ()))


def _mean(batch: RewardBatch) -> RewardBatch:
    """One sample's batch from that of its references."""
    if len(batch) == 1:
        return batch
    outcome = combined_outcomes(batch.outcome[:, None])
    faulty = (batch.outcome == Outcome.POLICY_FAULT) & (outcome[0] == Outcome.SCORED)

    def mean(column: Floats | None, of_fault: float = 0.0) -> Floats | None:
        """Over the references; of one that the policy is at fault for, this number."""
        if column is None:
            return None
        filled = np.where(faulty.reshape(-1, *[1] * (column.ndim - 1)), of_fault, column)
        return np.asarray(filled.mean(axis=0, keepdims=True))

    floor = float(batch.reward[faulty][0]) if faulty.any() else 0.0
    aspects = {name: values[~faulty].mean(keepdims=True) for name, values in batch.aspects.items()}
    return RewardBatch(
        batch.reward.mean(keepdims=True), outcome, std=mean(batch.std), noise=mean(batch.noise),
        members=mean(batch.members, floor), aspects=aspects,
        detail=({"references": [dict(told) for told in batch.detail]},),
    )  # fmt: skip


def discriminator(model: str) -> DiscriminatorReward:
    """The reward that `likelihood/discriminator` names.

    Args:
        model: a scalar reward model that was trained on rows with references, as `plaudit.load` takes it.
    """
    from plaudit.rewards.registry import load

    return DiscriminatorReward(load(model))
