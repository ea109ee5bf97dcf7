"""`plaudit compare`: numbers, texts of the disagreements, and what it refuses."""

from __future__ import annotations

import json

import pytest

from plaudit.cli.main import main


@pytest.fixture
def data(tmp_path):
    """Longer completions repeat more: rule/length and rule/repetition disagree."""
    rows = [
        {"prompt": f"question {p}", "completion": " ".join(["word"] * n if n > 3 else ["one", "two", "three"][:n]),
         "kind": "even" if p % 2 == 0 else "odd"}
        for p in range(12) for n in (1, 2, 3, 8, 12)
    ]  # fmt: skip
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def test_two_rules(data, tmp_path, capsys):
    words = ["--by", "kind", "--json", str(tmp_path / "o.json"), "--log", str(tmp_path / "log")]
    assert main(["compare", "rule/length", "rule/repetition", data, *words]) == 0
    told = capsys.readouterr().out
    assert "60 completions of 12 prompts" in told
    assert "A prefers, by" in told
    # five completions a prompt: a quarter of them is one
    assert "best-of-2, 4: above a quarter of the 5 completions of a prompt" in told
    assert "word word" in told
    numbers = json.loads((tmp_path / "o.json").read_text())
    assert numbers["correlation"]["value"] < 0
    assert numbers["kept_in_b/best_of_4"]["value"] < numbers["kept_in_b/best_of_2"]["value"] < 0
    assert "reversed_pairs/kind=odd" in numbers
    assert (tmp_path / "log.a").is_file()
    assert (tmp_path / "log.b").is_file()


def test_pools_that_are_deep_enough_are_not_called_rough(tmp_path, capsys):
    rows = [{"prompt": f"q{p}", "completion": "word " * (n + 1)} for p in range(3) for n in range(16)]
    (tmp_path / "deep.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert main(["compare", "rule/length", "rule/repetition", str(tmp_path / "deep.jsonl")]) == 0
    # of 16 completions a quarter is four
    assert "best-of-8, 16: above a quarter of the 16 completions" in capsys.readouterr().out


def test_a_reward_with_itself(data, capsys):
    assert main(["compare", "rule/length", "rule/length", data]) == 0
    told = capsys.readouterr().out
    assert "kept_in_a/best_of_4  1.000" in told
    assert "A prefers" not in told


def test_what_is_refused(data, tmp_path, capsys):
    assert main(["compare", "rule/length", "rule/lenght", data]) == 2
    assert "rule/length" in capsys.readouterr().err
    single = tmp_path / "one.jsonl"
    single.write_text(json.dumps({"prompt": "q", "completion": "a"}) + "\n")
    assert main(["compare", "rule/length", "rule/repetition", str(single)]) == 2
    assert "no prompt has two completions" in capsys.readouterr().err
