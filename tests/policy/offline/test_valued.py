"""B-Coder as a run: both fits against a plain computation, and what it learns from rewards alone."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.policy.algorithms import algorithm
from plaudit.policy.offline.valued import Reading, valued_groups, valued_rows
from plaudit.records import Message, Pair, Ranked, Rated, Sample

QUESTION = tuple((Message("user", f"question {i}"),) for i in range(6))


def rows():
    """Programs that are right (1) where they say good; two were written by a person."""
    return [
        Sample(q, f"a {word} answer {i}", meta={"reward": reward, "demonstrated": i < 2 and reward == 1})
        for i, q in enumerate(QUESTION)
        for word, reward in (("good", 1.0), ("bad", -0.3))
    ]


def test_rows_with_rewards():
    shown = Sample(QUESTION[2], "v", meta={"reward": 1, "demonstrated": True})
    unknown = Sample(QUESTION[2], "w", meta={"reward": None})
    given = [Ranked(QUESTION[0], ("x", "y"), (1.0, -1.0)), Rated(QUESTION[1], "z", 0.5), unknown, shown]
    assert [(r.text, r.meta["reward"], r.meta["demonstrated"]) for r in valued_rows(given)] == [
        ("x", 1.0, False), ("y", -1.0, False), ("z", 0.5, False), ("v", 1.0, True),
    ]  # fmt: skip
    with pytest.raises(InputError, match="row 1 has no reward; give samples with reward"):
        valued_rows([Pair(QUESTION[0], "a", "b")])
    with pytest.raises(InputError, match="row 1 has the reward nan"):
        valued_rows([Sample(QUESTION[0], "a", meta={"reward": float("nan")})])
    with pytest.raises(InputError, match="none of the 1 rows has a reward"):
        valued_rows([Sample(QUESTION[0], "a", meta={"reward": None})])


def test_steps_are_those_of_a_plain_pass(tiny):
    """Targets token by token: r at the last, else gamma min(alpha (l(g) - max l) + V, 1), g the start's greatest."""
    from plaudit.engine.values import install_value_head, value_head
    from plaudit.policy.offline.config import AlignConfig
    from plaudit.training.config import Backbone
    from plaudit.training.policies.fitting import start_language
    from plaudit.training.policies.packing import PolicyCollator

    language = start_language(Backbone(name=tiny), (), AlignConfig(max_length=96), foreign=True)
    groups = valued_groups(valued_rows(rows()[:2]), language)
    collate = PolicyCollator(tree=language.engine.gate.open, pad_id=language.engine.pad_id, item="scored")
    (row,) = collate(groups)["rows"]
    prior = copy.deepcopy(language.model)
    torch.manual_seed(0)
    for p in language.model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    for model in (prior, language.model):
        install_value_head(model)
        value_head(model).weight.data.normal_()
    options = {"alpha": 0.7, "gamma": 0.9, "highest": 1.0}
    found = Reading(prior, options)(language.model, row)
    at = 0
    for one, reward in zip(groups[0].located, (1.0, -0.3), strict=True):
        ids = torch.tensor(one.ids[None].astype(np.int64))
        seen = {}
        for name, model in (("new", language.model), ("old", prior)):
            told = model(input_ids=ids, output_hidden_states=True)
            head = value_head(model)
            seen[name] = (told.logits[0].detach(), (told.hidden_states[-1][0] @ head.weight + head.bias).detach())
        for k, place in enumerate(one.counted.tolist()):
            here = place - 1
            assert int(found.taken[at]) == int(ids[0, place])
            logps = seen["new"][0][here].log_softmax(-1)
            assert float(found.logp[at].detach()) == pytest.approx(float(logps[ids[0, place]]), abs=1e-4)
            assert float(found.best[at].detach()) == pytest.approx(float(logps.max()), abs=1e-4)
            value = seen["new"][1] + seen["old"][1]
            assert float(found.value[at].detach()) == pytest.approx(float(value[here]), abs=1e-3)
            expected = reward
            if k < len(one.counted) - 1:
                after = seen["new"][0][place]
                q = 0.7 * (after[int(seen["old"][0][place].argmax())] - after.max()) + value[place]
                expected = 0.9 * min(float(q), 1.0)
            assert float(found.target[at]) == pytest.approx(expected, abs=1e-3)
            assert float(found.shown[at]) == (reward == 1)
            assert float(found.share[at]) == pytest.approx(1 / len(one.counted))
            at += 1
    assert at == len(found.taken)


