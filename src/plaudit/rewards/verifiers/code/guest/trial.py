"""The tests' side: runs the tests against a candidate in another process, and writes the verdict.

The verdict goes to a pipe that the candidate's process has never had, with a secret that it has never seen.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import inspect
import json
import os
import sys
import types
from typing import Any

from . import proxies, pytest_words, serve, units  # the package has another name inside the box

_BUILTINS = frozenset(dir(builtins))
_HELPERS = {
    "isclose": "math", "Counter": "collections", "OrderedDict": "collections", "defaultdict": "collections",
    "deque": "collections", "namedtuple": "collections", "Decimal": "decimal", "Fraction": "fractions",
}  # fmt: skip
"""Names that tests use without importing them, counting on the candidate's imports: ours are used instead."""


class UnusableError(BaseException):
    """The tests themselves cannot be run, whatever the candidate is. Not an `Exception`: no test may swallow it."""


def main(tests: int, answers: int, asks: int, verdict: int) -> None:
    """Runs the tests that `tests` holds and writes the verdict as one line of JSON.

    Args:
        tests: file descriptor of the tests as JSON: `secret`, `tests`, `check`, `entry`, `setup`, `prompt`, `finite`.
        answers: where the candidate's answers come from.
        asks: where questions to it go.
        verdict: where the verdict goes.
    """
    job = json.loads(serve._text(tests))
    gc.enable()
    trial = Trial(job, answers, asks)
    try:
        found = trial.run()
    except UnusableError as error:
        found = {"unusable": str(error)[:300]}
    body = json.dumps({"secret": job["secret"], **found}, allow_nan=False).encode()
    os.write(verdict, body)


class Trial:
    """One candidate's tests.

    Args:
        job: see `main`.
        answers: see `main`.
        asks: see `main`.
    """

    def __init__(self, job: dict[str, Any], answers: int, asks: int) -> None:
        self.job = job
        self.link = proxies.Link(answers, asks, "tests", finite=job["finite"])
        self.results: dict[int, list[Any] | None] = {}
        self.borrowed: list[str] = []
        module = types.ModuleType("tests")
        sys.modules["tests"] = module
        if "pytest" in job["tests"]:
            sys.modules["pytest"] = pytest_words.module()
        self.space = module.__dict__

    def run(self) -> dict[str, Any]:
        """Runs every unit.

        Returns:
            `total`, `passed`, `failure` (the first: number, type, message, line of the program, what the unit says),
            `fault` (kind and what is said) where the candidate ended, `load` where it could not be loaded.
        """
        tests = self._prepared()
        try:
            hello = self.link.receive()
            if "failed" in hello:
                return {**self._outcome(tests), "load": _three(hello["failed"])}
            try:
                self._offer(tests, hello)
            except Exception as error:  # the greeting is the candidate's, and may say anything
                raise proxies.FaultError("protocol", f"{type(error).__name__}: {error}") from error
            self._execute(tests)
        except proxies.FaultError as error:
            self.link.fault = error
        return self._outcome(tests)

    def _prepared(self) -> units.Units:
        job = self.job
        try:
            tests = units.Units(job["tests"], job.get("check") or "")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UnusableError(f"the tests cannot be read: {type(error).__name__}: {error}") from error
        head = serve.completed(job["prompt"]) if job.get("prompt") else None
        for name, text in (("prompt", head), ("setup", job.get("setup"))):
            if not text:
                continue
            try:
                exec(compile(text, f"<{name}>", "exec", dont_inherit=True), self.space)
            except Exception as error:
                if name == "setup":
                    raise UnusableError(f"the setup fails: {type(error).__name__}: {error}") from error
        self.space.pop(job.get("entry") or "", None)  # its stub in the prompt must not be what is tested
        kinds = {n: v for n, v in self.space.items() if isinstance(v, type) and v.__module__ == "tests"}
        self.link.shared = kinds
        return tests

    def _offer(self, tests: units.Units, hello: dict[str, Any]) -> None:
        """Binds the names that the tests read: ours where there are any, the candidate's for the rest."""
        defined = [n for n in hello.get("ready", []) if isinstance(n, str)]
        errors = hello.get("errors", {})
        errors = errors if isinstance(errors, dict) else {}
        entry = self.job.get("entry")
        missing = {n for n in tests.free if n not in self.space and n not in _BUILTINS and n != entry}
        for name in sorted(missing & (tests.modules | set(_HELPERS))):
            if name in _HELPERS or name in sys.stdlib_module_names:
                with contextlib.suppress(ImportError, AttributeError):
                    self.space[name] = _ours(name)
        theirs = sorted(n for n in missing if n in defined and n not in self.space)
        if entry:
            self.borrowed = theirs if self.job.get("check") else []
            theirs = [entry, *theirs]
        elif not theirs and (shadow := tests.shadowing(defined, _BUILTINS)):
            theirs = [shadow]
        if (entry and entry not in defined) or not theirs:
            wanted = entry or ", ".join(sorted(n for n in missing if n not in self.space)) or "nothing that is tested"
            raise proxies.FaultError("undefined", wanted)
        self.space.update(proxies.globals_of(self.link, theirs, errors))

    def _execute(self, tests: units.Units) -> None:
        self.space[units.RECORD], self.space[units.ERROR] = self._record, Exception
        try:
            exec(compile(tests.tree, "<tests>", "exec", dont_inherit=True), self.space)
            if self.job.get("check"):
                _finished(self.space[self.job["check"]](self.space[self.job["entry"]]))
        except Exception as error:
            missing = next((i for i in range(len(tests)) if i not in self.results), None)
            if missing is not None:
                self._record(missing, error)
        for number, holder, name in tests.functions:
            try:
                self._call(holder, name)
                self._record(number, None)
            except Exception as error:
                self._record(number, error)

    def _call(self, holder: str, name: str) -> None:
        if not holder:
            pytest_words.call(self.space[name], _finished)
            return
        kind = self.space[holder]
        case = kind(name) if hasattr(kind, "assertEqual") else kind()
        for before in ("setUp", "setup_method"):
            if hasattr(case, before):
                getattr(case, before)()
        pytest_words.call(getattr(case, name), _finished)

    def _record(self, number: int, error: Exception | None) -> None:
        if error is None:
            self.results.setdefault(number, None)
            return
        if isinstance(error, proxies.CarryError) and not self.link.carried:
            raise UnusableError(str(error)) from error
        line = self.link.last_line if hasattr(error, "plaudit_candidate") else None
        self.results[number] = [type(error).__name__, str(error)[:200], line]

    def _outcome(self, tests: units.Units) -> dict[str, Any]:
        failed = [i for i in range(len(tests)) if self.results.get(i, ["not run", "", None]) is not None]
        first = failed[0] if failed else None
        fault = self.link.fault
        told = None if first is None else self.results.get(first) or ["NotRun", "", None]
        return {
            "total": len(tests),
            "passed": len(tests) - len(failed),
            "failure": None if first is None or told is None else [first, *told, tests.label(first)],
            "fault": None if fault is None else [fault.kind, fault.said[:300]],
            "load": None,
            "borrowed": self.borrowed,
        }


def _ours(name: str) -> Any:
    if name in _HELPERS:
        return getattr(importlib.import_module(_HELPERS[name]), name)
    return importlib.import_module(name)


def _finished(result: Any) -> None:
    if inspect.iscoroutine(result):
        import asyncio

        asyncio.run(result)


def _three(told: Any) -> list[Any]:
    if not isinstance(told, list) or len(told) != 3:
        return ["Exception", "", None]
    return [str(told[0])[:80], str(told[1])[:200], told[2] if type(told[2]) is int else None]
