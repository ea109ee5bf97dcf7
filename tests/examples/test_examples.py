"""Every example runs as a user would run it, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# what the user should see, so that an example that prints something else fails
SAID = {
    "own_reward.py": ("POLICY_FAULT", "ABSTAINED", "the contract holds"),
    "read_scored.py": ("5 scored, 1 policy_fault, 1 abstained", "over 6 samples", "score again: '8'"),
    "score_and_select.py": ("Clouds are full of tiny drops", "Seven is a prime", "unanswered groups: 0"),
    "train_on_own_pairs.py": ("trained on 96 preferences", "plain transformers gives the same scores"),
}  # fmt: skip


def _run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=60, env=environment
    )


def test_no_example_is_left_out():
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(SAID)


@pytest.mark.parametrize("name", sorted(SAID))
def test_example_runs_and_says(name):
    done = _run(EXAMPLES / name)
    assert done.returncode == 0, done.stderr
    for words in SAID[name]:
        assert words in done.stdout


def test_the_trained_example_prefers_the_answer_with_a_source(launched, tmp_path):
    script = shutil.copy(EXAMPLES / "train_on_own_pairs.py", tmp_path)
    lines = launched(Path(script), tmp_path).splitlines()
    values = {line.split("  ")[1]: float(line.split()[0]) for line in lines if line[:1] in "+-" and "  " in line}
    assert values["About 2 hundred thousand, says the census."] > values["About 2 hundred thousand. Trust me."]
    assert (tmp_path / "run" / "model" / "plaudit.json").is_file()


def test_the_contract_suite_of_the_example_passes():
    done = _run("-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", EXAMPLES / "own_reward.py")
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout


def test_the_contract_suite_fails_for_a_reward_that_breaks_it(tmp_path):
    broken = tmp_path / "broken.py"
    text = (EXAMPLES / "own_reward.py").read_text(encoding="utf-8")
    assert "except (ValueError, RecursionError) as error" in text
    broken.write_text(text.replace("except (ValueError, RecursionError)", "except ZeroDivisionError"), encoding="utf-8")
    done = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", broken)
    assert done.returncode == 1, done.stdout
    assert "JSONDecodeError" in done.stdout
