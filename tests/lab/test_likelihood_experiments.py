"""Smoke runs of the experiments on likelihood-based rewards: the machinery, not the claims."""

from types import SimpleNamespace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab import find_experiment
from plaudit.lab.experiments.rewards.density_ratio.experiment import tilted
from plaudit.lab.experiments.rewards.implicit_steps import experiment as implicit_steps
from plaudit.lab.experiments.rewards.implicit_steps.experiment import ARMS, Judged, Solution, judged_steps
from plaudit.lab.experiments.rewards.reference_probability.experiment import auc
from plaudit.lab.worlds.arithmetic import Habits
from plaudit.lab.worlds.arithmetic.habits import demonstrations
from plaudit.lab.worlds.arithmetic.policy import Drawn, prompt_ids
from plaudit.lab.worlds.arithmetic.problems import Problem
from plaudit.lab.worlds.arithmetic.symbols import ids

SUM = Problem(5, (("+", 9), ("-", 2)))


@pytest.mark.parametrize("name", ["implicit_reward", "density_ratio", "reference_probability"])
def test_smoke_runs(name, smoke):
    metric = find_experiment(name).claim.metric
    values = {arm: numbers[metric] for arm, numbers in smoke(name).items()}
    assert all(0 <= v <= 1 for v in values.values())
    assert values["oracle"] in (1.0, 0.5)  # 1/2 where the tiny policy's few solutions are all wrong
    if name == "density_ratio":
        assert values["gap_0"] == 0.5  # a policy over itself knows nothing
        assert values["oracle"] == 1.0


def test_a_policy_s_demonstrations_are_tilted_within_prompts():
    truth = np.array([[0.0, np.log(3), -50.0]] * 4000 + [[100.0, 100.0, 99.0]])
    drawn = tilted(truth, 1.0, np.random.default_rng(0))
    assert drawn.shape == (4001,)  # every prompt once, however good its candidates are
    # odds of 1 to 3 between the first two; three standard errors of 4,000 draws are 0.021
    assert np.mean(drawn[:4000] == 1) == pytest.approx(0.75, abs=0.021)
    alike = tilted(truth, 0.0, np.random.default_rng(0))
    assert np.bincount(alike, minlength=3) / 4001 == pytest.approx(1 / 3, abs=0.023)
    assert set(tilted(truth[:4000], 50.0, np.random.default_rng(0))) == {1}


def test_auc_by_hand():
    # right: 3 and 1; wrong: 1 and 0. 3 beats both, 1 ties one and beats the other: (2 + 1.5) / 4
    assert auc(np.array([3.0, 1.0, 1.0, 0.0]), np.array([1, 1, 0, 0])) == 0.875
    assert auc(np.array([3.0]), np.array([1.0])) == 0.5


@pytest.fixture
def demonstrated(monkeypatch):
    """Solutions as the demonstrations have them in place of those that a policy of a smoke run's size draws."""

    def sampled(model, problems, *, each, seed):
        rows = [demonstrations(problems, Habits(slips=0.3), seed=seed + i) for i in range(each)]
        return [[Drawn(text, (), (), True) for text in column] for column in zip(*rows, strict=True)]

    monkeypatch.setattr(implicit_steps, "sample", sampled)


def test_rewards_of_steps(small_worlds, demonstrated, development):
    experiment = find_experiment("rewards/implicit_steps")
    small = {"demonstrations": 200, "unsure": 100, "policy_epochs": 1.0, "test": 12}
    budget = {**experiment.claim.budget["smoke"], **small}
    seed = development(experiment).seed
    found = {arm: experiment.run_instance(seed, arm, budget=budget, fit=None) for arm in experiment.claim.arms}
    assert found["oracle"]["auc"] == found["oracle"]["drop"] == 1
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    assert set(ARMS) == {arm.partition("@")[0] for arm in found}
    assert found["implicit"]["drop"] == found["implicit_value"]["drop"]  # one fit, read in two ways
    assert len({tuple(numbers.values()) for numbers in found.values()}) >= 8
    for wrong in ("nothing", "implicit@2"):
        with pytest.raises(InputError, match=f"arm '{wrong}' is not known"):
            experiment.run_instance(seed, wrong, budget=budget, fit=None)


