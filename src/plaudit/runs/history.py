"""What a run has logged, read again: which of its updates began with a batch of completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def batches_of(history: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Of what was logged, that of updates which began with a batch of completions.

    A batch all of whose completions have lost their reward has outcomes, and no reward.

    Args:
        history: a mapping a logged step, as `metrics.jsonl` has them.

    Returns:
        Those with a reward or an outcome, in order; none of a run that scores nothing.
    """
    return [row for row in history if any(name == "reward" or name.startswith("outcome/") for name in row)]


__all__ = ["batches_of"]
