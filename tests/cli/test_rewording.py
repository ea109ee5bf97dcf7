"""Rewordings of chosen completions before a fit, by the command."""

from dataclasses import replace

import pytest

from plaudit.cli.main import main
from plaudit.records import Message, Pair, Ranked, read, write

SMALL = ["--width", "16", "--heads", "2", "--layers", "1", "--vocabulary", "300", "--max-length", "96"]


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    monkeypatch.chdir(tmp_path)

    def run(rows, *options, out):
        write(tmp_path / "pairs.jsonl", rows)
        return main(["train", "pairs.jsonl", "--out", out, *SMALL, "--batch-size", "8", *options])

    return run


ROWS = [Pair((Message("user", f"q {i}"),), f"the good answer number {i}", "bad", annotator="a") for i in range(4)]


def test_outermost_rewordings_are_trained_on_and_kept(train, tmp_path, capsys):
    assert train(ROWS, out="one") == 0
    assert train(ROWS, "--reword-by", "one", "--rewordings", "3", out="two") == 0
    found = read(tmp_path / "two" / "reworded.jsonl").rows
    added = [row for row in found if row.meta.get("reworded")]
    assert f"rewordings by one: {len(added)} pairs added; see two/reworded.jsonl" in capsys.readouterr().out
    assert [row for row in found if not row.meta.get("reworded")] == ROWS
    assert 4 <= len(added) <= 12
    for row in added:
        (of,) = [r for r in ROWS if r.prompt == row.prompt]
        assert row.chosen != of.chosen
        assert set(row.chosen.split()) <= set(of.chosen.split())
        assert (row.rejected, row.annotator) == ("bad", "a")


def test_a_later_fit_without_them_keeps_none(train, tmp_path):
    assert train(ROWS, out="one") == 0
    assert train(ROWS, "--reword-by", "one", out="two") == 0
    kept = (tmp_path / "two" / "reworded.jsonl").read_text()
    # a fit that fails leaves what the model that is still there was trained on
    others = [replace(row, chosen=f"another {row.chosen}") for row in ROWS]
    assert train(others, "--reword-by", "one", "--max-length", "4", out="two") == 2
    assert (tmp_path / "two" / "reworded.jsonl").read_text() == kept
    # and a fit on the file itself does not take it away
    again = ["train", "two/reworded.jsonl", "--out", "two", *SMALL, "--batch-size", "8"]
    assert main(again) == 0
    assert (tmp_path / "two" / "reworded.jsonl").read_text() == kept
    assert train(ROWS, out="two") == 0
    assert not (tmp_path / "two" / "reworded.jsonl").exists()


def test_mistakes_are_one_line(train, capsys):
    for options, rows, words in (
        (["--rewordings", "3"], ROWS, "--rewordings and --reword-share need a model"),
        (["--reword-by", "rule/length"], ROWS, "--reword-by: rule/length is no reward model with states"),
        (["--reword-by", "x"], [Ranked(ROWS[0].prompt, ("a", "b"), (1.0, 0.0))], "--reword-by: row 1 is no pair"),
    ):
        assert train(rows, *options, out="no") == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert words in said[-1]
