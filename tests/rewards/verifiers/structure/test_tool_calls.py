import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.records import Message, Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.structure import Malformed, ToolCallsVerifier, calls_in, correctness, format_reward
from plaudit.rewards.verifiers.structure.call_grading import jaccard
from plaudit.rewards.verifiers.structure.call_matching import Wanted, assignment, equal, levelled, mismatch
from plaudit.rewards.verifiers.structure.calls import MOST_CALLS, Call

AREA = {
    "name": "geometry.area",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "integer"},
            "height": {"type": "float"},
            "unit": {"type": "string"},
            "flag": {"type": "boolean"},
            "sides": {"type": "array", "items": {"type": "float"}},
            "style": {"type": "dict"},
            "points": {"type": "array", "items": {"type": "dict"}},
        },
        "required": ["base"],
    },
}
OTHER = {"name": "other", "parameters": {"type": "dict", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}


def asked(*answers, category=None, functions=(AREA, OTHER)):
    reference = {"functions": list(functions), "possible_answers": list(answers)}
    return reference | ({"category": category} if category else {})


def judged(text, reference, **options):
    return ToolCallsVerifier(**options).verdict(case("q", text, reference))


@pytest.mark.parametrize(
    ("text", "error_type"),
    [
        ("[geometry.area(base=10, height=5)]", None),  # an integer may stand for a float
        ("[geometry.area(base=10, height=5.0)]", None),
        ("[geometry_area(base=10, height=5)]", None),  # an API that allows no dot in names
        ("[geometry.area(base=10, height=5, unit='Square  Metres.')]", None),  # case, spaces and points are levelled
        ("[geometry.area(base=10.0, height=5)]", "type_error:simple"),
        ("[geometry.area(base=True, height=5)]", "type_error:simple"),  # a boolean is no integer
        ("[geometry.area(base='10', height=5)]", "type_error:simple"),
        ("[geometry.area(base=11, height=5)]", "value_error:others"),
        ("[geometry.area(base=10, height=5, unit='feet')]", "value_error:string"),
        ("[geometry.area(height=5)]", "simple_function_checker:missing_required"),
        ("[geometry.area(base=10)]", "simple_function_checker:missing_optional"),
        ("[geometry.area(base=10, height=5, colour='red')]", "simple_function_checker:unexpected_param"),
        ("[geometry.area(base=10, height=5, flag=True)]", "simple_function_checker:unexpected_param"),
        ("[geometry.volume(base=10, height=5)]", "simple_function_checker:wrong_func_name"),
        ("[geometry.area(base=10, height=5), other(x=1)]", "multiple_function_checker:wrong_count"),
        ("[]", "ast_decoder:decoder_failed"),
        ("geometry.area(10, 5)", "ast_decoder:decoder_failed"),
        ("I cannot.", "ast_decoder:decoder_failed"),
        ("", "ast_decoder:decoder_failed"),
    ],
)
def test_errors_by_hand(text, error_type):
    reference = asked({"geometry.area": {"base": [10], "height": [5, 5.0], "unit": ["square metres", ""]}})
    verdict = judged(text, reference)
    assert verdict.detail["error_type"] == error_type
    assert bool(verdict.reward) == (error_type is None)
    assert (verdict.outcome is Outcome.POLICY_FAULT) == (error_type == "ast_decoder:decoder_failed")


@pytest.mark.parametrize(
    ("arguments", "allowed", "error_type"),
    [
        ({"sides": [1, 2.5]}, {"sides": [[1, 2.5]]}, None),
        ({"sides": [2.5, 1]}, {"sides": [[1, 2.5]]}, "value_error:list/tuple"),
        ({"sides": ["1"]}, {"sides": [[1.0]]}, "type_error:nested"),
        ({"sides": [True]}, {"sides": [[1.0]]}, "type_error:nested"),
        ({"style": {"colour": "RED"}}, {"style": [{"colour": ["red", "blue"], "width": [1, ""]}]}, None),
        ({"style": {"colour": "green"}}, {"style": [{"colour": ["red"]}]}, "value_error:dict_value"),
        ({"style": {"shade": "red"}}, {"style": [{"colour": ["red"]}]}, "value_error:dict_key"),
        ({"style": {}}, {"style": [{"colour": ["red"]}]}, "value_error:dict_value"),
        ({"points": [{"x": 1}, {"x": 2}]}, {"points": [[{"x": [1]}, {"x": [2]}]]}, None),
        ({"points": [{"x": 1}]}, {"points": [[{"x": [1]}, {"x": [2]}]]}, "value_error:list_dict_count"),
        ({"points": [{"x": 2}, {"x": 1}]}, {"points": [[{"x": [1]}, {"x": [2]}]]}, "value_error:list/tuple"),
        ({"flag": 1}, {"flag": [True]}, "type_error:simple"),
        ({"flag": True}, {"flag": [True]}, None),
        ({"unit": "user_unit"}, {"unit": ["user_unit"]}, None),
        ({"base": "n_rows"}, {"base": ["n_rows"]}, None),  # a variable: the allowed value is a text
    ],
)
def test_nested_values_by_hand(arguments, allowed, error_type):
    wanted = Wanted("geometry.area", allowed, AREA["parameters"]["properties"], [])
    found = mismatch(Call("geometry.area", arguments), wanted)
    assert (found.error_type if found else None) == error_type


def test_levelling_and_equality_by_hand():
    assert levelled("April 1, 2024") == levelled("april-1_2024") == "april12024"
    assert levelled("it's") == 'it"s'
    assert not equal(True, 1)
    assert not equal(0, False)
    assert equal(1, 1.0)
    assert equal(None, None)
    assert not equal("1", 1)


def test_categories():
    one, two = {"other": {"x": [1]}}, {"other": {"x": [2]}}
    assert judged("[other(x=2), other(x=1)]", asked(one, two, category="parallel")).reward == 1.0
    assert judged("[other(x=2), other(x=1)]", asked(one, two), ordered=True).reward == 0.0
    assert judged("[other(x=1), other(x=2)]", asked(one, two), ordered=True).reward == 1.0
    missing = judged("[other(x=1), other(x=1)]", asked(one, two))
    assert missing.detail["error_type"] == "parallel_function_checker_no_order:cannot_find_match"
    assert (
        judged("[other(x=1)]", asked(one, two)).detail["error_type"] == "parallel_function_checker_no_order:wrong_count"
    )
    assert judged("[other(x=1)]", asked(one, category="live_simple", functions=[OTHER])).reward == 1.0
    assert judged("[other(x=9)]", asked(category="live_relevance")).reward == 1.0
    assert (
        judged("[unknown(x=9)]", asked(category="relevance")).detail["error_type"] == "relevance_error:decoder_failed"
    )


def test_where_no_call_is_right():
    none = asked()
    assert judged("None of these tools can do that.", none).reward == 1.0
    assert judged("[]", none).reward == 1.0
    called = judged("[other(x=1)]", none)
    assert (called.reward, called.detail["error_type"]) == (0.0, "irrelevance_error:decoder_success")
    for broken in ("<tool_call>other</tool_call>", "", " \n"):
        assert judged(broken, none).outcome is Outcome.POLICY_FAULT


def test_an_assignment_is_found_where_the_first_that_fits_leaves_none():
    # the first call fits both answers, the second only the first: taking them in order would leave answer two without
    wanted = [Wanted("f", {"x": [1, 2]}, {}, []), Wanted("f", {"x": [1]}, {}, [])]
    assert assignment([Call("f", {"x": 1}), Call("f", {"x": 2})], wanted) is None
    assert assignment([Call("f", {"x": 2}), Call("f", {"x": 2})], wanted)[0] == 1


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_assignments_are_those_of_all_permutations(allowed, data):
    given_values = data.draw(st.lists(st.integers(0, 3), min_size=len(allowed), max_size=len(allowed)))
    wanted = [Wanted("f", {"x": values}, {}, []) for values in allowed]
    possible = any(
        all(v in a for v, a in zip(order, allowed, strict=True)) for order in itertools.permutations(given_values)
    )
    assert (assignment([Call("f", {"x": v}) for v in given_values], wanted) is None) == possible


CALL = [Call("f", {"a": 1, "b": ["x", {"c": None}]})]


@pytest.mark.parametrize(
    "text",
    [
        '[f(a=1, b=["x", {"c": None}])]',
        'f(a=1, b=("x", {"c": None},))',
        '[{"f": {"a": 1, "b": ["x", {"c": null}]}}]',
        '{"name": "f", "arguments": {"a": 1, "b": ["x", {"c": null}]}}',
        '{"name": "f", "parameters": {"a": 1, "b": ["x", {"c": null}]}}',
        '{"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '
        '"{\\"a\\": 1, \\"b\\": [\\"x\\", {\\"c\\": null}]}"}}]}',
        '<think>f(a=2)?</think>Now.\n<tool_call>\n{"name": "f", "arguments": {"a": 1, "b": ["x", {"c": null}]}}\n'
        "</tool_call>",
        'Calling:\n```json\n[{"name": "f", "arguments": {"a": 1, "b": ["x", {"c": null}]}}]\n```',
        "```python\nf(a=1, b=['x', {'c': None}])\n```",
    ],
)
def test_every_form_of_a_call(text):
    assert calls_in(text) == CALL


def test_calls_in_messages_come_before_the_words_beside_them():
    call = {"type": "function", "function": {"name": "other", "arguments": '{"x": 1}'}}
    sample = Sample("q", (Message("assistant", "[other(x=2)]", (call,)),), asked({"other": {"x": [1]}}))
    assert ToolCallsVerifier().verdict(sample).reward == 1.0
    for broken in (
        {"function": {"arguments": "{}"}},
        {"function": {"name": "other", "arguments": "{"}},
        {"function": 3},
    ):
        bad = Sample("q", (Message("assistant", "", (broken,)),), asked({"other": {"x": [1]}}))
        assert ToolCallsVerifier().verdict(bad).outcome is Outcome.POLICY_FAULT


@pytest.mark.parametrize(
    "text",
    [
        "[f(a=open('x'))]",
        "[f(a=b)]",
        "[f(a=1)(b=2)]",
        "[f(**{'a': 1})]",
        "[f(1)]",
        "[f(a=1, a=2)]",
        "[f(a=1e999)]",
        "[f(a=" + "9" * 5000 + ")]",
        "[f(a=[x for x in y])]",
        "[f(a=lambda: 1)]",
        "[f(a=" + "(" * 40 + "1" + ")" * 40 + ")]",
        "[f(a={'b': 1, 'b': 2})]",
        "[f(a=b'1')]",
        "[f(a=1j)]",
        "[f(a=1), 2]",
        "[f(a='x' 'y'.join)]",
        "<tool_call>",
        "</tool_call><tool_call>",
        "<tool_call></tool_call>",
        "{}",
        "[1]",
        '[{"name": 3, "arguments": 4}]',
        '{"name": "f", "arguments": {}, "parameters": {}}',
        '{"name": "f", "arguments": []}',
        '{"f": 1}',
        "[" + ", ".join(["f(a=1)"] * (MOST_CALLS + 1)) + "]",
        "f(a='" + "x" * 60_000 + "')",
    ],
)
def test_what_is_no_call_is_said_so(text):
    with pytest.raises(Malformed):
        calls_in(text)


def test_escapes_that_python_warns_of_are_read_as_it_reads_them():
    assert calls_in(r'[f(a="\d\400\n\\")]') == [Call("f", {"a": "\\d\\400\n\\"})]


@pytest.mark.parametrize("text", ["", "No tools.", "I would use f(a=1) here.", "[1] says so", "Set {a: 1} aside"])
def test_talk_is_no_call(text):
    assert calls_in(text) == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (None, "give"),
        ({"functions": [AREA]}, "possible_answers"),
        (asked({"nope": {}}), "none of functions"),
        (asked({"other": {"x": 1}}), "a list of values a parameter"),
        (asked({"other": {"x": []}}), "a list of values a parameter"),
        (asked({"other": {"x": [1]}}, category="simple_java"), "not checked here"),
        (asked({"other": {"x": [1]}}, category="irrelevance"), "must fit"),
        (asked(category="parallel"), "must fit"),
        ({"functions": [AREA, AREA], "possible_answers": []}, "different names"),
        ({"functions": "[", "possible_answers": []}, "not JSON"),
    ],
)
def test_references_that_cannot_be_used(reference, message):
    with pytest.raises(InputError, match="verify/tool-calls: sample 0: reference") as error:
        ToolCallsVerifier()([case("q", "[other(x=1)]", reference)])
    assert message in str(error.value)


