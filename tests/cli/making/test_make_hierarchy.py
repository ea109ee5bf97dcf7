"""Pairs by a ranking of aspects, by the command."""

import json

import pytest

from plaudit.cli.main import main
from plaudit.records import read


def rated(prompt, completion, **aspects):
    return {"prompt": prompt, "completion": completion, "aspects": aspects, "topic": "t"}


# deviations over all rows: correct is 1, 1, 0, 0, so 1/2; words are 4, 2, 0, 2, so the root of 2
ROWS = [
    rated("q", "a", correct=1, words=4), rated("q", "b", correct=1, words=2), rated("q", "c", correct=0, words=0),
    rated("p", "d", correct=0, words=2),
]  # fmt: skip


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*options, rows=ROWS):
        (tmp_path / "rated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return main(["data", "hierarchy", "rated.jsonl", "--out", "pairs.jsonl", *options])

    return run


def made():
    return {(row.chosen, row.rejected, row.meta["factor"], row.meta["level"]) for row in read("pairs.jsonl").rows}


def test_the_first_aspect_that_differs_decides(make, capsys):
    assert make("--order", "correct,-words") == 0
    # a and b are both right: b has 2 words less, which is more than half of 1.414
    assert made() == {("a", "c", "correct", 0), ("b", "c", "correct", 0), ("b", "a", "-words", 1)}
    assert capsys.readouterr().out.splitlines() == [
        "pairs.jsonl: 3 rows of pairs from 4 of rated",
        "  decided by correct 2, -words 1",
        "  1 rows gave none: their prompt has no second rated completion",
    ]
    assert read("pairs.jsonl").rows[0].meta["topic"] == "t"


def test_margins_of_each_aspect(make, capsys):
    # 2 deviations of the words are 2.83, and a has 2 more than b: nothing decides
    assert make("--order", "correct,-words", "--margins", "0.5,2") == 0
    assert made() == {("a", "c", "correct", 0), ("b", "c", "correct", 0)}
    assert "  1 of 3 comparisons gave none: no aspect differs by its margin" in capsys.readouterr().out


def test_a_minus_may_come_first(make):
    assert make("--order=-words") == 0  # by 2, 4 and 2 words, each more than 0.71
    assert made() == {("b", "a", "-words", 0), ("c", "a", "-words", 0), ("c", "b", "-words", 0)}


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        (["--order", "corect"], ROWS, "hierarchical_pairs: no row has the aspect 'corect'"),
        (["--order", "correct,,words"], ROWS, "data hierarchy: --order is 'correct,,words'; name aspects"),
        (["--order", "words,-words"], ROWS, "data hierarchy: --order names 'words' twice"),
        (["--order", "correct", "--margins", "much"], ROWS, "data hierarchy: --margins is 'much'; give numbers"),
        (["--order", "correct", "--margins", "1,2"], ROWS, "hierarchical_labels: (2,) margins and (1,) spreads"),
        (["--order", "correct", "--margins=-1"], ROWS, "margins are [-1.0]; they must be at least 0"),
        (["--order", "correct"], ROWS[2:], "none of the 2 rows gives a pair: no prompt has two rated completions"),
        (["--order", "correct"], ROWS[:2], "none of the 2 rows gives a pair: 1 comparisons, in none of which"),
        (["--order", "correct"], [{"prompt": "q", "chosen": "a", "rejected": "b"}], "rated.jsonl: holds pairs, and a"),
        ([], ROWS, "data hierarchy: the following arguments are required: --order"),
    ],
)
def test_mistakes_are_one_line(make, tmp_path, capsys, options, rows, message):
    assert make(*options, rows=rows) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "pairs.jsonl").exists()
