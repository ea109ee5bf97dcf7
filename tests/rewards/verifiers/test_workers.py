"""The pool of killable children: results, deadlines, crashes, who is to blame, clean-up."""

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from plaudit.errors import InputError
from plaudit.rewards.verifiers.workers import KILLS, ChildError, Died, Done, Overran, Raised, WorkerPool

JOBS = """
import os, signal, sys, time
warm = []
def warm_up(): warm.append(os.getpid())
def run(job):
    kind, *rest = job
    if kind == "echo": return rest[0]
    if kind == "pid": return os.getpid()
    if kind == "warm": return warm
    if kind == "sleep": time.sleep(rest[0]); return "slept"
    if kind == "loop":
        while True: pass
    if kind == "power": return len(str(9 ** 9 ** rest[0]))
    if kind == "memory": return len(bytearray(rest[0]))
    if kind == "signal": os.kill(os.getpid(), rest[0]); time.sleep(5)
    if kind == "exit": os._exit(rest[0])
    if kind == "raise": raise ValueError("no such thing")
    if kind == "print": print("x" * 10**6); sys.stderr.write("y" * 10**6); os.write(1, b"z" * 100); return "printed"
    if kind == "deep": return run(job)
    if kind == "once":  # crashes the first time
        if os.path.exists(rest[0]): return "second time"
        open(rest[0], "w").close(); os.abort()
    if kind == "stop once":
        if os.path.exists(rest[0]): return "second time"
        open(rest[0], "w").close(); time.sleep(60)
"""


@pytest.fixture(scope="module", autouse=True)
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "pool_jobs.py").write_text(JOBS)
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture
def pool():
    with WorkerPool("pool_jobs:run", workers=2, memory_mb=400, canary=["echo", 0]) as made:
        yield made


def test_results_stand_in_the_order_of_the_jobs(pool):
    jobs = [["sleep", 0.2], *(["echo", i] for i in range(200))]
    assert pool.run(jobs, seconds=5) == [Done("slept"), *(Done(i) for i in range(200))]


def test_no_jobs_start_no_child(pool):
    assert pool.run([], seconds=1) == []
    assert pool.pids() == []


@pytest.mark.parametrize("text", ["\ud800", "\x00", "é\u202e", "x" * 300_000])
def test_any_text_travels_both_ways(pool, text):
    assert pool.run([["echo", text]], seconds=5) == [Done(text)]


def test_what_a_job_prints_is_no_reply(pool):
    assert pool.run([["print"], ["echo", 1]], seconds=5) == [Done("printed"), Done(1)]


def test_an_exception_is_told_and_the_child_lives_on(pool):
    first, second, third = pool.run([["raise"], ["deep"], ["echo", 1]], seconds=5)
    assert first == Raised("ValueError", "no such thing")
    assert second.type == "RecursionError"
    assert third == Done(1)


def test_a_loop_is_killed_at_its_deadline_and_is_the_jobs_own(pool):
    start = time.monotonic()
    assert pool.run([["loop"], ["echo", 1]], seconds=0.5) == [Overran(0.5, "job"), Done(1)]
    assert time.monotonic() - start < 5


def test_an_integer_power_that_holds_the_interpreter_is_killed(pool):
    # 9**9**9 has 369,693,100 digits; no signal handler of Python runs while it is computed
    assert pool.run([["power", 9]], seconds=0.5)[0] == Overran(0.5, "job")


def test_idling_past_the_deadline_is_tried_again_and_then_the_jobs_own(pool):
    # it uses no processor time, so the machine is suspected until the canary passes
    assert pool.run([["sleep", 60]], seconds=0.3) == [Overran(0.3, "job")]


def test_where_the_canary_is_late_the_machine_is_to_blame():
    with WorkerPool("pool_jobs:run", workers=1, canary=["sleep", 60]) as slow:
        assert slow.run([["sleep", 60]], seconds=0.3) == [Overran(0.3, "machine")]


def test_where_the_canary_dies_the_machine_is_to_blame():
    with WorkerPool("pool_jobs:run", workers=1, canary=["exit", 1]) as broken:
        assert broken.run([["exit", 3]], seconds=1) == [Died("exit 3", "machine")]


