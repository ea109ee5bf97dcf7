import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs import (
    bradley_terry,
    consistent_bradley_terry,
    davidson,
    extreme_pairs,
    ranking_consistency,
    rao_kupper,
    soft_bradley_terry,
    soft_bradley_terry_aspects,
    thurstone_pairs,
)

ONE = torch.tensor([[0, 1]])
leads = st.floats(-15, 15)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def test_soft_hand_value_and_parity_with_torch():
    # lead 1 with target 3/4: 0.75 * 0.3132617 + 0.25 * 1.3132617
    loss = float(soft_bradley_terry(doubles([1, 0]), ONE, target=doubles([0.75])))
    assert loss == pytest.approx(0.5632616875182228)
    g = torch.Generator().manual_seed(1)
    scores, target = torch.randn(8, generator=g).double(), torch.rand(4, generator=g).double()
    pairs = torch.arange(8).reshape(4, 2)
    theirs = F.binary_cross_entropy_with_logits(scores[::2] - scores[1::2], target, reduction="sum")
    torch.testing.assert_close(soft_bradley_terry(scores, pairs, target=target), theirs)
    certain = soft_bradley_terry(scores, pairs, target=torch.ones(4).double())
    torch.testing.assert_close(certain, bradley_terry(scores, pairs))


@given(leads, st.floats(0, 1))
def test_a_soft_label_turned_round_is_the_same(lead, target):
    scores = doubles([lead, 0])
    there = soft_bradley_terry(scores, ONE, target=doubles([target]))
    back = soft_bradley_terry(scores, ONE.flip(1), target=doubles([1 - target]))
    torch.testing.assert_close(there, back)


def test_soft_is_least_where_the_probability_is_the_target():
    scores = doubles([math.log(3), 0]).requires_grad_()  # sigmoid(log 3) = 3/4
    soft_bradley_terry(scores, ONE, target=doubles([0.75])).backward()
    torch.testing.assert_close(scores.grad, doubles([0, 0]), atol=1e-15, rtol=0)


def test_aspects_are_soft_pairs_of_their_own_and_unknown_ones_are_nothing():
    g = torch.Generator().manual_seed(2)
    outputs, target = torch.randn(4, 3, generator=g).double(), torch.rand(2, 3, generator=g).double()
    pairs = torch.tensor([[0, 1], [2, 3]])
    apart = sum(soft_bradley_terry(outputs[:, a], pairs, target=target[:, a]) for a in range(3))
    torch.testing.assert_close(soft_bradley_terry_aspects(outputs, pairs, target=target), apart)
    known = torch.tensor([[True, False, True], [False, False, False]])
    holes = torch.where(known, target, torch.full_like(target, math.nan))
    outputs.requires_grad_()
    loss = soft_bradley_terry_aspects(outputs, pairs, target=holes, known=known)
    expected = sum(soft_bradley_terry(outputs[:, a], pairs[:1], target=target[:1, a]) for a in (0, 2))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not outputs.grad[:, 1].any()
    assert not outputs.grad[2:].any()


@given(leads, st.floats(0.05, 4))
def test_rao_kupper_is_its_slow_form(lead, threshold):
    first, second, theta = math.exp(lead), 1.0, math.exp(threshold)
    win = first / (first + theta * second)
    tie = (theta**2 - 1) * first * second / ((first + theta * second) * (theta * first + second))
    scores = doubles([lead, 0])
    losses = [
        float(rao_kupper(scores, pair, tied=torch.tensor([tied]), threshold=threshold))
        for pair, tied in ((ONE, False), (ONE.flip(1), False), (ONE, True), (ONE.flip(1), True))
    ]
    assert losses[0] == pytest.approx(-math.log(win), rel=1e-9)
    assert losses[2] == pytest.approx(-math.log(tie), rel=1e-9)
    assert losses[3] == pytest.approx(losses[2])
    assert sum(math.exp(-x) for x in losses[:3]) == pytest.approx(1)


