"""OREAL's token reward model: fitted to outcomes beside the policy, it weighs the tokens of the loss [24]."""

import json
import math

import numpy as np
import pytest
import torch

from plaudit.engine.engine import open_gate
from plaudit.engine.values import load_value_head, value_head
from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.symbols import TOKENS
from plaudit.policy.online import TokenModel, Tokens
from plaudit.policy.online.checking import repeated
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.methods import online
from plaudit.policy.online.packing import Learned, rows_of
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.files import read_scored
from small_policies import Sevens, losses, policy, run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Odd(Sevens):
    """Right where the completion has an odd number of characters."""

    fingerprint = "odd"

    def one(self, text):
        return float(len(text) % 2)


SAID = ((8, 9, 4), (8, 5), (4, 4, 4, 4))


def rows(outcomes, *, tree=False):
    columns = {
        "index": [np.full(len(s), i) for i, s in enumerate(SAID)],
        "outcome": [np.full(len(s), o) for s, o in zip(SAID, outcomes, strict=True)],
    }
    return rows_of([Learned((5, 6), SAID, columns)], budget=99, tree=tree, pad_id=0)


def begun(rate=1e-2):
    """A token model whose head is not 0."""
    made = TokenModel(policy(), Tokens(token_rate=rate, token_norm=1e9), "cpu")
    head = value_head(made.model)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-0.4, 0.5, len(head.weight)))
        head.bias.fill_(0.2)
    return made


def learnt(made, outcomes, *, tree=False):
    return made.learnt(
        rows(outcomes, tree=tree), known=int(np.isfinite(outcomes).sum()), precision=torch.enable_grad
    )  # fmt: skip


def plainly(made):
    """The head on the state of each token itself, a sequence at a time."""
    head, found = value_head(made.model), []
    for said in SAID:
        states = made.model.model(input_ids=torch.tensor([[5, 6, *said]])).last_hidden_state[0, 2:]
        found.append(states @ head.weight + head.bias)
    return found


def test_a_step_follows_the_cross_entropy_of_mean_scores():
    made, plain = begun(), begun()
    expected = plainly(plain)
    means = [s.mean().item() for s in expected]
    scores, loss = learnt(made, [1.0, float("nan"), 0.0])
    assert scores == pytest.approx(torch.cat(expected).detach().numpy(), abs=1e-5)
    # right: log(1 + e^-m); wrong: log(1 + e^m); the second is not known
    assert loss == pytest.approx((math.log1p(math.exp(-means[0])) + math.log1p(math.exp(means[2]))) / 2, abs=1e-5)
    # by hand the slope in a score is (sigmoid(m) - label) / length / known
    slopes = [(1 / (1 + math.exp(-means[0])) - 1) / 3 / 2, 1 / (1 + math.exp(-means[2])) / 4 / 2]
    (slopes[0] * expected[0].sum() + slopes[1] * expected[2].sum()).backward()
    before = dict(begun().model.named_parameters())
    moved = 0
    for (name, p), q in zip(plain.model.named_parameters(), made.model.parameters(), strict=True):
        if p.grad is None:
            assert "lm_head" in name  # the layer that makes logits has no part in it
            continue
        sure = p.grad.abs() > 1e-5  # AdamW's first step is the gradient's sign times the rate
        assert torch.allclose((q - before[name])[sure], (-1e-2 * p.grad.sign()).float()[sure], atol=1e-3)
        moved += int(sure.sum())
    assert moved > 500
    assert all(learnt(made, [1.0, float("nan"), 0.0])[1] < loss for _ in range(3))


def test_on_a_tree_shared_tokens_have_the_scores_of_their_own_pass():
    made, flat = begun(), begun()
    assert open_gate(made.model).open
    scores, loss = learnt(made, [1.0, 0.0, 0.0], tree=True)
    theirs, other = learnt(flat, [1.0, 0.0, 0.0])
    assert scores == pytest.approx(theirs, abs=1e-5)
    assert scores[0] == scores[3]  # the first token of two completions
    assert loss == pytest.approx(other, abs=1e-6)


def test_before_any_fit_nothing_counts_and_without_outcomes_nothing_is_learnt():
    made = TokenModel(policy(), Tokens(token_rate=1.0), "cpu")
    scores, loss = learnt(made, [float("nan")] * 3)
    assert not scores.any()
    assert math.isnan(loss)
    assert not value_head(made.model).weight.any()


