"""Programs in completions, references, units of tests, outputs, the filter, the table of languages."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.code import CodeVerifier, extract, read_tests, same_output
from plaudit.rewards.verifiers.code.guest import pytest_words, seccomp
from plaudit.rewards.verifiers.code.guest.units import Units
from plaudit.rewards.verifiers.code.programs import blocks

PY = ("python", "py")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1", "x = 1"),
        ("    return 1\n", "    return 1"),  # the body of a function keeps its indentation
        ("Sure:\n```python\nx = 1\n```\nDone", "x = 1"),
        ("```python\nx = 1\n```\n```python\nx = 2\n```", "x = 2"),
        ("```python\nx = 1\n```\n```\nprinted\n```", "x = 1"),  # an unmarked block after a marked one is its output
        ("```\nx = 1\n```", "x = 1"),
        ("```PY\nx = 1\n```", "x = 1"),
        ("```python\nx = 1", "x = 1"),  # cut off
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''"),
        ("~~~python\nx = 1\n~~~", "x = 1"),
        ("<think>```python\nx = 0\n```</think>\nx = 1", "x = 1"),
        ("```python\ndef f(): pass\n```\nfor example\n```python\nf()\n```", "f()"),
        ("```bash\nls\n```", ""),
        ("```python\n\n```", ""),
        ("", ""),
        (" \n\t", ""),
        ("\u200b\u200b", ""),
    ],
)
def test_the_program_in_a_completion(text, found):
    assert extract(text, PY) == found


def test_of_several_blocks_the_last_that_defines_what_is_tested():
    text = "```python\ndef f(): return 1\n```\nUse it:\n```python\nprint(f())\n```\n"
    assert extract(text, PY, "f") == "def f(): return 1"
    assert extract(text + "```python\nf = lambda: 2\n```", PY, "f") == "f = lambda: 2"


@pytest.mark.parametrize(
    "text", ["```" * 60_000, "~" * 200_000, "```python\n" * 20_000, " " * 200_000, "`\n" * 100_000]
)
def test_extraction_is_fast_on_any_text(text):
    start = time.perf_counter()
    extract(text, PY, "f")
    assert time.perf_counter() - start < 1.0


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="`~\n python<think>/ x", max_size=60))
def test_every_text_has_blocks_that_stand_in_it(text):
    for _, body in blocks(text):
        assert body in text
    assert isinstance(extract(text, PY, "x"), str)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (None, "reference is None; give a string of asserts"),
        (3, "reference is 3"),
        ("  ", "reference is empty"),
        ([], r"reference is \[\]"),
        ({}, "reference has no tests"),
        ({"check": "def check(c): ..."}, "check and no entry_point"),
        ({"check": "x", "entry_point": "not a name"}, "entry_point 'not a name'"),
        ({"check": "x", "cases": [{"input": "", "output": ""}], "entry_point": "f"}, "check and cases"),
        ({"cases": "x"}, "cases 'x'; give a list"),
        ({"cases": [{"input": "1"}]}, "case 0"),
        ({"cases": [{"input": 1, "output": "1"}]}, "case 0"),
        ({"asserts": 3}, "asserts 3; give Python text"),
        ({"asserts": "assert f()", "setup": 3}, "setup 3"),
        ({"assertions": "assert f()"}, "key 'assertions'; did you mean 'asserts'"),
    ],
)
def test_references_that_cannot_be_used(reference, said):
    with pytest.raises(InputError, match=said):
        read_tests(case("", "x", reference))
    with pytest.raises(InputError, match=r"verify/code: sample 0: reference"):
        CodeVerifier()([case("", "x", reference)])


def test_references_in_each_form():
    assert read_tests(case("", "", "assert f() == 1")).source == "assert f() == 1"
    assert read_tests(case("", "", ["assert f()", "assert g()"])).source == "assert f()\nassert g()"
    assert read_tests(case("", "", '{"asserts": ["assert f()"], "setup": "x = 1"}')).setup == "x = 1"
    found = read_tests(case("", "", {"check": "def check(c): assert c()", "entry_point": "f"}))
    assert (found.check, found.entry, found.prompt) == ("check", "f", "")
    assert read_tests(case("", "", {"cases": [{"input": "1", "output": "2"}]})).cases == (("1", "2"),)


def test_the_prompt_is_code_only_where_it_begins_to_define_what_is_tested():
    reference = {"check": "def check(c): assert c()", "entry_point": "f"}
    assert read_tests(case("def f():\n", "", reference)).prompt == "def f():\n"
    assert read_tests(case("Complete:\n```python\ndef f():\n```", "", reference)).prompt == "def f():\n"
    assert read_tests(case("Write f, please", "", reference)).prompt == ""
    assert read_tests(case("def f():", "", {**reference, "prompt": "x = 1"})).prompt == "x = 1"


def test_units_of_tests():
    asserts = Units("x = 1\nassert f(x) == 2\nfor i in range(3):\n    assert f(i)\ndef helper():\n    assert 0\n")
    assert [asserts.label(i) for i in range(len(asserts))] == ["assert f(x) == 2", "for i in range(3): assert f(i)"]
    functions = Units(
        "def test_a():\n    assert f()\nclass TestB:\n    def test_c(self): pass\n    def other(self): pass"
    )
    assert functions.functions == [(0, "", "test_a"), (1, "TestB", "test_c")]
    assert len(Units("check(f)\ncheck(g)")) == 2  # without asserts, calls
    assert len(Units("def check(c):\n    assert c(1)\n    y = c(2)\n    assert y\n", "check")) == 2
    for source, check in (("", ""), ("x = 1", ""), ("def other(c): assert c", "check")):
        with pytest.raises(ValueError, match=r"no tests|no function"):
            Units(source, check)


def test_names_that_tests_take_from_elsewhere():
    tests = Units("import re\nhelp_ = 1\ndef g(a):\n    return h(a)\nassert f(g(1)) == math.floor(help_)")
    assert {"f", "h", "math"} <= tests.free
    assert not {"re", "help_", "g"} & tests.free
    assert tests.modules == {"math"}
    builtin = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)
    assert Units("assert sum(10, 15) == 25").shadowing(["sum", "abs"], builtin) == "sum"
    assert Units("assert abs(sum(1, 2) - 3) < 1").shadowing(["sum", "abs"], builtin) == "sum"  # the innermost only
    assert Units("assert sum(list((1, 2))) == 3").shadowing(["sum", "list"], builtin) == "sum"
    assert Units("assert abs(f(1)) < 1").shadowing([], builtin) is None


@pytest.mark.parametrize(
    ("printed", "expected", "tolerance", "same"),
    [
        ("3\n", "3", 0, True),
        ("1  2 \n3\n\n\n", "1 2\n3", 0, True),
        ("1\r\n2\r\n", "1\n2\n", 0, True),
        ("1 2 3", "1 2\n3", 0, False),
        ("\n1", "1", 0, False),
        ("", "", 0, True),
        ("", "0", 0, False),
        ("0.50", "0.5", 0, False),
        ("0.50", "0.5", 1e-9, True),
        ("1000001", "1000000", 1e-5, True),  # 1 of 10^6 is 1e-6 of it
        ("0.0001", "0", 1e-5, False),
        ("nan", "1", 0.5, False),
        ("inf", "1e308", 0.5, False),
        ("nan", "nan", 0, True),
        ("yes 1.0", "yes 1", 1e-9, True),
        ("no 1", "yes 1", 1e-9, False),
    ],
)
def test_outputs(printed, expected, tolerance, same):
    assert same_output(printed, expected, tolerance=tolerance) is same


def test_words_of_pytest():
    with pytest.raises(AssertionError, match="did not raise"), pytest_words.raises(ValueError):
        pass
    with pytest_words.raises(ValueError, match="x+"):
        raise ValueError("xx")
    with pytest.raises(KeyError), pytest_words.raises(ValueError):
        raise KeyError
    approx = pytest_words.Approx
    assert 0.1 + 0.2 == approx(0.3)
    assert [0.1 + 0.2, 1] == approx([0.3, 1])
    assert {"a": 1.0} == approx({"a": 1 + 1e-9})
    for off in (1.1, True, "1", None, float("nan")):
        assert off != approx(1.0)
    assert approx(1.0, abs=0.2) == 1.1
    assert approx((1,)) != [1]


def test_the_filter_knows_this_and_the_other_architecture():
    """A model of the kernel's interpreter: three calls by their numbers, from the kernel's own tables."""

    def decide(code, audit, number, argument=0):
        data = struct.pack("IIQQ", number, audit, 0, argument)
        at, word = 0, 0
        while True:
            kind, yes, no, value = struct.unpack_from("HBBI", code, 8 * at)
            at += 1
            if kind == 0x06:
                return value
            if kind == 0x20:
                (word,) = struct.unpack_from("I", data, value)
                continue
            test = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[kind]
            at += yes if test else no

    allow, refuse, kill, missing = 0x7FFF0000, 0x00050001, 0x80000000, 0x00050026
    for machine, audit, ptrace, unshare, write, clone in (
        ("x86_64", 0xC000003E, 101, 272, 1, 56),
        ("aarch64", 0xC00000B7, 117, 97, 64, 220),
    ):
        child, zygote = seccomp.program(machine), seccomp.program(machine, zygote=True)
        assert decide(zygote, audit, ptrace) == refuse
        assert decide(zygote, audit, unshare) == allow  # the zygote makes namespaces; its children may not
        assert decide(child, audit, unshare) == refuse
        assert decide(child, audit, clone, 0x11) == allow  # a plain fork
        assert decide(child, audit, clone, 0x10000000) == refuse  # with a user namespace
        assert decide(child, audit, 435) == missing  # clone3
        for code in (child, zygote):
            assert decide(code, audit, write) == allow
            assert decide(code, 0x40000003, write) == kill  # 32-bit calls
    assert decide(seccomp.program("x86_64"), 0xC000003E, 0x40000001) == kill  # the x32 form
    assert seccomp.program("riscv64") is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0.0}, "timeout is 0.0; give seconds"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"memory_mb": 1}, "memory_mb is 1"),
        ({"max_output": 1}, "max_output is 1"),
        ({"processes": 0}, "processes is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"language": "pyhton"}, "language is 'pyhton'; did you mean 'python'"),
        ({"dialect": "sandbox-fusoin"}, "did you mean 'sandbox-fusion'"),
        ({"server": "ftp://x"}, "server is 'ftp://x'; give an address"),
        ({"server": "http://x", "unsafe": True}, "unsafe has no meaning with a server"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(InputError, match=said):
        CodeVerifier(**options)


def test_fingerprint_names_options_that_matter():
    base = CodeVerifier().fingerprint
    assert CodeVerifier(workers=3).fingerprint == base
    assert CodeVerifier(timeout=2.0).fingerprint != base
    assert isinstance(CodeVerifier().honest()[0], Sample)
