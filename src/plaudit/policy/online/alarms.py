"""What a run says, and when it stops, because completions have no reward."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from plaudit.errors import PlauditError

ALARM = 0.05
"""Share of a batch without a reward from which on a warning is logged."""
LONGEST = 10
"""Batches without any reward after which a run stops."""
_logger = logging.getLogger(__name__)


def alarmed(known: int, total: int, before: int, faults: Mapping[str, int], *, aloud: bool = True) -> int:
    """Says when completions of a batch have no reward, and stops the run when none has had one for long.

    Args:
        known: completions of the batch that have a reward, in all processes.
        total: completions of the batch.
        before: batches without any reward just before this one.
        faults: what went wrong, in words, and for how many completions.
        aloud: whether to log a warning: one of several processes does.

    Returns:
        Batches without any reward, this one included; 0 where it has one.

    Raises:
        PlauditError: at the tenth.
    """
    lost = 1 - known / total
    count = 0 if known else before + 1
    if lost >= ALARM and aloud:
        _logger.warning("%.0f%% of %d completions have no reward", 100 * lost, total)
    if count >= LONGEST:
        told = "; ".join(faults) or "it abstains"
        raise PlauditError(
            f"align: no completion of the last {LONGEST} batches has a reward ({told[:300]}); mend the reward "
            "and start again in another folder"
        )
    return count


__all__ = ["alarmed"]
