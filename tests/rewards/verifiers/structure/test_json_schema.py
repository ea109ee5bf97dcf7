import json
import socket
import threading
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.structure import JsonSchemaVerifier, Malformed, Schemas, compile_schema, read_json
from plaudit.rewards.verifiers.structure.ecma import translated
from plaudit.rewards.verifiers.structure.keywords import identity
from plaudit.rewards.verifiers.structure.schemas import first_violation

ITEM = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "object", "required": ["price"],
                                             "properties": {"price": {"type": "number"}}}},
    },
    "required": ["name"],
}  # fmt: skip
DRAFTS = {
    "http://json-schema.org/draft-03/schema#": {"properties": {"a": {"type": "integer", "required": True}}},
    "http://json-schema.org/draft-04/schema#": {"required": ["a"], "properties": {"a": {"type": "integer"}}},
    "http://json-schema.org/draft-06/schema#": {"required": ["a"], "properties": {"a": {"type": "integer"}}},
    "http://json-schema.org/draft-07/schema#": {"required": ["a"], "properties": {"a": {"type": "integer"}}},
    "https://json-schema.org/draft/2019-09/schema": {"required": ["a"], "properties": {"a": {"type": "integer"}}},
    "https://json-schema.org/draft/2020-12/schema": {"required": ["a"], "properties": {"a": {"type": "integer"}}},
}


def judged(text, schema, **options):
    return JsonSchemaVerifier(**options).verdict(case("q", text, schema))


def test_the_first_violation_in_the_order_of_the_document():
    text = '{"lines": [{"price": 1}, {"price": "x"}, {}], "name": 3}'
    verdict = judged(text, ITEM)
    assert (verdict.reward, verdict.detail["path"], verdict.detail["keyword"]) == (0.0, "$.lines[1].price", "type")
    assert judged('{"name": 3, "lines": [{}]}', ITEM).detail["path"] == "$.name"
    assert judged("{}", ITEM).detail["path"] == "$"
    assert judged('{"name": "x"}', json.dumps(ITEM)).reward == 1.0


@pytest.mark.parametrize("dialect", sorted(DRAFTS))
def test_every_draft(dialect):
    schema = {"$schema": dialect, **DRAFTS[dialect]}
    assert judged('{"a": 1}', schema).reward == 1.0
    assert judged('{"a": "1"}', schema).detail["path"] == "$.a"
    assert judged("{}", schema).reward == 0.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "a", "name": "b"}', "stands twice"),
        ('{"name": NaN}', "NaN is not JSON"),
        ('{"name": -Infinity}', "-Infinity is not JSON"),
        ('{"name": 1e999}', "is not finite"),
        ('{"name": "a"} and more', "Extra data"),
        ('{"name": "a"', "not JSON"),
        ("[" * 100_000, "nested deeper than 64"),
        ('```json\n{"name": "a"}\n```\n```json\n{"name": "b"}\n```', "2 fenced blocks"),
        ('```python\n{"name": "a"}\n```', "the fenced block is python"),
        ('```json\n{"name": "a"}', "not closed"),
        ('{"n": ' + "1" * 5000 + "}", "4300 digits"),
        ("The name is a.", "not JSON"),
        ("", "empty answer"),
    ],
)
def test_what_is_no_json_is_the_candidates_fault(text, reason):
    verdict = judged(text, ITEM)
    assert verdict.outcome is Outcome.POLICY_FAULT
    assert reason in verdict.detail["reason"]


def test_a_fenced_block_with_words_around_it_counts():
    assert judged('<think>{</think>Here:\n```json\n{"name": "a"}\n```\nDone.', ITEM).reward == 1.0


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://example.com/other.json"}, "what lies outside is never followed"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "what lies outside is never followed"),
        ({"$ref": "#/$defs/none"}, "which is not in it"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"type": "text"}, "no JSON schema"),
        ({"pattern": "("}, "does not compile"),
        ({"$schema": "https://example.com/draft"}, "known: http://json-schema.org/draft-03"),
        ({"$defs": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}}, "mixes drafts"),
        ("{", "not JSON"),
        (7, "give a JSON schema"),
        (None, "give a JSON schema"),
    ],
)
def test_schemas_that_cannot_be_used(schema, message):
    with pytest.raises(InputError, match="verify/json-schema: sample 0: reference") as error:
        JsonSchemaVerifier()([case("q", "{}", schema)])
    assert message in str(error.value)


def test_nothing_is_fetched(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(InputError, match="never followed"):
        compile_schema({"allOf": [{"$ref": "http://127.0.0.1:9/schema"}]})
    # the meta-schemas of the drafts are part of the library
    assert judged('{"type": "string"}', {"$ref": "https://json-schema.org/draft/2020-12/schema"}).reward == 1.0


def test_patterns_are_those_of_ecmascript():
    schema = {"pattern": r"^\d{3}$"}
    assert judged('"123"', schema).reward == 1.0
    assert judged('"123\\n"', schema).reward == 0.0  # Python's $ stands before a last newline as well
    assert judged('"\u0661\u0662\u0663"', schema).reward == 0.0  # Arabic digits are no \d there
    assert translated(r"[$\d]\cJ$") == "[$0-9]\\\n\\Z"
    assert judged('"x\u00e9"', {"pattern": r"^\p{L}+$"}).reward == 1.0


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"pattern": "^(a+)+$"}, '"' + "a" * 60 + '!"'),
        ({"patternProperties": {"^(a|a)*$": {}}}, '{"' + "a" * 5000 + '!": 1}'),
        ({"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False}, '{"' + "a" * 5000 + '!": 1}'),
        ({"propertyNames": {"pattern": "^(a|a)*$"}}, '{"' + "a" * 5000 + '!": 1}'),
        ({"unevaluatedProperties": False, "patternProperties": {"^(a|a)*$": {}}}, '{"' + "a" * 5000 + '!": 1}'),
    ],
)
def test_exploding_patterns_are_the_candidates_fault(schema, text):
    verdict = judged(text, schema)
    assert verdict.outcome in (Outcome.POLICY_FAULT, Outcome.SCORED)  # some engines see through some patterns
    assert verdict.outcome is Outcome.SCORED or "does not end" in verdict.detail["reason"]
    assert not verdict.reward


