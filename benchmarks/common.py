"""What the benchmarks share: one workload, one model, interleaved timing, cells that are kept, and the table.

A is Plaudit, B its peer. Both run in one process, one after the other, on the same data and the same
weights, and the ratio B / A is taken within each repetition: a machine that is slower in one minute than in
the next slows both. A finished repetition is kept in `results/` under a hash of its configuration, of all
versions, of the machine and of the code that it timed; an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
from numpy.typing import NDArray

from plaudit.records.sample import content_hash
from plaudit.runs import DurableLog, versions, write_text
from plaudit.runs.origin import command_line, commit

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src" / "plaudit"
VOCABULARY = 8192
QUIET = 0.1
"""Share of the cores that other processes may use in a repetition that `--quiet` accepts."""
Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Workload:
    """Prompts and completions as random token ids: what a forward pass costs does not depend on the words."""

    prompt: int = 180
    """Median tokens of a prompt."""
    completion: int = 100
    """Median tokens of a completion."""
    spread: float = 0.6
    """Standard deviation of the logarithm of both; 0 makes all prompts, and all completions, equally long."""
    longest: int = 900
    """Prompts and completions are cut off here, so that no sequence exceeds the model's positions."""

    def groups(self, count: int, size: int, *, seed: int) -> list[list[Ids]]:
        """`count` prompts with `size` completions each: token ids of prompt and completion together."""
        rng = np.random.default_rng(seed)

        def text(median: int) -> Ids:
            length = int(np.clip(rng.lognormal(np.log(median), self.spread), 4, self.longest))
            return rng.integers(3, VOCABULARY - 1, length, dtype=np.int32)

        found = []
        for _ in range(count):
            prompt = text(self.prompt)
            found.append([np.concatenate([prompt, text(self.completion)]) for _ in range(size)])
        return found


def tokens(groups: Sequence[Sequence[Ids]]) -> dict[str, int]:
    """Tokens of groups: `distinct` (what a prefix tree holds), `raw`, and `padded` to one rectangle."""
    from plaudit.engine.planning import distinct_tokens

    flat = [s for g in groups for s in g]
    return {
        "distinct": sum(distinct_tokens(g) for g in groups),
        "raw": sum(int(s.size) for s in flat),
        "padded": len(flat) * max(int(s.size) for s in flat),
    }


def llama(*, seed: int = 0, width: int = 384, layers: int = 6) -> Any:
    """The 12M-parameter Llama with one output, float32, its weights from the seed."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=width * 8 // 3, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, max_position_embeddings=2048,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, num_labels=1,
    )  # fmt: skip
    return LlamaForSequenceClassification(config).float()


def timed(call: Callable[[], Any]) -> float:
    """Seconds that a call takes, by the clock on the wall."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def arguments(name: str, *, repetitions: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(prog=name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--repetitions",
        type=int,
        default=repetitions,
        help="interleaved repetitions, each on data of its own",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads, for both sides")
    parser.add_argument("--json", metavar="FILE", help="write the numbers with configuration and versions")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has kept, and start again")
    parser.add_argument("--quiet", action="store_true", help="wait for a quiet machine; repeat what others disturbed")
    return parser


