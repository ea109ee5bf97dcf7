"""Direct alignment on pairs: seconds a step of Plaudit's DPO and of TRL's `DPOTrainer`, the reference's share included.

Same 8 pairs a step, same weights, AdamW, float32, no gradient checkpointing on either side. TRL runs twice: as it is
by default, with a forward pass of the reference in every step, and with the reference's log-probabilities computed
beforehand, which are then timed as well. Ours are always computed beforehand, on prefix trees; a step's share of that
time is part of the step here. The losses of the second step must agree to 1e-4 (the first is log 2 for everybody).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from common import VOCABULARY, Cells, Ids, Workload, arguments, ratio_row, show, spread, summary, target, timed, tokens

CASES = {
    "log-normal 180 + 100, spread 1.0": Workload(spread=1.0),
    "log-normal 180 + 100, spread 0.6": Workload(),
    "equal 180 + 100": Workload(spread=0.0),
    "log-normal 20 + 200": Workload(prompt=20, completion=200),
}
BETA = 0.1


def main() -> None:
    parser = arguments("bench_dpo.py", repetitions=5)
    parser.add_argument("--steps", type=int, default=3, help="timed steps a side and repetition")
    parser.add_argument("--warm", type=int, default=1, help="steps before them, not timed")
    parser.add_argument("--pairs", type=int, default=8, help="pairs a step")
    parser.add_argument("--only", action="append", choices=list(CASES), help="this workload (repeatable)")
    opts = parser.parse_args()
    cells = Cells("bench_dpo", opts)
    head = ["prompt + completion", "Plaudit s/step", "TRL s/step", "TRL, reference before", "ratio", "second ratio"]
    table = [[*head, "padded/distinct", "target"]]
    rows: dict[str, Any] = {}
    shape = {"steps": opts.steps, "warm": opts.warm, "pairs": opts.pairs}
    for i, (name, workload) in enumerate(CASES.items()):
        if opts.only and name not in opts.only:
            continue
        found = cells.measure(
            {"workload": asdict(workload), **shape}, lambda seed, w=workload: repetition(w, seed, **shape)
        )
        ratio, before = ratio_row(found, "ours", "trl"), ratio_row(found, "ours", "trl_before")
        work = summary([c["padded"] / c["distinct"] for c in found])
        sides = [spread(summary([c[side] for c in found]), 3) for side in ("ours", "trl", "trl_before")]
        goal = target(ratio["value"], 2.5) if not i else ""
        table.append([name, *sides, spread(ratio), spread(before), spread(work), goal])
        rows |= {f"ratio/{name}": ratio, f"ratio_before/{name}": before, f"work/{name}": work}
    show(f"DPO on {opts.pairs} pairs a step, 12M-parameter Llama", table)
    cells.finish(rows, shape)


def repetition(workload: Workload, seed: int, *, steps: int, warm: int, pairs: int) -> dict[str, float]:
    """The three loops, one after the other; which goes first changes with the repetition."""
    import trainers

    groups = workload.groups((steps + warm) * pairs, 2, seed=seed)
    prompts = [shared(group) for group in groups]
    sides = {"ours": ours, "trl": trl, "trl_before": trl_before}
    clocks, before = {}, {}
    for side in sorted(sides, reverse=bool(seed % 2)):
        clock = clocks[side] = trainers.Steps()
        with tempfile.TemporaryDirectory() as out:
            trainer = sides[side](groups, prompts, batch=pairs, out=out, steps=clock)
            trainer.train()
            before[side] = trainer.reference_seconds
    trainers.agree(*(clock.losses[1] for clock in clocks.values()))
    counted = [tokens(groups[k : k + pairs]) for k in range(warm * pairs, len(groups), pairs)]
    total = {k: float(sum(c[k] for c in counted)) for k in ("distinct", "raw", "padded")}
    return {side: clock.seconds(warm) + before[side] / (steps + warm) for side, clock in clocks.items()} | total


def shared(group: Sequence[Ids]) -> int:
    """Tokens of the prompt of two completions; their first tokens are made to differ by chance, nearly always."""
    from plaudit.engine.tree import common_prefix

    return min(common_prefix(group[0], group[1]), *(len(s) - 1 for s in group))


def llama() -> Any:
    """The 12M-parameter Llama as a language model, float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=6,
        num_key_value_heads=6, max_position_embeddings=2048, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return LlamaForCausalLM(config).float()


