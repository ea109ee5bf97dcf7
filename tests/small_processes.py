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
from pathlib import Path

TESTS = Path(__file__).parent
LONGEST = 300
"""Seconds that a script may take."""

SERVER = """
import json, os, runpy, signal, sys, traceback
import accelerate, datasets, peft, scipy.optimize, scipy.stats, torch, transformers.models.llama.modeling_llama
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast, Trainer, TrainingArguments

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
            [sys.executable, "-c", SERVER], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def __call__(self, script: Path, *words: object, processes: int = 1, **environment: str) -> str:
        """What a script prints, run by so many processes that know of each other; fails with it if one fails.

        They see what `environment` sets beside what all of them see.
        """
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
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        if not select.select([self.server.stdout], [], [], LONGEST)[0]:
            os.killpg(self.server.pid, signal.SIGKILL)  # what waits for another process that ended waits for ever
        assert self.server.stdout.readline() == "done\n", log.read_text()[-2000:]
        return log.read_text()

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
