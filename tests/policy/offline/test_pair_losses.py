"""Losses of pairs: hand values, closed-form gradients, what they do not change under, and what they refuse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.offline import losses
from plaudit.policy.offline.losses.transport import aot_partners

LOG2 = math.log(2)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def softplus(x):
    return math.log1p(math.exp(x))


HAND = {
    # x_c = 1, x_r = -1: d = 2. beta d = 1 with beta 1/2: -log sigmoid(1) = log(1 + 1/e)
    "dpo": (losses.dpo, (1.0, -1.0), {"beta": 0.5}, softplus(-1)),
    # e = 1/4: 3/4 log(1 + 1/e) + 1/4 log(1 + e)
    "cdpo": (losses.dpo, (1.0, -1.0), {"beta": 0.5, "label_smoothing": 0.25}, 0.75 * softplus(-1) + 0.25 * softplus(1)),
    # (3/4 log(1 + 1/e) - 1/4 log(1 + e)) / (1 - 1/2)
    "robust": (
        losses.robust_dpo, (1.0, -1.0), {"beta": 0.5, "flipped": 0.25}, 1.5 * softplus(-1) - 0.5 * softplus(1)
    ),
    # 6/3 - (-2)/2 = 3 a token; beta 1/3
    "dpo_normalised": (losses.dpo_normalised, (6.0, -2.0, 3.0, 2.0), {"beta": 1 / 3}, softplus(-1)),
    # 1 - 0.25 * 2
    "hinge": (losses.hinge, (1.0, -1.0), {"beta": 0.25}, 0.5),
    "hinge beyond the margin": (losses.hinge, (1.0, -1.0), {"beta": 1.0}, 0.0),
    # (6/3 + 2/2 - 1/(2 * 0.25))^2 = (3 - 2)^2; without the tokens (6 + 2 - 2)^2
    "ipo": (losses.ipo, (6.0, -2.0, 3.0, 2.0), {"beta": 0.25}, 1.0),
    "ipo of sums": (losses.ipo, (6.0, -2.0, 3.0, 2.0), {"beta": 0.25, "average": False}, 36.0),
    # d = 0: p = 1/2 against (3/4, 1/4): log(1/2) - (log 3/4 + log 1/4) / 2 = log(2 / sqrt 3)
    "exo": (losses.exo, (1.0, 1.0), {"label_smoothing": 0.25}, math.log(2 / math.sqrt(3))),
    # z = 0: half of log 2 and half of exp(0)
    "discopop": (losses.discopop, (1.0, 1.0), {}, (LOG2 + 1) / 2),
    # r = 0 both: log 2 + log 2 / 2 + log 2 / 2
    "nca": (losses.nca_pair, (0.0, 0.0), {}, 2 * LOG2),
    # r_c = 1, r_r = -1: twice log(1 + 1/e)
    "bco": (losses.bco_pair, (2.0, -2.0), {"beta": 0.5}, 2 * softplus(-1)),
    # r_c = log 3, r_r = -log 3: 1 - 3/4 + 1/4; and 3/4 + 1 - sigmoid(log 9) = 3/4 + 1/10
    "apo_zero": (losses.apo_zero, (math.log(3), -math.log(3)), {"beta": 1.0}, 0.5),
    "apo_down": (losses.apo_down, (math.log(3), -math.log(3)), {"beta": 1.0}, 0.85),
    # (1 - 1/2)^2 + (-2 + 1/2)^2
    "sppo": (losses.sppo_hard, (1.0, -2.0), {"beta": 1.0}, 2.5),
    # the catalogue's value [160]: -10 over 5 tokens, -12 over 4: 2 (-2 + 3) - 1 = 1
    "simpo": (losses.simpo, (-10.0, -12.0, 5.0, 4.0), {"beta": 2.0, "gamma": 1.0}, 0.31326168751822286),
    # 0.1 (-10 + 20) = 1
    "cpo": (losses.cpo, (-10.0, -20.0), {"beta": 0.1}, softplus(-1)),
    # p = 1/2 and 1/3 a token: odds 1 and 1/2, so -0.2 log sigmoid(log 2) = 0.2 log(3/2)
    "orpo": (
        losses.odds_ratio, (3 * math.log(0.5), 2 * math.log(1 / 3), 3.0, 2.0), {"beta": 0.2}, 0.2 * math.log(1.5)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND)
def test_hand_values(name):
    function, arguments, options, expected = HAND[name]
    found = function(*(t(x) for x in arguments), **options)
    assert found.shape == (1,)
    assert float(found) == pytest.approx(expected, abs=1e-12)


RATIOS = {
    "dpo": losses.dpo, "robust_dpo": losses.robust_dpo, "hinge": losses.hinge, "exo": losses.exo,
    "discopop": losses.discopop,
}  # fmt: skip
ANCHORED = {
    "nca_pair": losses.nca_pair, "bco_pair": losses.bco_pair, "apo_zero": losses.apo_zero,
    "apo_down": losses.apo_down, "sppo_hard": losses.sppo_hard,
}  # fmt: skip
numbers = st.floats(-20, 20)


@settings(deadline=None)
@given(numbers, numbers, numbers, st.sampled_from(sorted(RATIOS)))
def test_losses_of_the_difference_do_not_see_what_both_share(c, r, shift, name):
    one = RATIOS[name](t(c), t(r), beta=0.3)
    torch.testing.assert_close(RATIOS[name](t(c + shift), t(r + shift), beta=0.3), one, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ANCHORED)
def test_anchored_losses_do(name):
    one, moved = (ANCHORED[name](t(1.0 + s), t(-1.0 + s), beta=0.3) for s in (0.0, 1.0))
    assert abs(float(one - moved)) > 1e-3


@settings(deadline=None)
@given(numbers, numbers, st.floats(0.01, 3), st.floats(0, 0.49))
def test_swapping_chosen_and_rejected(c, r, beta, e):
    """Of logistic losses: log sigmoid(z) - log sigmoid(-z) = z, so the two orders differ by (1 - 2 e) beta d."""
    difference = losses.dpo(t(r), t(c), beta=beta, label_smoothing=e) - losses.dpo(
        t(c), t(r), beta=beta, label_smoothing=e
    )
    assert float(difference) == pytest.approx((1 - 2 * e) * beta * (c - r), abs=1e-9)


@settings(deadline=None)
@given(numbers, numbers, st.floats(0.01, 2), st.floats(0, 0.45))
def test_robust_dpo_is_unbiased(c, r, beta, e):
    """Averaged over a label that is turned round with probability e, it is DPO's loss of the true one."""
    kept, turned = (losses.robust_dpo(t(a), t(b), beta=beta, flipped=e) for a, b in ((c, r), (r, c)))
    assert float((1 - e) * kept + e * turned) == pytest.approx(float(losses.dpo(t(c), t(r), beta=beta)), abs=1e-9)


