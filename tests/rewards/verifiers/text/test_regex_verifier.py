import threading
import time

import pytest

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.text import RegexVerifier, patterns
from plaudit.rewards.verifiers.text.patterns import Ran, canary, search

ENDLESS = "^(?:a|a)*$"
TEXT = "a" * 4_000 + "!"


def judged(text, reference, **options):
    return RegexVerifier(**options).verdict(case("q", text, reference))


def test_full_match_and_search():
    assert judged("2024-05-17", r"\d{4}-\d{2}-\d{2}").reward == 1.0
    assert judged("on 2024-05-17", r"\d{4}-\d{2}-\d{2}").reward == 0.0
    found = judged("on 2024-05-17", r"\d{4}-\d{2}-\d{2}", search=True)
    assert (found.reward, found.detail["extracted"]) == (1.0, "2024-05-17")
    assert judged("b", ["a", "b"]).reward == 1.0
    assert judged("yes", None, pattern="(?i)YES").reward == 1.0
    assert judged("x <answer>7</answer>", r"\d", within="answer").reward == 1.0


def test_an_empty_answer_matches_no_pattern():
    assert judged("", ".*").outcome is Outcome.POLICY_FAULT
    assert judged(" \n", ".*", search=True).outcome is Outcome.POLICY_FAULT


@pytest.mark.parametrize("reference", ["(", "[", "*", "(?P<a>x)(?P<a", "(" * 5_000, "", [], ["a", "("], 3, None])
def test_patterns_that_cannot_be_used(reference):
    with pytest.raises(InputError, match="verify/regex: sample 0: reference"):
        RegexVerifier()([case("q", "x", reference)])


def test_options_that_cannot_be_used():
    with pytest.raises(InputError, match=r"verify/regex: pattern '\(' does not compile"):
        RegexVerifier(pattern="(")
    with pytest.raises(InputError, match=r"verify/regex: timeout is 0\.0; give seconds"):
        RegexVerifier(timeout=0.0)


def test_an_endless_search_is_the_candidates_fault_from_any_thread():
    found = []

    def run():
        found.append(judged(TEXT, ENDLESS, timeout=0.05))

    threads = [threading.Thread(target=run) for _ in range(2)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [v.outcome for v in found] == [Outcome.POLICY_FAULT] * 2
    assert time.monotonic() - start < 10.0
    assert judged("a" * 4_000, ENDLESS).reward == 1.0  # the same pattern on a text that matches


def test_a_slow_machine_is_told_from_an_endless_search(monkeypatch):
    assert canary(0.05)
    monkeypatch.setattr(patterns, "canary", lambda _timeout: False)
    assert search(ENDLESS, TEXT, timeout=0.02).ran is Ran.SLOW_MACHINE
    assert judged(TEXT, ENDLESS, timeout=0.02).outcome is Outcome.TIMED_OUT


def test_a_search_gets_a_second_and_longer_try(monkeypatch):
    tried = []
    run = patterns._run

    def first_fails(expression, text, mode, timeout):
        tried.append(timeout)
        if len(tried) == 1:
            raise TimeoutError
        return run(expression, text, mode, timeout)

    monkeypatch.setattr(patterns, "_run", first_fails)
    assert search("b+", "abba", timeout=0.5) == patterns.Searched(Ran.MATCHED, "bb")
    assert tried == [0.5, 1.5]
