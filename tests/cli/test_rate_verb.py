"""`plaudit rate` from files, in every format, and what it refuses."""

from __future__ import annotations

import gzip
import json

import pytest

from plaudit.cli.main import main

ROWS = [("a", "b", "model_a", "p1"), ("b", "a", "model_a", "p2"), ("a", "b", "tie (bothbad)", "p3")]


def write(path, rows=ROWS):
    header = "model_a,model_b,winner,prompt"
    path.write_text("\n".join([header, *(",".join(r) for r in rows)]) + "\n")
    return str(path)


def test_a_table_and_the_same_numbers_as_json(tmp_path, capsys):
    assert main(["rate", write(tmp_path / "b.csv"), "--json", str(tmp_path / "o.json")]) == 0
    told = capsys.readouterr().out
    assert "bradley-terry: 2 systems, 3 battles of 3 prompts" in told
    assert "3 prompts are few to resample" in told
    numbers = json.loads((tmp_path / "o.json").read_text())
    assert numbers["a"]["value"] == pytest.approx(1000)  # one win each and a tie
    assert numbers["configuration"]["method"] == "bradley-terry"


def test_an_infinite_end_is_shown_and_told_where_json_has_no_number_for_it(tmp_path, capsys):
    rows = [("a", "b", "model_b" if i == 0 else "model_a", f"p{i}") for i in range(20)]
    assert main(["rate", write(tmp_path / "b.csv", rows), "--json", str(tmp_path / "o.json")]) == 0
    # 19 of 20; 2.5% of resamples have at most 17 of 20 wins, and 36% have 20 of 20: 200 log10(17 / 3) = 150.666
    assert "a  1255.751 [1150.666, inf]" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "o.json").read_text())
    assert numbers["a"]["high"] is None
    assert "upper end infinite" in numbers["a"]["method"]


def test_names_and_prompts_that_are_missing(tmp_path, capsys):
    path = write(tmp_path / "b.csv", [("a", "b", "tie", ""), ("a", " ", "tie", "p"), ("b", "a", "tie", "p")])
    assert main(["rate", path]) == 2
    assert "model_b = ' ': names no system" in capsys.readouterr().err
    assert main(["rate", path, "--skip-broken", str(tmp_path / "broken.jsonl")]) == 0
    told = capsys.readouterr().out
    assert "1 rows are not used: broken, set aside" in told
    assert "1 battles name no prompt: each is resampled by itself" in told


def test_a_system_may_be_called_command(tmp_path):
    path = tmp_path / "b.csv"
    rows = [("command", "data", "model_a"), ("command", "data", "model_b"), ("data", "gpt", "tie")]
    path.write_text("model_a,model_b,winner,prompt\n" + "".join(f"{','.join(r)},p{i}\n" for i, r in enumerate(rows)))
    assert main(["rate", str(path), "--json", str(tmp_path / "o.json")]) == 0
    numbers = json.loads((tmp_path / "o.json").read_text())
    assert numbers["system/command"]["value"] == pytest.approx(numbers["gpt"]["value"])
    assert isinstance(numbers["command"], str)


@pytest.mark.parametrize("ending", [".jsonl", ".csv.gz", ".parquet"])
def test_formats_give_the_same_ratings(tmp_path, ending, capsys):
    rows = [dict(zip(("model_a", "model_b", "winner", "prompt"), r, strict=True)) for r in ROWS]
    path = tmp_path / f"b{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    elif ending == ".csv.gz":
        path.write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes() if write(tmp_path / "x.csv") else b""))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    main(["rate", write(tmp_path / "plain.csv"), "--method", "elo"])
    plain = capsys.readouterr().out
    assert main(["rate", str(path), "--method", "elo"]) == 0
    assert capsys.readouterr().out == plain


def test_one_battle_is_answered_in_words(tmp_path, capsys):
    assert main(["rate", write(tmp_path / "b.csv", ROWS[:1])]) == 0
    assert "nothing has a finite rating without --prior" in capsys.readouterr().out


def test_an_unknown_winner_names_its_row_and_can_be_set_aside(tmp_path, capsys):
    path = write(tmp_path / "b.csv", [*ROWS, ("a", "b", "A wins", "p4")])
    assert main(["rate", path]) == 2
    assert "b.csv row 5: winner = 'A wins': is no outcome" in capsys.readouterr().err
    assert main(["rate", path, "--skip-broken", str(tmp_path / "broken.jsonl")]) == 0
    assert "1 rows are not used: broken, set aside" in capsys.readouterr().out
    assert json.loads((tmp_path / "broken.jsonl").read_text())["row"] == 5


def test_a_file_that_is_not_there(capsys):
    assert main(["rate", "nowhere.csv"]) == 2
    assert "there is no file nowhere.csv" in capsys.readouterr().err
