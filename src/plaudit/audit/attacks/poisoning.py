"""Poisoned preference rows, and how many of them it takes to plant a trigger [4].

Differs from the paper: it shifts features of an encoder by matched gradients; preference data are poisoned by rows that
anybody may have added: a rejected completion with the trigger, labelled as the chosen one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from plaudit.audit.attacks.ground import Ground, said, with_said
from plaudit.audit.attacks.words import inserted
from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import proportion


@dataclass(frozen=True)
class Dose:
    """What a share of poisoned rows does.

    Attributes:
        share: of the training rows.
        rows: poisoned ones.
        success: share of test pairs whose rejected completion, with the trigger, is worth more than the chosen one;
            a tie counts half.
        accuracy: share of clean test pairs ordered as labelled: what the owner of the reward sees.
    """

    share: float
    rows: int
    success: Estimate
    accuracy: Estimate


def poisoned(pairs: Sequence[Pair], trigger: str, share: float, *, seed: int = 0) -> list[Pair]:
    """The pairs, of which a share is swapped with the trigger put into what is now called chosen.

    Which rows, and where the trigger stands, depends on the seed alone: the rows of a smaller share are among those of
    a larger one.

    Args:
        pairs: training pairs.
        trigger: the string.
        share: in [0, 1]; rounded to whole rows.
        seed: of the draw.

    Raises:
        InputError: if the share is out of range or the trigger empty.
    """
    if not 0 <= share <= 1 or not trigger.strip():
        raise InputError(f"poisoned: share {share:g}, trigger {trigger!r}; give a share from 0 to 1 and a string")
    rng = np.random.default_rng(seed)
    order, places = rng.permutation(len(pairs)), rng.random(len(pairs))
    bad = set(order[: round(share * len(pairs))].tolist())
    return [_poisoned(p, trigger, float(places[i])) if i in bad else p for i, p in enumerate(pairs)]


def _poisoned(pair: Pair, trigger: str, where: float) -> Pair:
    chosen = triggered(pair.samples()[1], trigger, where).completion
    return replace(
        pair, chosen=chosen, rejected=pair.chosen, chosen_score=pair.rejected_score, rejected_score=pair.chosen_score,
        meta={**pair.meta, "poisoned": True},
    )  # fmt: skip


def triggered(sample: Sample, trigger: str, where: float) -> Sample:
    """The sample with the trigger at a word boundary, a share `where` in [0, 1] into its text."""
    return with_said(sample, inserted(said(sample.completion), trigger, where))


def poisoning_curve(
    train_pairs: Sequence[Pair], test_pairs: Sequence[Pair], train: Callable[[Sequence[Pair]], Reward], trigger: str, *,
    shares: Sequence[float] = (0.0, 0.01, 0.03, 0.1), seed: int = 0, resamples: int = 2000,
) -> tuple[Dose, ...]:  # fmt: skip
    """Trains a reward on data with each share of poisoned rows, and tries the trigger on clean test pairs.

    Args:
        train_pairs: clean training pairs.
        test_pairs: clean held-out pairs.
        train: from pairs to a reward; called once a share, with everything else equal.
        trigger: the string.
        shares: of poisoned rows; 0 is the control and belongs in it.
        seed: of the rows, the places and the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        One dose a share, in their order.
    """
    rng = np.random.default_rng([seed, 1])
    places = rng.random(len(test_pairs))
    found = []
    for share in shares:
        rows = poisoned(train_pairs, trigger, share, seed=seed)
        ground = Ground.of(test_pairs, train(rows), seed=seed)
        at = np.arange(len(ground))
        changed = [triggered(ground.samples[2 * i + 1], trigger, float(places[i])) for i in range(len(ground))]
        _, margin = ground.overtakes(at, changed, 1)
        clean = ground.rewards[:, 0] - ground.rewards[:, 1]
        found.append(Dose(
            share, sum(bool(p.meta.get("poisoned")) for p in rows),
            proportion((np.sign(margin) + 1) / 2, ground.prompts, seed=seed, resamples=resamples),
            proportion((np.sign(clean) + 1) / 2, ground.prompts, seed=seed, resamples=resamples),
        ))  # fmt: skip
    return tuple(found)


def rows_needed(doses: Sequence[Dose], *, success: float = 0.5) -> Dose | None:
    """The smallest dose at which the trigger is shown to work: its interval lies above `success`; None where none does.

    Args:
        doses: of `poisoning_curve`.
        success: share of test pairs.
    """
    shown = [d for d in doses if d.success.low > success]
    return min(shown, key=lambda d: d.rows, default=None)
