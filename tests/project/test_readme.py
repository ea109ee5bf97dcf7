import os
import re
import subprocess
import sys
from pathlib import Path

from plaudit.cli import main as cli

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_and_picks_the_nearer_length(tmp_path):
    code, in_a_host = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60,
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    called = re.search(r"reward_funcs=\[(as_reward_func\(.*?\))\]", in_a_host)[1]
    assert called in (ROOT / "tests/integrations/test_trl_peer.py").read_text()  # which runs it in the host
    # target 10: one word is 9/10 below it, eight words are 2/10 below it
    assert done.stdout.splitlines() == [
        "-0.90 SCORED Water.",
        "-0.20 SCORED Drops in clouds grow heavy, and they fall.",
        "Drops in clouds grow heavy, and they fall.",
    ]


def test_the_table_of_verbs_has_every_verb():
    in_table = re.findall(r"^\| `plaudit (\w+)", TEXT, re.MULTILINE)
    assert sorted(set(in_table)) == sorted(cli.VERBS)  # a verb may have two uses, and a line for each


def test_links_and_the_picture_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).is_file(), f"README.md links to {target}, which is not there"
