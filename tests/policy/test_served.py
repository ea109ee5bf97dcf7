"""Sampling by HTTP, from a small server with vLLM's protocol that also drops connections and fails."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from plaudit.engine.generation import generate
from plaudit.engine.rendering import Encoder, Template
from plaudit.errors import InputError, UnsupportedError
from plaudit.lab.worlds.arithmetic.symbols import EOS, PAD, build_tokenizer, text_of
from plaudit.policy.rollout import Question, Sampling, questions_of
from plaudit.policy.served import Connection, ServerError, ServerSampler
from plaudit.policy.served_adapters import with_adapters
from small_policies import losses, policy, prompts, run

QUICK = Connection(requests=4, timeout=5.0, tries=4, backoff=0.001)
SAMPLING = Sampling(completions=3, max_tokens=12)


class FakeVllm(ThreadingHTTPServer):
    """Completions of a tiny model, as vLLM gives them; `faults` are taken one a request, before any answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.lock, self.asked, self.faults, self.spoil = policy(), threading.Lock(), [], [], lambda c: None
        self.adapters = {}
        self.busy = self.most = 0

    def adapter(self, path, body):
        """As vLLM loads and unloads adapters: status and words."""
        name = body["lora_name"]
        if path.endswith("/unload_lora_adapter"):
            return (200, b"Success") if self.adapters.pop(name, None) else (404, b"no such adapter")
        if name in self.adapters:
            return 400, b"The lora adapter '%s' has already been loaded." % name.encode()
        from peft import PeftModel

        self.adapters[name] = PeftModel.from_pretrained(policy(), body["lora_path"]).eval()
        return 200, b"Success: LoRA adapter added successfully."

    def completions(self, body):
        with self.lock:
            drawn = generate(
                self.adapters.get(body["model"], self.model), [body["prompt"]], samples_per_prompt=body["n"],
                max_new_tokens=body["max_tokens"],
                eos_id=body["stop_token_ids"], pad_id=PAD, generator=torch.Generator().manual_seed(body["seed"]),
                temperature=body["temperature"], top_p=body["top_p"],
            )  # fmt: skip
        choices = [
            {
                "index": i, "text": text_of(one.completion_ids),
                "finish_reason": "stop" if one.finish == "eos" else "length",
                "logprobs": {"token_logprobs": list(one.logp)}, "token_ids": list(one.completion_ids),
                "prompt_token_ids": body["prompt"],
            }
            for i, one in enumerate(drawn[0])
        ]  # fmt: skip
        for choice in choices:
            self.spoil(choice)
        return {"object": "text_completion", "choices": choices}

    def handle_error(self, request, client_address):
        pass  # a connection that this server drops itself


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append((self.path, self.headers.get("Authorization"), body))
            fault = server.faults.pop(0) if server.faults else None
        self.answer(body, fault)

    def answer(self, body, fault):
        if fault == "drop":
            return self.connection.close()
        if fault == "slow":
            self.linger()
        if isinstance(fault, int):
            return self.send(fault, b'{"message": "not now"}')
        if self.path.endswith("_lora_adapter"):
            return self.send(*self.server.adapter(self.path, body))
        content = json.dumps(self.server.completions(body)).encode()
        if fault == "torn":
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            return self.connection.close()
        return self.send(200, content)

    def linger(self):
        """Half a second, counted; the count ends before the client can have the answer and ask the next."""
        with self.server.lock:
            self.server.busy += 1
            self.server.most = max(self.server.most, self.server.busy)
        threading.Event().wait(0.6)
        with self.server.lock:
            self.server.busy -= 1

    def send(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    with FakeVllm() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server():
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def asked():
    tokenizer = build_tokenizer()
    kept, _ = questions_of(prompts(6), Encoder(tokenizer, Template.foreign(tokenizer, max_length=96)), room=12)
    return [Question(row, ids, f"0.{i}") for i, (row, ids) in enumerate(kept)]


def sampler(server, path="", **options):
    options.setdefault("connection", QUICK)
    return ServerSampler(f"http://127.0.0.1:{server.server_address[1]}{path}", "tiny", build_tokenizer(), **options)


def ids(rows):
    return [[one.completion_ids for one in row] for row in rows]


def test_a_rollout_is_what_the_server_sampled(server, asked):
    told = []
    rows = sampler(server)(asked, SAMPLING, seed=7, progress=told.append)
    assert [len(row) for row in rows] == [3] * 6
    assert sorted(told) == [3, 6, 9, 12, 15, 18]
    for question, row in zip(asked, rows, strict=True):
        for one in row:
            assert one.prompt_ids == question.ids
            assert (one.sample.group, one.sample.reference) == (question.key, question.row.reference)
            assert one.sample.text == text_of(one.completion_ids)
            assert (one.finish == "eos") == (one.completion_ids[-1] == EOS)
            logits = server.model(input_ids=torch.tensor([[*one.prompt_ids, *one.completion_ids]])).logits[0]
            logps, n = logits.log_softmax(-1).detach(), len(one.prompt_ids)
            want = [float(logps[n - 1 + i, token]) for i, token in enumerate(one.completion_ids)]
            assert list(one.logp) == pytest.approx(want, abs=1e-5)


def test_completions_depend_on_seed_and_key_and_not_on_their_neighbours(server, asked):
    ask = sampler(server)
    together = ids(ask(asked, SAMPLING, seed=7))
    assert [ids(ask([q], SAMPLING, seed=7))[0] for q in reversed(asked)][::-1] == together
    assert ids(ask(asked, SAMPLING, seed=8)) != together
    assert ask([], SAMPLING, seed=7) == []


def test_what_is_sent(server, asked):
    sampler(server, path="/base/v1/", connection=Connection(key="secret"))(asked[:1], SAMPLING, seed=7)
    ((path, key, body),) = server.asked
    assert (path, key) == ("/base/v1/completions", "Bearer secret")
    seed = body.pop("seed")
    assert 0 <= seed < 2**31
    assert body == {
        "model": "tiny", "prompt": list(asked[0].ids), "n": 3, "max_tokens": 12, "temperature": 1.0, "top_p": 1.0,
        "logprobs": 1, "return_token_ids": True, "stop_token_ids": [EOS], "stream": False,
    }  # fmt: skip


def test_dropped_connections_and_failures_are_tried_again(server, asked):
    want = ids(sampler(server)(asked, SAMPLING, seed=7))
    server.faults = ["drop", 500, "torn", 503, 429, "drop"]
    server.asked.clear()
    patient = Connection(requests=4, timeout=5.0, tries=7, backoff=0.001)  # one question may meet all six
    assert ids(sampler(server, connection=patient)(asked, SAMPLING, seed=7)) == want
    assert len(server.asked) == 6 + 6


def test_a_request_that_takes_too_long_is_tried_again(server, asked):
    server.faults = ["slow"]
    quick = Connection(requests=1, timeout=0.3, tries=2, backoff=0.0)
    assert len(sampler(server, connection=quick)(asked[:1], SAMPLING, seed=7)) == 1
    assert len(server.asked) == 2


def test_several_requests_at_once_and_no_more(server, asked):
    server.faults = ["slow"] * 6
    sampler(server, connection=Connection(requests=3, timeout=5.0))(asked, SAMPLING, seed=7)
    assert server.most == 3


def test_a_server_that_stays_down(server, asked):
    server.faults = [500] * 100
    with pytest.raises(ServerError, match=r"no answer in 4 tries, the last one ended with status 500: .*not now"):
        sampler(server)(asked[:1], SAMPLING, seed=7)
    assert len(server.asked) == 4


def test_after_one_refusal_nothing_more_is_sent(server, asked):
    server.faults = [500, 404]
    slow = Connection(requests=2, timeout=5.0, tries=5, backoff=30.0)
    with pytest.raises(InputError, match="status 404"):
        sampler(server, connection=slow)(asked[:2], SAMPLING, seed=7)
    waiting = [t for t in threading.enumerate() if t.name.startswith("plaudit-sample")]
    for thread in waiting:  # the one that waits for its second try gives up at once, not after half a minute
        thread.join(5.0)
        assert not thread.is_alive()
    assert len(server.asked) == 2


def test_no_server_at_all(asked):
    with serving() as gone:
        ask = sampler(gone)
    with pytest.raises(ServerError, match=r"no answer in 4 tries.*Refused.*is the server up\?"):
        ask(asked[:1], SAMPLING, seed=7)


def test_what_a_server_refuses_is_not_sent_again(server, asked):
    server.faults = [404]
    with pytest.raises(InputError, match="refused a request with status 404"):
        sampler(server)(asked[:1], SAMPLING, seed=7)
    assert len(server.asked) == 1


def drop(key):
    return lambda choice: choice.pop(key)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop("token_ids"), "no token_ids came back, and text must not be tokenised again"),
        (drop("logprobs"), r"\d+ token ids and 0 log-probabilities came back"),
        (lambda c: c["logprobs"]["token_logprobs"].pop(), r"(\d+) token ids and \d+ log-probabilities"),
        (lambda c: c["logprobs"].update(token_logprobs=[None] * len(c["token_ids"])), "one each is needed"),
        (lambda c: c.update(prompt_token_ids=[1, 2]), r"sampled from another prompt \(2 tokens\)"),
        (lambda c: c.update(finish_reason="abort"), "finished by 'abort'; it is not whole"),
        (lambda c: c.update(finish_reason="stop", token_ids=[*c["token_ids"][:-1], 5]), "stopped at token 5"),
    ],
)
def test_servers_that_are_refused(server, asked, spoil, words):
    server.spoil = spoil
    with pytest.raises(UnsupportedError, match=words):
        sampler(server)(asked[:1], SAMPLING, seed=7)


