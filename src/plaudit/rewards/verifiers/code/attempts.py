"""Whose fault it is: a program is run again where the machine may be to blame, and a canary says whether it is.

What ends a run twice and leaves the canary well is the candidate's. Only where the canary fails too, or the machine
is shown to be too busy for the time that was promised, is the instrument to blame.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace

from plaudit.errors import UnsupportedError
from plaudit.rewards.verifiers.code.boxes import MODES, Box, BoxError, MemoryFault, libc_has_namespaces
from plaudit.rewards.verifiers.code.outputs import same_output
from plaudit.rewards.verifiers.code.pool import Pool
from plaudit.rewards.verifiers.code.references import CodeTests
from plaudit.rewards.verifiers.code.running import Limits, Report, run_calls, run_case

ATTEMPTS = 5
"""Boxes in which a program is tried before its box's end is held to be its own doing."""
BUSY = 1.5
"""Seconds on the clock for one of processor time from which on the canary calls the machine busy."""
LONGEST = 6.0
"""Times the timeout that a program may have on a busy machine."""
_CANARY = CodeTests(source="assert canary(200_000) == 19999900000", entry="canary")
_CANARY_CODE = "def canary(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\n"
Run = Callable[[Box, float | None], Report]


class InstrumentError(BoxError):
    """The sandbox fails on a program that is known to be right."""


class BusyError(BoxError):
    """The machine is too busy to give a program the time that it was promised."""


def attempt(pool: Pool, run: Run, timeout: float) -> Report:
    """Runs a program, again where it is unclear who ended it, until it is clear.

    Args:
        pool: where boxes come from.
        run: runs it once, in a box and with so many seconds on the clock (None: the timeout).
        timeout: seconds that it was promised.

    Returns:
        A report in which nothing is unsure.

    Raises:
        InstrumentError: if the canary fails.
        BusyError: if the machine was too busy twice.
    """
    report, wall = Report(fault="ended its sandbox"), None
    for _ in range(ATTEMPTS):
        try:
            with pool.box() as box:
                report = run(box, wall)
        except MemoryFault as error:
            return Report(fault=f"ran out of memory: {error}")
        except BoxError:
            continue
        if report.late:
            more = _more_time(pool, report, timeout, wall)
            if more is None:
                return report
            wall = more
        elif not report.unsure:
            return report
    canary(pool)
    return replace(report, unsure=False)


def _more_time(pool: Pool, report: Report, timeout: float, wall: float | None) -> float | None:
    """Seconds to try it with again, or None where the time was its own: it computed, or it slept.

    Raises:
        BusyError: if it has had more seconds already, and still did not get the processor.
    """
    if report.cpu >= 0.9 * timeout:
        return None
    busy = canary(pool)
    if busy < BUSY or report.cpu * busy < 0.5 * (wall or timeout):
        return None
    if wall is not None:
        raise BusyError(f"one second of processor time takes {busy:.1f} on this machine")
    return timeout * min(1.25 * busy, LONGEST)


def canary(pool: Pool) -> float:
    """Runs a program that is right.

    Returns:
        Seconds on the clock for one second of processor time: about 1 on an idle machine.

    Raises:
        InstrumentError: if it does not pass, tried as often as any program.
    """
    failures = []
    for _ in range(ATTEMPTS):
        try:
            with pool.box() as box:
                report = run_calls(box, _CANARY_CODE, _CANARY, Limits(timeout=20.0))
        except BoxError as error:
            failures.append(str(error))
            continue
        if report.passed == 1 and not report.fault:
            return report.seconds / max(report.cpu, 1e-3)
        failures.append(report.fault or report.error or report.unusable)
    raise InstrumentError(f"a program that is right does not pass: {failures[-1]}")


def check_calls(pool: Pool, code: str, tests: CodeTests, limits: Limits) -> Report:
    """Runs tests that call a candidate; see `attempt`."""
    return attempt(pool, lambda box, wall: run_calls(box, code, tests, limits, wall), limits.timeout)