def planted(rng, n):
    """Digits that count up, right; and the same with one digit changed, wrong; where it was changed."""
    start, at = rng.integers(0, 10, (n, 1)), rng.integers(1, 8, n)
    right = (start + np.arange(8)) % 10
    wrong = right.copy()
    wrong[np.arange(n), at] = (wrong[np.arange(n), at] + rng.integers(1, 10, n)) % 10
    return right, wrong, at


def packed(right, wrong):
    digit, found = [TOKENS.index(str(d)) for d in range(10)], []
    for i, pair in enumerate(zip(right, wrong, strict=True)):
        columns = {"index": [np.full(8, 2 * i), np.full(8, 2 * i + 1)], "outcome": [np.ones(8), np.zeros(8)]}
        found.append(Learned((5,), tuple(tuple(digit[x] for x in said) for said in pair), columns))
    return rows_of(found, budget=4096, tree=False, pad_id=0)


def test_outcomes_alone_teach_where_the_wrong_digit_is():
    """The area under the curve of low scores for the planted digit, within completions.

    A model that only knows how late a token stands, and scores late ones low, has the mean of `at / 7`: 4/7.
    """
    rng = np.random.default_rng(0)
    made = TokenModel(policy(hidden_size=32), Tokens(token_rate=3e-3), "cpu")
    for _ in range(150):
        right, wrong, _ = planted(rng, 32)
        made.learnt(packed(right, wrong), known=64, precision=torch.enable_grad)
    right, wrong, at = planted(np.random.default_rng(1), 300)
    assert not (right == wrong).all(1).any()
    scores, loss = made.learnt(packed(right, wrong), known=600, precision=torch.enable_grad)
    low = -scores.reshape(300, 2, 8)[:, 1]
    mine = low[np.arange(300), at][:, None]
    area = ((mine > low).sum(1) + ((mine == low).sum(1) - 1) / 2) / 7
    assert loss < math.log(2) - 0.2
    assert area.mean() - 3 * area.std() / math.sqrt(300) > 4 / 7


METHOD = "oreal-tokens?token_rate=3e-3&token_norm=10&token_first={}&wrong=0.5"


def test_the_policy_waits_while_the_token_model_learns_alone(tmp_path):
    options = {"rows": 8, "epochs": 2, "completions": 6, "reward": Odd()}
    found = run(tmp_path / "alone", method=online(METHOD.format(3))[1], learning_rate=1e-30, **options)
    assert found.history[0]["token_loss"] == pytest.approx(math.log(2))
    assert found.history[0]["token_right"] == 0.5
    assert found.history[3]["token_loss"] != pytest.approx(math.log(2), abs=1e-4)
    assert found.history[0]["importance"] == 0
    assert 0 < found.history[3]["importance"] < 1
    later = run(tmp_path / "later", method=online(METHOD.format(3))[1], weight_decay=0.5, **options)
    assert [row["loss"] != 0 for row in later.history] == [False] * 3 + [True]
    # what was sampled in the four batches is what the start would have said: weights stood still, decay and all
    assert [row["token_loss"] for row in later.history] == [row["token_loss"] for row in found.history]
    assert not torch.equal(later.model.lm_head.weight, policy().lm_head.weight)
    with pytest.raises(InputError, match="learns alone from the first 4 batches, and the run has 4"):
        run(tmp_path / "never", method=online(METHOD.format(4))[1], **options)


def test_the_loss_weighs_each_token_by_the_scores_of_before(tmp_path):
    """The second batch by hand: importance from the scores in the log, each kind by its own number of tokens."""
    from test_online_values import logged

    found = run(tmp_path, rows=8, completions=6, reward=Odd(), method=online(METHOD.format(1))[1])
    kept, scored = logged(tmp_path), read_scored(tmp_path / "samples.jsonl").batch.reward
    order = sorted((k for k in kept if k.startswith("drawn:1.")), key=lambda key: int(key.split(".")[1]))
    scores = [x for k, v in kept.items() if k.startswith("importance:1.") for x in v]
    sums, tokens, at = [0.0, 0.0], [0, 0], 0
    for g, key in enumerate(order):
        reward = scored[24 + 6 * g : 30 + 6 * g]
        if len(set(reward)) == 1:
            continue
        for i in sorted(int(np.flatnonzero(reward == kind)[0]) for kind in (0.0, 1.0)):
            right, logp = int(reward[i]), np.array(kept[key][i]["logp"])
            a = reward[i] - (reward.sum() - reward[i]) / 5
            mean = np.cumsum(scores[at : at + len(logp)]) / np.arange(1, len(logp) + 1)
            belief = 1 / (1 + np.exp(-mean))
            w = np.clip(((belief if right else 1 - belief) - 0.5) / 0.5, 0, 1)
            at, tokens[right] = at + len(logp), tokens[right] + len(logp)
            sums[right] += (-w * a * logp).sum() if right else (-0.5 * w * a).sum()
    assert at == len(scores) > 0
    assert losses(found)[1] == pytest.approx(sums[1] / tokens[1] + sums[0] / tokens[0], abs=1e-5)
    assert losses(found)[1] != 0


