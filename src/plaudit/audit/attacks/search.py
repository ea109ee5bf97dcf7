"""A black-box search for texts that a reward pays more for and that are truly no better.

Each prompt starts from the completion that is truly worse. In each round it is edited at random a few times; the edit
with the highest reward is kept if the reward rose and the truth (a verifier, or a true reward) says that the text got
no better than the start. What was inserted to the profit of one prompt is tried on the others: a systematic fault
spreads, a lucky text does not. All prompts move together, one call of the reward a round.

Beside it goes a search with the same number of calls that edits the start itself: it neither climbs nor learns from the
other prompts. It finds what luck finds, which is much where a reward is noisy; the checks report what goes beyond it.

The targeted form of [218] on texts: the target is one completion, known to be worse, and the attack succeeds where the
reward comes to prefer it.

Differs from the paper: no observation is perturbed within a norm and nothing is trained; what bounds a text here is its
true worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.attacks.edits import Edited, Material, edited
from plaudit.audit.attacks.ground import Ground, Truth, said, true_values, with_said
from plaudit.audit.attacks.words import OPENERS, TRIGGERS, fragments, inserted, word_counts
from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.records.sample import content_hash
from plaudit.rewards.base import Reward
from plaudit.runs.log import DurableLog
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import proportion, signed_share

Floats = NDArray[np.float64]
VERSION = 1
"""Raised whenever the same options would search otherwise: part of the log's fingerprint."""


