"""Contrast instructions: near prompts with their responses swapped [17].

A reward that reads the prompt puts each response above the other one at home, and below it abroad.

Differs from the paper: its two rates compare across prompts (C_ins), where a reward is only known up to a shift of each
prompt, or leave the general quality of a response in (C_res, which is one half for a reward that ignores the prompt).
The check is on the interaction `r(1, a) - r(1, b) + r(2, b) - r(2, a)`, in which both cancel; the paper's rates are
reported beside it. Ties count a half in all three, where the paper counts none (`contrast_rates(ties=0)`). Near prompts
are found by their words unless an embedding is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.attacks.ground import said, shown
from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.scored import Scored
from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Reward
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import proportion

Embed = Callable[[Sequence[str]], ArrayLike]
"""From texts to vectors (n, d)."""


@dataclass(frozen=True)
class Contrast:
    """Two near prompts, each with a good response of its own.

    Attributes:
        first: one prompt with its response.
        second: the other.
        similarity: cosine of the prompts.
    """

    first: Sample
    second: Sample
    similarity: float = float("nan")


@dataclass(frozen=True)
class ContrastRates:
    """What a reward makes of contrasts; ties count half.

    Attributes:
        responses: C_res, `mean [r(1, a) > r(1, b)]` over both prompts; a half where the prompt is ignored.
        instructions: C_ins, `mean [r(1, a) > r(2, a)]` over both responses; compares prompts, whose shifts are unknown.
        interaction: `mean [r(1, a) + r(2, b) > r(1, b) + r(2, a)]`, free of shifts of prompts and of responses.
        rewards: (m, 4) of (1, a), (1, b), (2, a), (2, b).
    """

    responses: Estimate
    instructions: Estimate
    interaction: Estimate
    rewards: NDArray[np.float64]


def near_prompts(
    pairs: Sequence[Pair], *, low: float = 0.5, high: float = 0.9, alike: float = 0.5, most: int = 2000,
    embed: Embed | None = None,
) -> list[Contrast]:  # fmt: skip
    """Contrasts from the pairs at hand: prompts that are near, not the same, and whose chosen completions differ.

    The nearest two prompts are taken first, and each prompt once, so that contrasts are independent.

    Args:
        pairs: pairs; of each prompt the first one is used.
        low: least cosine of two prompts.
        high: largest one; beyond, the same is asked in other words, and both responses fit.
        alike: most words that two responses may share, as a share of the words of either (Jaccard).
        most: prompts that are compared with each other.
        embed: vectors of prompts; term frequencies times inverse document frequencies of words by default.

    Raises:
        InputError: if `low` is not below `high`.

    Source: Shen et al. 2023, "The Trickle-down Impact of Reward (In-)consistency on RLHF" [17], who take embeddings
    between 0.75 and 0.9.
    """
    if not low < high:
        raise InputError(f"near_prompts: similarities from {low:g} to {high:g}; the first must be below the second")
    first: dict[str, Pair] = {}
    for pair in pairs:
        first.setdefault(prompt_key(pair), pair)
    rows = list(first.values())[:most]
    if len(rows) < 2:
        return []
    near = _cosines([shown(p.prompt) for p in rows], embed)
    words = [set(said(p.chosen).lower().split()) for p in rows]
    a, b = np.nonzero(np.triu((near >= low) & (near <= high), k=1))
    order = np.argsort(-near[a, b], kind="stable")
    used: set[int] = set()
    found = []
    for i, j in zip(a[order].tolist(), b[order].tolist(), strict=True):
        both = words[i] | words[j]
        if i in used or j in used or not both or len(words[i] & words[j]) > alike * len(both):
            continue
        used |= {i, j}
        found.append(Contrast(rows[i].samples()[0], rows[j].samples()[0], float(near[i, j])))
    return found


def _cosines(texts: Sequence[str], embed: Embed | None) -> NDArray[np.float64]:
    if embed is None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        # one-letter words and marks are words, too; texts without any would raise
        vectors: Any = TfidfVectorizer(token_pattern=r"\S+", lowercase=True).fit_transform([t or "-" for t in texts])
        return np.asarray((vectors @ vectors.T).toarray(), dtype=np.float64)
    table = np.asarray(embed(texts), dtype=np.float64)
    table = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return np.asarray(table @ table.T)


def contrast_rates(
    contrasts: Sequence[Contrast], reward: Reward, *, ties: float = 0.5, seed: int = 0, resamples: int = 2000
) -> ContrastRates:
    """The rates of [17] and the interaction; each contrast is one cluster.

    A reward that ignores the prompt ties in every comparison of prompts: its C_ins is `ties`, a half here, so that
    indifference looks like a coin, and 0 in the paper, which counts wins alone.

    Args:
        contrasts: m of them.
        reward: the reward; it scores both responses to both prompts in one call.
        ties: what a tie counts, in [0, 1]; 0 is the paper's strict comparison.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if ties are not within [0, 1].
    """
    if not 0 <= ties <= 1:
        raise InputError(f"contrast_rates: ties count {ties}; give 0 (strict), 0.5, or a number up to 1")
    samples = [
        replace(home, completion=answer.completion, group=f"contrast-{k}-{side}", steps=None)
        for k, c in enumerate(contrasts)
        for side, home in enumerate((c.first, c.second))
        for answer in (c.first, c.second)
    ]
    r = Scored.wrap(reward)(samples).reward.reshape(-1, 4)
    one = np.arange(len(r))
    two = np.concatenate([one, one])
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}

    def rate(x: NDArray[np.float64], clusters: NDArray[np.int64]) -> Estimate:
        return proportion(np.where(x == 0, ties, (np.sign(x) + 1) / 2), clusters, **options)

    return ContrastRates(
        responses=rate(np.concatenate([r[:, 0] - r[:, 1], r[:, 3] - r[:, 2]]), two),
        instructions=rate(np.concatenate([r[:, 0] - r[:, 2], r[:, 3] - r[:, 1]]), two),
        interaction=rate(_interaction(r), one),
        rewards=r,
    )


def _interaction(r: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.asarray(r[:, 0] - r[:, 1] + r[:, 3] - r[:, 2])
    # where the four cancel but for rounding, the prompt does nothing
    return np.where(np.abs(x) <= 1e-9 * np.abs(r).max(axis=1, initial=0.0), 0.0, x)


def contrast(
    pairs: Sequence[Pair], reward: Reward, *, contrasts: Sequence[Contrast] | None = None, least: int = 20,
    threshold: float = 0.6, seed: int = 0, resamples: int = 2000,
) -> Check:  # fmt: skip
    """How often swapping the responses of near prompts costs reward, as it should.

    A reward that ignores the prompt is at exactly one half, whatever it thinks of the responses; the threshold is ten
    points above.

    Args:
        pairs: held-out pairs, among which near prompts are looked for.
        reward: the reward to check.
        contrasts: near prompts of your own instead.
        least: contrasts below which nothing is said.
        threshold: share of contrasts, harmful below.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    name, says = "consistency/contrast", "share of near prompts whose swapped responses are worth less together"
    found = near_prompts(pairs) if contrasts is None else list(contrasts)
    if reward.scope == "batch":
        return not_measured(name, says, "the reward scores the whole batch together")
    if len(found) < least:
        why = f"the pairs have {len(found)} near prompts with different responses, and {least} are needed"
        return not_measured(name, says, why, fix="give more pairs, or contrasts of your own")
    rates = contrast_rates(found, reward, seed=seed, resamples=resamples)
    x = _interaction(rates.rewards)
    order = [int(i) for i in np.argsort(np.nan_to_num(x, nan=np.inf), kind="stable") if x[i] <= 0][:5]
    examples = tuple(
        Example(f"{shown(found[i].first.prompt)}\n---\n{shown(found[i].second.prompt)}", found[i].first.text,
                found[i].second.text, float(rates.rewards[i, [0, 3]].sum()), float(rates.rewards[i, [1, 2]].sum()),
                "rewards: sum of both prompts with their own response, and with the other's")
        for i in order
    )  # fmt: skip
    more = f"{says}; at one prompt {rates.responses.format(2)}, at one response {rates.instructions.format(2)}"
    return Check(
        name, more, rates.interaction, threshold, "below", examples, int(np.isnan(x).sum()),
        fix="Add pairs whose rejected completion is a good response to a near prompt, and train again.",
    )  # fmt: skip
