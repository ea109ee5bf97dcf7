"""`verify/code`: what passes, what fails, whose fault it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers import derived_twins
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.code import CodeVerifier, attempts
from plaudit.rewards.verifiers.code.attempts import BusyError, InstrumentError, trouble
from plaudit.rewards.verifiers.code.boxes import BoxError
from plaudit.rewards.verifiers.code.twins import ASSERTS, CASES, CHECK, RIGHT
from plaudit.testing import RewardContract, hostile_samples

DATA = Path(__file__).resolve().parents[4] / "../shared/data/code"
pytestmark = pytest.mark.skipif(
    bool(trouble("bwrap") and trouble("direct")), reason="this machine offers no isolation: " + trouble("direct")
)
FAST = CodeVerifier(timeout=1.0)


def judge(program: str, tests, **options):
    return CodeVerifier(**options).verdict(case("", program, tests))


def passed(program: str, tests, **options):
    verdict = judge(program, tests, **options)
    return verdict.detail["passed"], verdict.detail["total"]


class TestContract(RewardContract):
    def make_reward(self):
        return CodeVerifier(timeout=2.0)

    def make_samples(self):
        wrong = [case("", "def total(numbers):\n    return 6", ASSERTS), case("", "def root(x): return x", CHECK)]
        return (*CodeVerifier().honest(), *wrong, case("", "print(3)", CASES), case("", "def (", ASSERTS))

    def make_hostile_samples(self):
        return [
            Sample(s.prompt, s.completion, reference)
            for s in hostile_samples()
            for reference in (ASSERTS, CHECK, CASES)
        ] + list(hostile_samples())


def test_right_programs_get_the_highest_reward():
    batch = FAST(FAST.honest())
    assert list(batch.reward) == [1.0, 1.0, 1.0]
    assert batch.detail[0] == {"passed": 3, "total": 3, "error": "", "reason": "3 of 3 tests passed"}


@pytest.mark.parametrize("twin", FAST.twins(), ids=lambda t: t.attack)
def test_attacks_fail(twin):
    verdict = FAST.verdict(twin.sample)
    assert verdict.outcome in (Outcome.SCORED, Outcome.POLICY_FAULT), verdict
    assert (verdict.reward or 0.0) <= (twin.most or 0.0), verdict
    assert CodeVerifier(timeout=1.0).verdict(FAST.honest()[0]).reward == 1.0  # and the next program is judged as ever


def test_attacks_that_know_nothing_of_the_tests_fail():
    twins = derived_twins(FAST.honest())
    batch = FAST([t.sample for t in twins])
    assert set(batch.reward) == {0.0}
    assert set(batch.outcome) <= {Outcome.SCORED, Outcome.POLICY_FAULT}


def test_wrong_answers_are_worth_the_fraction_that_passed():
    program = "def f(x):\n    if x == 3: raise KeyError('three')\n    return x"
    verdict = judge(program, "assert f(1) == 1\nassert f(2) == 3\nassert f(3) == 3\nassert f(4) == 4")
    assert (verdict.outcome, verdict.reward) == (Outcome.SCORED, 0.5)
    assert verdict.detail["error"] == "AssertionError in test 2: assert f(2) == 3"
    assert judge(program, "assert f(3) == 3").detail["error"] == (
        "KeyError: 'three' (line 2) in test 1: assert f(3) == 3"
    )
    assert judge(program, "assert f(1) == 1\nassert f(2) == 3", partial=False).reward == 0.0
    assert judge(program, "assert f(1) == 1", partial=False).reward == 1.0


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "no code in the completion"),
        ("I cannot do that.", "the program does not load"),
        ("def f(x:", "the program does not load"),
        ("x = 1 / 0\ndef f(x): return x", "the program does not load"),
        ("import numpy\ndef f(x): return x", "the program does not load"),
        ("\x00def f(x): return x", "the program does not load"),
        ("def g(x): return x", "the program does not define: f"),
        ("import os\ndef f(x): os._exit(0)", "ended before its tests were through (exit status 0)"),
        (
            "import os\ndef f(x): os.kill(os.getpid(), 9); return 1",
            "",
        ),  # the first process of a namespace is deaf to it
        ("import ctypes\ndef f(x): ctypes.string_at(0)", "ended before its tests were through (signal 11)"),
        ("def f(x):\n    while True: pass", "took longer than 0.5 s"),
        ("def f(x):\n    return bytearray(1 << 40)", "ran out of memory: MemoryError"),
        ("def f(x):\n    return 'x' * (5 << 20)", "returned too much"),
        ("def f(x):\n    while True: print(x)", "wrote 1048576 bytes or more"),
    ],
)
def test_what_ends_a_program_is_its_own_fault(program, reason):
    # on a busy machine even a fault takes its time; only what is to meet the clock is given little
    verdict = judge(program, "assert f(1) == 1", timeout=0.5 if "took longer" in reason else 20.0)
    if not reason:
        assert verdict.reward == 1.0
        return
    assert verdict.outcome is Outcome.POLICY_FAULT
    assert verdict.detail["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("42", "no tests"),
        ("assert f(", "SyntaxError"),
        ({"asserts": "assert f()", "setup": "import nothing_like_it"}, "the setup fails: ModuleNotFoundError"),
        ({"check": "def chekc(c): assert c", "entry_point": "f"}, "no function 'check'"),
        ("class Own: pass\nassert f(Own())", "pass a Own, which cannot travel"),
    ],
)
def test_tests_that_cannot_be_run_are_no_ones_fault(reference, reason):
    for program in ("def f(*a): return 1", "import os\nos._exit(0)"):
        verdict = judge(program, reference)
        if "travel" in reason and "exit" in program:
            continue  # it had ended before
        assert verdict.outcome is Outcome.ABSTAINED
        assert reason in verdict.detail["reason"]


def test_the_machine_is_to_blame_only_when_the_canary_says_so(monkeypatch):
    sample = case("", "def f(): return 1", "assert f() == 1")

    def dead(*_args, **_options):
        raise BoxError("no box today")

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "run_calls", dead)
        verdict = FAST.verdict(sample)
    assert verdict.outcome is Outcome.INSTRUMENT_FAULT
    assert "no box today" in verdict.detail["reason"]
    real = attempts.run_calls

    def only_the_canary(box, code, *rest):
        return real(box, code, *rest) if code == attempts._CANARY_CODE else dead()

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "run_calls", only_the_canary)
        verdict = FAST.verdict(sample)
    assert verdict.outcome is Outcome.POLICY_FAULT  # five boxes ended under it, and none under the canary
    assert verdict.detail["reason"] == "ended its sandbox"
    assert FAST.verdict(sample).reward == 1.0


def test_a_busy_machine_gives_more_time_and_then_says_so(monkeypatch):
    from plaudit.rewards.verifiers.code.running import Report

    walls = []

    def run(_box, wall):
        walls.append(wall)
        return Report(fault="took longer than 1 s", late=True, cpu=0.85 if wall else 0.5)

    pool = FAST._pool()
    monkeypatch.setattr(attempts, "canary", lambda _: 2.0)  # a second of processor time takes two
    with pytest.raises(BusyError, match=r"takes 2\.0"):
        attempts.attempt(pool, run, 1.0)
    assert walls == [None, 2.5]  # 1.25 * 2 * 1 s
    for cpu, busy in ((0.95, 2.0), (0.01, 2.0), (0.5, 1.2)):  # it computed; it slept; the machine is idle
        report = Report(fault="took longer", late=True, cpu=cpu)
        monkeypatch.setattr(attempts, "canary", lambda _, busy=busy: busy)
        assert attempts.attempt(pool, lambda *_, report=report: report, 1.0) is report
    monkeypatch.setattr(CodeVerifier, "_report", lambda *_: (_ for _ in ()).throw(BusyError("busy")))
    assert FAST.verdict(FAST.honest()[0]).outcome is Outcome.TIMED_OUT
    monkeypatch.setattr(CodeVerifier, "_report", lambda *_: (_ for _ in ()).throw(InstrumentError("broken")))
    assert FAST.verdict(FAST.honest()[0]).outcome is Outcome.INSTRUMENT_FAULT


@pytest.mark.parametrize(
    ("program", "tests"),
    [
        ("def f(a): a.append(1)", "x = [0]\nf(x)\nassert x == [0, 1]"),
        ("def f(d): d['k'] = {1}", "d = {}\nf(d)\nassert d == {'k': {1}}"),
        ("def f(a):\n    a.clear()", "x = {1, 2}\nf(x)\nassert x == set()"),
        ("def f(n):\n    yield from range(n)", "assert list(f(3)) == [0, 1, 2]\nassert next(f(2)) == 0"),
        ("import itertools\ndef f(): return itertools.count()", "assert [x for _, x in zip(range(3), f())] == [0, 1, 2]"),  # noqa: E501
        ("def f(n): return lambda x: x + n", "assert f(2)(3) == 5"),
        ("def f(g, x): return g(g(x))", "assert f(lambda x: x * 2, 3) == 12\nassert f(str.upper, 'a') == 'A'"),
        ("def f(g): return sorted([3, 1, 2], key=g)", "assert f(lambda x: -x) == [3, 2, 1]"),
        ("def f(g): return g(h(1))\ndef h(x): return x + 1", "assert f(lambda x: h(x)) == 3"),
        ("def f(x):\n    raise ValueError('no')", "try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no'"),  # noqa: E501
        ("class Own(KeyError): pass\ndef f(): raise Own('k')", "try:\n    f()\n    assert False\nexcept Own:\n    pass"),  # noqa: E501
        ("import json\ndef f(): json.loads('{')", "import json\ntry:\n    f()\n    assert 0\nexcept ValueError:\n    pass"),  # noqa: E501
        ("async def f(x): return x + 1", "import asyncio\nassert asyncio.run(f(1)) == 2"),
        ("def f(*a, **k): return a, k", "assert f(1, 2, x=3) == ((1, 2), {'x': 3})"),
        ("def f(x): return x", "for v in (None, 2**100, 1.5, 'é', b'x', (1,), {1}, 1j, ..., int): assert f(v) == v"),
        ("def f(): return float('inf')", "assert f() == float('inf')"),
        ("LIMIT = 3\ndef f(): return LIMIT", "assert LIMIT == 3 and f() == 3"),
        ("import math\ndef f(x): return math.sqrt(x)", "assert math.isclose(f(2), 1.41421356, rel_tol=1e-6)"),
        ("from math import isclose\ndef f(x): return x", "assert isclose(f(2), 2)"),
        ("def sum(a, b): return a + b", "assert sum(1, 2) == 3"),
        ("def f(it): return list(it)", "assert f(map(str, [1])) == ['1']\nassert f(x for x in 'ab') == ['a', 'b']"),
        ("def f(x, y=[]):\n    y.append(x)\n    return len(y)", "assert f(1) == 1\nassert f(1) == 2"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(): return P(3)", "assert f().x == 3"),  # noqa: E501
        ("def f(a): return a is None", "assert f(None)"),
        ("import time\ndef f():\n    return time.time() > 1e9", "assert f()"),
        ("def f(x): return x\n\nif __name__ == '__main__':\n    print(f(input()))", "assert f(1) == 1"),
    ],
)  # fmt: skip
def test_values_functions_and_exceptions_come_across(program, tests):
    verdict = judge(program, tests)
    assert verdict.reward == 1.0, verdict


def test_classes_are_used_through_the_pipe():
    stack = """
