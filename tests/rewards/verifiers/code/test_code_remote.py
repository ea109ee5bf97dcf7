"""Adapters to servers, against small local ones that answer as the real ones do."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.code import CodeVerifier, OpenInstruct, SandboxFusion
from plaudit.rewards.verifiers.code import remote as module
from plaudit.rewards.verifiers.code.twins import ASSERTS, CASES, CHECK, RIGHT


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setitem(module.DIALECTS, "sandbox-fusion", lambda s: SandboxFusion(s, backoff=0.01))
    monkeypatch.setitem(module.DIALECTS, "open-instruct", lambda s: OpenInstruct(s, backoff=0.01))


@contextlib.contextmanager
def serving(answer):
    """A server that answers `answer(path, message)`: a status and an object, or bytes."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, message))
            status, found = answer(self.path, message)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_code(path, message):
    """`POST /run_code` as SandboxFusion documents it."""
    assert path == "/run_code"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", message["code"]], input=message["stdin"], capture_output=True, text=True,
            timeout=message["run_timeout"], check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        run = {"status": "TimeLimitExceeded", "execution_time": message["run_timeout"], "return_code": None}
        return 200, {"status": "Failed", "message": "", "compile_result": None, "run_result": run}
    run = {"status": "Finished", "execution_time": 0.1, "return_code": done.returncode,
           "stdout": done.stdout, "stderr": done.stderr}  # fmt: skip
    status = "Failed" if done.returncode else "Success"
    return 200, {"status": status, "message": "", "compile_result": None, "run_result": run, "files": {}}


def test_sandbox_fusion_gives_the_verdicts_of_the_local_sandbox():
    with serving(run_code) as (address, seen):
        verifier = CodeVerifier(server=address, timeout=2.0)
        assert list(verifier(verifier.honest()).reward) == [1.0, 1.0, 1.0]
        half = verifier.verdict(case("", "def total(x): return 6", ASSERTS))
        assert half.reward == pytest.approx(1 / 3)
        assert half.detail["error"] == "AssertionError in test 2: assert total([10, -3]) == 7"
        assert verifier.verdict(case("", "print(3)", CASES)).reward == 0.5
        assert verifier.verdict(case("", "x = 1", "assert f(")).outcome is Outcome.ABSTAINED
        calls = [m for _, m in seen if "guest" in m["code"]]
        assert all("def total" not in m["code"] and "== 6" not in m["code"] for m in calls)  # both on standard input
        assert {m["language"] for _, m in seen} == {"python"}
        assert all(m["memory_limit_MB"] == 512 for _, m in seen)


@pytest.mark.parametrize(
    "program",
    [
        "import os\nos.kill(os.getppid(), 9)",
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "def total(x):\n    while True: pass",
        "while True: pass",
        "import os\nfor fd in range(64):\n    try: os.write(fd, b'\\n{\"passed\": 3, \"total\": 3, \"secret\": \"\"}\\n')\n    except OSError: pass\nos._exit(0)",  # noqa: E501
        "class E:\n    def __eq__(self, o): return True\n    __hash__ = None\ndef total(x): return E()",
        "import os, glob\ndef total(x):\n    for f in glob.glob('/tmp/tmp*') + [f'/proc/{os.getppid()}/cmdline']:\n"
        "        try: s = open(f).read()\n        except OSError: continue\n        if 'assert total' in s: return 6\n    return 0",  # noqa: E501
        "def total(",
        "print('not a program'",
    ],
)  # fmt: skip
def test_attacks_fail_on_a_server_too(program):
    with serving(run_code) as (address, _):
        verdict = CodeVerifier(server=address, timeout=1.0).verdict(case("", program, ASSERTS))
        assert verdict.outcome in (Outcome.SCORED, Outcome.POLICY_FAULT), verdict
        assert not verdict.reward


def test_time_and_output_on_a_server():
    with serving(run_code) as (address, _):
        verifier = CodeVerifier(server=address, timeout=0.5, max_output=2000)
        for program, reason in (
            ("while True: pass", "took longer than 0.5 s"),
            ("print('x' * 3000)", "wrote 2000 bytes"),
        ):
            verdict = verifier.verdict(case("", program, CASES))
            assert verdict.outcome is Outcome.POLICY_FAULT
            assert verdict.detail["reason"].startswith(reason)
        crash = verifier.verdict(case("", "print(3)\n1 / 0", CASES))
        assert crash.reward == 0.0
        assert "ZeroDivisionError" in crash.detail["error"]


