"""What a row says about its tests, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.code.programs import blocks, defines

_FORMS = ("asserts", "check", "cases")
_KEYS = (*_FORMS, "setup", "entry_point", "prompt")
_GIVE = 'give a string of asserts, {"check": ..., "entry_point": ...} or {"cases": [{"input": ..., "output": ...}]}'


@dataclass(frozen=True, slots=True)
class CodeTests:
    """The tests of one sample.

    Attributes:
        source: Python that asserts, or that defines `check(candidate)`; empty for cases.
        check: name of the function that is given the candidate; empty where the tests call it by its name.
        entry: the name that is tested; empty where the tests say it themselves.
        cases: inputs with the outputs that a program must print for them.
        setup: Python that is executed before the candidate and before the tests, in the process of each.
        prompt: Python that the completion may continue.
    """

    source: str = ""
    check: str = ""
    entry: str = ""
    cases: tuple[tuple[str, str], ...] = ()
    setup: str = ""
    prompt: str = ""


def read_tests(sample: Sample) -> CodeTests:
    """The tests that a sample's reference holds.

    Raises:
        InputError: if the reference is missing, or of none of the forms. The message begins with `reference`.
    """
    value = sample.reference
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _from_json(value)
    if isinstance(value, list) and value and all(isinstance(x, str) for x in value):
        value = "\n".join(value)
    if isinstance(value, str):
        if not value.strip():
            raise InputError(f"reference is empty; {_GIVE}")
        return CodeTests(source=value)
    if not isinstance(value, Mapping):
        raise InputError(f"reference is {_shown(value)}; {_GIVE}")
    unknown = [k for k in value if k not in _KEYS]
    if unknown:
        raise InputError(f"reference has the key {unknown[0]!r}; {nearest(str(unknown[0]), _KEYS)}")
    forms = [k for k in _FORMS if value.get(k)]
    if len(forms) != 1:
        raise InputError(f"reference has {' and '.join(forms) or 'no tests'}; {_GIVE}")
    return _of_form(forms[0], value, sample)


def _of_form(form: str, value: Mapping[str, Any], sample: Sample) -> CodeTests:
    texts = {k: value.get(k) or "" for k in ("setup", "entry_point", "prompt")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"reference has {key} {_shown(text)}; give text")
    entry, setup, prompt = texts["entry_point"], texts["setup"], texts["prompt"]
    if form == "cases":
        return CodeTests(cases=_cases(value["cases"]), setup=setup)
    source = value[form]
    if isinstance(source, list) and all(isinstance(x, str) for x in source):
        source = "\n".join(source)
    if not isinstance(source, str):
        raise InputError(f"reference has {form} {_shown(source)}; give Python text")
    if entry and not entry.isidentifier():
        raise InputError(f"reference has entry_point {entry!r}; give the function's name")
    if form == "check" and not entry:
        raise InputError("reference has check and no entry_point; give the name of the function that is tested")
    prompt = prompt or (prompt_of(sample, entry) if entry else "")
    return CodeTests(source, "check" if form == "check" else "", entry, (), setup, prompt)


def _cases(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"reference has cases {_shown(value)}; give a list")
    found = []
    for i, case in enumerate(value):
        if not isinstance(case, Mapping) or not all(isinstance(case.get(k), str) for k in ("input", "output")):
            raise InputError(f'reference has case {i} {_shown(case)}; give {{"input": "text", "output": "text"}}')
        found.append((case["input"], case["output"]))
    return tuple(found)


def prompt_of(sample: Sample, entry: str) -> str:
    """The code in a sample's prompt that its completion may continue: empty unless it begins to define `entry`.

    It is the last user message, or a fenced block in it.
    """
    text = next((m.text for m in reversed(sample.prompt) if m.role == "user"), "")
    for body in [body for _, body in reversed(blocks(text))] or [text]:
        if defines(body, entry):
            return body
    return ""


def _from_json(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) and any(k in _KEYS for k in found) else text


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