@settings(deadline=None)
@given(numbers, numbers, st.floats(1e-4, 0.4))
def test_exo_is_a_divergence(c, r, e):
    at = math.log((1 - e) / e)
    assert float(losses.exo(t(c), t(r), beta=0.5, label_smoothing=e)) >= -1e-12
    assert float(losses.exo(t(at), t(0.0), beta=1.0, label_smoothing=e)) == pytest.approx(0, abs=1e-9)


@settings(deadline=None)
@given(numbers, numbers, st.integers(1, 50))
def test_equal_lengths_divide_beta(c, r, n):
    """[189]: with n tokens on both sides the normalised loss is DPO with beta / n."""
    normal = losses.dpo_normalised(t(c), t(r), t(float(n)), t(float(n)), beta=5.0)
    assert float(normal) == pytest.approx(float(losses.dpo(t(c), t(r), beta=5.0 / n)), abs=1e-9)


@settings(deadline=None)
@given(st.floats(-30, -0.1), st.floats(-30, -0.1), st.integers(1, 9), st.integers(1, 9), st.integers(2, 4))
def test_doubling_every_token_leaves_simpo(c, r, n, m, times):
    """[160]: the same mean log-probability, whatever the length; and gamma only shifts the logit."""
    once = losses.simpo(t(c), t(r), t(float(n)), t(float(m)))
    again = losses.simpo(t(c * times), t(r * times), t(float(n * times)), t(float(m * times)))
    assert float(once) == pytest.approx(float(again), abs=1e-9)
    assert float(once) == pytest.approx(softplus(1.0 - 2.0 * (c / n - r / m)), abs=1e-9)


GRADIENTS = {
    # dpo: -beta sigmoid(-beta d) times (1, -1)
    "dpo": (losses.dpo, lambda c, r, b: (-b * sig(-b * (c - r)), b * sig(-b * (c - r)))),
    # hinge inside the margin: -beta, beta
    "hinge": (losses.hinge, lambda _c, _r, b: (-b, b)),
    # nca: -b sigmoid(-b c) + b sigmoid(b c) / 2, and b sigmoid(b r) / 2
    "nca_pair": (losses.nca_pair, lambda c, r, b: (-b * sig(-b * c) + b * sig(b * c) / 2, b * sig(b * r) / 2)),
    "bco_pair": (losses.bco_pair, lambda c, r, b: (-b * sig(-b * c), b * sig(b * r))),
    "apo_zero": (losses.apo_zero, lambda c, r, b: (-b * slope(b * c), b * slope(b * r))),
    "apo_down": (
        losses.apo_down, lambda c, r, b: (b * slope(b * c) - b * slope(b * (c - r)), b * slope(b * (c - r)))
    ),
    "sppo_hard": (losses.sppo_hard, lambda c, r, b: (2 * c - 1 / b, 2 * r + 1 / b)),
}  # fmt: skip


