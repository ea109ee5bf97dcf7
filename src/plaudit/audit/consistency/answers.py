"""Uncertainty where several answers are right [147]: that a question has many answers is no reason to be unsure of one.

Differs from the paper: it asks language models for lists; here a reward's own deviation (`RewardBatch.std`) is held
against whether its verdict was right, for questions with one and with several right answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.scored import Scored
from plaudit.errors import ShapeError
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Reward
from plaudit.stats.bootstrap import bootstrap_statistic
from plaudit.stats.selective import auroc

Floats = NDArray[np.float64]


def answer_entropy(answers: Sequence[str]) -> float:
    """Entropy of sampled answers, in nats: `-sum p log p` of their shares; log k for k answers alike often.

    Args:
        answers: one or more, already brought to one form (lower case, no marks).

    Source: Yang et al. 2024, "MAQA" [147].
    """
    counts = np.array(list(Counter(answers).values()), dtype=np.float64)
    p = counts / counts.sum()
    return float(abs(-(p * np.log(p)).sum()))


def answer_consistency(answers: Sequence[str]) -> float:
    """Chance that two different draws among sampled answers are equal, in [0, 1]; 1 for a single answer.

    `sum_a n_a (n_a - 1) / (n (n - 1))`.

    Args:
        answers: as `answer_entropy`.

    Source: Yang et al. 2024, "MAQA" [147].
    """
    n = len(answers)
    return sum(k * (k - 1) for k in Counter(answers).values()) / (n * (n - 1)) if n > 1 else 1.0


def several_answers(
    samples: Sequence[Sample], reward: Reward, correct: ArrayLike, answers: ArrayLike, *, threshold: float = 0.1,
    least: int = 20, seed: int = 0, resamples: int = 1000,
) -> Check:  # fmt: skip
    """How much worse the reward's deviation tells its wrong verdicts where several answers are right.

    `AUROC(questions with one right answer) - AUROC(questions with several)`, of `-std` for `correct`. The threshold is
    a tenth: a fifth of the way from a perfect AUROC to a coin's.

    Args:
        samples: what the reward judges.
        reward: a reward with `std`; others are grey.
        correct: (n,) 1 where its verdict was right, 0 where wrong, NaN where that is not known.
        answers: (n,) how many answers are right.
        threshold: difference of AUROC.
        least: samples of each kind (right and wrong together) below which nothing is said.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if `correct` or `answers` has not one entry a sample.

    Source: Yang et al. 2024, "MAQA" [147].
    """
    name, says = "consistency/several-answers", "fall of the AUROC of its deviation where several answers are right"
    right, count = np.asarray(correct, dtype=np.float64), np.asarray(answers, dtype=np.float64)
    if right.shape != (len(samples),) or count.shape != (len(samples),):
        raise ShapeError(f"several_answers: {right.shape} correct and {count.shape} answers for {len(samples)} samples")
    std = Scored.wrap(reward)(samples).std
    if std is None:
        return not_measured(name, says, "the reward gives no deviation", fix="audit a reward with std (ensemble/of)")
    return certainty_where_several(
        std, right, count, [prompt_key(s) for s in samples], threshold=threshold, least=least, seed=seed,
        resamples=resamples,
    )  # fmt: skip


def certainty_where_several(
    std: ArrayLike, correct: ArrayLike, answers: ArrayLike, prompts: Sequence[str], *, threshold: float = 0.1,
    least: int = 20, seed: int = 0, resamples: int = 1000,
) -> Check:  # fmt: skip
    """`several_answers` of deviations and verdicts that are there already.

    Args:
        std: (n,) deviation of each verdict, NaN where there is none.
        correct: (n,) 1 where it was right, 0 where wrong, NaN where that is not known.
        answers: (n,) how many answers are right.
        prompts: (n,) what intervals resample.
        threshold: difference of AUROC.
        least: verdicts of each kind below which nothing is said.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.
    """
    name, says = "consistency/several-answers", "fall of the AUROC of its deviation where several answers are right"
    deviation, right, count = (np.asarray(x, dtype=np.float64) for x in (std, correct, answers))
    known = np.isfinite(deviation) & np.isfinite(right)
    for which, many in (("one right answer", count == 1), ("several right answers", count > 1)):
        kinds = right[known & many]
        if kinds.size < least or len(set(kinds.tolist())) < 2:
            why = f"{kinds.size} samples with {which}, and {least} are needed, right and wrong ones among them"
            return not_measured(name, says, why)

    def fall(certainty: Floats, label: Floats, many: Floats) -> float:
        parts = [auroc(certainty[many == k], label[many == k]) if (many == k).any() else math.nan for k in (0, 1)]
        return parts[0] - parts[1]

    columns = [np.where(known, -deviation, np.nan), right, (count > 1).astype(np.float64)]
    evidence = bootstrap_statistic(fall, columns, prompts, seed=seed, resamples=resamples)
    return Check(name, says, evidence, threshold, left_out=int((~known).sum()),
                 fix="Separate noise of the data from the model's own (evidential heads, ensembles).")  # fmt: skip
