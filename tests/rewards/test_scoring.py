from typing import ClassVar

import numpy as np
import pytest

from plaudit.errors import InputError, IntegrityError, ShapeError
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.scoring import score_samples
from plaudit.runs import DurableLog


class Counting:
    """Words of the completion; remembers what it was asked."""

    name, bounds = "counting", (0.0, float("inf"))

    def __init__(self, scope="sample", fingerprint="f"):
        self.scope, self.fingerprint, self.calls = scope, fingerprint, []

    @property
    def asked(self):
        return [s.text for call in self.calls for s in call]

    def __call__(self, samples):
        self.calls.append(list(samples))
        words = [float(len(s.text.split())) for s in samples]
        outcome = [Outcome.ABSTAINED if not w else Outcome.SCORED for w in words]
        return RewardBatch([w or np.nan for w in words], outcome, detail=tuple({"words": int(w)} for w in words))


class Relative(Counting):
    """Words above the mean of the group: depends on who else is in it."""

    def __init__(self):
        super().__init__(scope="group")

    def __call__(self, samples):
        self.calls.append(list(samples))
        out = np.zeros(len(samples))
        for group in {s.group for s in samples}:
            at = [i for i, s in enumerate(samples) if s.group == group]
            words = np.array([len(samples[i].text.split()) for i in at], dtype=float)
            out[at] = words - words.mean()
        return RewardBatch(out)


SAMPLES = [
    Sample("p", "one"), Sample("q", "one two"), Sample("p", "one two three"), Sample("r", ""), Sample("p", "one"),
    Sample("q", "a b c d"),
]  # fmt: skip
WORDS = [1, 2, 3, np.nan, 1, 4]


@pytest.mark.parametrize("chunk", [1, 2, 100])
@pytest.mark.parametrize("logged", [False, True])
def test_rewards_in_order_and_equal_samples_once(chunk, logged, tmp_path):
    reward = Counting()
    batch = score_samples(reward, SAMPLES, log=tmp_path / "log" if logged else None, chunk=chunk)
    np.testing.assert_array_equal(batch.reward, WORDS)
    assert batch.outcome.tolist() == [0, 0, 0, Outcome.ABSTAINED, 0, 0]
    assert [d["words"] for d in batch.detail] == [1, 2, 3, 0, 1, 4]
    assert sorted(reward.asked) == sorted(["one", "one two", "one two three", "", "a b c d"])
    # samples of a prompt stay together, whatever the size of a chunk
    for call in reward.calls:
        for prompt in {s.prompt for s in call}:
            assert len([s for s in call if s.prompt == prompt]) == len({s.key for s in SAMPLES if s.prompt == prompt})


def test_nothing_to_score():
    reward = Counting()
    assert len(score_samples(reward, [])) == 0
    assert reward.calls == []


def test_a_killed_run_pays_only_for_the_rest(tmp_path):
    class Killed(Counting):
        def __call__(self, samples):
            if len(self.calls) == 1:
                raise KeyboardInterrupt
            return super().__call__(samples)

    first = Killed()
    with pytest.raises(KeyboardInterrupt):
        score_samples(first, SAMPLES, log=tmp_path / "log", chunk=1)
    second = Counting()
    batch = score_samples(second, SAMPLES, log=tmp_path / "log", chunk=1)
    np.testing.assert_array_equal(batch.reward, WORDS)
    assert sorted(first.asked + second.asked) == sorted(["one", "one two", "one two three", "", "a b c d"])
    assert first.asked
    third = Counting()
    np.testing.assert_array_equal(score_samples(third, SAMPLES, log=tmp_path / "log").reward, WORDS)
    assert third.calls == []


