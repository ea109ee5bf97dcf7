"""Every verb from file to file, and what it prints."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from plaudit.cli.main import VERBS, main
from plaudit.records import read
from plaudit.rewards.files import read_scored
from plaudit.rewards.models import ModelReward
from plaudit.rewards.registry import load
from small_data import pair_rows, write_rows

ROOT = Path(__file__).parents[2]


def test_the_readme_has_the_verbs():
    rows = re.findall(r"^\| `plaudit (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert set(rows) == set(VERBS)  # a verb may have two uses, and a line for each


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: plaudit {verb}")
    assert VERBS[verb].split()[0] in printed


def test_help_of_every_verb_and_every_list_come_without_torch():
    program = """
import contextlib, io, sys
from plaudit.cli.main import VERBS, main
lists = [["train", "--objective", "help"], ["train", "--fair", "help"], ["align", "help"], ["rewards"], ["lab", "list"],
         ["evaluate", "--benchmark", "help"]]
with contextlib.redirect_stdout(io.StringIO()):
    codes = [main(words) for words in [*([verb, "--help"] for verb in VERBS), *lists]]
assert not any(codes), codes
print([name for name in ("torch", "transformers", "scipy.stats", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_train_saves_a_model_that_transformers_opens(model_folder, capsys, pairs_file, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(model_folder)
    assert (model.config.num_labels, model.config.hidden_size) == (1, 32)
    words = ["train", str(pairs_file), "--out", str(tmp_path / "run"), "--width", "16", "--heads", "2"]
    assert main([*words, "--layers", "1", "--vocabulary", "300", "--batch-size", "8", "--epochs", "0.5"]) == 0
    printed, err = capsys.readouterr()
    assert err == ""
    assert "in place of" not in printed
    assert "trained on 48 preferences in 48 groups from scratch" in printed
    assert "(log 2 = 0.6931 is chance)" in printed
    assert "0 of 96 sequences truncated" in printed
    assert f"next: plaudit evaluate HELD_OUT_PAIRS --reward {tmp_path / 'run'}/model" in printed
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len([s for s in steps if "loss" in s]) == 3  # 48 groups in steps of 8, half of them
    words = ["train", str(pairs_file), "--model", str(tmp_path / "run"), "--batch-size", "8", "--epochs", "0.5"]
    assert main([*words, "--max-length", "64", "--out", str(tmp_path / "next")]) == 0
    assert f"in 48 groups from {tmp_path / 'run'} (" in capsys.readouterr().out
    assert main([*words, "--max-length", "64", "--seed", "1", "--out", str(tmp_path / "next")]) == 0
    assert f"saved {tmp_path / 'next'}/model, in place of an earlier model; next:" in capsys.readouterr().out
    assert main(["train", "--objective", "help"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("bradley-terry\n")
    assert main(["train", "--help"]) == 0
    options = capsys.readouterr().out
    named = re.findall(r"^  (--[a-z-]+)", listed, re.MULTILINE)
    assert len(named) == 7
    assert all(f"  {option} " in options for option in named)


def test_inspect_shows_what_the_model_sees(model_folder, pairs_file, capsys):
    assert main(["inspect", str(pairs_file), "--reward", str(model_folder), "--row", "2"]) == 0
    printed = capsys.readouterr().out
    reward = load(str(model_folder))
    samples = list(read(pairs_file).rows[1].samples())
    batch = reward(samples)
    eos, number = reward.tokenizer.eos_token, reward.tokenizer.eos_token_id
    how = "appended after the template" if reward.encoder.template.append_eos else "the template ends with it"
    assert f"EOS          {eos!r} (id {number}): {how}" in printed
    assert "path         prefix trees" in printed
    assert "leaf: the score is read at the last token" in printed
    assert "max length   64 tokens" in printed
    parts = printed.split("== completion ")[1:]
    assert len(parts) == 2
    for i, (part, sample) in enumerate(zip(parts, samples, strict=True)):
        assert f"{i + 1} of 2: reward {batch.reward[i]:.6f}, score {batch.detail[i]['score']:.6f}" in part
        assert f"-- template\nuser: question 1\n\nassistant: {sample.text}" in part
        tokens = [line for line in part.splitlines() if re.match(r" +\d+ +\d+  '", line)]
        shown = {int(line.split()[0]): int(line.split()[1]) for line in tokens}
        ids = reward.encoder.encode(sample.prompt, sample.completion).ids.tolist()
        assert shown.items() <= dict(enumerate(ids)).items()  # the middle of a long prompt is left out
        assert tokens[-1].endswith("^ score")
        assert (max(shown), shown[max(shown)]) == (len(ids) - 1, number)
        assert sum("| completion" in line for line in tokens) == 1
    assert main(["inspect", str(pairs_file), "--reward", "rule/length"]) == 0
    assert "length is no sequence model: there are no tokens to show" in capsys.readouterr().out


def test_a_second_scoring_scores_nothing(model_folder, pairs_file, tmp_path, capsys, monkeypatch):
    out = tmp_path / "scored.jsonl"
    words = ["score", str(pairs_file), "--reward", str(model_folder), "--out", str(out)]
    assert main(words) == 0
    assert capsys.readouterr().out == f"96 samples: 96 scored -> {out}\n"
    first = out.read_bytes()
    scored = read_scored(out)
    expected = load(str(model_folder))([s for p in read(pairs_file).rows for s in p.samples()]).reward
    assert scored.batch.reward == pytest.approx(expected, abs=1e-4)
    assert [s.text for s in scored.samples[:2]] == ["a good answer 0", "a bad answer 0"]
    out.unlink()
    calls = []
    original = ModelReward.__call__
    monkeypatch.setattr(ModelReward, "__call__", lambda self, s: calls.extend(s) or original(self, s))
    assert main(words) == 0
    assert calls == []
    assert out.read_bytes() == first
    write_rows(pairs_file, pair_rows(50))
    assert main(words) == 0
    assert len(calls) == 4  # the two new pairs


def test_scored_rows_go_to_parquet_too(pairs_file, tmp_path):
    for ending in ("jsonl.gz", "parquet"):
        out = tmp_path / f"s.{ending}"
        assert main(["score", str(pairs_file), "--reward", "rule/length", "--out", str(out)]) == 0
        # "a good answer 0" has four words, and so has "a bad answer 0"
        assert read_scored(out).batch.reward[:2].tolist() == [4.0, 4.0]


def test_evaluate_exit_codes_and_json(pairs_file, tmp_path, capsys):
    out = tmp_path / "e.json"
    words = ["evaluate", str(pairs_file), "--reward", "rule/length", "--json", str(out), "--subset", "lang"]
    # 36 of 48 chosen ones are two words longer, 12 tie: 36/48 + 12/96 = 0.875
    assert main([*words, "--fail-under", "accuracy=0.87"]) == 0
    assert main([*words, "--fail-under", "accuracy=0.88", "--fail-under", "ties=0.2"]) == 1
    assert "missed: accuracy is 0.875" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["accuracy"]["value"] == 0.875
    assert found["ties"]["value"] == 0.25
    # rows of odd number never tie: all of them are right; of the 24 others half tie
    assert (found["accuracy/lang=en"]["value"], found["accuracy/lang=de"]["value"]) == (1.0, 0.75)
    assert found["data"]["pairs"] == read(pairs_file).data_hash
    assert found["command"]


def test_evaluate_says_which_rows_give_no_pair(tmp_path, capsys):
    rows = [{"prompt": f"q{i}", "completions": ["a", "b b"], "scores": [0, 1] if i else [1, 1]} for i in range(8)]
    data = write_rows(tmp_path / "ranked.jsonl", rows)
    assert main(["evaluate", str(data), "--reward", "rule/length"]) == 0
    said = capsys.readouterr()
    assert "on 7 pairs of 7 prompts" in said.out
    assert f"{data}: 1 rows are not used: " in said.err


def test_select_takes_the_best_of_each_prompt(tmp_path, capsys):
    rows = [
        {"prompt": q, "completion": c}
        for q, c in [("x", "one"), ("y", "three words here"), ("x", "two words"), ("y", "one")]
    ]
    data, out = write_rows(tmp_path / "c.jsonl", rows), tmp_path / "best.jsonl"
    assert main(["select", str(data), "--reward", "rule/length", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"2 winners of 4 candidates -> {out}\n"
    best = read_scored(out)
    assert [s.text for s in best.samples] == ["two words", "three words here"]
    assert best.batch.reward.tolist() == [2.0, 3.0]


def test_rewards_and_lab_list_what_there_is(capsys):
    assert main(["rewards"]) == 0
    assert "rule/length" in capsys.readouterr().out
    assert main(["lab", "list"]) == 0
    printed = capsys.readouterr().out
    assert "training/data_scaling  grade " in printed
    assert "search/best_of_n_overoptimisation  grade " in printed


def test_a_run_from_recipe_to_report_without_texts(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", str(tiny), "--out", str(out), "--set", "title=Mine"]) == 0
    printed = capsys.readouterr().out
    stages = ["data", "train", "score", "evaluate", "audit", "select", "report"]
    assert re.findall(r"^\+ (\w+)", printed, flags=re.MULTILINE) == stages
    report = json.loads((out / "report.json").read_text())
    assert f"verdict: {report['verdict']['headline']}" in printed
    assert f"report  {out / 'report.html'}" in printed
    assert report["title"] == "Mine"
    wrong = report["wrong"][0]["chosen"]
    assert wrong in (out / "report.html").read_text()
    bare = tmp_path / "bare.html"
    assert main(["report", str(out), "--no-texts", "--out", str(bare)]) == 0
    assert wrong not in bare.read_text()


def test_as_a_program_in_a_pipe(tmp_path, model_folder):
    data = write_rows(tmp_path / "pairs.jsonl", pair_rows(20))
    words = [sys.executable, "-m", "plaudit.cli.main", "evaluate", str(data), "--reward", str(model_folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("run on 20 pairs of 20 prompts\naccuracy ")
    assert "baseline/longer" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_score_without_out_tells_the_mean_and_keeps_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": "6*7?", "completion": text, "reference": "42"} for text in ("The answer is 42.", "41")]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["score", "rows.jsonl", "--reward", "verify/math"]) == 0
    assert capsys.readouterr().out == "2 samples: 2 scored; mean reward 0.5\n"
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_score_says_why_there_is_no_reward(model_folder, tmp_path, capsys):
    long = [{"role": "system", "content": "be brief " * 90}, {"role": "user", "content": "q"}]
    rows = [{"prompt": prompt, "completion": "a"} for prompt in ("q", long, "r", long)]
    data = write_rows(tmp_path / "rows.jsonl", rows)
    assert main(["score", str(data), "--reward", str(model_folder), "--out", str(tmp_path / "out.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"4 samples: 2 scored, 2 abstained -> {tmp_path / 'out.jsonl'}",
        "  abstained: truncation: template and system message alone exceed max_length 64",
    ]


def test_sizes_of_a_model_that_is_there_are_refused(model_folder, pairs_file, tmp_path, capsys):
    words = ["train", str(pairs_file), "--model", str(model_folder), "--width", "16", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert "--width is of a model from scratch and has no effect on" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_column_that_should_be_the_reference_is_named(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "6*7?", "completion": "42", "answer": "42"}) + "\n")
    assert main(["score", str(path), "--reward", "verify/math"]) != 0
    assert "The rows have a column 'answer': rename it to 'reference'" in capsys.readouterr().err
    path.write_text(json.dumps({"prompt": "6*7?", "completion": None, "reference": "42"}) + "\n")
    assert main(["score", str(path), "--reward", "verify/math"]) != 0
    assert "prompts cannot become samples; their rows have no completion (or it is null)" in capsys.readouterr().err
