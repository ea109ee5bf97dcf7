"""`plaudit align` with a reward: the command as it is typed, its lines, and what it refuses in one."""

import json

import pytest

from plaudit.cli.launched import first, held
from plaudit.cli.main import main
from plaudit.cli.rounds import FILES
from plaudit.errors import PlauditError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.rewards.likelihood.saved import write_causal
from small_data import write_rows
from small_policies import policy, prompts

OPTIONS = [
    "--max-tokens", "10", "--completions", "3", "--batch-size", "4", "--max-length", "96", "--learning-rate", "1e-3",
]  # fmt: skip


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


@pytest.fixture
def start(tmp_path):
    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    return str(tmp_path / "policy")


@pytest.fixture
def asked(tmp_path):
    rows = [{"prompt": p.prompt[0].text, "reference": p.reference} for p in prompts(8)]
    return str(write_rows(tmp_path / "prompts.jsonl", rows))


def test_the_command_improves_saves_and_tells(tmp_path, start, asked, capsys):
    command = ["align", asked, "--model", start, "--reward", "rule/length?target=4", "--out", str(tmp_path / "run")]
    assert main([*command, *OPTIONS, "--watch", "verify/math", "--kl-coef", "0.01"]) == 0
    said = capsys.readouterr().out
    assert "grpo: 2 updates, 2 batches of 4 prompts with 3 completions each, from 8 prompts" in said
    assert "reward -" in said
    assert "KL to the start, nats" in said
    assert "prefix trees" in said
    assert said.splitlines()[-1].startswith(f"saved {tmp_path}/run/model")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2]
    assert any(name.startswith("watched/") for name in rows[0])
    record = json.loads((tmp_path / "run" / "model" / "alignment.json").read_text())
    assert record["config"]["kl_coef"] == 0.01
    # the result is a policy again
    again = [*command[:-1], str(tmp_path / "more"), "--algorithm", "rloo"]
    again[again.index("--model") + 1] = str(tmp_path / "run" / "model")
    assert main([*again, *OPTIONS]) == 0
    assert "rloo: 2 updates" in capsys.readouterr().out


def test_of_the_processes_of_one_run_the_first_holds_the_folder(tmp_path, monkeypatch):
    with held(str(tmp_path)):
        with pytest.raises(PlauditError, match="another process is at work in it"), held(str(tmp_path)):
            raise AssertionError
        monkeypatch.setenv("RANK", "1")
        with held(str(tmp_path)):
            assert not first()
        monkeypatch.delenv("RANK")


def test_the_command_runs_in_two_processes(launched, tmp_path, start, asked):
    """What it says and leaves, and the losses of one process with twice the batch."""
    script = tmp_path / "align.py"
    script.write_text("import sys\nfrom plaudit.cli.main import main\nsys.exit(main(sys.argv[1:]))\n")
    words = ["align", asked, "--model", start, "--reward", "rule/length?target=4", *OPTIONS, "--kl-coef", "0.5"]
    said = launched(script, *words, "--out", tmp_path / "run", "--batch-size", "2", processes=2)
    assert main([*words, "--out", str(tmp_path / "one"), "--batch-size", "4"]) == 0
    whole, both = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "run")
    )
    for name in ("loss", "reward", "kl"):
        numbers = [row[name] for row in whole if "loss" in row]
        assert len(numbers) == 2
        assert [row[name] for row in both if "loss" in row] == pytest.approx(numbers, abs=1e-5), name
    assert whole[1]["loss"] > 1e-4  # of the KL: that of the advantages is 0 on fresh samples
    assert said.count("2 batches of 4 prompts with 3 completions each") == 1
    told = {p.name for p in (tmp_path / "run").iterdir()}
    assert told >= {"model", "samples.jsonl", "rollouts.log", "rollouts-1.log"}
    assert len((tmp_path / "run" / "samples.jsonl").read_text().splitlines()) == 2 * 4 * 3
    assert "24 completions sampled" in (tmp_path / "run" / "report.html").read_text()


