"""PRIME online: token rewards of a model that is fitted to outcomes on the way; OREAL's own denominators."""

import json
import math

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.policy.online import Process, ProcessModel
from plaudit.policy.online.methods import online
from plaudit.policy.online.packing import Learned, rows_of
from plaudit.rewards.files import read_scored
from small_policies import Sevens, losses, policy, run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Even(Sevens):
    """Right where the completion has an even number of characters: about half are."""

    fingerprint = "even"

    def one(self, text):
        return float(len(text) % 2 == 0)


class Right(Sevens):
    """Every completion is right."""

    fingerprint = "right"

    def one(self, text):
        return 1.0


class HasSeven(Sevens):
    """Right where the completion has a seven: single tokens decide."""

    fingerprint = "has-seven"

    def one(self, text):
        return float("7" in text)


def rows(outcomes, ref):
    said = ((8, 9, 4), (8, 5), (4, 4, 4, 4))
    parts = np.split(np.array(ref, dtype=float), [3, 5])
    columns = {
        "index": [np.full(len(s), i) for i, s in enumerate(said)], "ref_logp": parts,
        "outcome": [np.full(len(s), o) for s, o in zip(said, outcomes, strict=True)],
    }  # fmt: skip
    return rows_of([Learned((5, 6), said, columns)], budget=99, tree=False, pad_id=0)


def plainly(model):
    found = []
    for said in ((8, 9, 4), (8, 5), (4, 4, 4, 4)):
        logits = model(input_ids=torch.tensor([[5, 6, *said]])).logits[0, 1:-1].double().log_softmax(-1)
        found.append(logits[torch.arange(len(said)), torch.tensor(said)])
    return found


def learnt(model, outcomes, ref):
    known = int(np.isfinite(outcomes).sum())
    return model.learnt(rows(outcomes, ref), known=known, precision=torch.enable_grad)


def test_a_step_follows_the_cross_entropy_of_outcomes():
    """The gradient is that of a plain pass: beta (sigmoid(beta q) - outcome) / known, in the log-probabilities."""
    start = policy()
    with torch.no_grad():
        ref = torch.cat(plainly(start)).numpy() - 0.3
    made = ProcessModel(start, Process(beta=0.2, process_rate=1e-2), "cpu")
    logps, loss = learnt(made, [1.0, float("nan"), 0.0], ref)
    # each token is 0.3 above its reference: sums of 0.9 and 1.2
    expected = -(math.log(1 / (1 + math.exp(-0.18))) + math.log(1 - 1 / (1 + math.exp(-0.24)))) / 2
    assert loss == pytest.approx(expected, abs=1e-5)
    assert logps == pytest.approx(ref + 0.3, abs=1e-5)
    plain = policy().double()
    first, _, third = plainly(plain)
    total = 0.2 * ((1 / (1 + math.exp(-0.18)) - 1) * first.sum() + 1 / (1 + math.exp(-0.24)) * third.sum()) / 2
    total.backward()
    for (name, p), q in zip(plain.named_parameters(), made.model.parameters(), strict=True):
        sure = p.grad.abs() > 1e-5  # AdamW's first step is the gradient's sign times the rate
        assert torch.allclose(
            (q - dict(start.named_parameters())[name])[sure], (-1e-2 * p.grad.sign()).float()[sure], atol=1e-3
        )
    assert all(learnt(made, [1.0, float("nan"), 0.0], ref)[1] < loss for _ in range(3))


def test_without_any_outcome_nothing_is_learnt():
    made = ProcessModel(policy(), Process(process_rate=1.0), "cpu")
    logps, loss = learnt(made, [float("nan")] * 3, np.zeros(9))
    assert math.isnan(loss)
    assert torch.equal(made.model.lm_head.weight, policy().lm_head.weight)
    assert np.isfinite(logps).all()


