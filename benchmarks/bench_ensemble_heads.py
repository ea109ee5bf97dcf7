"""Scoring with five members: five heads on one backbone on prefix trees, against five models in transformers.

No gradients. The peer is what an ensemble costs without this: five forward passes of five plain models, length-sorted
and padded, with several batch sizes in every repetition, of which its best one counts. The five-headed model's backbone
is the first peer's and its heads are the five peers' own, so that its first score must be the first peer's to 1e-4.
What five heads give up is the independence of the backbones; see docs/uncertainty.md.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from bench_scoring import BATCHES, CASES, padded_scores
from common import Cells, Workload, arguments, llama, ratio_row, show, spread, summary, target, tokens

MEMBERS = 5


def main() -> None:
    parser = arguments("bench_ensemble_heads.py", repetitions=5)
    parser.add_argument("--prompts", type=int, default=4, help="prompts a side and repetition")
    parser.add_argument("--candidates", type=int, default=16, help="completions a prompt")
    parser.add_argument("--only", action="append", choices=list(CASES), help="this workload (repeatable)")
    opts = parser.parse_args()
    cells = Cells("bench_ensemble_heads", opts)
    shape = {"prompts": opts.prompts, "candidates": opts.candidates}
    head = ["prompt + completion", "Plaudit s", "transformers s", "ratio", "by processor time", "target"]
    table, rows = [head], {}
    for i, (name, workload) in enumerate(CASES.items()):
        if opts.only and name not in opts.only:
            continue
        sides = _Sides()
        found = cells.measure(
            {"workload": asdict(workload), "members": MEMBERS, **shape},
            lambda seed, w=workload, s=sides: s.repetition(w, seed, **shape),
        )
        ratio, processor = ratio_row(found, "ours", "plain"), ratio_row(found, "ours_cpu", "plain_cpu")
        ours, plain = (summary([c[s] for c in found]) for s in ("ours", "plain"))
        limit = target(ratio["value"], 3.0) if not i else ""
        table.append([name, spread(ours, 3), spread(plain, 3), spread(ratio), spread(processor), limit])
        rows |= {f"ratio/{name}": ratio, f"processor/{name}": processor, f"ours/{name}": ours, f"plain/{name}": plain}
    show(f"{MEMBERS} members score {opts.candidates} candidates for each of {opts.prompts} prompts, 12M Llama", table)
    cells.finish(rows, shape | {"members": MEMBERS})


class _Sides:
    """The five-headed model and five plain ones, built when the first repetition is not kept yet."""

    def __init__(self) -> None:
        self.engine: Any = None

    def _open(self) -> None:
        from plaudit.engine import Engine, install_head

        self.peers = [llama(seed=i).eval() for i in range(MEMBERS)]
        ours = llama(seed=0).eval()
        score = torch.nn.Linear(ours.score.in_features, MEMBERS, bias=False)
        score.weight = torch.nn.Parameter(torch.cat([p.score.weight.detach() for p in self.peers]))
        ours.score, ours.num_labels, ours.config.num_labels = score, MEMBERS, MEMBERS
        self.engine = Engine(install_head(ours).eval(), mode="tree")

    @torch.inference_mode()
    def repetition(self, workload: Workload, seed: int, *, prompts: int, candidates: int) -> dict[str, float]:
        """Plaudit once and the peers at each batch size, after one call of each that is not timed."""
        if self.engine is None:
            self._open()
        groups = workload.groups(prompts, candidates, seed=seed)
        flat = [s for g in groups for s in g]

        def plain(batch: int) -> torch.Tensor:
            return torch.stack([padded_scores(peer, flat, batch) for peer in self.peers], dim=1)

        runs = {"ours": lambda: self.engine.scores(groups)}
        runs |= {f"plain {b}": lambda b=b: plain(b) for b in BATCHES}
        for run in runs.values():
            run()
        result: dict[str, float] = {}
        scores = {}
        for name in list(runs)[:: -1 if seed % 2 else 1]:
            wall, processor = time.perf_counter(), time.process_time()
            scores[name] = runs[name]()
            result |= {name: time.perf_counter() - wall, f"{name} cpu": time.process_time() - processor}
        for name, found in scores.items():
            gap = float((found[:, 0] - scores["ours"][:, 0]).abs().max())
            if gap > 1e-4:
                raise AssertionError(f"benchmark: first member's scores of {name} differ by {gap:.2g} from Plaudit's")
        best = min((f"plain {b}" for b in BATCHES), key=result.__getitem__)
        least = min(result[f"plain {b} cpu"] for b in BATCHES)
        counted = [tokens([g]) for g in groups]
        total = {k: float(sum(c[k] for c in counted)) for k in ("distinct", "padded")}
        return result | total | {"ours_cpu": result["ours cpu"], "plain": result[best], "plain_cpu": least}


if __name__ == "__main__":
    main()
