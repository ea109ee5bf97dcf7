"""Scoring 16 candidates a prompt: `Engine.scores` against plain transformers, length-sorted and padded.

No gradients. Both sides get token ids and the same weights, and their scores must agree to 1e-4. The peer
runs with several batch sizes in every repetition and counts with its best one. Prompts have 512 tokens and
completions 64, so that the peer wastes nothing on padding; the other cases say when sharing gains less.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from common import (
    Cells,
    Ids,
    Workload,
    arguments,
    llama,
    ratio_row,
    show,
    spread,
    summary,
    target,
    tokens,
)

CASES = {
    "512 + 64": Workload(prompt=512, completion=64, spread=0.0),
    "log-normal 180 + 100": Workload(),
    "64 + 256": Workload(prompt=64, completion=256, spread=0.0),
}
BATCHES = (4, 16, 32)


def main() -> None:
    parser = arguments("bench_scoring.py", repetitions=5)
    parser.add_argument("--prompts", type=int, default=4, help="prompts a side and repetition")
    parser.add_argument("--candidates", type=int, default=16, help="completions a prompt")
    parser.add_argument("--only", action="append", choices=list(CASES), help="this workload (repeatable)")
    opts = parser.parse_args()
    cells = Cells("bench_scoring", opts)
    shape = {"prompts": opts.prompts, "candidates": opts.candidates}
    table = [
        [
            "prompt + completion",
            "Plaudit s",
            "transformers s",
            "ratio",
            "by processor time",
            "padded/distinct",
            "target",
        ]
    ]
    rows: dict[str, Any] = {}
    for i, (name, workload) in enumerate(CASES.items()):
        if opts.only and name not in opts.only:
            continue
        sides = _Sides()
        found = cells.measure(
            {"workload": asdict(workload), **shape},
            lambda seed, w=workload, s=sides: s.repetition(w, seed, **shape),
        )
        ratio, processor = ratio_row(found, "ours", "plain"), ratio_row(found, "ours_cpu", "plain_cpu")
        work = summary([c["padded"] / c["distinct"] for c in found])
        ours, plain = (summary([c[s] for c in found]) for s in ("ours", "plain"))
        limit = target(ratio["value"], 4.5) if not i else ""
        table.append([name, spread(ours, 3), spread(plain, 3), spread(ratio), spread(processor), spread(work), limit])
        rows |= {f"ratio/{name}": ratio, f"processor/{name}": processor, f"work/{name}": work}
        rows |= {f"ours/{name}": ours, f"plain/{name}": plain}
    show(f"Scoring {opts.candidates} candidates for each of {opts.prompts} prompts, 12M-parameter Llama", table)
    cells.finish(rows, shape)


class _Sides:
    """Both models, built when the first repetition is not kept yet."""

    def __init__(self) -> None:
        self.engine: Any = None

    def _open(self) -> None:
        from plaudit.engine import Engine, install_head

        self.peer = llama().eval()
        self.engine = Engine(install_head(llama()).eval(), mode="tree")

    @torch.inference_mode()
    def repetition(self, workload: Workload, seed: int, *, prompts: int, candidates: int) -> dict[str, float]:
        """Plaudit once and the peer at each batch size, after one call of each that is not timed."""
        if self.engine is None:
            self._open()
        groups = workload.groups(prompts, candidates, seed=seed)
        flat = [s for g in groups for s in g]
        runs = {"ours": lambda: self.engine.scores(groups)[:, 0]}
        runs |= {f"plain {b}": lambda b=b: padded_scores(self.peer, flat, b) for b in BATCHES}
        for run in runs.values():
            run()
        result: dict[str, float] = {}
        scores = {}
        for name in list(runs)[:: -1 if seed % 2 else 1]:
            wall, processor = time.perf_counter(), time.process_time()
            scores[name] = runs[name]()
            result |= {name: time.perf_counter() - wall, f"{name} cpu": time.process_time() - processor}
        for name, found in scores.items():
            gap = float((found - scores["ours"]).abs().max())
            if gap > 1e-4:
                raise AssertionError(f"benchmark: scores of {name} differ by {gap:.2g} from Plaudit's")
        best = min((f"plain {b}" for b in BATCHES), key=result.__getitem__)
        least = min(result[f"plain {b} cpu"] for b in BATCHES)
        counted = [tokens([g]) for g in groups]
        total = {k: float(sum(c[k] for c in counted)) for k in ("distinct", "padded")}
        return result | total | {"ours_cpu": result["ours cpu"], "plain": result[best], "plain_cpu": least}


def padded_scores(model: Any, sequences: Sequence[Ids], batch: int) -> torch.Tensor:
    """Scores by a stock model: sorted by length, padded to each batch's longest."""
    order = sorted(range(len(sequences)), key=lambda i: sequences[i].size)
    out = torch.empty(len(sequences))
    for start in range(0, len(order), batch):
        members = order[start : start + batch]
        ids = np.zeros((len(members), sequences[members[-1]].size), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, m in enumerate(members):
            ids[row, : sequences[m].size], mask[row, : sequences[m].size] = sequences[m], 1
        logits = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask), use_cache=False).logits
        out[torch.tensor(members)] = logits[:, 0]
    return out


if __name__ == "__main__":
    main()
