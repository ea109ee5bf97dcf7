"""Reward-model training on pairs: seconds a step of Plaudit's trainer and of TRL's `RewardTrainer`.

Same 8 pairs a step, same weights, AdamW, float32, no gradient checkpointing on either side; the losses of
the first step must agree to 1e-4. Beside the workload of the target, the cases that say where the gain
comes from: all lengths equal (no padding to save: only the shared prompt is left), and short prompts with
long completions (little to share).
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from typing import Any

from common import Cells, Workload, arguments, ratio_row, show, spread, summary, target, tokens

CASES = {
    # the target's: as uneven as real pairs are (prompts and completions of hh-rlhf have 1.15 and 1.02, in words)
    "log-normal 180 + 100, spread 1.0": Workload(spread=1.0),
    "log-normal 180 + 100, spread 0.6": Workload(),
    "equal 180 + 100": Workload(spread=0.0),
    "log-normal 20 + 200": Workload(prompt=20, completion=200),
    "equal 20 + 200": Workload(prompt=20, completion=200, spread=0.0),
}


def main() -> None:
    parser = arguments("bench_training_pairs.py", repetitions=5)
    parser.add_argument("--steps", type=int, default=3, help="timed steps a side and repetition")
    parser.add_argument("--warm", type=int, default=1, help="steps before them, not timed")
    parser.add_argument("--pairs", type=int, default=8, help="pairs a step")
    parser.add_argument("--only", action="append", choices=list(CASES), help="this workload (repeatable)")
    opts = parser.parse_args()
    cells = Cells("bench_training_pairs", opts)
    table = [
        [
            "prompt + completion",
            "Plaudit s/step",
            "TRL s/step",
            "ratio",
            "by processor time",
            "padded/distinct",
            "target",
        ]
    ]
    rows: dict[str, Any] = {}
    shape = {"steps": opts.steps, "warm": opts.warm, "pairs": opts.pairs}
    for i, (name, workload) in enumerate(CASES.items()):
        if opts.only and name not in opts.only:
            continue
        found = cells.measure(
            {"workload": asdict(workload), **shape}, lambda seed, w=workload: repetition(w, seed, **shape)
        )
        ratio, processor = ratio_row(found, "ours", "trl"), ratio_row(found, "ours_cpu", "trl_cpu")
        work = summary([c["padded"] / c["distinct"] for c in found])
        table.append([
            name,
            spread(summary([c["ours"] for c in found]), 3),
            spread(summary([c["trl"] for c in found]), 3),
            spread(ratio), spread(processor), spread(work), target(ratio["value"], 3.5) if not i else "",
        ])  # fmt: skip
        rows |= {f"ratio/{name}": ratio, f"processor/{name}": processor, f"work/{name}": work}
        rows[f"ours/{name}"], rows[f"trl/{name}"] = (summary([c[s] for c in found]) for s in ("ours", "trl"))
    show(f"Training on {opts.pairs} pairs a step, 12M-parameter Llama", table)
    cells.finish(rows, shape)


def repetition(workload: Workload, seed: int, *, steps: int, warm: int, pairs: int) -> dict[str, float]:
    """Both loops, one after the other; which goes first changes with the repetition."""
    import trainers

    groups = workload.groups((steps + warm) * pairs, 2, seed=seed)
    sides = {"ours": (trainers.ours, trainers.Steps()), "trl": (trainers.trl, trainers.Steps())}
    for side in sorted(sides, reverse=bool(seed % 2)):
        build, clock = sides[side]
        with tempfile.TemporaryDirectory() as out:
            build(groups, batch=pairs, out=out, steps=clock).train()
    trainers.agree(*(clock.losses[0] for _, clock in sides.values()))
    batches = [groups[k : k + pairs] for k in range(warm * pairs, len(groups), pairs)]
    counted = [tokens(b) for b in batches]
    total = {k: float(sum(c[k] for c in counted)) for k in ("distinct", "raw", "padded")}
    wall = {side: clock.seconds(warm) for side, (_, clock) in sides.items()}
    return wall | {f"{side}_cpu": clock.seconds(warm, processor=True) for side, (_, clock) in sides.items()} | total


if __name__ == "__main__":
    main()
