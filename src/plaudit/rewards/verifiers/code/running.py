"""One program against its tests: what is sent into a box, and what is made of what comes back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plaudit.rewards.verifiers.code.boxes import Box, anonymous_file
from plaudit.rewards.verifiers.code.references import CodeTests

Answer = Mapping[str, Any]
_KILLED = -9


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use.

    Attributes:
        timeout: seconds on the clock, for all tests together; for each case of input and output.
        memory_mb: mebibytes of address space a process, and of memory for all its processes together.
        max_output: bytes written to standard output and standard error, and to any one file.
        processes: processes and threads at once.
        tmp_mb: mebibytes in the temporary folder.
    """

    timeout: float = 4.0
    memory_mb: int = 512
    max_output: int = 1 << 20
    processes: int = 32
    tmp_mb: int = 16

    def job(self, kind: str, wall: float | None = None) -> dict[str, Any]:
        """The part of a zygote's job that says these limits; `wall` allows more seconds on a busy machine."""
        return {
            "kind": kind, "timeout": wall or self.timeout, "cpu": self.timeout, "memory": self.memory_mb << 20,
            "resident": int(self.memory_mb * 1.1 + 64) << 20, "processes": self.processes,
            "max_output": self.max_output, "tmp_mb": self.tmp_mb,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a program.

    Attributes:
        passed: tests that it passed.
        total: tests that there are.
        fault: why it is at fault whatever it passed: ended early, took too long, flooded; empty if it is not.
        error: the first failure: type, message, line, the test; empty if there is none.
        unusable: why the tests themselves cannot be run; empty if they can.
        late: it was ended at the deadline.
        unsure: it ended in a way that the machine, or someone on it, may have caused.
        cpu: seconds of processor time.
        seconds: on the clock.
        borrowed: names that the tests use, that nothing trusted defines, and that were taken from the candidate.
    """

    passed: int = 0
    total: int = 0
    fault: str = ""
    error: str = ""
    unusable: str = ""
    late: bool = False
    unsure: bool = False
    cpu: float = 0.0
    seconds: float = 0.0
    borrowed: tuple[str, ...] = ()


@contextlib.contextmanager
def _files(*contents: bytes) -> Iterator[list[int]]:
    fds = [anonymous_file(c) for c in contents]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def run_calls(box: Box, code: str, tests: CodeTests, limits: Limits, wall: float | None = None) -> Report:
    """Runs tests that call the candidate.

    Raises:
        BoxError: if the box broke down.
    """
    secret = secrets.token_hex(16)
    shared = {"setup": tests.setup, "prompt": tests.prompt, "entry": tests.entry}
    program = json.dumps({"code": code, **shared}).encode()
    trial = json.dumps(trial_of(tests, secret)).encode()
    read, write = os.pipe()
    try:
        with _files(program, trial, b"") as (first, second, output):
            try:
                answer = box.run(limits.job("calls", wall), [first, second, write, output])
            finally:
                os.close(write)
            flooded = os.fstat(output).st_size >= limits.max_output
        body = _drain(read)
    finally:
        os.close(read)
    return _judge_calls(answer, _verdict(body, secret), flooded, limits)


def trial_of(tests: CodeTests, secret: str) -> dict[str, Any]:
    """What the tests' process is told. Results that are not finite are refused unless the tests speak of such."""
    finite = _NOT_FINITE.search(tests.source) is None and _NOT_FINITE.search(tests.setup) is None
    shared = {"setup": tests.setup, "prompt": tests.prompt, "entry": tests.entry}
    return {"secret": secret, "tests": tests.source, "check": tests.check, "finite": finite, **shared}


_NOT_FINITE = re.compile(r"\b(?:nan|inf|isnan|isinf|isfinite|infinity)\b", re.IGNORECASE)


def _drain(fd: int) -> bytes:
    """What was written to a pipe whose writers are all gone."""
    os.set_blocking(fd, False)
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    return b"".join(parts)


def _verdict(body: bytes, secret: str) -> dict[str, Any] | None:
    """The verdict, if it is whole, finite and carries the run's secret."""

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not finite")

    try:
        found = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not secrets.compare_digest(str(found.get("secret")).encode(), secret.encode()):
        return None
    if "unusable" in found:
        return found
    counts = (found.get("passed"), found.get("total"))
    fine = all(type(c) is int for c in counts) and 0 <= counts[0] <= counts[1] and counts[1] > 0  # type: ignore
    return found if fine else None


def _judge_calls(answer: Answer, verdict: dict[str, Any] | None, flooded: bool, limits: Limits) -> Report:
    spent: dict[str, Any] = {"cpu": float(answer["cpu"]), "seconds": float(answer["seconds"])}
    if answer["late"]:
        return Report(fault=f"took longer than {limits.timeout:g} s", late=True, **spent)
    status = answer["status"].get("candidate")
    if verdict is None:
        return Report(fault="ended the tests' process", unsure=True, **spent)
    if "unusable" in verdict:
        return Report(unusable=clean(verdict["unusable"]), **spent)
    told = {"passed": verdict["passed"], "total": verdict["total"], "error": _failure(verdict), **spent}
    told["borrowed"] = tuple(str(x) for x in verdict.get("borrowed", []))
    if flooded:
        return Report(**{**told, "fault": f"wrote {limits.max_output} bytes or more"})
    if verdict["load"]:
        return Report(**{**told, "fault": "the program does not load", "error": _located(*verdict["load"])})
    if verdict["fault"]:
        kind, said = verdict["fault"]
        unsure = kind == "gone" and status in (None, _KILLED)
        return Report(**{**told, "fault": _said(kind, said, status), "unsure": unsure})
    return Report(**told)


def _said(kind: str, said: str, status: int | None) -> str:
    if kind == "gone":
        return f"ended before its tests were through{ending(status)}"
    words = {
        "memory": "ran out of memory",
        "flood": "returned too much",
        "protocol": "broke the connection to its tests",
        "undefined": "the program does not define",
    }
    return clean(f"{words[kind]}: {said}" if said else words[kind])


def ending(status: int | None) -> str:
    """How a process ended, in words that follow a sentence."""
    if status is None:
        return ""
    if status == _KILLED:
        return " (killed: memory or processor time)"
    return f" (signal {-status})" if status < 0 else f" (exit status {status})"


def _failure(verdict: dict[str, Any]) -> str:
    found = verdict.get("failure")
    if not found:
        return ""
    number, kind, said, line, label = found
    return f"{_located(kind, said, line)} in test {number + 1}: {clean(label)}"


def _located(kind: str, said: str, line: int | None) -> str:
    return clean(kind + (f": {said}" if said else "") + (f" (line {line})" if line else ""))


def clean(text: Any) -> str:
    """One line that every file can hold."""
    return " ".join(str(text).encode("utf-8", "replace").decode().split())[:400]


def run_case(
    box: Box, code: str, given: str, command: tuple[str, ...], limits: Limits, wall: float | None = None
) -> tuple[Report, str]:
    """Runs a program once on an input.

    Returns:
        A report that counts one test, passed where the program ended well, and what the program printed.

    Raises:
        BoxError: if the box broke down.
    """
    job = limits.job("stdio", wall) | ({"command": list(command)} if command else {})
    with _files(code.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass"), b"", b"") as fds:
        program, stdin, stdout, stderr = fds
        answer = box.run(job, [program, stdin, stdout, stderr])
        printed = os.pread(stdout, limits.max_output, 0)
        size = max(os.fstat(stdout).st_size, os.fstat(stderr).st_size)
        end = os.fstat(stderr).st_size
        said = os.pread(stderr, 4000, max(end - 4000, 0)).decode("utf-8", "replace")
    spent: dict[str, Any] = {"cpu": float(answer["cpu"]), "seconds": float(answer["seconds"]), "total": 1}
    status = answer["status"].get("candidate")
    if answer["late"]:
        return Report(fault=f"took longer than {limits.timeout:g} s", late=True, **spent), ""
    if size >= limits.max_output:
        return Report(fault=f"wrote {limits.max_output} bytes or more", **spent), ""
    error = _last_error(said) if status else ""
    if status is None or status < 0 or error.startswith("MemoryError"):
        unsure = status is None or status == _KILLED
        why = "ran out of memory" if error.startswith("MemoryError") else f"was ended{ending(status)}"
        return Report(fault=why, error=error, unsure=unsure, **spent), ""
    report = Report(passed=int(status == 0), error=error or (f"exit status {status}" if status else ""), **spent)
    return report, printed.decode("utf-8", "replace")


def _last_error(said: str) -> str:
    """The exception that ended a program, as its process wrote it last; else the last line of what it wrote."""
    last = (said.strip().splitlines() or [""])[-1]
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        kind, text, line = json.loads(last)
        if isinstance(line, int | None) and isinstance(kind, str):
            return _located(kind, str(text), line)
    return clean(last)