def test_what_the_reward_could_not_judge_is_no_outcome(tmp_path):
    class Half(Odd):
        def __call__(self, samples):
            made = super().__call__(samples)
            lost = np.array([i % 2 == 1 for i in range(len(samples))])
            reward = np.where(lost, np.nan, made.reward)
            return RewardBatch(reward, np.where(lost, Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8))

    found = run(tmp_path / "half", completions=6, reward=Half(), method=online(METHOD.format(0))[1])
    assert found.history[0]["outcome/abstained"] == 0.5
    assert all(math.isfinite(row["loss"]) for row in found.history)

    class Silent(Odd):
        def __call__(self, samples):
            return RewardBatch(
                np.full(len(samples), np.nan), np.full(len(samples), Outcome.ABSTAINED, dtype=np.int8)
            )  # fmt: skip

    none = run(tmp_path / "none", completions=6, reward=Silent(), method=online(METHOD.format(0))[1])
    assert all("token_loss" not in row for row in none.history)


def test_model_and_head_are_kept_as_a_stock_model_and_its_head(tmp_path):
    from transformers import AutoModelForCausalLM

    run(tmp_path, rows=8, epochs=2, completions=6, reward=Odd(), method=online(METHOD.format(0))[1], lora_rank=2)
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "token_model")
    assert json.loads((tmp_path / "token_model" / "alignment.json").read_text())["role"] == "token reward model"
    made = TokenModel(kept, Tokens(), "cpu")
    load_value_head(value_head(made.model), tmp_path / "token_model" / "token_head.safetensors")
    assert value_head(made.model).weight.any()
    assert torch.equal(kept.lm_head.weight, policy().lm_head.weight)  # nothing reads its logits


def test_hard_prompts_are_asked_more_often_in_a_pass():
    shares = [0.0, 0.19, 0.2, 0.59, 0.6, 0.79, 0.8, 1]
    asked = [PromptOnly(conversation("x"), None, {"pass_rate": share}) for share in shares]
    assert repeated(asked, OnlineConfig(repeat_by="pass_rate")) == [6, 6, 4, 4, 2, 2, 1, 1]
    assert repeated(asked, OnlineConfig()) == [1] * 8
    with pytest.raises(InputError, match=r"prompt 1 has 'rate' None.*a number from 0 to 1"):
        repeated(asked, OnlineConfig(repeat_by="rate"))
    with pytest.raises(InputError, match="repeat_by and together are both given"):
        OnlineConfig(repeat_by="pass_rate", together="question").check(online("grpo")[1])


def test_repeated_prompts_are_in_the_schedule(tmp_path, monkeypatch):
    import small_policies

    made = small_policies.prompts
    shares = [0.1, 0.9, 0.9, 0.7]  # six, one, one and two times: ten in all
    monkeypatch.setattr(
        small_policies, "prompts",
        lambda n: [PromptOnly(p.prompt, p.reference, {"pass": s}) for p, s in zip(made(n), shares, strict=True)],
    )  # fmt: skip
    reward = Odd()
    found = run(tmp_path, rows=4, batch_size=5, repeat_by="pass", reward=reward)
    assert len(found.history) == 2
    counts = sorted(sum(group.endswith(f".{i}") for group, _ in reward.seen) // 3 for i in range(4))
    assert counts == [1, 1, 2, 6]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("token_rate=0", "token_rate is 0"),
        ("token_norm=-1", "token_norm is -1"),
        ("token_first=-1", "token_first is -1"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        online(f"oreal-tokens?{options}")
