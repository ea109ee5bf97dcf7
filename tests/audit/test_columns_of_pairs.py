"""Checks that need columns: run where these are there, grey with the reason where not, and listed in the verdict."""

from __future__ import annotations

import json
import time
from xml.etree import ElementTree

import numpy as np
import pytest

from plaudit.audit.battery import audit_reward
from plaudit.audit.columns import column_attacks, several_answers_check
from plaudit.audit.config import AuditConfig
from plaudit.audit.subject import Subject
from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.records import Message, Pair
from plaudit.rewards.base import PreferenceBatch, RewardBatch
from small_data import write_rows

CONFIG = AuditConfig(resamples=200, search_budget=100, prompts=40)


class Steps:
    """A process reward: 1 a step, whatever it says; without steps the number of words."""

    name, scope, bounds, fingerprint = "steps", "sample", (0.0, 100.0), "steps"
    asked = 0

    def __call__(self, samples):
        self.asked += len(samples)
        steps = tuple(np.ones(len(s.steps or ())) for s in samples)
        return RewardBatch(np.array([float(len(s.text.split())) for s in samples]), steps=steps)


def _subject(pairs, reward, truth=None):
    return Subject.of(pairs, reward, truth, 0)


def _checks(pairs, reward, truth=None):
    subject = _subject(pairs, reward, truth)
    found = [*column_attacks(subject, CONFIG), several_answers_check(subject, CONFIG)]
    return {c.name: c for c in found}


def _pairs(n=40, **meta):
    return [
        Pair(
            (Message("user", f"q{i}"),),
            f"a right step {i}. so it is",
            f"no {i}",
            meta={k: v(i) for k, v in meta.items()},
        )
        for i in range(n)
    ]


def test_steps_of_pairs_are_said_again():
    pairs = _pairs(chosen_steps=lambda i: [f"a right step {i}. ", "so it is"], rejected_steps=lambda i: [f"no {i}"])
    found = _checks(pairs, Steps())["attack/repeated-steps"]
    # a step more is 1 more in each of 80 solutions of 40 prompts: 40 of 40 begins at 40 / 43.8415 = .9124
    assert (found.evidence.value, found.evidence.low) == pytest.approx((1.0, 0.9124), abs=1e-4)
    assert found.light == "red"
    with pytest.raises(InputError, match="pairs: chosen_steps: 1 steps do not join to the completion"):
        _checks(_pairs(chosen_steps=lambda i: ["else"]), Steps())
    with pytest.raises(InputError, match="rejected_steps is 'no'; give a list of text"):
        _checks(_pairs(rejected_steps=lambda i: "no"), Steps())


def test_who_wrote_a_text_is_asked_where_the_truth_finds_both_as_good():
    who = {
        "chosen_source": lambda i: "model" if i % 2 else "human",
        "rejected_source": lambda i: "human" if i % 2 else "model",
    }
    pairs = _pairs(60, **who)

    def truth(samples):
        # pairs of the first 30 prompts are equals; beyond, the chosen one is far better
        return RewardBatch(np.array([5.0 * ("step" in s.text and int(s.prompt[0].text[1:]) >= 30) for s in samples]))

    reward = Steps()
    found = _checks(pairs, reward, truth)["attack/aligned-text"]
    # the reward likes the longer text, which is the chosen one; among the 30 equals a model wrote half of those
    assert found.evidence.value == pytest.approx(0.5)
    assert found.evidence.n == 30
    assert reward.asked == 120  # nothing is scored a second time
    assert "equally good" in _checks(pairs, Steps())["attack/aligned-text"].skipped
    few = _checks(pairs[20:], Steps(), truth)["attack/aligned-text"]
    assert few.skipped.startswith("10 prompts hold a model's and a person's text")


