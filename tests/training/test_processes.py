"""Two processes are one: the same losses and the same model as one process with twice the batch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

SCRIPT = """
import sys
from plaudit.records import read
from plaudit.training import Backbone, FitConfig, fit_reward_model
out, data, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = FitConfig(epochs=1, learning_rate=1e-3, batch_size=size, tokens_per_row=60)
backbone = Backbone(width=16, layers=1, heads=2, vocabulary=300)
fit_reward_model(read(data).rows, backbone=backbone, config=config, out=out)
"""
ENVIRONMENT = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PLAUDIT_QUIET": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]


def test_two_processes_equal_one_with_twice_the_batch(launched, tmp_path):
    rows = [{"prompt": f"say {i}", "chosen": "good " * (i % 5 + 1), "rejected": f"bad {i * 7}"} for i in range(24)]
    data, script = tmp_path / "pairs.jsonl", tmp_path / "fit.py"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    script.write_text(SCRIPT)
    for processes, out, size in ((1, "one", 8), (2, "two", 4)):
        launched(script, tmp_path / out, data, size, processes=processes)

    def losses(out):
        rows = [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        return [row["loss"] for row in rows if "loss" in row]

    def weights(out):
        return load_file(tmp_path / out / "model" / "model.safetensors")

    assert len(losses("one")) == 3
    np.testing.assert_allclose(losses("two"), losses("one"), rtol=0, atol=1e-5)
    for name, value in weights("one").items():
        np.testing.assert_allclose(weights("two")[name], value, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_command_speaks_once_in_two_processes(launched, tmp_path):
    rows = [{"prompt": f"say {i}", "chosen": "good " * (i % 5 + 1), "rejected": f"bad {i * 7}"} for i in range(8)]
    data, script = tmp_path / "pairs.jsonl", tmp_path / "again.py"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["train", str(data), "--out", str(tmp_path / "run"), "--width", "16", "--layers", "1", "--heads", "2"]
    done = subprocess.run(
        [*TORCHRUN, "-m", "plaudit.cli.main", *words],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("trained on 8 preferences") == 1
    assert (tmp_path / "run/prompts.txt").read_text().count("\n") == 8
    script.write_text("import sys\nfrom plaudit.cli.main import main\nprint('status', main(sys.argv[1:]))\n")
    said = launched(script, *words, "--freeze", processes=2)
    assert said.count("status 2") == 2
    assert "train: --freeze works in one process, and a launcher started several" in said
