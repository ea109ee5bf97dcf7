"""PPO: advantages, loss and gradient beside a slow reference; the value function learns and is saved."""

import numpy as np
import pytest
import torch

from plaudit.engine.rendering import Encoder, Template
from plaudit.engine.values import ValueHead, install_value_head, load_value_head
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.online.methods import online
from plaudit.rewards.base import RewardBatch
from plaudit.runs.log import read_log
from small_policies import Sevens, losses, policy, prompts, run, weights


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


def started(head):
    """A head that is not 0, or values of a first batch would say nothing."""
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-0.4, 0.5, len(head.weight)))
        head.bias.fill_(0.2)


def logged(out):
    import json

    fingerprint = json.loads((out / "rollouts.log").read_text().splitlines()[0])["fingerprint"]
    return read_log(out / "rollouts.log", fingerprint=fingerprint)


def test_one_update_is_that_of_a_slow_reference(tmp_path, monkeypatch):
    """GAE by its definition, a double sum over later tokens; everything in float64 and without trees."""
    gamma, lam, coef = 0.9, 0.8, 0.3
    made = ValueHead.__init__

    def begun(self, *args, **kwargs):
        made(self, *args, **kwargs)
        started(self)

    monkeypatch.setattr(ValueHead, "__init__", begun)
    method = online(f"ppo?gamma={gamma}&lam={lam}&value_coef={coef}")[1]
    found = run(tmp_path, rows=4, method=method, weight_decay=0.0, max_grad_norm=1e9)
    model, kept = policy().double(), logged(tmp_path)
    head = install_value_head(model)
    encoder = Encoder(build_tokenizer(), Template.foreign(build_tokenizer(), max_length=96))
    logps, values, advantages = [], [], []
    for key in sorted((k for k in kept if k.startswith("drawn:")), key=lambda k: int(k.split(".")[1])):
        prompt = list(encoder.encode_prompt(prompts(4)[int(key.split(".")[2])].prompt))
        for row, cell in zip(kept[key], kept[key.replace("drawn:", "reward::")], strict=True):
            ids = torch.tensor([[*prompt, *row["ids"]]])
            states = model.model(input_ids=ids).last_hidden_state[0, len(prompt) - 1 : -1]
            logps.append(model.lm_head(states).log_softmax(-1)[torch.arange(len(row["ids"])), row["ids"]])
            values.append(states @ head.weight.double() + head.bias.double())
            v, n = [*values[-1].tolist(), 0.0], len(row["ids"])
            error = [(cell["reward"] if t == n - 1 else 0.0) + gamma * v[t + 1] - v[t] for t in range(n)]
            advantages += [sum((gamma * lam) ** (s - t) * error[s] for s in range(t, n)) for t in range(n)]
    logp, value, a = torch.cat(logps), torch.cat(values), torch.tensor(advantages, dtype=torch.float64)
    returns = a + value.detach()
    normal = (a - a.mean()) / (a.var() + 1e-8).sqrt()
    loss = (-normal * (logp - logp.detach()).exp() + coef * (value - returns).square() / 2).mean()
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    assert losses(found) == pytest.approx([loss.item()], abs=1e-5)
    assert found.history[0]["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    assert found.history[0]["value_error"] == pytest.approx((returns - value).square().mean().item(), rel=1e-4)
    assert sum(len(v) for k, v in kept.items() if k.startswith("values:")) == len(a)


class Ones(Sevens):
    """The same for everything."""

    fingerprint = "ones"

    def one(self, text):
        return 0.7


def test_the_value_function_learns_what_is_to_be_had(tmp_path):
    found = run(
        tmp_path,
        rows=16,
        epochs=10,
        reward=Ones(),
        method=online("ppo?lam=1&value_rate=20&value_clip=0&trunk=false")[1],
    )
    errors = [row["value_error"] for row in found.history if "value_error" in row]
    assert errors[0] == pytest.approx(0.49)  # it begins at 0, and the return is 0.7 everywhere
    assert errors[-1] < 0.02
    head = install_value_head(policy())
    load_value_head(head, tmp_path / "value_head.safetensors")
    assert head.bias.item() > 0.1
    assert set(found.model.state_dict()) == set(policy().state_dict())


def test_the_head_has_a_learning_rate_of_its_own(tmp_path):
    """AdamW's first step has the size of the rate: 3e-3 times 4 for the head's bias."""
    run(tmp_path, rows=4, method=online("ppo?value_rate=4")[1], weight_decay=0.0)
    head = install_value_head(policy())
    load_value_head(head, tmp_path / "value_head.safetensors")
    assert abs(head.bias.item()) == pytest.approx(4 * 3e-3, rel=1e-3)


def test_the_same_seed_gives_the_same_run(tmp_path):
    first, second = (run(tmp_path / name, rows=8, passes=2, method=online("ppo")[1]) for name in "ab")
    assert losses(first) == losses(second)
    for name, weight in weights(first).items():
        assert torch.equal(weight, weights(second)[name])
    assert (tmp_path / "a/value_head.safetensors").read_bytes() == (tmp_path / "b/value_head.safetensors").read_bytes()


def test_rows_and_micro_batches_change_nothing(tmp_path):
    whole = run(tmp_path / "a", rows=8, epochs=2, method=online("ppo")[1])
    parts = run(tmp_path / "b", rows=8, epochs=2, batch_size=1, accumulation=4, method=online("ppo")[1])
    rows = run(tmp_path / "c", rows=8, epochs=2, tokens_per_row=40, method=online("ppo")[1])
    for other in (parts, rows):
        assert losses(other) == pytest.approx(losses(whole), abs=5e-5)


def test_what_has_no_reward_has_no_value_to_learn(tmp_path):
    class Half(Sevens):
        """No reward for completions of an odd number of tokens."""

        def __call__(self, samples):
            told = np.array([np.nan if s.meta["tokens"] % 2 else 0.5 for s in samples])
            return RewardBatch(told, np.where(np.isnan(told), 4, 0).astype(np.int8))

    found = run(tmp_path, rows=8, reward=Half(), method=online("ppo?lam=1")[1])
    first = found.history[0]
    assert 0 < first["included"] < 1
    assert first["value_error"] == pytest.approx(0.25)
    assert np.isfinite(losses(found)).all()