@given(leads, st.floats(-4, 4))
def test_davidson_is_its_slow_form(lead, log_tie):
    first, second, nu = math.exp(lead), 1.0, math.exp(log_tie)
    total = first + second + nu * math.sqrt(first * second)
    scores = doubles([lead, 0])
    win = float(davidson(scores, ONE, tied=torch.tensor([False]), log_tie=log_tie))
    tie = float(davidson(scores, ONE, tied=torch.tensor([True]), log_tie=log_tie))
    lost = float(davidson(scores, ONE.flip(1), tied=torch.tensor([False]), log_tie=log_tie))
    assert win == pytest.approx(-math.log(first / total), rel=1e-9, abs=1e-12)
    assert tie == pytest.approx(-math.log(nu * math.sqrt(first * second) / total), rel=1e-9, abs=1e-12)
    assert math.exp(-win) + math.exp(-tie) + math.exp(-lost) == pytest.approx(1)


def test_models_of_ties_without_ties_are_bradley_terry():
    scores, no = doubles([1, 0]), torch.tensor([False])
    plain = bradley_terry(scores, ONE)
    torch.testing.assert_close(rao_kupper(scores, ONE, tied=no, threshold=1e-12), plain)
    torch.testing.assert_close(davidson(scores, ONE, tied=no, log_tie=-60.0), plain)


def test_thresholds_can_be_learned():
    yes = torch.tensor([True])
    for objective, name in ((rao_kupper, "threshold"), (davidson, "log_tie")):
        level = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
        loss = objective(doubles([1, 0]), ONE, tied=yes, **{name: level})
        loss.backward()
        assert level.grad < 0, name  # a tie was seen: more room for ties
        assert torch.autograd.gradcheck(
            lambda x, f=objective, n=name: f(doubles([1, 0]), ONE, tied=yes, **{n: x}), level
        )


def test_consistency_hand_value():
    # entry 116: c = 0.75, z = 1 gives 0.56326; c = 1 is the plain loss; label smoothing of 1 - c is the same thing
    scores = doubles([1, 0])
    assert float(consistent_bradley_terry(scores, ONE, consistency=doubles([0.75]))) == pytest.approx(0.56326, abs=5e-6)
    scaled = consistent_bradley_terry(10 * scores, ONE, consistency=doubles([0.75]), beta=0.1)
    assert float(scaled) == pytest.approx(0.5632616875182228)
    smooth = bradley_terry(scores, ONE, label_smoothing=0.25)
    torch.testing.assert_close(consistent_bradley_terry(scores, ONE, consistency=doubles([0.75])), smooth)
    plain = consistent_bradley_terry(scores, ONE, consistency=doubles([1.0]))
    torch.testing.assert_close(plain, bradley_terry(scores, ONE))


@given(leads)
def test_half_a_consistency_teaches_equality(lead):
    def loss(x):
        return consistent_bradley_terry(x, ONE, consistency=doubles([0.5]))

    torch.testing.assert_close(loss(doubles([lead, 0])), loss(doubles([-lead, 0])))
    level = doubles([3, 3]).requires_grad_()
    loss(level).backward()
    assert level.grad.tolist() == [0, 0]


rewards = st.lists(st.integers(-3, 3).map(float), min_size=6, max_size=6)


@settings(max_examples=60, deadline=None)
@given(rewards, rewards)
def test_consistency_is_that_of_scipy(a, b):
    lists = [torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([5, 2, 0])]
    for measure, theirs in (("kendall", stats.kendalltau), ("spearman", stats.spearmanr)):
        found = ranking_consistency(doubles(a), doubles(b), lists, measure=measure)
        for members, rate in zip(lists, found.tolist(), strict=True):
            x, y = [a[i] for i in members.tolist()], [b[i] for i in members.tolist()]
            constant = len(set(x)) == 1 or len(set(y)) == 1
            assert rate == pytest.approx(0.5 if constant else (theirs(x, y).statistic + 1) / 2)


def test_top_consistency_and_the_pairs_of_lists():
    a, b = doubles([1, 5, 3, 2, 2, 2]), doubles([0, 9, 1, 1, 2, 3])
    lists = [torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])]
    assert ranking_consistency(a, b, lists, measure="top").tolist() == [1, 0]
    # every list has a pair, also the one whose rewards are equal: both its first member
    assert extreme_pairs(a, lists).tolist() == [[1, 0], [3, 3]]
    assert extreme_pairs(a, []).shape == (0, 2)
    assert ranking_consistency(a, b, []).shape == (0,)