def test_exponential_recursion_is_counted_and_ends():
    tree = {"anyOf": [{"properties": {"k": {"$ref": "#"}}, "required": ["no"]}] * 3}
    verdict = judged('{"k": ' * 60 + "0" + "}" * 60, tree)
    assert verdict.outcome in (Outcome.POLICY_FAULT, Outcome.SCORED)
    assert not verdict.reward


def test_deep_answers_have_a_stack_of_their_own():
    schema = {"properties": {"k": {"anyOf": [{"$ref": "#"}, {"type": "integer"}]}}, "type": "object"}
    text = '{"k": ' * 63 + "1" + "}" * 63

    def deeper(levels):
        return deeper(levels - 1) if levels else judged(text, schema)

    assert judged(text, schema).reward == 1.0
    assert deeper(600).reward == 1.0  # a host whose stack is nearly full
    assert judged('{"k": ' * 64 + "1" + "}" * 64, schema).reward == 1.0
    assert judged('{"k": ' * 65 + "1" + "}" * 65, schema).outcome is Outcome.POLICY_FAULT


def test_large_answers_are_judged_quickly():
    for document, schema, reward in (
        ([0] * 66_000, {"items": {"type": "string"}}, 0.0),
        ([{"a": i} for i in range(18_000)], {"uniqueItems": True}, 1.0),
        ([{}] * 50_000, {"uniqueItems": True}, 0.0),
        (list(range(35_000)), {"unevaluatedItems": False, "contains": {"type": "integer"}}, 1.0),
        (10**4000, {"multipleOf": 0.1}, 1.0),
    ):
        assert judged(json.dumps(document), schema).reward == reward


def test_numbers_are_multiples_in_decimals():
    assert judged("0.3", {"multipleOf": 0.1}).reward == 1.0
    assert judged("0.35", {"multipleOf": 0.1}).reward == 0.0
    assert identity(1) == identity(1.0) != identity(True)
    assert identity([{"a": 1}]) == identity([{"a": 1.0}]) != identity([{"a": "1"}])


def test_formats_are_checked_on_demand_and_never_in_silence():
    assert judged('"not a date"', {"format": "date"}).reward == 1.0
    assert judged('"not a date"', {"format": "date"}, formats=True).reward == 0.0
    with pytest.raises(InputError, match="the format 'colour-of-the-sea'"):
        judged('"x"', {"format": "colour-of-the-sea"}, formats=True)


def test_schemas_are_compiled_once_and_kept_within_bounds():
    kept = Schemas(most=3)
    first = kept.validator({"type": "object", "required": ["a"]})
    assert kept.validator({"required": ["a"], "type": "object"}) is first
    for i in range(10):
        kept.validator({"minLength": i})
    assert len(kept) == 3
    assert kept.validator({"type": "object", "required": ["a"]}) is not first


def test_the_same_schema_from_many_threads():
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(judged('{"name": 1}', ITEM).detail["path"])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["$.name"] * 8


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
leaves = st.sampled_from(
    [True, False, {"type": "integer"}, {"type": "string", "pattern": "^a"}, {"minimum": 0}, {"uniqueItems": True},
     {"multipleOf": 0.5}, {"const": 1}, {"required": ["a"]}, {"maxProperties": 1}, {"unevaluatedItems": False},
     {"prefixItems": [{"type": "integer"}], "unevaluatedItems": False}, {"contains": {"type": "integer"}}]
)  # fmt: skip
schemas = st.recursive(
    leaves,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
            "additionalProperties": inner,
            "unevaluatedProperties": st.sampled_from([True, False, {"type": "integer"}]),
            "unevaluatedItems": st.sampled_from([True, False, {"type": "integer"}]),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "items": inner,
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "dependentSchemas": st.dictionaries(st.sampled_from("ab"), inner, max_size=1),
        },
    ),
    max_leaves=5,
).filter(lambda s: isinstance(s, dict))


@given(schemas, values)
@settings(max_examples=400, deadline=None)
def test_verdicts_are_those_of_the_library(schema, value):
    expected = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (first_violation(compile_schema(schema), value) is None) == expected


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_strict_reading_agrees_with_pythons_where_it_reads(text):
    try:
        found = read_json(text)
    except Malformed:
        return
    assert found == json.loads(text)


@pytest.mark.parametrize("piece", ['\\"', '"', '"a\\"', '{"a":', '["'])
def test_quotes_that_stay_open_are_read_once(piece):
    start = time.process_time()
    with pytest.raises(Malformed):
        read_json(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 1.0