class Unsure:
    """Two members, whose difference tells the wrong pairs where one answer is right, and nothing where several are."""

    name, scope, bounds, fingerprint = "unsure", "sample", (-9.0, 9.0), "unsure"

    def __call__(self, samples):
        rows = [self.of(s) for s in samples]
        members = np.array([m for _, m in rows])
        return RewardBatch(np.array([r for r, _ in rows]), std=members.std(axis=1), members=members)

    def of(self, s):
        i, chosen = int(s.prompt[0].text[1:]), "step" in s.text
        wrong, several = i % 2 == 0, i >= 40
        spread = (2.0 if wrong else 1.0) if not several else 1.0 + (i // 2) % 2
        value = (-1.0 if wrong else 1.0) if chosen else 0.0
        return value, [value + spread * chosen, value - spread * chosen]


def test_deviations_are_held_against_verdicts_by_the_number_of_right_answers():
    pairs = _pairs(80, answers=lambda i: 1 if i < 40 else 3)
    found = _checks(pairs, Unsure())["consistency/several-answers"]
    # with one answer the larger deviation is always the wrong pair's: AUROC 1; with three it says nothing: 1/2
    assert found.evidence.value == pytest.approx(0.5)
    assert found.light == "red"
    assert _checks(pairs, Steps())["consistency/several-answers"].skipped == "the reward gives no deviation"
    assert "no pair says how many" in _checks(_pairs(), Unsure())["consistency/several-answers"].skipped


class Judge:
    name, fingerprint = "judge", "judge"

    def __call__(self, first, second):
        return PreferenceBatch(np.full(len(first), 0.7), np.zeros(len(first), dtype=np.int8))


def test_what_the_pairs_do_not_allow_is_listed_as_not_tested():
    config = AuditConfig(resamples=50, search_budget=50, prompts=10, groups=("side:author",))
    audit = audit_reward(_pairs(40, side=lambda i: f"s{i % 2}"), Steps(), config=config)
    said = "\n".join(audit.verdict.not_tested)
    for name in (
        "attack/repeated-steps: no completion is given in steps", "attack/aligned-text: no pair has one text of",
        "attack/poisoning: an audit has neither the training rows", "consistency/several-answers: no pair says",
        "fairness/scores: the attributes belong to pairs", "fairness/selection: the attributes belong to pairs",
        "fairness/parity: no column of what may rightly differ was named",
    ):  # fmt: skip
        assert name in said
    assert all(c.skipped for c in audit.checks if c.light == "grey")
    comparison = _checks(_pairs(), Judge())
    assert {c.skipped for n, c in comparison.items() if n != "attack/poisoning"} == {
        "a comparison gives no reward of one completion"
    }


def test_the_command_runs_all_of_them_where_the_columns_are_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.py").write_text("def good(samples): return [float(s.text.count('good')) for s in samples]\n")
    word = ("good", "evil")
    rows = [
        {
            "prompt": f"q{i // 2}", "chosen": f"{word[i % 8 == 5]} {i}. so it is",
            "rejected": f"{word[i % 8 != 5]} {i}. so it is",
            "chosen_steps": [f"{word[i % 8 == 5]} {i}. ", "so it is"], "chosen_dialect": "n" if i % 3 else "s",
            "rejected_dialect": "s" if i % 3 else "n", "side": f"s{i % 2}", "region": f"r{i % 3}",
            "grade": (i // 7) % 3,
        }
        for i in range(80)
    ]  # fmt: skip
    write_rows(tmp_path / "p.jsonl", rows)
    words = ["audit", "p.jsonl", "--reward", "r.py:good", "--prompts", "20", "--search-budget", "100",
             "--group", "side:author", "--group", "region", "--group", "dialect:completion", "--stratum",
             "grade"]  # fmt: skip
    assert main([*words, "--json", "n.json", "--junit", "j.xml"]) == 0
    numbers = json.loads((tmp_path / "n.json").read_text())
    for name in ("attack/repeated-steps", "fairness/scores/dialect=n", "fairness/selection/dialect=n", "fairness/joint",
                 "fairness/parity/side=s0"):  # fmt: skip
        assert name in numbers, name
    assert numbers["configuration"]["stratum"] == "grade"
    assert "attack/poisoning" in {c.get("name") for c in ElementTree.parse(tmp_path / "j.xml").iter("testcase")}
    assert "attack/poisoning" in capsys.readouterr().out  # what was not tested is named there, too
    assert main([*words, "--stratum", "grad"]) == 2
    assert "stratum: no pair has a column 'grad'; did you mean 'grade'" in capsys.readouterr().err


def test_a_thousand_pairs_with_every_column_take_less_than_two_minutes():
    rng = np.random.default_rng(0)
    pairs = [
        Pair(
            (Message("user", f"q{i // 4}"),), f"good {i} {'x ' * rng.integers(20)}", f"evil {i}",
            meta={"a": f"a{rng.integers(3)}", "b": f"b{rng.integers(3)}", "age": float(rng.normal()), "grade": i % 5,
                  "chosen_d": f"d{rng.integers(2)}", "rejected_d": f"d{rng.integers(2)}"},
        )
        for i in range(1000)
    ]  # fmt: skip
    config = AuditConfig(
        groups=("a", "b", "age", "d:completion"), stratum="grade", skip=("attack", "bias", "consistency")
    )
    started = time.monotonic()
    audit_reward(pairs, Steps(), config=config)
    assert time.monotonic() - started < 120