def test_references_may_be_json_texts_and_mappings():
    texts = {"functions": json.dumps([OTHER]), "possible_answers": json.dumps([{"other": {"x": [1]}}])}
    assert judged("[other(x=1)]", texts).reward == 1.0
    assert judged("[other(x=1)]", {"functions": OTHER, "possible_answers": {"other": {"x": [1]}}}).reward == 1.0


def wanted(name, **allowed):
    return Wanted(name, {k: [v] for k, v in allowed.items()}, {}, [])


def test_graded_reward_by_hand():
    # J(names) = 1; J(parameters) = 1; one of two values equal: s = 3 of s_max = 1 + 1 + 2 = 4; 6 * 3 / 4 - 3 = 1.5
    assert correctness([Call("a", {"x": 1, "y": 3})], [wanted("a", x=1, y=2)]) == pytest.approx(1.5)
    assert correctness([Call("a", {"x": 1, "y": 2})], [wanted("a", x=1, y=2)]) == 3.0
    assert correctness([Call("f", {})], [wanted("f")]) == 3.0
    assert correctness([Call("b", {"x": 1})], [wanted("a", x=1)]) == -3.0
    assert correctness([], [wanted("a", x=1)]) == -3.0
    assert correctness([Call("a", {})], []) == 0.0
    # names: 1 of 2 shared; the call alone is right: s = 0.5 + 1 + 1 of s_max = 1 + 1 + 1: 6 * 2.5 / 3 - 3 = 2
    assert correctness([Call("a", {"x": 1}), Call("b", {})], [wanted("a", x=1)]) == pytest.approx(2.0)
    assert jaccard(["a", "a"], ["a"]) == 0.5
    assert jaccard([], []) == 1.0