@pytest.mark.slow
def test_both_fits_lower_their_loss_and_go_on_after_a_kill(aligned, tmp_path, monkeypatch):
    from plaudit.training.trainer import RewardTrainer

    name = "b-coder?value_epochs=2&beta_ce=0&beta_adv=0"
    whole = aligned(rows(), tmp_path / "whole", name, epochs=4.0)
    first = [json.loads(x) for x in (tmp_path / "whole/value/metrics.jsonl").read_text().splitlines()]
    for told in (whole.history, [row for row in first if "loss" in row]):
        assert told[-1]["loss"] < told[0]["loss"]
    assert {"value_phi.safetensors", "value_residual.safetensors", "model"} <= {
        p.name for p in (tmp_path / "whole").iterdir()
    }
    record = json.loads((tmp_path / "whole/model/alignment.json").read_text())
    assert record["options"]["gamma"] == 0.999
    step, count = RewardTrainer.training_step, iter(range(999))

    def dying(self, *args, **kwargs):
        if next(count) == 8:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(RewardTrainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        aligned(rows(), tmp_path / "killed", name, epochs=4.0, save_steps=3)
    monkeypatch.setattr(RewardTrainer, "training_step", step)
    again = aligned(rows(), tmp_path / "killed", name, epochs=4.0, save_steps=3)
    assert [h["loss"] for h in again.history] == [h["loss"] for h in whole.history]


@pytest.mark.slow
def test_adapters_go_on_after_a_kill_with_their_value(aligned, tmp_path, monkeypatch):
    """A checkpoint of adapters does not hold the residual value: it stands beside them."""
    from plaudit.training.trainer import RewardTrainer

    assert algorithm("b-coder").algorithm.valued
    options = {"epochs": 3.0, "lora_rank": 2, "save_steps": 2, "learning_rate": 1e-2}
    whole = aligned(rows(), tmp_path / "whole", "b-coder", **options)
    step, count = RewardTrainer.training_step, iter(range(999))

    def dying(self, *args, **kwargs):
        if next(count) == 6:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(RewardTrainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        aligned(rows(), tmp_path / "killed", "b-coder", **options)
    monkeypatch.setattr(RewardTrainer, "training_step", step)
    again = aligned(rows(), tmp_path / "killed", "b-coder", **options)
    assert [h["loss"] for h in again.history] == [h["loss"] for h in whole.history]
    for name in ("value_residual.safetensors", "model/model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "rate", "epochs"), [(0, 3e-3, 60), (8, 1e-2, 120)])
def test_right_answers_become_likelier(aligned, tiny, tmp_path, rank, rate, epochs):
    """By rewards alone: no demonstration, and of each question the right and the wrong answer once."""
    from plaudit.rewards.registry import load

    given = [replace(r, meta={**r.meta, "demonstrated": False}) for r in rows()]
    aligned(given, tmp_path / "run", "b-coder?value_epochs=8", epochs=float(epochs), learning_rate=rate, lora_rank=rank)
    good, bad = ([r for r in given if (r.meta["reward"] == 1) == right] for right in (True, False))
    told = load(f"likelihood/ratio?policy={tmp_path}/run/model&reference={tiny}&beta=1")
    ahead = told(good).reward - told(bad).reward
    assert ahead.mean() - 2 * ahead.std() / len(ahead) ** 0.5 > 0.2
    unseen = [Sample(QUESTION[0], f"a {word} answer {i}") for i in (7, 8, 9) for word in ("good", "bad")]
    found = told(unseen).reward.reshape(-1, 2)
    assert (found[:, 0] > found[:, 1]).all()


def test_the_logits_of_a_row_are_never_whole():
    """Every tensor that is made in a step is watched: none holds the vocabulary for all states."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from transformers import LlamaConfig, LlamaForCausalLM

    from plaudit.engine.greatest import CHUNK
    from plaudit.engine.values import install_value_head, value_head
    from plaudit.policy.offline.valued import Conservative
    from plaudit.training.policies.packing import edges_of

    words, length, n = 40_000, 150, 3
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=words, max_position_embeddings=256, **shape)).eval()
    prior = copy.deepcopy(model)
    for one in (model, prior):
        install_value_head(one)
        value_head(one).weight.data.normal_()
    ids = torch.randint(0, words, (n, length))
    after = [np.arange(1, length) + i * length for i in range(n)]
    row = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), **edges_of([a - 1 for a in after], after),
        "scores": torch.tensor([1.0, 0.0, -1.0]), "wanted": torch.tensor([1.0, 0.0, 0.0]),
    }  # fmt: skip
    states = n * (length - 1)
    assert states * words > 2 * CHUNK
    largest = 0

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            found = func(*args, **(kwargs or {}))
            for one in found if isinstance(found, tuple | list) else [found]:
                if isinstance(one, torch.Tensor) and one.shape[-1:] == (words,):
                    largest = max(largest, one.numel())
            return found

    options = {"alpha": 1.0, "gamma": 0.999, "highest": 1.0, "beta_adv": 0.1, "beta_ce": 0.1}
    with Watching():
        Conservative(options, True)(Reading(prior, options)(model, row), row).backward()
    assert 0 < largest <= CHUNK
    assert model.lm_head.weight.grad.abs().sum() > 0
