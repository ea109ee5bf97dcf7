"""The function, the server and the agent by OpenRLHF's contract; its own client where it is installed."""

import asyncio
import http.client
import importlib.util
import json
import logging
import pickle
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest

from host_rewards import OUTCOMES, Every, Rank, Unbounded, eight_threads
from plaudit.errors import InputError, MissingError, UnsupportedError
from plaudit.integrations.openrlhf import as_agent_executor, as_remote_reward
from plaudit.integrations.reward_server import RewardServer
from plaudit.rewards.base import RewardBatch

PROMPT = "<|im_start|>user\n2 + 2<|im_end|>\n<|im_start|>assistant\n"
TEXTS = ["4", "5", "", "unsure", "slow", "broken", "boom"]


def call(function, text, label="4"):
    return function([PROMPT + text + "<|im_end|>"], [PROMPT], [label])


def test_lists_of_one_as_the_host_calls_it():
    function = as_remote_reward(Every())
    found = call(function, "4")
    assert found["rewards"] == [1.0]
    assert found["scores"] == [1.0]
    assert found["extra_logs"] == {
        "every/counted": [1.0], "every/policy_fault": [0.0], "every/abstained": [0.0], "every/timed_out": [0.0],
        "every/instrument_fault": [0.0],
    }  # fmt: skip
    assert function.__name__ == "every"


def test_every_outcome_has_finite_numbers_and_the_same_keys(caplog):
    function = as_remote_reward(Every(), lost=0.25)
    rows = [call(function, text) for text in TEXTS]
    assert [row["rewards"][0] for row in rows] == [1.0, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25]
    assert len({tuple(row["extra_logs"]) for row in rows}) == 1
    for text, row in zip(TEXTS, rows, strict=True):
        said = [key for key, share in row["extra_logs"].items() if share == [1.0]]
        outcome = OUTCOMES.get(text, "instrument_fault")
        assert said == {
            "scored": ["every/counted"],
            "policy_fault": ["every/counted", "every/policy_fault"],
        }.get(outcome, [f"every/{outcome}"])
    assert "1 of 1 completions have no reward and count as 0.25: cannot say" in caplog.text
    assert "a defect of the reward's" in caplog.text


def test_a_batch_keeps_its_order_beside_a_query_that_cannot_be_read():
    function = as_remote_reward(Every())
    queries = [PROMPT + "4", "another text", PROMPT + "5", PROMPT + "boom", PROMPT + "4"]
    found = function(queries, [PROMPT] * 5, ["4"] * 5)
    assert found["rewards"] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert found["extra_logs"]["every/counted"] == [1.0, 0.0, 1.0, 0.0, 1.0]
    assert found["extra_logs"]["every/instrument_fault"] == [0.0, 1.0, 0.0, 1.0, 0.0]


def test_scores_are_the_place_within_the_bounds():
    class Words:
        name, scope, bounds, fingerprint = "words", "sample", (-1.0, 15.0), "words"

        def __call__(self, samples):
            return RewardBatch(np.array([len(s.text.split()) for s in samples], dtype=float))

    # 3 words between -1 and 15: (3 + 1) / 16 = a quarter of the way
    function = as_remote_reward(Words())
    found = function([PROMPT + "three words here"], [PROMPT], [None])
    assert found["rewards"] == [3.0]
    assert found["scores"] == [0.25]


def test_prompts_as_messages_for_rewards_that_render_them_themselves():
    read = [{"role": "user", "content": "2 + 2"}]
    seen = []

    class Spy(Unbounded):
        def __call__(self, samples):
            seen.extend(samples)
            return super().__call__(samples)

    function = as_remote_reward(Spy(), lost=0.0, read_prompt=lambda text: read, completion_of=lambda query, prompt: "4")
    assert function(["whatever"], [PROMPT], ["4"])["rewards"] == [0.5]
    assert seen[0].text == "4"
    assert [(m.role, m.text) for m in seen[0].prompt] == [("user", "2 + 2")]


def test_what_is_refused():
    with pytest.raises(InputError, match=r"would be worth -inf by unbounded.*say what it is worth with lost="):
        as_remote_reward(Unbounded())
    assert as_remote_reward(Unbounded(), lost=-1.0).lost == -1.0
    with pytest.raises(UnsupportedError, match="rank compares the completions of a group, and OpenRLHF asks for one"):
        as_remote_reward(Rank())
    with pytest.raises(InputError, match="2 queries, 1 prompts and 2 labels"):
        as_remote_reward(Every()).answer({"query": ["a", "b"], "prompts": ["a"], "labels": [1, 2]})


def test_it_pickles_and_runs_in_threads():
    function = pickle.loads(pickle.dumps(as_remote_reward(Every(), lost=-1.0, name="sums")))
    asked = [([PROMPT + text], [PROMPT], ["4"]) for text in TEXTS * 8]
    assert eight_threads(function, asked) == [function(*one) for one in asked]
    assert function.__name__ == "sums"
    assert as_remote_reward("rule/length").reward.name == "length"


