import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.lists import expanded_pairs, plackett_luce, rank_list, reach_at
from plaudit.training.objectives.pairs import bradley_terry

numbers = st.floats(-8, 8)
SOFT = 0.3132616875182228  # log(1 + e^-1)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def slow_plackett_luce(scores, places=None):
    """Place by place, in plain numbers."""
    places = len(scores) if places is None else places
    return sum(math.log(sum(math.exp(s) for s in scores[i:])) - scores[i] for i in range(places))


def slow_efron(scores, tied, places=None):
    """Blocks of tied ones, each place with the share of the block that is left on average."""
    starts = [i for i, t in enumerate(tied) if not t]
    ends = [*starts[1:], len(scores)]
    losses = []
    for start, end in zip(starts, ends, strict=True):
        block, rest = [math.exp(s) for s in scores[start:end]], sum(math.exp(s) for s in scores[end:])
        t = len(block)
        losses += [math.log(rest + (1 - gone / t) * sum(block)) - sum(map(math.log, block)) / t for gone in range(t)]
    return sum(losses[:places])


def test_plackett_luce_hand_values():
    # scores 2, 1, 0: log(1 + e^-1 + e^-2) + log(1 + e^-1) = 0.4076060 + 0.3132617
    full = float(plackett_luce(doubles([2, 1, 0]), [torch.arange(3)]))
    assert full == pytest.approx(0.40760596444438 + SOFT)
    assert float(plackett_luce(doubles([2, 1, 0]), [torch.arange(3)], top=1)) == pytest.approx(0.40760596444438)
    # equal scores: log 3! for every order
    assert float(plackett_luce(doubles([5, 5, 5]), [torch.tensor([2, 0, 1])])) == pytest.approx(math.log(6))
    # a pair is Bradley-Terry, and a weight counts a list twice
    one = torch.tensor([[1, 0]])
    pair = plackett_luce(doubles([0, 1]), [one[0]], weight=doubles([2]))
    torch.testing.assert_close(pair, 2 * bradley_terry(doubles([0, 1]), one))


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=2, max_size=6), st.integers(1, 6))
def test_plackett_luce_is_its_slow_form(scores, top):
    everything = [torch.arange(len(scores))]
    assert float(plackett_luce(doubles(scores), everything)) == pytest.approx(slow_plackett_luce(scores))
    places = min(top, len(scores))
    found = float(plackett_luce(doubles(scores), everything, top=top))
    assert found == pytest.approx(slow_plackett_luce(scores, places), abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.lists(numbers, min_size=4, max_size=4), st.integers(1, 4))
def test_probabilities_of_all_orders_add_up_to_one(scores, top):
    orders = {order[:top]: order for order in itertools.permutations(range(4))}.values()
    losses = [float(plackett_luce(doubles(scores), [torch.tensor(order)], top=top)) for order in orders]
    assert sum(math.exp(-x) for x in losses) == pytest.approx(1)


def test_the_gradient_is_what_was_expected_less_what_was_seen():
    # for one place of three: softmax(scores) - indicator of the first
    scores = doubles([2, 1, 0]).requires_grad_()
    plackett_luce(scores, [torch.arange(3)], top=1).backward()
    expected = scores.detach().softmax(0) - doubles([1, 0, 0])
    torch.testing.assert_close(scores.grad, expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=6), st.integers(1, 6))
def test_ties_are_efrons(members, top):
    scores = [s for s, _ in members]
    tied = [i > 0 and t for i, (_, t) in enumerate(members)]
    marks = [torch.tensor(tied)]
    found = float(plackett_luce(doubles(scores), [torch.arange(len(scores))], tied=marks, top=top))
    assert found == pytest.approx(slow_efron(scores, tied, top), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(numbers, min_size=5, max_size=5))
def test_ties_lie_above_the_mean_over_orders_and_meet_it_at_equal_scores(scores):
    tied = [torch.tensor([False, False, True, True, False])]

    def averaged(given):
        orders = [[given[0], *middle, given[4]] for middle in itertools.permutations(given[1:4])]
        return sum(map(slow_plackett_luce, orders)) / len(orders)

    found = float(plackett_luce(doubles(scores), [torch.arange(5)], tied=tied))
    assert found >= averaged(scores) - 1e-9
    level = [scores[0], *[scores[1]] * 3, scores[4]]
    same = float(plackett_luce(doubles(level), [torch.arange(5)], tied=tied))
    assert same == pytest.approx(averaged(level))
    assert same == pytest.approx(slow_plackett_luce(level))


@given(st.lists(numbers, min_size=4, max_size=4), st.permutations([1, 2, 3]))
def test_the_order_within_a_tie_means_nothing(scores, order):
    tied = [torch.tensor([False, False, True, True])]
    there = plackett_luce(doubles(scores), [torch.arange(4)], tied=tied)
    torch.testing.assert_close(plackett_luce(doubles(scores), [torch.tensor([0, *order])], tied=tied), there)


