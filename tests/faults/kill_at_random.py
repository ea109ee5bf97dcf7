"""Runs a command again and again, each time killed at a random instant, until that was done often enough.

    kill_at_random.py SEED KILLS FOLDER -- plaudit's arguments, with {out} where the run's folder goes

A script, not a test: one process does the command once, so that what it imports and what it caches is there, and forks
for each start after that; an instant between 0 and the undisturbed duration then lies in the work and not in the
imports. Prints a JSON object: `seconds` of the undisturbed run, `kills` (seconds into each killed start), and
`folders` of the runs that were killed and came to their end; the undisturbed one is the first.
"""

import contextlib
import gc
import io
import json
import os
import random
import signal
import sys
import time
from pathlib import Path


def start(words):
    """A child that runs the command; its output goes nowhere."""
    child = os.fork()
    if child:
        return child
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    from plaudit.cli.main import main

    os._exit(main(words))


def ended(child, seconds):
    """Waits at most so long; the exit status, or None where the child is still at work."""
    limit = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if time.monotonic() >= limit:
            return None
        time.sleep(0.002)


def main():
    seed, kills, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    words = sys.argv[sys.argv.index("--") + 1 :]
    from plaudit.cli.main import main as command_line

    def command(out):
        return [word.replace("{out}", str(out)) for word in words]

    with contextlib.redirect_stdout(io.StringIO()):  # this process prints one object and nothing else
        assert command_line(command(folder / "warm")) == 0
    gc.collect()
    gc.freeze()  # a child that collects would copy every page of what it shares
    first = folder / "run-0"
    clock = time.monotonic()
    status = ended(start(command(first)), 120)
    seconds = time.monotonic() - clock
    assert status == 0, f"the undisturbed run ended with {status}"
    draw = random.Random(seed)
    done, folders, at = [], [str(first)], 1
    while len(done) < kills:
        out = folder / f"run-{at}"
        child, instant = start(command(out)), draw.uniform(0, seconds)
        status = ended(child, instant)
        if status is None:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            done.append(instant)
            continue
        assert status == 0, f"the run in {out} ended with {status} after {len(done)} kills"
        folders.append(str(out))
        at += 1
    out = folder / f"run-{at}"
    assert ended(start(command(out)), 120) == 0
    folders.append(str(out))
    print(json.dumps({"seconds": seconds, "kills": done, "folders": folders}))


if __name__ == "__main__":
    main()