def post(url, body, method="POST"):
    to = urlsplit(url)
    connection = http.client.HTTPConnection(to.hostname, to.port, timeout=10)
    connection.request(method, to.path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    found = reply.status, json.loads(reply.read())
    connection.close()
    return found


def payload(texts):
    return json.dumps(
        {"query": [PROMPT + t for t in texts], "prompts": [PROMPT] * len(texts), "labels": ["4"] * len(texts)}
    )


def test_the_server_answers_and_never_fails_a_request_for_scoring():
    with RewardServer(Every(), lost=-1.0) as server:
        status, found = post(server.url, payload(TEXTS))
        assert status == 200
        assert found["rewards"] == [1.0, 0.0, 0.0, -1.0, -1.0, -1.0, -1.0]
        assert found["scores"] == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        assert found["extra_logs"]["every/counted"] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        many = eight_threads(post, [(server.url, payload([t])) for t in ["4", "5"] * 40])
        assert [row["rewards"] for _, row in many] == [[1.0], [0.0]] * 40
        assert post(server.url, json.dumps({"query": ["4"]}))[1]["extra_logs"]["every/instrument_fault"] == [1.0]


def test_what_is_no_request_is_told_so():
    with RewardServer(Every()) as server:
        status, found = post(server.url, "{not json")
        assert status == 400
        assert "not JSON" in found["error"]
        assert "the payload must be" in post(server.url, "[]")[1]["error"]
        assert "query must be a list of texts" in post(server.url, '{"query": [3]}')[1]["error"]
        for body, said in (
            (b'{"query": ["\xff"]}', "not JSON: 'utf-8' codec can't decode"),
            (b"[" * 100_000, "not JSON"),
            (b'{"query": ["4"], "labels": 5}', "labels must be a list"),
            (b'{"query": ["4"], "prompts": 5}', "prompts must be a list of texts"),
            (b'{"query": ["4"], "prompts": "q"}', "prompts must be a list of texts"),
            (b'{"query": ["4"], "labels": "4"}', "labels must be a list"),
        ):
            status, found = post(server.url, body)
            assert status == 400
            assert said in found["error"]
        to = urlsplit(server.url)
        with socket.create_connection((to.hostname, to.port), timeout=10) as raw:
            raw.sendall(b"POST /get_reward HTTP/1.1\r\nContent-Length: many\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
        elsewhere = server.url.replace("get_reward", "score")
        assert post(elsewhere, payload(["4"])) == (404, {"error": "no /score here; POST to /get_reward"})
        health = server.url.replace("get_reward", "health")
        assert post(health, None, "GET") == (200, {"status": "ok", "reward": "every"})


def test_a_client_that_goes_away_takes_nothing_along():
    with RewardServer(Every()) as server:
        to = urlsplit(server.url)
        for _ in range(3):
            gone = socket.create_connection((to.hostname, to.port))
            gone.sendall(b"POST /get_reward HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
            gone.close()
        assert post(server.url, payload(["4"]))[1]["rewards"] == [1.0]


def test_the_agent_says_how_to_install_its_host(monkeypatch):
    monkeypatch.setitem(sys.modules, "openrlhf", None)
    with pytest.raises(MissingError, match=r"openrlhf: cannot be imported .*pip install openrlhf"):
        as_agent_executor(Every())


@pytest.fixture
def agent(monkeypatch):
    """OpenRLHF's own executors, of which one posts to servers; what they log with needs the rest of the package."""
    pytest.importorskip("aiohttp")
    found = importlib.util.find_spec("openrlhf")
    if found is None:
        pytest.skip("OpenRLHF is not installed")
    root = Path(next(iter(found.submodule_search_locations)))
    monkeypatch.setitem(sys.modules, "openrlhf", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "openrlhf.utils", SimpleNamespace())
    logs = SimpleNamespace(init_logger=logging.getLogger)
    monkeypatch.setitem(sys.modules, "openrlhf.utils.logging_utils", logs)
    spec = importlib.util.spec_from_file_location("openrlhf.utils.agent", root / "utils" / "agent.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "openrlhf.utils.agent", module)
    return module


class Letters:
    """A tokenizer of characters, and an engine that answers with a text."""

    def __init__(self, reply):
        self.reply = reply

    def __call__(self, text, **options):
        import torch

        return {"input_ids": torch.tensor([[ord(c) for c in text]], dtype=torch.long)}

    def decode(self, ids, skip_special_tokens):
        assert not skip_special_tokens
        return "".join(map(chr, ids))

    async def generate(self, ids, params, **options):
        tokens = [ord(c) for c in self.reply]
        one = SimpleNamespace(token_ids=tokens, text=self.reply, finish_reason="stop", logprobs=None)
        return SimpleNamespace(outputs=[one])


def executed(executor, reply):
    letters = Letters(reply)
    params = SimpleNamespace(max_tokens=32, logprobs=None)
    return asyncio.run(executor.execute(PROMPT, "4", params, 512, letters, letters))


@pytest.mark.peer
def test_the_hosts_own_client_posts_to_the_server(agent):
    with RewardServer(Every(), lost=-1.0) as server:
        client = agent.SingleTurnAgentExecutor([server.url])
        for text, worth in (("4", 1.0), ("5", 0.0), ("broken", -1.0), ("boom", -1.0)):
            found = executed(client, text)
            assert found["reward"] == [worth]
            assert found["extra_logs"]["every/counted"] == [float(worth >= 0)]


@pytest.mark.peer
def test_the_host_loads_the_function_from_a_file(agent, tmp_path):
    file = tmp_path / "my_reward.py"
    file.write_text(
        "from host_rewards import Every\nfrom plaudit.integrations.openrlhf import as_remote_reward\n"
        "reward_func = as_remote_reward(Every(), lost=-1.0)\n"
    )
    client = agent.SingleTurnAgentExecutor([str(file)])
    assert executed(client, "4")["reward"] == [1.0]
    assert executed(client, "boom")["reward"] == [-1.0]
    assert executed(client, "4")["scores"] == [1.0]


@pytest.mark.peer
def test_the_host_runs_the_agent(agent):
    executor = as_agent_executor(Every(), lost=-1.0)()
    found = executed(executor, "4")
    assert found["reward"] == 1.0
    assert found["scores"] == 1.0
    assert executed(executor, "slow")["reward"] == -1.0
    assert executed(executor, "slow")["extra_logs"]["every/timed_out"] == 1.0
