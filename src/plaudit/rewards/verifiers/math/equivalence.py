"""Whether an answer equals a reference: exactly in this process where that is possible, else by algebra in a child."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from plaudit.errors import InputError, MissingError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.math.cleaning import DEEPEST, LONGEST, clean, depth, is_words, words
from plaudit.rewards.verifiers.math.comparing import Leaves, Undecided, compare, exact_leaf
from plaudit.rewards.verifiers.math.plain import read_plain
from plaudit.rewards.verifiers.math.reading import read
from plaudit.rewards.verifiers.workers import ChildError, Died, Done, Overran, Raised, Result, WorkerPool

CHILD = "plaudit.rewards.verifiers.math.symbolic:judge"
CANARY = ["1+x", "x+1", False]
"""A comparison of milliseconds: where even this is late, the machine is to blame."""
KEPT = 16384
"""Comparisons that are remembered: the completions of a group repeat their answers."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether an answer equals a reference, and how that was found.

    Attributes:
        equal: False wherever it was not established.
        outcome: SCORED where both could be read; whose fault it is otherwise.
        path: `exact` (numbers and shapes, in this process), `text` (words), or `symbolic` (algebra, in a child).
        reason: in words.
    """

    equal: bool
    outcome: Outcome
    path: Literal["exact", "text", "symbolic"]
    reason: str


@dataclass(frozen=True, slots=True)
class Effort:
    """What may be spent on a comparison.

    Attributes:
        seconds: deadline of one comparison by algebra.
        workers: child processes; 0 for the number of processors, at most 4.
        memory_mb: address space of each child, in MiB.
    """

    seconds: float = 5.0
    workers: int = 0
    memory_mb: int = 512


_STANDARD = Effort()
_EQUAL = Equivalence(True, Outcome.SCORED, "exact", "equal")
_DIFFERS = Equivalence(False, Outcome.SCORED, "exact", "differs from the reference")


def equivalent(
    *, reference: str | int | float, answer: str | int | float, rounded: bool = False, effort: Effort = _STANDARD
) -> Equivalence:
    """Whether an answer equals the reference.

    Args:
        reference: the gold answer alone, as a number, LaTeX or words.
        answer: the candidate's.
        rounded: whether an answer that rounds to a reference written as a decimal, at its places, is right.
        effort: limits of a comparison by algebra.
    """
    return compare_all([(as_text(reference), as_text(answer))], rounded=rounded, effort=effort)[0]


def compare_all(
    pairs: Sequence[tuple[str, str]], *, rounded: bool = False, effort: Effort = _STANDARD
) -> list[Equivalence]:
    """As `equivalent`, for pairs of reference and answer; what needs algebra goes to the children all at once.

    Raises:
        MissingError: if math-verify is needed and not installed.
    """
    found: dict[tuple[str, str], Equivalence] = {}
    waiting: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for pair in dict.fromkeys(pairs):
        known = decide(*pair, rounded=rounded)
        if isinstance(known, Equivalence):
            found[pair] = known
            continue
        remembered = _remembered((*known, rounded, effort.seconds))
        if remembered is not None:
            found[pair] = remembered
        else:
            waiting.setdefault(known, []).append(pair)
    if waiting:
        jobs = list(waiting)
        for job, result in zip(jobs, _ask(jobs, rounded, effort), strict=True):
            verdict = _from_child(result)
            if verdict.outcome <= Outcome.ABSTAINED:
                _remember((*job, rounded, effort.seconds), verdict)
            found.update(dict.fromkeys(waiting[job], verdict))
    return [found[p] for p in pairs]


def decide(reference: str, answer: str, *, rounded: bool = False) -> Equivalence | tuple[str, str]:
    """The verdict where no algebra is needed; else both texts, cleaned, for a child."""
    if len(answer) > LONGEST:
        return _fault(f"the answer has {len(answer)} characters; more than {LONGEST} are not read")
    if len(reference) > LONGEST:
        return Equivalence(False, Outcome.ABSTAINED, "text", f"the reference is longer than {LONGEST} characters")
    if reference.isdigit() and answer.isdigit() and reference.isascii() and answer.isascii():
        return _EQUAL if reference.lstrip("0") == answer.lstrip("0") else _DIFFERS
    gold, given = clean(reference), clean(answer)
    if not given:
        return _fault("the answer is empty")
    known = exact_leaf(gold, given, rounded=rounded) if read_plain(gold) is not None else None
    if known is None and depth(given) > DEEPEST:
        return _fault(f"brackets nested more than {DEEPEST} deep are not read")
    try:
        if known is None:
            known = compare(read(gold), read(given), Leaves(partial(_leaf, rounded=rounded), _undecided))
    except Undecided:
        return gold, given
    except RecursionError:
        return _fault("nested too deeply to be read")
    said = is_words(gold) or (known and words(gold) == words(given))
    path: Literal["exact", "text"] = "text" if said and read_plain(gold) is None else "exact"
    return Equivalence(known, Outcome.SCORED, path, "equal" if known else "differs from the reference")


def as_text(value: str | int | float) -> str:
    """A reference or answer as text; floats as they are written.

    Raises:
        InputError: if it is a flag, not finite, or a whole number of more digits than are read.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"reference is {type(value).__name__}; give text or a number")
    if isinstance(value, int) and value.bit_length() > LONGEST:
        raise InputError(f"reference is a number of {value.bit_length()} bits; give it as text")
    text = repr(value)
    if text.lstrip("-") in ("inf", "nan"):
        raise InputError(f"reference is {text}; give a finite number, or text such as \\infty")
    return text


