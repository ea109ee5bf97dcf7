"""Two processes look at one step: regularisers of groups see the pairs of both."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

SCRIPT = """
import sys
from plaudit.records import read
from plaudit.training import Backbone, FitConfig, fit_reward_model
out, data, size, fair, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
config = FitConfig(epochs=1, learning_rate=1e-3, batch_size=size, fair=fair, group=group)
backbone = Backbone(width=16, layers=1, heads=2, vocabulary=300)
fit_reward_model(read(data).rows, backbone=backbone, config=config, out=out)
"""


@pytest.mark.parametrize(("fair", "group"), [("error-bound?gamma=2", "g"), ("distance-covariance?coef=5", "g,x")])
def test_two_processes_equal_one_with_twice_the_batch(fair, group, launched, tmp_path):
    rows = [
        {
            "prompt": f"say {i}",
            "chosen": "good " * (i % 5 + 1),
            "rejected": f"bad {i * 7}",
            "g": "ab"[i % 3 == 0],
            "x": i,
        }
        for i in range(24)
    ]
    data, script = tmp_path / "pairs.jsonl", tmp_path / "fit.py"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    script.write_text(SCRIPT)
    for processes, out, size in ((1, "one", 8), (2, "two", 4)):
        launched(script, tmp_path / out, data, size, fair, group, processes=processes)

    def losses(out):
        found = [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        return [row["loss"] for row in found if "loss" in row]

    assert len(losses("one")) == 3
    np.testing.assert_allclose(losses("two"), losses("one"), rtol=0, atol=1e-5)
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-4)
