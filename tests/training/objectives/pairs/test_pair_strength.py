import math

import pytest
import torch

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs import (
    adaptive_margin,
    bradley_terry,
    combined_strength,
    dynamic_bradley_terry,
    dynamic_scale,
    extrapolated,
    flipped,
    margin_regression,
    preference_strength,
    scaled_bradley_terry,
    strength_targets,
    weakest,
)

ONE = torch.tensor([[0, 1]])
SOFT = 0.3132616875182228  # log(1 + e^-1): the loss of a lead of 1


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def problem():
    g = torch.Generator().manual_seed(3)
    scores = torch.randn(6, generator=g, dtype=torch.float64)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5], [1, 5]])
    return scores, pairs, torch.rand(4, generator=g, dtype=torch.float64)


def test_scaled_hand_values():
    # entry 29: lead 1, strength 3: 3 log(1 + e^-1) = 0.93979
    assert float(scaled_bradley_terry(doubles([1, 0]), ONE, strength=doubles([3]))) == pytest.approx(0.93979, abs=5e-6)
    # the margin form of the same pair, log(1 + e^2) = 2.12693
    shifted = bradley_terry(doubles([1, 0]), ONE, margin=doubles([3]))
    assert float(shifted) == pytest.approx(2.12693, abs=5e-6)
    # signed gap: (1 - 3)^2 = 4; a unit of strength worth half a score unit: (1 - 1.5)^2 = 0.25
    assert float(margin_regression(doubles([1, 0]), ONE, strength=doubles([3]))) == 4
    assert float(margin_regression(doubles([1, 0]), ONE, strength=doubles([3]), scale=0.5)) == 0.25
    # both: 3 * 0.3132617 + 0.1 * 4
    assert float(combined_strength(doubles([1, 0]), ONE, strength=doubles([3]))) == pytest.approx(3 * SOFT + 0.4)


def test_scaled_reduces_to_bradley_terry(problem):
    scores, pairs, weight = problem
    ones = torch.ones_like(weight)
    plain = bradley_terry(scores, pairs, weight=weight)
    torch.testing.assert_close(scaled_bradley_terry(scores, pairs, strength=ones, weight=weight), plain)
    torch.testing.assert_close(
        combined_strength(scores, pairs, strength=ones, regression_coef=0.0, weight=weight), plain
    )


def test_scaled_gradient_is_the_closed_form():
    scores = doubles([1, 0]).requires_grad_()
    scaled_bradley_terry(scores, ONE, strength=doubles([3])).backward()
    pull = 3 * (1 / (1 + math.exp(-1)) - 1)  # strength * (sigmoid(lead) - 1)
    torch.testing.assert_close(scores.grad, doubles([pull, -pull]))


def test_a_regression_is_least_at_the_gaps():
    # gaps 1 and 2 along a chain are met exactly by scores 3, 2, 0
    pairs, gaps = torch.tensor([[0, 1], [1, 2], [2, 0]]), doubles([1, 2, -3])
    scores = doubles([3, 2, 0]).requires_grad_()
    loss = margin_regression(scores, pairs, strength=gaps)
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad.tolist() == [0, 0, 0]


def test_extrapolation():
    start, end = {"w": doubles([1, 2]), "n": torch.tensor(3)}, {"w": doubles([2, 0]), "n": torch.tensor(4)}
    assert torch.equal(extrapolated(start, end, factor=1)["w"], end["w"])  # entry 29: a = 1 is the identity
    assert torch.equal(extrapolated(start, end, factor=0)["w"], start["w"])
    assert extrapolated(start, end)["w"].tolist() == [2.5, -1]  # 1 + 1.5 * 1, 2 + 1.5 * (-2)
    assert int(extrapolated(start, end)["n"]) == 4
    with pytest.raises(ShapeError, match=r"extrapolated: only one of the two models has \['n'\]"):
        extrapolated(start, {"w": end["w"]})
    with pytest.raises(ShapeError, match=r"extrapolated: w has shapes \(1,\) and \(2,\)"):
        extrapolated({"w": doubles([1])}, {"w": end["w"]})


def test_dynamic_scale_hand_values():
    # entry 77: beta(0) = beta_0, beta(inf) = 1.5 beta_0, beta(2) = 1.31606 beta_0
    found = dynamic_scale(doubles([0, 1e9, 2]), scale=0.1)
    torch.testing.assert_close(found, doubles([0.1, 0.15, 0.131606]), atol=1e-7, rtol=0)
    # a lead of 1 at margin 2: log(1 + exp(-1.3160603)) = 0.2375829
    loss = float(dynamic_bradley_terry(doubles([1, 0]), ONE, margin=doubles([2])))
    assert loss == pytest.approx(math.log1p(math.exp(-1.3160602794142788)))


def test_without_boost_dynamic_is_bradley_terry(problem):
    scores, pairs, margin = problem
    found = dynamic_bradley_terry(scores, pairs, margin=margin, boost=0.0, scale=0.7)
    torch.testing.assert_close(found, bradley_terry(0.7 * scores, pairs))