def test_memory_is_bounded_and_the_job_hears_of_it(pool):
    assert pool.run([["memory", 10**10], ["echo", 1]], seconds=5) == [
        Raised("MemoryError", "the job ran out of memory"),
        Done(1),
    ]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_twice_with_a_passing_canary_is_the_jobs_own(pool, number):
    assert pool.run([["signal", number], ["echo", 1]], seconds=2) == [Died(number.name, "job"), Done(1)]


def test_an_exit_is_the_jobs_own(pool):
    assert pool.run([["exit", 7]], seconds=2) == [Died("exit 7", "job")]


@pytest.mark.parametrize("kind", ["once", "stop once"])
def test_a_crash_or_delay_that_does_not_come_back_costs_the_job_nothing(pool, tmp_path, kind):
    assert pool.run([[kind, str(tmp_path / "seen")]], seconds=1) == [Done("second time")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_whose_children_are_always_killed_from_outside_is_the_machines_fault(number, monkeypatch):
    monkeypatch.setattr("plaudit.rewards.verifiers.workers.KILLS", 3)
    with WorkerPool("pool_jobs:run", workers=1, canary=["echo", 0]) as pool:
        assert pool.run([["signal", number]], seconds=2) == [Died(number.name, "machine")]
    assert KILLS == 25


def test_a_missing_module_is_said_at_once():
    with (
        WorkerPool("no_such_jobs:run", workers=2) as pool,
        pytest.raises(ChildError, match="ModuleNotFoundError: No module named 'no_such_jobs'"),
    ):
        pool.run([["echo", 1]], seconds=1)


def test_an_interpreter_that_ends_at_once_is_said_at_once(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with WorkerPool("time:sleep", workers=1) as pool, pytest.raises(ChildError, match=r"ended .* \(1\)"):
        pool.run([0], seconds=1)


def test_the_template_is_warmed_up_once_for_all_children(pool):
    found = pool.run([["warm"], ["sleep", 0.1], ["sleep", 0.1], ["warm"]], seconds=5)
    template = pool.pids()[-1]
    assert (found[0], found[-1]) == (Done([template]), Done([template]))


def test_a_killed_template_is_started_again(pool):
    assert pool.run([["echo", 1]], seconds=5) == [Done(1)]
    child, template = pool.pids()
    os.kill(template, signal.SIGKILL)
    assert pool.run([["pid"]], seconds=5) == [Done(child)]  # the child lives on
    assert pool.run([["sleep", 0.1], ["sleep", 0.1]], seconds=5) == [Done("slept")] * 2  # a second child is needed
    assert template not in pool.pids()
    os.kill(child, signal.SIGKILL)
    assert pool.run([["echo", 2]] * 3, seconds=5) == [Done(2)] * 3


def test_templates_that_are_killed_while_they_start_are_the_machines_fault(monkeypatch):
    from plaudit.rewards.verifiers import workers

    def killed(*_):
        raise workers.TemplateGoneError

    monkeypatch.setattr(workers, "PATIENCE", 0.05)
    monkeypatch.setattr(workers, "Template", killed)
    with WorkerPool("pool_jobs:run", workers=2) as pool:
        assert pool.run([["echo", 1]] * 3, seconds=1) == [Died("the template died while starting", "machine")] * 3


def test_a_pool_needs_a_child():
    with pytest.raises(InputError, match="workers is 0; give at least 1"):
        WorkerPool("pool_jobs:run", workers=0)


def test_all_children_are_at_work(pool):
    pool.run([["echo", 1]] * 4, seconds=5)
    start = time.monotonic()
    assert len({r.value for r in pool.run([["pid"], ["sleep", 0.4], ["sleep", 0.4], ["pid"]], seconds=5)}) >= 2
    assert time.monotonic() - start < 0.75


def test_threads_share_the_children(pool):
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda i: pool.run([["echo", [i, j]] for j in range(40)], seconds=5), range(12)))
    assert found == [[Done([i, j]) for j in range(40)] for i in range(12)]
    assert len(pool.pids()) <= 3  # two children and their template


