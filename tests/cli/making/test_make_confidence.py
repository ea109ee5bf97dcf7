"""Pairs with a stated confidence, by the command."""

import json

import pytest

from plaudit.cli.main import main
from plaudit.records import read

ROWS = [
    {"prompt": "q", "chosen": "good", "rejected": "bad", "margin": 2.0, "topic": "t"},
    {"prompt": "p", "chosen": "yes", "rejected": "no\nConfidence: 4"},
]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*options, rows=ROWS, out="stated.jsonl"):
        (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return main(["data", "confidence", "pairs.jsonl", "--out", out, *options])

    return run


ONE = ("--high", "8-8", "--low", "2-2")
"""Ranges of one number: what is stated is then known."""


def sides(path):
    return [(row.chosen, row.rejected) for row in read(path).rows]


def test_two_pairs_of_each(make, capsys):
    assert make(*ONE) == 0
    # a high confidence is better on chosen, worse on rejected; a statement that was there stays before the new one
    stood = "no\nConfidence: 4\nConfidence: "
    assert sides("stated.jsonl") == [
        ("good\nConfidence: 8", "good\nConfidence: 2"), ("bad\nConfidence: 2", "bad\nConfidence: 8"),
        ("yes\nConfidence: 8", "yes\nConfidence: 2"), (f"{stood}2", f"{stood}8"),
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "stated.jsonl: 4 rows of pairs from 2 pairs",
        "  1 of 4 completions stated a confidence before: the new one stands behind it",
    ]
    first = read("stated.jsonl").rows[0]
    assert (first.margin, dict(first.meta)) == (None, {"topic": "t"})  # the margin was the pair's


def test_further_pairs(make):
    assert make(*ONE, "--original", "--ordered", rows=ROWS[:1]) == 0
    assert sides("stated.jsonl") == [
        ("good", "bad"), ("good\nConfidence: 8", "good\nConfidence: 2"), ("bad\nConfidence: 2", "bad\nConfidence: 8"),
        ("good\nConfidence: 8", "bad\nConfidence: 2"),
    ]  # fmt: skip
    assert read("stated.jsonl").rows[0].margin == 2.0


def test_rankings(make):
    assert make(*ONE, "--to", "ranked", rows=ROWS[:1], out="ranked.parquet") == 0
    (row,) = read("ranked.parquet").rows
    assert row.completions == ("good\nConfidence: 8", "good\nConfidence: 2", "bad\nConfidence: 2", "bad\nConfidence: 8")
    assert row.scores == (3.0, 2.0, 1.0, 0.0)


def test_the_seed_draws_the_numbers(make, tmp_path):
    many = [{"prompt": f"q {i}", "chosen": "a", "rejected": "b"} for i in range(50)]
    for name, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        assert make("--seed", seed, rows=many, out=f"{name}.jsonl") == 0
    files = [(tmp_path / f"{name}.jsonl").read_bytes() for name in ("one", "two", "three")]
    assert files[0] == files[1] != files[2]
    stated = {text.split("\nConfidence: ")[1] for pair in sides("one.jsonl") for text in pair}
    assert stated == {"0", "1", "2", "3", "7", "8", "9", "10"}  # 100 draws of each range: both ends are there


def test_broken_rows_are_set_aside(make, capsys):
    assert make("--skip-broken", "aside.jsonl", rows=[*ROWS, {"prompt": "q", "chosen": 7, "rejected": "b"}]) == 0
    assert "pairs.jsonl: 1 broken rows set aside in aside.jsonl" in capsys.readouterr().out
    assert len(read("stated.jsonl")) == 4


SILENT = {"prompt": "q", "chosen": [{"role": "assistant", "content": [{"type": "image", "url": "x"}]}], "rejected": "b"}


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        (["--high", "7"], ROWS, "data confidence: --high is '7'; write both ends, as in 7-10"),
        (["--low", "0-8"], ROWS, "confidence rows: low is (0, 8) and high (7, 10); give ranges in 0 to 10"),
        (["--to", "ranked", "--ordered"], ROWS, "data confidence: --ordered is a further pair, and --to ranked makes"),
        (["--seed", "-1"], ROWS, "data: --seed is -1"),
        ([], [*ROWS, SILENT], "data confidence: chosen of pair 3: no assistant speaks in text in this completion"),
        ([], [{"prompt": "q"}], "prompt, chosen and rejected are needed"),
        ([], [{"prompt": "q", "chosen": 7, "rejected": "b"}], "pairs.jsonl row 1: chosen = 7"),
    ],
)
def test_mistakes_are_one_line(make, tmp_path, capsys, options, rows, message):
    assert make(*options, rows=rows) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "stated.jsonl").exists()


def test_a_file_of_another_ending_is_refused_before_anything_is_read(make, capsys):
    assert make(out="stated.txt") == 2
    assert "stated.txt ends in none of" in capsys.readouterr().err
