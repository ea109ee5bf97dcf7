"""Statistics within groups: a million rewards in a hundred thousand groups, beside a Python loop over the groups.

    python benchmarks/bench_group_statistics.py

The peer is the textbook's formula on each group's slice in NumPy, what most training loops have. The groups follow one
another and are of ten, as rollouts are; `ragged` has groups of up to 18 in random order. Labels are made into `Groups`
(and `Tasks`) once, as a loop does that asks for several statistics of a batch, and the first call is not timed. Ours
and the peer take turns, and medians of the process's own time on its one thread are compared: what other processes do
then matters less. `normalised_sum` and `lexicographic` read two rewards a sample, so two million. `win_rates` and
`pairwise` read a million comparisons of members of one group, the first against each other one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from plaudit.shaping import groups as G
from plaudit.shaping.combine import lexicographic_ranks, normalised_sum
from plaudit.shaping.transforms import group_ranks

N, COUNT, ROUNDS, EACH = 1_000_000, 100_000, 3, 5


Columns = dict[str, np.ndarray]


def _loop(formula: Callable[[Columns], np.ndarray]) -> Callable[[Columns, np.ndarray], np.ndarray]:
    def run(columns: Columns, group: np.ndarray) -> np.ndarray:
        order = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
        out, start = np.empty(group.size), 0
        for end in ends:
            at = order[start:end]
            out[at] = formula({name: column[at] for name, column in columns.items()})
            start = end
        return out

    return run


def _ranks(x: np.ndarray) -> np.ndarray:
    return (x.argsort().argsort() + 0.5) / x.size


def _trusted(right: np.ndarray, thinking: np.ndarray) -> np.ndarray:
    apart = thinking[right > 0.5].mean() - thinking[right < 0.5].mean() if 0 < right.sum() < right.size else np.nan
    trust = 0.0 if np.isnan(apart) else np.exp(min(apart, 0.0))
    return right + 0.3 * trust * thinking


def _brief(right: np.ndarray, length: np.ndarray) -> np.ndarray:
    kept = length[right > 0.5]
    if not kept.size:
        return np.zeros(right.size)
    scale = kept.std()
    z = (length - kept.mean()) / scale if scale > 0 else np.zeros(right.size)
    return np.where(right > 0.5, 1 - 0.6 * expit(z), 0.0)


def _stretched(x: np.ndarray) -> np.ndarray:
    wide = np.clip((x + 1.0) / 2.0, 0.0, 1.0)
    m = max(0.0, 1 - wide.std() / 0.1)
    return (1 - m) * wide + m * _ranks(x)


def _lexicographic(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    place = np.empty(first.size)
    place[np.lexsort((second, first))] = np.arange(first.size)
    return (place + 0.5) / first.size


def _won(p: np.ndarray) -> np.ndarray:
    return np.concatenate([[p[1:].mean()], 1 - p[1:]])


def _stronger(p: np.ndarray) -> np.ndarray:
    d, n = p[1:] - 0.5, p.size
    scale = np.sqrt(2 * (d**2).sum() / (2 * n * (n - 1)) + 1e-6)
    return np.concatenate([[d.sum()], -d]) / (n * scale)


STRETCH, SEEN = G.Stretch(ends=(-1.0, 1.0)), G.TaskDeviations(moments={"task": (0.0, 1.0)})
Made = tuple[G.Groups, G.Tasks, np.ndarray, np.ndarray]
"""Groups; tasks; the pairs that a judge was asked about; and what it said of them."""
Statistic = tuple[Callable[[Columns, Made], np.ndarray], Callable[[Columns], np.ndarray], tuple[str, ...]]
"""Ours; the loop's formula; and the columns that both read."""

