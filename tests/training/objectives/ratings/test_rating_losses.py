import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.metrics import mean_pinball_loss, mean_squared_error
from torch.distributions import Normal, StudentT

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.ratings import (
    evidential_rating,
    gaussian_rating,
    huber_rating,
    log_normal_cdf,
    ordered_thresholds,
    ordinal_rating,
    quantile_rating,
    squared_rating,
)

ALL = torch.arange(20)
ZERO = torch.tensor([0])


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def raw(positive):
    """What softplus turns into the number."""
    return math.log(math.expm1(positive))


def test_squared_hand_value_and_parity_with_sklearn():
    scores = doubles([1, 2, 5])
    # (5 - 4)^2 + (1 - 3)^2, the second sequence unrated; with weights 2 and 0.5: 2 + 2
    assert float(squared_rating(scores, items=torch.tensor([2, 0]), ratings=doubles([4, 3]))) == 5
    weighted = squared_rating(scores, items=torch.tensor([2, 0]), ratings=doubles([4, 3]), weight=doubles([2, 0.5]))
    assert float(weighted) == 4
    given, ratings = normal(0, 20, 5), normal(1, 20, 5)
    found = float(squared_rating(given, items=ALL, ratings=ratings)) / 100
    assert found == pytest.approx(mean_squared_error(ratings, given), rel=1e-12)


def test_aspects_nobody_rated_are_nothing():
    outputs = normal(2, 3, 2).requires_grad_()
    known = torch.tensor([[True, False], [False, False]])
    ratings = torch.where(known, 1.0, math.nan).double()
    for objective in (squared_rating, huber_rating):
        outputs.grad = None
        loss = objective(outputs, items=torch.tensor([0, 2]), ratings=ratings, known=known)
        alone = objective(outputs[:, 0], items=torch.tensor([0]), ratings=doubles([1]))
        torch.testing.assert_close(loss, alone)
        loss.backward()
        assert outputs.grad.nonzero().tolist() == [[0, 0]]


@given(st.floats(-8, 8), st.sampled_from([0.5, 1.0, 3.0]))
def test_huber_is_scipys(error, delta):
    found = float(huber_rating(doubles([error]), items=ZERO, ratings=doubles([0]), delta=delta))
    assert found == pytest.approx(float(special.huber(delta, error)), abs=1e-12)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_one_quantile_is_sklearns_pinball(level):
    given, ratings = normal(3, 20), normal(4, 20)
    found = float(quantile_rating(given[:, None], items=ALL, ratings=ratings, levels=(level,))) / 20
    assert found == pytest.approx(mean_pinball_loss(ratings, given, alpha=level), rel=1e-12)


def test_quantiles_hand_value():
    # quantiles 0 and log(1 + e) = 1.3132617; the rating 1 has errors 1, which costs 0.1, and -0.3132617, which costs
    # (0.9 - 1) times itself
    loss = float(quantile_rating(doubles([[0, 1]]), items=ZERO, ratings=doubles([1]), levels=(0.1, 0.9)))
    assert loss == pytest.approx(0.1 + 0.1 * 0.3132616875182228)


def test_fitted_quantiles_are_those_of_the_ratings_and_do_not_cross():
    ratings = normal(5, 4000)
    free = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([free], lr=0.05)
    items = torch.zeros(4000, dtype=torch.long)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimiser.zero_grad()
        quantile_rating(free, items=items, ratings=ratings, levels=(0.1, 0.5, 0.9)).div(4000).backward()
        optimiser.step()
    steps = torch.cat([free[:, :1], F.softplus(free[:, 1:])], dim=1).detach()
    found = steps.cumsum(dim=1)[0]
    torch.testing.assert_close(found, torch.quantile(ratings, doubles([0.1, 0.5, 0.9])), atol=0.05, rtol=0)
    assert (found.diff() > 0).all()


def test_gaussian_parity_with_torch():
    outputs, ratings = normal(6, 20, 2), normal(7, 20)
    theirs = -Normal(outputs[:, 0], torch.exp(0.5 * outputs[:, 1])).log_prob(ratings).sum()
    torch.testing.assert_close(gaussian_rating(outputs, items=ALL, ratings=ratings), theirs)
    library = F.gaussian_nll_loss(outputs[:, 0], ratings, outputs[:, 1].exp(), full=True, reduction="sum")
    torch.testing.assert_close(gaussian_rating(outputs, items=ALL, ratings=ratings), library)