def test_a_server_that_knows_no_n(server, asked):
    whole = server.completions
    server.completions = lambda body: {"choices": whole(body)["choices"][:1]}
    with pytest.raises(UnsupportedError, match="1 completions came for 3 asked for by n"):
        sampler(server)(asked[:1], SAMPLING, seed=7)


def test_log_probabilities_must_be_those_that_are_trained_on(server, asked):
    warm = Sampling(completions=2, max_tokens=12, temperature=0.5)
    with pytest.raises(UnsupportedError, match="start vLLM with --logprobs-mode processed_logprobs"):
        sampler(server)(asked[:1], warm, seed=7)
    (row,) = sampler(server, processed=True)(asked[:1], warm, seed=7)
    for one in row:
        logits = server.model(input_ids=torch.tensor([[*one.prompt_ids, *one.completion_ids]])).logits[0]
        logps, n = (logits / 0.5).log_softmax(-1).detach(), len(one.prompt_ids)
        want = [float(logps[n - 1 + i, token]) for i, token in enumerate(one.completion_ids)]
        assert list(one.logp) == pytest.approx(want, abs=1e-5)
    with pytest.raises(UnsupportedError, match=r"with top_p 0\.9 a server's processed log-probabilities"):
        sampler(server, processed=True)(asked[:1], Sampling(top_p=0.9), seed=7)


