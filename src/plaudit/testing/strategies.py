"""Hypothesis strategies for what rewards take and give. Needs the `hypothesis` package."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from plaudit.records.message import Message
from plaudit.records.rows import Pair
from plaudit.records.sample import Completion, Conversation, Sample
from plaudit.rewards.base import Outcome, RewardBatch

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NUMBERS = st.floats(-1e6, 1e6)


def conversations() -> st.SearchStrategy[Conversation]:
    """Prompts: perhaps a system message, then user and assistant in turn, the user last."""

    def build(system: str | None, texts: list[str]) -> Conversation:
        last = len(texts) - 1
        turns = [Message("user" if (last - i) % 2 == 0 else "assistant", text) for i, text in enumerate(texts)]
        return (*(() if system is None else (Message("system", system),)), *turns)

    return st.builds(build, st.none() | st.text(max_size=20), st.lists(st.text(max_size=30), min_size=1, max_size=4))


def completions() -> st.SearchStrategy[Completion]:
    """Completions: text, or messages that begin with the assistant."""
    tail = st.lists(
        st.builds(Message, st.sampled_from(["tool", "user", "assistant"]), st.text(max_size=20)), max_size=2
    )
    messages = st.builds(lambda first, rest: (Message("assistant", first), *rest), st.text(max_size=30), tail)
    return st.text(max_size=40) | messages


def meta(*reserved: str) -> st.SearchStrategy[dict[str, object]]:
    """Metadata: any JSON under names that no format uses as a column.

    Args:
        reserved: further names to leave out.
    """
    names = st.text(min_size=1, max_size=8).map(lambda name: "x" + name).filter(lambda name: name not in reserved)
    return st.dictionaries(names, _JSON, max_size=3)


def samples() -> st.SearchStrategy[Sample]:
    """Samples with anything that they may have; steps join to the completion."""

    def build(
        prompt: Conversation,
        parts: list[str],
        stepwise: bool,
        reply: Completion,
        extra: dict[str, object],
        reference: object,
        group: str | None,
    ) -> Sample:
        steps = tuple(parts) if stepwise else None
        return Sample(prompt, "".join(parts) if stepwise else reply, reference, group, steps, extra)

    parts = st.lists(st.text(max_size=10), min_size=1, max_size=4)
    return st.builds(
        build,
        conversations(),
        parts,
        st.booleans(),
        completions(),
        meta(),
        _JSON,
        st.none() | st.text(max_size=5),
    )


def pairs() -> st.SearchStrategy[Pair]:
    """Preference pairs with anything that they may have."""
    number = st.none() | _NUMBERS
    annotator = st.none() | st.text(max_size=5)
    return st.builds(Pair, conversations(), completions(), completions(), number, number, number, annotator, meta())


def reward_batches(max_size: int = 8) -> st.SearchStrategy[RewardBatch]:
    """Batches of mixed outcomes with whichever optional columns.

    Args:
        max_size: largest number of rewards.
    """

    @st.composite
    def build(draw: st.DrawFn) -> RewardBatch:
        n = draw(st.integers(0, max_size))
        outcome = np.array(draw(st.lists(st.sampled_from(Outcome), min_size=n, max_size=n)), dtype=np.int8)
        values = draw(st.lists(_NUMBERS, min_size=n, max_size=n))
        reward = np.array([v if o <= Outcome.POLICY_FAULT else math.nan for v, o in zip(values, outcome, strict=True)])
        column = st.none() | st.lists(st.floats(0, 10), min_size=n, max_size=n).map(np.array)
        names = draw(st.lists(st.sampled_from(["helpful", "honest", "brief"]), unique=True, max_size=3))
        return RewardBatch(
            reward.reshape(n),
            outcome.reshape(n),
            std=draw(column),
            noise=draw(column),
            members=np.array(values)[:, None] + np.arange(3.0) if n and draw(st.booleans()) else None,
            aspects={name: np.array(values, dtype=np.float64) for name in names},
            steps=tuple(np.arange(float(i % 3)) for i in range(n)) if draw(st.booleans()) else None,
            detail=tuple({"index": i} for i in range(n)),
        )

    return build()
