import json
import subprocess
import sys

import pytest

from plaudit.cli.main import main
from small_benchmarks import write


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text("def longer(samples):\n    return [float(len(s.text)) for s in samples]\n")
    rows = [
        {"prompt": f"q{n}", "chosen": "aa", "rejected": "b" * (1 + 2 * (n == 0)), "subset": "x" if n < 2 else "y"}
        for n in range(4)
    ]
    return str(write(tmp_path / "own.jsonl", rows)), f"{tmp_path / 'mine.py'}:longer"


def test_the_list_needs_no_reward_and_no_torch():
    program = (
        "import sys; from plaudit.cli.main import main; code = main(['evaluate', '--benchmark', 'help'])\n"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rm-bench" in done.stdout
    assert "columns: prompt, chosen (3), rejected (3)" in done.stdout


def test_table_json_and_exit_codes(own, tmp_path, capsys):
    data, reward = own
    out = tmp_path / "out.json"
    command = ["evaluate", "--benchmark", "own", "--data", data, "--reward", reward, "--json", str(out)]
    assert main([*command, "--fail-under", "accuracy=0.7"]) == 0
    table = capsys.readouterr().out
    assert "longer on own: 4 items, 4 prompts" in table
    assert "baseline/shorter/accuracy" in table
    stored = json.loads(out.read_text())
    assert stored["accuracy"]["value"] == 0.75  # three of four longer ones are chosen
    assert stored["subset/x"]["value"] == 0.5
    assert stored["advantage/longer/accuracy"]["value"] == 0.0
    assert stored["configuration"]["outcomes"] == {"scored": 8}
    assert stored["configuration"]["benchmark"] == "own"
    assert main([*command, "--fail-under", "accuracy=0.8"]) == 1
    assert "missed: accuracy is 0.750" in capsys.readouterr().out


def test_notes_are_printed(own, tmp_path, capsys):
    rows = [{"prompt": "q", "chosen": "aa", "rejected": "b", "subset": "hep-go"}]
    data = str(write(tmp_path / "rb.jsonl", rows))
    assert main(["evaluate", "--benchmark", "rewardbench", "--data", data, "--reward", own[1]]) == 0
    out = capsys.readouterr().out
    assert "missing subsets: alpacaeval-easy" in out
    assert "present_score" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--benchmark", "own", "--reward", "R"], "--benchmark own: name its published files with --data PATH"),
        (["--benchmark", "owm", "--reward", "R", "--data", "D"], "did you mean 'own'"),
        (["--benchmark", "own", "--data", "D"], "--reward is missing"),
        (["D", "--benchmark", "own", "--reward", "R"], "give the files with --data"),
        (["--benchmark", "own", "--data", "D", "--reward", "R", "--subset", "x"], "a benchmark has its own subsets"),
        (["--benchmark", "own", "--data", "D", "--reward", "R", "--no-probabilities"], "has no calibration"),
        (["--benchmark", "own", "--data", "D", "--reward", "R", "--metric", "x"], "give one of them"),
        (["--benchmark", "own", "--data", "none.jsonl", "--reward", "R"], "no file or folder none.jsonl"),
        (["--benchmark", "libra", "--data", "D", "--reward", "R", "--threshold", "nan"], "--threshold: is nan"),
        (
            ["--benchmark", "own", "--data", "D", "--reward", "R", "--threshold", "1"],
            "own: reads no verdicts of a reward",
        ),
        (["D", "--reward", "R", "--data", "D"], "--data goes with --benchmark NAME"),
        (["D", "--reward", "R", "--threshold", "1"], "--threshold goes with --benchmark NAME"),
        (["--reward", "R"], "name the preference pairs, or a benchmark"),
    ],
)
def test_usage_errors_are_one_line(own, capsys, more, words):
    data, reward = own
    command = [{"D": data, "R": reward}.get(word, word) for word in more]
    assert main(["evaluate", *command]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