def test_lists_of_different_lengths_are_lists_alone():
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(9, generator=g).double()
    lists = [torch.tensor([3, 1]), torch.tensor([0, 2, 4, 5, 6]), torch.tensor([7, 8, 1])]
    alone = sum(float(plackett_luce(scores, [x])) for x in lists)
    assert float(plackett_luce(scores, lists)) == pytest.approx(alone)
    alone = sum(float(rank_list(scores, [x], reach=3, tail_coef=0.5)) for x in lists)
    assert float(rank_list(scores, lists, reach=3, tail_coef=0.5)) == pytest.approx(alone)


def test_absent_members_have_no_gradient():
    scores = doubles([1, 2, 3, 4, 5]).requires_grad_()
    (
        plackett_luce(scores, [torch.tensor([1, 2]), torch.tensor([2, 3, 1])])
        + rank_list(scores, [torch.tensor([1, 2])])
    ).backward()
    assert scores.grad[[0, 4]].tolist() == [0, 0]
    assert scores.grad.isfinite().all()


def test_rank_list_hand_values():
    # scores 2, 1, 0: neighbours twice log(1 + e^-1), then two apart log(1 + e^-2) = 0.1269280
    local = float(rank_list(doubles([2, 1, 0]), [torch.arange(3)], reach=1))
    assert local == pytest.approx(2 * SOFT)
    skipping = float(rank_list(doubles([2, 1, 0]), [torch.arange(3)], reach=2, skip_coef=0.5))
    assert skipping == pytest.approx(2 * SOFT + 0.5 * 0.12692801104297263)
    # two members: RankNet, whatever the reach
    pair = rank_list(doubles([1, 0]), [torch.arange(2)], reach=7)
    assert float(pair) == pytest.approx(SOFT)
    # a perfect order far apart costs nothing
    assert float(rank_list(doubles([900, 600, 300, 0]), [torch.arange(4)], reach=3, tail_coef=1.0)) < 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(numbers, min_size=2, max_size=7))
def test_the_tail_is_plackett_luce_and_below_the_exact_sum(scores):
    lists = [torch.arange(len(scores))]
    local = rank_list(doubles(scores), lists, reach=1)
    tail = rank_list(doubles(scores), lists, reach=1, tail_coef=1.0) - local
    assert float(tail) == pytest.approx(slow_plackett_luce(scores), rel=1e-6, abs=1e-6)
    everything = rank_list(doubles(scores), lists, reach=len(scores))
    assert float(tail) <= float(everything) + 1e-9
    if len(scores) == 2:
        assert float(tail) == pytest.approx(float(everything))


@settings(max_examples=40, deadline=None)
@given(st.lists(numbers, min_size=2, max_size=6))
def test_full_reach_is_every_pair(scores):
    lists = [torch.arange(len(scores))]
    pairs, weight = expanded_pairs(len(scores), lists, unit="pair")
    every = bradley_terry(doubles(scores), pairs, weight=weight)
    torch.testing.assert_close(rank_list(doubles(scores), lists, reach=len(scores)), every)


def test_close_labels_are_not_compared():
    scores, grades = doubles([0, 1, 2]), [doubles([3, 2.5, 1])]
    # gaps 0.5, 1.5 (neighbours) and 2 (two apart); from 1 on the first one falls away
    loss = float(rank_list(scores, [torch.arange(3)], grades=grades, min_gap=1.0))
    assert loss == pytest.approx(math.log1p(math.e) + math.log1p(math.exp(2)))
    # equal labels are never compared
    level = rank_list(scores, [torch.arange(3)], grades=[doubles([1, 1, 1])], tail_coef=1.0)
    assert float(level) == 0


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3]])
def test_the_distance_of_a_list_is_counted_in_grades(order):
    # scores 0, 2, 2 share grade 3, score 1 has grade 1: all three are its neighbours, whichever stands beside it
    # softplus(1 - 0) + 2 softplus(1 - 2) = (1 + 0.3132617) + 2 * 0.3132617
    scores, grades = doubles([0, 2, 2, 1]), [doubles([3, 3, 3, 1])]
    for reach in (1, 2):
        found = float(rank_list(scores, [torch.tensor(order)], grades=grades, reach=reach))
        assert found == pytest.approx(1 + 3 * SOFT)


def test_a_tie_between_two_grades_does_not_lengthen_the_way():
    # grades 3, 2, 2, 1 and equal scores: neighbours 3-2 twice and 2-1 twice, 3-1 two grades (three places) apart
    scores, grades = doubles([0, 0, 0, 0]), [doubles([3, 2, 2, 1])]
    near = float(rank_list(scores, [torch.arange(4)], grades=grades, reach=1))
    assert near == pytest.approx(4 * math.log(2))
    far = float(rank_list(scores, [torch.arange(4)], grades=grades, reach=2, skip_coef=0.5))
    assert far == pytest.approx(4.5 * math.log(2))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, st.integers(1, 3)), min_size=2, max_size=6), st.integers(1, 3), st.randoms())
