"""Programs run by a server: SandboxFusion, or open-instruct's code API.

A server keeps the candidate away from this machine; what it keeps apart on its own is its affair. What cannot be
promised then: that the candidate is confined in time, memory and network as here; that a time-out was not the
server's load; and, with open-instruct's API, that the candidate does not share a process with its tests.
"""

from __future__ import annotations

import ast
import http.client
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, nearest
from plaudit.rewards.verifiers.code import running
from plaudit.rewards.verifiers.code.attempts import InstrumentError
from plaudit.rewards.verifiers.code.outputs import same_output
from plaudit.rewards.verifiers.code.programs import defines
from plaudit.rewards.verifiers.code.references import CodeTests
from plaudit.rewards.verifiers.code.running import Limits, Report

TRIES = 4
"""Times that a request is sent before the server is held to be down."""
BACKOFF = 0.25
"""Seconds before the second try; each further one waits twice as long."""
_ANSWER = 16 << 20
_MODULES = ("wire", "serve", "proxies", "units", "pytest_words", "trial")


def post(url: str, message: Any, *, seconds: float, backoff: float = BACKOFF) -> Any:
    """Sends JSON and returns the JSON that comes back.

    Args:
        url: where to.
        message: the request's body.
        seconds: how long one try may take.
        backoff: seconds before the second try.

    Raises:
        InstrumentError: if the server cannot be reached, refuses, or answers something else.
    """
    body = json.dumps(message).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    said = ""
    for i in range(TRIES):
        if i:
            time.sleep(backoff * 2 ** (i - 1))
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                return json.loads(response.read(_ANSWER))
        except urllib.error.HTTPError as error:
            error.close()
            said = f"HTTP {error.code}"
            if 400 <= error.code < 500 and error.code not in (408, 425, 429):
                break
        except (OSError, http.client.HTTPException) as error:
            said = f"{type(error).__name__}: {error}"
        except (ValueError, RecursionError) as error:
            said = f"an answer that is not JSON ({type(error).__name__})"
    raise InstrumentError(f"{url}: {said}")


class ServerError(InstrumentError):
    """A server answers, and not with what a program came to: the program may have brought it about."""


def blame(error: ServerError, well: Callable[[], bool]) -> Report:
    """A fault of the program's if the server is well otherwise, as a program that is right shows.

    Raises:
        InstrumentError: if it is not.
    """
    if not well():
        raise InstrumentError(str(error)) from error
    return Report(fault="ended its tests on the server", error=running.clean(error))


