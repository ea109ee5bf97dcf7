"""Smoke runs of the experiments on online methods with tabular policies: the machinery, not the claims."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from plaudit.lab.experiments.policy.branch_credit import experiment as branches
from plaudit.lab.experiments.policy.brevity_by_difficulty import experiment as brevity
from plaudit.lab.experiments.policy.chains import at_least, chains
from plaudit.lab.experiments.policy.cross_views import experiment as views
from plaudit.lab.experiments.policy.cyclic_strengths import experiment as circles
from plaudit.lab.experiments.policy.difficulty_scaling import experiment as difficulty
from plaudit.lab.experiments.policy.staged_tasks import experiment as stages
from plaudit.lab.experiments.policy.task_scales import experiment as tasks
from plaudit.lab.experiments.policy.win_rates import experiment as wins
from plaudit.lab.experiments.policy.wrong_length import experiment as lengths
from plaudit.lab.tabular import Drawn, TabularPolicy, by_position, by_prefix


def drawn(prompt, tokens, group=None):
    tokens = torch.tensor(tokens)
    return Drawn(
        torch.tensor(prompt), torch.tensor(prompt if group is None else group), tokens,
        torch.ones_like(tokens, dtype=torch.bool), torch.zeros(tokens.shape, dtype=torch.float64),
    )  # fmt: skip


def shares(found, *names):
    return all(0 <= numbers[name] <= 1 for numbers in found.values() for name in names)


def test_chains():
    world = chains(3, prompts=4, test=6, length=4, decisive=2, vocabulary=3)
    policy = world.policy()
    asked = TabularPolicy(policy.logits, policy.moves, length=4, features=world.test)
    every = asked.every()
    right = (every[None] == world.needed[4:, None])[:, :, world.decisive].all(2)
    listed = (asked.chances(every).detach() * right).sum(1)
    assert torch.allclose(world.accuracy(policy), listed)
    assert world.right(drawn([0, 1], world.needed[:2].tolist())).tolist() == [1.0, 1.0]
    # by hand, chances of 1/2 and 1/4: both 1/8, at least one 1 - 3/8
    chance = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
    assert at_least(chance, 2).tolist() == pytest.approx([0.125])
    assert at_least(chance, 1).tolist() == pytest.approx([0.625])
    # the entropy of a start that knows nothing of three tokens
    assert chains(3, length=2, vocabulary=3, skill=0.0, errors=0.0).entropy(
        chains(3, length=2, vocabulary=3, skill=0.0, errors=0.0).policy()
    ) == pytest.approx(np.log(3))


def test_token_rewards(smoke):
    found = smoke("policy/token_rewards")
    assert shares(found, "area", "accuracy")
    assert found["prime"] != found["outcome"] != found["oracle"]


def test_token_rewards_or_groups(smoke):
    assert shares(smoke("policy/token_rewards_or_groups"), "area", "accuracy")


def test_branch_credit(smoke):
    found = smoke("policy/branch_credit")
    assert shares(found, "area", "accuracy")
    assert found["faster@plain"]["area"] != found["grpo@plain"]["area"]


def test_branch_credit_knows_the_worth_of_prefixes():
    moves = by_prefix(2, 2)
    policy = TabularPolicy(torch.log(torch.tensor([[[1.0, 3.0], [1.0, 1.0], [1.0, 4.0]]])), moves, length=2)
    right = torch.tensor([[0.0, 0.0, 0.0, 1.0]])  # of 00, 01, 10, 11
    # by hand: 3/4 * 4/5 at the beginning, 4/5 behind token 1, nothing behind token 0
    values = branches._values(policy, right.double(), drawn([0, 0], [[1, 0], [0, 1]]))
    assert values.tolist() == pytest.approx([0.6, 0.8, 0.6, 0.0], abs=1e-6)


def test_outcome_pairs(smoke):
    found = smoke("policy/outcome_pairs")
    assert shares(found, "area", "accuracy")
    assert len({numbers["accuracy"] for numbers in found.values()}) > 6


def test_outlier_rewards(smoke):
    found = smoke("policy/outlier_rewards")
    assert shares(found, "area", "accuracy", "left_out")
    assert found["oracle"] == found["whitened@0"]  # a reward that is never off


def test_wrong_length(smoke):
    found = smoke("policy/wrong_length")
    assert all(1 <= numbers[name] <= 12 for numbers in found.values() for name in ("wrong", "right"))
    assert found["dr-grpo"] != found["unscaled"]


def test_wrong_length_exact_numbers():
    # answers 0 and 1 by 1/4 and 3/4; behind 0 the end comes at once, behind 1 with 1/2, and token 3 is the last
    logits = torch.log(torch.tensor([[[1.0, 3.0, 1e-30], [1e-30, 1e-30, 1.0], [1.0, 1e-30, 1.0]]], dtype=torch.float64))
    moves = torch.tensor([[1, 2, 0], [1, 1, 1], [2, 2, 2]])
    policy = TabularPolicy(logits, moves, length=3, end=2)
    found = lengths.measured(policy, torch.tensor([0]))
    # by hand: a right one has two tokens, a wrong one two or, half the time, three
    assert found == pytest.approx({"right": 2.0, "wrong": 2.5, "accuracy": 0.25})


def test_cross_views(smoke):
    found = smoke("policy/cross_views")
    assert shares(found, "accuracy", "commonest", "agreement")
    assert found["start"]["agreement"] < found["cross@0"]["agreement"]  # wordings that look the same


def test_cross_views_rewards():
    said, prompt = np.array([0, 0, 1, 1, 1, 2, 0, 0]), np.array([0, 0, 0, 1, 1, 1, 2, 3])
    # by hand: the first wording says mostly 0, the second 1, and both together too, by three to two and one
    assert views.rewards("cross", said, prompt)[:6].tolist() == [0, 0, 1, 0, 0, 0]
    assert views.rewards("own", said, prompt)[:6].tolist() == [1, 1, 0, 1, 1, 0]
    assert views.rewards("pooled", said, prompt)[:6].tolist() == [0, 0, 1, 1, 1, 0]


def test_cyclic_strengths(smoke):
    found = smoke("policy/cyclic_strengths")
    assert all(0 <= numbers["exploitable"] <= 0.5 for numbers in found.values())
    assert found["start"]["kl"] == 0.0


def test_cyclic_strengths_preferences():
    rng = np.random.default_rng(0)
    prefers = circles.preferences(rng, 3, 4, cycles=2.0)
    np.testing.assert_allclose(prefers + prefers.transpose(0, 2, 1), 1.0)
    # rock, paper, scissors: nobody can exploit thirds; who always plays one loses to another
    game = np.array([[[0.5, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.5]]])
    assert circles.exploitable(game, np.full((1, 3), 1 / 3)) == pytest.approx(0.0)
    assert circles.exploitable(game, np.array([[1.0, 0.0, 0.0]])) == pytest.approx(0.5)
    # what a score explains, a score finds: expected wins of a thousand games by scores of 1, 0 and -1
    score = np.array([1.0, 0.0, -1.0])
    wins = 1000 / (1 + np.exp(-(score[:, None] - score)))
    np.fill_diagonal(wins, 0.0)
    assert circles.fitted_scores(wins[None], steps=300)[0] == pytest.approx(score, abs=1e-2)


def test_win_rates(smoke):
    found = smoke("policy/win_rates")
    assert shares(found, "worth", "tempted")
    assert found["wins"] != found["scores"]


def test_win_rates_of_scores():
    batch, rng = drawn([0, 0, 0], [[0], [0], [0]]), np.random.default_rng(0)
    worth, score = np.array([0.0, 1.0, 0.5]), np.array([9.0, 0.2, 0.1])
    # by hand: the highest score is cut to the second; shares of two comparisons that are won
    assert wins._told("cut", worth, score, batch, rng, 0.0).reward.tolist() == [0.2, 0.2, 0.1]
    assert wins._told("wins", worth, score, batch, rng, 0.0).reward.tolist() == [1.0, 0.5, 0.0]
    assert wins._told("judge", worth, score, batch, rng, 0.0).reward.tolist() == [0.0, 1.0, 0.5]


def test_task_scales(smoke):
    found = smoke("policy/task_scales")
    assert shares(found, "worth", "strict", "loose", "dense")
    # a task's own deviation takes the size of its rewards out
    assert found["ema-grpo"]["worth"] == pytest.approx(found["ema-grpo@0"]["worth"], abs=1e-3)


def test_task_scales_rewards():
    needed = torch.tensor([[1, 1], [1, 1], [1, 1]])
    batch = drawn([0, 1, 2, 0], [[1, 0], [1, 0], [1, 0], [1, 1]])
    assert tasks.rewards(batch, needed, np.array([0, 1, 2]), 0.05).tolist() == [0.0, 1.0, 0.025, 1.0]


def test_spread_filter(smoke):
    found = smoke("policy/spread_filter")
    assert shares(found, "worth", "dropped")
    assert found["oracle"] == found["rlpr@0"]
    assert found["grpo"]["dropped"] == 0.0 < found["random"]["dropped"]


def test_brevity_by_difficulty(smoke):
    found = smoke("policy/brevity_by_difficulty")
    assert shares(found, "accuracy")
    assert all(1 <= numbers["length"] <= 8 for numbers in found.values())
    assert found["traac@0"]["easy"] == found["traac@0"]["length"]


def test_brevity_exact_numbers():
    # a token more with 1/2 each: lengths of 1, 2 and 3 with 1/2, 1/4 and 1/4
    policy = TabularPolicy(torch.zeros(2, 3, 2), by_position(3, 2), length=3, end=1)
    chance = np.array([[0.0, 0.4, 0.8], [1.0, 1.0, 1.0]])
    found = brevity._measured(policy, chance, np.array([0.0, 1.0]), price=0.3)
    # by hand: (0.1 + 0.2 + 1) / 2 = 0.65 right, 1.75 tokens, 0.65 - 0.3 * 1.75 / 3
    assert found == pytest.approx({"accuracy": 0.65, "length": 1.75, "easy": 1.75, "hard": 1.75, "worth": 0.475})


def test_clip_higher(smoke):
    found = smoke("policy/clip_higher")
    assert shares(found, "accuracy", "tries")
    assert found["higher@1"] == found["equal@1"]  # no ratio leaves 1


def test_staged_tasks(smoke):
    found = smoke("policy/staged_tasks")
    assert shares(found, "hard", "easy")
    assert found["start"]["kl"] == 0.0
    assert found["staged"] != found["kept"]


def test_staged_tasks_demands():
    world = SimpleNamespace(needed=torch.tensor([[1, 1], [0, 0]]))
    hard, every = stages._prompts(2, "hard"), stages._prompts(2, "mixture")
    assert (hard.tolist(), every.tolist()) == ([1, 3], [0, 1, 2, 3])
    # by hand: one of two right meets the easy demands of a mixture and no hard one
    batch = drawn([0, 1, 2, 3], [[1, 0], [1, 0], [0, 1], [0, 0]])
    assert stages.rewards(world, batch, every).tolist() == [1.0, 0.0, 1.0, 1.0]
    assert stages.rewards(world, drawn([0, 1], [[1, 1], [0, 1]]), hard).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("wrong_length_apart", "wrong_length"), ("branch_credit_plain", "branch_credit"),
        ("outlier_groups", "outlier_rewards"), ("nash_players", "cyclic_strengths"),
        ("dynamic_sampling", "clip_higher"),
        ("win_rates_or_cut", "win_rates"), ("easy_then_hard", "staged_tasks"),
    ],
)  # fmt: skip
def test_claims_about_the_same_runs(name, runs):
    from plaudit.lab.catalog import find_experiment

    one, other = find_experiment(f"policy/{name}"), find_experiment(f"policy/{runs}")
    assert one.run_instance is other.run_instance
    assert set(one.claim.contrast) <= set(other.claim.arms)
    assert one.claim.contrast != other.claim.contrast


def test_all_sequences_of_the_tree_are_listed_in_order():
    policy = TabularPolicy(torch.zeros(1, 7, 2), by_prefix(3, 2), length=3)
    assert policy.every().tolist() == [list(row) for row in itertools.product((0, 1), repeat=3)]


def test_difficulty_scaling(smoke):
    found = smoke("policy/difficulty_scaling")
    assert shares(found, "rare", "others", "ranks")
    assert found["grpo-s"]["ranks"] == found["grpo"]["ranks"]  # one reward for all arms


def test_difficulty_scaling_hardness():
    classes = difficulty.CLASSES
    shown = np.array([[0, 1], [1, 1], *[[0, 0]] * (classes - 1)])
    sampled = np.array([[[0, 0], [0, 1]], [[0, 1], [0, 0]], *[[[1, 1], [1, 1]]] * (classes - 1)])
    # by hand: the nearest agree in 2, 1 and 0 of two places; the class of the first two has 1 - (1 + 1/2) / 2
    found = difficulty.hardness(shown, sampled, np.array([0, 0, *range(1, classes)]))
    assert found.tolist() == [0.25, *[1.0] * (classes - 1)]
