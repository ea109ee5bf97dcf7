"""Checking 1,000 small programs: Plaudit's sandbox, and one fresh interpreter after another without any isolation.

The peer is `python -I -c` with program and tests in one text, started by `subprocess.run`, the usual way of peers'
code rewards. Ours runs with all isolation on: two processes a program, namespaces and limits of its own, filters.
Both must call each program right or wrong alike; every fifth is wrong. What starting the boxes costs is in our time.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import SOURCE, Cells, arguments, ratio_row, show, spread, summary, target, timed

from plaudit.records.sample import Sample

PROGRAMS = (
    ("def plus(a, b):\n    return a + b{wrong}", "assert plus({i}, 2) == {i} + 2\nassert plus(0, 0) == 0"),
    (
        "def clean(text):\n    return ''.join(c for c in text if c.isalnum()).lower(){wrong_text}",
        "assert clean('A b-C{i}') == 'abc{i}'\nassert clean('') == ''",
    ),
    (
        "from typing import List\n\ndef evens(values: List[int]) -> List[int]:\n"
        "    return [v for v in values if v % 2 == 0]{wrong_list}",
        "assert evens(list(range({i}))) == list(range(0, {i}, 2))\nassert evens([]) == []",
    ),
    (
        "import math\n\ndef hypotenuse(a, b):\n    return math.sqrt(a * a + b * b){wrong}",
        "assert abs(hypotenuse(3 * {i}, 4 * {i}) - 5 * {i}) < 1e-9\nassert hypotenuse(0, 0) == 0",
    ),
    (
        "import re\n\ndef numbers(text):\n    return [int(x) for x in re.findall(r'[0-9]+', text)]{wrong_list}",
        "assert numbers('a{i}b2') == [{i}, 2]\nassert numbers('none') == []",
    ),
    (
        "from collections import Counter\n\ndef commonest(words):\n"
        "    return Counter(words).most_common(1)[0]{wrong_pair}",
        "assert commonest(['x'] * {i} + ['y']) == ('x', {i})\nassert commonest(['z']) == ('z', 1)",
    ),
    (
        "def primes(n):\n    found = []\n    for k in range(2, n):\n        if all(k % p for p in found):\n"
        "            found.append(k)\n    return found{wrong_list}",
        "assert primes(10) == [2, 3, 5, 7]\nassert len(primes(100)) == 25\nassert primes(2) == []  # {i}",
    ),
    (
        "import heapq\n\ndef largest(values, k):\n    return heapq.nlargest(k, values){wrong_list}",
        "assert largest(list(range({i})), 2) == [{i} - 1, {i} - 2]\nassert largest([1], 1) == [1]",
    ),
)
WRONG = {"wrong": " + 1", "wrong_text": " + '!'", "wrong_list": " + [0]", "wrong_pair": " + (0,)"}


def main() -> None:
    parser = arguments("bench_verify_code.py", repetitions=5)
    parser.add_argument("--programs", type=int, default=1000, help="programs in a repetition")
    opts = parser.parse_args()
    cells = Cells("bench_verify_code", opts)
    shape = {"programs": opts.programs, "code": _code(), "peer": "python -I -c"}
    found = cells.measure(shape, lambda seed: repetition(opts.programs, seed))
    ratio = ratio_row(found, "ours", "peer")
    ours, peer = (summary([c[side] / opts.programs * 1e3 for c in found]) for side in ("ours", "peer"))
    table = [
        ["1,000 small programs", "Plaudit ms each", "fresh interpreter ms each", "throughput ratio", "target"],
        [f"isolation: {isolation_name()}", spread(ours), spread(peer), spread(ratio), target(ratio["value"], 3.0)],
    ]
    show("Programs checked with the isolation on", table)
    cells.finish({"ratio": ratio, "ours_ms": ours, "peer_ms": peer}, shape)


def isolation_name() -> str:
    from plaudit.rewards.verifiers.code import isolation

    return isolation()


def samples(count: int, seed: int) -> list[tuple[Sample, bool]]:
    """Programs with their tests, and whether they are right."""
    found = []
    for k in range(count):
        program, tests = PROGRAMS[k % len(PROGRAMS)]
        right = k % 5 != 4
        values: dict[str, Any] = {"i": 3 + (k * 7 + seed) % 50, **{w: "" if right else x for w, x in WRONG.items()}}
        sample = Sample("", _fill(program, values), _fill(tests, values))
        found.append((sample, right))
    return found


def _fill(text: str, values: dict[str, Any]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def repetition(count: int, seed: int) -> dict[str, float]:
    """Seconds of both sides for the same programs; their verdicts must be the same, and right."""
    from plaudit.rewards.verifiers.code import CodeVerifier
    from plaudit.rewards.verifiers.code.pool import close_all

    work = samples(count, seed)
    verifier = CodeVerifier(partial=False)
    verdicts: dict[str, list[bool]] = {}
    isolation_name()  # which isolation works is found once a process
    close_all()

    def ours() -> None:
        verdicts["ours"] = [v.reward == 1.0 for v in verifier.verdicts([s for s, _ in work])]
        close_all()  # so that the boxes' processor time counts as ours, not as other processes'

    def peer() -> None:
        verdicts["peer"] = [_fresh(s) for s, _ in work]

    sides = {"ours": ours, "peer": peer}
    order = list(sides) if seed % 2 == 0 else list(sides)[::-1]
    seconds = {name: timed(sides[name]) for name in order}
    right = [r for _, r in work]
    if verdicts["ours"] != right or verdicts["peer"] != right:
        raise SystemExit("bench_verify_code: a program was misjudged")
    return seconds


def _fresh(sample: Sample) -> bool:
    command = [sys.executable, "-I", "-c", f"{sample.text}\n{sample.reference}"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=4, check=False)
    return done.returncode == 0


def _code() -> str:
    folder = Path(SOURCE) / "rewards" / "verifiers" / "code"
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(folder.rglob("*.py")))).hexdigest()


if __name__ == "__main__":
    main()
