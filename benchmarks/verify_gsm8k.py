"""Agreement of `verify/math` with published labels: 1,600 GSM8K solutions of four models, and MATH-500 references.

One command, no model: `python benchmarks/verify_gsm8k.py`. It prints every disagreement with the answer that was
extracted and the reference, and, for MATH-500, every reference that its own solution does not satisfy.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.math import MathVerifier

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with gsm8k/ and math500_first_150.jsonl.gz")
    options = parser.parse_args()
    labelled(rows(options.data / "gsm8k" / "model_solutions_first_400.jsonl.gz"))
    own_solutions(rows(options.data / "math500_first_150.jsonl.gz"))


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def labelled(questions: Sequence[dict[str, Any]]) -> None:
    """Each model's solution against the ground truth, and the verdict against the published label."""
    cells = [(i, model, row[model]) for i, row in enumerate(questions) for model in MODELS]
    samples = [Sample(questions[i]["question"], cell["solution"], questions[i]["ground_truth"]) for i, _, cell in cells]
    batch = MathVerifier()(samples)
    apart = [k for k, (_, _, cell) in enumerate(cells) if (batch.reward[k] == 1.0) != cell["is_correct"]]
    print(f"GSM8K: {len(cells) - len(apart)} of {len(cells)} labels ({1 - len(apart) / len(cells):.2%})")
    for k in apart:
        i, model, cell = cells[k]
        print(f"  question {i}, {model}: label {cell['is_correct']}, reward {batch.reward[k]}, {dict(batch.detail[k])}")


def own_solutions(problems: Sequence[dict[str, Any]]) -> None:
    """Each reference answer against the solution that it was taken from."""
    batch = MathVerifier()([Sample(r["problem"], r["solution"], r["answer"]) for r in problems])
    failed = [k for k in range(len(problems)) if batch.reward[k] != 1.0]
    print(f"MATH-500: {len(problems) - len(failed)} of {len(problems)} references against their own solutions")
    for k in failed:
        print(f"  row {k}: reference {problems[k]['answer']!r}, {dict(batch.detail[k])}")


if __name__ == "__main__":
    main()
