"""Dynamic sampling: other prompts in place of those with nothing to teach; nothing of it is lost or paid for twice."""

from functools import partial

import numpy as np
import pytest
import torch
from test_online_resume import Pulled, breaking

from plaudit.errors import InputError
from plaudit.policy.advantages import GroupRelative, SpreadFiltered, WithinAccuracy
from plaudit.policy.advantages.filtering import idle_groups
from plaudit.policy.online import Experience, Method, OnlineConfig, State
from plaudit.policy.online.entry import AlignedOnline
from plaudit.policy.online.methods import online
from plaudit.policy.online.refilling import refilled
from plaudit.policy.online.scheduling import further, said
from plaudit.policy.online.state import Asked
from plaudit.policy.rollout import Question, Rollout
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.files import read_scored, reward_cells
from plaudit.runs.log import DurableLog
from plaudit.shaping import SpreadFilter
from small_policies import Sevens, losses, run, weights


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


NAN = float("nan")


def test_which_groups_have_nothing_to_teach():
    reward = [1, 1, 1, 0, 0, 1, NAN, 1, 1, NAN, 1, 1, 1, NAN, NAN, NAN, NAN, NAN]
    groups = np.repeat(list("abcdef"), 3)
    lost = np.zeros(18, dtype=bool)
    lost[9] = True  # d: the machine took one; what it was worth is not known
    # a all equal; b differ; c an abstention and two equal; e one reward only; f none
    found = idle_groups(GroupRelative(), np.array(reward), groups, lost=lost)
    assert found.tolist() == [True, False, True, False, False, False]
    assert idle_groups(GroupRelative(), np.array(reward), groups).tolist() == [True, False, True, True, False, False]


def test_what_an_accuracy_filter_leaves_out_has_nothing_to_teach():
    reward = np.array([0.6, 0.9, 1, 0.1, 0.2, 0.9, 0.1, 0.9, 0.8, NAN])
    correct = np.where(np.isnan(reward), NAN, reward > 0.5)
    groups = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    # right: 1, 1/3, 2/3
    dapo = WithinAccuracy(low=0.0, high=1.0, open=True)
    assert idle_groups(dapo, reward, groups, correct=correct).tolist() == [True, False, False]
    assert idle_groups(WithinAccuracy(low=0.4), reward, groups, correct=correct).tolist() == [True, True, False]
    assert idle_groups(GroupRelative(), reward, groups, correct=correct).tolist() == [False] * 3


def test_what_a_spread_filter_leaves_out_has_nothing_to_teach():
    reward, groups = np.array([1, 0, 0.6, 0.5, 0.6, NAN]), np.array([0, 0, 1, 1, 2, 2])
    # deviations 1/2 and 0.05 beside half of a running mean of 0.3; of the last too little is known
    later = SpreadFiltered(filter=SpreadFilter(step=10, mean=0.3))
    assert idle_groups(later, reward, groups).tolist() == [False, True, False]
    assert idle_groups(SpreadFiltered(of=later), reward, groups).tolist() == [False, True, False]
    lost = np.array([False] * 3 + [True] + [False] * 2)
    assert idle_groups(later, reward, groups, lost=lost).tolist() == [False] * 3
    assert idle_groups(SpreadFiltered(filter=SpreadFilter(step=9, mean=0.3)), reward, groups).tolist() == [False] * 3
    # and so a step asks further prompts in its place
    told = {0: (0.6, 0.5), 1: (0, 1), 2: (1, 0)}
    collect, seen = taught(told)
    state = State(Method(later, lambda batch: batch, "token"))
    asked, more = [Asked(i, f"0.{i}.{i}") for i in range(2)], iter([Asked(2, "0.102.2")])
    _, numbers = refilled(asked, collect, more, rounds=2, state=state, bounds=(0.0, 1.0))
    assert seen == [[0, 1], [2]]
    assert numbers == {"refilled": 1, "idle": pytest.approx(1 / 3), "short": 0}


