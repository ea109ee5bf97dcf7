"""Scripts run by one process or by several, forked from one that has imported torch and transformers.

They import Plaudit themselves, so that what a new process lacks is lacking here too.

What a launcher does (the command line, the environment, the exchange over gloo) is tested with a real one in
`training/test_processes.py`.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

TESTS = Path(__file__).parent
LONGEST = 300
"""Seconds that a script may take."""

SERVER = """
import gc, json, os, runpy, signal, sys, traceback
import accelerate, datasets, peft, scipy.optimize, scipy.stats, torch, transformers.models.llama.modeling_llama
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast, Trainer, TrainingArguments

gc.collect(), gc.freeze()  # a child that collects would copy every page of what it shares
assert not [name for name in sys.modules if name.partition(".")[0] == "plaudit"]

def become(asked, rank):
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1), os.dup2(log, 2)
    os.environ.update(asked["environment"])
    if asked["processes"] > 1:
        os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank)} | asked["together"])
    sys.argv, code = asked["argv"], 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)

for line in sys.stdin:
    asked, children, failed = json.loads(line), set(), False
    for rank in range(asked["processes"]):
        child = os.fork()
        if not child:
            become(asked, rank)
        children.add(child)
    print(json.dumps(sorted(children)), flush=True)
    while children:
        child, status = os.wait()
        children.discard(child)
        if status and not failed:  # the others would wait for it for ever
            failed = True
            for other in children:
                os.kill(other, signal.SIGKILL)
    print("failed" if failed else "done", flush=True)
"""


class Launcher:
    """Runs scripts; made once a session, ends with it."""

    def __init__(self) -> None:
        environment = {
            **os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PLAUDIT_QUIET": "1",
            "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, bufsize=0,
        )  # fmt: skip

    def __call__(self, script: Path, *words: object, processes: int = 1, **environment: str) -> str:
        """What a script prints, run by so many processes that know of each other; fails with it if one fails.

        They see what `environment` sets beside what all of them see.
        """
        log, _ = self._begun(script, words, processes, environment)
        if not self._has_line(LONGEST):
            os.killpg(self.server.pid, signal.SIGKILL)  # what waits for another process that ended waits for ever
        assert self._line() == "done\n", log.read_text()[-2000:]
        return log.read_text()

    def killed(self, script: Path, *words: object, when: Callable[[], bool]) -> None:
        """Runs a script in one process and kills it as soon as `when()`; fails if it ends before."""
        log, (child,) = self._begun(script, words, 1, {})
        limit = time.monotonic() + LONGEST
        while not (ended := self._has_line(0.005)) and not when() and time.monotonic() < limit:
            pass
        assert not ended, f"it ended before it could be killed: {log.read_text()[-2000:]}"
        os.kill(child, signal.SIGKILL)
        assert self._line() == "failed\n"

    def _begun(
        self, script: Path, words: Sequence[object], processes: int, environment: dict[str, str]
    ) -> tuple[Path, list[int]]:
        """Starts a script: where it prints, and its processes."""
        log = script.with_suffix(".log")
        log.write_text("")
        asked = {
            "argv": [str(script), *map(str, words)], "log": str(log), "processes": processes,
            "environment": environment,
            "together": {
                "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(free_port()),
            },
        }  # fmt: skip
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(asked).encode() + b"\n")
        return log, json.loads(self._line())

    def _line(self) -> str:
        """What the server says next; nothing behind it is read, so that `_has_line` sees it."""
        assert self.server.stdout is not None
        return self.server.stdout.readline().decode()

    def _has_line(self, seconds: float) -> bool:
        return bool(select.select([self.server.stdout], [], [], seconds)[0])

    def close(self) -> None:
        """Ends the server."""
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(timeout=60)
        assert self.server.stdout is not None
        self.server.stdout.close()


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
