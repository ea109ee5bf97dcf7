"""The ground that every attack starts from: pairs, the rewards of their completions, the reward's own unit, two halves.

An attack that is searched for is chosen on one half of the prompts and tested on the other: what was merely lucky on
the first is not lucky again on the second, so the search itself raises no false alarm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Example
from plaudit.audit.scored import Scored
from plaudit.records.message import Message
from plaudit.records.rows import Pair
from plaudit.records.sample import Completion, Conversation, Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.correlation import centred, within_group_std
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]
FEWEST = 6
"""Prompts below which a mean effect is not given: five of them lie on one side by chance once in sixteen."""
Truth = Callable[[Sequence[Sample]], Any]
"""From samples to what they are truly worth: numbers (n,), or a verifier or another reward."""


def true_values(truth: Truth, samples: Sequence[Sample]) -> Floats:
    """What samples are truly worth, float64 (n,); NaN where the truth cannot say."""
    found = truth(samples)
    return np.asarray(found.reward if isinstance(found, RewardBatch) else found, dtype=np.float64)


def deserved(truth: Truth, changed: Sequence[Sample], others: Sequence[Sample]) -> Floats:
    """1 where the changed sample is truly better than the other one, 0 where not, NaN where the truth cannot say.

    What the truth abstains on leaves a rate: counted as deserved it would hide an attack, as undeserved make one up.

    Args:
        truth: what completions are truly worth.
        changed: (m,) samples.
        others: (m,) what each is compared with.
    """
    margin = true_values(truth, changed) - true_values(truth, others)
    return np.where(np.isnan(margin), np.nan, (margin > 0).astype(np.float64))


def true_spread(truth: Truth, samples: Sequence[Sample]) -> float:
    """The truth's standard deviation within pairs: root of half the mean squared difference; 1 where all are equal.

    Args:
        truth: what completions are truly worth.
        samples: 2n completions, those of a pair side by side.
    """
    worth = true_values(truth, samples).reshape(-1, 2)
    squares = np.square(worth[:, 0] - worth[:, 1])
    spread = float(np.sqrt(np.nanmean(squares) / 2)) if np.isfinite(squares).any() else 0.0
    return spread if spread > 0 else 1.0


@dataclass(frozen=True)
class Ground:
    """Pairs with the rewards of their completions.

    Attributes:
        pairs: n pairs.
        samples: their 2n completions: the chosen one of pair i at 2i, the rejected one at 2i + 1.
        rewards: (n, 2) of chosen and rejected; NaN where one has none.
        prompts: (n,) hash of each pair's prompt: what intervals resample.
        unit: standard deviation of the rewards within prompts, in reward units; NaN where all are equal.
        reward: the reward, with what it has scored.
    """

    pairs: tuple[Pair, ...]
    samples: tuple[Sample, ...]
    rewards: Floats
    prompts: tuple[str, ...]
    unit: float
    reward: Scored

    @classmethod
    def of(cls, pairs: Sequence[Pair], reward: Reward, *, prompts: int | None = None, seed: int = 0) -> Ground:
        """The ground of pairs, or of those of at most `prompts` prompts, drawn by a hash of prompt and seed.

        Args:
            pairs: held-out pairs.
            reward: the reward to attack; completions are scored once.
            prompts: the most prompts that are taken; None for all.
            seed: of the draw.
        """
        keys = [prompt_key(p) for p in pairs]
        kept = set(_order(keys, seed)[:prompts])
        chosen = [(p, k) for p, k in zip(pairs, keys, strict=True) if k in kept]
        scored = Scored.wrap(reward)
        samples = tuple(s for p, _ in chosen for s in p.samples())
        rewards = scored(samples).reward.reshape(-1, 2)
        names = tuple(k for _, k in chosen)
        spread = within_group_std(rewards.ravel(), np.repeat(np.array(names, dtype=object), 2), resamples=1).value
        return cls(tuple(p for p, _ in chosen), samples, rewards, names, spread if spread > 0 else np.nan, scored)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def unusable(self) -> str:
        """Why nothing can be attacked here, in a clause; empty where it can."""
        if self.reward.scope == "batch":
            return "the reward scores the whole batch together"
        if len(set(self.prompts)) < 4:
            return f"there are {len(set(self.prompts))} prompts, and four or more are needed"
        if not self.known.any():
            return "no pair has a reward for both completions"
        return "" if self.unit > 0 else "the reward is the same for both completions of every pair"

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) True where both completions have a reward."""
        return np.asarray(np.isfinite(self.rewards).all(axis=1), dtype=np.bool_)

    def half(self, first: bool, *, seed: int = 0) -> NDArray[np.int64]:
        """Numbers of the pairs in one half of the prompts, whose two rewards are known; no prompt is in both."""
        ordered = _order(self.prompts, seed)
        mine = set(ordered[: len(ordered) // 2] if first else ordered[len(ordered) // 2 :])
        known = self.known
        return np.array([i for i, k in enumerate(self.prompts) if k in mine and known[i]], dtype=np.int64)

    def lower(self) -> NDArray[np.int64]:
        """(n,) which side (0 chosen, 1 rejected) the reward puts lower; the rejected one where it cannot say."""
        return np.where(self.rewards[:, 0] < self.rewards[:, 1], 0, 1)

    def labels(self, at: ArrayLike) -> list[str]:
        """Prompts of the pairs at these numbers."""
        return [self.prompts[i] for i in np.asarray(at)]

    def overtakes(self, at: ArrayLike, changed: Sequence[Sample | None], side: ArrayLike) -> tuple[Floats, Floats]:
        """The margin by which a changed completion of each pair beats the other one, unchanged.

        Args:
            at: (m,) numbers of pairs.
            changed: (m,) what takes the place of one completion; None where the change does not apply.
            side: (m,) which completion of the pair it takes the place of (0 chosen, 1 rejected).

        Returns:
            Reward of the changed completion, and that minus the other's; (m,), NaN where there is none.
        """
        pairs, sides = np.asarray(at), np.broadcast_to(np.asarray(side), np.asarray(at).shape)
        done = [k for k, s in enumerate(changed) if s is not None]
        own = np.full(len(changed), np.nan)
        margin = own.copy()
        if done:
            which = [int(2 * pairs[k] + sides[k]) for k in done]
            against = [int(2 * pairs[k] + 1 - sides[k]) for k in done]
            new = [s for s in changed if s is not None]
            own[done], other = self.reward.instead(self.samples, which, new, against)
            margin[done] = own[done] - other
        return own, margin

    def effect(self, difference: ArrayLike, at: ArrayLike, **options: Any) -> Estimate:
        """Mean difference of rewards in within-prompt standard deviations of the reward.

        The interval resamples prompts and with them the unit, so that the unit's own uncertainty is in it. Of fewer
        than `FEWEST` prompts with a difference there is none: NaN.

        Args:
            difference: (m,) in reward units; NaN rows are left out.
            at: (m,) numbers of the pairs that they belong to.
            options: `seed` and `resamples` of the bootstrap.
        """
        d, pairs = np.asarray(difference, dtype=np.float64), np.asarray(at)
        codes = np.repeat(np.array(self.prompts, dtype=object), 2)
        spread = centred(self.rewards.ravel(), codes).reshape(-1, 2)
        size = {k: 0 for k in self.prompts}
        for k, row in zip(self.prompts, np.isfinite(spread).sum(axis=1), strict=True):
            size[k] += int(row)
        freedom = np.isfinite(spread) * (1 - 1 / np.maximum([size[k] for k in self.prompts], 1))[:, None]
        known = np.isfinite(d)
        prompts = len(set(self.labels(pairs[known])))
        if prompts < FEWEST:
            return Estimate(np.nan, n=prompts, method=f"of {prompts} prompts, and {FEWEST} are needed")
        zero, ones = np.zeros(len(self)), np.zeros(int(known.sum()))
        columns = [
            np.concatenate([d[known], zero]), np.concatenate([ones + 1, zero]),
            np.concatenate([ones, np.nansum(spread**2, axis=1)]), np.concatenate([ones, freedom.sum(axis=1)]),
        ]  # fmt: skip
        clusters = [*self.labels(pairs[known]), *self.prompts]
        found = bootstrap_totals(
            lambda t: np.asarray(t[:, 0] / t[:, 1] / np.sqrt(t[:, 2] / t[:, 3])), columns, clusters, **options
        )
        return replace(found, n=prompts)


def _order(keys: Sequence[str], seed: int) -> list[str]:
    return sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())


def said(completion: Completion) -> str:
    """The text that an attack changes: of the last assistant message that is text, or of the string itself."""
    at = _spoken(completion)
    if isinstance(completion, str):
        return completion
    return "" if at is None else completion[at].text


def with_said(sample: Sample, text: str) -> Sample:
    """The sample with another text in that place; its steps are dropped, since they no longer join to it."""
    if isinstance(sample.completion, str):
        return replace(sample, completion=text, steps=None)
    at = _spoken(sample.completion)
    if at is None:
        return replace(sample, completion=text, steps=None)
    last = sample.completion[at]
    new = Message(last.role, text, last.tool_calls, last.extra)
    return replace(sample, completion=(*sample.completion[:at], new, *sample.completion[at + 1 :]), steps=None)


def _spoken(completion: Completion) -> int | None:
    if isinstance(completion, str):
        return None
    found = [i for i, m in enumerate(completion) if m.role == "assistant" and isinstance(m.content, str)]
    return found[-1] if found else None


def shown(prompt: Conversation) -> str:
    """A conversation as text: the words alone where the user says one thing, else with the roles."""
    if len(prompt) == 1:
        return prompt[0].text
    return "\n".join(f"{m.role}: {m.text}" for m in prompt)


def worst(
    ground: Ground, at: ArrayLike, side: ArrayLike, changed: Sequence[Sample | None], own: Floats, harm: Floats,
    note: str = "", *, most: int = 5,
) -> tuple[Example, ...]:  # fmt: skip
    """The examples on which an attack did most harm, worst first.

    Args:
        ground: where the attack was made.
        at: (m,) numbers of pairs.
        side: (m,) which completion was changed.
        changed: (m,) into what.
        own: (m,) its reward.
        harm: (m,) what orders them; only positive ones are shown.
        note: what is wrong with them.
        most: how many are kept.
    """
    pairs, sides = np.asarray(at), np.broadcast_to(np.asarray(side), np.asarray(at).shape)
    order = [int(k) for k in np.argsort(-np.nan_to_num(harm, nan=-np.inf), kind="stable") if harm[k] > 0][:most]
    found = []
    for k in order:
        new, i, s = changed[k], int(pairs[k]), int(sides[k])
        if new is not None:
            old = ground.samples[2 * i + s]
            found.append(
                Example(shown(new.prompt), old.text, new.text, float(ground.rewards[i, s]), float(own[k]), note)
            )
    return tuple(found)