def test_beta_weighs_by_the_variance_without_a_gradient_through_it():
    outputs = doubles([[0, math.log(4)]]).requires_grad_()
    plain = gaussian_rating(outputs, items=ZERO, ratings=doubles([1]))
    weighed = gaussian_rating(outputs, items=ZERO, ratings=doubles([1]), beta=0.5)
    torch.testing.assert_close(weighed, 2 * plain)  # variance 4 to the power 1/2
    (a,) = torch.autograd.grad(plain, outputs)
    (b,) = torch.autograd.grad(weighed, outputs)
    torch.testing.assert_close(b, 2 * a)
    # at beta 1 the mean's gradient is that of half the squared error
    (c,) = torch.autograd.grad(gaussian_rating(outputs, items=ZERO, ratings=doubles([1]), beta=1.0), outputs)
    assert float(c[0, 0]) == pytest.approx(-1)


def test_evidential_parity_with_student():
    outputs, ratings = normal(8, 20, 4), normal(9, 20)
    gamma = outputs[:, 0]
    nu, beta = (F.softplus(outputs[:, i]) + 1e-6 for i in (1, 3))
    alpha = F.softplus(outputs[:, 2]) + 1 + 1e-6
    scale = (beta * (1 + nu) / (nu * alpha)).sqrt()
    theirs = -StudentT(2 * alpha, gamma, scale).log_prob(ratings).sum()
    found = evidential_rating(outputs, items=ALL, ratings=ratings, evidence_coef=0.0)
    torch.testing.assert_close(found, theirs)
    regulariser = ((ratings - gamma).abs() * (2 * nu + alpha)).sum()
    found = evidential_rating(outputs, items=ALL, ratings=ratings, evidence_coef=0.3)
    torch.testing.assert_close(found, theirs + 0.3 * regulariser)


def test_evidential_hand_value():
    # nu 1, alpha 2, beta 1 and an error of 2: omega 4, likelihood
    # log(pi) / 2 - 2 log 4 + 2.5 log(4 + 4) + log Gamma(2) - log Gamma(2.5); regulariser 0.01 * 2 * (2 + 2)
    outputs = doubles([[0, raw(1 - 1e-6), raw(1 - 1e-6), raw(1 - 1e-6)]])
    expected = 0.5 * math.log(math.pi) - 2 * math.log(4) + 2.5 * math.log(8) - math.lgamma(2.5) + 0.08
    found = float(evidential_rating(outputs, items=ZERO, ratings=doubles([2])))
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_regulariser_takes_evidence_away_from_wrong_predictions():
    outputs = doubles([[0, 1, 1, 1]]).requires_grad_()
    for error, more in ((0.0, False), (3.0, True)):
        free, held = (
            torch.autograd.grad(
                evidential_rating(outputs, items=ZERO, ratings=doubles([error]), evidence_coef=coef), outputs
            )[0]
            for coef in (0.0, 1.0)
        )
        assert bool(held[0, 1] > free[0, 1]) is more


@settings(max_examples=60)
@given(st.floats(-8, 8), st.lists(st.floats(-4, 4), min_size=1, max_size=5, unique=True))
def test_ordinal_is_its_slow_form(score, thresholds):
    thresholds = sorted(thresholds)
    if any(b - a < 1e-3 for a, b in itertools.pairwise(thresholds)):
        return
    above = [1.0, *(1 / (1 + math.exp(t - score)) for t in thresholds), 0.0]
    total = 0.0
    for level in range(len(thresholds) + 1):
        found = ordinal_rating(
            doubles([score]), items=ZERO, levels=torch.tensor([level]), thresholds=doubles(thresholds)
        )
        assert float(found) == pytest.approx(-math.log(above[level] - above[level + 1]), rel=1e-6, abs=1e-9)
        total += math.exp(-float(found))
    assert total == pytest.approx(1)


def test_one_threshold_is_logistic_regression_and_a_shift_moves_both():
    scores, levels = normal(10, 20), torch.randint(2, (20,), generator=torch.Generator().manual_seed(0))
    found = ordinal_rating(scores, items=ALL, levels=levels, thresholds=doubles([0.3]))
    theirs = F.binary_cross_entropy_with_logits(scores - 0.3, levels.double(), reduction="sum")
    torch.testing.assert_close(found, theirs)
    shifted = ordinal_rating(scores + 4, items=ALL, levels=levels, thresholds=doubles([4.3]))
    torch.testing.assert_close(shifted, found)


