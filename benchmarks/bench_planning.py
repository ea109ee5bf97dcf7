"""Planner cost: seconds that `plan_rows` takes for a batch of about 100,000 raw tokens, a raw token.

No peer runs here; the target is absolute (0.2 microseconds). The prefix trees of all rows are built in that
time too.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from common import Cells, Workload, arguments, show, spread, summary, target, timed

BATCHES = {"pairs": 2, "8 completions a prompt": 8}
RAW = 100_000


def main() -> None:
    parser = arguments("bench_planning.py", repetitions=7)
    parser.add_argument("--budget", type=int, default=8192, help="distinct tokens a row")
    opts = parser.parse_args()
    cells = Cells("bench_planning", opts)
    table = [["batch of 100k raw tokens", "microseconds a raw token", "rows", "target"]]
    rows: dict[str, Any] = {}
    for name, size in BATCHES.items():
        shape = {"workload": asdict(Workload()), "size": size, "budget": opts.budget}
        found = cells.measure(shape, lambda seed, n=size: repetition(n, seed, budget=opts.budget))
        cost = summary([c["seconds"] / c["raw"] * 1e6 for c in found])
        count = summary([c["rows"] for c in found])
        table.append([name, spread(cost, 3), spread(count, 0), target(cost["value"], 0.2, at_most=True)])
        rows[name] = cost
    show(f"Planning rows of {opts.budget} distinct tokens", table)
    cells.finish(rows, {"budget": opts.budget, "raw": RAW})


def repetition(size: int, seed: int, *, budget: int) -> dict[str, float]:
    """The median of five plans of one batch."""
    from plaudit.engine import plan_rows

    groups: list[Any] = []
    raw = 0
    for group in Workload().groups(RAW // 100, size, seed=seed):
        if raw >= RAW:
            break
        groups.append(group)
        raw += sum(int(s.size) for s in group)
    planned = plan_rows(groups, budget=budget)
    seconds = summary([timed(lambda: plan_rows(groups, budget=budget)) for _ in range(5)])["value"]
    return {"seconds": seconds, "raw": float(raw), "rows": float(len(planned))}


if __name__ == "__main__":
    main()
