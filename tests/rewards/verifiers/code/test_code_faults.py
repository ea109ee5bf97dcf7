"""Many programs from anywhere, with processes killed under them: no answer lost, none mislabelled, none hanging."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.code import CodeVerifier
from plaudit.rewards.verifiers.code.attempts import isolation, trouble
from plaudit.rewards.verifiers.code.pool import pool_of
from plaudit.rewards.verifiers.code.twins import ASSERTS, CASES, CHECK, RIGHT

pytestmark = pytest.mark.skipif(
    bool(trouble("bwrap") and trouble("direct")), reason="this machine offers no isolation: " + trouble("direct")
)
SAMPLES = [
    case("", RIGHT["asserts"], ASSERTS),
    case("", "def total(x): return 6", ASSERTS),
    case("", RIGHT["check"], CHECK),
    case("", "def root(x): return x", CHECK),
    case("", RIGHT["cases"], CASES),
    case("", "print(3)", CASES),
    case("", "import os\nos._exit(1)", ASSERTS),
    case("", "def total(", ASSERTS),
]
EXPECTED = [(0, 1.0), (0, 1 / 3), (0, 1.0), (0, 0.0), (0, 1.0), (0, 0.5), (1, 0.0), (1, 0.0)]


def judged() -> list[tuple[int, float]]:
    batch = CodeVerifier()(SAMPLES)
    return list(zip(batch.outcome.tolist(), batch.reward.tolist(), strict=True))


def test_the_same_from_threads_and_an_event_loop():
    assert judged() == EXPECTED
    with ThreadPoolExecutor(4) as threads:
        assert all(f.result() == EXPECTED for f in [threads.submit(judged) for _ in range(8)])

    async def inside():
        blocking = judged()  # a host may well call it so
        return blocking, await asyncio.to_thread(judged)

    assert asyncio.run(inside()) == (EXPECTED, EXPECTED)


def _send(pipe):
    pipe.send(judged())
    pipe.close()


def test_the_same_from_forked_workers_four_at_once():
    assert judged() == EXPECTED  # the parent's boxes are warm when it forks
    context = multiprocessing.get_context("fork")
    workers, pipes = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, from Python 3.12 on
        for _ in range(4):
            here, there = context.Pipe(duplex=False)
            worker = context.Process(target=_send, args=(there,))
            worker.start()
            there.close()
            workers.append(worker)
            pipes.append(here)
    assert judged() == EXPECTED  # meanwhile
    for worker, pipe in zip(workers, pipes, strict=True):
        assert pipe.poll(120)
        assert pipe.recv() == EXPECTED
        worker.join(60)
        assert worker.exitcode == 0
    assert judged() == EXPECTED  # none of them has ended the parent's boxes


def test_the_same_from_four_processes_of_their_own():
    script = (
        "import json, sys\nsys.path.insert(0, sys.argv[1])\nimport test_code_faults as t\nprint(json.dumps(t.judged()))"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (eval(out.strip() or "None"), err) == ([list(x) for x in EXPECTED], "")


class Killer(threading.Thread):
    """Kills processes below this one, at random, until it is stopped."""

    def __init__(self, pause: float) -> None:
        super().__init__(daemon=True)
        self.pause, self.stop, self.killed = pause, threading.Event(), 0

    def run(self) -> None:
        rng = random.Random(0)
        while not self.stop.wait(rng.expovariate(1 / self.pause)):
            pool = pool_of(isolation())
            roots = [b.process.pid for b in [*pool.idle, *list(pool.busy)] if b.process.returncode is None]
            everyone = [p for root in roots for p in (root, *below(root))]
            if everyone:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(everyone), signal.SIGKILL)
                    self.killed += 1


def below(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                children = [int(x) for x in Path(f"/proc/{one}/task/{task}/children").read_text().split()]
                found += children
                waiting += children
    return found


def under_fire(count: int, pause: float) -> int:
    """Checks programs while processes are killed; the number killed.

    Kills come every `pause` seconds, or every four programs where the machine is slow: a program that is killed in each
    of its attempts looks as if it ended its sandbox itself, and how often that happens must not depend on the machine.
    """
    judged()
    start = time.monotonic()
    judged()
    pause = max(pause, 4 * (time.monotonic() - start) / len(SAMPLES))
    samples = [SAMPLES[i % len(SAMPLES)] for i in range(count)]
    killer = Killer(pause)
    killer.start()
    try:
        batch = CodeVerifier(workers=2)(samples)
    finally:
        killer.stop.set()
        killer.join()
    wrong = [
        (i, batch.outcome[i], batch.reward[i], batch.detail[i])
        for i in range(count)
        if (batch.outcome[i], batch.reward[i]) != EXPECTED[i % len(SAMPLES)]
    ]
    assert wrong == []
    return killer.killed


def test_killing_processes_loses_and_mislabels_nothing():
    assert under_fire(400, 0.1) >= 5  # the faster the machine, the fewer kills fall into the run
    assert judged() == EXPECTED


@pytest.mark.slow
def test_killing_processes_loses_and_mislabels_nothing_in_two_thousand():
    assert under_fire(2000, 0.1) >= 50


def test_stray_processes_of_ours_are_none():
    judged()
    pool_of(isolation()).close()
    deadline = time.monotonic() + 5
    # other tests of this process may have children of their own, such as the pool of verify/math
    while [p for p in below(os.getpid()) if _command(p).rstrip("\0").endswith(("launch", "zygote"))]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


words = st.sampled_from(
    "def total root ( ) : \n     return x = [ ] 1 0 ' \" if for in while lambda import os sys class \\ \x00 \ud800 é ``` # , . * ** yield "  # noqa: E501
    "async await try except raise assert del global with f'{ 1e999 9**9 () print input None True not".split(" ")
)
texts = st.one_of(
    st.text(max_size=80),
    st.lists(words, max_size=40).map(" ".join),
    st.binary(max_size=80).map(lambda b: b.decode("latin-1")),
    st.lists(words, max_size=20).map(lambda w: "def total(x):\n    " + " ".join(w)),
)


def fuzz(batch: list[str]) -> None:
    samples = [
        case("", text, reference) for text, reference in zip(batch, [ASSERTS, CHECK, CASES] * len(batch), strict=False)
    ]
    start = time.monotonic()
    found = CodeVerifier(timeout=1.0)(samples)
    assert set(found.outcome.tolist()) <= {Outcome.SCORED, Outcome.POLICY_FAULT}
    assert ((found.reward >= 0) & (found.reward <= 1)).all()
    assert time.monotonic() - start < 20 + 6 * len(batch)


@settings(max_examples=12, deadline=None)
@given(st.lists(texts, min_size=20, max_size=20))
def test_any_text_is_judged(batch):
    fuzz(batch)


def resident() -> int:
    pool = pool_of(isolation())
    pids = [os.getpid(), *(p for b in pool.idle for p in (b.process.pid, *below(b.process.pid)))]
    return sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in pids) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_ten_thousand_texts_and_memory_stays_flat():
    rng = random.Random(0)
    pieces = [
        w for w in "def total root ( ) : return x [ ] 1 0 if for in while import os sys class # , . * yield try".split()
    ]

    def text() -> str:
        if rng.random() < 0.3:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(80))).decode("latin-1")
        head = rng.choice(["", "def total(x):\n    ", "def root(x):\n    return "])
        return head + rng.choice([" ", "\n"]).join(rng.choice(pieces) for _ in range(rng.randrange(30)))

    fuzz([text() for _ in range(1000)])
    before = resident()
    for _ in range(9):
        fuzz([text() for _ in range(1000)])
    assert resident() - before < 16 << 20
