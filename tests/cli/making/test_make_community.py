"""Pairs from a log of events, by the command."""

import json

import pytest

from plaudit.cli.main import main
from plaudit.records import read


def events(prompt, item, **users):
    return [
        {"prompt": prompt, "completion": item, "user": user, "action": action}
        for action, names in users.items() for user in names
    ]  # fmt: skip


ROWS = [
    # by 0, who counts for nothing: 2 of 4 others reused it; 4 reused without a line that says that it was shown
    *events("p", "good", made=[0], shown=[0, 1, 2, 3], reused=[0, 1, 4]),
    *events("p", "poor", shown=[1, 2, 3, 3]),  # 0 of 3: a user counts once
    *events("p", "fair", shown=[1, 2, 3, 4], reused=[1]),  # 1 of 4
    *events("p", "new", shown=[1, 2], reused=[1, 2]),  # 2 of 2, which is few
    *events("q", "good", shown=[1, 2, 3], reused=[1, 2, 3]),
]
LIMITS = ["--min-exposure", "3", "--min-rate", "0.5", "--max-rate", "0.2"]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*options, rows=ROWS, limits=LIMITS):
        (tmp_path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return main(["data", "community", "events.jsonl", "--out", "pairs.jsonl", *limits, *options])

    return run


def test_reused_over_passed_over(make, capsys):
    assert make() == 0
    (row,) = read("pairs.jsonl").rows
    assert (row.prompt[0].text, row.chosen, row.rejected) == ("p", "good", "poor")
    assert dict(row.meta) == {"chosen_rate": 0.5, "rejected_rate": 0.0, "weight": 1.0}
    assert capsys.readouterr().out.splitlines() == [
        "pairs.jsonl: 1 rows of pairs on 1 prompts, from 27 events on 5 completions",
        "  1 completions were shown to fewer than 3 users",
        "  1 completions have a rate between 0.2 and 0.5",
        "  1 completions have no counterpart of their prompt",
    ]


def test_receptions(make, tmp_path):
    assert make("--receptions", "received.jsonl") == 0
    rows = [json.loads(line) for line in (tmp_path / "received.jsonl").read_text().splitlines()]
    assert [(r["completion"], r["exposures"], r["reuses"], r["rate"]) for r in rows] == [
        ("good", 4, 2, 0.5), ("poor", 3, 0, 0.0), ("fair", 4, 1, 0.25), ("new", 2, 2, 1.0), ("good", 3, 3, 1.0),
    ]  # fmt: skip


def test_weights_add_up_to_one_a_prompt(make):
    assert make("--max-rate", "0.25") == 0  # then fair was passed over, too
    assert [(row.rejected, row.meta["weight"]) for row in read("pairs.jsonl").rows] == [("poor", 0.5), ("fair", 0.5)]


def test_other_spellings_and_broken_rows(make, capsys):
    renamed = [{"item" if k == "completion" else k: v for k, v in row.items()} for row in ROWS]
    assert make("--skip-broken", "aside.jsonl", rows=[*renamed, {"prompt": "p", "item": "x", "user": "u"}]) == 0
    assert "events.jsonl: 1 broken rows set aside in aside.jsonl" in capsys.readouterr().out
    assert len(read("pairs.jsonl")) == 1


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ([], {"action": "liked"}, "events.jsonl row 1: action = 'liked': is not known; give made, shown, reused"),
        ([], {"user": None}, "events.jsonl row 1: user: the column is null"),
        ([], {"prompt": [{"role": "user", "content": "p"}]}, "events.jsonl row 1: prompt = [{"),
        (["--min-rate", "2"], {}, "min_rate is 2.0"),
        (["--min-exposure", "9"], {}, "none of 5 completions is better than another of its prompt: 5 completions were"),
        (["--receptions", "pairs.jsonl"], {}, "data community: --out and --receptions are one file"),
        (["--receptions", "r.txt"], {}, "r.txt ends in none of"),
    ],
)
def test_mistakes_are_one_line(make, tmp_path, capsys, options, change, message):
    assert make(*options, rows=[{**ROWS[0], **change}, *ROWS[1:]]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]


def test_what_is_no_file_or_empty(make, tmp_path, capsys):
    assert main(["data", "community", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "o.jsonl")]) == 2
    assert "read: there is no file" in capsys.readouterr().err
    assert make(rows=[]) == 2
    assert "events.jsonl: is empty; it has no row" in capsys.readouterr().err
    assert make("--skip-broken", "aside.jsonl", rows=[{"prompt": "p"}]) == 2
    assert "all 1 rows are broken; row 1: user: the column is missing" in capsys.readouterr().err
