"""A smoke run of the experiment on constrained proxies, and its parts by hand."""

import numpy as np
import pytest

from plaudit.lab.experiments.shaping.constrained_proxies import experiment as proxies

BUDGET = {"samples": 8, "updates": 60, "rate": 0.5, "dual": 0.3, "evaluations": 12}


@pytest.fixture
def world():
    """Forty prompts whose completions differ in two features; each proxy is one of them, and the truth the first."""
    x = np.random.default_rng(0).normal(size=(40, 64, 2))
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    return proxies.World(x, x[..., 0], np.moveaxis(x, -1, 0))


def test_constrained_proxies(smoke):
    found = smoke("constrained_proxies")
    assert {arm: numbers["asked"] for arm, numbers in found.items()} == {
        "constrained": 6, "fixed": 0, "stopped": 6, "weighted": 6, "single": 6, "random": 0, "oracle": 0,
        "constrained@0": 6, "fixed@0": 0,
    }  # fmt: skip
    for arm, numbers in found.items():
        assert 0 < numbers["kl"] < np.log(32)
        assert numbers["fall"] == pytest.approx(numbers["best"] - numbers["worth"])
        assert np.isnan(numbers["threshold"]) == (arm.partition("@")[0] in ("fixed", "stopped", "weighted", "oracle"))
    assert found["stopped"]["kl"] <= found["fixed"]["kl"]  # the same run, or the beginning of it
    assert found["oracle"]["worth"] == max(numbers["worth"] for arm, numbers in found.items() if "@" not in arm)


def test_a_run_starts_at_the_start_and_is_measured_exactly(world):
    course = proxies._course(world, [1], BUDGET, proxies.Told(), marks=np.array([0, 60]))
    assert course.updates.tolist() == [0, 60]
    # by hand: every completion alike, and truth and proxies have the mean 0
    assert [course.worth[0], course.kl[0], *course.proxies[0]] == pytest.approx([0.0] * 4, abs=1e-12)
    assert (course.proxies[1] > 0.5).all()
    assert course.worth[1] == pytest.approx(course.proxies[1, 0])


def test_what_is_measured_by_hand():
    world = proxies.World(np.zeros((1, 2, 1)), np.array([[1.0, -1.0]]), np.array([[[0.0, 2.0]]]))
    # by hand: 0.9 - 0.1, log 2 + 0.9 log 0.9 + 0.1 log 0.1 = 0.368064, 0.1 * 2
    assert proxies._measured(world, np.array([[0.9, 0.1]])) == pytest.approx([0.8, 0.368064, 0.2], abs=1e-6)


def test_multipliers_hold_each_proxy_at_its_point(world):
    budget = BUDGET | {"updates": 400, "rate": 0.2, "dual": 0.03}
    held = proxies._course(world, [1], budget, proxies.Told((1.0, 0.3)))
    assert held.proxies[0] == pytest.approx([1.0, 0.3], abs=0.1)
    # a point that is there from the start asks for nothing
    idle = proxies._course(world, [1], budget, proxies.Told((1.0, -1.0)))
    assert idle.proxies[0] == pytest.approx([1.0, 0.0], abs=0.1)
    fixed = proxies._course(world, [1], budget, proxies.Told())
    assert fixed.kl[0] > 2 * held.kl[0]


def test_a_weight_against_the_kl_ends_at_the_tilted_policy():
    # one proxy, weight w: the push vanishes where w r / std(r) = log pi + const, so the policy is proportional to
    # exp(w r / std(r)); with normal rewards the mean is then w, and the KL w^2 / 2
    x = np.random.default_rng(0).normal(size=(40, 512, 1))
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    world = proxies.World(x, x[..., 0], np.moveaxis(x, -1, 0))
    course = proxies._course(world, [1], BUDGET | {"updates": 200}, proxies.Told(weights=(0.8,)))
    assert course.proxies[0, 0] == pytest.approx(0.8, abs=0.1)
    assert course.kl[0] == pytest.approx(0.32, abs=0.06)


def test_completions_are_drawn_by_their_chances():
    policy = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    chance = np.array([[0.0, 0.49, 0.51, 0.74, 0.76, 0.999], [0.0, 0.3, 0.5, 0.7, 0.9, 1 - 1e-16]])
    assert proxies._drawn(policy, chance).tolist() == [[0, 0, 1, 1, 2, 2], [2] * 6]


def test_stopping_looks_early_more_often_than_late():
    # by hand: 1, 200^(1/4) = 3.76, 200^(1/2) = 14.14, 200^(3/4) = 53.18, 200
    assert proxies._marks(200, 5).tolist() == [1, 4, 14, 53, 200]
    assert proxies._marks(4, 6).tolist() == [1, 2, 3, 4]
    marks = proxies._marks(200, 24)
    assert len(set(marks.tolist())) == 24
    assert marks[-1] == 200


def test_single_thresholds_share_the_evaluations_out(world):
    told = proxies._single(world, [1], BUDGET)
    assert told.asked == 12
    # the truth is the first proxy: alone it is best at the end, where the second one, which says nothing, never is
    first = proxies._course(world, [1], BUDGET, proxies.Told(), world.proxies[:1])
    assert told.thresholds[0] == pytest.approx(first.proxies[0, 0])


def test_without_curvature_and_noise_the_proxies_are_right():
    budget = {"prompts": 8, "completions": 256, "proxies": 3, "alike": 0.5, "bend": 1.0, "ratings": 400, "noise": 1.0}
    right, wrong = (proxies._world(3, knob, budget) for knob in (0.0, 1.0))

    def agreement(world):
        return np.corrcoef(world.proxies.sum(axis=0).ravel(), world.truth.ravel())[0, 1]

    assert agreement(right) > 0.99
    assert agreement(wrong) < 0.8
    for world in (right, wrong):
        assert world.truth.std(axis=1) == pytest.approx(1.0)
        assert world.proxies.std(axis=2).mean(axis=1) == pytest.approx(1.0)
        assert len(world.side(0).truth) == len(world.side(1).truth) == 4