@dataclass(frozen=True)
class SandboxFusion:
    """A SandboxFusion server: `POST /run_code`.

    Tests travel on standard input to a program of ours, which runs the candidate in a process of its own and talks
    to it as the local sandbox does. Nothing of them is in a file or an argument; whether one process can look
    into another's memory is up to the server, so our process also forbids being looked into where the system can.

    Attributes:
        server: base address.
        backoff: see `post`.
    """

    server: str
    backoff: float = BACKOFF

    def _run(self, code: str, stdin: str, language: str, limits: Limits, extra: float = 0.0) -> dict[str, Any]:
        message = {
            "code": code, "language": language, "stdin": stdin, "compile_timeout": limits.timeout + 10,
            "run_timeout": limits.timeout + extra, "memory_limit_MB": limits.memory_mb, "files": {}, "fetch_files": [],
        }  # fmt: skip
        for _ in range(TRIES):
            url = self.server.rstrip("/") + "/run_code"
            answer = post(url, message, seconds=3 * limits.timeout + 30, backoff=self.backoff)
            found = answer.get("run_result") if isinstance(answer, dict) else None
            if isinstance(found, dict) and answer.get("status") in ("Success", "Failed"):
                return found
            if isinstance(answer, dict) and answer.get("status") == "Failed":
                return {"status": "Error", "return_code": 1, "stdout": "", "stderr": str(answer.get("message", ""))}
        raise ServerError(f"{url}: answers {running.clean(answer)[:200]}")

    def check_calls(self, code: str, tests: CodeTests, limits: Limits) -> Report:
        """Runs tests that call the candidate.

        Raises:
            InstrumentError: if the server fails.
        """
        try:
            return self._calls(code, tests, limits)
        except ServerError as error:
            return blame(error, self._well)

    def _well(self) -> bool:
        try:
            return self._calls("def f(): return 1", CodeTests("assert f() == 1"), Limits(timeout=20.0)).passed == 1
        except ServerError:
            return False

    def _calls(self, code: str, tests: CodeTests, limits: Limits) -> Report:
        secret = secrets.token_hex(16)
        shared = {"setup": tests.setup, "prompt": tests.prompt, "entry": tests.entry}
        given = {
            "program": {"code": code, **shared},
            "trial": running.trial_of(tests, secret),
            "modules": _sources(),
            "seconds": limits.timeout,
        }
        found = self._run(_HOST, json.dumps(given), "python", limits, extra=5.0)
        seconds = float(found.get("execution_time") or 0.0)
        last = (str(found.get("stdout") or "").strip().splitlines() or [""])[-1]
        late = found.get("status") == "TimeLimitExceeded" or last == '"late"'
        verdict = running._verdict(last.encode(), secret)
        if verdict is None and not late:
            raise ServerError(f"{self.server}: no verdict came back ({running.clean(found.get('stderr'))[:200]})")
        answer = {"late": late, "cpu": 0.0, "seconds": seconds, "status": {"candidate": 1}}
        return replace(running._judge_calls(answer, verdict, False, limits), unsure=False)

    def check_cases(self, code: str, tests: CodeTests, limits: Limits, language: str, tolerance: float) -> Report:
        """Runs a program on each input; what it prints is compared here.

        Raises:
            InstrumentError: if the server fails.
        """
        passed, error = 0, ""
        for i, (given, expected) in enumerate(tests.cases):
            try:
                found = self._run(code, given, language, limits)
            except ServerError as failure:
                return replace(blame(failure, self._well), passed=passed, total=len(tests.cases))
            if found.get("status") == "TimeLimitExceeded":
                fault = f"took longer than {limits.timeout:g} s"
                return Report(passed, len(tests.cases), fault=fault, error=error, late=True)
            printed = str(found.get("stdout") or "")
            if len(printed) >= limits.max_output:
                return Report(passed, len(tests.cases), fault=f"wrote {limits.max_output} bytes or more", error=error)
            right = found.get("return_code") == 0 and same_output(printed, expected, tolerance=tolerance)
            passed += right
            if not right and not error:
                said = running._last_error(str(found.get("stderr") or "")) if found.get("return_code") else ""
                error = f"{said or 'wrong output'} in case {i + 1}"
        return Report(passed, len(tests.cases), error=error)


@dataclass(frozen=True)
class OpenInstruct:
    """open-instruct's code API: `POST /test_program` and `/test_program_stdio`.

    The server runs a program and its tests in one process, and its verdict is what that process says.

    Attributes:
        server: base address.
        backoff: see `post`.
    """

    server: str
    backoff: float = BACKOFF

    def check_calls(self, code: str, tests: CodeTests, limits: Limits) -> Report:
        """Runs tests that call the candidate: each assert is one test of the server's where they stand alone.

        Raises:
            InstrumentError: if the server fails.
        """
        head = tests.prompt if tests.prompt and not defines(code, tests.entry) else ""
        program = "\n".join(x for x in (tests.setup, head + code) if x)
        try:
            wanted = _split(tests)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return Report(unusable=f"the tests cannot be read: {type(error).__name__}")
        return self._report("/test_program", program, wanted, limits)

    def check_cases(self, code: str, tests: CodeTests, limits: Limits, language: str, tolerance: float) -> Report:
        """Runs a program on each input; the server compares, so it knows no tolerance.

        Raises:
            InstrumentError: if the server fails.
            InputError: for another language than Python, or a tolerance.
        """
        if language != "python" or tolerance:
            raise InputError("verify/code: open-instruct's API knows Python and exact outputs only")
        wanted = [{"input": a, "output": b} for a, b in tests.cases]
        return self._report("/test_program_stdio", code, wanted, limits)

    def _report(self, path: str, program: str, wanted: list[Any], limits: Limits) -> Report:
        url = self.server.rstrip("/") + path
        message = {"program": program, "tests": wanted, "max_execution_time": limits.timeout}
        seconds = (limits.timeout + 5) * (len(wanted) + 1)
        answer = post(url, message, seconds=seconds, backoff=self.backoff)
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != len(wanted) or any(x not in (0, 1) for x in results):
            failure = ServerError(f"{url}: {len(wanted)} tests gave the results {running.clean(results)[:100]}")
            return blame(failure, self._well)
        failed = [i for i, x in enumerate(results) if not x]
        error = f"failed test {failed[0] + 1}" if failed else ""
        return Report(len(wanted) - len(failed), len(wanted), error=error)

    def _well(self) -> bool:
        message: dict[str, Any] = {"program": "def f(): return 1", "tests": ["assert f() == 1", "assert f() == 2"]}
        message["max_execution_time"] = 20.0
        answer = post(self.server.rstrip("/") + "/test_program", message, seconds=60.0, backoff=self.backoff)
        return isinstance(answer, dict) and answer.get("results") == [1, 0]