def test_further_prompts_are_all_others_once_and_new_in_every_step():
    config = OnlineConfig(refill=1, batch_size=4)
    found = list(further("7", prompts=8, config=config))
    assert sorted(one.row for one in found) == list(range(8))
    assert [one.key.split(".")[0] for one in found] == ["7"] * 8
    assert [one.key.split(".")[2] for one in found] == [str(one.row) for one in found]
    assert len({one.key for one in found}) == 8
    assert found == list(further("7", prompts=8, config=config))
    other = list(further("8", prompts=8, config=config))
    assert [one.row for one in other] != [one.row for one in found]
    mine = {one.key for one in further("7", prompts=8, config=config, rank=1)}
    assert not mine & {one.key for one in found}
    # two steps' worth at most: four that are asked anyway, and four in their place
    assert list(further("7", prompts=99, config=config))[7:] == list(further("7", prompts=99, config=config))[-1:]
    assert list(further("7", prompts=8, config=OnlineConfig())) == []


def test_each_process_finds_what_it_asked_besides(tmp_path):
    """The schedule has the prompts of all processes, a process's log its own and what came in their place."""
    config = OnlineConfig(refill=1, batch_size=2)
    schedule = [Asked(row, f"0.{row}.{row}") for row in range(4)]  # of two processes
    besides = list(further("0", prompts=9, config=config, rank=1))[1:3]
    with DurableLog(tmp_path / "x.log", fingerprint="x") as log:
        for one in (*schedule[2:], *besides):
            rollout = Rollout.of(question(one), "a", [2], [-1.0], "eos")
            log.put(f"drawn:{one.key}", [rollout.to_dict()])
            log.put(f"reward::{one.key}", [reward_cells(RewardBatch(np.ones(1)), 0)])
        rows = list(said(schedule, question, log, refills=partial(further, prompts=9, config=config, rank=1)))
    assert [row["group"] for row in rows] == [one.key for one in (*schedule[2:], *besides)]


def question(asked):
    return Question(PromptOnly(conversation(str(asked.row))), (1,), asked.key)


def taught(rewards):
    """What collects completions whose rewards are those of their prompt's number, and what it was asked."""
    seen = []

    def collect(asked):
        seen.append([one.row for one in asked])
        questions = [question(one) for one in asked]
        rollouts = tuple(tuple(Rollout.of(q, str(i), [2], [-1.0], "eos") for i in range(2)) for q in questions)
        told = np.array([x for one in asked for x in rewards[one.row]], dtype=float)
        outcome = np.where(np.isnan(told), Outcome.INSTRUMENT_FAULT, Outcome.SCORED).astype(np.int8)
        return Experience(tuple(questions), rollouts, RewardBatch(told, outcome), {})

    return collect, seen


STATE = State(Method(GroupRelative(), lambda batch: batch, "token"))
SAME, APART, BROKEN = (1, 1), (0, 1), (NAN, 1)


def refill(rewards, own, rounds):
    collect, seen = taught(rewards)
    asked = [Asked(i, f"0.{i}.{i}") for i in range(own)]
    more = iter([Asked(i, f"0.{100 + i}.{i}") for i in range(own, len(rewards))])
    found, numbers = refilled(asked, collect, more, rounds=rounds, state=STATE, bounds=(0.0, 1.0))
    return found, numbers, seen


def test_rounds_ask_as_many_as_are_missing():
    rewards = [SAME, APART, SAME, BROKEN, SAME, APART, SAME, SAME, APART]
    # of 0 to 3 two teach nothing, and one is not known; of 4 and 5 one; 6 nothing; then 7
    found, numbers, seen = refill(rewards, 4, 3)
    assert seen == [[0, 1, 2, 3], [4, 5], [6], [7]]
    assert numbers == {"refilled": 4, "idle": pytest.approx(5 / 8), "short": 1}
    assert [q.key for q in found.questions][:5] == ["0.0.0", "0.1.1", "0.2.2", "0.3.3", "0.104.4"]
    assert found.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    assert len(found.reward) == 16
    assert refill(rewards, 4, 4)[1] == {"refilled": 5, "idle": pytest.approx(5 / 9), "short": 0}
    assert refill(rewards, 4, 4)[2][-1] == [8]