@pytest.mark.parametrize("options", [{"requests": 0}, {"tries": 0}, {"timeout": 0.0}, {"backoff": -1.0}])
def test_connections_that_make_no_sense(options):
    with pytest.raises(InputError, match="connection: requests"):
        Connection(**options)


def test_a_url_is_needed():
    with pytest.raises(InputError, match="the server's URL is 'localhost:8000'; give one such as http"):
        ServerSampler("localhost:8000", "tiny", build_tokenizer())


def test_a_policy_is_trained_on_what_a_server_samples(server, tmp_path):
    found = run(tmp_path / "run", rows=8, sampler=lambda model, encoder: sampler(server))
    assert server.asked
    assert all(torch.isfinite(torch.tensor(losses(found))))
    before = dict(server.model.named_parameters())
    assert any(not torch.equal(p, before[name]) for name, p in found.model.named_parameters())


def following(server, folder):
    return with_adapters(f"http://127.0.0.1:{server.server_address[1]}", folder, connection=QUICK)


def test_a_server_gets_new_weights_before_every_batch(server, tmp_path):
    found = run(tmp_path / "served", rows=8, lora_rank=2, epochs=2, sampler=following(server, tmp_path / "adapters"))
    names = [body["lora_name"] for path, _, body in server.asked if path == "/v1/load_lora_adapter"]
    assert len(names) == len(set(names)) == 4  # 8 prompts, 4 a step, twice: each batch from new weights
    assert len({body["model"] for path, _, body in server.asked if path.endswith("completions")}) == 4
    assert list(server.adapters) == names[-1:]  # those before were unloaded, and their folders removed
    assert [p.name for p in (tmp_path / "adapters").iterdir()] == names[-1:]
    assert len(losses(found)) == 4


def test_what_a_following_server_samples_has_the_probabilities_of_the_policy_as_it_is(server, asked, tmp_path):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(policy(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear")).eval()
    tokenizer = build_tokenizer()
    follow = following(server, tmp_path)(model, Encoder(tokenizer, Template.foreign(tokenizer, max_length=96)))
    for seed in (1, 2):
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p += torch.randn(p.shape, generator=torch.Generator().manual_seed(seed))
        for row in follow(asked[:2], SAMPLING, seed=0):
            for one in row:
                whole = torch.tensor([[*one.prompt_ids, *one.completion_ids]])
                logps = model(whole).logits.log_softmax(-1)[0, len(one.prompt_ids) - 1 : -1]
                expected = logps.gather(1, whole[0, len(one.prompt_ids) :, None])[:, 0]
                torch.testing.assert_close(torch.tensor(one.logp), expected, atol=1e-5, rtol=0, check_dtype=False)


def test_an_adapter_that_a_killed_run_has_loaded_is_taken(server, tmp_path):
    first = run(tmp_path / "a", rows=4, lora_rank=2, sampler=following(server, tmp_path / "adapters"))
    again = run(tmp_path / "b", rows=4, lora_rank=2, sampler=following(server, tmp_path / "adapters"))
    assert losses(first) == losses(again)


def test_servers_that_cannot_follow_are_refused(server, tmp_path, monkeypatch):
    with pytest.raises(UnsupportedError, match="needs adapters; set lora_rank"):
        run(tmp_path / "a", rows=4, sampler=following(server, tmp_path / "adapters"))
    server.faults = [404]
    with pytest.raises(InputError, match="vLLM loads adapters with --enable-lora"):
        run(tmp_path / "b", rows=4, lora_rank=2, sampler=following(server, tmp_path / "adapters"))
