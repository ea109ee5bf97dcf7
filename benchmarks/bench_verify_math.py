"""Checking mathematics: `verify/math` against math-verify, on completions with their gold answers.

Both sides extract the answer from the whole completion and compare it. math-verify runs in this process without its
signal-based time-outs, which is its fastest form; ours with one child for what needs algebra (the ratio that counts)
and with one a core. Every repetition starts with empty memories on both sides and with children that are warm.

Three workloads: GSM8K model solutions, MATH-500 solutions (both from the shared data folder, and left out where that
is not there), and the table of equivalences of the tests, most of which needs algebra.
"""

from __future__ import annotations

import gc
import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import HERE, Cells, arguments, ratio_row, show, spread, summary, target, timed

from plaudit.records.sample import Sample

DATA = HERE.parents[1] / "shared" / "data"
TABLE = HERE.parent / "tests" / "rewards" / "verifiers" / "math" / "equivalences.json"
TARGETS = {"GSM8K solutions": 20.0, "MATH-500 solutions": 1.0, "every kind of answer": 1.0}


def main() -> None:
    parser = arguments("bench_verify_math.py", repetitions=5)
    opts = parser.parse_args()
    cells = Cells("bench_verify_math", opts)
    table = [["completions", "n", "ms each, ours", "ms each, math-verify", "ratio", "ratio, all cores", "target"]]
    rows: dict[str, Any] = {}
    for name, limit in TARGETS.items():
        samples = workload(name)
        if not samples:
            print(f"  {name}: data not found, left out")
            continue
        shape = {"workload": name, "samples": [s.key for s in samples]}
        found = cells.measure(shape, lambda _, data=samples: repetition(data))
        ratio = ratio_row(found, "ours", "theirs")
        each = {side: summary([c[side] / len(samples) * 1e3 for c in found]) for side in ("ours", "theirs")}
        table.append([
            name, str(len(samples)), spread(each["ours"], 3), spread(each["theirs"], 3), spread(ratio, 1, "x"),
            spread(ratio_row(found, "cores", "theirs"), 1, "x"), target(ratio["value"], limit),
        ])  # fmt: skip
        rows[name] = ratio
    show("Checking mathematics, one process against one process", table)
    cells.finish(rows, {"workloads": list(rows)})


def repetition(samples: Sequence[Sample]) -> dict[str, float]:
    """Seconds of each side, one after the other, with nothing remembered."""
    from plaudit.rewards.verifiers.math import MathVerifier

    one, cores = MathVerifier(workers=1), MathVerifier()
    seconds = {}
    for side, reward in (("ours", one), ("cores", cores)):
        fresh(reward)
        seconds[side] = timed(lambda reward=reward: reward(samples))
    peer(warming())  # so that its parser, too, has learnt its grammar
    seconds["theirs"] = timed(lambda: peer(samples))
    return seconds


def fresh(reward: Any) -> None:
    """Empties all memories, here and in the children, and waits until the children are warm."""
    from plaudit.rewards.verifiers.math import cleaning, equivalence, plain, reading, units

    for module in (cleaning, plain, reading, units):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    equivalence.forget()
    for pool in equivalence._pools.values():
        pool.close()
    reward(warming())
    equivalence.forget()
    gc.collect()


def warming() -> list[Sample]:
    """Comparisons that every side makes before it is timed."""
    return [sample(f"\\boxed{{{i} + \\frac{{x^2}}{{\\sqrt{{{i}}}}}}}", f"x + {i}") for i in range(2, 66)]


def peer(samples: Sequence[Sample]) -> list[bool]:
    """math-verify as its documentation shows it, gold first, without time-outs."""
    from math_verify import parse, verify
    from math_verify.parser import extract_latex, parse_expr_cached, parse_latex_cached

    for cached in (extract_latex, parse_expr_cached, parse_latex_cached):
        cached.cache_clear()
    logging.disable(logging.CRITICAL)
    try:
        return [
            verify(
                parse(f"\\boxed{{{s.reference}}}", parsing_timeout=None),
                parse(s.text, parsing_timeout=None),
                timeout_seconds=None,
            )
            for s in samples
        ]
    finally:
        logging.disable(logging.NOTSET)


def workload(name: str) -> list[Sample]:
    """Completions with gold answers; none where the data is not there."""
    if name == "every kind of answer":
        table = json.loads(TABLE.read_text(encoding="utf-8"))
        return [
            sample(f"\\boxed{{{r['answer']}}}", r["gold"]) for r in table if r["kind"] not in ("explosion", "no value")
        ]
    gsm = name == "GSM8K solutions"
    path = DATA / ("gsm8k/model_solutions_first_400.jsonl.gz" if gsm else "math500_first_150.jsonl.gz")
    if not path.is_file():
        return []
    found = rows_of(path)
    if not gsm:
        return [sample(r["solution"], r["answer"]) for r in found]
    # the answer behind the mark, as a policy is told to write it: math-verify knows no `A:`
    texts = [(r[m]["solution"].replace("\nA: ", "\nThe answer is "), r["ground_truth"].rpartition("A: ")[2])
             for r in found for m in ("6b_finetuning", "175b_verification")]  # fmt: skip
    return [sample(text, gold) for text, gold in texts]


def rows_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sample(completion: str, reference: str) -> Sample:
    return Sample("?", completion, reference)  # type: ignore[arg-type]  # a string becomes a conversation


if __name__ == "__main__":
    main()
