"""ToolRL's graded reward: format, names, parameters and values each count, so that near misses are told apart.

Differs from the paper: a parameter has several allowed values, compared as `call_matching` does and with its types; one
that may be left out is part of the wanted call only where the call gives it. Its ablations (coarse rewards, length,
schedules) are left to `combine`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from plaudit.rewards.verifiers.structure.call_matching import Wanted, optional, same_name, value_mismatch
from plaudit.rewards.verifiers.structure.calls import Call

_TAG = re.compile(r"</?(?:think|tool_call|response)>")
_ORDERS = {
    True: (["think", "tool_call"], ["think", "tool_call", "response"]),
    False: (["think", "response"],),
}


def jaccard(first: Iterable[str], second: Iterable[str]) -> float:
    """Overlap of two multisets: `sum min / sum max` over their counts; 1 where both are empty."""
    a, b = Counter(list(first)), Counter(list(second))
    union = sum((a | b).values())
    return sum((a & b).values()) / union if union else 1.0


def format_reward(text: str, *, calls: bool) -> float:
    """1 if the text is exactly `<think>..</think>` and then the parts of its turn, each once and in order; else 0.

    Args:
        text: the completion.
        calls: whether the turn is to make calls: then `<tool_call>` must follow, and `<response>` may; else
            `<response>` must.
    """
    tags = [m.group() for m in _TAG.finditer(text)]
    wanted = [[f"<{slash}{name}>" for name in order for slash in ("", "/")] for order in _ORDERS[calls]]
    if tags not in wanted:
        return 0.0
    ends = [m.end() for m in _TAG.finditer(text)]
    starts = [m.start() for m in _TAG.finditer(text)]
    inside = all(text[ends[i] : starts[i + 1]].strip() for i in range(0, len(tags), 2))
    between = [
        text[: starts[0]],
        *(text[ends[i] : starts[i + 1]] for i in range(1, len(tags) - 1, 2)),
        text[ends[-1] :],
    ]
    return float(inside and not any(part.strip() for part in between))


def correctness(calls: Sequence[Call], wanted: Sequence[Wanted]) -> float:
    """How near the calls come to the wanted ones.

    `R = 6 s / s_max - 3` with `s = J(names) + sum_gold (J(parameters) + #equal values)`, each wanted call beside the
    best unused call of its name, `s_max = 1 + sum_gold (1 + #parameters)`, and J the overlap of multisets.

    Args:
        calls: what the completion calls.
        wanted: what it should call.

    Returns:
        A value in [-3, 3], 3 exactly where all is equal; 0 where no call is wanted.

    Source: Qian et al. 2025, "ToolRL: Reward is All Tool Learning Needs".
    """
    if not wanted:
        return 0.0
    score = jaccard(_aligned_names(calls, wanted), [one.name for one in wanted])
    highest = 1.0
    unused = list(calls)
    for one in wanted:
        candidates = [c for c in unused if same_name(one.name, c.name)]
        best = max(candidates, key=lambda c, one=one: _near(c, one)[0], default=None)  # type: ignore[misc]
        points, parameters = _near(best, one)
        score += points
        highest += 1.0 + parameters
        if best is not None:
            unused.remove(best)
    return 6.0 * score / highest - 3.0


def _aligned_names(calls: Sequence[Call], wanted: Sequence[Wanted]) -> list[str]:
    """The names of the calls, spelled as the wanted ones where they name the same function."""
    return [next((one.name for one in wanted if same_name(one.name, c.name)), c.name) for c in calls]


def _near(call: Call | None, wanted: Wanted) -> tuple[float, int]:
    """Points of a call for its parameters and values, and how many parameters the wanted call has beside it."""
    given = call.arguments if call is not None else {}
    names = [name for name, values in wanted.allowed.items() if name in given or not optional(values)]
    if call is None:
        return 0.0, len(names)
    right = sum(
        value_mismatch(name, given[name], wanted.allowed[name], wanted.properties.get(name, {})) is None
        for name in names
        if name in given
    )
    return jaccard(given, names) + right, len(names)
