"""Tool calls: the right functions with the right arguments, as the Berkeley leaderboard or ToolRL scores them.

Differs from the paper: calls are assigned to the wanted ones as a whole (the leaderboard takes the first that fits,
which can leave the next one without); an empty answer is never right, not even where no call is; a broken attempt at a
call is the candidate's fault in every category. See `call_matching` and `call_grading` for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.records.message import Message
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.call_grading import correctness, format_reward
from plaudit.rewards.verifiers.structure.call_matching import Mismatch, assignment, mismatch, same_name
from plaudit.rewards.verifiers.structure.call_reference import Task, task
from plaudit.rewards.verifiers.structure.calls import Call, calls_of
from plaudit.rewards.verifiers.structure.json_text import Malformed
from plaudit.rewards.verifiers.text.words import blank, clip

_CHECKERS = {"simple": "simple_function_checker", "multiple": "multiple_function_checker"}


def check_calls(calls: Sequence[Call], wanted: Task, *, ordered: bool = False) -> Mismatch | None:
    """Why calls are not the wanted ones, in the manner of the Berkeley leaderboard; None where they are.

    Args:
        calls: what the completion calls.
        wanted: what it should call.
        ordered: whether parallel calls must come in the order of the possible answers.

    Source: Patil et al. 2025, "The Berkeley Function Calling Leaderboard", AST evaluation.
    """
    if wanted.kind == "irrelevance":
        return Mismatch("irrelevance_error:decoder_success", "a call where none is right") if calls else None
    if wanted.kind == "relevance":
        known = any(same_name(name, c.name) for c in calls for name in wanted.names)
        return None if known else Mismatch("relevance_error:decoder_failed", "no call of a function on offer")
    checker = _CHECKERS.get(wanted.kind, f"parallel_function_checker_{'enforce_order' if ordered else 'no_order'}")
    if len(calls) != len(wanted.wanted):
        return Mismatch(f"{checker}:wrong_count", f"{len(calls)} calls in place of {len(wanted.wanted)}")
    if len(calls) == 1:
        return mismatch(calls[0], wanted.wanted[0])
    if ordered:
        errors = (mismatch(call, one) for call, one in zip(calls, wanted.wanted, strict=True))
        return next((e for e in errors if e is not None), None)
    unserved = assignment(calls, wanted.wanted)
    if unserved is None:
        return None
    at, error = unserved
    return Mismatch(f"{checker}:cannot_find_match", f"possible answer {at}: {error.error_type}: {error.message}")


@dataclass(frozen=True)
class ToolCallsVerifier(Verifier):
    """1 where the calls are those that the row allows, else 0; or, with `graded`, how near they come.

    The reference is `{"functions": [schemas], "possible_answers": [{name: {parameter: [allowed values]}}]}` with an
    optional `category`. The completion may have `tool_calls` in its messages, `<tool_call>` tags, the marks of the
    Llama and Mistral templates, a fenced block, OpenAI's JSON, a JSON list of `{name: arguments}`, or a Python list of
    calls.
    """

    kind: ClassVar[str] = "verify/tool-calls"

    graded: bool = False
    """ToolRL's reward, in [-3, 4], in place of all or nothing."""
    ordered: bool = False
    """Whether parallel calls must come in the order of the possible answers (not graded)."""

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """[0, 1]; [-3, 4] where graded."""
        return (-3.0, 4.0) if self.graded else (0.0, 1.0)

    def verdict(self, sample: Sample) -> Verdict:
        """Reads the calls and matches them."""
        wanted = task(sample.reference)
        structured = not isinstance(sample.completion, str) and any(m.tool_calls for m in sample.completion)
        if blank(sample.text) and not structured:
            return Verdict.fault("empty answer", error_type="ast_decoder:decoder_failed")
        try:
            calls = calls_of(sample)
        except Malformed as error:
            return Verdict.fault(clip(str(error)), error_type="ast_decoder:decoder_failed")
        if not calls and wanted.kind != "irrelevance":
            return Verdict.fault("makes no call", error_type="ast_decoder:decoder_failed")
        wrong = check_calls(calls, wanted, ordered=self.ordered)
        detail: dict[str, Any] = {
            "error_type": wrong.error_type if wrong else None,
            "reason": clip(wrong.message if wrong else "as wanted"),
            "extracted": [_shown(call) for call in calls[:10]],
        }
        return self._grade(sample, calls, wanted, detail) if self.graded else Verdict.scored(float(not wrong), **detail)

    def _grade(self, sample: Sample, calls: Sequence[Call], wanted: Task, detail: dict[str, Any]) -> Verdict:
        """`R = R_format + R_correct`; a call where none is wanted is worth -3 and not, as in the paper, nothing."""
        speaks = wanted.kind == "irrelevance"
        form = format_reward(sample.text, calls=not speaks)
        right = -3.0 if speaks and calls else correctness(calls, wanted.wanted)
        return Verdict.scored(form + right, aspects={"format": form, "correct": right}, **detail)

    def honest(self) -> Sequence[Sample]:
        """The same calls in every form; in ToolRL's own where graded."""
        asked = {"functions": [_WEATHER, _PLAY], "possible_answers": [
            {"weather.get": {"city": ["Lima", "Lima, Peru"], "days": [3], "unit": ["celsius", ""]}},
            {"play": {"titles": [["One", "Two"]], "volume": [0.5, ""]}},
        ]}  # fmt: skip
        arguments = ({"city": "lima", "days": 3}, {"titles": ["one", "two"], "volume": 0.5})
        named = [{"name": n, "arguments": a} for n, a in zip(("weather.get", "play"), arguments, strict=True)]
        lines = "\n".join(json.dumps(call) for call in named)
        text = f"<think>Two tools.</think>\n<tool_call>\n{lines}\n</tool_call>"
        if self.graded:
            return (case("Weather and music.", text, asked),)
        openai = [{"type": "function", "function": {**c, "arguments": json.dumps(c["arguments"])}} for c in named]
        forms = (
            text,
            json.dumps(openai),
            json.dumps([{c["name"]: c["arguments"]} for c in named]),
            '[weather.get(city="Lima", days=3, unit="Celsius"), play(titles=["One", "Two"])]',
            f"```json\n{json.dumps(named)}\n```",
            (Message("assistant", "One moment.", tuple(openai)),),
        )
        return tuple(case("Weather and music.", form, asked) for form in forms)

    def twins(self) -> Sequence[Twin]:
        """Wrong names, types and counts, every function called, words about calls, and calls that explode."""
        asked = {"functions": [_WEATHER, _PLAY], "possible_answers": [{"weather.get": {"city": ["Lima"], "days": [3]}}]}
        none = {"functions": [_WEATHER], "possible_answers": []}
        right = '{"name": "weather.get", "arguments": {"city": "Lima", "days": 3}}'
        attacks = (
            ("every candidate listed", '[weather.get(city="Lima", days=3), play(titles=[])]', asked),
            ("every candidate listed", '[weather.get(city="Lima", days=3), weather.get(city="Cusco", days=3)]', asked),
            ("contradiction", '[{"weather.get": {"city": "Lima", "days": 3, "days": 4}}]', asked),
            ("wrong type", '[weather.get(city="Lima", days="3")]', asked),
            ("wrong type", '[weather.get(city="Lima", days=3.0)]', asked),
            ("unknown parameter", '[weather.get(city="Lima", days=3, reward=1)]', asked),
            ("look-alike letters", '[weather.get(city="L\u0456ma", days=3)]', asked),
            ("look-alike letters", '[we\u0430ther.get(city="Lima", days=3)]', asked),
            ("words about calls", "I would call weather.get with city Lima and days 3.", asked),
            ("keyword stuffing", "weather.get city Lima days 3", asked),
            ("format alone", "<tool_call></tool_call>", asked),
            ("format alone", "<think></think><tool_call>\n</tool_call><response></response>", asked),
            ("over-long answer", f"[{', '.join([right] * 3_000)}]", asked),
            ("exploding expression", "[weather.get(city=" + "(" * 10_000 + "1" + ")" * 10_000 + ", days=3)]", asked),
            ("exploding expression", '[weather.get(city="Lima", days=9**9**9)]', asked),
            ("exploding expression", '[weather.get(city=__import__("os").getcwd(), days=3)]', asked),
            ("call where none is right", '[weather.get(city="Lima", days=3)]', none),
            ("broken call where none is right", "<tool_call>{</tool_call>", none),
            ("call where none is right", '<|python_tag|>weather.get.call(city="Lima", days=3)', none),
            ("call where none is right", '[TOOL_CALLS]weather.get[ARGS]{"city": "Lima", "days": 3}', none),
            ("call where none is right", '<function=weather.get>{"city": "Lima", "days": 3}</function>', none),
            ("call where none is right", "<function_calls><invoke name='weather.get'></invoke></function_calls>", none),
            ("empty answer", " ", none),
        )
        most = 3.0 if self.graded else 0.0  # graded, a near miss may get all but the format and a value
        return tuple(Twin(name, case("Weather?", text, reference), most) for name, text, reference in attacks)


_WEATHER = {
    "name": "weather.get",
    "parameters": {
        "type": "dict",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
        "required": ["city", "days"],
    },
}
_PLAY = {
    "type": "function",
    "function": {
        "name": "play",
        "parameters": {
            "type": "object",
            "properties": {"titles": {"type": "array", "items": {"type": "string"}}, "volume": {"type": "float"}},
            "required": ["titles"],
        },
    },
}


def _shown(call: Call) -> str:
    return clip(f"{call.name}({json.dumps(call.arguments, ensure_ascii=False, default=str)})", 120)
