"""Peak memory of the training step: Plaudit's trainer and TRL's `RewardTrainer` on the same 8 pairs a step.

Each side runs alone in a fresh process. Just before the first step the kernel's high-water mark of resident
memory is reset (`/proc/self/clear_refs`) and the resident size is read; the result is the high-water mark
after the steps minus that size. Gradients and AdamW's state, equally large on both sides, are in it;
weights and libraries are not. Needs Linux.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import Cells, Workload, arguments, ratio_row, show, spread, summary, target

MIB = 1 << 20


def main() -> None:
    parser = arguments("bench_memory.py", repetitions=3)
    parser.add_argument("--steps", type=int, default=2, help="steps in each process")
    parser.add_argument("--pairs", type=int, default=8, help="pairs a step")
    parser.add_argument(
        "--side", choices=["ours", "trl"], help="run one side in this process and print its peak in bytes"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the data, with --side")
    opts = parser.parse_args()
    if opts.side:
        print(json.dumps(peak(opts.side, opts.seed, opts.steps, opts.pairs, opts.threads)))
        return
    cells = Cells("bench_memory", opts)
    shape = {"steps": opts.steps, "pairs": opts.pairs}
    found = cells.measure(
        {"workload": asdict(Workload()), **shape},
        lambda seed: {side: float(_in_process(side, seed, opts)) for side in ("ours", "trl")},
    )
    ratio = ratio_row(found, "trl", "ours")
    ours, trl = (summary([c[s] / MIB for c in found]) for s in ("ours", "trl"))
    table = [
        ["workload", "Plaudit MiB", "TRL MiB", "Plaudit / TRL", "target"],
        [
            "log-normal 180 + 100",
            spread(ours, 0),
            spread(trl, 0),
            spread(ratio),
            target(ratio["value"], 0.6, at_most=True),
        ],
    ]
    show(
        f"Peak memory above the level before the first step, {opts.pairs} pairs a step, 12M-parameter Llama",
        table,
    )
    cells.finish({"ratio": ratio, "ours_mib": ours, "trl_mib": trl}, shape)


def _in_process(side: str, seed: int, opts: Any) -> int:
    command = [sys.executable, "-W", "ignore", __file__, "--side", side, "--seed", str(seed)]
    command += ["--steps", str(opts.steps), "--pairs", str(opts.pairs), "--threads", str(opts.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench_memory: {side} failed:\n{done.stderr[-2000:]}")
    return int(json.loads(done.stdout.splitlines()[-1]))


def peak(side: str, seed: int, steps: int, pairs: int, threads: int) -> int:
    """Bytes of resident memory that the steps of one side need at their peak, above the level before them."""
    import torch
    import trainers

    torch.set_num_threads(threads)
    before: list[int] = []
    groups = Workload().groups(steps * pairs, 2, seed=seed)
    clock = trainers.Steps(begin=lambda: before.append(reset()))
    build = {"ours": trainers.ours, "trl": trainers.trl}[side]
    with tempfile.TemporaryDirectory() as out:
        build(groups, batch=pairs, out=out, steps=clock).train()
    return status("VmHWM") - before[0]


def reset() -> int:
    """Forgets the high-water mark; resident bytes now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"bench_memory: /proc/self/status has no {name}; this benchmark needs Linux")


if __name__ == "__main__":
    main()