STATISTICS: dict[str, Statistic] = {
    "mean_only": (lambda c, m: G.mean_only(c["r"], m[0]), lambda c: c["r"] - c["r"].mean(), ("r",)),
    "leave_one_out": (
        lambda c, m: G.leave_one_out(c["r"], m[0]),
        lambda c: (c["r"] - c["r"].mean()) * (c["r"].size / max(c["r"].size - 1, 1)), ("r",),
    ),
    "standardised": (
        lambda c, m: G.standardised(c["r"], m[0]),
        lambda c: (c["r"] - c["r"].mean()) / (c["r"].std(ddof=1) + 1e-4), ("r",),
    ),
    "ranks": (lambda c, m: group_ranks(c["r"], m[0]), lambda c: _ranks(c["r"]), ("r",)),
    "best_worst": (
        lambda c, m: G.best_worst_weights(c["r"], m[0]),
        lambda c: (c["r"] == c["r"].max()) / 2.0 + (c["r"] == c["r"].min()) / 2.0, ("r",),
    ),
    "power": (lambda c, m: G.power_weights(c["r"], m[0]), lambda c: c["r"] ** 2 / (c["r"] ** 2).sum(), ("r",)),
    "trusted": (
        lambda c, m: G.trusted_reward(c["right"], c["thinking"], m[0], step=0),
        lambda c: _trusted(c["right"], c["thinking"]), ("right", "thinking"),
    ),
    "brevity": (
        lambda c, m: G.brevity_reward(c["right"], c["length"], m[0]),
        lambda c: _brief(c["right"], c["length"]), ("right", "length"),
    ),
    "efficient": (
        lambda c, m: G.efficient_reward(c["right"], c["length"], m[0], share=1.0),
        lambda c: _brief(c["right"], c["length"]), ("right", "length"),
    ),
    "tasks": (
        lambda c, m: SEEN.advantages(c["r"], m[0], m[1]), lambda c: (c["r"] - c["r"].mean()) / (1.0 + 1e-6), ("r",)
    ),
    "stretch": (lambda c, m: STRETCH(c["r"], m[0]), lambda c: _stretched(c["r"]), ("r",)),
    "normalised_sum": (
        lambda c, m: normalised_sum(c["two"], m[0]),
        lambda c: ((c["two"] - c["two"].mean(axis=0)) / (c["two"].std(axis=0, ddof=1) + 1e-4)).sum(axis=1), ("two",),
    ),
    "lexicographic": (
        lambda c, m: lexicographic_ranks(c["two"], m[0]), lambda c: _lexicographic(*c["two"].T), ("two",)
    ),
    "win_rates": (
        lambda _, m: G.group_win_rates(m[3], m[2], n=len(m[0])), lambda c: _won(c["thinking"]),
        ("thinking",),
    ),
    "pairwise": (
        lambda _, m: G.pairwise_advantages(m[3] - 0.5, m[2], m[0]),
        lambda c: _stronger(c["thinking"]), ("thinking",),
    ),
}  # fmt: skip


def _timed(run: Callable[[], np.ndarray], repetitions: int) -> tuple[list[float], np.ndarray]:
    times, found = [], np.empty(0)
    for _ in range(repetitions):
        started = time.process_time()
        found = run()
        times.append(time.process_time() - started)
    return times, found


def main() -> None:
    """Prints milliseconds of each statistic, and the ratio to the loop in the same run."""
    rng = np.random.default_rng(0)
    right = (rng.random(N) < 0.5).astype(np.float64)
    columns = {
        "r": rng.normal(size=N), "right": right, "thinking": rng.random(N),
        "length": rng.integers(10, 500, N).astype(np.float64), "two": np.round(rng.normal(size=(N, 2)), 3),
    }  # fmt: skip
    sizes = rng.integers(2, 19, COUNT)
    cases = {
        "tens": np.repeat(np.arange(COUNT), N // COUNT),
        "ragged": rng.permutation(np.repeat(np.arange(COUNT), sizes))[:N],
    }
    print(f"{'statistic':<16}{'groups':<10}{'ms':>8}{'loop ms':>10}{'ratio':>8}")
    with threadpool_limits(1):
        for case, group in cases.items():
            data = {name: column[: group.size] for name, column in columns.items()}
            asked = _asked(group)
            made = (G.Groups.of(group), G.Tasks.of(["task"] * group.size), asked, data["thinking"][asked[:, 1]])
            for name, (ours, formula, read) in STATISTICS.items():
                some, loop = {key: data[key] for key in read}, _loop(formula)
                ours(some, made)
                fast, slow = [], []
                for _ in range(ROUNDS):
                    times, found = _timed(lambda ours=ours, c=some, m=made: ours(c, m), EACH)
                    fast += times
                    times, expected = _timed(lambda loop=loop, c=some, g=group: loop(c, g), 1)
                    slow += times
                _check(name, case, found, expected)
                ms, loop_ms = 1e3 * statistics.median(fast), 1e3 * statistics.median(slow)
                print(f"{name:<16}{case:<10}{ms:>8.1f}{loop_ms:>10.0f}{loop_ms / ms:>8.1f}", flush=True)


def _asked(group: np.ndarray) -> np.ndarray:
    """The first of each group against each other one, (m, 2)."""
    order = np.argsort(group, kind="stable")
    new = np.flatnonzero(np.diff(group[order], prepend=-1))
    first = np.repeat(order[new], np.diff(np.append(new, order.size)))
    rest = np.setdiff1d(np.arange(order.size), new, assume_unique=True)
    return np.stack([first[rest], order[rest]], axis=1)


def _check(name: str, case: str, found: np.ndarray, expected: np.ndarray) -> None:
    if name == "normalised_sum":  # the loop stops before the batch's own deviation, which is one number for all
        expected = (expected - expected.mean()) / (expected.std(ddof=1) + 1e-4)
    if case == "tens":
        if name == "lexicographic":  # the loop gives ties places of their own
            assert np.mean(np.abs(found - expected) < 1e-9) > 0.99
        else:
            assert np.allclose(found, expected, atol=1e-9), name
    elif name == "ranks":  # a group of one, which ragged ones may have, has no deviation
        assert np.allclose(found, expected, atol=1e-9), name


if __name__ == "__main__":
    main()