def test_thresholds_increase_and_learn():
    free = normal(11, 4).requires_grad_()
    assert (ordered_thresholds(free).diff() > 0).all()
    levels = torch.tensor([0, 1, 2, 3, 4])
    scores = normal(12, 5)

    def loss(x):
        return ordinal_rating(scores, items=torch.arange(5), levels=levels, thresholds=ordered_thresholds(x))

    assert torch.autograd.gradcheck(loss, free)


def test_the_normal_distribution_function_is_scipys_far_out():
    z = doubles([-300, -40, -5, -1, 0, 1, 8, 40]).requires_grad_()
    found = log_normal_cdf(z)
    torch.testing.assert_close(found.detach(), torch.from_numpy(special.log_ndtr(z.detach().numpy())))
    found.sum().backward()
    at = z.detach().numpy()
    expected = torch.from_numpy(stats.norm.logpdf(at) - special.log_ndtr(at)).exp()
    torch.testing.assert_close(z.grad, expected, rtol=1e-9, atol=1e-12)
    # single precision, where the library's gradient is 64,930 at -10,000: the slope is -z to one part in z^2
    far = torch.tensor([-1e4, -5e5, 1e4], requires_grad=True)
    log_normal_cdf(far).sum().backward()
    torch.testing.assert_close(far.grad, torch.tensor([1e4, 5e5, 0.0]))
    assert torch.autograd.gradcheck(log_normal_cdf, normal(13, 6).mul(5).requires_grad_())
    assert torch.autograd.gradgradcheck(log_normal_cdf, normal(13, 6).requires_grad_())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: squared_rating(doubles([1]), items=ZERO, ratings=doubles([[1]])),
            ShapeError,
            r"squared_rating: ratings has shape \(1, 1\); it must be \(1,\)",
        ),
        (
            lambda: squared_rating(doubles([1]), items=ZERO, ratings=doubles([math.nan])),
            InputError,
            r"squared_rating: ratings\[0\] is nan; it must be finite",
        ),
        (
            lambda: huber_rating(doubles([1]), items=ZERO, ratings=doubles([1]), delta=0),
            InputError,
            "huber_rating: delta is 0; it must be finite and above 0",
        ),
        (
            lambda: quantile_rating(doubles([[1, 2]]), items=ZERO, ratings=doubles([1]), levels=(0.9, 0.1)),
            InputError,
            r"quantile_rating: levels are \[0\.9, 0\.1\]; they must increase, above 0 and below 1",
        ),
        (
            lambda: quantile_rating(doubles([[1]]), items=ZERO, ratings=doubles([1]), levels=(0.1, 0.5)),
            ShapeError,
            "quantile_rating: 1 outputs a sequence for 2 levels",
        ),
        (
            lambda: gaussian_rating(doubles([[1]]), items=ZERO, ratings=doubles([1])),
            ShapeError,
            r"gaussian_rating: outputs have shape \(1, 1\); they must be \(n, 2\)",
        ),
        (
            lambda: gaussian_rating(doubles([[1, 0]]), items=ZERO, ratings=doubles([1]), beta=2),
            InputError,
            r"gaussian_rating: beta is 2; it must lie in \[0, 1\]",
        ),
        (
            lambda: evidential_rating(doubles([[1, 0]]), items=ZERO, ratings=doubles([1])),
            ShapeError,
            r"evidential_rating: outputs have shape \(1, 2\); they must be \(n, 4\)",
        ),
        (
            lambda: evidential_rating(doubles([[1, 0, 0, 0]]), items=ZERO, ratings=doubles([1, 2])),
            ShapeError,
            r"evidential_rating: ratings has shape \(2,\) for 1 items",
        ),
        (
            lambda: ordinal_rating(doubles([1]), items=ZERO, levels=torch.tensor([3]), thresholds=doubles([0, 1])),
            InputError,
            r"ordinal_rating: levels\[0\] is 3; it must lie in \[0, 2\]",
        ),
        (
            lambda: ordinal_rating(doubles([1]), items=ZERO, levels=ZERO, thresholds=doubles([1, 0])),
            InputError,
            r"ordinal_rating: thresholds are \[1\.0, 0\.0\]; they must increase, at least one",
        ),
        (
            lambda: ordered_thresholds(doubles([])),
            InputError,
            "ordered_thresholds: no thresholds; c levels need c - 1",
        ),
    ],
)
def test_what_ratings_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
