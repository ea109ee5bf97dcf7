"""The page of an online run."""

from __future__ import annotations

import json

import pytest

from plaudit.cli.main import main
from plaudit.errors import InputError, MissingError
from plaudit.report.policy_page import is_policy_run, read_policy_run, write_policy_run


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    record = {
        "algorithm": "grpo", "config": {"kl_coef": 0.01}, "reward": "math", "reward_hash": "f00", "versions": {},
        "faults": {"timed_out": 2, "raised": 0},
    }  # fmt: skip
    (folder / "model" / "alignment.json").write_text(json.dumps(record))
    rows = [
        {
            "loss": 0.0, "reward": i / 10, "shaped": i / 10, "kl": 0.1 * i, "watched/judge": 0.5,
            "outcome/abstained": 0.1,
            "step": i + 1,
        }
        for i in range(24)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*rows, {"train_loss": 1.0}]))
    samples = [
        {
            "prompt": f"q{i % 5}", "completion": f"<b>answer</b> {i} {k}", "group": str(i), "tokens": 3,
            "finish": "eos",
            "reward": None if i == 3 and k == 0 else float(i + k),
            "outcome": "abstained" if i == 3 and k == 0 else "scored",
        }
        for i in range(24) for k in range(2)
    ]  # fmt: skip
    (folder / "samples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in samples))
    return folder


def test_curves_checks_and_completions_are_there(run):
    assert is_policy_run(run)
    page = write_policy_run(run).read_text()
    assert "24 updates &middot; 24 batches &middot; 48 completions sampled" in page
    assert "of the completions 97.9% scored, 2.1% abstained</p>" in page  # 1 of 48
    for words in (
        "grpo on math",
        "Watched: judge",
        "outcome: abstained",
        "KL to the start",
        "Looked at afterwards",
        "run/watched/judge",
    ):
        assert words in page
    assert "2 timed out" in page
    assert "0 raised" not in page
    assert "&lt;b&gt;answer&lt;/b&gt; 23 1" in page  # the best of the last tenth, escaped
    assert "late, best" in page
    assert "&lt;b&gt;" not in write_policy_run(run, texts=False).read_text()
    assert page.count("shaped</text>") == 0  # the same as the reward: drawn once


def test_batches_in_which_every_reward_was_lost_are_on_the_page(run):
    """A judge that was away in batches 5 to 14; every batch served for two updates."""
    rows = []
    for i in range(24):
        lost = 4 <= i < 14
        row = {"loss": 0.0, "length": 3.0, "outcome/instrument_fault": float(lost), "step": 2 * i + 1}
        rows += [row if lost else {**row, "reward": 0.5, "shaped": 0.5}, {"loss": 0.0, "step": 2 * i + 2}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for i, row in enumerate(samples):
        lost = 8 <= i < 28
        row |= {"reward": None if lost else 0.5, "outcome": "instrument_fault" if lost else "scored"}
    (run / "samples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in samples))
    page = write_policy_run(run).read_text()
    assert "48 updates &middot; 24 batches &middot; 48 completions sampled" in page
    assert "of the completions 58.3% scored, 41.7% instrument fault</p>" in page  # 20 of 48
    assert page.index("<h2>Reward</h2>") < page.index("<h2>Outcomes other than scored</h2>") < page.index("<h2>Length")
    (check,) = (c for c in read_policy_run(run).checks if c.name == "run/unjudged")
    assert check.light == "red"
    assert check.evidence.value == pytest.approx(20 / 40)  # of 24 groups 4 are the first fifth


def test_the_command_makes_it_again(run, capsys, tmp_path):
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out.strip().endswith("page.html")
    assert "grpo on math" in (tmp_path / "page.html").read_text()


def test_what_is_missing_or_broken_is_named(run):
    (run / "metrics.jsonl").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_policy_run(run)
    (run / "metrics.jsonl").unlink()
    with pytest.raises(MissingError, match=r"metrics\.jsonl is not there"):
        read_policy_run(run)
    (run / "samples.jsonl").unlink()
    assert not is_policy_run(run)


def test_two_updates_are_enough_for_curves_and_none_for_none(run):
    rows = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text(rows[0] + "\n")
    assert "<svg" not in write_policy_run(run).read_text()
