"""A reward that fails costs its own samples, and only those."""

import asyncio
import threading
import time
from collections import Counter

import numpy as np
import pytest

from plaudit.errors import InputError, PlauditError
from plaudit.policy import scoring
from plaudit.policy.scoring import Patience, Scorer, units_of
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch


class Told:
    """Reward: the number that the completion is; some numbers misbehave."""

    name, bounds, fingerprint = "told", (0.0, 1000.0), "told"

    def __init__(self, scope="sample", **bad):
        self.scope, self.bad = scope, bad
        self.calls = Counter()

    def __call__(self, samples):
        self.calls[len(samples)] += 1
        return RewardBatch(np.array([self.one(s.text) for s in samples]))

    def one(self, text):
        what = self.bad.get(f"x{text}")
        if what == "raise":
            raise KeyError(text)
        if what == "hang":
            threading.Event().wait(30)
        if what == "nan":
            return float("nan")
        return float(text)


def rows(n, groups=1):
    return [Sample(conversation("q"), str(i), group=str(i // groups)) for i in range(n)]


def test_a_good_reward_is_asked_once():
    reward = Told()
    batch = Scorer(reward)(rows(7))
    assert batch.reward.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert reward.calls == {7: 1}
    assert len(Scorer(reward)([])) == 0


@pytest.mark.parametrize("what", ["raise", "nan"])
def test_one_in_fifty_that_fails_is_found_by_halving(what):
    reward = Told(x31=what)
    scorer = Scorer(reward)
    batch = scorer(rows(50))
    expected = [float(i) for i in range(50)]
    assert batch.outcome[31] == Outcome.INSTRUMENT_FAULT
    assert np.isnan(batch.reward[31])
    assert np.delete(batch.reward, 31).tolist() == np.delete(expected, 31).tolist()
    assert np.delete(batch.outcome, 31).any() == False  # noqa: E712
    # 50, 25, 13 or 12, ... down to the one, which is asked twice: far fewer than fifty calls
    assert sum(reward.calls.values()) <= 2 + 2 * 6
    assert list(scorer.faults.values()) == [1]
    assert batch.detail[31]["error"].startswith("KeyError" if what == "raise" else "InputError")


def test_one_that_hangs_is_timed_out_and_the_others_are_scored():
    reward = Told(x3="hang")
    scorer = Scorer(reward, Patience(seconds=0.2, tries=1))
    start = time.monotonic()
    batch = scorer(rows(20))
    assert time.monotonic() - start < 10
    assert batch.outcome[3] == Outcome.TIMED_OUT
    assert int((batch.outcome != 0).sum()) == 1
    assert scorer.faults == {"no answer in 0.2 s": 1}


def test_an_asynchronous_reward_is_awaited_and_cancelled():
    cancelled = []

    class Slow(Told):
        async def acall(self, samples):
            try:
                for s in samples:
                    await asyncio.sleep(30 if s.text == "2" else 0)
            except asyncio.CancelledError:
                cancelled.append(len(samples))
                raise
            return RewardBatch(np.array([float(s.text) for s in samples]))

        def __call__(self, samples):
            raise AssertionError(f"the coroutine is there for {len(samples)} samples")

    batch = Scorer(Slow(), Patience(seconds=0.3, tries=1))(rows(4))
    assert batch.outcome.tolist() == [0, 0, Outcome.TIMED_OUT, 0]
    deadline = time.monotonic() + 5
    while len(cancelled) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(cancelled) == [1, 4]


def test_groups_stay_whole_and_fail_whole():
    reward = Told(scope="group", x5="raise")
    batch = Scorer(reward)(rows(12, groups=3))
    assert np.flatnonzero(batch.outcome == Outcome.INSTRUMENT_FAULT).tolist() == [3, 4, 5]
    assert set(reward.calls) <= {12, 6, 3}
    assert [len(u) for u in units_of(Told(scope="batch"), rows(5))] == [5]
    mixed = [Sample(conversation("q"), "1", group=g) for g in "aba"]
    with pytest.raises(InputError, match="must follow one another"):
        units_of(Told(scope="group"), mixed)


def test_a_wrong_number_of_rewards_is_the_rewards_fault():
    class Short(Told):
        def __call__(self, samples):
            return RewardBatch(np.zeros(max(len(samples) - 1, 0)))

    scorer = Scorer(Short())
    batch = scorer(rows(3))
    assert (batch.outcome == Outcome.INSTRUMENT_FAULT).all()
    assert scorer.faults == {"PlauditError: 0 rewards for 1 samples": 3}


def test_a_reward_that_never_comes_back_stops_the_run(monkeypatch):
    monkeypatch.setattr(scoring, "LOST", 2)
    scorer = Scorer(Told(**{f"x{i}": "hang" for i in range(9)}), Patience(seconds=0.05, tries=1, workers=1))
    for row in rows(2):
        assert scorer([row]).outcome.tolist() == [Outcome.TIMED_OUT]
    with pytest.raises(PlauditError, match="the last 2 calls hang; it does not come back any more"):
        scorer(rows(3)[2:])
    with pytest.raises(PlauditError, match="the last 2 calls hang"):  # also from the threads that ask one by one
        scorer._one_by_one([[row] for row in rows(4)])


def test_a_reward_that_hangs_for_one_sample_in_fifty_never_stops_a_run(monkeypatch):
    monkeypatch.setattr(scoring, "LOST", 5)
    hung = {f"x{i}": "hang" for i in range(0, 400, 50)}
    scorer = Scorer(Told(**hung), Patience(seconds=0.1, tries=1))
    batches = [scorer(rows(400)[at : at + 50]) for at in range(0, 400, 50)]
    # eight batches with one each, in each batch a call for all and one for it alone that hang: 16, of which never five
    # in a row, since the other 49 come back in between
    assert [np.flatnonzero(b.outcome == Outcome.TIMED_OUT).tolist() for b in batches] == [[0]] * 8
    assert [float(b.reward[1:].sum()) for b in batches] == [49 * at + 49 * 50 / 2 for at in range(0, 400, 50)]
    assert scorer.faults == {"no answer in 0.1 s": 8}
    assert scorer.hanging == 16


def test_parts_are_handed_over_as_they_come_and_late_ones_last():
    told, reward = [], Told(x1="hang", x4="raise", x7="hang")
    scorer = Scorer(reward, Patience(seconds=0.3, tries=2))
    everything = rows(10)
    scorer.in_parts([everything[at : at + 2] for at in range(0, 10, 2)], lambda i, batch: told.append((i, batch)))
    # parts 0 and 3 are late: when the others are known, their four samples are asked for side by side
    assert [i for i, _ in told[:3]] == [1, 2, 4]
    assert sorted(i for i, _ in told[3:]) == [0, 3]
    late, broken = Outcome.TIMED_OUT, Outcome.INSTRUMENT_FAULT
    outcomes = {i: batch.outcome.tolist() for i, batch in told}
    assert outcomes == {0: [0, late], 1: [0, 0], 2: [broken, 0], 3: [0, late], 4: [0, 0]}
    assert {i: batch.reward[batch.valid].tolist() for i, batch in told} == {
        0: [0],
        1: [2, 3],
        2: [5],
        3: [6],
        4: [8, 9],
    }
    assert sum(scorer.faults.values()) == 3
    # 5 parts; part 2 in two halves, of which 4 is asked again; 0 and 6 once more, 1 and 7 twice more
    assert reward.calls == {2: 5, 1: 2 + 1 + 2 + 4}


def test_a_part_of_one_unit_has_no_more_tries_than_another():
    told, reward = [], Told(scope="group", x1="hang")
    scorer = Scorer(reward, Patience(seconds=0.1, tries=2))
    scorer.in_parts([rows(2, groups=2), []], lambda i, batch: told.append((i, batch.outcome.tolist())))
    assert told == [(1, []), (0, [Outcome.TIMED_OUT] * 2)]
    assert reward.calls == {2: 2}


def test_what_fails_where_parts_are_kept_is_heard():
    def full(i, batch):
        raise PlauditError(f"the disk is full at part {i} of {len(batch)}")

    with pytest.raises(PlauditError, match="full at part 0 of 1"):
        Scorer(Told(x0="hang"), Patience(seconds=0.1, tries=1)).in_parts([rows(1)], full)


def test_calls_that_hang_in_python_are_stopped():
    class Endless(Told):
        def one(self, text):
            while text == "1":
                pass
            return float(text)

    scorer = Scorer(Endless(), Patience(seconds=0.2, tries=2))
    assert scorer(rows(3)).outcome.tolist() == [0, Outcome.TIMED_OUT, 0]
    deadline = time.monotonic() + 10
    while scorer.hanging and time.monotonic() < deadline:  # 3 at first: all, and it alone twice
        time.sleep(0.05)
        assert scorer(rows(1)).reward.tolist() == [0.0]  # calls go on meanwhile
    assert scorer.hanging == 0


def test_a_late_answer_is_still_the_rewards_to_keep():
    kept = []

    class Late(Told):
        def one(self, text):
            time.sleep(0.3 if text == "1" else 0)
            kept.append(text)
            return float(text)

    scorer = Scorer(Late(), Patience(seconds=0.2, tries=1))
    assert scorer(rows(2)[1:]).outcome.tolist() == [Outcome.TIMED_OUT]
    scorer(rows(1))
    deadline = time.monotonic() + 5
    while scorer.hanging and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(kept) == ["0", "1"]


def test_a_machine_without_threads_says_so(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(PlauditError, match=r"no thread for a further call \(can't start new thread\), 0 calls hang"):
        Scorer(Told())(rows(1))


def test_patience_is_positive():
    with pytest.raises(InputError, match="seconds 0, tries 2, workers 8; give positive numbers"):
        Patience(seconds=0)


@pytest.mark.parametrize("answer", [None, [1.0, 2.0], 0.5])
def test_what_is_no_batch_is_the_rewards_fault(answer):
    class Nonsense(Told):
        def __call__(self, samples):
            assert samples
            return answer

    scorer = Scorer(Nonsense(), Patience(tries=1))
    assert (scorer(rows(2)).outcome == Outcome.INSTRUMENT_FAULT).all()
    said = f"PlauditError: the reward gave a {type(answer).__name__}; it must give a RewardBatch"
    assert scorer.faults == {said: 2}


def test_a_time_out_of_the_rewards_own_keeps_its_words():
    class Late(Told):
        def __call__(self, samples):
            raise TimeoutError(f"the judge's queue of {len(samples)} is full")

    scorer = Scorer(Late(), Patience(tries=1))
    assert scorer(rows(1)).outcome.tolist() == [Outcome.TIMED_OUT]
    assert scorer.faults == {"TimeoutError: the judge's queue of 1 is full": 1}
