"""Fuzzed answers, and children that are killed at random while answers are checked."""

import os
import random
import signal
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.records import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.math import Effort, MathVerifier, equivalence

PIECES = r"""\frac { } \sqrt ^ _ ( ) [ ] \{ \} , ; = < \le \cup \in \pm \text{a} x y 1 18 0 . / - + ! % $ & \\ or
\infty \pi \begin{pmatrix} \end{pmatrix} \sin \log_ \int \sum_{k=1}^{9} \lim | : ' \mid \binom i e 9^9 \cdot
\boxed{""".split()
PIECES += [" ", "#### ", "answer is ", "\ud800", "\x00", "\u0660", "\u00b2", "\u00bd", "\u0445"]
REFERENCES = [
    "18",
    "\\frac{1}{2}",
    "x^2 + 1",
    "(3, 4]",
    "1,-2",
    "\\{1, 2\\}",
    "x = 5",
    "\\text{east}",
    "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
    "3\\sqrt{13}",
]
broken = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
noise = st.binary(max_size=60).map(lambda b: b.decode("latin-1")) | st.binary(max_size=60).map(
    lambda b: b.decode("utf-8", "surrogateescape")
)


def _hold(texts, references):
    reward = MathVerifier(timeout=1.0)
    samples = [Sample("?", text, r) for text, r in zip(texts, references, strict=True)]
    batch = reward(samples)
    assert set(batch.outcome) <= {Outcome.SCORED, Outcome.POLICY_FAULT}
    assert set(batch.reward) <= {0.0, 1.0}
    return batch


@given(st.lists(st.tuples(broken | noise, st.booleans(), st.sampled_from(REFERENCES)), min_size=10, max_size=10))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_fuzzed_answers_give_outcomes(cases):
    _hold([f"\\boxed{{{t}}}" if boxed else t for t, boxed, _ in cases], [r for *_, r in cases])


def _fuzzed(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        if rng.random() < 0.5:
            text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(15)))
        else:
            raw = rng.randbytes(rng.randrange(80))
            text = raw.decode("latin-1") if rng.random() < 0.5 else raw.decode("utf-8", "surrogateescape")
        yield (f"\\boxed{{{text}}}" if rng.random() < 0.7 else text), rng.choice(REFERENCES)


@pytest.mark.slow
def test_ten_thousand_fuzzed_answers_neither_raise_nor_hang_nor_leak():
    cases = list(_fuzzed(10_000, seed=1))
    held, start = [], time.monotonic()
    tracemalloc.start()
    try:
        for i in range(0, len(cases), 500):
            _hold(*zip(*cases[i : i + 500], strict=True))
            equivalence.forget()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] - held[len(held) // 2] < 8 << 20  # the caches are bounded
    assert time.monotonic() - start < 600


def _kill_at_random(pool, stop, *, every, seed=0):
    """Kills one of the pool's children after the other until told to stop; returns how many."""
    rng, killed = random.Random(seed), 0
    while not stop.wait(rng.uniform(0.5, 1.5) * every):
        pids = pool.pids()
        if pids:
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
    return killed


def _killed(count, every):
    """Answers that need algebra, half of them right, while children are killed."""
    samples = [Sample("?", f"\\boxed{{{i} + x^2}}", f"x^2 + {i + i % 2}") for i in range(count)]
    reward = MathVerifier(workers=2, memory_mb=777)  # a pool of its own
    equivalence.forget()
    reward(samples[:1])
    pool = equivalence._pool(2, 777)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        killer = threads.submit(_kill_at_random, pool, stop, every=every)
        try:
            batch = reward(samples)
        finally:
            stop.set()
    pool.close()
    assert list(batch.reward) == [float(i % 2 == 0) for i in range(count)]
    assert set(batch.outcome) == {Outcome.SCORED}
    return killer.result()


def test_random_kills_lose_and_mislabel_no_answer():
    assert _killed(300, every=0.4) >= 2


@pytest.mark.slow
def test_random_kills_over_five_thousand_answers():
    assert _killed(5_000, every=0.5) >= 10


def test_an_explosion_costs_its_deadline_and_no_more():
    # each term is small for the guard, and the whole takes long: the deadline is what ends it
    start = time.monotonic()
    text = "\\int_0^1 \\frac{x^{17} \\sin(x^3) \\ln(1+x^5)}{\\sqrt{1+x^7} + e^{x^2}} dx"
    found = equivalence.equivalent(reference="\\frac{\\pi}{7}", answer=text, effort=Effort(seconds=0.5))
    assert found.outcome in (Outcome.SCORED, Outcome.POLICY_FAULT)
    assert not found.equal
    assert time.monotonic() - start < 8
