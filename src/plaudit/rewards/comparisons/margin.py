"""A comparison out of a reward and a calibration: the difference of two rewards as a probability.

It is transitive, as every comparison by one number is; what it adds to the reward is what a difference means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import PreferenceBatch, Reward
from plaudit.rewards.calibrators.base import Calibrator
from plaudit.rewards.calibrators.reading import calibration_of, stated_margin
from plaudit.rewards.comparisons.calibrated import calibrated_preferences


@final
class MarginComparison:
    """P(the first is better) from a reward's margin through a calibrator.

    Outcomes: where either side does not count, the pair takes the worse of the two outcomes and its probability is NaN;
    a policy fault contributes its floor, as it does in the reward. A conformal set that holds both labels is the
    reward's honest "I cannot say": `ABSTAINED`.

    `std` is half the width of a Venn-Abers interval: the deviation of a probability that is one end or the other with
    equal chances. `detail` has the stated `margin`, the `interval` where there is one, and the conformal `set`.

    Args:
        of: the reward; each side is scored as a sample of its own.
        calibrator: fitted to margins of this reward on held-out pairs.
        name: short and stable; the reward's name with the method's by default.
    """

    def __init__(self, of: Reward, calibrator: Calibrator, *, name: str = "") -> None:
        if of.scope != "sample":
            raise InputError(f"compare/margin: {of.name} scores a whole {of.scope} together; give a reward of samples")
        self.reward, self.calibrator = of, calibrator
        self.name = name or f"{of.name}-{calibrator.method}"

    @property
    def fingerprint(self) -> str:
        """Hash of the reward's and of the calibrator's numbers."""
        from plaudit._json import to_json

        return content_hash([self.reward.fingerprint, self.calibrator.method, to_json(self.calibrator)])

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Compares pairs; both sides are scored in one call, so that pairs of a prompt are truncated alike.

        Raises:
            ShapeError: if there are not as many second samples as first ones.
        """
        if len(first) != len(second):
            raise ShapeError(f"{self.name}: {len(first)} first and {len(second)} second samples; pairs need as many")
        n = len(first)
        both = self.reward([*first, *second])
        margin = stated_margin(self.reward, both.reward[:n], both.reward[n:])
        # the values of Outcome rise in the order in which a combination takes the worse one
        worse = np.maximum(both.outcome[:n], both.outcome[n:])
        detail = [{"margin": float(m)} if m == m else {} for m in margin]
        return calibrated_preferences(self.calibrator, margin, worse, detail)


def open_margin(of: str | Mapping[str, Any]) -> MarginComparison:
    """`compare/margin`: a calibrated reward as a comparison.

    Args:
        of: reference of a model folder that `plaudit calibrate` has been run on.

    Raises:
        InputError: if the reward has no calibration.
    """
    from plaudit.rewards.registry import load

    reward = load(of)
    found = calibration_of(reward)
    if found is None:
        raise InputError(f"compare/margin: {of} has no calibration; run plaudit calibrate PAIRS --reward {of} first")
    return MarginComparison(reward, found.calibrator)