@given(st.permutations([Call("a", {"x": 1}), Call("a", {"x": 2}), Call("b", {"y": 1})]))
@settings(max_examples=20, deadline=None)
def test_graded_reward_knows_no_order(calls):
    answers = [wanted("b", y=1), wanted("a", x=2), wanted("a", x=1)]
    assert correctness(calls, answers) == 3.0


names = st.sampled_from("ab")
arguments = st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2)


@given(st.lists(st.tuples(names, arguments), max_size=3), st.lists(st.tuples(names, arguments), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_graded_reward_stays_within_its_bounds(calls, answers):
    made = [Call(name, given_) for name, given_ in calls]
    gold = [wanted(name, **allowed) for name, allowed in answers]
    reward = correctness(made, gold)
    assert -3.0 <= reward <= 3.0
    if reward == 3.0:
        assert sorted((c.name, sorted(c.arguments.items())) for c in made) == sorted(
            (w.name, sorted((k, v[0]) for k, v in w.allowed.items())) for w in gold
        )


@pytest.mark.parametrize(
    ("text", "calls", "reward"),
    [
        ("<think>t</think>\n<tool_call>c</tool_call>", True, 1.0),
        ("<think>t</think><tool_call>c</tool_call><response>r</response>", True, 1.0),
        ("<think>t</think><response>r</response>", False, 1.0),
        ("<think>t</think><response>r</response>", True, 0.0),
        ("<tool_call>c</tool_call><think>t</think>", True, 0.0),
        ("<think>t</think><tool_call>c</tool_call><tool_call>c</tool_call>", True, 0.0),
        ("So: <think>t</think><tool_call>c</tool_call>", True, 0.0),
        ("<think></think><tool_call>c</tool_call>", True, 0.0),
        ("<think>t</think> and <tool_call>c</tool_call>", True, 0.0),
        ("", True, 0.0),
    ],
)
def test_format_reward_by_hand(text, calls, reward):
    assert format_reward(text, calls=calls) == reward


def test_graded_verdicts():
    reference = asked({"other": {"x": [1]}})
    right = '<think>x is 1</think><tool_call>{"name": "other", "arguments": {"x": 1}}</tool_call>'
    assert judged(right, reference, graded=True).reward == 4.0
    assert judged("[other(x=1)]", reference, graded=True).reward == 3.0
    # a float for an integer is no equal value: s = 1 + 1 of 3: 6 * 2 / 3 - 3 = 1
    assert judged("[other(x=1.0)]", reference, graded=True).reward == pytest.approx(1.0)
    assert ToolCallsVerifier(graded=True)([case("q", "no", reference)]).reward[0] == -3.0
    none = asked()
    assert judged("<think>no</think><response>I cannot.</response>", none, graded=True).reward == 1.0
    assert judged("[other(x=1)]", none, graded=True).reward == -3.0
    assert ToolCallsVerifier(graded=True).bounds == (-3.0, 4.0)


GET = {
    "functions": [{"name": "get", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}],
    "possible_answers": [{"get": {"city": ["Lima"]}}],
}
MARKED = (
    '<|python_tag|>{"name": "get", "parameters": {"city": "Lima"}}<|eom_id|>',
    '<|python_tag|>get.call(city="Lima")',
    'I look it up. <function=get>{"city": "Lima"}</function>',
    '[TOOL_CALLS] [{"name": "get", "arguments": {"city": "Lima"}}]</s>',
    '[TOOL_CALLS]get[ARGS]{"city": "Lima"}',
    '<|tool_call|>[{"name": "get", "arguments": {"city": "Lima"}}]',
    '[get(city="Lima")]<|eot|>',
)


@pytest.mark.parametrize("text", MARKED)
def test_calls_behind_the_marks_of_templates_are_read(text):
    none = {**GET, "possible_answers": []}
    batch = ToolCallsVerifier()([case("?", text, GET), case("?", text, none)])
    assert batch.reward.tolist() == [1.0, 0.0]  # where no call is right, they are no talk


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<function_calls><invoke name="get"/></function_calls>', "<function_calls>: calls in this form are not read"),
        ('<function=get>{"city": "Lima"}', "<function=...> tags that do not match"),
        ("[TOOL_CALLS]" * 65 + "{}", "more than 64 calls"),
        ("[TOOL_CALLS]", "not JSON"),
    ],
)
def test_attempts_behind_marks_that_fail_are_faults_where_no_call_is_right(text, reason):
    verdict = ToolCallsVerifier().verdict(case("?", text, {**GET, "possible_answers": []}))
    assert verdict.outcome is Outcome.POLICY_FAULT
    assert reason in verdict.detail["reason"]
