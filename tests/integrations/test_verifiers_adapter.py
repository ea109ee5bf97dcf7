"""Tagged methods under verifiers 0.4 itself where it is installed; functions under the rules of its older `Rubric`."""

import asyncio
import inspect
import pickle
import sys

import numpy as np
import pytest

from host_rewards import Every, Rank, Unbounded, eight_threads
from plaudit.errors import InputError, MissingError, UnsupportedError
from plaudit.integrations.hosting import LostRewardError, judged
from plaudit.integrations.verifiers import as_group_rubric_func, as_rubric_func, as_task_reward
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome

PLURALS = {"states", "prompts", "completions", "answers", "tasks", "infos"}
"""The names by which the older host knows a group function."""


def host_calls(func, states):
    """A function called as the older host does: arguments by name, everything where it takes any."""
    kinds = inspect.signature(func).parameters
    if PLURALS & set(kinds):
        given = {
            "prompts": [s["prompt"] for s in states], "completions": [s["completion"] for s in states],
            "answers": [s.get("answer", "") for s in states], "states": states, "tasks": [None] * len(states),
            "infos": [s.get("info", {}) for s in states], "parser": object(),
        }  # fmt: skip
        return asyncio.run(func(**{k: v for k, v in given.items() if k in kinds}))
    found = []
    for state in states:
        given = {
            "prompt": state["prompt"], "completion": state["completion"], "answer": state.get("answer", ""),
            "state": state, "info": state.get("info", {}), "task": None, "parser": object(),
            **{k: v for k, v in state.get("input", {}).items() if k not in ("prompt", "answer", "info")},
        }  # fmt: skip
        takes_any = any(p.kind is p.VAR_KEYWORD for p in kinds.values())
        found.append(asyncio.run(func(**{k: v for k, v in given.items() if takes_any or k in kinds})))
    return found


def rollout(text, **row):
    prompt = [{"role": "user", "content": "2 + 2"}]
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": text}], "answer": "4", **row}


def test_functions_of_one_completion():
    func = as_rubric_func(Every(), lost=-1.0)
    assert func.__name__ == "every"
    assert not PLURALS & set(inspect.signature(func).parameters)
    states = [rollout(t) for t in ("4", "5", "", "unsure", "slow", "broken", "boom")]
    assert host_calls(func, states) == [1.0, 0.0, 0.0, -1.0, -1.0, -1.0, -1.0]
    assert [s["plaudit_outcomes"]["every"].split(":")[0] for s in states] == [
        "scored", "scored", "policy_fault", "abstained", "timed_out", "instrument_fault", "instrument_fault",
    ]  # fmt: skip


def test_references_of_another_name():
    by_row = as_rubric_func(Every(), reference="gold", name="sums")
    assert by_row.__name__ == "sums"
    assert host_calls(by_row, [rollout("4", input={"gold": "4"}), rollout("4", info={"gold": "5"})]) == [1.0, 0.0]
    with pytest.raises(InputError, match="sums: the data set has no column 'gold'"):
        host_calls(by_row, [rollout("4")])


def test_functions_of_a_group():
    func = as_group_rubric_func(Rank())
    assert set(inspect.signature(func).parameters) & PLURALS
    # lengths 1, 3, 2: the share of strictly shorter ones is 0, 2/3, 1/3
    assert host_calls(func, [rollout("a"), rollout("aaa"), rollout("aa")]) == pytest.approx([0, 2 / 3, 1 / 3])
    every = as_group_rubric_func(Every(), lost=0.5)
    assert host_calls(every, [rollout("4"), rollout("boom"), rollout("slow")]) == [1.0, 0.5, 0.5]
    with pytest.raises(UnsupportedError, match="rank compares the completions of a group"):
        as_rubric_func(Rank())
    with pytest.raises(InputError, match="verifiers: a sample without a reward would be worth -inf"):
        as_group_rubric_func(Unbounded())


def test_a_group_that_raises_is_lost_whole():
    class Picky(Rank):
        def __call__(self, samples):
            if any(s.text == "bad" for s in samples):
                raise RuntimeError("a defect of the reward's")
            return super().__call__(samples)

    states = [rollout(t) for t in ("a", "bb", "bad", "cccc")]
    # a completion alone would be the shortest and the longest of its group: none of the four has a rank
    assert host_calls(as_group_rubric_func(Picky(), lost=-1.0), states) == [-1.0] * 4
    said = [s["plaudit_outcomes"]["rank"] for s in states]
    assert said == ["instrument_fault: RuntimeError: a defect of the reward's"] * 4


def test_groups_of_a_batch_fail_apart():
    class Picky(Rank):
        def __call__(self, samples):
            if any(s.text == "bad" for s in samples):
                raise RuntimeError("a defect")
            return super().__call__(samples) if len({s.group for s in samples}) == 1 else 1 / 0

    rows = [Sample(conversation("q"), t, group=g) for t, g in (("a", "1"), ("bb", "1"), ("bad", "2"), ("c", "2"))]
    batch = judged("host", Picky(), rows)
    # of group 1 the shares of strictly shorter ones: none for a, one in two for bb
    assert batch.reward[:2].tolist() == [0.0, 0.5]
    assert np.isnan(batch.reward[2:]).all()
    assert batch.outcome.tolist() == [0, 0, Outcome.INSTRUMENT_FAULT, Outcome.INSTRUMENT_FAULT]