def test_children_outlive_the_thread_that_started_them(pool):
    first: list = []
    thread = threading.Thread(target=lambda: first.extend(pool.run([["pid"]], seconds=5)))
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert pool.run([["pid"]], seconds=5) == first


def test_in_an_event_loop(pool):
    async def main():
        inside = pool.run([["echo", 1]], seconds=5)
        outside = await asyncio.get_running_loop().run_in_executor(None, lambda: pool.run([["echo", 2]], seconds=5))
        return inside + outside

    assert asyncio.run(main()) == [Done(1), Done(2)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_makes_its_own_children(pool):
    ours = pool.run([["pid"]], seconds=5)[0].value
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # no test code may run past this block
        try:
            found = pool.run([["pid"]], seconds=5)[0].value
            os.write(writer, str(found).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        theirs = int(pipe.read())
    os.waitpid(child, 0)
    assert theirs != ours
    assert pool.run([["pid"]], seconds=5)[0].value == ours


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return None


@pytest.mark.parametrize("busy", [False, True])
def test_children_die_with_their_parent(busy):
    # the parent is killed, so that no exit handler of its runs; a child at work dies at its own alarm
    script = """if 1:
        import os, sys, threading, time
        from plaudit.rewards.verifiers.workers import WorkerPool
        pool = WorkerPool("time:sleep", workers=1)
        pool.run([0], seconds=5)
        print(*pool.pids(), flush=True)
        if sys.argv[1] == "True":
            threading.Thread(target=lambda: pool.run([100], seconds=0.5), daemon=True).start()
            time.sleep(0.2)
        os.kill(os.getpid(), 9)"""
    ran = subprocess.run([sys.executable, "-c", script, str(busy)], capture_output=True, text=True)
    pids = [int(pid) for pid in ran.stdout.split()]
    assert len(pids) == 2
    end = time.monotonic() + 12
    while any(map(_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_alive, pids))


def test_at_exit_nothing_is_left_and_nothing_is_said():
    script = """if 1:
        from plaudit.rewards.verifiers.workers import WorkerPool
        pool = WorkerPool("time:sleep", workers=2)
        pool.run([0, 0, 0.1, 0.1], seconds=5)
        print(*pool.pids())"""
    ran = subprocess.run([sys.executable, "-W", "error", "-X", "dev", "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not any(_alive(int(pid)) for pid in ran.stdout.split())


def test_no_descriptor_process_or_memory_is_lost(pool):
    def state():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    pool.run([["echo", 1]] * 4, seconds=5)
    before = state()
    for _ in range(3):
        pool.run([["exit", 1], ["raise"], ["memory", 10**10], ["loop"], ["echo", 1]], seconds=0.3)
        pool.close()
        pool.run([["echo", 1]] * 4, seconds=5)
    assert state() <= before + 1  # one child more may be warm
    pool.close()
    children = [p for p in os.listdir("/proc") if p.isdigit() and _parent(p) == os.getpid()]
    assert all(_alive(p) for p in children)  # no zombie


def test_a_stopped_child_is_replaced(pool):
    pid = pool.run([["pid"]], seconds=5)[0].value
    os.kill(pid, signal.SIGSTOP)
    assert pool.run([["echo", 1]] * 3, seconds=0.5) == [Done(1)] * 3


def kill_at_random(pool, stop, *, every, seed=0):
    """Kills one of the pool's children after the other until told to stop; returns how many."""
    rng, killed = random.Random(seed), 0
    while not stop.wait(rng.uniform(0.5, 1.5) * every):
        pids = pool.pids()
        if pids:
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
    return killed


def test_random_kills_lose_no_job(pool):
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        killer = threads.submit(kill_at_random, pool, stop, every=0.05)
        try:
            found = pool.run([["sleep", 0.002] if i % 2 else ["echo", i] for i in range(600)], seconds=5)
        finally:
            stop.set()
    assert found == [Done("slept") if i % 2 else Done(i) for i in range(600)]
    assert killer.result() > 3