def test_a_full_batch_asks_nobody_and_without_further_prompts_it_stays_short():
    assert refill([APART, BROKEN, SAME], 2, 3)[1:] == ({"refilled": 0, "idle": 0.0, "short": 0}, [[0, 1]])
    assert refill([SAME, SAME, SAME], 2, 9)[1] == {"refilled": 1, "idle": 1.0, "short": 2}
    assert refill([SAME, APART], 2, 0)[1:] == ({}, [[0, 1]])


class Half(Sevens):
    """The same for all completions of every other prompt; else right where the number of characters is odd."""

    fingerprint = "half"

    def __call__(self, samples):
        self.seen += [(s.group, s.text) for s in samples]
        return RewardBatch(np.array([self.told(s) for s in samples]))

    def told(self, sample):
        return 1.0 if int(sample.group.split(".")[2]) % 2 else float(len(sample.text) % 2)


OPTIONS = {"rows": 16, "completions": 6, "refill": 3, "method": online("dapo")[1]}


def test_a_run_learns_from_more_prompts_and_tells_what_it_cost(tmp_path):
    reward = Half()
    found = run(tmp_path / "refilled", reward=reward, **OPTIONS)
    plain = run(tmp_path / "plain", reward=Half(), **{**OPTIONS, "refill": 0})
    history = found.history
    assert sum(row["refilled"] for row in history) > 0
    assert all("refilled" not in row for row in plain.history)
    scored = read_scored(tmp_path / "refilled" / "samples.jsonl")
    asked = [4 + row["refilled"] for row in history]
    assert len(scored.batch.reward) == 6 * sum(asked) == sum(row["judged"] for row in history)
    assert len(reward.seen) == 6 * sum(asked)
    tokens = [s.meta["tokens"] for s in scored.samples]
    assert sum(tokens) == sum(row["sampled_tokens"] for row in history)
    at = 0
    for row, n in zip(history, asked, strict=True):
        groups = np.array([s.group for s in scored.samples[6 * at : 6 * (at + int(n))]]).reshape(-1, 6)
        reward_of = scored.batch.reward[6 * at : 6 * (at + int(n))].reshape(-1, 6)
        at += int(n)
        assert (groups == groups[:, :1]).all()
        rows = [int(g.split(".")[2]) for g in groups[:, 0]]
        assert len(set(rows)) == len(rows)
        apart = reward_of.min(1) < reward_of.max(1)
        assert row["idle"] == pytest.approx(1 - apart.mean())
        assert apart.sum() + row["short"] == 4
    # the log has the same batches first: those of a run without refilling
    first = read_scored(tmp_path / "plain" / "samples.jsonl").samples[:24]
    assert [s.text for s in scored.samples[:24]] == [s.text for s in first]


def test_the_loss_is_that_of_all_prompts_that_teach(tmp_path):
    """DAPO at a ratio of 1: minus the mean of the advantages over tokens of groups whose rewards differ."""
    found = run(tmp_path, reward=Half(), **OPTIONS)
    scored, n = read_scored(tmp_path / "samples.jsonl"), int(4 + found.history[0]["refilled"])
    reward = scored.batch.reward[: 6 * n].reshape(-1, 6)
    length = np.array([s.meta["tokens"] for s in scored.samples[: 6 * n]]).reshape(-1, 6)
    kept = reward.min(1) < reward.max(1)
    assert found.history[0]["refilled"] > 0
    a = (reward - reward.mean(1, keepdims=True)) / (reward.std(1, ddof=1, keepdims=True) + 1e-4)
    assert losses(found)[0] == pytest.approx(-(a * length)[kept].sum() / length[kept].sum(), abs=1e-5)