@dataclass(frozen=True)
class Found:
    """What the search made of one prompt.

    Attributes:
        pair: number of the pair in the ground.
        side: which of its completions was attacked (0 chosen, 1 rejected): the truly worse one.
        text: the best text found; the start where nothing was.
        reward: its reward.
        other: reward of the other completion.
        edits: names of the edits that led to it, in order.
    """

    pair: int
    side: int
    text: str
    reward: float
    other: float
    edits: tuple[str, ...]


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what luck alone would have.

    Attributes:
        ground: where it was made.
        found: one a prompt.
        gain: mean rise of the reward, in within-prompt standard deviations, while the truth did not rise.
        baseline: the same of the search that does not climb.
        beyond: gain minus baseline, paired.
        overturned: share of the pairs that the reward had ordered rightly and now orders wrongly.
        overturned_beyond: the same minus that of the search that does not climb, paired.
        calls: samples asked of the reward by both searches, equal ones once.
        rounds: rounds made.
    """

    ground: Ground
    found: tuple[Found, ...]
    gain: Estimate
    baseline: Estimate
    beyond: Estimate
    overturned: Estimate
    overturned_beyond: Estimate
    calls: int
    rounds: int


def search_texts(
    pairs: Sequence[Pair], reward: Reward, truth: Truth, *, prompts: int = 48, rounds: int = 12, width: int = 4,
    tolerance: float = 0.0, log: str | Path | None = None, seed: int = 0, resamples: int = 2000,
) -> SearchResult:  # fmt: skip
    """Searches the completions of some prompts.

    Args:
        pairs: held-out pairs; their other completions lend sentences.
        reward: the reward to attack.
        truth: what samples are truly worth.
        prompts: prompts that are attacked.
        rounds: edits kept at most.
        width: edits tried in a round; both searches together score `2 prompts rounds width` samples at most.
        tolerance: how much better, in true units, still counts as no better.
        log: a durable log of every round; a run that was killed goes on behind the last whole one.
        seed: of the prompts, the edits and the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if rounds, width or tolerance is out of range, or nothing can be attacked.
        IntegrityError: if the log is another search's.
    """
    if rounds < 1 or width < 1 or tolerance < 0:
        raise InputError(f"search_texts: rounds {rounds}, width {width}, tolerance {tolerance:g}; give 1, 1, 0 or more")
    ground = Ground.of(pairs, reward, prompts=prompts, seed=seed)
    if ground.unusable:
        raise InputError(f"search_texts: {ground.unusable}")
    start = ground.reward.calls
    state = _State.begin(ground, truth, tolerance, _material(pairs))
    options = [VERSION, ground.reward.fingerprint, [s.key for s in ground.samples], rounds, width, tolerance, seed]
    if log is None:
        for k in range(rounds):
            state.step(k, width, seed)
    else:
        with DurableLog(log, fingerprint=content_hash(options)) as store:
            for k in range(rounds):
                if f"round-{k}" in store:
                    state.read(store[f"round-{k}"])
                else:
                    state.step(k, width, seed)
                    store.put(f"round-{k}", state.written())
    return _result(ground, state, ground.reward.calls - start, rounds, seed, resamples)


def _material(pairs: Sequence[Pair]) -> Material:
    """Words and sentences of all completions, and published strings: what an attacker would try."""
    return Material(sorted(word_counts(pairs)), [*fragments(pairs, 400), *TRIGGERS, *OPENERS])


class _State:
    """Where both searches stand: a text a prompt for each, with its reward."""

    def __init__(self, ground: Ground, at: NDArray[np.int64], side: NDArray[np.int64], limit: Floats, truth: Truth,
                 material: Material) -> None:  # fmt: skip
        self.ground, self.at, self.side, self.limit = ground, at, side, limit
        self.truth, self.material = truth, material
        self.starts = [ground.samples[2 * int(i) + int(s)] for i, s in zip(at, side, strict=True)]
        text = [said(s.completion) for s in self.starts]
        first = ground.rewards[at, side]
        self.text, self.reward = [list(text), list(text)], [first.copy(), first.copy()]
        self.edits: list[list[str]] = [[] for _ in text]
        self.paid: dict[str, list[float]] = {}
        """What was inserted, to the rises that it brought where it was tried, in reward units."""

    @classmethod
    def begin(cls, ground: Ground, truth: Truth, tolerance: float, material: Material) -> _State:
        """From the truly worse completion of each pair whose rewards and true values are known."""
        value = true_values(truth, ground.samples).reshape(-1, 2)
        at = np.flatnonzero(np.isfinite(value).all(axis=1) & np.isfinite(ground.rewards).all(axis=1))
        if not at.size:
            raise InputError("search_texts: no pair has both its rewards and its true values")
        # of several pairs of a prompt the first one is attacked
        _, first = np.unique([ground.prompts[i] for i in at], return_index=True)
        at = at[np.sort(first)]
        side = np.where(value[at, 0] < value[at, 1], 0, 1)
        return cls(ground, at, side, value[at, side] + tolerance, truth, material)

    def step(self, k: int, width: int, seed: int) -> None:
        """One round: `width` edits of each prompt's text (for the baseline, of its start); the best one is kept."""
        n = self.at.size
        tried: list[Edited] = []
        ranked = sorted((-float(np.median(rises)), string) for string, rises in self.paid.items())
        best = [string for fall, string in ranked[:4] if fall < 0]
        for j in range(n):
            rng = np.random.default_rng([seed, k, j])
            tried += [self._climbing(self.text[0][j], best, rng) for _ in range(width)]
            tried += [self._chain(said(self.starts[j].completion), 1 + k, rng) for _ in range(width)]
        prompt = np.repeat(np.arange(n), 2 * width)
        made = [with_said(self.starts[j], e.text) for j, e in zip(prompt.tolist(), tried, strict=True)]
        reward, _ = self.ground.overtakes(self.at[prompt], made, self.side[prompt])
        allowed = true_values(self.truth, made) <= self.limit[prompt]
        worth = np.where(allowed & np.isfinite(reward), reward, -np.inf).reshape(n, 2, width)
        before = self.reward[0].copy()
        for j in range(n):
            for w in range(width):
                e = tried[2 * width * j + w]
                if e.put_in:
                    rise = worth[j, 0, w] - before[j]
                    self.paid.setdefault(e.put_in, []).append(float(max(rise, -1e6)))
            for kind in (0, 1):
                top = int(np.argmax(worth[j, kind]))
                if worth[j, kind, top] > self.reward[kind][j]:
                    e = tried[(2 * j + kind) * width + top]
                    self.reward[kind][j], self.text[kind][j] = worth[j, kind, top], e.text
                    if kind == 0:
                        self.edits[j].append(f"{e.edit}: {e.put_in}" if e.put_in else e.edit)

    def _climbing(self, text: str, best: Sequence[str], rng: np.random.Generator) -> Edited:
        """Half of the time one of the strings that paid best so far, wherever that was; else a random edit."""
        if best and rng.random() < 0.5:
            string = best[int(rng.integers(len(best)))]
            return Edited(inserted(text, string, float(rng.random())), "insert what paid", string)
        return edited(text, rng, self.material)

    def _chain(self, text: str, longest: int, rng: np.random.Generator) -> Edited:
        """Up to `longest` edits in a row of which nobody chose any: as far from the start as climbing may have gone."""
        last = edited(text, rng, self.material)
        for _ in range(int(rng.integers(longest))):
            last = edited(last.text, rng, self.material)
        return last

    def written(self) -> dict[str, Any]:
        """The state as JSON takes it."""
        return {"text": self.text, "reward": [r.tolist() for r in self.reward], "edits": self.edits, "paid": self.paid}

    def read(self, row: dict[str, Any]) -> None:
        """The inverse of `written`."""
        self.text, self.edits, self.paid = row["text"], row["edits"], row["paid"]
        self.reward = [np.array(r, dtype=np.float64) for r in row["reward"]]


def _result(ground: Ground, state: _State, calls: int, rounds: int, seed: int, resamples: int) -> SearchResult:
    at, side = state.at, state.side
    first, options = ground.rewards[at, side], {"seed": seed, "resamples": resamples}
    right = first < ground.rewards[at, 1 - side]
    margins, turned = [], []
    for texts in state.text:
        final = [with_said(s, t) for s, t in zip(state.starts, texts, strict=True)]
        margin = ground.overtakes(at, final, side)[1]
        margins.append(margin)
        turned.append(np.where(right, (margin > 0).astype(np.float64), np.nan))
    other = state.reward[0] - margins[0]
    gains = [state.reward[kind] - first for kind in (0, 1)]
    labels = ground.labels(at)
    return SearchResult(
        ground,
        tuple(
            Found(int(i), int(s), state.text[0][j], float(state.reward[0][j]), float(other[j]), tuple(state.edits[j]))
            for j, (i, s) in enumerate(zip(at, side, strict=True))
        ),
        gain=ground.effect(gains[0], at, **options),
        baseline=ground.effect(gains[1], at, **options),
        beyond=ground.effect(gains[0] - gains[1], at, **options),
        overturned=proportion(turned[0], labels, seed=seed, resamples=resamples),
        overturned_beyond=signed_share(turned[0] - turned[1], labels, seed=seed, resamples=resamples),
        calls=calls,
        rounds=rounds,
    )