class Stack:
    kind = 'stack'
    def __init__(self, *items): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __iter__(self): return iter(self.items)
    def __enter__(self): return self
    def __exit__(self, *e): self.items.clear()
    def __str__(self): return 'S' + str(self.items)
    @classmethod
    def of(cls, n): return cls(*range(n))
    @property
    def top(self): return self.items[-1]
"""
    tests = """
s = Stack(1, 2)
assert len(s) == 2 and s[0] == 1 and s.top == 2 and str(s) == 'S[1, 2]'
assert s.push(3).push(4).items == [1, 2, 3, 4]
assert [x * 2 for x in s] == [2, 4, 6, 8] and 3 in s and 9 not in s
s.extra = 'e'
assert s.extra == 'e' and Stack.kind == 'stack' and Stack.of(3).items == [0, 1, 2]
assert isinstance(s, Stack) and not isinstance(3, Stack) and s == s and s != Stack(1)
with Stack(5) as t:
    assert t.top == 5
assert len(t) == 0
"""
    assert passed(stack, tests) == (7, 7)


def test_setup_classes_are_the_same_on_both_sides():
    setup = """
class Node:
    def __init__(self, v, left=None, right=None): self.v, self.left, self.right = v, left, right
    def __eq__(self, other): return isinstance(other, Node) and vars(self) == vars(other)
    __hash__ = None
