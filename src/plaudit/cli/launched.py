"""Several processes of one command, as `accelerate launch` starts them: the first speaks and holds the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from plaudit.errors import InputError


def first() -> bool:
    """Whether this is the process, of those that a launcher started, that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def alone(what: str) -> None:
    """Refuses what is done in one process.

    Args:
        what: begins the message.

    Raises:
        InputError: if a launcher started several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{what} works in one process, and a launcher started several; run the command without it")


@contextmanager
def held(out: str) -> Iterator[None]:
    """The run folder, for no two runs at once; of the processes of one run the first holds it for all."""
    from plaudit.runs.fresh import vacating
    from plaudit.runs.stages import Stages

    if first():
        with vacating(out), Stages(out, emit=None):
            yield
    else:
        yield
