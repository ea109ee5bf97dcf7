"""Statistics within groups: a million rewards in a hundred thousand groups, beside a Python loop over the groups.

    python benchmarks/bench_group_statistics.py

The peer is the textbook's formula on each group's slice in NumPy, what most training loops have. The groups follow one
another and are of ten, as rollouts are; `ragged` has groups of up to 18 in random order. Labels are made into `Groups`
once, as a loop does that asks for several statistics of a batch, and the first call is not timed. Ours and the peer
take turns, and medians of the process's own time on its one thread are compared: what other processes do then matters
less.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from plaudit.shaping import groups as G
from plaudit.shaping.transforms import group_ranks

N, COUNT, ROUNDS, EACH = 1_000_000, 100_000, 3, 5


def _loop(formula: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def run(reward: np.ndarray, group: np.ndarray) -> np.ndarray:
        order = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
        out, start = np.empty(reward.size), 0
        for end in ends:
            at = order[start:end]
            out[at] = formula(reward[at])
            start = end
        return out

    return run


def _ranks(x: np.ndarray) -> np.ndarray:
    return (x.argsort().argsort() + 0.5) / x.size


STATISTICS: dict[str, tuple[Callable[..., np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "mean_only": (G.mean_only, lambda x: x - x.mean()),
    "leave_one_out": (G.leave_one_out, lambda x: (x - x.mean()) * (x.size / max(x.size - 1, 1))),
    "standardised": (G.standardised, lambda x: (x - x.mean()) / (x.std(ddof=1) + 1e-4)),
    "ranks": (group_ranks, _ranks),
    "best_worst": (G.best_worst_weights, lambda x: (x == x.max()) / 2.0 + (x == x.min()) / 2.0),
    "power": (G.power_weights, lambda x: x**2 / (x**2).sum()),
}


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
    reward = rng.normal(size=N)
    sizes = rng.integers(2, 19, COUNT)
    cases = {
        "tens": np.repeat(np.arange(COUNT), N // COUNT),
        "ragged": rng.permutation(np.repeat(np.arange(COUNT), sizes))[:N],
    }
    print(f"{'statistic':<16}{'groups':<10}{'ms':>8}{'loop ms':>10}{'ratio':>8}")
    with threadpool_limits(1):
        for case, group in cases.items():
            r, made = reward[: group.size], G.Groups.of(group)
            for name, (ours, formula) in STATISTICS.items():
                loop = _loop(formula)
                ours(r, made)
                fast, slow = [], []
                for _ in range(ROUNDS):
                    times, found = _timed(lambda ours=ours, r=r, g=made: ours(r, g), EACH)
                    fast += times
                    times, expected = _timed(lambda loop=loop, r=r, g=group: loop(r, g), 1)
                    slow += times
                if case == "tens" or name == "ranks":  # a group of one, which ragged ones may have, has no deviation
                    assert np.allclose(found, expected, atol=1e-9), name
                ms, loop_ms = 1e3 * statistics.median(fast), 1e3 * statistics.median(slow)
                print(f"{name:<16}{case:<10}{ms:>8.1f}{loop_ms:>10.0f}{loop_ms / ms:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
