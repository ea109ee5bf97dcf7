"""Files that say how runs belong together, where they are none."""

import pytest

from plaudit.cli.main import main


@pytest.mark.parametrize("option", ["--stages", "--game", "--self-play", "--irl"])
@pytest.mark.parametrize(
    ("text", "words"), [("", "runs.yaml: is empty; give a"), ("[1]", "runs.yaml: holds a list; give a")]
)
def test_a_file_without_keys_is_refused_in_one_line(tmp_path, monkeypatch, capsys, option, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.yaml").write_text(text)
    words_given = [
        "align",
        "prompts.jsonl",
        "--model",
        "m",
        "--reward",
        "rule/length",
        option,
        "runs.yaml",
        "--out",
        "o",
    ]
    assert main(words_given) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "o").exists()
