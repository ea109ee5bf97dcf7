import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, rankdata

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.lists import borda, borda_counts, borda_two_level
from plaudit.training.objectives.pairs import soft_bradley_terry

tables = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(-3, 3).map(float), min_size=k, max_size=k), min_size=1, max_size=4)
)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def test_counts_hand_value():
    # raters: a > b > c; b > a = c. Beaten by a: 2 and 0.5; b: 1 and 2; c: 0 and 0.5
    assert borda_counts(doubles([[3, 1], [2, 5], [1, 1]])).tolist() == [1.25, 1.5, 0.25]


@settings(max_examples=60, deadline=None)
@given(tables)
def test_counts_are_mean_ranks(table):
    judgements = doubles(table).T
    counts = borda_counts(judgements)
    theirs = rankdata(judgements.numpy(), axis=0).mean(axis=1) - 1
    torch.testing.assert_close(counts, torch.from_numpy(theirs))
    k = len(counts)
    assert float(counts.sum()) == pytest.approx(k * (k - 1) / 2)
    # any increasing change of a rater's scale leaves them
    torch.testing.assert_close(borda_counts(judgements.exp() * 7 - 3), counts)


def inversions(scores, column):
    return sum((scores[i] - scores[j]) * (column[i] - column[j]) < 0 for i, j in itertools.combinations(range(4), 2))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.permutations([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=4))
def test_the_order_is_within_five_times_kemenys(columns):
    counts = borda_counts(doubles(columns).T).tolist()
    best = min(sum(inversions(order, c) for c in columns) for order in itertools.permutations(range(4)))
    assert sum(inversions(counts, c) for c in columns) <= 5 * best


@given(tables)
def test_a_rater_who_ranks_the_winner_first_keeps_it_there(table):
    judgements = doubles(table).T
    winner = int(borda_counts(judgements).argmax())
    again = torch.zeros(len(judgements), 1, dtype=torch.float64)
    again[winner] = 1
    counts = borda_counts(torch.cat([judgements, again], dim=1))
    assert float(counts[winner]) == float(counts.max())


def test_two_levels_give_each_metric_one_vote():
    # metric one, three instances: a > b; metrics two and three, one instance each: b > a
    metrics = [doubles([[1, 1, 1], [0, 0, 0]]), doubles([[0], [1]]), doubles([[0], [1]])]
    assert borda_two_level(metrics).tolist() == pytest.approx([1 / 3, 2 / 3])
    assert borda_counts(torch.cat(metrics, dim=1)).tolist() == pytest.approx([3 / 5, 2 / 5])


def test_counts_withstand_uneven_scales():
    """Entry 121's check: 10 systems, 8 tasks, scales exp(2 N): Borda is nearer to the true order than the mean."""
    g = torch.Generator().manual_seed(0)
    truth = torch.arange(10, dtype=torch.float64)
    by_count, by_mean = [], []
    for _ in range(30):
        scale = torch.exp(2 * torch.randn(8, generator=g, dtype=torch.float64))
        seen = (truth[:, None] + 3 * torch.randn(10, 8, generator=g, dtype=torch.float64)) * scale
        by_count.append(kendalltau(borda_counts(seen), truth).statistic)
        by_mean.append(kendalltau(seen.mean(dim=1), truth).statistic)
    assert sum(by_count) / 30 > sum(by_mean) / 30 + 0.05


@settings(max_examples=40, deadline=None)
@given(tables, st.integers(0, 10_000))
def test_the_loss_is_that_of_all_pairs_of_all_raters(table, seed):
    judgements = doubles(table).T
    k = len(judgements)
    scores = torch.randn(k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pairs = torch.tensor(list(itertools.combinations(range(k), 2)))
    first, second = judgements[pairs[:, 0]], judgements[pairs[:, 1]]
    target = ((first > second).double() + 0.5 * (first == second)).mean(dim=1)
    expected = soft_bradley_terry(scores, pairs, target=target)
    torch.testing.assert_close(borda(scores, [torch.arange(k)], counts=[borda_counts(judgements)]), expected)


def test_scores_end_in_the_order_of_the_counts():
    counts = doubles([0.5, 2.5, 1.0, 2.0])
    scores = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scores], max_iter=100)

    def closure():
        optimiser.zero_grad()
        loss = borda(scores, [torch.arange(4)], counts=[counts])
        loss.backward()
        return loss

    optimiser.step(closure)
    assert torch.argsort(scores).tolist() == torch.argsort(counts).tolist()
    # at the optimum the expected wins are the counts
    expected = torch.sigmoid(scores[:, None] - scores[None, :]).sum(dim=1) - 0.5
    torch.testing.assert_close(expected.detach(), counts, atol=1e-4, rtol=0)


def test_loss_hand_value():
    # two members, one of two raters each way: counts 1/2; scores 1 and 0: log(1 + e) - 1/2
    found = borda(doubles([1, 0]), [torch.tensor([0, 1])], counts=[doubles([0.5, 0.5])])
    assert float(found) == pytest.approx(math.log1p(math.e) - 0.5)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: borda(doubles([1, 0]), [torch.tensor([0, 1])], counts=[doubles([1, 1])]),
            InputError,
            r"borda: counts\[0\] add up to 2; a list of 2 needs 1",
        ),
        (
            lambda: borda(doubles([1, 0]), [torch.tensor([0, 1])], counts=[doubles([1.5, -0.5])]),
            InputError,
            r"borda: counts\[0, 1\] is -0\.5; it must be finite and at least 0",
        ),
        (
            lambda: borda(
                doubles([1, 0, 2]),
                [torch.tensor([0, 1]), torch.arange(3)],
                counts=[doubles([1.5, 0]), doubles([2, 1, 0])],
            ),
            InputError,
            r"borda: counts\[0\]\[0\] is 1\.5; it must lie in \[0, 1\]",
        ),
        (
            lambda: borda(doubles([1, 0]), [torch.tensor([0, 1])], counts=[doubles([1])]),
            ShapeError,
            r"borda: counts\[0\] has shape \(1,\) for a list of 2",
        ),
        (
            lambda: borda_counts(torch.zeros(3, 0)),
            InputError,
            r"borda_counts: judgements have shape \(3, 0\); give at least one",
        ),
        (
            lambda: borda_counts(doubles([[math.nan]])),
            InputError,
            r"borda_counts: judgements\[0, 0\] is nan; it must be finite",
        ),
        (lambda: borda_two_level([]), InputError, "borda_two_level: no metrics; give at least one"),
    ],
)
def test_what_counts_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