@pytest.mark.parametrize(
    ("status", "body", "tries", "said"),
    [
        (500, {}, 4, "HTTP 500"),
        (429, {}, 4, "HTTP 429"),
        (404, {}, 1, "HTTP 404"),
        (200, b"<html>", 4, "an answer that is not JSON"),
        (200, {"status": "SandboxError", "message": "no room"}, 8, "no room"),
        (200, [], 8, r"answers \[\]"),
        (200, {"status": "Success", "run_result": {"stdout": "hello", "status": "Finished", "return_code": 0}}, 2, "no verdict"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_server_that_fails_is_never_a_zero(status, body, tries, said):
    with serving(lambda *_: (status, body)) as (address, seen):
        batch = CodeVerifier(server=address)([case("", RIGHT["asserts"], ASSERTS)])
        assert Outcome(int(batch.outcome[0])) is Outcome.INSTRUMENT_FAULT
        assert batch.reward[0] != batch.reward[0]
        assert len(seen) == tries
        import re

        assert re.search(said, batch.detail[0]["reason"])


def test_a_server_that_is_not_there_and_one_that_comes_back():
    verdict = CodeVerifier(server="http://127.0.0.1:9").verdict(case("", RIGHT["asserts"], ASSERTS))
    assert verdict.outcome is Outcome.INSTRUMENT_FAULT
    failures = iter([(503, {}), (200, b"{")])
    with serving(lambda path, message: next(failures, None) or run_code(path, message)) as (address, seen):
        verdict = CodeVerifier(server=address).verdict(case("", RIGHT["asserts"], ASSERTS))
        assert verdict.reward == 1.0
        assert len(seen) == 3


def test_open_instruct_is_asked_as_its_api_wants():
    def answer(path, message):
        results = []
        for test in message["tests"]:
            if path == "/test_program_stdio":
                done = subprocess.run([sys.executable, "-c", message["program"]], input=test["input"],
                                      capture_output=True, text=True, check=False)  # fmt: skip
                results.append(int(done.stdout.strip() == test["output"].strip()))
            else:
                text = f"{message['program']}\n{test}"
                done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=False)
                results.append(int(done.returncode == 0))
        return 200, {"results": results, "runtimes": [0.1] * len(results)}

    with serving(answer) as (address, seen):
        verifier = CodeVerifier(server=address, dialect="open-instruct", timeout=3.0)
        assert list(verifier(verifier.honest()).reward) == [1.0, 1.0, 1.0]
        half = verifier.verdict(case("", "def total(x): return 6", ASSERTS))
        assert half.reward == pytest.approx(1 / 3)
        assert half.detail["error"] == "failed test 2"
        by_path = dict(seen)
        assert by_path["/test_program"] == {
            "program": "def total(x): return 6",
            "tests": ["assert total([1, 2, 3]) == 6", "assert total([10, -3]) == 7", "assert set([total([5])]) == {5}"],
            "max_execution_time": 3.0,
        }
        assert by_path["/test_program_stdio"]["tests"] == CASES["cases"]
        assert next(m for _, m in seen if "check(root)" in m["tests"][0])["tests"][0].startswith("import math")
        body = {**CHECK, "prompt": "def root(x):\n"}
        assert verifier.verdict(case("", "    return x ** 0.5", body)).reward == 1.0
        functions = "def test_a():\n    assert total([1]) == 1"
        assert verifier.verdict(case("", RIGHT["asserts"], functions)).reward == 1.0
        assert verifier.verdict(case("", RIGHT["asserts"], "assert (")).outcome is Outcome.ABSTAINED
        with pytest.raises(InputError, match="exact outputs only"):
            CodeVerifier(server=address, dialect="open-instruct", tolerance=0.1)([case("", "print(3)", CASES)])


@pytest.mark.parametrize("results", [None, [1], [1, 1, float("nan")], [1, 1, 2], [1, 1, "1"], "111"])
def test_results_that_are_none_are_an_instrument_fault(results):
    with serving(lambda *_: (200, {"results": results})) as (address, _):
        verdict = CodeVerifier(server=address, dialect="open-instruct").verdict(case("", RIGHT["asserts"], ASSERTS))
        assert verdict.outcome is Outcome.INSTRUMENT_FAULT
