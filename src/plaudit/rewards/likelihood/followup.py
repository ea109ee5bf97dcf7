"""Follow-up likelihood: a good answer makes a content user's next words likely, and a discontent one's unlikely.

Differs from the paper: nothing in the formula; the categories weigh alike, and their values are the reward's aspects.
A token counts where it holds a letter of the follow-up's: where a tokenizer makes the space before it a token of its
own, that one does not. The paper's further training of the model on users' turns is left to `plaudit align`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.sample import Sample, completion_messages, content_hash
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.likelihood.followups import SHIPPED, FollowUps, follow_up_reward, read_follow_ups
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.outcomes import TOO_LONG, Found, Scale, assembled, fault, no_room
from plaudit.rewards.likelihood.spans import Located, locate_group
from plaudit.rewards.models import by_prompt


@final
class FollowUpReward:
    """Mean over categories of `mean log p(positive) - mean log p(negative)`, per token of the follow-up, in nats.

    A sample is one tree: its conversation and completion are run once, and every follow-up is a branch. An empty
    completion is judged by what users would say to it; one with which a follow-up does not fit is a `POLICY_FAULT`, and
    where it would not fit after an empty one either, the sample is an abstention.

    Args:
        model: whose likelihood it is.
        follow_ups: sets by category; the shipped ones by default.
        scale: from score to reward.
        name: short and stable.
    """

    scope: Scope = "sample"

    def __init__(
        self, model: LanguageModel, follow_ups: Mapping[str, FollowUps] = SHIPPED, *, scale: Scale | None = None,
        name: str = "follow-up",
    ) -> None:  # fmt: skip
        if not follow_ups:
            raise InputError("likelihood/follow-up: there are no categories; give at least one")
        self.model, self.follow_ups, self.name = model, dict(follow_ups), name
        self.scale = scale or Scale()

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity."""
        return self.scale.floor, float("inf")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model's weights and template, the follow-ups and the floor."""
        sets = {name: asdict(f) for name, f in self.follow_ups.items()}
        return content_hash(["likelihood/follow-up", 2, self.model.fingerprint, sets, asdict(self.scale)])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples."""
        if not samples:
            return RewardBatch(np.zeros(0))
        said = [f for sets in self.follow_ups.values() for f in (*sets.positive, *sets.negative)]
        located = self._located(samples, said)
        read = self.model.read([one for row in located for one in row])
        rows = [read[i : i + len(said)] for i in range(0, len(read), len(said))]
        means = [[r.logps.mean() for r in row if r is not None and r.logps.size] for row in rows]
        unread = [i for i, each in enumerate(means) if len(each) < len(said)]
        empty = dict(
            zip(unread, self._located([replace(samples[i], completion="") for i in unread], said), strict=True)
        )
        found = [
            self._found(np.array(each)) if i not in empty
            else no_room("a follow-up") if any(one is None for one in empty[i])
            else fault(TOO_LONG)
            for i, each in enumerate(means)
        ]  # fmt: skip
        return assembled(found, self.scale)

    def _located(self, samples: Sequence[Sample], said: Sequence[str]) -> list[list[Located | None]]:
        """For each sample its follow-ups, each after the whole conversation; samples of a prompt truncated alike."""
        found: list[list[Located | None]] = [[] for _ in samples]
        for group in by_prompt(samples)[0]:
            first = samples[group[0]]
            branches = [(*completion_messages(samples[i].completion), Message("user", f)) for i in group for f in said]
            located = locate_group(
                self.model.encoder, first.prompt, branches, end=False, last=True, tools=first.meta.get("tools"),
                kwargs=first.meta.get("chat_template_kwargs"),
            )  # fmt: skip
            for at, i in enumerate(group):
                found[i] = located[at * len(said) : (at + 1) * len(said)]
        return found

    def _found(self, per_token: np.ndarray) -> Found:
        aspects: dict[str, float] = {}
        at = 0
        for name, sets in self.follow_ups.items():
            p, n = len(sets.positive), len(sets.negative)
            positive, negative = per_token[None, at : at + p], per_token[None, at + p : at + p + n]
            aspects[name] = float(follow_up_reward(positive, negative)[0])
            at += p + n
        return Found(float(np.mean(list(aspects.values()))), aspects=aspects)


def follow_up(model: str, follow_ups: str = "", floor: float = -100.0, max_length: int = 2048) -> FollowUpReward:
    """The reward that `likelihood/follow-up` names.

    Args:
        model: folder or hub id of a causal LM.
        follow_ups: YAML file of sets; empty for the shipped ones.
        floor: lowest reward.
        max_length: longest sequence in tokens.
    """
    sets = read_follow_ups(follow_ups) if follow_ups else SHIPPED
    return FollowUpReward(LanguageModel.open(model, max_length=max_length), sets, scale=Scale(floor=floor))
