"""What a candidate can see and do in the box, for each way of isolation that this machine has."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plaudit.errors import UnsupportedError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.code import CodeVerifier, attempts
from plaudit.rewards.verifiers.code.attempts import check_calls, check_cases, trouble
from plaudit.rewards.verifiers.code.boxes import MODES
from plaudit.rewards.verifiers.code.languages import LANGUAGES, Language
from plaudit.rewards.verifiers.code.pool import Pool
from plaudit.rewards.verifiers.code.references import CodeTests
from plaudit.rewards.verifiers.code.running import Limits

ISOLATED = MODES[:2]


@pytest.fixture(scope="module", params=ISOLATED)
def pool(request):
    if reason := trouble(request.param):
        pytest.skip(f"{request.param}: {reason}")
    found = Pool(request.param, 1)
    yield found
    found.close()


def ask(pool, code, *, limits: Limits | None = None):
    """What `look()` of a candidate returns."""
    report = check_calls(
        pool, code, CodeTests("found = repr(look())\nassert False, found", entry="look"), limits or Limits()
    )
    assert report.error.startswith("AssertionError: "), report
    return report.error.removeprefix("AssertionError: ").rpartition(" in test 1")[0]


def passes(pool, code, tests, *, limits: Limits | None = None, **named):
    report = check_calls(pool, code, CodeTests(tests, **named), limits or Limits())
    assert (report.fault, report.error) == ("", "")
    return report


def test_only_the_interpreter_is_seen(pool):
    passes(
        pool,
        "import os, sys\ndef roots(): return sorted(os.listdir('/'))\n"
        "def files(): return [f for f in ('/etc/passwd', '/proc/self/maps', '/sys/kernel', '/root/.bashrc') if os.path.exists(f)]\n"  # noqa: E501
        f"def project(): return os.path.exists({str(Path(__file__).parent)!r})\n"
        "def packages(): return [os.listdir(p) for p in sys.path if p.endswith('-packages') and os.path.isdir(p)]\n"
        "def devices(): return sorted(os.listdir('/dev'))",
        "assert not set(roots()) & {'home', 'proc', 'sys', 'var', 'opt', 'srv', 'mnt', 'boot', 'run'}\n"
        "assert files() == []\nassert project() is False\nassert all(p == [] for p in packages())\n"
        "assert set(devices()) <= {'null', 'zero', 'full', 'random', 'urandom'}",
    )


def test_nothing_is_inherited(pool):
    passes(
        pool,
        "import os, resource\ndef environment(): return dict(os.environ)\n"
        "def descriptors():\n    found = []\n    for fd in range(64):\n        try: os.fstat(fd); found.append(fd)\n"
        "        except OSError: pass\n    return found\n"
        "def numbers(): return os.getpid(), os.getppid(), os.getsid(0)",
        "assert set(environment()) == {'HOME', 'TMPDIR', 'LANG', 'PYTHONHASHSEED'}\n"
        "assert descriptors() == [0, 1, 2, 4, 5]\nassert numbers() == (1, 0, 1)",
    )


def test_nothing_can_be_written_but_an_empty_folder_of_limited_size(pool):
    passes(
        pool,
        """
import os, sys
def empty(): return os.listdir('/tmp')
def refused():
    found = []
    for path in ('/x', '/dev/x', os.__file__, sys.executable, os.path.dirname(os.__file__) + '/x.py', '/etc/x'):
        try: open(path, 'ab').write(b'x')
        except OSError: found.append(path)
    return len(found)
def fill():
    n = 0
    try:
        for i in range(100):
            with open(f'/tmp/{i}', 'wb') as f:
                for _ in range(8): n += f.write(bytes(1 << 16))
    except OSError as error: return n >> 20, error.errno
def many():
    try:
        for i in range(10**5): open(f'/tmp/n{i}', 'w').close()
    except OSError: return i < 5000
def large():
    try:
        with open('/tmp/0', 'wb') as f: f.write(bytes(2 << 20))
    except OSError as error: return error.errno
""",
        "assert empty() == []\nassert refused() == 6\nassert large() == 27\nassert fill()[0] < 17\nassert many()",
    )


def test_privileged_calls_are_refused(pool):
    passes(
        pool,
        """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def error(call, *args):
    ctypes.set_errno(0)
    return ctypes.get_errno() if getattr(libc, call)(*args) < 0 else 0
def calls():
    return [error('ptrace', 16, 1, 0, 0), error('unshare', 0x10000000), error('unshare', 0x40000000),
            error('mount', b'x', b'/tmp', b'tmpfs', 0, None), error('umount2', b'/tmp', 2), error('chroot', b'/tmp'),
            error('setns', 0, 0), error('sethostname', b'x', 1), error('setuid', 0) if os.getuid() else 1,
            error('process_vm_readv', 1, None, 0, None, 0, 0), error('shmget', 1, 10, 0o1666), error('reboot', 0)]
def families():
    found = []
    for family in range(50):
        try: socket.socket(family, socket.SOCK_STREAM).close()
        except OSError: continue
        found.append(family)
    return found
def pair():
    a, b = socket.socketpair()
    a.send(b'x')
    return b.recv(1)