def test_a_checkpoint_holds_model_and_optimiser(tmp_path):
    outcomes, ref = [1.0, 0.0, 0.0], np.full(9, -2.0)
    made = ProcessModel(policy(), Process(process_rate=1e-2), "cpu")
    learnt(made, outcomes, ref)
    made.save(tmp_path)
    other = ProcessModel(policy(), Process(process_rate=1e-2), "cpu")
    other.load(tmp_path)
    for _ in range(2):  # the second shows the optimiser's moments
        mine, theirs = learnt(made, outcomes, ref), learnt(other, outcomes, ref)
        assert mine[1] == theirs[1]
        assert mine[0].tolist() == theirs[0].tolist()


def test_prime_begins_with_rewards_of_nothing_and_learns_which_are_right(tmp_path):
    method = online("prime?low=0&high=1&process_rate=3e-3&beta=0.5")[1]
    found = run(tmp_path, rows=16, epochs=8, completions=6, reward=HasSeven(), method=method, learning_rate=1e-6)
    told = [row for row in found.history if "process_loss" in row]
    assert told[0]["process_loss"] == pytest.approx(math.log(2), abs=1e-5)  # the model is its own reference
    assert told[0]["largest_process_return"] == 0  # to the last digit: rounding would be blown up to a scale of 1
    assert told[-1]["largest_process_return"] > 0.1
    assert np.mean([row["process_order"] for row in told[-8:]]) > 0.6
    assert np.mean([row["process_loss"] for row in told[-8:]]) < math.log(2)
    record = json.loads((tmp_path / "process" / "alignment.json").read_text())
    assert record["role"] == "process reward model"
    from transformers import AutoModelForCausalLM

    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "process")
    assert not torch.equal(kept.lm_head.weight, policy().lm_head.weight)


@pytest.mark.parametrize(("bounds", "moves"), [("low=0.2&high=0.8", False), ("low=0&high=1", True)])
def test_the_process_model_learns_from_the_groups_that_are_kept_only(tmp_path, bounds, moves):
    """All are right: the paper's bounds leave every group out, and the model stays the start."""
    found = run(tmp_path, rows=8, reward=Right(), method=online(f"prime?{bounds}&process_rate=1e-3")[1])
    from transformers import AutoModelForCausalLM

    weight = AutoModelForCausalLM.from_pretrained(tmp_path / "process").lm_head.weight
    assert torch.equal(weight, policy().lm_head.weight) is not moves
    assert ("process_loss" in found.history[0]) is moves  # there is no mean over nothing


def test_with_adapters_the_process_model_is_trained_whole(tmp_path):
    found = run(tmp_path, rows=4, reward=Even(), lora_rank=2, method=online("prime?process_rate=1e-3")[1])
    assert found.history[0]["process_loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize("name", ["prime", "oreal"])
def test_what_is_right_must_be_known(tmp_path, name):
    class Unbounded(Even):
        bounds = (-np.inf, np.inf)

    with pytest.raises(InputError, match=f"{name} asks which completions are right.*sevens has bounds"):
        run(tmp_path, reward=Unbounded(), method=online(name)[1])


def test_oreal_divides_right_and_wrong_by_their_own_tokens(tmp_path):
    """At a ratio of 1: the mean of `-A logp` over tokens of the right, half that of `-A` over those of the wrong."""
    found = run(tmp_path, rows=8, batch_size=8, completions=6, reward=Even(), method=online("oreal")[1])
    scored = read_scored(tmp_path / "samples.jsonl")
    from test_online_values import logged

    kept = logged(tmp_path)
    order = [key for key in kept if key.startswith("drawn:")]
    order.sort(key=lambda key: int(key.split(".")[1]))
    copied, pushed, right, wrong = 0.0, 0.0, 0, 0
    for g, key in enumerate(order):
        reward = scored.batch.reward[6 * g : 6 * g + 6]
        if len(set(reward)) == 1:
            continue
        for kind in (1.0, 0.0):
            i = int(np.flatnonzero(reward == kind)[0])
            a = reward[i] - (reward.sum() - reward[i]) / 5
            logp = np.array(kept[key][i]["logp"])
            if kind:
                copied, right = copied - a * logp.sum(), right + len(logp)
            else:
                pushed, wrong = pushed - 0.5 * a * len(logp), wrong + len(logp)
    assert right
    assert losses(found)[0] == pytest.approx(copied / right + pushed / wrong, abs=1e-4)
