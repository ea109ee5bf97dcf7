"""Smoke runs of the experiments on evaluation and audit: the machinery, not the claims."""

from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.catalog import find_experiment
from plaudit.lab.experiments.audit.linear import demonstrated, features, fit_words
from plaudit.lab.experiments.audit.repeated_steps import experiment as repeated
from plaudit.lab.experiments.audit.unseen_rungs import experiment as rungs_of
from plaudit.lab.experiments.evaluation.lucky_answers import experiment as lucky
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.lab.experiments.evaluation.markov_orders.experiment import _memory
from plaudit.lab.experiments.evaluation.minimum_at_end.experiment import _reaches, _until
from plaudit.lab.experiments.evaluation.step_masks import experiment as masks
from plaudit.lab.experiments.evaluation.verdict_filter import experiment as filtered
from plaudit.records.message import Message
from plaudit.records.sample import Sample

BOUNDED = {
    "audit/conditional_parity": (0, 1),
    "audit/contrast_instructions": (-1, 1),
    "audit/crossed_groups": (-1, 1),
    "audit/master_keys": (0, 1),
    "audit/null_model": (0, 1),
    "audit/poisoning_dose": (0, 1),
    "audit/repeated_steps": (0, 3),
    "audit/several_answers": (0, 1),
    "audit/unseen_rungs": (-np.inf, np.inf),
    "evaluation/area_under_precision": (-1, 1),
    "evaluation/borda_tasks": (-1, 1),
    "evaluation/language_agreement": (-1, 1),
    "evaluation/length_control": (-1, 1),
    "evaluation/length_rule": (-1, 1),
    "evaluation/lucky_answers": (-1, 1),
    "evaluation/markov_orders": (0, 1),
    "evaluation/minimum_at_end": (0, 1),
    "evaluation/one_against_nine": (-1, 1),
    "evaluation/optimisation_law": (0, np.inf),
    "evaluation/pooled_precision": (0, 1),
    "evaluation/probing_confidence": (0, 1),
    "evaluation/reward_distances": (-1, 1),
    "evaluation/sample_sets": (0, 1),
    "evaluation/scenario_mean": (-1, 1),
    "evaluation/step_masks": (-1, 1),
    "evaluation/verdict_filter": (-1, 1),
    "evaluation/verifier_or_clone": (-np.inf, np.inf),
}
"""Range of each experiment's primary metric."""


@pytest.fixture(scope="session")
def found_before():
    return {}


@pytest.fixture
def found(smoke, found_before):
    """Smoke runs, each made once."""

    def run(name):
        if name not in found_before:
            found_before[name] = smoke(name)
        return found_before[name]

    return run


@pytest.mark.parametrize("name", BOUNDED)
def test_arms_differ_and_stay_in_range(found, name):
    claim, numbers = find_experiment(name).claim, found(name)
    low, high = BOUNDED[name]
    values = [row[claim.metric] for row in numbers.values()]
    assert all(low <= v <= high for v in values)
    assert len(set(values)) >= 2  # the arms are not one another


@pytest.mark.parametrize(
    ("name", "arm"),
    [
        ("evaluation/one_against_nine", "styled_four"), ("audit/null_model", "seen@0"),
        ("audit/poisoning_dose", "rare_7"), ("evaluation/reward_distances", "val@1"),
        ("evaluation/lucky_answers", "reasoning@0"), ("evaluation/verdict_filter", "area@best"),
        ("evaluation/language_agreement", "mean@0"), ("audit/unseen_rungs", "all@0"),
    ],
)  # fmt: skip
def test_arms_that_look_like_others_are_refused(name, arm):
    experiment = find_experiment(name)
    with pytest.raises(InputError, match=f"arm '{arm}' is not known; the claim lists the arms"):
        experiment.run_instance(1, arm, budget=experiment.claim.budget["smoke"], fit=None)


def test_controls_vanish_where_they_must(found):
    assert found("audit/master_keys")["oracle"]["accuracy"] == 1.0
    # the true reward grants whatever beats it, so no win is undeserved
    assert found("audit/null_model")["found@0"]["rate"] == found("audit/null_model")["drawn@0"]["rate"] == 0
    repeats = found("audit/repeated_steps")
    assert repeats["delta@0"] == repeats["sum@0"] == repeats["outcome"]
    orders = found("evaluation/markov_orders")
    assert orders["markov@2"]["expressed"] == orders["memory@2"]["expressed"] == 1.0
    assert orders["single"] == orders["markov"]  # a machine with one state is a Markov reward
    # one monotone map of the pool changes no order, and no map of a class changes its own
    pooled = found("evaluation/pooled_precision")
    assert pooled["one"]["precision"] == pytest.approx(pooled["raw"]["precision"])
    assert len({round(v["by_class"], 9) for k, v in pooled.items() if "@" not in k}) == 1
    # shaping and a redistribution over next states change neither STARC's distance nor the regret
    distances = found("evaluation/reward_distances")
    assert distances["val@more"]["agreement"] == pytest.approx(distances["val"]["agreement"])
    assert distances["val@more"]["regret"] == pytest.approx(distances["val"]["regret"])
    assert found("evaluation/length_control")["plain@0"]["gamed"] == pytest.approx(0, abs=2)