def ours(groups: Sequence[Sequence[Ids]], prompts: Sequence[int], *, batch: int, out: str, steps: Any) -> Any:
    """Plaudit's trainer, ready to run; the reference's log-probabilities are computed here."""
    import numpy as np
    import torch
    import trainers
    from transformers import PrinterCallback, TrainingArguments

    from plaudit.engine import Engine
    from plaudit.policy.algorithms import algorithm
    from plaudit.policy.offline.objective import Alignment
    from plaudit.policy.offline.trainer import AlignTrainer
    from plaudit.rewards.likelihood.spans import Located
    from plaudit.training.policies.encoding import PolicyGroup, with_reference
    from plaudit.training.policies.packing import PolicyCollator, token_outputs

    model = llama()
    engine = Engine(model, mode="tree")
    made = []
    for group, prompt in zip(groups, prompts, strict=True):
        located = tuple(Located(s, np.arange(prompt, len(s)), np.zeros((len(s) - prompt, 2), np.int64)) for s in group)
        one, other = np.array([0]), np.array([1])
        none = np.zeros(2)
        made.append(PolicyGroup(located, one, other, np.array([1.0, 0.0]), none.astype(bool), none, scores=none))
    flat = [one for g in made for one in g.located]
    found: list[Any] = []

    def reference() -> None:
        with torch.inference_mode():
            read = engine.token_logps([one.ids for one in flat], wanted=[one.counted for one in flat])
        found.extend(part.numpy() for part in read)

    seconds = timed(reference)
    trainer = AlignTrainer(
        objective=Alignment(algorithm(f"dpo?beta={BETA}")), outputs=token_outputs, model=model,
        args=TrainingArguments(remove_unused_columns=False, label_names=[], **trainers.options(batch, out)),
        data_collator=PolicyCollator(), train_dataset=with_reference(made, found), callbacks=[steps],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.reference_seconds = seconds
    return trainer


def trl(
    groups: Sequence[Sequence[Ids]], prompts: Sequence[int], *, batch: int, out: str, steps: Any, before: bool = False
) -> Any:
    """TRL's trainer on the same pairs, tokenised beforehand."""
    import trainers
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from transformers import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    disable_progress_bar()
    rows: dict[str, list[list[int]]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for (chosen, rejected), prompt in zip(groups, prompts, strict=True):
        rows["prompt_ids"].append(chosen[:prompt].tolist())
        rows["chosen_ids"].append(chosen[prompt:].tolist())
        rows["rejected_ids"].append(rejected[prompt:].tolist())

    class Timed(DPOTrainer):
        reference_seconds = 0.0

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # it is tokenised

        def _precompute_ref_logps(self, *args: Any, **kwargs: Any) -> Any:
            kept: list[Any] = []
            type(self).reference_seconds = timed(
                lambda: kept.append(DPOTrainer._precompute_ref_logps(self, *args, **kwargs))
            )
            return kept[0]

    arguments = trainers.options(batch, out)
    trainer = Timed(
        model=llama(), ref_model=llama(), args=DPOConfig(
            max_length=None, beta=BETA, precompute_ref_log_probs=before, dataset_num_proc=None, **arguments
        ),
        train_dataset=Dataset.from_dict(rows), processing_class=trainers._tokenizer(), callbacks=[steps],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def trl_before(*args: Any, **kwargs: Any) -> Any:
    """TRL's trainer with the reference's log-probabilities computed beforehand."""
    return trl(*args, before=True, **kwargs)


if __name__ == "__main__":
    main()
