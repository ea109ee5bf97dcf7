"""What holds for each verifier that ships, by its name in the registry."""

import asyncio
import multiprocessing
import pickle
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from subprocess import run

import numpy as np
import pytest

import plaudit
from plaudit.audit.attacks import audit_verifier
from plaudit.rewards.builtin import BUILTIN
from plaudit.rewards.verifiers.base import Verifier

AGREEMENT = {"verify/majority", "verify/co-reward", "verify/program-agreement"}
"""They judge by agreement: there is no reference to attack."""

NAMES = sorted({name for name in BUILTIN if name.startswith("verify/")} - AGREEMENT)

COSTLY = ("endless", "exploding", "sleep", "bomb", "deaf", "deep", "ctypes")
"""Attacks that cost their whole deadline; their verifiers' own tests run them."""


@pytest.fixture(params=NAMES)
def verifier(request):
    found = plaudit.load(request.param)
    assert isinstance(found, Verifier)
    return found


def judged(name):
    """Rewards and outcomes of a verifier's right answers and attacks; called in other threads and processes too."""
    verifier = plaudit.load(name)
    cheap = [twin.sample for twin in verifier.twins() if not any(word in twin.attack for word in COSTLY)]
    samples = [*verifier.honest(), *cheap]
    samples = [s for s in samples if len(s.text) < 20_000]
    batch = verifier(samples[:: max(1, len(samples) // 16)])
    return np.nan_to_num(batch.reward, nan=-9.0).tolist(), batch.outcome.tolist()


def test_every_name_loads_and_is_called_as_it_is_named():
    for name in BUILTIN:
        # what reads another reward or a model has no kind, and two verifiers need a corpus
        if name.startswith(("rule/", "verify/")) and not name.endswith(("citations", "quotes")):
            assert plaudit.load(name).kind == name


def test_no_attack_passes_and_right_answers_do(verifier):
    audit = audit_verifier(verifier)
    assert audit.honest > 0
    assert sum(tally.tried for tally in audit.attacks) >= 20
    assert audit.passed, [*audit.refused, *(e for tally in audit.attacks for e in tally.escaped)][:3]


def test_every_verifier_pickles(verifier):
    again = pickle.loads(pickle.dumps(verifier))
    assert again.fingerprint == verifier.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_the_same_verdicts_wherever_they_are_asked_for(name):
    expected = judged(name)
    found = []
    thread = threading.Thread(target=lambda: found.append(judged(name)))
    thread.start()
    thread.join()

    async def in_loop():
        return judged(name)  # on the loop's own thread: no signal, no nested loop may be needed

    found.append(asyncio.run(in_loop()))
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found.append(pool.submit(judged, name).result())
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
        found += [future.result() for future in [pool.submit(judged, name) for _ in range(4)]]
    assert all(one == expected for one in found)


def test_listing_rewards_imports_nothing_heavy():
    code = (
        "import sys, plaudit.rewards.registry as r; r.catalog(); "
        "print([m for m in ('torch', 'transformers', 'sympy', 'jsonschema', 'math_verify') if m in sys.modules])"
    )
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
