"""Ctrl-C, a full disk, a folder that cannot be written, two processes in one folder: nothing is lost."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from plaudit.cli.main import main
from small_data import pair_rows, write_rows

TINY_FIT = "--width 16 --layers 1 --heads 2 --vocabulary 300 --max-length 64 --batch-size 8".split()
FULL = (
    "plaudit: error: no space left on the disk; what was finished is kept: "
    "free some space and run the same command again\n"
)


def program(*words):
    return [sys.executable, "-m", "plaudit.cli.main", *map(str, words)]


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_run(tiny, tmp_path):
    out = tmp_path / "run"
    words = ["run", tiny, "--out", out, "--set", "train.epochs=400"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        program(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    ) as process:  # fmt: skip
        limit = time.monotonic() + 300
        while not list(out.glob("checkpoints/checkpoint-*/complete.json")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said == "plaudit: interrupted; the same command goes on from what is finished\n"
    assert printed.startswith("+ data ")
    kept = {p.parent for p in out.glob("checkpoints/checkpoint-*/complete.json")}
    assert kept
    assert main([str(w) for w in words[:4]]) == 0  # two epochs: other checkpoints, which are not resumed from
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 16


def test_sigterm_ends_as_ctrl_c_does(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time, pathlib\n"
        "def reward(samples):\n"
        f"    pathlib.Path({str(tmp_path / 'at-work')!r}).touch()\n"
        "    time.sleep(60)\n"
    )
    data = write_rows(tmp_path / "s.jsonl", [{"prompt": "q", "completion": "a"}])
    out = tmp_path / "out.jsonl"
    words = program("score", data, "--reward", f"{tmp_path / 'slow.py'}:reward", "--out", out)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        limit = time.monotonic() + 300
        while not (tmp_path / "at-work").exists():
            assert time.monotonic() < limit
            time.sleep(0.02)
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert (process.returncode, out.exists()) == (130, False)
    assert said == "plaudit: interrupted; the same command goes on from what is finished\n"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_while_scores_are_written(small_disk, tmp_path, capsys):
    data = write_rows(tmp_path / "pairs.jsonl", pair_rows(2000))
    out = small_disk / "s.jsonl"
    words = ["score", str(data), "--reward", "rule/length", "--out", str(out), "--log", str(tmp_path / "log")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"plaudit: error: write: no space left on the disk while writing {out}; ")
    assert said.count("\n") == 1
    assert list(small_disk.iterdir()) == []
    # the log fills first where it lies on that disk; what it holds stays
    assert main(words[:-2]) == 2
    assert "no space left" in capsys.readouterr().err
    log = [json.loads(line)["values"] for line in (small_disk / "s.jsonl.log").read_text().splitlines()]
    assert sum(map(len, log)) > 256
    assert all(value["outcome"] == "scored" for batch in log for value in batch.values())
    assert [p.name for p in small_disk.iterdir()] == ["s.jsonl.log"]


@pytest.mark.parametrize("width", [16, 64], ids=["while a checkpoint is written", "at once"])
def test_a_disk_that_fills_while_a_model_is_trained(small_disk, pairs_file, capsys, width):
    out = small_disk / "run"
    words = [
        "train",
        str(pairs_file),
        "--out",
        str(out),
        *TINY_FIT,
        "--width",
        str(width),
        "--save-steps",
        "2",
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "no space left on the disk" in said
    assert said.startswith("plaudit: error: ")
    assert said.count("\n") == 1
    assert not (out / "model").exists()
    for checkpoint in out.glob("checkpoints/*"):
        assert json.loads((checkpoint / "complete.json").read_text()) if (checkpoint / "complete.json").exists() else 1


def test_a_disk_that_fills_while_the_report_is_written(tiny, tmp_path, monkeypatch, capsys):
    from plaudit.report import folder

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_text", full)
        assert main(["run", str(tiny), "--out", str(out)]) == 2
    assert capsys.readouterr().err == FULL
    assert not (out / "report.json").exists()
    assert main(["run", str(tiny), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("finished before") == 6  # all but the report
    assert (out / "report.html").is_file()


def test_a_place_that_cannot_be_written(pairs_file, capsys, tiny, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for words in (
        ["score", str(pairs_file), "--reward", "rule/length", "--out", "/proc/none/s.jsonl"],
        ["score", str(pairs_file), "--reward", "rule/length", "--out", str(file / "s.jsonl")],
        ["run", str(tiny), "--out", "/proc/none"],
        ["run", str(tiny), "--out", str(file)],
        ["train", str(pairs_file), "--out", str(file), *TINY_FIT],
        ["data", "split", str(pairs_file), "--out", "/proc/none"],
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.startswith("plaudit: error: write: cannot write")
        assert "choose a place that can be written" in said
        assert said.count("\n") == 1
    assert file.read_text() == "mine"


def test_two_processes_in_one_folder(tiny, pairs_file, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for words in (["run", str(tiny), "--out", str(out)], ["train", str(pairs_file), "--out", str(out)]):
            assert main(words) == 2
            said = capsys.readouterr().err
            assert said.startswith(f"plaudit: error: run {out}: another process is at work in it; ")
            assert said.count("\n") == 1
    assert [p.name for p in out.iterdir()] == [".lock"]


def test_a_report_that_is_none(tmp_path, capsys):
    for text in ("{", "[]", '{"titel": 3}', "{}"):
        (tmp_path / "report.json").write_text(text)
        assert main(["report", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("plaudit: error: report: ")
        assert "report.json" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "report.html").exists()