class Refused(Exception): pass
"""
    program = """
def mirror(n):
    if n is None: return None
    if n.v < 0: raise Refused('negative')
    return Node(n.v, mirror(n.right), mirror(n.left))
"""
    tests = """
assert mirror(Node(1, Node(2), Node(3))) == Node(1, Node(3), Node(2))
assert mirror(None) is None
try:
    mirror(Node(-1))
    assert False
except Refused as error:
    assert 'negative' in str(error)
"""
    assert passed(program, {"asserts": tests, "setup": setup}) == (3, 3)
    sly = "def mirror(n):\n    m = Node(1)\n    m.same = lambda o: True\n    return m"
    with_method = setup.replace("    __hash__", "    def same(self, o): return self.v == o\n    __hash__")
    asked = {"asserts": "assert mirror(1).same(2)", "setup": with_method}
    assert passed(sly, asked) == (0, 1)  # an attribute must not stand for a trusted method
    assert passed("def mirror(n): return Node(2)", asked) == (1, 1)
    forged = "class Node:\n    def __eq__(self, o): return True\ndef mirror(n): return Node()"
    assert passed(forged, {"asserts": tests, "setup": setup})[0] == 0


def test_functions_that_could_be_turned_on_the_tests_do_not_travel():
    assert passed("def f(g): return g('1 + 1')", "assert f(eval) == 2") == (0, 1)
    assert passed("def f(g): return g('11')", "assert f(int) == 11") == (1, 1)


def test_tests_as_pytest_and_unittest_write_them():
    tests = """
