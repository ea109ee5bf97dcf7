"""Weights that FSDP divides among processes: the same losses and the same saved model as one process has."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from plaudit.engine.sharding import check_sharding, made_whole, plain_weights
from plaudit.errors import UnsupportedError

SCRIPT = """
import os, sys
from accelerate.state import PartialState
from accelerate.utils import DistributedType

# Accelerate leaves FSDP out on a CPU, where gloo runs it as well: it is told that these are accelerators.
began = PartialState.__init__

def pretending(self, *args, **kwargs):
    began(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU

PartialState.__init__ = pretending
out, data, size, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

from plaudit.records import read
from plaudit.training import Backbone, FitConfig, fit_reward_model
from plaudit.training.trainer import RewardTrainer

stepped = RewardTrainer.training_step

def noted(self, model, *args, **kwargs):
    with open(out + f".{os.environ.get('RANK', '0')}", "w") as file:
        file.write(" ".join(sorted({type(p).__name__ for p in model.parameters()})))
    return stepped(self, model, *args, **kwargs)

RewardTrainer.training_step = noted
rows = read(data).rows
if what == "align":
    from plaudit.policy.offline.aligning import align
    from plaudit.policy.offline.config import AlignConfig
    config = AlignConfig(algorithm="dpo", epochs=1, learning_rate=1e-3, batch_size=size)
    align(rows, model=sys.argv[5], config=config, out=out)
else:
    config = FitConfig(epochs=1, learning_rate=1e-3, batch_size=size)
    fit_reward_model(rows, backbone=Backbone(width=16, layers=2, heads=2, vocabulary=300), config=config, out=out)
"""
SHARDED = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT", "FSDP_RESHARD_AFTER_FORWARD": "true",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", ["train", "align"])
def test_divided_weights_learn_and_are_saved_as_whole_ones(what, launched, tmp_path):
    rows = [{"prompt": f"say {i}", "chosen": "good " * (i % 5 + 1), "rejected": f"bad {i * 7}"} for i in range(24)]
    data, script = tmp_path / "pairs.jsonl", tmp_path / "fit.py"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    script.write_text(SCRIPT)
    start = tmp_path / "start"
    if what == "align":
        from plaudit.rewards.likelihood.saved import write_causal
        from plaudit.training import Backbone, FitConfig
        from plaudit.training.policies.fitting import start_language

        texts = [text for row in rows for text in row.values()] + ["user: assistant:"]
        made = start_language(Backbone(width=16, layers=2, heads=2, vocabulary=300), texts, FitConfig())
        write_causal(made.model, start)
        made.tokenizer.save_pretrained(start)
    launched(script, tmp_path / "one", data, 8, what, start)
    launched(script, tmp_path / "two", data, 4, what, start, processes=2, **SHARDED)
    assert (tmp_path / "one.0").read_text() == "Parameter"
    assert [(tmp_path / f"two.{rank}").read_text() for rank in (0, 1)] == ["DTensor", "DTensor"]

    def losses(out):
        found = [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        return [row["loss"] for row in found if "loss" in row]

    assert len(losses("one")) == 3
    np.testing.assert_allclose(losses("two"), losses("one"), rtol=0, atol=1e-5)
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-4)


def test_the_first_version_of_fsdp_is_refused(monkeypatch):
    check_sharding()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UnsupportedError, match="set fsdp_version: 2 in fsdp_config"):
        check_sharding()
    monkeypatch.setenv("FSDP_VERSION", "2")
    check_sharding()


def test_deepspeed_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(UnsupportedError, match="training under DeepSpeed is not supported: it would round labels"):
        check_sharding()


def test_a_model_that_was_never_divided_stays_as_it_is():
    import torch

    model = torch.nn.Linear(2, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made_whole(model)
    assert plain_weights(model) is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