def test_the_order_within_a_grade_means_nothing(members, reach, random):
    random.shuffle(members)
    found = []
    for listed in (members, members[::-1]):
        ordered = sorted(listed, key=lambda m: -m[1])  # stable: ties stay as they were given
        scores, grades = (doubles(x) for x in zip(*ordered, strict=True))
        lists = [torch.arange(len(ordered))]
        found.append(float(rank_list(scores, lists, grades=[grades], reach=reach, skip_coef=0.5, tail_coef=0.1)))
    assert found[0] == pytest.approx(found[1])


def test_the_reach_grows_to_the_longest():
    assert [reach_at(p, longest=5) for p in (0, 0.25, 0.5, 1)] == [1, 2, 3, 5]
    assert reach_at(1, longest=1) == 1


def test_expansion_hand_values():
    lists = [torch.tensor([4, 2, 0]), torch.tensor([1, 3])]
    pairs, weight = expanded_pairs(5, lists, unit="pair")
    assert pairs.tolist() == [[4, 2], [4, 0], [2, 0], [1, 3]]
    assert weight.tolist() == [1, 1, 1, 1]
    _, weight = expanded_pairs(5, lists)
    torch.testing.assert_close(weight, doubles([1 / 3, 1 / 3, 1 / 3, 1]))  # each list weighs 1
    _, weight = expanded_pairs(5, lists, unit="item")
    torch.testing.assert_close(weight, doubles([0.5, 0.5, 0.5, 1]))  # a list of k weighs k / 2
    tied = [torch.tensor([False, True, False]), torch.tensor([False, True])]
    pairs, weight = expanded_pairs(5, lists, tied=tied, unit="list")
    assert pairs.tolist() == [[4, 0], [2, 0]]
    assert weight.tolist() == [0.5, 0.5]
    # the item that is in both pairs shares itself out: 1/2 + 1/4 each
    _, weight = expanded_pairs(5, lists, tied=tied, unit="item")
    assert weight.tolist() == [0.75, 0.75]
    assert expanded_pairs(5, [])[0].shape == (0, 2)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("function", [plackett_luce, rank_list, lambda s, lists: expanded_pairs(len(s), lists)])
@pytest.mark.parametrize(
    ("lists", "kind", "message"),
    [
        ([torch.tensor([0, 1]), torch.tensor([1])], ShapeError, r"lists\[1\] has shape \(1,\); a list needs two"),
        ([torch.tensor([[0, 1]])], ShapeError, r"lists\[0\] has shape \(1, 2\); a list needs two members or more"),
        ([torch.tensor([0, 2])], InputError, "lists name sequences 0 to 2; there are 2"),
        ([torch.tensor([-1, 0])], InputError, "lists name sequences -1 to 0; there are 2"),
        ([torch.tensor([0, 1]), torch.tensor([1, 0, 1])], InputError, r"lists\[1\] names sequence 1 twice"),
    ],
)
def test_what_lists_are_refused(function, lists, kind, message):
    with pytest.raises(kind, match=message):
        function(doubles([1, 0]), lists)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda s, x: plackett_luce(s, x, top=0), InputError, "plackett_luce: top is 0; it must be at least 1"),
        (
            lambda s, x: plackett_luce(s, x, tied=[torch.tensor([True, False])]),
            InputError,
            "plackett_luce: the first member of a list is tied with the one before it; there is none",
        ),
        (
            lambda s, x: plackett_luce(s, x, tied=[torch.tensor([False])]),
            ShapeError,
            r"plackett_luce: tied\[0\] has shape \(1,\) for a list of 2",
        ),
        (lambda s, x: plackett_luce(s, x, tied=[]), ShapeError, "plackett_luce: tied of 0 lists for 1 lists"),
        (
            lambda s, x: plackett_luce(s, x, weight=doubles([1, 2])),
            ShapeError,
            r"plackett_luce: weight has shape \(2,\) for 1 lists",
        ),
        (lambda s, x: rank_list(s, x, reach=0), InputError, "rank_list: reach is 0; it must be at least 1"),
        (
            lambda s, x: rank_list(s, x, skip_coef=-1),
            InputError,
            "rank_list: skip_coef is -1; it must be finite and at least 0",
        ),
        (
            lambda s, x: rank_list(s, x, min_gap=1.0),
            InputError,
            r"rank_list: min_gap is 1\.0 and there are no grades; give the labels of the members",
        ),
        (
            lambda s, x: rank_list(s, x, grades=[doubles([1, 2])]),
            InputError,
            r"rank_list: grades\[0\] rise at member 1; lists go from best to worst",
        ),
        (
            lambda s, x: rank_list(s, x, grades=[doubles([2, math.nan])]),
            InputError,
            r"rank_list: grades\[0, 1\] is nan; it must be finite",
        ),
        (lambda s, x: reach_at(2, longest=3), InputError, r"reach_at: progress is 2; it must lie in \[0, 1\]"),
        (
            lambda s, x: expanded_pairs(2, x, unit="token"),
            InputError,
            "expanded_pairs: unit 'token' is not known; known: item, list, pair",
        ),
    ],
)
def test_what_list_options_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call(doubles([1, 0]), [torch.tensor([0, 1])])