import pytest
import unittest

@pytest.mark.parametrize('x, y', [(1, 2), (2, 3)])
def test_next(x, y):
    assert f(x) == y

def test_raises():
    with pytest.raises(TypeError, match='concatenate'):
        f('a')

async def test_async():
    assert f(0) == pytest.approx(1)

class TestMore:
    def setup_method(self): self.x = 5
    def test_it(self): assert f(self.x) == 6

class Case(unittest.TestCase):
    def setUp(self): self.x = 1
    def test_equal(self): self.assertEqual(f(self.x), 2)
    def test_wrong(self): self.assertEqual(f(self.x), 3)
"""
    verdict = judge("def f(x): return x + 1", tests)
    assert (verdict.detail["passed"], verdict.detail["total"]) == (5, 6), verdict
    assert "Case.test_wrong" in verdict.detail["error"]


def test_completions_that_go_on_where_the_prompt_stops():
    reference = {"check": "def check(c):\n    assert c(2) == helper(2)\n", "entry_point": "f"}
    prompt = "import math\n\ndef helper(x):\n    return math.sqrt(x)\n\ndef f(x):\n    '''Its root.'''\n"
    verifier = CodeVerifier()
    for completion in (
        "    return math.sqrt(x)\n",
        prompt + "    return math.sqrt(x)",
        "def f(x): return math.sqrt(x)",
    ):
        assert verifier.verdict(case(prompt, completion, reference)).reward == 1.0
        assert verifier.verdict(case("Do it", completion, {**reference, "prompt": prompt})).reward == 1.0
    forged = "    return 0\ndef helper(x):\n    return 0\n"
    verdict = verifier.verdict(case(prompt, forged, reference))
    assert verdict.reward == 0.0  # the prompt's helper is the one that tests use
    assert "borrowed" not in verdict.detail
    verdict = verifier.verdict(case("Do it", prompt + "    return math.sqrt(x)\n", reference))
    assert verdict.detail["borrowed"] == ["helper"]  # here only the candidate has it, and the detail says so


def test_results_must_be_finite_unless_tests_speak_of_others():
    assert passed("def f(): return float('nan')", "assert not f() > 1") == (0, 1)
    assert passed("def f(): return [1, float('inf')]", "assert f()") == (0, 1)
    assert passed("def f(): return float('nan')", "import math\nassert math.isnan(f())") == (1, 1)


def test_programs_that_print():
    options = {"cases": [{"input": "2\n", "output": "0.3333333\n"}]}
    program = "print(1 / 3)"
    assert passed(program, options) == (0, 1)
    assert passed(program, options, tolerance=1e-6) == (1, 1)
    assert passed("print(half(int(input())))", {"cases": [{"input": "4", "output": "2.0"}],
                                               "setup": "def half(x): return x / 2"}) == (1, 1)  # fmt: skip


def test_equal_programs_get_equal_verdicts_wherever_they_run():
    program = "import random\ndef f(): return [random.random(), hash('x'), list({'a', 'b', 'c', 'd'})]"
    verdicts = {str(judge(program, "found = f()\nassert 0, found").detail["error"]) for _ in range(4)}
    assert len(verdicts) == 1


def rows(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def test_humaneval():
    verifier, samples, broken = CodeVerifier(), [], []
    for row in rows("humaneval_first_60.jsonl.gz"):
        reference = {"check": row["test"], "entry_point": row["entry_point"]}
        whole = row["prompt"] + row["canonical_solution"]
        samples += [
            case("Solve it.", whole, reference),
            case(row["prompt"], row["canonical_solution"], reference),
            case("Solve it.", f"Here:\n```python\n{whole}\n```\nIt works.", reference),
        ]
        for body in ("    return None\n", "    raise ValueError('broken')\n", "    return object()\n"):
            broken.append(case(row["prompt"], body, reference))
            broken.append(case("Solve it.", row["prompt"] + body, reference))
    assert set(verifier(samples).reward) == {1.0}
    batch = CodeVerifier(partial=False)(broken)
    assert len(batch) == 360
    assert set(batch.reward) == {0.0}
    assert set(batch.outcome) == {Outcome.SCORED}


def test_mbpp():
    # one of the solutions counts for seconds: how fast the machine is, is not what is tested
    verifier, samples, broken = CodeVerifier(timeout=20.0), [], []
    for row in rows("mbpp_200.jsonl.gz"):
        reference = {"asserts": "\n".join(row["test_list"]), "setup": row["test_setup_code"]}
        samples.append(case(row["text"], row["code"], reference))
        names = [line.split("(")[0][4:].strip() for line in row["code"].splitlines() if line.startswith("def ")]
        for body in ("return None", "raise ValueError", "return object()"):
            stubs = "\n".join(f"def {n}(*a, **k):\n    {body}" for n in names)
            broken.append(case(row["text"], f"{row['code']}\n{stubs}", reference))
    found = verifier(samples)
    assert [s.text for s, r in zip(samples, found.reward, strict=True) if r != 1.0] == []
    batch = CodeVerifier(partial=False)(broken)
    assert len(batch) == 600
    assert set(batch.reward) == {0.0}


def test_the_hostile_samples_harm_nothing():
    problem = DATA / "humaneval_example_problem.jsonl"
    if not problem.is_file():
        pytest.skip(f"{problem} is not there")
    row = json.loads(problem.read_text().splitlines()[0])
    lines = (DATA / "humaneval_example_samples.jsonl").read_text().splitlines()
    reference = {"check": row["test"], "entry_point": row["entry_point"]}
    marker = Path("tmp")  # what one of them would remove, of the folder that it is run in
    samples = [case(row["prompt"], json.loads(line)["completion"], reference) for line in lines]
    before = marker.exists()
    batch = CodeVerifier(timeout=2.0)(samples)
    assert list(batch.reward) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]  # pass@1 of 0.5, as published with them
    assert "took longer" in batch.detail[1]["reason"]
    assert marker.exists() == before
    assert RIGHT["asserts"]