def sig(x):
    return 1 / (1 + math.exp(-x))


def slope(x):
    return sig(x) * sig(-x)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, expected = GRADIENTS[name]
    c, r = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (0.7, -0.4))
    function(c, r, beta=0.3).sum().backward()
    assert (float(c.grad), float(r.grad)) == pytest.approx(expected(0.7, -0.4, 0.3), abs=1e-12)


def test_discopop_first_pushes_the_wrong_way():
    """At z = 0: (1 - log 2) / (4 tau) - (1/2)(1/2) - (1/2)(1), positive for tau = 0.05: the paper's curiosity."""
    z = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    losses.discopop(z, t(0.0), beta=1.0, tau=0.05).sum().backward()
    assert float(z.grad) == pytest.approx((1 - LOG2) / 0.2 - 0.75, abs=1e-12)


def test_the_odds_ratio_far_out():
    """Probabilities of 1 and of nearly 0 a token, in float32: finite values and gradients."""
    logps = torch.tensor([-1e-9, -0.0, -400.0], requires_grad=True)
    ones = torch.ones(3)
    found = losses.odds_ratio(logps, logps.detach().flip(0), ones, ones)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(logps.grad).all()


@settings(deadline=None)
@given(st.lists(numbers, min_size=2, max_size=6, unique=True), st.randoms())
def test_matched_transport_is_the_sorted_one_in_any_parts(values, random):
    """Value and gradient of the whole, from losses of single pairs with partners found beforehand."""
    n = len(values)
    draw = lambda: torch.tensor([random.uniform(-9, 9) for _ in range(n)], dtype=torch.float64)  # noqa: E731
    c, r, ref_c, ref_r = torch.tensor(values, dtype=torch.float64), draw(), draw(), draw()
    c.requires_grad_()
    r.requires_grad_()
    losses.aot_paired(c, r, ref_c, ref_r, beta=0.4).sum().backward()
    whole = [c.grad.clone(), r.grad.clone()]
    c.grad = r.grad = None
    partner = aot_partners((c - r).detach(), ref_c - ref_r)
    for i in range(n):
        losses.matched_aot_paired(c[i : i + 1], r[i : i + 1], partner[i : i + 1], beta=0.4).sum().backward()
    torch.testing.assert_close([c.grad, r.grad], whole, atol=1e-12, rtol=0)

    c.grad = r.grad = None
    total = losses.aot_unpaired(c, r, beta=0.4).sum()
    total.backward()
    whole = [c.grad.clone(), r.grad.clone()]
    c.grad = r.grad = None
    up, down = aot_partners(c.detach(), r.detach()), aot_partners(r.detach(), c.detach())
    found = losses.matched_aot_unpaired(c, r, up, down, beta=0.4)
    found.sum().backward()
    assert found.sum().item() == pytest.approx(total.item(), abs=1e-9)
    torch.testing.assert_close([c.grad, r.grad], whole, atol=1e-12, rtol=0)


def test_partners_are_those_of_the_same_rank():
    # ranks of the values: 2, 0, 1; the others sorted: 10, 20, 30
    assert aot_partners(t(3.0, 1.0, 2.0), t(20.0, 30.0, 10.0)).tolist() == [30.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: losses.dpo(t(1.0), t(1.0, 2.0)), ShapeError, r"dpo: rejected has shape \(2,\) and chosen \(1,\)"),
        (lambda: losses.dpo(t(1.0)[None], t(1.0)[None]), ShapeError, r"dpo: chosen has shape \(1, 1\)"),
        (lambda: losses.dpo(t(1.0), t(1.0), beta=0.0), InputError, "dpo: beta is 0.0; it must be finite and above 0"),
        (
            lambda: losses.dpo(t(1.0), t(1.0), label_smoothing=0.5), InputError,
            r"dpo: label_smoothing is 0.5; it must lie in \[0, 0.5\)",
        ),
        (lambda: losses.exo(t(1.0), t(1.0), label_smoothing=0.0), InputError, r"it must lie in \(0, 0.5\)"),
        (lambda: losses.simpo(t(1.0), t(1.0), t(1.0), t(1.0), gamma=-1.0), InputError, "simpo: gamma is -1.0"),
        (lambda: losses.discopop(t(1.0), t(1.0), tau=0.0), InputError, "discopop: tau is 0.0"),
        (lambda: losses.sft(t(1.0), t(2.0)), InputError, r"sft: label\[0\] is 2.0; it must lie in \[0, 1\]"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