def _leaf(reference: str, answer: str, *, rounded: bool) -> bool:
    known = exact_leaf(reference, answer, rounded=rounded)
    if known is None:
        raise Undecided
    return known


def _undecided(*_: object) -> bool:
    raise Undecided


def _fault(reason: str) -> Equivalence:
    return Equivalence(False, Outcome.POLICY_FAULT, "exact", reason)


def _ask(jobs: Sequence[tuple[str, str]], rounded: bool, effort: Effort) -> list[Result]:
    pool = _pool(effort.workers or min(os.cpu_count() or 1, 4), effort.memory_mb)
    try:
        return pool.run([[*job, rounded] for job in jobs], seconds=effort.seconds)
    except ChildError as error:
        raise MissingError(
            f"verify/math: answers that need algebra need math-verify ({error}); pip install math-verify"
        ) from error


def _from_child(result: Result) -> Equivalence:
    def verdict(equal: bool, outcome: Outcome, reason: str) -> Equivalence:
        return Equivalence(equal, outcome, "symbolic", reason)

    if isinstance(result, Done):
        if "equal" in result.value:
            equal = bool(result.value["equal"])
            return verdict(equal, Outcome.SCORED, "equal" if equal else "differs from the reference")
        side = result.value["unreadable"]
        why = "is too large to be worked out" if result.value["large"] else "cannot be read as mathematics"
        return verdict(False, Outcome.ABSTAINED if side == "reference" else Outcome.POLICY_FAULT, f"the {side} {why}")
    if isinstance(result, Raised):
        return verdict(False, Outcome.POLICY_FAULT, f"the answer cannot be compared ({result.type})")
    what = (
        f"took longer than {result.seconds:g} s" if isinstance(result, Overran) else f"ended the process ({result.how})"
    )
    if result.cause == "job":
        return verdict(False, Outcome.POLICY_FAULT, f"the answer's comparison {what}")
    if isinstance(result, Overran):
        return verdict(False, Outcome.TIMED_OUT, f"the comparison {what}, and so did a canary")
    assert isinstance(result, Died)  # the last kind
    return verdict(False, Outcome.INSTRUMENT_FAULT, f"the comparison {what}, again and again")


_Key = tuple[str, str, bool, float]
_lock = threading.Lock()
_memory: OrderedDict[_Key, Equivalence] = OrderedDict()
_pools: dict[tuple[int, int], WorkerPool] = {}


def _pool(workers: int, memory_mb: int) -> WorkerPool:
    with _lock:
        if (workers, memory_mb) not in _pools:
            _pools[workers, memory_mb] = WorkerPool(CHILD, workers=workers, memory_mb=memory_mb, canary=CANARY)
        return _pools[workers, memory_mb]


def _remembered(key: _Key) -> Equivalence | None:
    with _lock:
        found = _memory.get(key)
        if found is not None:
            _memory.move_to_end(key)
        return found


def _remember(key: _Key, verdict: Equivalence) -> None:
    with _lock:
        _memory[key] = verdict
        if len(_memory) > KEPT:
            _memory.popitem(last=False)


def forget() -> None:
    """Empties the memory of comparisons: for measurements."""
    with _lock:
        _memory.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_after_fork)
