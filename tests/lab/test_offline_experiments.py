"""Smoke runs of the experiments on direct alignment: the machinery, not the claims."""

import math

import pytest
import torch

from plaudit.lab.aligning import mean_kl
from plaudit.lab.experiments.policy.averaged_policies import experiment as averaged
from plaudit.lab.experiments.policy.best_of_superbatch import experiment as superbatch
from plaudit.lab.experiments.policy.quoted_lengths import experiment as quoted
from plaudit.lab.experiments.policy.report_lengths import experiment as reports
from plaudit.lab.worlds.phrases import Phrases
from plaudit.records import Message, Ranked


def test_direct_overoptimisation(smoke):
    found = smoke("direct_overoptimisation")
    assert found["stopped"]["fall"] == found["dpo"]["fall"] == found["early"]["fall"]  # one training
    assert found["stopped"]["worth"] == pytest.approx(found["dpo"]["worth"] + found["dpo"]["fall"])
    assert found["dpo"]["at"] == 1.0


def test_length_growth(smoke):
    found = smoke("length_growth")
    assert found["dpo"]["growth"] != found["ld-dpo"]["growth"]


def test_reward_differences(smoke):
    found = smoke("reward_differences")
    assert found["rebel"]["worth"] != found["rebel@sign"]["worth"]
    assert found["dpo"]["worth"] != found["dpo@clean"]["worth"]


def test_reward_augmented(smoke):
    found = smoke("reward_augmented")
    assert found["dpo"]["low"] == found["dpo"]["worth"]  # it is not told what to reach
    assert found["augmented"]["low"] != found["augmented"]["worth"]


def test_self_rewarding(smoke):
    found = smoke("self_rewarding")
    assert found["seed"]["certain"] == 0
    assert found["oracle"]["right"] == 1.0
    assert 0 <= found["cream"]["certain"] <= 1


def test_quoted_lengths(smoke):
    found = smoke("quoted_lengths")
    assert found["quoted"]["pairs"] <= found["no-lengths"]["pairs"]


def test_quoted_lengths_pairs():
    rows = [Ranked((Message("user", "3"),), ("12000", "12340", "43210", "11110"), (3.0, 2.0, 1.0, 0.0))]
    said = [quoted._said(row, 7) for row in rows]
    assert said[0].completions == ("12", "1234", "4321", "1111")
    budget = {"score_gap": 0.5, "length_gap": 0.1}
    # of equal length and further apart than 0.5: (2, 1), (2, 0), (1, 0); the highest mean is that of the first
    (pair,) = quoted._paired(said, "quoted", budget)
    assert (pair.chosen, pair.rejected) == ("1234", "4321")
    (pair,) = quoted._paired(said, "extremes", budget)
    assert (pair.chosen, pair.rejected) == ("12", "1111")
    shown = quoted._shown([pair])
    assert shown.prompt.tolist() == [3, 3]
    assert shown.tokens.tolist() == [[1, 2, 0, 0, 0], [1, 1, 1, 1, 0]]


def test_anchored_sft(smoke):
    found = smoke("anchored_sft")
    assert found["asft-free"] == found["dft"]  # an anchor of 0
    assert found["asft"]["drift"] != found["dft"]["drift"]


def test_best_of_superbatch(smoke):
    found = smoke("best_of_superbatch")
    assert found["superhf@true"]["proxy"] == pytest.approx(found["superhf@true"]["worth"])
    assert found["raft"]["worth"] != found["superhf"]["worth"]


def test_best_of_superbatch_rewards():
    world = Phrases.made(5, train=6, test=4)
    # with many labels the learnt reward is nearly the worth, on prompts that it was not fitted on
    reward = superbatch.learnt(world, 20_000, torch.Generator().manual_seed(0))
    assert superbatch._order(world, reward) > 0.85
    assert superbatch._order(world, world.worth) == pytest.approx(1.0)
    # the best of one is the start: worth 0, no distance; of many by worth it rises, log 8 - 7/8 nats at most
    one, eight = superbatch._chosen(world, world.worth, 1), superbatch._chosen(world, world.worth, 8)
    assert one["worth"] == pytest.approx(0, abs=1e-9)
    assert one["kl"] == pytest.approx(0, abs=1e-9)
    assert eight["worth"] > 1
    assert 0 < eight["kl"] <= math.log(8) - 7 / 8 + 1e-9


def test_averaged_policies(smoke):
    found = smoke("averaged_policies")
    assert 0 < found["averaged"]["share"] <= 1
    assert found["stopped"]["share"] == 1.0


def test_averaged_policies_end_where_they_may():
    world = Phrases.made(2, train=3, test=2)
    policy = world.policy()
    policy.logits.data += torch.randn(
        policy.logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    found, share = averaged._averaged(world.start, policy, 0.2)
    assert mean_kl(found, world.start) == pytest.approx(0.2, abs=1e-6)
    torch.testing.assert_close(found.logits, torch.lerp(world.start.logits, policy.logits, share).detach())
    near, whole = averaged._averaged(world.start, policy, 1e9)
    assert whole == 1.0
    assert torch.equal(near.logits, policy.logits)


def test_report_lengths(smoke):
    found = smoke("report_lengths")
    assert found["start"]["length_ratio"] == 1.0
    assert found["start"]["kl"] == found["start"]["recall"] == 0.0
    assert found["dpo"]["kl"] > 0


def test_reports_by_hand():
    """Findings 1 and 2 are there, 3 and 4 not. A finding said twice counts once, and nothing counts behind the end."""
    budget = dict(prompts=1, findings=4, present=2, length=5, skill=1.0, ends=0.0)
    made = reports.Reports.made(0, budget)
    world = reports.Reports(made.start, torch.tensor([[False, True, True, False, False]]))
    tokens = torch.tensor([[1, 3, 3, 0, 2], [1, 2, 1, 2, 1], [0, 1, 1, 1, 1]])
    said = world.judged(torch.zeros(3, dtype=torch.int64), tokens)
    assert said["recall"].tolist() == [0.5, 1.0, 0.0]
    assert said["precision"].tolist() == [0.5, 1.0, 0.0]
    assert said["green"].tolist() == pytest.approx([1 / 3, 1.0, 0.0])  # one matched, one wrong, one left out
    assert said["length"].tolist() == [3.0, 5.0, 0.0]
    assert made.true.sum().item() == 2
    assert not made.true[0, 0]


def test_the_best_and_the_worst_report_are_a_pair():
    budget = dict(prompts=2, findings=8, present=3, length=6, skill=0.0, ends=0.0, each=8, rounds=3)
    world = reports.Reports.made(1, budget)
    by = {judge: reports._pairs(world, judge, "dpo", 1, budget) for judge in ("recall", "green")}
    for judge, pairs in by.items():
        said = world.judged(pairs.prompt, pairs.tokens)[judge][pairs.pairs]
        assert (said[:, 0] > said[:, 1]).all()
    assert by["recall"].tokens.tolist() != by["green"].tokens.tolist()
