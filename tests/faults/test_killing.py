"""SIGKILL at random instants: what is finished in the end is what an undisturbed run gives."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from small_data import write_rows

SCRIPT = Path(__file__).with_name("kill_at_random.py")
UNLIKE = ("created", "command")
"""What differs between any two runs: when, and the folder in the command."""


def killed(seed, kills, folder, *words, timeout=1200):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed), str(kills), str(folder), "--", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PLAUDIT_QUIET": "1"},
        timeout=timeout,
        cwd=folder.parent,  # outside the repository, whose commit a report records and may change meanwhile
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unlike(found, expected, at=""):
    """Paths of the values that differ, so that a failure says what was lost."""
    if isinstance(found, dict) and isinstance(expected, dict):
        pairs = [(k, found.get(k), expected.get(k)) for k in sorted({*found, *expected})]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(found, expected, strict=True))]
    else:
        return [] if found == expected else [(at, found, expected)]
    return [row for name, a, b in pairs for row in unlike(a, b, f"{at}/{name}")]


def contents(run):
    """Everything of a run that must not depend on how often it was killed."""
    report = json.loads((run / "report.json").read_text())
    files = [
        *sorted((run / "data").iterdir()),
        *sorted((run / "model").iterdir()),
        run / "scores/held-out.jsonl",
    ]
    values = {
        stage.parent.name: json.loads(stage.read_text())["value"]
        for stage in sorted((run / "stages").glob("*/done.json"))
    }
    losses = [
        {k: v for k, v in json.loads(line).items() if "loss" in k or k == "step"}
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    return {
        "report": {k: v for k, v in report.items() if k not in UNLIKE},
        "files": {f"{f.parent.name}/{f.name}": sha(f) for f in files if f.name != "training_args.bin"},
        "values": values,
        "losses": [row for row in losses if "loss" in row],
    }


@pytest.mark.slow
def test_twenty_kills_change_nothing(tiny, tmp_path):
    found = killed(20260, 20, tmp_path / "runs", "run", str(tiny), "--out", "{out}")
    assert len(found["kills"]) == 20
    assert len(found["folders"]) > 2
    undisturbed, *others = (Path(f) for f in found["folders"])
    expected = contents(undisturbed)
    assert len(expected["losses"]) == 16  # 64 pairs in steps of 8, twice
    assert {f"data/{p}.jsonl" for p in ("train", "test")} | {"model/model.safetensors"} <= set(expected["files"])
    for run in others:
        assert unlike(contents(run), expected) == []
        assert not (run / "checkpoints").exists()
        assert not [p for p in run.rglob("*") if p.name.endswith(".tmp")]


@pytest.mark.slow
def test_scoring_that_is_killed_pays_for_no_sample_twice(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    (tmp_path / "slow.py").write_text(
        "import os, time\n"
        "def reward(samples):\n"
        "    time.sleep(0.05)\n"
        f"    with open({str(calls)!r} + os.environ.get('WHERE', ''), 'a') as file:\n"
        "        file.write(''.join(s.text + '\\n' for s in samples))\n"
        "    return [float(len(s.text)) for s in samples]\n"
    )
    rows = [{"prompt": f"q{i}", "completion": f"{i}" + "x" * (i % 7)} for i in range(4000)]
    data = write_rows(tmp_path / "samples.jsonl", rows)
    found = killed(
        7, 6, tmp_path / "runs", "score", str(data), "--reward", f"{tmp_path / 'slow.py'}:reward",
        "--out", "{out}.jsonl",
    )  # fmt: skip
    assert len(found["kills"]) == 6
    undisturbed, *others = (Path(f"{f}.jsonl") for f in found["folders"])
    assert others
    for out in others:
        assert out.read_bytes() == undisturbed.read_bytes()
        log = Path(f"{out}.log").read_text().splitlines()
        keys = [key for line in log for key in json.loads(line)["values"]]
        assert len(keys) == len(set(keys)) == 4000
    # at most one chunk (256) can be under way when the kill comes; all else is read from the log
    files = 2 + len(others)
    assert len(calls.read_text().splitlines()) <= 4000 * files + 6 * 256
