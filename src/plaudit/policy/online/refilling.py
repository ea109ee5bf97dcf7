"""Dynamic sampling: further prompts for those that have nothing to teach, until a step has as many as it asks [DAPO].

Everything that was sampled stays in the batch, in the metrics and in `samples.jsonl`; what the algorithm leaves out of
its loss it leaves out there. Further prompts are drawn from all others of the run, not taken from the next batch, so
that a step does not change what later ones ask.

Source: Yu et al. 2025, "DAPO: An Open-Source LLM Reinforcement Learning System at Scale", section 3.2.

Differs from the paper: a round asks as many prompts as are missing, where the paper's asks a whole batch and drops what
is too much; rounds are bounded, and a batch may stay short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from plaudit.policy.advantages.filtering import idle_groups
from plaudit.policy.online.experience import Experience, joined
from plaudit.policy.online.lessons import correct_of
from plaudit.policy.online.state import Asked, State
from plaudit.rewards.base import Outcome

Collect = Callable[[Sequence[Asked]], Experience]
"""From entries of the schedule to their completions with rewards."""


def refilled(
    asked: Sequence[Asked], collect: Collect, more: Iterator[Asked], *, rounds: int, state: State,
    bounds: tuple[float, float],
) -> tuple[Experience, dict[str, float]]:  # fmt: skip
    """The completions of a step's prompts, and of further ones in place of those that have nothing to teach.

    Args:
        asked: by the step.
        collect: samples and scores, or reads from the run's log what was sampled and scored before.
        more: further prompts, in order.
        rounds: most rounds of them.
        state: of the run: its transforms and its estimator say what has something to teach.
        bounds: of the reward before transforms.

    Returns:
        All of them as one batch; and numbers to watch: `refilled` (prompts asked besides), `idle` (share of all prompts
        with nothing to teach), `short` (prompts that are still missing); no numbers without rounds.
    """
    found, extra = collect(asked), 0
    if not rounds:
        return found, {}
    idle = idle_of(found, state, bounds)
    for _ in range(rounds):
        wanted = [*islice(more, int(idle.sum()) - extra)]
        if not wanted:
            break
        found = joined([found, collect(wanted)])
        extra += len(wanted)
        idle = idle_of(found, state, bounds)
    return found, {"refilled": extra, "idle": float(idle.mean()), "short": int(idle.sum()) - extra}


def idle_of(experience: Experience, state: State, bounds: tuple[float, float]) -> NDArray[np.bool_]:
    """Whether each question of a batch is known to have nothing to teach, see `idle_groups`.

    Args:
        experience: the batch.
        state: before it.
        bounds: of the reward before transforms.
    """
    shaped = state.shaped(experience.reward, experience.samples)
    lost = np.isin(experience.reward.outcome, (Outcome.TIMED_OUT, Outcome.INSTRUMENT_FAULT))
    return idle_groups(
        state.method.estimator, shaped.reward, experience.groups, lost=lost,
        correct=correct_of(experience.reward.reward, bounds),
    )  # fmt: skip


__all__ = ["idle_of", "refilled"]
