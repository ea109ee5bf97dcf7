"""A plain function of the user's own as a reward."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import marshal
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, MissingError, PlauditError, nearest
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Outcome, Reward, RewardBatch, Scope


@final
class FunctionReward:
    """`function(samples) -> numbers`, one a sample; None or NaN is an abstention, never a zero.

    Args:
        function: takes a list of samples; may carry attributes `bounds` and `scope`.
        name: the function's own by default.
    """

    def __init__(self, function: Callable[[Sequence[Sample]], Sequence[float | None]], name: str = "") -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.bounds: tuple[float, float] = getattr(function, "bounds", (-math.inf, math.inf))
        self.scope: Scope = getattr(function, "scope", "sample")
        self.fingerprint = hashlib.sha256(_source(function) + self.name.encode()).hexdigest()[:32]
        """Hash of the file that the function stands in (of its code, where there is no file), as it was loaded."""

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Calls the function.

        Raises:
            InputError: if it raises, returns another number of values, or one that is neither a finite number nor None.
        """
        returned = self._returned(samples)
        if isinstance(returned, str) or not isinstance(returned, Iterable):
            raise InputError(f"{self.name}: returned {type(returned).__name__}; return a list of numbers, one a sample")
        values = list(returned)
        if len(values) != len(samples):
            raise InputError(f"{self.name}: returned {len(values)} rewards for {len(samples)} samples; return one each")
        reward = np.array([self._number(v, i) for i, v in enumerate(values)], dtype=np.float64)
        if np.isinf(reward).any():
            i = int(np.flatnonzero(np.isinf(reward))[0])
            raise InputError(
                f"{self.name}: reward of sample {i} is {reward[i]}; return a finite number, or None to abstain"
            )
        outcome = np.where(np.isnan(reward), Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
        return RewardBatch(reward, outcome)

    def _returned(self, samples: Sequence[Sample]) -> Any:
        try:
            return self.function(list(samples))
        except PlauditError:
            raise
        except Exception as error:  # the user's own code may raise anything; its traceback stays as the cause
            trace = traceback.extract_tb(error.__traceback__)[-1]
            said, where = " ".join(str(error).split())[:200], f"{Path(trace.filename).name}, line {trace.lineno}"
            raise InputError(
                f"{self.name}: raised {type(error).__name__}: {said} ({where}); "
                "return None for a sample that cannot be judged"
            ) from error

    def _number(self, value: Any, index: int) -> float:
        try:
            return math.nan if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.name}: reward of sample {index} is {value!r:.80}; return a finite number, or None to abstain"
            ) from error


def _source(function: Callable[..., Any]) -> bytes:
    """What determines a function: its file; without one its code; for an object its class's file and its fields."""
    if isinstance(function, functools.partial):
        return _source(function.func) + repr((function.args, sorted(function.keywords.items()))).encode()
    written = function if inspect.isroutine(function) else type(function)
    fields = b"" if inspect.isroutine(function) else repr(sorted(getattr(function, "__dict__", {}).items())).encode()
    try:
        return Path(inspect.getsourcefile(written) or "").read_bytes() + fields
    except (TypeError, OSError):
        code = getattr(function, "__code__", None)
        return (marshal.dumps(code) if code else repr(written).encode()) + fields


def from_file(path: str, attribute: str) -> Reward | Comparison:
    """The reward that `module.py:attribute` names: a reward, a class or factory of one, or a plain function.

    Raises:
        MissingError: if there is no such file.
        InputError: if the file cannot be imported, or the attribute is missing, or is none of these.
    """
    return _as_reward(attribute_of(path, attribute), f"{path}:{attribute}")


def attribute_of(path: str, attribute: str, *, what: str = "a reward of your own") -> Any:
    """What `module.py:attribute` names.

    Args:
        path: of the file.
        attribute: its name in there.
        what: it is, for messages.

    Raises:
        MissingError: if there is no such file.
        InputError: if the file cannot be imported, or the attribute is missing.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError(f"{path}: no such file; {what} is given as module.py:function")
    spec = importlib.util.spec_from_file_location(f"plaudit_user_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is not a Python file; {what} is given as module.py:function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise InputError(
            f"{path}: cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    names = [n for n in vars(module) if not n.startswith("_")]
    if not hasattr(module, attribute):
        raise InputError(f"{path}: has no {attribute!r}; {nearest(attribute, names)}")
    return getattr(module, attribute)


def _as_reward(value: Any, where: str) -> Reward | Comparison:
    if inspect.isclass(value):
        if _required(value):
            needs = ", ".join(_required(value))
            raise InputError(f"{where}: the class needs arguments ({needs}); name a function that makes the reward")
        value = value()
    if isinstance(value, Reward | Comparison):
        return value
    if not callable(value):
        raise InputError(f"{where}: is a {type(value).__name__}; give a reward, or a function of a list of samples")
    if not _required(value):  # a factory
        made = value()
        if isinstance(made, Reward | Comparison):
            return made
        raise InputError(f"{where}: takes no arguments and returned {type(made).__name__}; a factory returns a reward")
    if len(_required(value)) > 1:
        needs = ", ".join(_required(value))
        raise InputError(f"{where}: takes {needs}; a reward function takes one argument, the list of samples")
    return FunctionReward(value)


def _required(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
