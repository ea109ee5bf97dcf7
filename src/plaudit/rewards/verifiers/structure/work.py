"""How much work one answer may cause: steps are counted and searches are timed, wherever the validation has got to.

A schema that refers to itself inside `anyOf` doubles the work with each level of an answer, and its patterns may
backtrack without end on what an answer holds. Steps are counted rather than timed, so that the same answer always has
the same outcome; only the search for a pattern needs a clock.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from plaudit.rewards.verifiers.text.patterns import Ran, search

STEPS = 250_000
"""Keywords that may be applied to parts of one answer."""
SECONDS = 0.4
"""Processor time for all patterns of one answer."""


class Exhausted(Exception):
    """An answer causes more work than any may; the message is the reason."""


class MachineTooSlow(Exception):
    """A search ran out of time, and so did the canary."""


@dataclass
class Work:
    """What is left for one answer.

    Attributes:
        steps: keywords that may still be applied.
        seconds: processor time that is left for patterns.
    """

    steps: int = STEPS
    seconds: float = SECONDS
    _seen: dict[tuple[str, str], bool] = field(default_factory=dict)

    def step(self) -> None:
        """Counts one keyword.

        Raises:
            Exhausted: if none is left.
        """
        self.steps -= 1
        if self.steps < 0:
            raise Exhausted(f"validating it takes more than {STEPS} steps")

    def matches(self, pattern: str, text: str) -> bool:
        """Whether a pattern is found in a text.

        Raises:
            Exhausted: if the text makes the search endless, or all searches together take too long.
            MachineTooSlow: if the machine is at fault.
        """
        key = (pattern, text)
        if key in self._seen:
            return self._seen[key]
        if self.seconds <= 0.0:
            raise Exhausted(f"searching it for the schema's patterns takes more than {SECONDS:g} seconds")
        start = time.thread_time()
        found = search(pattern, text, timeout=max(0.05, self.seconds / 4))
        self.seconds -= time.thread_time() - start
        if found.ran is Ran.SLOW_MACHINE:
            raise MachineTooSlow("the canary of the pattern search ran out of time as well")
        if found.ran is Ran.EXPLODED:
            raise Exhausted(f"searching it for the pattern {pattern[:80]!r} does not end")
        if len(text) < 100 and len(self._seen) < 10_000:
            self._seen[key] = found.ran is Ran.MATCHED
        return found.ran is Ran.MATCHED


def account() -> Work:
    """What is left for the answer that is validated here; a fresh account where none is kept."""
    return WORK.get(None) or Work()


WORK: ContextVar[Work] = ContextVar("plaudit_json_schema_work")
"""The account of the answer that this context validates."""
