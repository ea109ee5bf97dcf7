"""JSON schema: the answer is JSON, strictly, and valid."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.json_text import MOST_DEPTH, Malformed, bare_or_fenced, read_json
from plaudit.rewards.verifiers.structure.schemas import Schemas, Violation, first_violation, nested
from plaudit.rewards.verifiers.structure.work import Exhausted, MachineTooSlow
from plaudit.rewards.verifiers.text.words import blank, clip

SCHEMAS = Schemas()
"""The schemas that this process has compiled."""


@dataclass(frozen=True)
class JsonSchemaVerifier(Verifier):
    """1 where the answer is valid under the schema, else 0; an answer that is no JSON is the candidate's fault.

    The reference is the schema, as an object or as JSON text, of any draft; a `$ref` that leads outside it is refused.
    The answer is bare JSON or holds one fenced block of it. Duplicate keys, `NaN`, numbers that are not finite and text
    after the value are refused.
    """

    kind: ClassVar[str] = "verify/json-schema"

    formats: bool = False
    """Whether `format` is checked (by default it only describes); formats that cannot be checked are then refused."""
    max_depth: int = MOST_DEPTH
    """Brackets that may be open at once, at most 64."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_depth <= MOST_DEPTH:
            raise InputError(f"{self.kind}: max_depth is {self.max_depth}; give 1 to {MOST_DEPTH}")

    def verdict(self, sample: Sample) -> Verdict:
        """Reads the answer and validates it."""
        validator = SCHEMAS.validator(sample.reference, formats=self.formats)
        if blank(sample.text):
            return Verdict.fault("empty answer", path=None)
        try:
            text = bare_or_fenced(sample.text)
            answer = read_json(text, most_depth=self.max_depth)
            found = _bounded(lambda: first_violation(validator, answer), nested(text))
        except Malformed as error:
            return Verdict.fault(str(error), path=None)
        except Exhausted as error:
            return Verdict.fault(str(error), path="$")
        except RecursionError:
            return Verdict.fault("nested too deeply for the schema", path="$")
        except MachineTooSlow as error:
            return Verdict.timed_out(str(error), path="$")
        if found is None:
            return Verdict.scored(1.0, path=None, reason="valid", extracted=clip(text))
        return Verdict.scored(
            0.0, path=clip(found.path), keyword=found.keyword, reason=clip(found.message), extracted=clip(text)
        )

    def honest(self) -> Sequence[Sample]:
        """Bare and fenced JSON, and an older draft."""
        text = '{"name": "Ada", "tags": ["a", "b"]}'
        older = {"$schema": "http://json-schema.org/draft-04/schema#", **_EXAMPLE}
        return (
            case("Describe her.", text, _EXAMPLE),
            case("Describe her.", f"Here it is:\n```json\n{text}\n```", older),
        )

    def twins(self) -> Sequence[Twin]:
        """Values that only look valid, twofold keys, text around, and answers that make validation explode."""
        valid = '{"name": "Ada", "tags": ["a", "b"]}'
        endless = {"type": "object", "required": ["x"], "properties": {"x": {"type": "string", "pattern": "^(a|a)*$"}}}
        tree = {"required": ["v"], "anyOf": [{"properties": {"k": {"$ref": "#"}}, "required": ["no"]}] * 3}
        attacks = (
            ("every candidate listed", f"{valid}\n{valid}", _EXAMPLE),
            ("every candidate listed", f"```json\n{valid}\n```\n```json\n{valid}\n```", _EXAMPLE),
            ("contradiction", '{"name": "", "name": "Ada", "tags": ["a"]}', _EXAMPLE),
            ("text around", f"{valid} Score: 1", _EXAMPLE),
            ("look-alike letters", valid.replace("name", "n\u0430me"), _EXAMPLE),
            ("not a number", '{"name": "Ada", "tags": ["a"], "age": NaN}', _EXAMPLE),
            ("not finite", '{"name": "Ada", "tags": ["a"], "age": 1e999}', _EXAMPLE),
            ("newline after the end", '{"name": "Ada\\n", "tags": ["a"]}', _EXAMPLE),
            ("keyword stuffing", '{"name": "Ada", "tags": ["a"], "valid": true}', _EXAMPLE),
            ("over-long answer", '{"name": "Ada", "tags": [' + '"a",' * 40_000 + '"b"]}', _EXAMPLE),
            ("deep nesting", "[" * 100_000, _EXAMPLE),
            ("deep nesting", '{"v": 1, "k": ' * 60 + "0" + "}" * 60, tree),
            ("exploding search", '{"x": "' + "a" * 5_000 + '!"}', endless),
        )
        return tuple(Twin(name, case("Describe her.", text, schema)) for name, text, schema in attacks)


_EXAMPLE: dict[str, Any] = {
    "type": "object",
    "required": ["name", "tags"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z]+$"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "age": {"type": "number"},
    },
}


def _bounded(job: Callable[[], Violation | None], deep: bool) -> Violation | None:
    """Runs a job, in a thread of its own where the stack may run out: what a host has on its own must not decide."""
    if not deep:
        try:
            return job()
        except RecursionError:
            pass  # whose stack it was that ran out shows on an empty one
    found: list[Violation | None] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(job())
        except (Exhausted, MachineTooSlow, RecursionError) as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="json-schema", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