def test_a_rule_on_length_turns_slight_wins_of_long_answers_alone(found):
    ruled = found("evaluation/length_rule")
    assert ruled["plain"]["turned"] == 0.0
    assert 0 < ruled["ruled"]["turned"] <= ruled["strict"]["turned"] < 0.5


def test_means_over_scenarios_of_one_size_are_means_over_pairs(found):
    scenarios = found("evaluation/scenario_mean")
    assert scenarios["scenarios@0"]["foretells"] == pytest.approx(scenarios["pooled@0"]["foretells"])
    assert scenarios["pooled@0"]["moved"] == pytest.approx(0)
    # six scenarios of 15 pairs each
    assert scenarios["pooled@0"]["largest"] == pytest.approx(1 / 6)


def test_what_was_taught_is_paid_for(found):
    rungs = found("audit/unseen_rungs")
    assert rungs["against"]["lower"] < rungs["plain"]["lower"] < rungs["paid"]["lower"]
    assert rungs["all"]["upper"] > rungs["plain"]["upper"]


def test_rungs_that_share_no_word():
    apart = rungs_of._apart()
    taught = {word for rung in rungs_of.LOWER for word in apart[rung].split()}
    assert not any(taught & set(apart[rung].split()) for rung in rungs_of.UPPER)
    # of "This answer has been checked by leading experts, who found it correct." agreement and praise have two words
    assert apart["authority"] == "has been checked by leading experts, who found it correct."
    # neutral sentences still have as many words as the longest of the upper rungs
    longest = max(len(apart[rung].split()) for rung in rungs_of.UPPER)
    assert min(len(s.split()) for s in rungs_of._without(rungs_of.NEUTRAL)) >= longest


def test_a_path_is_walked_step_by_step():
    rng, n = np.random.default_rng(0), 20_000
    seen = lucky._respond(rng, 0.8, 0.5, np.zeros(n), np.full(n, 3))
    # the second step: 0.8 after a found first one, 0.1 after a lost one: 0.8 * 0.8 + 0.2 * 0.1 = 0.66
    # the third: 0.66 * 0.8 + 0.34 * 0.1 = 0.562; then half of the others guess: 0.562 + 0.219 = 0.781
    assert seen.found.mean(axis=0)[:3] == pytest.approx([0.8, 0.66, 0.562], abs=0.015)
    assert not seen.found[:, 3:].any()
    assert seen.answered.mean() == pytest.approx(0.781, abs=0.015)


def test_steps_show_their_slips_where_they_should():
    rng, axes = np.random.default_rng(0), np.eye(3)[[0, 0, 0]]
    seen, right = masks._steps(rng, axes, 2.0, (20_000,))
    # no slip of either kind: 0.75^2
    assert right.mean() == pytest.approx(0.5625, abs=0.015)
    # thoughts of right steps lie 2 higher; of the wrong ones 0.25 / 0.4375 have each slip, which moves its part by -1.5
    moved = seen[right].mean(axis=0) - seen[~right].mean(axis=0)
    assert moved == pytest.approx([2, 0, 0, 0.857, 0, 0, 0.857, 0, 0], abs=0.06)


def test_greedy_search_takes_the_best_of_each_step():
    # two problems of two steps with two choices; the weight takes the larger number, which is right but once
    seen = np.array([[[1, 0], [0, 2]], [[3, 1], [1, 2]]], dtype=float)[..., None]
    right = np.array([[[True, False], [False, True]], [[True, True], [True, False]]])
    assert masks._searched(seen, right, np.ones(1)) == 0.5


def test_a_student_learns_from_a_choice_within_problems_only():
    rng = np.random.default_rng(0)
    world = filtered.World(np.array([0.0, 2.0, 2.0]), np.array([0.0, 0.0, 5.0]), 1)
    pool, exam = world.pool(rng, 400), world.pool(rng, 400)
    start = exam.chance.mean()
    every = np.ones(pool.right.shape, dtype=bool)
    # all are kept, or none, or those of some problems: nothing is preferred
    for kept in (every, ~every, every & (pool.seen[:, :1, 1] > 0)):
        assert filtered._student(pool, kept, exam, 1) == pytest.approx(start)
    assert filtered._student(pool, pool.right, exam, 1) > start + 0.05


