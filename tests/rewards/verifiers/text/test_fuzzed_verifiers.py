"""10,000 random answers to each kind, and the same verdicts wherever a kind is called from."""

import asyncio
import gc
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers import structure, text
from plaudit.testing.verifiers import fuzzed_texts

KINDS = [
    text.ExactVerifier(),
    text.F1Verifier(),
    text.ChoiceVerifier(),
    text.RegexVerifier(),
    text.QuotesVerifier(),
    text.CitationsVerifier(),
    text.NumericVerifier(),
    text.PathVerifier(),
    structure.JsonSchemaVerifier(),
    structure.ToolCallsVerifier(),
    structure.ToolCallsVerifier(graded=True),
    structure.InstructionsVerifier(),
    structure.RankedListVerifier(),
    structure.RerankVerifier(),
    structure.PageVerifier(),
    structure.NuggetsVerifier(),
]
COUNT = 10_000


def with_texts(verifier, texts):
    honest = verifier.honest()
    return [replace(honest[i % len(honest)], completion=t, steps=None) for i, t in enumerate(texts)]


def check(verifier, batch):
    low, high = verifier.bounds
    assert set(batch.outcome.tolist()) <= {Outcome.SCORED, Outcome.POLICY_FAULT}
    assert batch.reward.min(initial=low) >= low
    assert batch.reward.max(initial=high) <= high


@pytest.mark.parametrize("verifier", KINDS, ids=lambda v: repr(v)[:40])
def test_ten_thousand_random_answers(verifier):
    texts = fuzzed_texts([s.text for s in verifier.honest()], COUNT, seed=7)
    samples = with_texts(verifier, texts)
    check(verifier, verifier(samples[:2_000]))  # what is loaded and kept once is loaded and kept
    gc.collect()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    for first in range(2_000, COUNT, 2_000):
        check(verifier, verifier(samples[first : first + 2_000]))
    assert time.monotonic() - start < 30.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


pieces = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        '"',
        "\\",
        "\\boxed{",
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "```json\n",
        "\n```\n",
        "The answer is ",
        "A",
        "B",
        "1",
        "-",
        ".",
        ",",
        "/",
        ">",
        "***",
        "\n",
        " ",
        "not",
        "Lima",
        "[1]",
        "e9",
        "=",
        ":",
        "'",
        "\ud800",
        "\x00",
        "\u200b",
        "\u202e",
        "\U0001f600",
        "\u0301",
    ]
)


@pytest.mark.parametrize("verifier", KINDS, ids=lambda v: repr(v)[:40])
@given(answers=st.lists(st.lists(pieces, max_size=40).map("".join) | st.text(max_size=40), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_answers_made_of_what_parsers_look_for(verifier, answers):
    check(verifier, verifier(with_texts(verifier, answers)))


LONG = [
    "x" * 200_000,
    "(" * 200_000,
    "[" * 200_000,
    '"' * 200_000,
    "\\boxed{" * 28_000,
    "<answer>" * 25_000,
    "</think>" * 25_000,
    "<tool_call>" * 18_000,
    "```\n" * 50_000,
    "The answer is A. " * 12_000,
    "1,234.5 " * 25_000,
    "a, b; c > " * 20_000,
    "- x\n" * 50_000,
    "." * 200_000,
    "! " * 100_000,
    "\n" * 200_000,
    " " * 100_000 + "x",
    "[1] " * 50_000,
    "not " * 50_000,
    "1" * 200_000,
    "9" * 199_999 + ".",
    "A\n" * 100_000,
    "\u201cx" * 100_000,
    "*" * 200_000,
    "<<" * 100_000,
    "e\u0301" * 100_000,
    "f(a=1)," * 28_000,
    '{"a":1},' * 25_000,
    "1/" * 100_000,
    ",1" * 100_000,
    "answer is " * 20_000,
    "x. [" * 50_000,
]


@pytest.mark.parametrize("verifier", [k for k in KINDS if not getattr(k, "graded", False)], ids=lambda v: repr(v)[:40])
def test_long_answers_cost_no_more_than_their_length(verifier):
    """A pattern that backtracks, or a loop over pairs, needs minutes for the longest of these; they take about 0.1 s.

    A fixed second would test the machine; the bound grows with what the machine takes for a plain answer of that size.
    """
    start = time.process_time()
    for _ in range(3):
        check(verifier, verifier(with_texts(verifier, ["word " * 40_000])))
    plain = (time.process_time() - start) / 3
    for answer in LONG:
        samples = with_texts(verifier, [answer])
        start = time.process_time()
        check(verifier, verifier(samples))
        assert time.process_time() - start < 5.0 + 20 * plain, answer[:20]


_SLOW = ("exploding search", "deep nesting", "over-long answer", "quadratic text")


def verdicts(index):
    verifier = KINDS[index]
    samples = [*verifier.honest(), *(t.sample for t in verifier.twins() if t.attack not in _SLOW)]
    batch = verifier(samples)
    return batch.reward.tolist(), batch.outcome.tolist()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_same_verdicts_from_threads_loops_and_processes():
    indices = range(len(KINDS))
    expected = [verdicts(i) for i in indices]

    async def from_a_loop():
        here = verdicts(0)
        there = await asyncio.gather(*(asyncio.to_thread(verdicts, i) for i in indices))
        return [here, *there[1:]]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(verdicts, indices)) == expected
    assert asyncio.run(from_a_loop()) == expected
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(verdicts, indices)) == expected
    assert not np.isnan(expected[0][0]).any()