def solution(*steps, right):
    return Solution(SUM, steps, right)


RIGHT = solution("5+9=14\n", "14-2=12\n", "#### 12", right=(True, True))
SLIPPED = solution("5+9=15\n", "15-2=13\n", "#### 13", right=(False, True))
LATE = solution("5+9=14\n", "14-2=11\n", "#### 11", right=(True, False))


def test_a_solution_in_parts():
    assert implicit_steps.solution_of(SUM, "5+9=15\n15-2=13\n#### 13") == SLIPPED
    assert implicit_steps.solution_of(SUM, "5+9=14\n14-2=12\n") is None  # no answer
    assert implicit_steps.solution_of(SUM, "#### 12") is None  # no step
    assert SLIPPED.prefixes == ["5+9=15\n", "5+9=15\n15-2=13\n", "5+9=15\n15-2=13\n#### 13"]
    assert [s.outcome for s in (RIGHT, SLIPPED, LATE)] == [1, 0, 0]
    assert [s.first_wrong for s in (RIGHT, SLIPPED, LATE)] == [-1, 0, 1]


def test_steps_are_judged_up_to_the_first_wrong_one():
    values = [np.array([0.1, 0.5, 9.0]), np.array([-0.2, -0.9, 9.0]), np.array([0.3, 0.0, 9.0])]
    judged = Judged(values, np.array([0.2, 0.1, 0.3]))
    rows, times = [[RIGHT, SLIPPED], [LATE]], [[3, 1], [2]]
    found = judged_steps(judged, rows, times, "change")
    # right steps: 0.1, 0.4, 0.3; first wrong ones: -0.2, -0.3. What follows a wrong step is not read.
    assert found["auc"] == 1
    # the value falls most in the first wrong step of LATE; SLIPPED's second step falls by 0.7, its first by 0.2
    assert found["drop"] == found["drop_chance"] == 0.5
    # the first problem's best is right; three in four of its samples are, one of its two texts; no text of the second's
    assert (found["best_of"], found["chance"], found["chance_distinct"]) == (0.5, 0.375, 0.25)
    # as values: right 0.1, 0.5, 0.3; wrong -0.2, 0.0
    assert judged_steps(judged, rows, times, "value")["auc"] == 1
    late = Judged([values[0], values[1], np.array([0.05, 0.3, 9.0])], judged.totals)
    # right 0.1, 0.5, 0.05; wrong -0.2, 0.3: of six couples 0.1 < 0.3 and 0.05 < 0.3 are the wrong way round
    assert judged_steps(late, rows, times, "value")["auc"] == pytest.approx(4 / 6)
    # a step that falls as far as another is the deepest with one chance in two; LATE's second falls by 0.5 alone
    tied = Judged([values[0], np.array([-0.5, -1.0, 9.0]), np.array([0.25, -0.25, 9.0])], judged.totals)
    assert judged_steps(tied, rows, times, "change")["drop"] == 0.75
    # where the value before the first step is not 0 the first changes move
    moved = judged_steps(Judged(values, judged.totals, before=0.2), rows, times, "change")
    # right -0.1, 0.4, 0.1; wrong -0.4, -0.3; SLIPPED falls by 0.4 and 0.7
    assert (moved["auc"], moved["drop"]) == (1, 0.5)
    lower = judged_steps(Judged(values, judged.totals, before=0.7), rows, times, "change")
    # right -0.6, 0.4, -0.4; wrong -0.9, -0.3: two of six couples are the wrong way round; SLIPPED falls by 0.9 and 0.7
    assert (lower["auc"], lower["drop"]) == (pytest.approx(4 / 6), 0.5)


def test_a_reward_that_says_nothing_is_at_chance():
    nothing = Judged([np.zeros(3)] * 3, np.zeros(3))
    found = judged_steps(nothing, [[RIGHT, SLIPPED], [LATE]], [[3, 1], [2]], "change")
    assert found["auc"] == found["drop"] == found["drop_chance"] == 0.5
    assert found["best_of"] == found["chance"] == 0.375


