"""The tables of methods: their world by hand, and smoke runs."""

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.experiments.policy.offline_methods import experiment as offline
from plaudit.lab.experiments.policy.online_methods import experiment as online
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.tables import END, LENGTH, Tables, at_levels, best_share
from plaudit.policy.algorithms import ALGORITHMS
from plaudit.policy.online.methods import ONLINE

BUDGET = {"prompts": 3, "each": 4, "rate": 0.03, "level": 1.0, "share": 0.25, "error": 0.7, "certainty": 2.0}


@pytest.mark.parametrize(
    ("name", "methods", "without"),
    [
        ("policy/online_methods", ONLINE, {"ppo", "oreal-tokens"}),
        ("policy/offline_methods", ALGORITHMS, set(offline.NOT_FOR_TABLES)),
    ],
)
def test_all_methods_are_in_the_table(smoke, name, methods, without):
    found = smoke(name)
    assert set(found) == {"coin", "oracle", *methods} - without
    for numbers in found.values():
        assert numbers["kl"] >= 0
        assert -1 <= numbers["truth_at_kl"] <= 1


def test_right_answers_have_the_share_that_is_asked_for():
    world = Tables.made(7, BUDGET)
    # up to five tokens of four, then the end or five without one: 1 + 4 + 16 + 64 + 256 that end, and 4^5 that do not
    assert len(world.every) == 1365
    chance = world.start.chances(world.every).detach()
    np.testing.assert_allclose(chance.sum(1), 1, atol=1e-12)
    for said in (world.right, world.passed):
        share = (chance * said).sum(1)
        assert (share <= 0.25).all()
        assert (share > 0.2).all()  # the next one would have gone beyond
    assert 0.05 < float((world.right != world.passed).double().mean())
    alike = Tables.made(7, {**BUDGET, "error": 0.0})
    assert torch.equal(alike.right, alike.passed)


def test_the_best_are_kept_up_to_the_share():
    # in falling worth the chances are 0.1, 0.2, 0.3, 0.4: 0.1 and 0.3 are within 0.35, 0.6 is not
    kept = best_share(torch.tensor([[1.0, 4.0, 3.0, 2.0]]), torch.tensor([[0.4, 0.1, 0.2, 0.3]]), 0.35)
    assert kept.tolist() == [[False, True, True, False]]


def test_what_methods_are_told_follows_from_the_verdicts():
    world = Tables.made(7, BUDGET)
    drawn = world.start.sample(torch.tensor([1, 2]), 3, torch.Generator().manual_seed(0))
    told = online.judged(world, drawn, world.passed)
    rows = [world.every.tolist().index(row) for row in drawn.tokens.tolist()]
    verdicts = [float(world.passed[p, k]) for p, k in zip([1, 1, 1, 2, 2, 2], rows, strict=True)]
    assert list(told.reward) == list(told.correct) == list(told.columns["allowed"]) == verdicts
    assert told.tasks == ("task 1",) * 3 + ("task 0",) * 3
    first, second = told.compared.pairs.T
    lead = np.array(verdicts)[first] - np.array(verdicts)[second]
    np.testing.assert_array_equal(told.compared.probability, np.where(lead == 0, 0.5, lead > 0))


def test_truth_and_distance_are_those_of_the_policy():
    world = Tables.made(3, BUDGET)
    assert world.measured(world.start)["kl"] == 0
    sure = TabularPolicy(
        torch.zeros_like(world.start.logits), world.start.moves, length=LENGTH, end=END
    )  # fmt: skip
    with torch.no_grad():
        sure.logits[..., END] = 50.0  # says nothing: the completion that ends at once
    silent = world.every.tolist().index([0] * LENGTH)
    found = world.measured(sure)
    assert found["truth"] == pytest.approx(float(world.right[:, silent].double().mean()), abs=1e-9)
    # log 1 less the start's log-chance of ending at once
    ends = torch.log_softmax(world.start.logits.detach(), -1)[:, 0, END]
    assert found["kl"] == pytest.approx(float(-ends.mean()), abs=1e-9)


def test_an_unknown_arm_is_refused():
    with pytest.raises(InputError, match="arm 'ppo' is not known"):
        online.run_instance(1, "ppo", budget=BUDGET, fit=None)
    with pytest.raises(InputError, match="arm 'dpa' is not known"):
        offline.run_instance(1, "dpa", budget=BUDGET, fit=None)


def test_the_truth_at_a_kl_lies_between_two_looks():
    # halfway from (0.5, 0.2) to (1.5, 0.4); the step back at the end counts as standing still
    found = at_levels([0.0, 0.5, 1.5, 1.2], [0.0, 0.2, 0.4, 0.3], 1.0)
    assert found["truth_at_kl"] == pytest.approx(0.3)
    assert found["truth_0.25"] == pytest.approx(0.1)
    assert found["kl"] == 1.5
    assert "truth_2" not in found
    assert at_levels([0.0, 0.5], [0.0, 0.2], 1.0)["truth_at_kl"] == 0.2


def test_offline_methods_learn_from_the_same_completions():
    world = Tables.made(7, BUDGET)
    pairs, samples = (offline.rows_of(world, world.believed, name, 7, BUDGET) for name in ("dpo", "raft"))
    said = {(row.prompt, text) for row in pairs for text in (row.chosen, row.rejected)}
    assert said <= {(s.prompt, s.completion) for s in samples}
    assert len(samples) == 12
    score = {(s.prompt, s.completion): s.meta["reward"] for s in samples}
    for row in pairs:
        assert row.chosen_score == score[row.prompt, row.chosen]
        at = world.every.tolist().index([int(t) for t in row.chosen.split()])
        assert row.chosen_score == pytest.approx(float(world.believed[int(row.prompt[0].text), at]))


def test_labels_are_as_certain_as_they_are_said_to_be():
    budget = {**BUDGET, "each": 4000, "certainty": 2.0}
    world = Tables.made(7, budget)
    rows = offline.rows_of(world, world.believed, "dpo", 7, budget)
    lead = np.array([row.chosen_score - row.rejected_score for row in rows])
    expected = 1 / (1 + np.exp(-2.0 * np.abs(lead)))
    assert (lead > 0).mean() == pytest.approx(expected.mean(), abs=0.02)


def test_rows_are_read_back_as_the_method_makes_them():
    world = Tables.made(7, BUDGET)
    rows = offline.rows_of(world, world.believed, "dpo", 7, BUDGET)
    shown = offline.shown(rows, "dpo")
    assert [int(row.prompt[0].text) for row in rows] == shown.prompt[shown.pairs[:, 0]].tolist()
    assert [row.chosen for row in rows] == [" ".join(map(str, t)) for t in shown.tokens[shown.pairs[:, 0]].tolist()]
    best = offline.shown(offline.rows_of(world, world.believed, "raft", 7, BUDGET), "raft")
    assert best.wanted.tolist() == [1.0] * 3  # one a prompt
    kto = offline.shown(rows, "kto")
    strangers = kto.mismatched.nonzero()[:, 0].tolist()
    assert kto.prompt[strangers].tolist() == [0, 1, 2]
    first = [next(k for k, p in enumerate(kto.prompt.tolist()) if p == q) for q in (1, 2, 0)]
    assert kto.tokens[strangers].tolist() == kto.tokens[first].tolist()
    assert kto.wanted[strangers].isnan().all()