class Cells:
    """Finished repetitions of one benchmark, kept in `results/NAME-CODE.jsonl`.

    Args:
        name: of the benchmark.
        options: parsed command line; its threads are set for torch.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        import torch

        torch.set_num_threads(options.threads)
        self.name, self.options = name, options
        self.versions = {**versions(), "trl": version("trl")}
        self.machine = machine(options.threads)
        self.fingerprint = content_hash([self.versions, self.machine, _code(name)])
        self.path = HERE / "results" / f"{name}-{self.fingerprint[:12]}.jsonl"
        self.others: list[float] = []
        if options.fresh:
            self.path.unlink(missing_ok=True)

    def measure(
        self, configuration: Mapping[str, Any], run: Callable[[int], dict[str, float]]
    ) -> list[dict[str, float]]:
        """Repetitions of one configuration: those that are kept are read, the others run and kept.

        Each also says under `others` which share of the cores other processes used meanwhile. With `--quiet`
        a repetition waits for a quiet machine, and one that was disturbed is run again, whatever it measured.

        Args:
            configuration: everything that `run` depends on besides the repetition.
            run: from the number of the repetition, which is its seed, to numbers.
        """
        found = []
        with DurableLog(self.path, fingerprint=self.fingerprint) as log:
            for i in range(self.options.repetitions):
                key = content_hash([dict(configuration), i])
                if key not in log:
                    log.put(key, self._repetition(i, run))
                    log.flush()
                found.append(log[key])
        self.others += [cell["others"] for cell in found]
        return found

    def _repetition(self, i: int, run: Callable[[int], dict[str, float]]) -> dict[str, float]:
        while True:
            while self.options.quiet and _others(lambda: time.sleep(5)) > QUIET:
                time.sleep(5)
            cell: dict[str, float] = {}
            cell["others"] = _others(lambda: cell.update(run(i)))  # noqa: B023  # called at once
            again = self.options.quiet and cell["others"] > QUIET
            told = f"others used {cell['others']:.0%} of the cores" + ("; running it again" if again else "")
            print(f"  {self.name}: repetition {i + 1} of {self.options.repetitions}, {told}", flush=True)
            if not again:
                return cell

    def finish(self, rows: Mapping[str, Mapping[str, Any]], configuration: Mapping[str, Any]) -> None:
        """Prints machine and versions; writes the numbers where `--json` asks for them."""
        print(f"machine: {self.machine}; others used at most {max(self.others):.0%} of the cores")
        print("versions: " + ", ".join(f"{k} {v}" for k, v in self.versions.items()))
        if self.options.json:
            document = {
                **rows,
                "configuration": dict(configuration),
                "machine": self.machine,
                "others": max(self.others),
                "versions": self.versions,
                "commit": commit(HERE),
                "command": command_line(["python", f"benchmarks/{self.name}.py", *sys.argv[1:]]),
            }
            write_text(self.options.json, json.dumps(document, indent=2) + "\n")


def _others(call: Callable[[], Any]) -> float:
    """Calls; the share of the cores that other processes used meanwhile, 0 where the system does not tell."""
    busy, own, start = _busy_seconds(), sum(os.times()[:4]), time.perf_counter()
    call()
    spent = _busy_seconds() - busy - (sum(os.times()[:4]) - own)
    return max(spent / (time.perf_counter() - start) / (os.cpu_count() or 1), 0.0)


def _busy_seconds() -> float:
    """Processor seconds since boot of all processes together: everything but idling and waiting for disks."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return 0.0
    user, nice, system, _, _, irq, soft, steal = map(int, stat.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _code(name: str) -> list[str]:
    """Hashes of what is timed (the verifiers, or the engine and the training room), the benchmark, and this module."""
    rooms = {"bench_verify": ("rewards/verifiers",), "bench_policy": ("engine", "policy")}
    timed = next((r for start, r in rooms.items() if name.startswith(start)), ("engine", "training"))
    files = [
        HERE / f"{name}.py",
        HERE / "common.py",
        *(path for room in timed for path in sorted(SOURCE.glob(f"{room}/**/*.py"))),
    ]
    return [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]


def machine(threads: int) -> str:
    """Processor, cores, torch threads, system; nothing that names the host."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [x.split(":", 1)[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")]
        model = named[0] if named else model
    return f"{model}, {os.cpu_count()} cores, {threads} torch threads, {platform.system()} {platform.machine()}"


def summary(values: Sequence[float], *, method: str = "median, min and max over repetitions") -> dict[str, Any]:
    """Median with minimum and maximum, in the shape in which every number is written."""
    return {
        "value": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "n": len(values),
        "method": method,
    }


def ratio_row(found: Sequence[Mapping[str, float]], a: str, b: str) -> dict[str, Any]:
    """B / A within each repetition."""
    return summary([cell[b] / cell[a] for cell in found])


def show(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; the first row is its head."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    Console(width=170).print(table)


def spread(row: Mapping[str, Any], digits: int = 2, unit: str = "") -> str:
    """`4.12 (3.90..4.31)`."""
    return f"{row['value']:.{digits}f}{unit} ({row['low']:.{digits}f}..{row['high']:.{digits}f})"


def target(value: float, limit: float, *, at_most: bool = False) -> str:
    """The target, and whether the value meets it."""
    met = value <= limit if at_most else value >= limit
    return f"{'at most' if at_most else 'at least'} {limit:g}: {'met' if met else 'MISSED'}"
