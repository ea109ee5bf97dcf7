"""A run of the online loop: what it computes, what it says, and that nothing else changes it."""

import json

import numpy as np
import pytest
import torch

from plaudit.errors import InputError, PlauditError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.advantages.relative import GroupRelative
from plaudit.policy.losses.surrogates import clipped, reinforce
from plaudit.policy.online import Method, OnlineConfig, alarms, improve
from plaudit.policy.online.scheduling import schedule
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.runs.log import DurableLog
from plaudit.shaping.transforms.adaptive import Standardise
from plaudit.shaping.transforms.base import Shaped
from small_policies import SMALL, Sevens, losses, policy, prompts, run, weights


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


def logged(out):
    """What the run's log holds: question to its completions and to their rewards."""
    path = out / "rollouts.log"
    fingerprint = json.loads(path.read_text().splitlines()[0])["fingerprint"]
    with DurableLog(path, fingerprint=fingerprint) as log:
        return {key: log[key] for key in log}


def test_one_update_is_that_of_a_plain_forward_pass(tmp_path):
    found = run(tmp_path, rows=4, weight_decay=0.0)
    model, kept = policy(), logged(tmp_path)
    asked = sorted(key.split(":", 1)[1] for key in kept if key.startswith("drawn:"))
    total, terms = 0, []
    from plaudit.engine.rendering import Encoder, Template

    encoder = Encoder(build_tokenizer(), Template.foreign(build_tokenizer(), max_length=96))
    for key in asked:
        prompt = list(encoder.encode_prompt(prompts(4)[int(key.split(".")[2])].prompt))
        reward = np.array([cell["reward"] for cell in kept[f"reward::{key}"]])
        spread = reward.std(ddof=1)  # the sample's deviation, as GRPO's code has it
        for row, r in zip(kept[f"drawn:{key}"], reward, strict=True):
            logits = model(input_ids=torch.tensor([[*prompt, *row["ids"]]])).logits[0, len(prompt) - 1 : -1]
            logp = logits.log_softmax(-1)[torch.arange(len(row["ids"])), torch.tensor(row["ids"])]
            assert logp.tolist() == pytest.approx(row["logp"], abs=1e-5)
            advantage = 0.0 if len(set(reward)) == 1 else (r - reward.mean()) / (spread + 1e-4)
            terms.append(-advantage * torch.exp(logp - logp.detach()).sum())
            total += len(row["ids"])
    loss = torch.stack(terms).sum() / total
    optimiser = torch.optim.AdamW(model.parameters(), lr=SMALL["learning_rate"], weight_decay=0.0)
    loss.backward()
    told = {name: p.grad.abs() > 1e-5 for name, p in model.named_parameters()}
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    assert losses(found) == pytest.approx([float(loss.detach())], abs=1e-5)
    assert found.history[0]["grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    for name, weight in weights(found).items():
        # AdamW's first step is the gradient's sign times the rate: where the gradient is rounding, so is the step
        expected = dict(model.named_parameters())[name]
        assert torch.allclose(weight[told[name]], expected[told[name]], atol=2e-4), name


def test_a_micro_batch_of_four_equals_four_of_one(tmp_path):
    whole = run(tmp_path / "a", rows=8, epochs=2)
    parts = run(tmp_path / "b", rows=8, epochs=2, batch_size=1, accumulation=4)
    rows = run(tmp_path / "c", rows=8, epochs=2, tokens_per_row=40)
    for other in (parts, rows):
        assert losses(other) == pytest.approx(losses(whole), abs=2e-5)
        for name, weight in weights(other).items():
            assert torch.allclose(weight, weights(whole)[name], atol=5e-4), name


def test_padded_rectangles_give_what_trees_give(tmp_path, monkeypatch):
    from plaudit.engine.gate import Gate
    from plaudit.policy.online import running

    tree = run(tmp_path / "a", rows=8, kl_coef=0.1)
    monkeypatch.setattr(running, "open_gate", lambda _: Gate(False, "padded on request"))
    padded = run(tmp_path / "b", rows=8, kl_coef=0.1)
    assert tree.tree == "prefix trees"
    assert padded.tree == "padded on request"
    assert losses(padded) == pytest.approx(losses(tree), abs=2e-5)
    assert padded.distinct_tokens > tree.distinct_tokens


def test_the_reward_rises(tmp_path):
    found = run(tmp_path, rows=16, epochs=12, batch_size=8, completions=8, learning_rate=2e-2)
    rewards = [row["reward"] for row in found.history]
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.2
    model = tmp_path / "model"
    assert {p.name for p in model.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    from transformers import AutoModelForCausalLM

    again = AutoModelForCausalLM.from_pretrained(model)
    assert torch.equal(again.lm_head.weight, found.model.lm_head.weight)
    assert not (tmp_path / "checkpoints").exists()


def test_every_completion_is_judged_once_and_kept(tmp_path):
    reward = Sevens()
    run(tmp_path, reward=reward, rows=8, epochs=2, passes=2)
    kept = logged(tmp_path)
    drawn = [key for key in kept if key.startswith("drawn:")]
    assert len(reward.seen) == len(drawn) * 3 == 16 * 3
    assert {text for _, text in reward.seen} == {row["text"] for key in drawn for row in kept[key]}


def test_passes_and_minibatches_are_updates_on_the_same_completions(tmp_path):
    found = run(tmp_path, rows=8, passes=2, minibatches=2)
    assert len(found.history) == 2 * 4  # two batches of four prompts, four updates each
    fresh = [row["ratio"] for row in found.history[::4]]
    assert fresh == pytest.approx([1, 1], abs=1e-5)
    assert max(abs(row["ratio"] - 1) for row in found.history) > 1e-3
    assert [("reward" in row) for row in found.history] == [True, False, False, False] * 2


def test_what_has_no_reward_changes_nothing_for_the_others(tmp_path):
    class Faulty(Sevens):
        """No reward for completions of an odd number of tokens; their text would be worth much."""

        def __init__(self, hidden):
            super().__init__()
            self.hidden, self.fingerprint = hidden, f"faulty{hidden}"

        def __call__(self, samples):
            odd = np.array([s.meta["tokens"] % 2 == 1 for s in samples])
            told = np.array([self.one(s.text) for s in samples])
            if self.hidden:
                return RewardBatch(np.where(odd, np.nan, told), np.where(odd, Outcome.INSTRUMENT_FAULT, 0))
            raise AssertionError

    found = run(tmp_path, reward=Faulty(True), rows=8, completions=6)
    first = found.history[0]
    assert first["outcome/instrument_fault"] == pytest.approx(1 - first["included"])
    assert 0 < first["included"] < 1
    # by hand: the first update's loss over the completions that have a reward alone
    kept = logged(tmp_path)
    total, loss = 0, 0.0
    for key in [k for k in kept if k.startswith("drawn:0.")]:
        rewards = [cell["reward"] for cell in kept[key.replace("drawn:", "reward::")]]
        there = [(row, r) for row, r in zip(kept[key], rewards, strict=True) if r is not None]
        values = np.array([r for _, r in there])
        for row, r in there:
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            loss -= len(row["ids"]) * ((r - values.mean()) / (spread + 1e-4) if spread else 0.0)
            total += len(row["ids"])
    assert losses(found)[0] == pytest.approx(loss / total, abs=1e-5)


def test_the_kl_starts_at_nothing_and_holds_the_policy_back(tmp_path):
    options = {"rows": 8, "epochs": 4, "batch_size": 8, "completions": 8, "learning_rate": 3e-2}
    for place in ("loss", "reward"):
        held = run(tmp_path / place, **options, kl_coef=5.0, kl_in=place)
        assert held.history[0]["kl"] == pytest.approx(0, abs=1e-4)
        free = run(tmp_path / f"{place}-free", **options, kl_coef=1e-9, kl_in=place)
        assert held.history[-1]["kl"] < 0.7 * free.history[-1]["kl"]


def test_the_kl_is_measured_unless_nobody_wants_it(tmp_path):
    measured, skipped = run(tmp_path / "a"), run(tmp_path / "b", skip_kl=True)
    assert losses(measured) == losses(skipped)
    assert "kl" in measured.history[-1]
    assert "kl" not in skipped.history[-1]


def test_with_adapters_the_reference_is_the_model_without_them(tmp_path):
    options = {"rows": 8, "epochs": 3, "kl_coef": 0.01, "learning_rate": 5e-2}
    found = run(tmp_path, **options, lora_rank=2)
    assert found.history[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert abs(found.history[-1]["kl"]) > 1e-3
    assert not hasattr(found.model, "peft_config")
    changed = [n for n, p in found.model.named_parameters() if not torch.equal(p, dict(policy().named_parameters())[n])]
    assert changed
    assert all("proj" in name for name in changed)


def test_a_transform_keeps_its_statistics_with_the_run(tmp_path):
    reward = Sevens()
    found = run(tmp_path, reward=Shaped(reward, Standardise()), rows=8, epochs=2)
    assert len(reward.seen) == 16 * 3
    first, last = found.history[0], found.history[-1]
    assert first["shaped"] == first["reward"]  # nothing was seen yet
    assert abs(last["shaped"] - last["reward"]) > 0.01


def test_another_reward_is_watched_and_not_learnt_from(tmp_path):
    class Lengths(Sevens):
        name, fingerprint, bounds = "lengths", "lengths", (0.0, 100.0)

        def one(self, text):
            return float(len(text))

    alone = run(tmp_path / "a")
    beside = run(tmp_path / "b", watched={"lengths": Lengths()})
    assert losses(alone) == losses(beside)
    assert beside.history[0]["watched/lengths"] > 1
    assert "watched/lengths" not in alone.history[0]


def test_unfinished_completions_can_be_left_out_of_the_loss(tmp_path):
    found = run(tmp_path / "a", rows=4, drop_unfinished=True, method=Method(GroupRelative(), reinforce, "token"))
    whole = run(tmp_path / "b", rows=4, method=Method(GroupRelative(), reinforce, "token"))
    assert found.distinct_tokens < whole.distinct_tokens
    assert found.history[0]["reward"] == whole.history[0]["reward"]


def test_the_schedule_repeats_batches_and_shuffles_passes():
    config = OnlineConfig(batch_size=2, accumulation=2, epochs=2, passes=3, completions=2)
    found = schedule([[i] for i in range(6)], config)
    assert len(found) == 3 * 4 * 3  # 12 asked in batches of 4, each three times
    assert [a.key for a in found[:4]] == [a.key for a in found[4:8]] == [a.key for a in found[8:12]]
    assert sorted(a.row for a in found[:4] + found[12:14]) == [0, 1, 2, 3, 4, 5]
    assert len({a.key for a in found}) == 12


def test_prompts_that_are_too_long_are_left_out_and_named(tmp_path):
    rows = prompts(4)
    long = rows[0].__class__(rows[0].prompt * 30)
    found = improve(
        [*rows, long], model=policy(), tokenizer=build_tokenizer(), reward=Sevens(), config=OnlineConfig(**SMALL),
        method=Method(GroupRelative(), clipped), out=tmp_path,
    )  # fmt: skip
    assert found.left_out == (4,)
    assert found.prompts == 4
    with pytest.raises(InputError, match="none of 1 prompts leaves room for 10 tokens within max_length 96"):
        improve(
            [long], model=policy(), tokenizer=build_tokenizer(), reward=Sevens(), config=OnlineConfig(**SMALL),
            method=Method(GroupRelative(), clipped), out=tmp_path / "b",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"completions": 0}, "completions is 0; give a number above 0"),
        ({"kl_coef": -1.0}, "kl_coef is -1.0; give a number of at least 0"),
        ({"minibatches": 9, "batch_size": 8}, "minibatches is 9 for 8 prompts a step"),
        ({"kl_target": 6.0}, "kl_target is 6.0 and kl_coef 0; give the coefficient"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"kl_in": "rewards"}, "kl_in 'rewards' is not known; did you mean 'reward'"),
        ({"kl_estimator": "k4"}, "kl_estimator 'k4' is not known; did you mean 'k3'"),
        ({"seed": -1}, "seed is -1; give a number of at least 0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        OnlineConfig(**options)


def test_a_tracker_gets_the_metrics(tmp_path, monkeypatch):
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    seen = []

    class Told(TrainerCallback):
        logging_dir = None

        def on_log(self, _args, _state, _control, logs=None, **_):
            seen.append((self.logging_dir, logs))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Told)
    monkeypatch.setattr("transformers.integrations.get_available_reporting_integrations", lambda: ["tensorboard"])
    run(tmp_path, rows=4, trackers="tensorboard")
    assert seen[0][0] == str(tmp_path / "tensorboard")
    assert seen[0][1]["reward"] >= 0
    with pytest.raises(InputError, match="tracker 'tensorbord' is not known; did you mean 'tensorboard'"):
        run(tmp_path / "b", trackers="tensorbord")
    with pytest.raises(InputError, match="tracker 'wandb' needs its package; pip install wandb"):
        run(tmp_path / "c", trackers="wandb")


def test_tensorboard_can_read_the_metrics(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = run(tmp_path, rows=4, trackers="tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name in ("reward", "kl", "loss"):
        expected = [row[name] for row in found.history if name in row]
        assert [e.value for e in events.Scalars(f"train/{name}")] == pytest.approx(expected, rel=1e-6)


def test_what_was_said_is_a_scored_file(tmp_path):
    from plaudit.rewards.files import read_scored

    found = run(tmp_path, rows=8, epochs=2, passes=2)
    scored = read_scored(tmp_path / "samples.jsonl")
    assert len(scored.samples) == 16 * 3
    assert scored.batch.reward.tolist() == [Sevens().one(s.text) for s in scored.samples]
    first = [row["reward"] for row in found.history if "reward" in row]
    assert scored.batch.reward[:12].mean() == pytest.approx(first[0])


def test_a_run_without_any_reward_stops_and_says_why(tmp_path, monkeypatch, caplog):
    class Broken(Sevens):
        def __call__(self, samples):
            raise ConnectionError("no route to the judge")

    monkeypatch.setattr(alarms, "LONGEST", 2)
    with pytest.raises(PlauditError, match=r"last 2 batches has a reward \(ConnectionError: no route to the judge"):
        run(tmp_path, reward=Broken(), rows=8, epochs=4)
    assert "100% of 12 completions have no reward" in caplog.text
    with pytest.raises(PlauditError, match="last 2 batches"):  # what was judged so is not asked again
        run(tmp_path, reward=Broken(), rows=8, epochs=4)


def test_a_reward_that_fails_for_one_in_ten_costs_those_only(tmp_path):
    class Flaky(Sevens):
        def one(self, text):
            if text.startswith("1"):
                raise TimeoutError("the judge took too long")
            return super().one(text)

    found = run(tmp_path, reward=Flaky(), rows=8, epochs=2, completions=6)
    lost = [row["outcome/instrument_fault"] + row["outcome/timed_out"] for row in found.history]
    assert 0 < np.mean(lost) < 0.5
    assert sum(found.faults.values()) == round(sum(lost) * 4 * 6)
    assert all(np.isfinite(row["loss"]) for row in found.history)


def test_dropout_is_off(tmp_path):
    """Else the ratio of fresh samples would not be 1, and the KL of the start not 0."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    shape = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=96, eos_token_id=1, bos_token_id=None,
        resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5,
    )  # fmt: skip
    for model in (GPT2LMHeadModel(shape), policy(attention_dropout=0.5)):
        found = run(tmp_path / type(model).__name__, rows=4, model=model)
        assert found.history[0]["ratio"] == pytest.approx(1, abs=1e-5)
        assert found.history[0]["kl"] == pytest.approx(0, abs=1e-4)