def check_cases(
    pool: Pool, code: str, cases: tuple[tuple[str, str], ...], limits: Limits, *,
    command: tuple[str, ...] = (), tolerance: float = 0.0,
) -> Report:  # fmt: skip
    """Runs a program on each input and compares what it prints; stops at the first fault.

    A run that ends with an exception or another exit status than 0 fails its case, whatever it printed.
    """
    passed, error, spent, seconds = 0, "", 0.0, 0.0
    for i, (given, expected) in enumerate(cases):
        printed: list[str] = [""]

        def once(box: Box, wall: float | None, given: str = given, printed: list[str] = printed) -> Report:
            report, printed[0] = run_case(box, code, given, command, limits, wall)
            return report

        report = attempt(pool, once, limits.timeout)
        spent, seconds = spent + report.cpu, seconds + report.seconds
        right = bool(report.passed) and same_output(printed[0], expected, tolerance=tolerance)
        passed += right
        if not right and not error:
            error = f"{report.error or 'wrong output'} in case {i + 1}"
        if report.fault:
            return replace(report, passed=passed, total=len(cases), error=error, cpu=spent, seconds=seconds)
    return Report(passed, len(cases), error=error, cpu=spent, seconds=seconds)


_PROBE = """
import os, socket, sys
def probe():
    found = {}
    for name, call in {
        "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "file": lambda: open(os.__file__, "a"),
        "root": lambda: open("/probe", "w"),
        "process": lambda: os.kill(os.getppid() or -1, 0) or os.getppid() and 1 / 0,
    }.items():
        try:
            call(); found[name] = "allowed"
        except Exception as error:
            found[name] = "refused"
    found["pid"] = os.getpid()
    found["home"] = sorted(set(os.listdir("/")) & {"home", "proc", "sys", "var", "run", "boot", "mnt"})
    found["uid"] = os.geteuid() == 0 and os.access("/", os.W_OK)
    open("/tmp/mine", "w").write("x")
    open("/dev/null", "w").write("x")
    import bisect, decimal, zlib, threading
    return found
"""
_PROBE_TESTS = CodeTests(
    source="found = probe()\nassert found == {'socket': 'refused', 'file': 'refused', 'root': 'refused', "
    "'process': 'refused', 'pid': 1, 'home': [], 'uid': False}, found",
    entry="probe",
)
_chosen: list[str] = []
_choosing = threading.Lock()


def _in_child() -> None:
    global _choosing
    _choosing = threading.Lock()  # a thread that is not in the child may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def isolation(modes: tuple[str, ...] = MODES[:2]) -> str:
    """The first way of isolation that works here, found by running a program that tries to get out; once a process.

    Raises:
        UnsupportedError: if none does, with what the machine said and what would help.
    """
    with _choosing:
        if not _chosen:
            _chosen.append(_probe(modes))
        return _chosen[0]


def _probe(modes: tuple[str, ...]) -> str:
    reasons = []
    for mode in modes:
        reason = trouble(mode)
        if not reason:
            return mode
        reasons.append(f"{mode}: {reason}")
    raise UnsupportedError(
        f"verify/code: this machine offers no isolation ({'; '.join(reasons)}); allow unprivileged user namespaces "
        "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns=0; for containers --security-opt seccomp=unconfined), "
        "name a server, or accept the risk with unsafe=true"
    )


def trouble(mode: str) -> str:
    """What keeps a way of isolation from working here; empty if it works."""
    if mode == "bwrap" and shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    if not libc_has_namespaces():
        return "this system has no namespaces"
    try:
        box = Box(mode)
    except (BoxError, UnsupportedError) as error:
        return str(error)
    try:
        report = run_calls(box, _PROBE, _PROBE_TESTS, Limits(timeout=20.0))
    except BoxError as error:
        return str(error)
    finally:
        box.close()
    return "" if report.passed == 1 and not report.fault else report.fault or report.error or report.unusable