@pytest.mark.parametrize("after", range(1, 9))
def test_a_run_that_broke_off_while_it_refilled_ends_as_an_undisturbed_one(tmp_path, after):
    """Rounds are drawn two prompts at a time: most of the breaks lie within a step's own, or its further prompts."""
    options = {**OPTIONS, "passes": 2, "save_steps": 3, "sequences": 12, "kl_coef": 0.05}
    whole_reward, first, second = Half(), Half(), Half()
    whole = run(tmp_path / "whole", reward=whole_reward, **options)
    with pytest.raises(Pulled):
        run(tmp_path / "broken", reward=first, sampler=breaking(after), **options)
    again = run(tmp_path / "broken", reward=second, **options)
    assert losses(again) == losses(whole)
    assert [row.get("refilled") for row in again.history] == [row.get("refilled") for row in whole.history]
    assert all(torch.equal(p, weights(whole)[name]) for name, p in weights(again).items())
    assert sorted(first.seen + second.seen) == sorted(whole_reward.seen)
    kept = [(tmp_path / name / "samples.jsonl").read_bytes() for name in ("whole", "broken")]
    assert kept[0] == kept[1]


def test_a_machine_that_fails_is_no_reason_to_sample_more(tmp_path):
    class Broken(Half):
        def told(self, sample):
            if int(sample.group.split(".")[2]) % 2 and len(sample.text) % 2:
                raise ConnectionError("no route to the judge")
            return 1.0 if int(sample.group.split(".")[2]) % 2 else float(len(sample.text) % 2)

    found = run(tmp_path, reward=Broken(), **OPTIONS)
    scored = read_scored(tmp_path / "samples.jsonl").batch
    assert (scored.outcome == Outcome.INSTRUMENT_FAULT).any()
    at = 0
    for row in found.history:
        n = int(4 + row["refilled"])
        reward = scored.reward[6 * at : 6 * (at + n)].reshape(-1, 6)
        at += n
        same = [len({*r[~np.isnan(r)].tolist()}) == 1 and not np.isnan(r).any() for r in reward]
        assert row["idle"] == pytest.approx(np.mean(same))


def test_with_value_function_and_token_model_further_prompts_are_measured_too(tmp_path):
    for name in ("ppo", "oreal-tokens?token_first=1&token_rate=1e-2", "prime?low=0&high=1&process_rate=1e-3"):
        found = run(tmp_path / name.partition("?")[0], reward=Half(), **{**OPTIONS, "method": online(name)[1]})
        assert sum(row["refilled"] for row in found.history) > 0
        assert np.isfinite(losses(found)).all()


def test_what_a_run_says_of_it(tmp_path):
    config = OnlineConfig(refill=3, completions=6, batch_size=4)
    found = run(tmp_path, reward=Half(), **OPTIONS)
    extra = sum(row["refilled"] for row in found.history)
    (line,) = [x for x in AlignedOnline(found, config, 0, "half", 4).lines() if "further prompts" in x]
    assert line.startswith(f"{extra:g} further prompts for those with nothing to teach, which were ")
    assert line.endswith(f"{sum(row['short'] > 0 for row in found.history)} of 4 batches stayed short")


def test_refused(tmp_path):
    with pytest.raises(InputError, match=r"refill is -1; give a number of at least 0"):
        OnlineConfig(refill=-1)
    for options, words in (({"completions": 1}, "completions 1"), ({"together": "question"}, "together 'question'")):
        with pytest.raises(InputError, match=f"refill asks further prompts .* {words} is given"):
            OnlineConfig(refill=1, **options).check(online("grpo")[1])

    class Whole(Half):
        scope = "batch"

    with pytest.raises(InputError, match="reward sevens scores a whole batch together, and refill"):
        run(tmp_path, reward=Whole(), **OPTIONS)
