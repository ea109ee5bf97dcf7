import json

import numpy as np
import pytest

from plaudit.cli.evaluate import missed, thresholds
from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.stats.estimate import Estimate


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    sides = [("aa", "a") if i % 4 else ("a", "aa") for i in range(40)]
    rows = [{"prompt": f"q{i}", "chosen": c, "rejected": r, "lang": "en"} for i, (c, r) in enumerate(sides)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "mine.py").write_text("def longer(samples):\n    return [float(len(s.text)) for s in samples]\n")
    return path


def test_table_json_and_exit_codes(pairs, tmp_path, capsys):
    reward, out = f"{tmp_path / 'mine.py'}:longer", tmp_path / "out.json"
    command = ["evaluate", str(pairs), "--reward", reward, "--subset", "lang", "--json", str(out)]
    assert main([*command, "--fail-under", "accuracy=0.7"]) == 0
    table = capsys.readouterr().out
    assert "baseline/longer" in table
    assert "accuracy/lang=en" in table
    stored = json.loads(out.read_text())
    assert stored["accuracy"]["value"] == 0.75  # three of four rows have the longer one chosen
    assert stored["accuracy"]["n"] == 40
    assert stored["advantage/longer"]["value"] == 0.0
    assert stored["configuration"]["seed"] == 0
    assert "versions" in stored
    assert "brier" not in stored  # lengths are no log-odds, and the rule says nothing of a scale
    assert main([*command, "--fail-under", "accuracy=0.8"]) == 1
    assert "missed: accuracy is 0.750" in capsys.readouterr().out


def test_a_reward_that_prefers_nothing_is_told(pairs, tmp_path, capsys):
    (tmp_path / "same.py").write_text(
        "def constant(samples):\n    return [0.5] * len(samples)\n"
        "def by_prompt(samples):\n    return [float(s.prompt[-1].text[1:]) for s in samples]\n"
        "def longer(samples):\n    return [float(len(s.text)) for s in samples]\n"
    )
    told = {}
    for name in ("constant", "by_prompt", "longer"):
        assert main(["evaluate", str(pairs), "--reward", f"{tmp_path / 'same.py'}:{name}"]) == 0
        told[name] = capsys.readouterr().out
    assert "every reward is 0.5: all margins are ties, half right each" in told["constant"]
    assert "both completions of every pair are worth the same: all margins are ties" in told["by_prompt"]
    assert "all margins are ties" not in told["longer"]


def test_usage_errors_are_one_line(pairs, tmp_path, capsys):
    reward = f"{tmp_path / 'mine.py'}:longer"
    assert main(["evaluate", str(pairs), "--reward", reward, "--fail-under", "acuracy=0.7"]) == 2
    assert "there is no metric 'acuracy'; did you mean 'accuracy'" in capsys.readouterr().err
    assert main(["evaluate", str(pairs), "--reward", reward, "--fail-under", "accuracy"]) == 2
    assert "is not NAME=VALUE" in capsys.readouterr().err


def test_thresholds():
    assert thresholds(["accuracy=0.6", "accuracy/lang=en=0.5"]) == {"accuracy": 0.6, "accuracy/lang=en": 0.5}
    for bad in ("accuracy", "=1", "accuracy=high", "accuracy=nan"):
        with pytest.raises(InputError, match="is not NAME=VALUE"):
            thresholds([bad])


def test_what_was_not_measured_misses_every_threshold():
    assert missed({"a": Estimate(float("nan")), "b": Estimate(0.5)}, {"a": 0.0, "b": 0.5}) == ["a"]


def test_a_comparison_is_evaluated_too(pairs, tmp_path, capsys):
    (tmp_path / "judge.py").write_text(
        "import numpy as np\n"
        "from plaudit.rewards.base import PreferenceBatch\n"
        "class Longer:\n"
        "    name, fingerprint = 'longer', 'x'\n"
        "    def __call__(self, first, second):\n"
        "        p = [0.8 if len(a.text) > len(b.text) else 0.2 for a, b in zip(first, second)]\n"
        "        return PreferenceBatch(np.array(p), np.zeros(len(p), dtype=np.int8))\n"
        "class Even(Longer):\n"
        "    def __call__(self, first, second):\n"
        "        return PreferenceBatch(np.full(len(first), 0.5), np.zeros(len(first), dtype=np.int8))\n"
        "compare, even = Longer(), Even()\n"
    )
    out, reward = tmp_path / "out.json", f"{tmp_path / 'judge.py'}:compare"
    assert main(["evaluate", str(pairs), "--reward", reward, "--json", str(out)]) == 0
    stored = json.loads(out.read_text())
    assert stored["accuracy"]["value"] == 0.75
    # three of four rows at 0.8, the others at 0.2 for what was chosen
    assert stored["log_loss"]["value"] == pytest.approx(-(0.75 * np.log(0.8) + 0.25 * np.log(0.2)))
    assert "all margins are ties" not in capsys.readouterr().out
    assert main(["evaluate", str(pairs), "--reward", f"{tmp_path / 'judge.py'}:even"]) == 0
    assert "both completions of every pair are worth the same: all margins are ties" in capsys.readouterr().out
    assert main(["evaluate", str(pairs), "--reward", reward, "--log", str(tmp_path / "log")]) == 2
    assert "compares pairs, and the log keeps rewards of samples" in capsys.readouterr().err