def test_functions_pickle_and_run_in_threads():
    for made in (as_rubric_func(Every()), as_group_rubric_func(Every())):
        func = pickle.loads(pickle.dumps(made))
        found = eight_threads(lambda t, f=func: host_calls(f, [rollout(t)]), [("4",), ("5",)] * 16)
        assert found == [[1.0], [0.0]] * 16


def test_it_says_how_to_install_its_host(monkeypatch):
    monkeypatch.setitem(sys.modules, "verifiers", None)
    with pytest.raises(MissingError, match=r"verifiers: cannot be imported .*pip install 'verifiers>=0.4'"):
        as_task_reward(Every())


@pytest.fixture
def host():
    # a folder of tests is called like the host: only its own submodule tells that it is there
    found = pytest.importorskip("verifiers.v1", reason="verifiers from 0.4 on is not installed")
    pytest.importorskip("verifiers.v1.graph", reason="verifiers is older than 0.4")
    return found


def scored_by(vf, reply, *, reference="answer", **options):
    """A task whose class holds our reward beside a metric of its own; the trace after the host has scored it."""
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.trace import AgentInfo, TraceTask

    class SumData(vf.TaskData):
        answer: str
        level: int = 1

    class Sum(vf.Task[SumData, vf.State, vf.TaskConfig]):
        correct = as_task_reward(Every(), reference=reference, **options)

        @vf.metric
        async def letters(self, trace) -> float:
            return float(len(trace.last_reply))

    data = SumData(prompt="2 + 2", system_prompt="Give a number.", answer="4")
    nodes = [
        MessageNode(message=vf.UserMessage(content="2 + 2")),
        MessageNode(parent=0, message=vf.AssistantMessage(content=reply), sampled=True),
    ]
    task = Sum(data)
    trace = vf.Trace(task=TraceTask(type="Sum", data=data), agent=AgentInfo(config=vf.AgentConfig()), nodes=nodes)
    return task, trace


@pytest.mark.peer
def test_the_host_runs_the_method(host):
    for reply, score in (("4", 1.0), ("5", 0.0), ("", 0.0)):
        task, trace = scored_by(host, reply, name="right", weight=0.5)
        asyncio.run(task.score(trace))
        assert (trace.rewards["right"].score, trace.rewards["right"].weight) == (score, 0.5)
        assert trace.reward == 0.5 * score
        assert trace.metrics["letters"] == len(reply)


@pytest.mark.peer
@pytest.mark.parametrize("reply", ["unsure", "slow", "broken", "boom"])
def test_a_lost_reward_is_none_in_the_trace_and_no_zero(host, reply):
    task, trace = scored_by(host, reply)
    with pytest.raises(host.TaskError, match=r"LostRewardError: every: no reward|a defect of the reward's"):
        asyncio.run(task.score(trace))
    assert trace.rewards == {"every": None}


@pytest.mark.peer
def test_what_the_reward_sees(host):
    task, trace = scored_by(host, "4")
    sample = type(task).correct.sample(task.data, trace)
    assert [(m.role, m.text) for m in sample.prompt] == [("system", "Give a number."), ("user", "2 + 2")]
    assert (sample.text, sample.reference, sample.meta["level"]) == ("4", "4", 1)
    task, trace = scored_by(host, "4", reference="gold")
    with pytest.raises(host.TaskError, match="the task's data has no field 'gold'"):
        asyncio.run(task.score(trace))


@pytest.mark.peer
def test_the_method_pickles_and_runs_in_threads(host):
    method = pickle.loads(pickle.dumps(as_task_reward(Every(), weight=0.5)))
    task, right = scored_by(host, "4")
    _, wrong = scored_by(host, "5")
    call = lambda trace: asyncio.run(method(task, task.data, trace))  # noqa: E731
    assert eight_threads(call, [(right,), (wrong,)] * 16) == [1.0, 0.0] * 16
    assert (method.__name__, method._vf_weight) == ("every", 0.5)
    _, lost = scored_by(host, "slow")
    with pytest.raises(LostRewardError, match="every: no reward, timed_out: the machine was too slow"):
        call(lost)
    with pytest.raises(UnsupportedError, match="verifiers asks for one completion"):
        as_task_reward(Rank())


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_the_older_rubric_itself():
    older = pytest.importorskip("verifiers.rubrics.rubric", reason="verifiers before 0.4 is not installed")
    rubric = older.Rubric(funcs=[as_rubric_func(Every(), lost=-1.0), as_group_rubric_func(Rank())], weights=[1.0, 0.5])
    single, group = rubric.funcs
    assert [rubric._is_group_func(f) for f in rubric.funcs] == [False, True]
    states = [rollout("4"), rollout("boom"), rollout("")]
    one = asyncio.run(rubric._call_individual_reward_func(single, states[1]))
    assert one == -1.0
    # lengths 1, 4, 0
    assert asyncio.run(rubric._call_group_reward_func(group, states)) == pytest.approx([1 / 3, 2 / 3, 0])
    assert rubric._get_reward_func_names() == ["every", "rank"]
