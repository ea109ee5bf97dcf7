import errno
import importlib
import json
import subprocess
import sys
import time

import pytest

from plaudit.cli import main as cli
from plaudit.cli.output import show, write_json
from plaudit.errors import InputError
from plaudit.stats.estimate import Estimate


def test_help_is_fast_and_imports_nothing_heavy():
    program = (
        "import sys; from plaudit.cli.main import main; code = main(['--help'])\n"
        "heavy = {'torch', 'numpy', 'transformers', 'pyarrow', 'datasets', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy; sys.exit(code)"
    )
    clock = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - clock < 0.5
    assert all(verb in done.stdout for verb in cli.VERBS)


def test_usage_errors_are_two(capsys):
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == "plaudit: error: 'trian' is no verb; did you mean 'train' or 'run'?\n"
    assert cli.main([]) == 2
    assert cli.main(["data", "check"]) == 2
    capsys.readouterr()
    assert cli.main(["rate", "battles.csv", "--seed", "-1"]) == 2
    assert capsys.readouterr().err == "plaudit: error: rate: --seed is -1; give a whole number of 0 or more\n"
    assert cli.main(["data", "--help"]) == 0
    assert cli.main(["--version"]) == 0


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("a: first\nsecond"), 2, "plaudit: error: a: first second\n"),
        (KeyboardInterrupt(), 130, "plaudit: interrupted; the same command goes on from what is finished\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "f"),
            2,
            "plaudit: error: no space left on the disk; what was finished is kept: free some space",
        ),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(monkeypatch, capsys, error, code, text):
    def run(_args):
        raise error

    monkeypatch.setattr(importlib.import_module("plaudit.cli.data"), "run", run)
    assert cli.main(["data", "check", "f"]) == code
    err = capsys.readouterr().err
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_a_table_and_the_same_numbers_as_json(tmp_path, capsys):
    metrics = {"accuracy": Estimate(0.712, 0.69, 0.734, 500, "bootstrap"), "ece": Estimate(float("nan"))}
    show(metrics, title="evaluation")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "evaluation"
    assert out[1].split() == ["accuracy", "0.712", "[0.690,", "0.734]", "n=500,", "bootstrap"]
    assert out[2].split() == ["ece", "n/a"]
    write_json(tmp_path / "m.json", metrics, configuration={"seed": 1}, data={"pairs": "abc"})
    document = json.loads((tmp_path / "m.json").read_text())
    assert document["accuracy"] == {
        "value": 0.712,
        "low": 0.69,
        "high": 0.734,
        "n": 500,
        "method": "bootstrap",
    }
    assert document["ece"]["value"] is None
    assert document["configuration"] == {"seed": 1}
    assert "python" in document["versions"]
    with pytest.raises(InputError, match="must not be called 'data'"):
        write_json(tmp_path / "m.json", {"data": Estimate(1.0)}, configuration={})