def test_numbers_of_a_benchmark_leave_out_what_has_no_judgement():
    items = [made_item(i, (True,)) for i in range(3)]
    found = benchmark("libra").statistics(items, replace(fixed([[0.2], [np.nan], [-0.2]]), threshold=0.0))
    assert number_of(found, "accuracy") == 0.5


def test_ceilings_are_reached(found):
    assert found("audit/conditional_parity")["bias"]["area"] == 1.0
    learned = found("evaluation/verifier_or_clone")
    # at the clone's own distance no direction is better than what is true
    assert learned["oracle"]["gain"] >= max(learned[k]["gain"] for k in ("verifier", "clone", "dealt")) - 1e-9
    assert learned["verifier"]["kl"] == pytest.approx(learned["clone"]["kl"])
    assert learned["sharper"]["kl"] == pytest.approx(2 * learned["clone"]["kl"])


def test_words_are_counted():
    sample = Sample((Message("user", "the maker of the drum ?"),), "the drum the end")
    words = {"the": 0, "drum": 1, "is": 2}
    # counts of the, drum, is; of those that the prompt has too; log(1 + 4 words)
    assert features([sample], words)[0] == pytest.approx([2, 1, 0, 2, 1, 0, np.log(5)])


def test_the_word_reward_learns_what_its_pairs_prefer():
    pairs = demonstrated(11, 120, 0)
    assert pairs == demonstrated(11, 120, 0)
    margins = fit_words(pairs)([s for p in pairs for s in p.samples()]).reward.reshape(-1, 2)
    assert (margins[:, 0] > margins[:, 1]).mean() > 0.7  # on what it was fitted to


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("sum", 6.15, 6.27), ("delta", 0.82, 0.87), ("clipped", -0.32, -0.26), ("both", -0.08, -0.05)],
)
def test_what_repetition_is_paid(name, low, high):
    # careful, three repetitions: four steps at 0.85 and three at 0.95 sum to 6.25, less what the cut at 1 takes; the
    # differences telescope to the first step's 0.85. With X normal about m, deviation 0.08, E min(X, 0) is
    # m Phi(-m / 0.08) - 0.08 phi(m / 0.08): -0.063 at m = -0.05 and -0.013 at 0.05, so that clipping at 0.9 costs
    # 4 * 0.063 + 3 * 0.013 = 0.29, and clipped differences telescope to -0.063
    action = np.full(4000, 1 * 9 + 3)
    paid = repeated._paid(name, action, 4, 8, np.random.default_rng(0)).mean()
    assert low <= paid <= high


def test_memories_move_as_they_are_said_to():
    # the last action: whatever the memory was, it is the action now
    moves = _memory("memory", 1, 2, 2)
    assert moves.shape == (2, 2, 2, 2)
    assert (moves[:, :, 0] == 0).all()
    assert (moves[:, :, 1] == 1).all()
    # a row of second actions, up to two; the first action ends it
    row = _memory("three", 1, 2, 2)
    assert (row[:, 0, 0, 0] == 0).all()
    assert row[:, 0, 1, 0].tolist() == [1, 2, 2]
    # parity: each move turns both memories round, or neither
    parity = _memory("parity", 1, 2, 2)
    assert (parity[0] + parity[1] == 1).all()


def test_labels_end_with_the_first_fault():
    label, kept = _until(np.array([[False, True, False, True], [False, False, False, False]]))
    assert label.tolist() == [[1, 0, 1, 0], [1, 1, 1, 1]]
    assert kept.tolist() == [[True, True, False, False], [True, True, True, True]]


def test_completions_reach_the_right_answer_as_often_as_they_should():
    rng, n = np.random.default_rng(0), 20_000
    # nothing left to write: the outcome itself; one step left, never mended: broken stays broken
    assert _reaches(rng, np.array([True, False]), 0, 0.5).tolist() == [False, True]
    assert not _reaches(rng, np.ones(50, dtype=bool), 1, 0.0).any()
    # mended with 0.15 and then not wrong with 0.8 in one of eight completions: 1 - (1 - 0.12)^8 = 0.640
    assert _reaches(rng, np.ones(n, dtype=bool), 1, 0.15).mean() == pytest.approx(0.640, abs=0.015)