def test_monte_carlo_values_count_what_ends_right(monkeypatch):
    asked = []

    def generated(model, prompts, *, samples_per_prompt, **options):
        asked.extend(prompts)
        # from a right first step both completions are right, from a right second one the first of the two
        ends = {"5+9=14\n": ("14-2=12\n#### 12",) * 2, "5+9=14\n14-2=12\n": ("#### 12", "#### 13")}
        texts = [ends.get(prefix, ("#### 13",) * 2) for prefix in ("5+9=14\n", "5+9=14\n14-2=12\n", "5+9=15\n", "")]
        return [
            [SimpleNamespace(completion_ids=ids(t), finish="eos") for t in row] for row in texts[: len(prompts)]
        ]  # fmt: skip

    monkeypatch.setattr(implicit_steps, "generate", generated)
    taken, values = implicit_steps.rollout_values(None, [RIGHT, SLIPPED], rollouts=2, seed=0)
    assert (taken, values) == ([RIGHT, SLIPPED], [[1.0, 0.5], [0.0, 0.0]])
    assert asked[1] == [*prompt_ids(SUM), *ids("5+9=14\n14-2=12\n")]
    # a solution costs itself and two completions of each of its two lines
    assert implicit_steps.rollout_values(None, [RIGHT, SLIPPED], rollouts=2, seed=0, most=9)[0] == [RIGHT]
    assert implicit_steps.rollout_values(None, [RIGHT, SLIPPED], rollouts=2, seed=0, most=10)[0] == [RIGHT, SLIPPED]


def test_labels_of_prefixes_and_which_problems_they_reach(monkeypatch):
    other = Problem(7, (("+", 1),))
    two = Solution(other, ("7+1=8\n", "#### 8"), (True,))
    train = [[RIGHT, SLIPPED], [two, two]]
    asked = []

    def valued(model, solutions, *, rollouts, most, seed):
        asked.append((list(solutions), rollouts, most))
        return solutions[:2], [[0.75, 0.5], [0.25]]

    monkeypatch.setattr(implicit_steps, "rollout_values", valued)
    budget = {"rollouts": 8}
    taken, rows = implicit_steps.rated_rows("monte_carlo", train, None, budget, 0)
    # one solution of every problem before a second of any; as many samples as outcomes: four
    assert asked == [([RIGHT, two, SLIPPED, two], 8, 4)]
    assert taken == [[RIGHT], [two]]
    assert [(r.completion, r.score) for r in rows] == [
        *zip(RIGHT.prefixes, (0.75, 0.5, 1.0), strict=True), *zip(two.prefixes, (0.25, 1.0), strict=True)
    ]  # fmt: skip
    taken, rows = implicit_steps.rated_rows("labels", train, None, budget, 0)
    assert taken == train
    assert [r.score for r in rows] == [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]
    assert [r.score for r in implicit_steps.rated_rows("outcome", train, None, budget, 0)[1]] == [1, 0, 1, 1]


@pytest.mark.parametrize(("read", "passes", "groups"), [([[RIGHT] * 4] * 4, 3.0, 2), ([[RIGHT]] * 2, 24.0, 8)])
def test_every_fit_reads_as_many_solutions(monkeypatch, read, passes, groups):
    asked = {}
    monkeypatch.setattr(implicit_steps, "reward_in_world", lambda rows, **options: asked.update(options))
    model = SimpleNamespace(save_pretrained=lambda folder: None)
    bench = implicit_steps.Bench(model, [[RIGHT] * 4] * 4, [], [])  # sixteen solutions
    budget = {"epochs": 3.0, "batch": 8, "size": "small"}
    implicit_steps._fit([], "regression", "head", read, bench, budget, 0)
    # 48 readings; eight solutions a step, in groups of four or one
    assert (asked["epochs"], asked["batch_size"]) == (passes, groups)