def regained():
    for kind in range(-1, 16):
        try:
            soft, hard = __import__('resource').getrlimit(kind)
            if 0 < hard: __import__('resource').setrlimit(kind, (hard + 1, hard + 1)); return kind
        except (ValueError, OSError, OverflowError): pass
""",
        "assert set(calls()) == {1}\nassert families() == []\nassert pair() == b'x'\nassert regained() is None",
    )


def test_the_network_sees_nothing(pool):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.3)
        port = server.getsockname()[1]
        code = f"import socket, urllib.request\ndef look():\n    found = []\n" \
               f"    for call in (lambda: socket.create_connection(('127.0.0.1', {port}), 1),\n" \
               f"                 lambda: urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=1),\n" \
               f"                 lambda: socket.gethostbyname('localhost')):\n" \
               f"        try: call(); found.append(1)\n        except OSError: found.append(0)\n    return found"  # fmt: skip  # noqa: E501
        assert ask(pool, code).startswith("[0, 0, ")
        with pytest.raises(TimeoutError):
            server.accept()


def test_one_program_leaves_nothing_for_the_next(pool):
    then = """
import os, math
def look(): return os.listdir('/tmp'), 'LEFT' in os.environ, os.getpriority(0, 0), hasattr(math, 'left'), os.umask(0)
"""
    before = ask(pool, then)
    leave = """
import os, ctypes
def look():
    open('/tmp/left', 'w').write('x'); os.mkdir('/tmp/folder')
    os.environ['LEFT'] = 'x'; os.umask(0); os.nice(1)
    import math; math.left = 1
    if os.fork() == 0:
        os.setsid()
        import time; time.sleep(60)
    return 1
"""
    assert ask(pool, leave) == "1"
    assert ask(pool, then) == before
    assert before.startswith("([], False, ")
    box = pool.idle[0]
    assert len(descendants(box.process.pid)) <= 2  # the zygote, and bubblewrap before it; no one else lives


def descendants(pid: int) -> list[int]:
    found = []
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        children = [int(x) for x in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        found += children
        waiting += children
    return found


def test_processes_are_counted_and_all_die(pool):
    code = """
import os, time
def look():
    made = 0
    try:
        while made < 500:
            if os.fork() == 0:
                time.sleep(60)
            made += 1
    except OSError: pass
    return made
"""
    assert 0 < int(ask(pool, code, limits=Limits(processes=12))) < 12
    assert len(descendants(pool.idle[0].process.pid)) <= 2


def test_memory_is_limited_for_all_processes_together(pool):
    one = "def look():\n    return len(bytearray(300 << 20))"
    assert check_calls(pool, one, CodeTests("assert look()"), Limits(memory_mb=256)).fault.startswith(
        "ran out of memory"
    )
    several = """
import os, time
def look():
    for _ in range(8):
        if os.fork() == 0:
            held = [bytearray(b'x') * (20 << 20) for _ in range(9)]
            time.sleep(60)
    time.sleep(60)
