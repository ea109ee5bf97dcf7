"""Agreement of a program with the reasoning beside it: program of thought checks chain of thought [211].

Differs from the paper: the candidate writes both the reasoning and the program (the paper translates the one into the
other with a second model); what is printed is compared as numbers, to a relative 1e-6, else as words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verdicts import SampleReward, Verdict
from plaudit.rewards.verifiers.agreement.classes import answers_of
from plaudit.rewards.verifiers.code.verifier import CodeVerifier
from plaudit.rewards.verifiers.math.extraction import parse_rules
from plaudit.rewards.verifiers.math.plain import read_plain

_BLOCK = re.compile(r"```[^\n]*\n.*?```", re.DOTALL)


def survivors(agrees: Bool[np.ndarray, " n"]) -> NDArray[np.bool_]:
    """Which candidates are ranked: those whose program agrees; all of them where none does.

    Args:
        agrees: whether program and reasoning of a candidate agree, (n,).

    Source: Liang et al. 2024, "Improving LLM Reasoning through Scaling Inference Computation" [211], CoTnPoT.
    """
    kept = np.asarray(agrees, dtype=bool)
    return kept if kept.any() else np.ones_like(kept)


@final
@dataclass(frozen=True)
class ProgramAgreementReward(SampleReward):
    """1 where the program in the completion prints the answer that the text beside it gives, else 0.

    The program is the last fenced block, run in the sandbox of `verify/code`; the answer is declared outside it.
    Without either, and where the program does not end, it is the candidate's fault. A program that merely prints the
    answer agrees too: this filters slips of calculation, not dishonesty.

    Source: Liang et al. 2024 [211].
    """

    timeout: float = 4.0
    """Seconds that the program may take."""
    memory_mb: int = 512
    """Mebibytes of memory that it may use."""
    extract: str = "boxed,hashes,phrase,tag"
    """Where the answer is looked for, as in `verify/math`."""
    unsafe: bool = False
    """Run without isolation, as in `verify/code`."""

    kind: ClassVar[str] = "verify/program-agreement"

    def __post_init__(self) -> None:
        parse_rules(self.kind, self.extract)
        self._runner()

    def verdict(self, sample: Sample) -> Verdict:
        """Judges one sample."""
        return self.verdicts([sample])[0]

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Runs all programs, several at once."""
        prose = [replace(s, completion=_BLOCK.sub("\n", s.text), steps=None) for s in samples]
        answers = answers_of(prose, parse_rules(self.kind, self.extract))
        programs = [_BLOCK.findall(s.text) for s in samples]
        runs = [i for i in range(len(samples)) if answers[i] is not None and programs[i]]
        asked = [_run_of(samples[i], programs[i][-1], str(answers[i])) for i in runs]
        batch = self._runner()(asked)
        found = [Verdict.fault("no answer beside a program", extracted=a) for a in answers]
        for k, i in enumerate(runs):
            outcome, detail = Outcome(int(batch.outcome[k])), {"extracted": answers[i], **batch.detail[k]}
            counts = outcome is Outcome.SCORED
            found[i] = Verdict(outcome, float(batch.reward[k]) if counts else None, detail)
        return found

    def _runner(self) -> CodeVerifier:
        return CodeVerifier(timeout=self.timeout, memory_mb=self.memory_mb, tolerance=1e-6, unsafe=self.unsafe)


def _run_of(sample: Sample, program: str, answer: str) -> Sample:
    """The program as a test of its own output: plain numbers as decimals, so that `1/2` meets a printed 0.5."""
    number = read_plain(answer)
    expected = answer.rstrip(".") if number is None else repr(float(number.value))
    cases = {"cases": [{"input": "", "output": expected}]}
    return replace(sample, completion=program, reference=cases, steps=None)
