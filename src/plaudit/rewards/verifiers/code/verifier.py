"""`verify/code`: programs judged by their tests, in a sandbox that they cannot leave, by tests that they cannot see."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier
from plaudit.rewards.verifiers.code import attempts, twins
from plaudit.rewards.verifiers.code.attempts import BusyError, InstrumentError
from plaudit.rewards.verifiers.code.boxes import MODES
from plaudit.rewards.verifiers.code.languages import Language, language
from plaudit.rewards.verifiers.code.pool import Pool, default_size, pool_of
from plaudit.rewards.verifiers.code.programs import extract
from plaudit.rewards.verifiers.code.references import CodeTests, read_tests
from plaudit.rewards.verifiers.code.remote import DIALECTS, backend
from plaudit.rewards.verifiers.code.running import Limits, Report

_RANGES = {"memory_mb": (64, 1 << 20), "max_output": (1024, 1 << 30), "processes": (1, 4096), "workers": (0, 1024)}


@dataclass(frozen=True)
class CodeVerifier(Verifier):
    """The fraction of its tests that a program passes.

    Reference: a string of asserts (or of `test_...` functions, as pytest runs them); or
    `{"check": "def check(candidate): ...", "entry_point": "f"}`; or `{"cases": [{"input": "..", "output": ".."}]}`.
    Each may have a `setup`, which is executed before the candidate and before the tests, in the process of
    each; the first two a `prompt`, code that the completion may continue (else the sample's prompt, where it is such).
    What ends the program before its tests are through (its exit, a time-out, a flood, no memory, a program that
    does not load) is a fault and worth the floor, whatever it had passed by then. An exception fails its test only.
    Tests that cannot be run whatever the candidate is: abstained.

    The detail holds `passed`, `total`, `error` (the first failure), `reason`, and `borrowed` where the tests rest on
    helpers that only the candidate defines.

    Raises:
        InputError: on an option outside its range.
    """

    kind: ClassVar[str] = "verify/code"

    timeout: float = 4.0
    """Seconds on the clock for all tests of a program together, or for each case; on a busy machine it gets more."""
    memory_mb: int = 512
    """Mebibytes of memory."""
    partial: bool = True
    """Whether passing some tests is worth their fraction; otherwise all must pass."""
    max_output: int = 1 << 20
    """Bytes that a program may write to its standard output and errors."""
    processes: int = 32
    """Processes and threads that a program may have at once."""
    tolerance: float = 0.0
    """How far numbers in an output may be off, absolutely or relative to the expected; 0 compares words as they are."""
    language: str = "python"
    """The language of the programs."""
    unsafe: bool = False
    """Run without isolation, with limits only: where the machine offers none, and you trust the programs."""
    server: str = ""
    """Address of a server that runs the programs; empty: this machine."""
    dialect: str = "sandbox-fusion"
    """What the server understands: `sandbox-fusion` or `open-instruct`."""
    workers: int = field(default=0, compare=False)
    """Programs that run at once; 0: two more than there are processors."""

    def __post_init__(self) -> None:
        language(self.language)
        if not 0.05 <= self.timeout <= 3600:
            raise InputError(f"verify/code: timeout is {self.timeout}; give seconds, 0.05 to 3600")
        if not 0 <= self.tolerance < 1:
            raise InputError(f"verify/code: tolerance is {self.tolerance}; give a number from 0 to below 1")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"verify/code: {name} is {value}; give a whole number from {low} to {high}")
        if self.server or self.dialect not in DIALECTS:
            backend(self.server or "http://none", self.dialect)
        if self.server and self.unsafe:
            raise InputError("verify/code: unsafe has no meaning with a server; leave one of them out")

    def verdict(self, sample: Sample) -> Verdict:
        """Runs one program.

        Raises:
            InputError: if the reference is none of the forms.
            UnsupportedError: if the machine offers no isolation and `unsafe` is not set.
        """
        return self._judged(sample, self._tests(sample))

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Runs programs, several at once; references are read before the first one runs."""
        tests = []
        for i, sample in enumerate(samples):
            with self.about(i):
                tests.append(self._tests(sample))
        if len(samples) < 2:
            return [self._judged(s, t) for s, t in zip(samples, tests, strict=True)]
        with ThreadPoolExecutor(min(self.workers or default_size(), len(samples))) as threads:
            return list(threads.map(self._judged, samples, tests))

    def honest(self) -> Sequence[Sample]:
        """Right programs in each form."""
        return twins.honest()

    def twins(self) -> Sequence[Twin]:
        """Attacks on the sandbox, on the tests and on the verdict."""
        return twins.attacks()

    def _tests(self, sample: Sample) -> CodeTests:
        tests = read_tests(sample)
        if not tests.cases and not self._row.calls:
            raise InputError(f'reference has tests that call functions; for {self.language} give {{"cases": [...]}}')
        return tests

    @property
    def _row(self) -> Language:
        return language(self.language)

    def _judged(self, sample: Sample, tests: CodeTests) -> Verdict:
        code = extract(sample.text, self._row.fences, tests.entry)
        if not code:
            return Verdict.fault("no code in the completion", passed=0, total=len(tests.cases) or None, error="")
        try:
            report = self._report(code, tests)
        except InstrumentError as error:
            return Verdict.broken(str(error))
        except BusyError as error:
            return Verdict.timed_out(str(error))
        if report.unusable:
            return Verdict.abstained(report.unusable)
        return self._of(report)

    def _of(self, report: Report) -> Verdict:
        known = report.total or None  # at a time-out nobody has counted
        detail: dict[str, Any] = {"passed": report.passed if known else None, "total": known, "error": report.error}
        if report.borrowed:
            detail["borrowed"] = list(report.borrowed)
        if report.fault:
            return Verdict.fault(report.fault, **detail)
        fraction = report.passed / report.total
        detail["reason"] = f"{report.passed} of {report.total} tests passed"
        return Verdict.scored(fraction if self.partial else float(fraction == 1.0), **detail)

    def _report(self, code: str, tests: CodeTests) -> Report:
        limits = Limits(self.timeout, self.memory_mb, self.max_output, self.processes)
        if self.server:
            server = backend(self.server, self.dialect)
            if tests.cases:
                return server.check_cases(code, tests, limits, self.language, self.tolerance)
            return server.check_calls(code, tests, limits)
        pool = self._pool()
        if tests.cases:
            source = f"{tests.setup}\n{code}" if tests.setup else code
            return attempts.check_cases(
                pool, source, tests.cases, limits, command=self._row.command, tolerance=self.tolerance
            )
        return attempts.check_calls(pool, code, tests, limits)

    def _pool(self) -> Pool:
        return pool_of(MODES[2] if self.unsafe else attempts.isolation(), self.workers)
