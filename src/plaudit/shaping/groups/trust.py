"""How far a judge of the reasoning is trusted in a group: as far as it prefers the reasoning of right answers [96].

Differs from the released code: the reasoning of wrong answers is scored too. There it is taken as 0, which makes the
trust 1 whatever the judge says.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Grouped, Groups, Labels


def trust_weights(
    outcome: ArrayLike, thinking: ArrayLike, groups: Labels | Groups, *, threshold: float = 0.5
) -> Float[np.ndarray, " count"]:
    """`1` where right answers' thinking scores at least as high as wrong ones', else `exp(mean right - mean wrong)`.

    Args:
        outcome: (n,) of the answer; right from the threshold on; NaN where it is not known.
        thinking: (n,) in [0, 1], of the reasoning, also of wrong answers; NaN where it was not judged.
        groups: a label a sample.
        threshold: see `outcome`.

    Returns:
        A weight a group code, in (0, 1]; 0 where all known answers are right, or all wrong: nothing to compare.

    Raises:
        InputError: if a score of the thinking is outside [0, 1].

    Source: Fan et al. 2025, "SophiaVL-R1", Trust-GRPO, equation 5 [96].
    """
    o = Grouped.of("trust_weights", outcome, groups, thinking=thinking)
    t = np.asarray(thinking, dtype=np.float64)
    if (outside := (t < 0) | (t > 1)).any():
        raise InputError(f"trust_weights: thinking is {t[outside][0]}; give scores between 0 and 1, NaN for none")
    judged, means = ~np.isnan(t), []
    for those in ((o.value >= threshold) & judged, (o.value < threshold) & judged):
        n = np.bincount(o.groups.code, weights=those, minlength=o.groups.count)
        total = np.bincount(o.groups.code, weights=np.where(those, t, 0.0), minlength=o.groups.count)
        means.append(np.divide(total, n, out=np.full(o.groups.count, np.nan), where=n > 0))
    apart = means[0] - means[1]
    return np.where(np.isnan(apart), 0.0, np.exp(np.minimum(np.nan_to_num(apart), 0.0)))


def trusted_reward(
    outcome: ArrayLike, thinking: ArrayLike, groups: Labels | Groups, *, step: int, alpha: float = 0.3,
    decay_steps: float = 500.0, threshold: float = 0.5,
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """`outcome + trust * alpha * exp(-step / decay_steps) * thinking`.

    Args:
        outcome: see `trust_weights`; NaN stays NaN.
        thinking: see `trust_weights`; where it was not judged it adds nothing.
        groups: a label a sample.
        step: of training, from 0.
        alpha: weight at the start.
        decay_steps: after so many steps the weight is alpha / e.
        threshold: see `trust_weights`.

    Raises:
        InputError: if the step is negative, `decay_steps` not positive, or thinking outside [0, 1].

    Source: as `trust_weights`, equation 6.
    """
    if step < 0 or not decay_steps > 0:
        raise InputError(
            f"trusted_reward: step is {step} and decay_steps {decay_steps}; give step >= 0, the other above 0"
        )
    g = Groups.of(groups)
    trust = trust_weights(outcome, thinking, g, threshold=threshold)[g.code]
    added = trust * alpha * math.exp(-step / decay_steps) * np.nan_to_num(np.asarray(thinking, dtype=np.float64))
    return np.asarray(np.asarray(outcome, dtype=np.float64) + added)
