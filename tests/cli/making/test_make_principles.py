"""Rated rows from extracted principles, by the command."""

import json

import pytest
import torch
import transformers

from plaudit.cli.main import main
from plaudit.records import read

FEEDBACK = "It is clear and short. Not polite."


def row(completion, annotator, principle, verdict, evidence="It is clear", **more):
    return {
        "prompt": "q", "completion": completion, "annotator": annotator, "feedback": FEEDBACK, "principle": principle,
        "verdict": verdict, "evidence": evidence, "source": "s", **more,
    }  # fmt: skip


ROWS = [
    row("one", "x", "clarity", "yes", turn=1),
    row("one", "y", "clarity", "Yes", "clear and short", turn=2),
    row("one", "x", "politeness", "no", "Not polite", turn=1),  # y does not name it
    row("one", "y", "brevity", "yes", "0123456789 0123456789", turn=2),  # nobody said so
    row("one", "y", "clarity", "partially", turn=2),
    row("one", "x", "Helpfulness", "no", turn=1),  # of everything at once
    row("two", "x", "clarity", "yes"),
    row("two", "y", "clarity", "no"),  # one against one
    row("three", "x", "wit", "no"),  # the only annotator: nobody to disagree
]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*options, rows=ROWS):
        (tmp_path / "extracted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return main(["data", "principles", "extracted.jsonl", "--out", "rated.jsonl", *options])

    return run


def made():
    return {row.completion: dict(row.aspects) for row in read("rated.jsonl").rows}


def test_what_the_feedback_bears_out_and_all_name(make, capsys):
    assert make() == 0
    assert made() == {"one": {"clarity": 1.0}, "three": {"wit": 0.0}}
    assert capsys.readouterr().out.splitlines() == [
        "rated.jsonl: 2 rows of rated with 2 aspects, from 9 principles of 3 completions",
        "  1 of 9 principles have evidence that their feedback does not hold",
        "  2 of 9 principles have a verdict of partially, or are of helpfulness as a whole",
        "  1 completions have no principle on which all their annotators agree",
    ]
    # what the rows of a completion agree on stays; turn is 1 in some and 2 in others
    assert dict(read("rated.jsonl").rows[0].meta) == {"source": "s"}


def test_thresholds(make, capsys):
    # brevity's evidence has a space in common with the feedback; x does not name it, but nor is it invented
    assert make("--support", "0") == 0
    assert made() == {"one": {"clarity": 1.0}, "three": {"wit": 0.0}}
    assert "does not hold" not in capsys.readouterr().out
    # all texts are more alike than -1: whatever is named by one annotator agrees with something of the other's
    assert make("--agreement", "-1") == 0
    assert made()["one"] == {"clarity": 1.0, "politeness": 0.0}


def test_a_model_says_what_is_alike(make, tmp_path, capsys):
    """One to which all tokens are the same finds that both annotators name everything that either names."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=5, **sizes))
    for table in (model.embeddings.word_embeddings, model.embeddings.position_embeddings):
        table.weight.data[:] = torch.arange(8.0)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "encoder")
    assert make("--embedder", "encoder") == 0
    assert made()["one"] == {"clarity": 1.0, "politeness": 0.0}
    capsys.readouterr()
    assert make("--embedder", "./none") == 2
    assert "./none: no such model folder" in capsys.readouterr().err


def test_broken_rows_are_set_aside(make, capsys):
    assert make("--skip-broken", "aside.jsonl", rows=[*ROWS, row("one", "x", "wit", "maybe")]) == 0
    assert "extracted.jsonl: 1 broken rows set aside in aside.jsonl" in capsys.readouterr().out
    assert len(made()) == 2


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ([], {"verdict": "maybe"}, "extracted.jsonl row 1: verdict = 'maybe': is not known; give yes, no or partially"),
        ([], {"principle": " "}, "extracted.jsonl row 1: principle = ' ': is blank"),
        ([], {"annotator": None}, "extracted.jsonl row 1: annotator: the column is null"),
        ([], {"completion": 7}, "extracted.jsonl row 1: completion = 7"),
        ([], {"principle": "?!"}, "data principles: '?!' holds no word that could be compared"),
        (["--support", "101"], {}, "supported: threshold is 101.0"),
        (["--agreement", "2"], {}, "principle_consensus: threshold is 2.0"),
        (["--support", "100"], {}, "no completion has a principle left: 9 of 9 principles have evidence that"),
    ],
)
def test_mistakes_are_one_line(make, tmp_path, capsys, options, change, message):
    assert make(*options, rows=[{**ROWS[0], **change}, *ROWS[1:]]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "rated.jsonl").exists()
