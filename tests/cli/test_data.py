import json

import pytest

from plaudit.cli.main import main
from plaudit.records import read


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"q{i % 20}", "chosen": f"good {i}", "rejected": "bad"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_check_reports_and_a_broken_row_is_two(pairs, tmp_path, capsys):
    assert main(["data", "check", str(pairs)]) == 0
    out = capsys.readouterr().out
    assert "pairs, 40 rows, 20 distinct prompts" in out
    # 40 of 40: Wilson's lower end is 40 / (40 + 1.96^2) = 0.912
    assert "1.000 [0.912, 1.000]" in out
    with open(pairs, "a") as file:
        file.write('{"prompt": "q", "chosen": 7, "rejected": "b"}\n')
    report = tmp_path / "report.json"
    assert main(["data", "check", str(pairs), "--against", str(pairs), "--json", str(report)]) == 2
    out = capsys.readouterr().out
    assert "row 41: chosen = 7: it is int; give text or a list of messages" in out
    document = json.loads(report.read_text())
    assert document["broken"][0]["row"] == 41
    assert len(document["shared_prompts"][str(pairs)]) == 40


def test_convert_and_skip_broken(pairs, tmp_path, capsys):
    with open(pairs, "a") as file:
        file.write("{torn")
    out = tmp_path / "unpaired.parquet"
    assert main(["data", "convert", str(pairs), "--to", "unpaired", "--out", str(out)]) == 2
    assert not out.exists()
    assert "row 41" in capsys.readouterr().err
    aside = tmp_path / "aside.jsonl"
    command = [
        "data",
        "convert",
        str(pairs),
        "--to",
        "unpaired",
        "--out",
        str(out),
        "--skip-broken",
        str(aside),
    ]
    assert main(command) == 0
    assert "1 broken rows set aside" in capsys.readouterr().out
    assert (read(out).kind, len(read(out))) == ("unpaired", 80)
    assert json.loads(aside.read_text())["row"] == 41


def test_convert_a_scored_file(tmp_path, capsys):
    scored, out = tmp_path / "scored.jsonl", tmp_path / "pairs.jsonl"
    rows = [{"prompt": "q", "completion": c, "reward": r, "outcome": "scored"} for c, r in (("a", 0.0), ("b", 1.0))]
    rows.append({"prompt": "q", "completion": "c", "reward": None, "outcome": "timed_out"})
    scored.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "convert", str(scored), "--to", "pairs", "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("1 rows of pairs from 3 of samples")
    assert said[1] == "  1 rows gave none: their prompt has no second, different reward"
    (pair,) = read(out).rows
    assert (pair.chosen, pair.rejected, pair.margin) == ("b", "a", 1.0)


def test_convert_to_conversational(pairs, tmp_path):
    out = tmp_path / "c.jsonl"
    assert main(["data", "convert", str(pairs), "--to", "conversational", "--out", str(out)]) == 0
    row = json.loads(out.read_text().splitlines()[0])
    assert row["prompt"] == [{"role": "user", "content": "q0"}]
    assert row["chosen"] == [{"role": "assistant", "content": "good 0"}]


def test_split_and_folds(pairs, tmp_path, capsys):
    assert main(["data", "split", str(pairs), "--parts", "train=0.75,test=0.25", "--out", str(tmp_path / "s")]) == 0
    train, test = (read(tmp_path / "s" / f"{name}.jsonl") for name in ("train", "test"))
    assert (len(train), len(test)) == (30, 10)  # 15 and 5 of the 20 prompts, two rows each
    assert not {r.prompt for r in train.rows} & {r.prompt for r in test.rows}
    assert main(["data", "split", str(pairs), "--folds", "4", "--out", str(tmp_path / "f")]) == 0
    assert len(list((tmp_path / "f").iterdir())) == 8
    capsys.readouterr()
    assert main(["data", "split", str(pairs), "--parts", "train:0.8", "--out", str(tmp_path / "g")]) == 2
    assert "write NAME=SHARE" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


def test_no_file(tmp_path, capsys):
    assert main(["data", "check", str(tmp_path / "none.jsonl")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("plaudit: error: read: there is no file")
    assert err.count("\n") == 1