def test_thurstone_hand_value_and_parity_with_scipy():
    # means 1 and 0, variances 1 and e: the lead in standard deviations is 1 / sqrt(1 + e)
    loss = float(thurstone_pairs(doubles([[1, 0], [0, 1]]), ONE))
    assert loss == pytest.approx(-stats.norm.logcdf(1 / math.sqrt(1 + math.e)), rel=1e-12)
    # equal means: log 2, whatever the variances
    assert float(thurstone_pairs(doubles([[2, 3], [2, -1]]), ONE)) == pytest.approx(math.log(2))
    # more noise makes a wrong order cheaper and a right one dearer
    noisy, sure = doubles([[1, 2], [0, 2]]), doubles([[1, -2], [0, -2]])
    assert thurstone_pairs(noisy, ONE) > thurstone_pairs(sure, ONE)
    assert thurstone_pairs(noisy, ONE.flip(1)) < thurstone_pairs(sure, ONE.flip(1))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda s, p: soft_bradley_terry(s, p, target=doubles([1.2])),
            InputError,
            r"soft_bradley_terry: target\[0\] is 1\.2; it must lie in \[0, 1\]",
        ),
        (
            lambda s, p: soft_bradley_terry(s, p, target=doubles([math.nan])),
            InputError,
            r"target\[0\] is nan; it must lie in \[0, 1\]",
        ),
        (
            lambda s, p: soft_bradley_terry_aspects(s[:, None], p, target=doubles([1.0])),
            ShapeError,
            r"soft_bradley_terry_aspects: target has shape \(1,\); it must be \(1, 1\)",
        ),
        (
            lambda s, p: soft_bradley_terry_aspects(s[:, None], p, target=doubles([[-1.0]])),
            InputError,
            r"soft_bradley_terry_aspects: target\[0, 0\] is -1\.0; it must lie in \[0, 1\]",
        ),
        (
            lambda s, p: rao_kupper(s, p, tied=torch.tensor([True]), threshold=0.0),
            InputError,
            r"rao_kupper: threshold\[0\] is 0\.0; it must be finite and above 0",
        ),
        (
            lambda s, p: davidson(s, p, tied=torch.tensor([True]), log_tie=math.inf),
            InputError,
            r"davidson: log_tie\[0\] is inf; it must be finite",
        ),
        (
            lambda s, p: davidson(s, p, tied=torch.tensor([True, False])),
            ShapeError,
            r"davidson: tied has shape \(2,\) for 1 pairs",
        ),
        (
            lambda s, p: consistent_bradley_terry(s, p, consistency=doubles([-0.1])),
            InputError,
            r"consistent_bradley_terry: consistency\[0\] is -0\.1; it must lie in \[0, 1\]",
        ),
        (
            lambda s, p: consistent_bradley_terry(s, p, consistency=doubles([1.0]), beta=0),
            InputError,
            "consistent_bradley_terry: beta is 0; it must be finite and above 0",
        ),
        (
            lambda s, p: ranking_consistency(s, s, [torch.tensor([0])]),
            InputError,
            r"ranking_consistency: lists\[0\] has 1 members; give at least 2",
        ),
        (
            lambda s, p: ranking_consistency(s, s, [p[0]], measure="tau"),
            InputError,
            "ranking_consistency: measure 'tau' is not known; known: kendall, spearman, top",
        ),
        (
            lambda s, p: ranking_consistency(s, s[:1], [p[0]]),
            ShapeError,
            "ranking_consistency: 2 rewards of the first and 1 of the other",
        ),
        (
            lambda s, p: thurstone_pairs(s[:, None], p),
            ShapeError,
            r"thurstone_pairs: outputs have shape \(2, 1\); they must be \(n, 2\)",
        ),
    ],
)
def test_what_labels_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call(doubles([1, 0]), ONE)


def test_every_order_of_three_is_as_consistent_as_its_inversions():
    # tau of a permutation of three with v inversions is (3 - 2 v) / 3, so the rate is 1 - v / 3
    base = doubles([0, 1, 2])
    for order in itertools.permutations(range(3)):
        v = sum(order[i] > order[j] for i in range(3) for j in range(i + 1, 3))
        rate = ranking_consistency(base, doubles(list(order)), [torch.arange(3)])
        assert float(rate) == pytest.approx(1 - v / 3)
