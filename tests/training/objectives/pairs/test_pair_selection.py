import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, kl_divergence

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs import (
    bradley_terry,
    categorical_spread,
    dropped_share,
    easy_first,
    internal_agreement,
    internal_consistency,
    judged_bradley_terry,
    judgement_spread,
    judgement_weights,
    order_averaged,
    peer_selection,
    self_consistent_preference,
    small_losses,
    uncertainty_weighted,
)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_share_ramps_to_the_noise():
    assert [dropped_share(p, noise=0.4) for p in (0, 0.15, 0.3, 1)] == pytest.approx([0, 0.2, 0.4, 0.4])
    assert dropped_share(0, noise=0.4, ramp=0) == 0.4


@given(st.integers(0, 30), st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.4, 0.5, 0.55, 0.9, 1.0]))
def test_exactly_the_rounded_number_is_kept(n, dropped):
    kept = small_losses(normal(n, n), dropped=dropped)
    assert int(kept.sum()) == math.floor((1 - Fraction(str(dropped))) * n + Fraction(1, 2))


@pytest.mark.parametrize(
    ("n", "dropped", "number"),
    [(10, 0.1, 9), (7, 0.4, 4), (3, 0.25, 2), (5, 0.5, 3), (10, 0.25, 8), (1, 0.5, 1), (4, 1.0, 0), (4, 0.0, 4),
     (5, 0.9, 1), (15, 0.9, 2), (30, 0.55, 14), (45, 0.3, 32)],
)  # fmt: skip
def test_numbers_kept_by_hand(n, dropped, number):
    # 9, 4.2 and 2.25 of them; 2.5, 7.5 and 0.5, which are rounded up; none; all; halves that floats make less of
    assert int(small_losses(normal(0, n), dropped=dropped).sum()) == number


def test_each_learns_from_what_is_easy_for_the_other():
    a, b = doubles([0.1, 0.2, 3, 4]), doubles([5, 0.3, 0.1, 6])
    for_a, for_b = peer_selection(a, b, dropped=0.5)
    assert for_a.tolist() == [False, True, True, False]  # b's two smallest
    assert for_b.tolist() == [True, True, False, False]  # a's
    # it depends on the peer alone, and swapping the models swaps the results
    other, _ = peer_selection(torch.zeros(4).double(), b, dropped=0.5)
    assert torch.equal(other, for_a)
    swapped = peer_selection(b, a, dropped=0.5)
    assert torch.equal(swapped[0], for_b)
    assert torch.equal(swapped[1], for_a)
    assert all(s.all() for s in peer_selection(a, b, dropped=0))


def test_selection_drops_wrong_labels():
    """Two models that see the truth with independent noise: what one is surest of is rarely mislabelled."""
    truth = normal(0, 4000).abs()
    wrong = torch.rand(4000, generator=torch.Generator().manual_seed(1)) < 0.4
    sign = torch.where(wrong, -1.0, 1.0).double()
    a, b = (F.softplus(-sign * (truth + 0.3 * normal(s, 4000))) for s in (2, 3))
    kept, _ = peer_selection(a, b, dropped=0.4)
    assert wrong[kept].float().mean() < 0.1
    assert wrong[~kept].float().mean() > 0.8


def test_the_curriculum_goes_from_large_margins_to_small_ones():
    assert easy_first(doubles([[0, 3, 1], [2, 5, 1]])).tolist() == [1, 0, 2]  # means 1, 4, 1: equal ones keep order


def test_spread_hand_values():
    assert judgement_spread(doubles([[1, 3], [2, 2]])).tolist() == [2, 0]  # |r - r'|
    assert judgement_spread(doubles([[0, 1, 3]])).tolist() == [2]  # (1 + 3 + 2) / 3
    first, second = normal(0, 5, 3), normal(1, 5, 3)
    theirs = kl_divergence(Categorical(logits=second), Categorical(logits=first))
    torch.testing.assert_close(categorical_spread(first, second), theirs)
    assert not categorical_spread(first, first).any()


def test_weights_fall_from_one():
    weights = judgement_weights(doubles([0, 0.5, 1, 50]))
    assert float(weights[0]) == 1
    assert (weights.diff() < 0).all()
    assert (weights > 0).all()


def test_identical_judgements_leave_the_plain_loss():
    scores, pairs = normal(4, 6), torch.tensor([[0, 1], [2, 3], [4, 5]])
    same = normal(5, 3, 1).expand(3, 2)
    torch.testing.assert_close(judged_bradley_terry(scores, pairs, judgements=same), bradley_terry(scores, pairs))
    # spreads 0, 1, 2 weigh 1, e^-1, e^-2
    judged = judged_bradley_terry(scores, pairs, judgements=doubles([[0, 0], [0, 1], [3, 1]]))
    weight = doubles([1, math.exp(-1), math.exp(-2)])
    torch.testing.assert_close(judged, bradley_terry(scores, pairs, weight=weight))


@given(st.floats(0.01, 50))
def test_the_spread_settles_at_the_logarithm_of_the_loss(loss):
    # d/du (e^-u L + u) = 1 - L e^-u: zero at u = log L
    u = doubles([math.log(max(loss, 1))]).requires_grad_()
    uncertainty_weighted(doubles([loss]), spread=u).backward()
    assert float(u.grad) == pytest.approx(0 if loss > 1 else 1 - loss, abs=1e-9)