def test_help_lists_both_kinds_and_the_ways_to_run_them(capsys):
    assert main(["align", "help"]) == 0
    said = capsys.readouterr().out
    start = said.index("in several runs that belong together")
    assert start > said.index("grpo\n")
    for option in ("--rounds N", *(f"--{name.replace('_', '-')} FILE" for name in FILES)):
        summary, needs = said[said.index(f"\n{option}\n  ", start) :].splitlines()[2:4]
        assert summary.startswith("  "), option
        assert needs.startswith("  from "), option
    assert said.index("from preferences:") < said.index("dpo\n") < said.index("from a reward") < said.index("grpo\n")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--algorithm", "grpo"], "an online algorithm needs --reward REF"),
        (["--algorithm", "dpo", "--reward", "verify/math"], "dpo learns from preferences, not from a reward"),
        (["--algorithm", "grop", "--reward", "verify/math"], "'grop' is not known"),
        (["--reward", "verify/math", "--reference", "x/", "--max-tokens", "10", "--max-length", "96"], "x/: no such"),
        (["--algorithm", "dpo", "--completions", "4"], "--completions has no effect on dpo"),
        (["--reward", "verify/maths"], "did you mean 'verify/math'"),
        (["--reward", "verify/math", "--completions", "0"], "completions is 0"),
        (["--reward", "verify/math", "--warmup", "5"], "warmup is 5.0; it is a share of the updates, in [0, 1)"),
        (["--reward", "verify/math", "--warmup", "-0.5"], "warmup is -0.5; give a number of at least 0"),
        (["--reward", "verify/math", "--unfinished-reward", "nan"], "unfinished_reward is nan; give a finite number"),
        (["--algorithm", "dpo", "--unfinished-reward", "-10"], "--unfinished-reward has no effect on dpo"),
        (["--reward", "verify/math", "--max-tokens", "4000"], "none of 8 prompts leaves room for 4000 tokens"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, start, asked, capsys, more, words):
    assert main(["align", asked, "--model", start, "--out", str(tmp_path / "run"), *more]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run" / "model").exists()


JUDGE = """
import numpy as np
from plaudit.rewards.base import PreferenceBatch


class Shorter:
    name, fingerprint = "shorter", "shorter"

    def __call__(self, first, second):
        ahead = np.sign([len(b.text) - len(a.text) for a, b in zip(first, second, strict=True)])
        return PreferenceBatch((ahead + 1) / 2, np.zeros(len(first), dtype=np.int8))


judge = Shorter()
"""


def test_a_comparison_takes_the_place_of_a_reward(tmp_path, start, asked, capsys):
    (tmp_path / "judge.py").write_text(JUDGE)
    command = ["align", asked, "--model", start, "--reward", f"{tmp_path}/judge.py:judge", *OPTIONS]
    assert main([*command, "--algorithm", "pref-grpo", "--comparisons-per-sample", "2", "--out", f"{tmp_path}/a"]) == 0
    said = capsys.readouterr().out
    assert "pref-grpo: 2 updates" in said
    assert "reward 0.500 -> 0.500" in said
    row = json.loads((tmp_path / "a" / "samples.jsonl").read_text().splitlines()[0])
    assert set(row["detail"]["against"]) == {"1", "2"}
    # where a reward is needed, and where an option has nothing to say
    assert main([*command, "--out", f"{tmp_path}/b"]) == 2
    assert "turn it into one with shape/win-rate" in capsys.readouterr().err
    assert main([*command, "--both-orders", "--out", f"{tmp_path}/c"]) == 2
    assert "both_orders has no effect on grpo, which compares nothing" in capsys.readouterr().err


def test_a_reward_does_not_take_the_place_of_a_comparison(tmp_path, start, asked, capsys):
    command = ["align", asked, "--model", start, "--reward", "rule/length?target=4", *OPTIONS]
    assert main([*command, "--algorithm", "pairwise-rlhf", "--out", f"{tmp_path}/a"]) == 2
    assert "pairwise-rlhf compares completions, and" in capsys.readouterr().err


def test_a_value_function_is_saved_beside_the_policy(tmp_path, start, asked):
    command = ["align", asked, "--model", start, "--reward", "rule/length?target=4", *OPTIONS]
    assert main([*command, "--algorithm", "ppo?trunk=false", "--out", f"{tmp_path}/a"]) == 0
    assert (tmp_path / "a" / "value_head.safetensors").is_file()
    assert main([*command, "--algorithm", "ppo?trunk=no", "--out", f"{tmp_path}/b"]) == 2