"""
    start = time.monotonic()
    report = check_calls(pool, several, CodeTests("assert look()"), Limits(memory_mb=256, timeout=20.0))
    assert "together held too much memory" in report.fault
    assert time.monotonic() - start < 15
    assert passes(pool, "def look(): return 1", "assert look()").passed == 1  # in a new box


def test_output_files_and_descriptors_are_limited(pool):
    flood = "def look():\n    for _ in range(300): print('x' * 100)\n    return 1"
    assert passes(pool, flood, "assert look() == 1").passed == 1  # 30 kB
    report = check_calls(pool, flood, CodeTests("assert look() == 1"), Limits(max_output=20_000))
    assert report.fault == "wrote 20000 bytes or more"
    opened = "import os\ndef look():\n    try:\n        while True: fd = os.open('/dev/null', 0)\n    except OSError: return fd < 64"  # noqa: E501
    assert passes(pool, opened, "assert look()").passed == 1


def test_time_is_limited_and_waiting_is_not_computing(pool):
    start = time.monotonic()
    report = check_calls(pool, "import time\ntime.sleep(60)", CodeTests("assert f()"), Limits(timeout=0.3))
    assert report.fault == "took longer than 0.3 s"
    assert report.late
    assert time.monotonic() - start < 5


def test_standard_input_and_output(pool):
    cases = (("1 2\n", "3\n"), ("5 6", "11"))
    right = "a, b = map(int, input().split())\nprint(a + b)"
    assert check_cases(pool, right, cases, Limits()).passed == 2
    assert check_cases(pool, right.replace("+", "*"), cases, Limits()).error == "wrong output in case 1"
    whole = "import sys\nif __name__ == '__main__':\n    print(sum(map(int, sys.stdin.read().split())), end='')\n    sys.exit()"  # noqa: E501
    assert check_cases(pool, whole, cases, Limits()).passed == 2
    late = "import atexit, threading\na, b = map(int, input().split())\natexit.register(lambda: print(b))\n" \
           "threading.Timer(0.05, lambda: print(a)).start()"  # fmt: skip
    assert check_cases(pool, late, (("1 2", "1\n2"),), Limits()).passed == 1
    crash = check_cases(pool, "print(3)\nint('x')", cases, Limits())
    assert crash.passed == 0
    assert crash.error.startswith("ValueError: invalid literal for int() with base 10: 'x' (line 2) in case 1")
    assert "line" not in check_cases(pool, "import sys\nsys.exit('no')", cases, Limits()).error
    for code, why in (
        ("import os\nos.abort()", "was ended (signal"),
        ("x = [bytearray(1 << 25) for _ in range(99)]", "ran out of memory"),
        ("while True: print('x' * 1000)", "wrote 1048576 bytes or more"),
        ("while True: pass", "took longer than 1 s"),
    ):
        # on a busy machine even a fault takes its time; only the endless loop is to meet the clock
        report = check_cases(pool, code, cases, Limits(timeout=1.0 if "longer" in why else 30.0))
        assert report.fault.startswith(why), report
        assert (report.passed, report.total) == (0, 2)
    assert check_cases(pool, "print('\\ud800')", (("", "x"),), Limits()).passed == 0


def test_another_language_is_a_row(monkeypatch):
    if reason := trouble("direct"):
        pytest.skip(reason)
    monkeypatch.setitem(LANGUAGES, "sh", Language("sh", ("sh", "bash"), ("/bin/sh",)))
    pool = Pool("direct", 1)
    try:
        row = LANGUAGES["sh"]
        report = check_cases(
            pool, "read a b\necho $((a + b))", (("1 2\n", "3"), ("1 3\n", "5")), Limits(), command=row.command
        )
        assert (report.passed, report.total, report.fault) == (1, 2, "")
        failing = check_cases(pool, "echo 3; nothing-here", (("", "3"),), Limits(), command=row.command)
        assert failing.passed == 0
        assert "not found" in failing.error
    finally:
        pool.close()
    verifier = CodeVerifier(language="sh")
    with pytest.raises(ValueError, match=r'for sh give \{"cases"'):
        verifier([case("", "echo 1", "assert f()")])


def test_without_isolation_it_refuses(monkeypatch):
    monkeypatch.setattr(attempts, "trouble", lambda mode: f"no {mode} here")
    monkeypatch.setattr(attempts, "_chosen", [])
    with pytest.raises(
        UnsupportedError, match=r"no isolation \(bwrap: no bwrap here; direct: no direct here\).*unsafe=true"
    ):
        CodeVerifier()([case("", "def f(): return 1", "assert f() == 1")])
    unsafe = CodeVerifier(unsafe=True, timeout=1.0)
    samples = [
        case("", text, "assert f() == 1")
        for text in ("def f(): return 1", "def f(): return 2", "def f():\n  while 1: pass", "import os\nos._exit(0)")
    ]
    outcomes = unsafe(samples)
    assert list(outcomes.reward) == [1.0, 0.0, 0.0, 0.0]
    assert [Outcome(o).name for o in outcomes.outcome] == ["SCORED", "SCORED", "POLICY_FAULT", "POLICY_FAULT"]


def test_unsafe_still_limits_and_cleans_up():
    pool = Pool("unsafe", 1)
    try:
        stays = "import os, time\ndef look():\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(60)\n    return 7"  # noqa: E501
        assert ask(pool, stays) == "7"
        assert descendants(pool.idle[0].process.pid) == []
        assert check_calls(pool, "x = bytearray(1 << 32)", CodeTests("assert x"), Limits()).fault
        gain = "import ctypes\ndef look(): return ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)"
        assert ask(pool, gain) == "1"  # no new privileges
    finally:
        pool.close()


def test_a_machine_without_namespaces_is_named(monkeypatch):
    monkeypatch.setattr(attempts, "libc_has_namespaces", lambda: False)
    assert trouble("direct") == "this system has no namespaces"
    monkeypatch.setenv("PATH", "")
    assert trouble("bwrap") == "bubblewrap is not installed"


def test_boxes_end_with_the_process_that_made_them():
    script = """
import json, os, sys, time
from plaudit.rewards.verifiers.code import CodeVerifier
from plaudit.rewards.verifiers.code.pool import _pools
from plaudit.rewards.verifiers.base import case
v = CodeVerifier(workers=2)
v([case('', 'def f(): return 1', 'assert f() == 1')] * 4)
print(json.dumps([b.process.pid for p in _pools.values() for b in p.idle]), flush=True)
v([case('', 'import time\\ntime.sleep(60)', 'assert f() == 1')] * 2)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    boxes = json.loads(process.stdout.readline())
    everyone = [p for box in boxes for p in (box, *descendants(box))]
    time.sleep(0.3)  # candidates sleep in both
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    deadline = time.monotonic() + 10
    while alive := [p for p in everyone if _lives(p)]:
        assert time.monotonic() < deadline, f"{alive} still live"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_descriptor_is_leaked(pool):
    passes(pool, "def f(): return 1", "assert f() == 1")
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(5):
        passes(pool, "def f(): return 1", "assert f() == 1")
        check_cases(pool, "print(1)", (("", "1"),), Limits())
    assert sorted(os.listdir("/proc/self/fd")) == before