def test_strength_of_several_models():
    mean, std = preference_strength(doubles([[1, -2], [3, 0]]))
    assert mean.tolist() == [2, -1]
    torch.testing.assert_close(std, doubles([math.sqrt(2), math.sqrt(2)]))  # ((1-2)^2 + (3-2)^2) / (2 - 1) = 2
    # soft label: (sigmoid(0) + sigmoid(log 3)) / 2 = (1/2 + 3/4) / 2
    assert float(strength_targets(doubles([[0], [math.log(3)]]))) == pytest.approx(0.625)


def test_the_weakest_are_flipped_and_flipping_twice_is_the_identity():
    strength = doubles([0.5, -1, 2, -1, 0.1])
    assert weakest(strength, share=0.4).tolist() == [False, True, False, True, False]
    assert weakest(strength, share=0.2).tolist() == [False, True, False, False, False]  # the first of two equal ones
    assert weakest(strength, share=0.39).sum() == 1
    assert not weakest(strength, share=0).any()
    pairs, flip = torch.tensor([[0, 1], [2, 3]]), torch.tensor([True, False])
    assert flipped(pairs, flip).tolist() == [[1, 0], [2, 3]]
    assert torch.equal(flipped(flipped(pairs, flip), flip), pairs)


def test_the_weakest_of_noisy_labels_are_the_wrong_ones():
    """Entry 13's check: a linear truth, 20% flipped labels: the bottom tenth is wrong, the top tenth right."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(2000, 8, generator=g, dtype=torch.float64)
    truth = torch.sign(features @ torch.randn(8, generator=g, dtype=torch.float64))
    wrong = torch.rand(2000, generator=g) < 0.2
    labels = torch.where(wrong, -truth, truth)
    members = []
    for _ in range(5):
        picked = torch.randint(2000, (2000,), generator=g)
        fit = torch.linalg.lstsq(features[picked], labels[picked][:, None]).solution[:, 0]
        members.append(features @ fit * labels)
    mean, _ = preference_strength(torch.stack(members))
    assert wrong[weakest(mean)].float().mean() == 1
    assert wrong[weakest(-mean)].float().mean() == 0


def test_adaptive_margin(problem):
    scores, pairs, strength = problem
    nothing = torch.zeros_like(strength)
    torch.testing.assert_close(adaptive_margin(scores, pairs, strength=nothing), bradley_terry(scores, pairs))
    # lead 1, strength -1 (the models doubt the label): log(1 + e^-2)
    doubted = adaptive_margin(doubles([1, 0]), ONE, strength=doubles([-1]))
    assert float(doubted) == pytest.approx(math.log1p(math.exp(-2)))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda s, p: scaled_bradley_terry(s, p, strength=doubles([-1])),
            InputError,
            r"scaled_bradley_terry: strength\[0\] is -1\.0; it must be finite and at least 0",
        ),
        (
            lambda s, p: scaled_bradley_terry(s, p, strength=doubles([math.inf])),
            InputError,
            r"strength\[0\] is inf; it must be finite and at least 0",
        ),
        (
            lambda s, p: scaled_bradley_terry(s, p[0], strength=doubles([1])),
            ShapeError,
            r"pairs have shape \(2,\); they must be \(m, 2\)",
        ),
        (
            lambda s, p: margin_regression(s, p, strength=doubles([1, 2])),
            ShapeError,
            r"margin_regression: strength has shape \(2,\) for 1 pairs",
        ),
        (
            lambda s, p: margin_regression(s, p, strength=doubles([math.nan])),
            InputError,
            r"margin_regression: strength\[0\] is nan; it must be finite",
        ),
        (
            lambda s, p: margin_regression(s, p, strength=doubles([1]), scale=0),
            InputError,
            "margin_regression: scale is 0; it must be finite and above 0",
        ),
        (
            lambda s, p: combined_strength(s, p, strength=doubles([1]), regression_coef=-1.0),
            InputError,
            r"combined_strength: regression_coef is -1\.0; it must be finite and at least 0",
        ),
        (
            lambda s, p: dynamic_bradley_terry(s, p, margin=doubles([-0.5])),
            InputError,
            r"dynamic_scale: margin\[0\] is -0\.5; it must be finite and at least 0",
        ),
        (
            lambda s, p: dynamic_bradley_terry(s, p, margin=doubles([1]), rate=math.nan),
            InputError,
            "dynamic_scale: rate is nan; it must be finite and above 0",
        ),
        (
            lambda s, p: adaptive_margin(s, p, strength=doubles([1]), label_smoothing=0.7),
            InputError,
            r"label_smoothing is 0\.7; it must lie in \[0, 0\.5\)",
        ),
        (
            lambda s, p: preference_strength(doubles([[1, 2]])),
            InputError,
            "preference_strength: margins of 1 models; give at least 2",
        ),
        (lambda s, p: weakest(s, share=1.5), InputError, r"weakest: share is 1\.5; it must lie in \[0, 1\]"),
        (
            lambda s, p: flipped(p, torch.tensor([True, True])),
            ShapeError,
            r"flipped: flip has shape \(2,\) for 1 pairs",
        ),
    ],
)
def test_what_strengths_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call(doubles([1, 0]), ONE)
