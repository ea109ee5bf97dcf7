"""What ranks nothing is red; what cannot be ranked by anybody is grey."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from plaudit.audit.battery import audit_reward
from plaudit.audit.config import AuditConfig
from plaudit.cli.main import main
from plaudit.records import Message, Pair
from plaudit.rewards.base import RewardBatch
from small_data import write_rows

QUICK = {"resamples": 200, "search_budget": 100, "prompts": 20}
ONLY = AuditConfig(**QUICK, skip=("attack", "consistency", "fairness"))


class Of:
    """A reward that is a function of the text."""

    name, scope, bounds, fingerprint = "of", "sample", (-100.0, 100.0), "of"

    def __init__(self, one):
        self.one = one

    def __call__(self, samples):
        return RewardBatch(np.array([self.one(s) for s in samples], dtype=float))


def _pairs(n=60, *, same=False):
    """Pairs of equal length without markdown: rules that never read the text are coins."""
    other = "good" if same else "evil"
    return [Pair((Message("user", f"what of {i:03d}"),), f"good {i:03d}", f"{other} {i:03d}") for i in range(n)]


def _checks(audit):
    return {c.name: c for c in audit.checks}


def test_a_reward_that_is_the_same_everywhere_is_red():
    audit = audit_reward(_pairs(), Of(lambda s: 0.5), config=ONLY)
    found = _checks(audit)
    assert {found[n].light for n in ("accuracy/coin", "accuracy/baseline")} == {"red"}
    assert "it gives every completion the same reward" in found["accuracy/coin"].says
    assert audit.verdict.headline == "Do not use this reward"
    # 60 ties each with a rule that ties: nobody went either way, so 0 of 60 each: 3.8415 / 63.8415 = 0.0602
    advantage = found["accuracy/baseline"].evidence
    assert (advantage.low, advantage.high) == pytest.approx((-0.0602, 0.0602), abs=1e-4)


def test_a_reward_that_ties_on_every_pair_is_red_whatever_it_says_of_prompts():
    found = _checks(audit_reward(_pairs(), Of(lambda s: float(s.prompt[0].text[-1])), config=ONLY))
    assert found["accuracy/coin"].light == "red"
    assert "it prefers no completion of any pair" in found["accuracy/coin"].says
    assert found["bias/length"].light == "grey"
    assert "same for all completions of a prompt" in found["bias/length"].skipped


def test_three_ties_show_nothing_yet():
    found = _checks(audit_reward(_pairs(3), Of(lambda s: 0.5), config=ONLY))
    assert {found[n].light for n in ("accuracy/coin", "accuracy/baseline")} == {"amber"}
    assert math.isnan(found["accuracy/coin"].evidence.low)


def test_pairs_of_one_text_say_nothing_of_a_reward():
    audit = audit_reward(_pairs(same=True), Of(lambda s: float("good" in s.text)), config=ONLY)
    found = _checks(audit)
    assert {found[n].light for n in ("accuracy/coin", "accuracy/baseline")} == {"grey"}
    assert audit.lights()["red"] == 0
    assert audit.verdict.headline == "No verdict: the two completions of every pair are the same text"
    assert audit.verdict.use == "none"
    assert "accuracy: the two completions of every pair are the same text" in audit.verdict.not_tested
    assert "pairs whose completions differ" in audit.verdict.next_step
    # one pair that differs, and is ranked rightly, is one pair
    mixed = audit_reward([*_pairs(same=True), *_pairs(1)], Of(lambda s: float("good" in s.text)), config=ONLY)
    assert not mixed.verdict.headline.startswith("No verdict")


@pytest.mark.parametrize(
    ("truth", "why"),
    [
        (lambda s: math.nan, "the true reward gave no pair a reward for both of its completions"),
        (lambda s: 1.0, "the true reward is the same for both completions of every pair that it judged"),
    ],
)
def test_a_truth_that_judges_nothing_is_no_verdict_on_the_reward(truth, why):
    def judge(samples):
        values = np.array([truth(s) for s in samples])
        return RewardBatch(values, np.where(np.isnan(values), 2, 0).astype(np.int8))

    reward = Of(lambda s: float("good" in s.text) + len(s.text) / 100)
    audit = audit_reward(_pairs(), reward, config=ONLY, true_reward=judge)
    found = _checks(audit)
    assert (found["accuracy/coin"].light, found["accuracy/coin"].skipped) == ("grey", why)
    assert audit.verdict.headline == f"No verdict: {why}"
    if math.isnan(truth(None)):
        assert found["bias/length"].skipped == "the true reward judged no rewritten completion"


def test_a_perfect_reward_of_few_prompts_is_not_sure_of_its_advantage():
    # rules tie everywhere and it is right on all 6: 1/2 each, always. Wilson of 3 of 6 is 1/2 +- .3124, 0 of 6 ends at
    # 3.8415 / 9.8415 = .3903; low end 1/2 - hypot(.3124, .3903) = 0
    found = _checks(audit_reward(_pairs(6), Of(lambda s: float("good" in s.text)), config=ONLY))
    assert found["accuracy/baseline"].evidence.value == 0.5
    assert found["accuracy/baseline"].evidence.low == pytest.approx(0.0, abs=2e-4)
    assert found["accuracy/coin"].light == "green"  # 6 / 9.8415 = 0.61


def test_the_command_fails_on_a_constant_and_on_pairs_that_test_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.py").write_text("def const(samples): return [0.5 for s in samples]\n")
    rows = [{"prompt": f"q{i}", "chosen": f"good {i % 9}", "rejected": f"evil {i % 9}"} for i in range(40)]
    write_rows(tmp_path / "even.jsonl", rows)
    write_rows(tmp_path / "same.jsonl", [{**row, "rejected": row["chosen"]} for row in rows])
    words = ["--reward", "r.py:const", "--skip", "attack", "--skip", "consistency", "--prompts", "10"]
    assert main(["audit", "even.jsonl", *words, "--fail-on", "red", "--json", "n.json"]) == 1
    said = capsys.readouterr().out
    assert "failed: accuracy/coin is red" in said
    assert json.loads((tmp_path / "n.json").read_text())["accuracy/coin"]["value"] == 0.5
    assert main(["audit", "same.jsonl", *words, "--fail-on", "red"]) == 0
    assert "Do not use" not in capsys.readouterr().out
    assert main(["audit", "same.jsonl", *words, "--fail-on", "accuracy"]) == 1
    assert "accuracy/coin was not measured: the two completions" in capsys.readouterr().out
