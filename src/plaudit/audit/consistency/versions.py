"""The same pair in another version: paraphrased, translated, with its parts in another order. Its winner must stay.

Versions come from a function of the user's or from a column of the rows; nothing here makes them, for a version that
changes the meaning would measure the meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.attacks.ground import shown
from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.scored import Scored
from plaudit.errors import InputError
from plaudit.records.fields import completion_field, prompt_field, shortened
from plaudit.records.message import Message
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Comparison, Reward
from plaudit.stats.intervals import proportion

Floats = NDArray[np.float64]
Rephrase = Callable[[Pair], Pair | None]
"""From a pair to the same pair in other words; None where it has no other version."""


def versions_of(pairs: Sequence[Pair], column: str) -> list[Pair | None]:
    """The version of each pair that a meta column holds; None where it holds none.

    Args:
        pairs: pairs.
        column: its cells are a text (the last user message in other words) or an object with any of `prompt`, `chosen`
            and `rejected`, each as a row of pairs has it.

    Raises:
        InputError: if a cell is something else; it names the column and the pair's prompt.
    """
    return [_version(pair, pair.meta.get(column), column) for pair in pairs]


def _version(pair: Pair, cell: object, column: str) -> Pair | None:
    try:
        return _read(pair, cell)
    except InputError as error:
        prompt = shortened(pair.prompt[-1].text if pair.prompt else "")
        raise InputError(f"column {column!r} of the pair with prompt {prompt}: {error}") from error


def _read(pair: Pair, cell: object) -> Pair | None:
    if cell is None or cell == "":
        return None
    if isinstance(cell, str):
        at = max((i for i, m in enumerate(pair.prompt) if m.role == "user"), default=None)
        if at is None:
            return replace(pair, prompt=conversation(cell))
        last = Message("user", cell, pair.prompt[at].tool_calls, pair.prompt[at].extra)
        return replace(pair, prompt=(*pair.prompt[:at], last, *pair.prompt[at + 1 :]))
    if isinstance(cell, Mapping) and cell and set(cell) <= {"prompt", "chosen", "rejected"}:
        prompt = prompt_field(cell) if "prompt" in cell else pair.prompt
        chosen = completion_field(cell, "chosen") if "chosen" in cell else pair.chosen
        rejected = completion_field(cell, "rejected") if "rejected" in cell else pair.rejected
        return replace(pair, prompt=prompt, chosen=chosen, rejected=rejected)
    raise InputError(f"holds {shortened(cell)}; give a text, or an object with prompt, chosen or rejected")


def margins(pairs: Sequence[Pair], target: Reward | Comparison) -> Floats:
    """Reward of chosen minus rejected, or the log-odds that a comparison gives to chosen; NaN where there is none.

    Args:
        pairs: n pairs.
        target: a reward, or a comparison (asked in both orders; the mean of the two).
    """
    sides = [p.samples() for p in pairs]
    if isinstance(target, Reward):
        # each pair is a group of its own: another pair of its prompt may be a version of it
        flat = [replace(s, group=f"pair-{i}") for i, side in enumerate(sides) for s in side]
        r = Scored.wrap(target)(flat if target.scope == "group" else [s for side in sides for s in side]).reward
        return np.asarray(r[0::2] - r[1::2])
    first, second = [a for a, _ in sides], [b for _, b in sides]
    p = (target(first, second).probability + 1 - target(second, first).probability) / 2
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(p) - np.log1p(-p))


def invariance(
    pairs: Sequence[Pair], versions: Sequence[Pair | None], target: Reward | Comparison, *, name: str,
    clear: float = 0.2, least: int = 20, threshold: float = 0.1, seed: int = 0, resamples: int = 2000,
) -> Check:  # fmt: skip
    """Share of clear pairs whose winner changes in the other version.

    Margins are compared, not scores: a version of the prompt may shift all of its rewards, which means nothing. A pair
    is clear where its margin is at least `clear` within-prompt standard deviations, so that near ties, which any noise
    turns, do not count. Under Gaussian rewards a version that adds noise of 0.2 deviations to each reward turns 3% of
    them, of 0.5 deviations 11%; the threshold is between.

    Args:
        pairs: n pairs.
        versions: (n,) each pair's version, or None.
        target: a reward or a comparison.
        name: of the check, without `consistency/`.
        clear: least margin, in within-prompt standard deviations.
        least: clear pairs with a version below which nothing is said.
        threshold: share of the clear pairs.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if there is not one version (or None) a pair.
    """
    if len(pairs) != len(versions):
        raise InputError(f"invariance: {len(versions)} versions for {len(pairs)} pairs; give one (or None) a pair")
    full, says = f"consistency/{name}", f"share of clear pairs whose winner changes in another version ({name})"
    have = [i for i, v in enumerate(versions) if v is not None]
    if not have:
        return not_measured(full, says, "no pair has another version", fix=f"give a column or a function for {name}")
    if isinstance(target, Reward) and target.scope == "batch":
        return not_measured(full, says, "the reward scores the whole batch together")
    both = margins([*(pairs[i] for i in have), *(v for v in versions if v is not None)], target)
    before, after = both[: len(have)], both[len(have) :]
    # two independent rewards of one prompt differ by sqrt 2 deviations
    unit = float(np.sqrt(np.nanmean(before**2) / 2)) if np.isfinite(before).any() else np.nan
    if not unit > 0:
        return not_measured(full, says, "the reward is the same for both completions of every pair")
    known = np.isfinite(before) & np.isfinite(after) & (np.abs(before) >= clear * unit)
    if known.sum() < least:
        why = f"{int(known.sum())} clear pairs have another version, and {least} are needed"
        return not_measured(full, says, why)
    turned = np.where(known, (1 - np.sign(before) * np.sign(after)) / 2, np.nan)
    harm = np.where(turned == 1, np.abs(before - after), 0.0)
    order = [int(i) for i in np.argsort(-np.nan_to_num(harm), kind="stable") if harm[i] > 0][:5]
    examples = []
    for i in order:
        old, new = pairs[have[i]], versions[have[i]] or pairs[have[i]]
        examples.append(
            Example(shown(old.prompt), old.samples()[0].text, f"{shown(new.prompt)}\n---\n{new.samples()[0].text}",
                    float(before[i]), float(after[i]), "rewards: margin of chosen over rejected")
        )  # fmt: skip
    labels = [prompt_key(pairs[i]) for i in have]
    return Check(
        full, says, proportion(turned, labels, seed=seed, resamples=resamples), threshold, examples=tuple(examples),
        left_out=len(pairs) - int(known.sum()), fix="Add the versions to the training pairs, and train again.",
    )  # fmt: skip


def paraphrase(pairs: Sequence[Pair], target: Reward | Comparison, rephrase: Rephrase, **options: object) -> Check:
    """`invariance` under a function of the user's, as `consistency/paraphrase`.

    Args:
        pairs: held-out pairs.
        target: a reward or a comparison.
        rephrase: gives each pair in other words, or None.
        options: as `invariance`.
    """
    return invariance(pairs, [rephrase(p) for p in pairs], target, name="paraphrase", **options)  # type: ignore[arg-type]
