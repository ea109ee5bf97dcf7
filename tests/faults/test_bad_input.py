"""What a user can get wrong: one line (who, which value, why, the fix), code 2, nothing half-written."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.rewards.files import read_scored
from small_data import pair_rows, write_rows

TINY_FIT = "--width 16 --layers 1 --heads 2 --vocabulary 300 --max-length 64 --batch-size 8"


@pytest.fixture
def refused(capsys):
    """Runs a command that must fail with one line, and gives the line."""

    def call(*words):
        capsys.readouterr()
        assert main([str(w) for w in words]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("plaudit: error: ")
        assert said.err.count("\n") == 1
        assert said.err.endswith("\n")
        assert "Traceback" not in said.err
        return said.err

    return call


def test_an_empty_file(refused, tiny, tmp_path, model_folder):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    out = tmp_path / "out"
    for words in (
        ["data", "check", empty],
        ["train", empty, "--out", out],
        ["score", empty, "--reward", model_folder, "--out", out / "s.jsonl"],
        ["evaluate", empty, "--reward", "rule/length"],
        ["run", tiny, "--out", out, "--set", "data.world=null", "--set", f"data.train={empty}"],
    ):
        assert "is empty; it has no row" in refused(*words)
        assert not out.exists()


def test_one_broken_row_among_thousands(refused, tmp_path, capsys):
    rows = pair_rows(3000)
    rows[1234]["rejected"] = None
    data = write_rows(tmp_path / "pairs.jsonl", rows)
    out = tmp_path / "scored.jsonl"
    score = ["score", data, "--reward", "rule/length", "--out", out]
    said = refused(*score)
    assert f"{data} row 1235: rejected" in said
    assert "--skip-broken" in said
    assert not out.exists()
    assert "row 1235" in refused("train", data, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    aside = tmp_path / "aside.jsonl"
    assert main([str(w) for w in [*score, "--skip-broken", aside]]) == 0
    assert capsys.readouterr().out == f"5998 samples: 5998 scored -> {out}; 1 broken rows in {aside}\n"
    assert json.loads(aside.read_text())["row"] == 1235
    assert len(read_scored(out).samples) == 2 * 2999


def test_a_wrong_column(refused, tmp_path):
    rows = [{"prompt": "q", "choosen": "a", "rejected": "b"} for _ in range(3)]
    data = write_rows(tmp_path / "pairs.jsonl", rows)
    said = refused("train", data, "--out", tmp_path / "run")
    assert "choosen" in said
    assert "chosen" in said.replace("choosen", "")
    assert not (tmp_path / "run").exists()
    scored = write_rows(tmp_path / "samples.jsonl", [{"prompt": "q", "completion": "a", "reward": 3}])
    said = refused("score", scored, "--reward", "rule/length", "--out", tmp_path / "s.jsonl")
    assert "'reward' in its meta already; rename or remove it" in said
    assert not list(tmp_path.glob("s.jsonl*"))  # refused before anything was scored


def test_rows_of_another_kind(refused, tmp_path):
    samples = write_rows(tmp_path / "samples.jsonl", [{"prompt": "q", "completion": "a"}])
    for verb in (
        ["train", samples, "--out", tmp_path / "run"],
        ["evaluate", samples, "--reward", "rule/length"],
    ):
        assert "samples" in refused(*verb) or "sample row" in refused(*verb)
    assert not (tmp_path / "run").exists()


def test_unknown_names(refused, tiny, pairs_file, tmp_path):
    out = tmp_path / "out.jsonl"
    assert "unknown key 'train.epocs'; did you mean 'epochs'" in refused("run", tiny, "--set", "train.epocs=2")
    assert "did you mean 'rule/length'" in refused("score", pairs_file, "--reward", "rule/lenght", "--out", out)
    said = refused("score", pairs_file, "--reward", "rule/length?targt=3", "--out", out)
    assert "unknown option 'targt'; did you mean 'target'" in said
    said = refused("score", pairs_file, "--rewrd", "rule/length", "--out", out)
    assert "there is no option --rewrd; did you mean '--reward'" in said
    assert "did you mean '--learning-rate'" in refused("train", pairs_file, "--learning-rte", "1", "--out", out)
    assert "objective 'bradly-terry' is not known" in refused(
        "train", pairs_file, "--objective", "bradly-terry", "--out", out
    )
    said = refused("evaluate", pairs_file, "--reward", "rule/length", "--subset", "lnag")
    assert "no pair has a column 'lnag'; did you mean 'lang'" in said
    assert not list(tmp_path.glob("out*"))


def test_paths_that_do_not_exist(refused, tiny, pairs_file, tmp_path):
    out, gone = tmp_path / "out", tmp_path / "pears.jsonl"
    assert "there is no file" in refused("train", gone, "--out", out)
    assert "did you mean 'pairs.jsonl'" in refused("data", "check", gone)
    said = refused("run", tiny, "--out", out, "--set", "data.world=null", "--set", f"data.train={gone}")
    assert "there is no file" in said
    assert "did you mean 'pairs.jsonl'" in said
    assert "no such recipe" in refused("run", tmp_path / "my.yaml", "--out", out)
    assert "no such model folder" in refused("train", pairs_file, "--model", tmp_path / "model", "--out", out)
    said = refused("score", pairs_file, "--reward", tmp_path / "model", "--out", out / "s.jsonl")
    assert "neither a path that exists nor a known reward" in said
    assert "no such file" in refused("score", pairs_file, "--reward", "mine.py:f", "--out", out / "s.jsonl")
    assert "report.json is not there" in refused("report", tmp_path)
    assert not out.exists()


def test_a_bad_file_leaves_a_finished_run_as_it_was(refused, tiny, pairs_file, tmp_path):
    out = tmp_path / "run"
    files = ["--set", "data.world=null", "--set", "model.vocabulary=300", "--set", f"data.train={pairs_file}"]
    assert main(["run", str(tiny), "--out", str(out), *files]) == 0
    before = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    refused("run", tiny, "--out", out, *files, "--set", f"data.test={tmp_path / 'gone.jsonl'}")
    assert {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()} == before


@pytest.fixture
def broken_model(model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    return tmp_path / "model"


def _no_weights(folder):
    (folder / "model.safetensors").unlink()


def _pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _torn(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _no_config(folder):
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_no_weights, "holds no weights; expected model.safetensors"),
        (_pickle, "weights are a pickle (pytorch_model.bin)"),
        (_torn, "model.safetensors is torn or not safetensors"),
        (_no_config, "holds no config.json"),
    ],
)
def test_model_folders_that_cannot_be_opened(refused, broken_model, pairs_file, tmp_path, damage, says):
    damage(broken_model)
    out = tmp_path / "out"
    assert says in refused("score", pairs_file, "--reward", broken_model, "--out", out / "s.jsonl")
    assert says in refused("evaluate", pairs_file, "--reward", broken_model)
    said = refused("train", pairs_file, "--model", broken_model, "--out", out, "--max-length", 64)
    assert says in said
    assert str(broken_model) in said
    assert not out.exists()


def test_a_completion_longer_than_the_context_is_truncated_and_counted(model_folder, tmp_path, capsys):
    long = [{"prompt": "q", "chosen": "word " * 500, "rejected": "b"}, *pair_rows(15)]
    data = write_rows(tmp_path / "long.jsonl", long)
    out = tmp_path / "s.jsonl"
    assert main(["score", str(data), "--reward", str(model_folder), "--out", str(out)]) == 0
    batch = read_scored(out).batch
    assert np.isfinite(batch.reward).all()
    assert batch.detail[0]["tokens"] <= 64
    assert batch.detail[0]["cut"] > 100
    capsys.readouterr()
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *TINY_FIT.split()]) == 0
    assert "2 of 32 sequences truncated" in capsys.readouterr().out


def test_scores_that_are_not_finite(model_folder, pairs_file, tmp_path, capsys, refused):
    from safetensors.numpy import load_file, save_file

    sick = tmp_path / "sick"
    shutil.copytree(model_folder, sick)
    weights = load_file(sick / "model.safetensors")
    name = next(n for n in weights if "score" in n)
    save_file(weights | {name: np.full_like(weights[name], np.nan)}, sick / "model.safetensors", {"format": "pt"})
    out = tmp_path / "s.jsonl"
    assert main(["score", str(pairs_file), "--reward", str(sick), "--out", str(out)]) == 0
    assert "96 instrument_fault" in capsys.readouterr().out
    row = json.loads(out.read_text().splitlines()[0])
    assert (row["reward"], row["outcome"]) == (None, "instrument_fault")
    assert "score is nan" in row["detail"]["error"]
    evaluate = ["evaluate", str(pairs_file), "--reward", str(sick)]
    assert main([*evaluate, "--fail-under", "accuracy=0.1"]) == 1
    said = capsys.readouterr().out
    assert "48 of 48 pairs have no margin and leave every mean: 48 instrument_fault" in said
    assert "missed: accuracy is n/a" in said
    said = refused("select", pairs_file, "--reward", sick, "--out", tmp_path / "best.jsonl")
    assert "none of the 96 candidates got a reward" in said
    assert not (tmp_path / "best.jsonl").exists()


def test_nothing_to_learn(refused, tiny, tmp_path):
    rows = [{"prompt": f"q{i}", "chosen": "same", "rejected": "same"} for i in range(40)]
    data = write_rows(tmp_path / "same.jsonl", rows)
    out = tmp_path / "run"
    assert "chosen and rejected are identical in all 40 rows" in refused("train", data, "--out", out)
    assert not out.exists()
    said = refused("run", tiny, "--out", out, "--set", "data.world=null", "--set", f"data.train={data}")
    assert "chosen and rejected are identical in all" in said
    assert not (out / "model").exists()


def test_usage(refused, pairs_file, tmp_path):
    assert "'scroe' is no verb; did you mean 'score'" in refused("scroe")
    assert "--reward" in refused("score", pairs_file, "--out", "x.jsonl")
    assert "epochs is -1.0; it must be positive" in refused("train", pairs_file, "--out", tmp_path / "x", "--epochs=-1")
    assert "give DATA and --out" in refused("train")
    said = refused("score", pairs_file, "--reward", "rule/length", "--out", tmp_path / "x.txt")
    assert "ends in none of .jsonl" in said
    assert "has rows 1 to 48" in refused("inspect", pairs_file, "--reward", "rule/length", "--row", 49)
    assert not list(tmp_path.glob("x*"))


def test_a_fault_of_the_users_own_reward_is_named(refused, pairs_file, tmp_path):
    (tmp_path / "mine.py").write_text("def few(samples):\n    return [1.0]\n")
    out = tmp_path / "s.jsonl"
    said = refused("score", pairs_file, "--reward", f"{tmp_path / 'mine.py'}:few", "--out", out)
    assert "few: returned 1 rewards for 96 samples; return one each" in said
    assert "did you mean 'few'" in refused("score", pairs_file, "--reward", f"{tmp_path / 'mine.py'}:fwe", "--out", out)
    assert not out.exists()


def test_as_a_process(tmp_path):
    """The same through the installed program: no traceback, the code reaches the shell."""
    program = [sys.executable, "-m", "plaudit.cli.main", "evaluate", "gone.jsonl", "--reward", "rule/length"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "plaudit: error: read: there is no file gone.jsonl\n"
