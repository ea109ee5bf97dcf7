"""What was paid for is in the log when it arrives, so that a kill costs what was in flight."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import ShapeError
from plaudit.policy.online.experience import Collector, drawn_key, reward_key
from plaudit.policy.rollout import Question, Rollout, Sampling
from plaudit.policy.scoring import Scorer
from plaudit.policy.served import Connection, ServerError, ServerSampler
from plaudit.rewards.base import RewardBatch
from plaudit.runs.log import DurableLog
from small_policies import Sevens, build_tokenizer, prompts

SAMPLING = Sampling(completions=2, max_tokens=4)


def questions(n):
    return [Question(row, (5,), str(i)) for i, row in enumerate(prompts(n))]


def said(question):
    return [Rollout.of(question, text, (9, 1), (-1.0, -2.0), "eos") for text in ("7", "70")]


class Local:
    """Samples all questions in one call."""

    def __init__(self):
        self.calls = []

    def __call__(self, asked, sampling, *, seed, progress):
        self.calls.append([q.key for q in asked])
        return [said(q) for q in asked]


class Watching(Sevens):
    """A reward that notes which questions have theirs in the log when it is asked."""

    def __init__(self, log, n, scope="sample"):
        super().__init__()
        self.log, self.n, self.scope = log, n, scope
        self.noted = []

    def __call__(self, samples):
        kept = [i for i in range(self.n) if reward_key("", questions(self.n)[i]) in self.log]
        self.noted.append(([s.group for s in samples], kept))
        return RewardBatch(np.array([self.one(s.text) for s in samples]))


def collected(log, sampler, reward, asked):
    return Collector(sampler, SAMPLING, Scorer(reward), watched={}, log=log, seed=0)(asked)


def test_each_questions_rewards_are_logged_before_the_next_is_judged(tmp_path):
    with DurableLog(tmp_path / "log", fingerprint="k") as log:
        reward = Watching(log, 3)
        found = collected(log, Local(), reward, questions(3))
    assert reward.noted == [(["0"] * 2, []), (["1"] * 2, [0]), (["2"] * 2, [0, 1])]
    # one seven of one character, one of two
    assert found.reward.reward.tolist() == [1.0, 0.5] * 3


def test_what_is_judged_together_is_logged_together(tmp_path):
    asked = [replace(q, together="a" if i < 2 else "b") for i, q in enumerate(questions(4))]
    with DurableLog(tmp_path / "log", fingerprint="k") as log:
        reward = Watching(log, 4, scope="group")
        collected(log, Local(), reward, asked)
    assert reward.noted == [(["a"] * 4, []), (["b"] * 4, [0, 1])]
    with DurableLog(tmp_path / "other", fingerprint="k") as log:
        reward = Watching(log, 4, scope="batch")
        collected(log, Local(), reward, questions(4))
        assert [len(groups) for groups, _ in reward.noted] == [8]


def server(monkeypatch, failing):
    """A server of which some questions fail once the others have come; and what it was asked."""
    asked, others = [], threading.Semaphore(0)

    def ask(self, question, sampling, seed, stop):
        assert (self.url, sampling, seed, stop.is_set()) == ("http://server", SAMPLING, 0, False)
        asked.append(question.key)
        if question.key in failing:
            for _ in range(3):
                assert others.acquire(timeout=10)
            raise ServerError("down")
        others.release()
        return said(question)

    monkeypatch.setattr(ServerSampler, "_ask", ask)
    return ServerSampler("http://server", "m", build_tokenizer(), connection=Connection(requests=4)), asked


def test_what_a_server_has_answered_is_not_asked_again(tmp_path, monkeypatch):
    failing = {"0"}
    sampler, asked = server(monkeypatch, failing)
    for _ in range(2):
        with DurableLog(tmp_path / "log", fingerprint="k") as log:
            if failing:
                with pytest.raises(ServerError, match="down"):
                    collected(log, sampler, Sevens(), questions(4))
                for _ in range(100):  # the last of the three may still be writing when the first has failed
                    if sum(drawn_key(q) in log for q in questions(4)) == 3:
                        break
                    time.sleep(0.02)
                assert [drawn_key(q) in log for q in questions(4)] == [False, True, True, True]
                failing.clear()
            else:
                found = collected(log, sampler, Sevens(), questions(4))
    assert sorted(asked) == ["0", "0", "1", "2", "3"]
    assert [rollout.sample.text for rollout in found.flat] == ["7", "70"] * 4


def test_as_many_questions_must_come_as_were_asked(tmp_path):
    class Short(Local):
        def __call__(self, asked, sampling, *, seed, progress):
            return super().__call__(asked, sampling, seed=seed, progress=progress)[:-1]

    with (
        DurableLog(tmp_path / "log", fingerprint="k") as log,
        pytest.raises(ShapeError, match="completions of 2 questions came for 3"),
    ):
        collected(log, Short(), Sevens(), questions(3))