def test_weights_find_the_truth_under_uneven_noise():
    """Entry 200's check: 30% of the samples have noise of 5, the others 0.2; least squares, 50 seeds."""
    plain, weighted = [], []
    for seed in range(50):
        g = torch.Generator().manual_seed(seed)
        x, truth = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((200, 5), (5,)))
        noise = torch.where(torch.rand(200, generator=g) < 0.3, 5.0, 0.2).double()
        seen = (x @ truth)[:, None] + noise[:, None] * torch.randn(200, 2, generator=g, dtype=torch.float64)
        for weight, errors in (
            (torch.ones(200).double(), plain),
            (judgement_weights(judgement_spread(seen)), weighted),
        ):
            root = weight.sqrt()[:, None]
            fit = torch.linalg.lstsq(root * x, root * seen[:, :1]).solution[:, 0]
            errors.append(float((fit - truth).norm()))
    assert sum(weighted) / sum(plain) < 0.6


def test_internal_parity_with_torch_distributions():
    z = normal(6, 3, 7)
    p = [Bernoulli(logits=row) for row in z]
    apart = sum(kl_divergence(p[a], p[b]) + kl_divergence(p[b], p[a]) for a, b in ((0, 1), (0, 2), (1, 2))) / 3
    entropy = sum(x.entropy() for x in p) / 3
    found = internal_consistency(z, consistency_coef=0.7, entropy_coef=0.2)
    torch.testing.assert_close(found, (0.7 * apart + 0.2 * entropy).sum())


def test_the_penalty_is_zero_only_for_sure_and_equal_opinions():
    assert float(internal_consistency(doubles([[800], [800]]))) == 0
    assert float(internal_consistency(doubles([[800], [-800]]))) > 100
    assert float(internal_consistency(doubles([[0.0], [0.0]]))) == pytest.approx(0.1 * math.log(2))
    z = normal(7, 2, 5)
    torch.testing.assert_close(internal_consistency(-z), internal_consistency(z))
    torch.testing.assert_close(self_consistent_preference(-z), self_consistent_preference(z))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_rows_of_internal_rewards_add_up(seed):
    z = normal(seed, 3, 6)
    for function in (internal_consistency, self_consistent_preference):
        torch.testing.assert_close(function(z[:, :2]) + function(z[:, 2:]), function(z))
        assert torch.autograd.gradcheck(function, z.clone().requires_grad_())


def test_weights_of_internal_rewards_count_pairs():
    z = normal(8, 3, 6)
    for function in (internal_consistency, self_consistent_preference):
        counted = doubles([2, 1, 0, 1, 1, 1])  # as if the first pair stood there twice and the third never
        torch.testing.assert_close(function(z[:, [0, 0, 1, 3, 4, 5]]), function(z, weight=counted))


def test_only_agreed_pairs_teach_a_preference():
    z = doubles([[1, 1, -2, 0], [2, -1, -1, 0]]).requires_grad_()
    assert internal_agreement(z.detach()).tolist() == [True, False, True, False]
    loss = self_consistent_preference(z, consistency_coef=0, entropy_coef=0)
    assert float(loss.detach()) == pytest.approx(math.log1p(math.exp(-1)) + math.log1p(math.exp(-2)))
    loss.backward()
    assert z.grad[0].bool().tolist() == [True, False, True, False]
    assert not z.grad[1].any()
    nobody = doubles([[1.0], [-1.0]]).requires_grad_()
    self_consistent_preference(nobody, consistency_coef=0, entropy_coef=0).backward()
    assert not nobody.grad.any()


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_orders_are_averaged_antisymmetrically(forward, backward):
    there = order_averaged(doubles([forward]), doubles([backward]))
    torch.testing.assert_close(order_averaged(doubles([backward]), doubles([forward])), -there)
    # P = (sigmoid(forward) + 1 - sigmoid(backward)) / 2
    p = (1 / (1 + math.exp(-forward)) + 1 / (1 + math.exp(backward))) / 2
    assert float(there.sigmoid()) == pytest.approx(p, abs=1e-12)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: dropped_share(2, noise=0.1), InputError, r"dropped_share: progress is 2; it must lie in \[0, 1\]"),
        (lambda: dropped_share(0, noise=1.0), InputError, r"dropped_share: noise is 1\.0; it must lie in \[0, 1\)"),
        (
            lambda: small_losses(doubles([math.nan]), dropped=0.1),
            InputError,
            r"small_losses: losses\[0\] is nan; it must be finite",
        ),
        (
            lambda: peer_selection(doubles([1]), doubles([1, 2]), dropped=0.1),
            ShapeError,
            "peer_selection: 1 losses of one model and 2 of the other",
        ),
        (
            lambda: judgement_spread(doubles([[1]])),
            InputError,
            "judgement_spread: 1 judgements of each item; give at least 2",
        ),
        (
            lambda: categorical_spread(doubles([[1, 2]]), doubles([[1]])),
            ShapeError,
            r"categorical_spread: shapes \(1, 2\) and \(1, 1\) differ",
        ),
        (
            lambda: judgement_weights(doubles([-1])),
            InputError,
            r"judgement_weights: spread\[0\] is -1\.0; it must be finite and at least 0",
        ),
        (
            lambda: uncertainty_weighted(doubles([1]), spread=doubles([1]), penalty=-1),
            InputError,
            "uncertainty_weighted: penalty is -1; it must be finite and at least 0",
        ),
        (
            lambda: judged_bradley_terry(doubles([1, 2]), torch.tensor([[0, 1]]), judgements=doubles([[1, 2]] * 2)),
            ShapeError,
            "judged_bradley_terry: judgements of 2 pairs for 1 pairs",
        ),
        (
            lambda: internal_consistency(doubles([[1]])),
            InputError,
            "internal_consistency: logits of 1 internal rewards; give at least 2",
        ),
        (
            lambda: internal_consistency(doubles([[1], [1]]), entropy_coef=-1),
            InputError,
            "internal_consistency: entropy_coef is -1; it must be finite and at least 0",
        ),
    ],
)
def test_what_selections_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