def _split(tests: CodeTests) -> list[str]:
    if tests.check:
        return [f"{tests.source}\n\n{tests.check}({tests.entry})"]
    body = ast.parse(tests.source).body
    if body and all(isinstance(n, ast.Assert) for n in body):
        return [ast.unparse(n) for n in body]
    calls = [f"{n.name}()" for n in body if isinstance(n, ast.FunctionDef) and n.name.startswith("test")]
    return ["\n".join([tests.source, *calls])]


def _sources() -> dict[str, str]:
    folder = Path(__file__).with_name("guest")
    return {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}


Backend = SandboxFusion | OpenInstruct
DIALECTS: dict[str, Callable[[str], Backend]] = {"sandbox-fusion": SandboxFusion, "open-instruct": OpenInstruct}


def backend(server: str, dialect: str) -> Backend:
    """The adapter to a server.

    Raises:
        InputError: if the address is none, or the dialect is not known.
    """
    if dialect not in DIALECTS:
        raise InputError(f"verify/code: dialect is {dialect!r}; {nearest(dialect, DIALECTS)}")
    if not server.startswith(("http://", "https://")):
        raise InputError(f"verify/code: server is {server!r}; give an address such as http://localhost:8080")
    return DIALECTS[dialect](server)


_LOAD = """
import json, os, random, sys, types
random.seed(0)
def load(modules):
    box = types.ModuleType("guest"); box.__path__ = []; sys.modules["guest"] = box
    for name, text in modules.items():
        module = types.ModuleType("guest." + name); module.__package__ = "guest"
        sys.modules["guest." + name] = module; setattr(box, name, module)
        exec(compile(text, "<guest/" + name + ">", "exec"), module.__dict__)
"""
_CHILD = (
    _LOAD
    + """
told = json.loads(sys.stdin.read())
load(told["modules"])
program = os.open(told["file"], os.O_RDONLY)
os.unlink(told["file"])
devnull = os.open(os.devnull, os.O_RDWR)
os.dup2(devnull, 0)
sys.modules["guest.serve"].main(program, told["asked"], told["answers"])
"""
)
_HOST = (
    _LOAD
    + f"""
import ctypes, subprocess, tempfile, threading
CHILD = {_CHILD!r}
told = json.loads(sys.stdin.read())
try:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
except (AttributeError, OSError):
    pass
load(told["modules"])
asked, answers = os.pipe(), os.pipe()
fd, path = tempfile.mkstemp()
os.write(fd, json.dumps(told["program"]).encode())
os.close(fd)
child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, pass_fds=(asked[0], answers[1]), start_new_session=True)
small = {{k: told["modules"][k] for k in ("wire", "serve")}}
child.stdin.write(json.dumps({{"modules": small, "file": path, "asked": asked[0], "answers": answers[1]}}).encode())
child.stdin.close()
os.close(asked[0]); os.close(answers[1])
def late():
    os.killpg(child.pid, 9)
    os.write(1, b'\\n"late"\\n')
    os._exit(0)
timer = threading.Timer(told["seconds"], late)
timer.daemon = True
timer.start()
fd, job = tempfile.mkstemp()
os.unlink(job)
os.write(fd, json.dumps(told["trial"]).encode())
read, write = os.pipe()
sys.modules["guest.trial"].main(fd, answers[0], asked[1], write)
timer.cancel()
try:
    os.killpg(child.pid, 9)
except ProcessLookupError:
    pass
os.write(1, b"\\n" + os.read(read, 1 << 16) + b"\\n")
os._exit(0)
"""
)