@pytest.mark.parametrize("lost", [1, 2])
def test_what_a_kill_left_of_a_batch_is_scored_in_the_same_batch(tmp_path, monkeypatch, lost):
    class Company(Counting):
        """How many were scored together, as the last digits of a model's scores depend on the batch."""

        def __call__(self, samples):
            self.calls.append(list(samples))
            return RewardBatch(np.full(len(samples), float(len(samples))))

    samples = [Sample(f"p{i}", "x") for i in range(7)]
    expected = score_samples(Company(), samples, chunk=3).reward
    np.testing.assert_array_equal(expected, [3, 3, 3, 3, 3, 3, 1])
    written, append = [], DurableLog._append

    def dying(self, line):
        written.append(line)
        if len(written) <= lost:
            return append(self, line)
        append(self, line[: len(line) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(DurableLog, "_append", dying)
    with pytest.raises(KeyboardInterrupt):
        score_samples(Company(), samples, log=tmp_path / "log", chunk=3)
    monkeypatch.undo()
    np.testing.assert_array_equal(score_samples(Company(), samples, log=tmp_path / "log", chunk=3).reward, expected)


def test_more_samples_of_a_prompt_are_scored_with_their_fellows(tmp_path):
    score_samples(Counting(), SAMPLES, log=tmp_path / "log")
    reward = Counting()
    more = [*SAMPLES, Sample("q", "x y z")]
    batch = score_samples(reward, more, log=tmp_path / "log")
    np.testing.assert_array_equal(batch.reward, [*WORDS, 3])
    # members are truncated alike, so the group of the new one runs whole; the other prompts do not
    assert sorted(reward.asked) == ["a b c d", "one two", "x y z"]


def test_mixed_fingerprints_are_refused(tmp_path):
    score_samples(Counting(), SAMPLES, log=tmp_path / "log")
    with pytest.raises(IntegrityError, match="was written under fingerprint 'f', and this run's is 'g'"):
        score_samples(Counting(fingerprint="g"), SAMPLES, log=tmp_path / "log")


def test_what_a_reward_may_read_tells_samples_apart(tmp_path):
    class Coloured(Counting):
        def __call__(self, samples):
            self.calls.append(list(samples))
            return RewardBatch([s.meta["colour"] for s in samples])

    samples = [Sample("p", "one", meta={"colour": c}) for c in (1.0, 2.0, 1.0)]
    reward = Coloured()
    for _ in range(2):
        assert score_samples(reward, samples, log=tmp_path / "log").reward.tolist() == [1, 2, 1]
    assert len(reward.asked) == 2
    with_reference = [Sample("p", "one", reference=r) for r in ("4", "5")]
    counting = Counting()
    score_samples(counting, with_reference)
    assert len(counting.asked) == 2


def groups(*texts):
    return [Sample("p", text, group=name) for name, members in texts for text in members]


@pytest.mark.parametrize("logged", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_groups_are_kept_whole_with_their_duplicates(logged, chunk, tmp_path):
    samples = groups(("a", ["x", "x", "x y z"]), ("b", ["x", "x y"]), ("a", ["x y z u v"]))
    reward = Relative()
    batch = score_samples(reward, samples, log=tmp_path / "log" if logged else None, chunk=chunk)
    # group a has 1, 1, 3 and 5 words: mean 2.5; group b 1 and 2: mean 1.5
    assert batch.reward.tolist() == [-1.5, -1.5, 0.5, -0.5, 0.5, 2.5]
    for call in reward.calls:
        for name in {s.group for s in call}:
            assert len([s for s in call if s.group == name]) == len([s for s in samples if s.group == name])


def test_a_group_reward_is_filed_under_its_whole_group(tmp_path):
    samples = groups(("a", ["x", "x y z"]), ("b", ["x", "x y"]))
    assert score_samples(Relative(), samples, log=tmp_path / "log").reward.tolist() == [-1, 1, -0.5, 0.5]
    again = Relative()
    assert score_samples(again, samples, log=tmp_path / "log").reward.tolist() == [-1, 1, -0.5, 0.5]
    assert again.calls == []
    # the same name and the same sample, but other company: what was logged does not hold
    other = groups(("a", ["x", "x y z", "x y z u v"]), ("b", ["x", "x y"]))
    changed = Relative()
    assert score_samples(changed, other, log=tmp_path / "log").reward.tolist() == [-2, 0, 2, -0.5, 0.5]
    assert {s.group for call in changed.calls for s in call} == {"a"}


def test_a_batch_reward_gets_everything_at_once_and_no_log(tmp_path):
    reward = Counting(scope="batch")
    np.testing.assert_array_equal(score_samples(reward, SAMPLES).reward, WORDS)
    assert [len(c) for c in reward.calls] == [len(SAMPLES)]
    with pytest.raises(InputError) as error:
        score_samples(reward, SAMPLES, log=tmp_path / "log")
    assert str(error.value) == "counting: scores the whole batch together; its rewards cannot be logged one by one"
    assert not (tmp_path / "log").exists()


def test_a_reward_that_loses_samples_is_refused():
    class Short(Counting):
        def __call__(self, samples):
            return super().__call__(samples[:-1])

    with pytest.raises(ShapeError, match="counting: gave 4 rewards for 5 samples; it must give one each"):
        score_samples(Short(), SAMPLES)


def test_the_log_is_let_go_when_scoring_fails(tmp_path):
    class Broken(Counting):
        def __call__(self, samples):
            raise RuntimeError("boom")

    for _ in range(2):  # a second attempt would find the file locked
        with pytest.raises(RuntimeError, match="boom"):
            score_samples(Broken(), SAMPLES, log=tmp_path / "log")


def test_a_model_scores_the_same_with_and_without_a_log(make_reward, samples, tmp_path):
    reward = make_reward()
    expected = reward(samples).reward
    for log in (None, tmp_path / "log", tmp_path / "log"):
        np.testing.assert_allclose(score_samples(reward, samples, log=log, chunk=3).reward, expected, atol=1e-4)


def test_faults_of_the_machine_are_tried_again_and_abstentions_are_not(tmp_path):
    class Flaky:
        name, scope, bounds, fingerprint = "flaky", "sample", (0.0, 1.0), "f"
        calls: ClassVar[list[str]] = []

        def __call__(self, samples):
            self.calls.extend(s.text for s in samples)
            first = len(self.calls) <= 3
            outcome = {"down": Outcome.INSTRUMENT_FAULT if first else Outcome.SCORED, "no": Outcome.ABSTAINED}
            outcomes = [outcome.get(s.text, Outcome.SCORED) for s in samples]
            return RewardBatch([1.0 if o == Outcome.SCORED else np.nan for o in outcomes], np.array(outcomes, np.int8))

    samples = [Sample("p", t) for t in ("down", "no", "yes")]
    first = score_samples(Flaky(), samples, log=tmp_path / "log")
    assert first.outcome.tolist() == [Outcome.INSTRUMENT_FAULT, Outcome.ABSTAINED, Outcome.SCORED]
    again = score_samples(Flaky(), samples, log=tmp_path / "log")
    assert again.outcome.tolist() == [Outcome.SCORED, Outcome.ABSTAINED, Outcome.SCORED]
    assert "down" in Flaky.calls[3:]
    done = len(Flaky.calls)
    score_samples(Flaky(), samples, log=tmp_path / "log")
    assert len(Flaky.calls) == done
