"""What a run says, and when it stops, because completions have no reward."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from plaudit.errors import PlauditError
from plaudit.rewards.base import RewardBatch

ALARM = 0.05
"""Share of a batch without a reward from which on a warning is logged."""
LONGEST = 10
"""Batches without any reward after which a run stops."""
_logger = logging.getLogger(__name__)


def alarmed(reward: RewardBatch, before: int, faults: Iterable[str]) -> int:
    """Says when completions of a batch have no reward, and stops the run when none has had one for long.

    Args:
        reward: of the batch.
        before: batches without any reward just before this one.
        faults: what went wrong, in words.

    Returns:
        Batches without any reward, this one included; 0 where it has one.

    Raises:
        PlauditError: at the tenth.
    """
    lost = 1 - float(reward.valid.mean())
    count = before + 1 if lost == 1 else 0
    if lost >= ALARM:
        _logger.warning("%.0f%% of %d completions have no reward", 100 * lost, len(reward))
    if count >= LONGEST:
        told = "; ".join(faults) or "it abstains"
        raise PlauditError(
            f"align: no completion of the last {LONGEST} batches has a reward ({told[:300]}); mend the reward "
            "and start again in another folder"
        )
    return count


__all__ = ["alarmed"]
