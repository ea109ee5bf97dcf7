"""Reward-model training on lists of 8 completions a prompt, seconds a step: their 28 pairs, and their order.

Plaudit computes one prefix tree. TRL gets the list as 28 pairs in a batch. The stronger peer is plain transformers: the
eight completions in one padded forward, and the same loss. Bradley-Terry over all pairs first, then Plackett-Luce over
the order, which TRL does not have: its pairs stand for it. Losses of the first step must agree to 1e-4 where they are
the same.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from typing import Any

from common import Cells, Workload, arguments, ratio_row, show, spread, summary, target, tokens

SIDES = {"ours": "Plaudit, one tree", "plain": "transformers, 8 in one forward", "trl": "TRL, 28 pairs"}
TARGETS = {"bradley-terry": {"trl": 15.0, "plain": 2.5}, "plackett-luce": {"trl": 10.0, "plain": 2.5}}


def main() -> None:
    parser = arguments("bench_training_lists.py", repetitions=5)
    parser.add_argument("--steps", type=int, default=2, help="timed steps (prompts) a side and repetition")
    parser.add_argument("--warm", type=int, default=1, help="steps before them, not timed")
    parser.add_argument("--completions", type=int, default=8, help="completions a prompt")
    opts = parser.parse_args()
    cells = Cells("bench_training_lists", opts)
    shape = {"steps": opts.steps, "warm": opts.warm, "completions": opts.completions}
    rows: dict[str, Any] = {}
    for objective in TARGETS:
        rows |= one(objective, cells, shape)
    cells.finish(rows, shape)


def one(objective: str, cells: Cells, shape: dict[str, int]) -> dict[str, Any]:
    """Measures one objective and shows its table."""
    workload = Workload()
    found = cells.measure(
        {"workload": asdict(workload), "objective": objective, **shape},
        lambda seed: repetition(workload, seed, objective=objective, **shape),
    )
    table = [["side", "s/step", "ratio to Plaudit", "by processor time", "tokens/distinct", "target"]]
    rows: dict[str, Any] = {}
    for side, label in SIDES.items():
        ratio, processor = ratio_row(found, "ours", side), ratio_row(found, "ours_cpu", f"{side}_cpu")
        work = summary([c[f"{side}_tokens"] / c["ours_tokens"] for c in found])
        seconds = summary([c[side] for c in found])
        wanted = TARGETS[objective].get(side)
        limit = "" if wanted is None else target(ratio["value"], wanted)
        table.append([label, spread(seconds, 3), spread(ratio), spread(processor), spread(work), limit])
        rows |= {
            f"{objective}/{side}/seconds": seconds,
            f"{objective}/{side}/ratio": ratio,
            f"{objective}/{side}/processor": processor,
            f"{objective}/{side}/work": work,
        }
    pairs = shape["completions"] * (shape["completions"] - 1) // 2
    what = f"all {pairs} pairs" if objective == "bradley-terry" else "their order by Plackett-Luce"
    show(f"Training on {shape['completions']} completions a prompt, {what}, 12M-parameter Llama", table)
    return rows


def repetition(
    workload: Workload, seed: int, *, objective: str, steps: int, warm: int, completions: int
) -> dict[str, float]:
    """The three loops, one after the other, in an order that changes with the repetition."""
    import trainers

    groups = workload.groups(steps + warm, completions, seed=seed)
    pairs = completions * (completions - 1) // 2
    clocks = {side: trainers.Steps() for side in SIDES}
    build = {
        "ours": lambda out: trainers.ours(groups, batch=1, out=out, steps=clocks["ours"], objective=objective),
        "plain": lambda out: trainers.plain(groups, out=out, steps=clocks["plain"], objective=objective),
        "trl": lambda out: trainers.trl(groups, batch=pairs, out=out, steps=clocks["trl"]),
    }
    for side in list(SIDES)[:: -1 if seed % 2 else 1]:
        with tempfile.TemporaryDirectory() as out:
            build[side](out).train()
    same = [side for side in SIDES if objective == "bradley-terry" or side != "trl"]
    trainers.agree(*(clocks[side].losses[0] for side in same))
    counted = [tokens([g]) for g in groups[warm:]]
    distinct, padded = (float(sum(c[k] for c in counted)) for k in ("distinct", "padded"))
    # a pair holds two sequences, and all pairs of a group share the width of its longest one
    work = {"ours": distinct, "plain": padded, "trl": padded * 2 * pairs / completions}
    result = {f"{side}_tokens": n for side, n in work.items()}
    for side, clock in clocks.items():
        result |= {side: clock.seconds(warm), f"{side}_cpu": clock.seconds(warm, processor=True)}
    return result


if __name__ == "__main__":
    main()
