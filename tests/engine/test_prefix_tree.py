import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.engine.plan import TreePlan
from plaudit.engine.planning import best_fit, distinct_tokens, plan_rows, plan_sequences
from plaudit.engine.tree import PrefixTree
from plaudit.errors import InputError

sequences = st.lists(st.integers(0, 2), min_size=1, max_size=9)
bundles = st.lists(sequences, min_size=1, max_size=8)
groups_of = st.lists(st.lists(sequences, min_size=1, max_size=4), min_size=1, max_size=8)


def prefixes(texts):
    """Every prefix that occurs, as tuples: the nodes of the uncompressed trie."""
    return {tuple(t[: i + 1]) for t in texts for i in range(len(t))}


def test_a_small_tree_by_hand():
    # abc, abd and ab share "ab"; x stands alone. Rows in sorted order: a b | c | d | x.
    tree = PrefixTree.build([[1, 2, 3], [9], [1, 2, 4], [1, 2]])
    assert tree.input_ids.tolist() == [1, 2, 3, 4, 9]
    assert tree.position_ids.tolist() == [0, 1, 2, 2, 0]
    assert tree.segments.tolist() == [[0, 2, -1, 4], [2, 3, 0, 3], [3, 4, 0, 4], [4, 5, -1, 5]]
    assert tree.leaf_positions.tolist() == [2, 4, 3, 1]
    assert (tree.n_raw, len(tree)) == (9, 5)


@settings(max_examples=200, deadline=None)
@given(bundles)
def test_every_sequence_is_read_back_and_nothing_is_kept_twice(texts):
    tree = PrefixTree.build(texts)
    for i, text in enumerate(texts):
        at = tree.positions(i)
        assert tree.input_ids[at].tolist() == text
        assert tree.position_ids[at].tolist() == list(range(len(text)))
        assert tree.leaf_positions[i] == at[-1]
    assert len(tree) == len(prefixes(texts))
    assert tree.lengths.tolist() == [len(t) for t in texts]


@settings(max_examples=200, deadline=None)
@given(bundles, st.sampled_from([None, 1, 2, 4]))
def test_a_token_sees_exactly_its_ancestors(texts, window):
    tree = PrefixTree.build(texts)
    spelled = {}  # row index -> the prefix that ends there, spelled out
    for i, text in enumerate(texts):
        for k, at in enumerate(tree.positions(i)):
            spelled[int(at)] = tuple(text[: k + 1])
    mask = TreePlan.of(tree).visible(window)
    for q, below in spelled.items():
        for k, above in spelled.items():
            ancestor = below[: len(above)] == above
            near = window is None or len(below) - len(above) < window
            assert bool(mask[q, k]) == (ancestor and near)


@settings(max_examples=100, deadline=None)
@given(bundles)
def test_parents_come_first_and_subtrees_are_contiguous(texts):
    tree = PrefixTree.build(texts)
    start, stop, parent, end = tree.segments.T
    assert start[0] == 0
    assert stop[-1] == len(tree)
    assert (start[1:] == stop[:-1]).all()
    assert (parent < np.arange(len(parent))).all()
    for s, p in enumerate(parent):
        assert p < 0 or (start[p] < start[s] and end[s] <= end[p])


@settings(max_examples=100, deadline=None)
@given(bundles, st.randoms(use_true_random=False))
def test_the_order_of_the_sequences_does_not_matter(texts, random):
    order = list(range(len(texts)))
    random.shuffle(order)
    one, other = PrefixTree.build(texts), PrefixTree.build([texts[i] for i in order])
    np.testing.assert_array_equal(one.input_ids, other.input_ids)
    np.testing.assert_array_equal(one.segments, other.segments)
    np.testing.assert_array_equal(one.leaf_positions[order], other.leaf_positions)


def test_large_ids_and_the_byte_order_of_the_sort():
    # 1 and 256 change places when little-endian bytes are sorted; equal prefixes must stay together all the same
    texts = [[256, 1, 5], [1, 256, 5], [256, 1, 6], [1, 256, 6], [151_935, 1]]
    tree = PrefixTree.build(texts)
    assert len(tree) == len(prefixes(texts)) == 10
    assert [tree.input_ids[tree.positions(i)].tolist() for i in range(5)] == texts


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "prefix tree: no sequences; give at least one"),
        ([[1], []], "prefix tree: sequence 1 is empty; every sequence needs at least one token"),
    ],
)
def test_a_tree_of_nothing_is_refused(texts, message):
    with pytest.raises(InputError) as error:
        PrefixTree.build(texts)
    assert str(error.value) == message


@settings(max_examples=200, deadline=None)
@given(bundles)
def test_distinct_tokens_equals_the_size_of_the_tree(texts):
    assert distinct_tokens([np.array(t, dtype=np.int32) for t in texts]) == len(PrefixTree.build(texts))


@settings(max_examples=200, deadline=None)
@given(groups_of, st.integers(1, 30))
def test_groups_stay_whole_within_the_budget(groups, budget):
    rows = plan_rows(groups, budget=budget)
    flat = [s for group in groups for s in group]
    group_of = [g for g, group in enumerate(groups) for _ in group]
    assert sorted(m for row in rows for m in row.members) == list(range(len(flat)))
    assert sorted(g for row in rows for g in row.groups) == list(range(len(groups)))
    for row in rows:
        assert [group_of[m] for m in row.members] == sorted(g for g in row.groups for _ in groups[g])
        for i, m in enumerate(row.members):
            assert row.tree.input_ids[row.tree.positions(i)].tolist() == flat[m]
        assert len(row.tree) <= budget or len(row.groups) == 1
    again = plan_rows(groups, budget=budget)
    assert [r.members.tolist() for r in again] == [r.members.tolist() for r in rows]


@settings(max_examples=200, deadline=None)
@given(bundles, st.integers(1, 20))
def test_sequences_without_groups_fill_rows_too(texts, budget):
    rows = plan_sequences(texts, budget=budget)
    assert sorted(m for row in rows for m in row.members) == list(range(len(texts)))
    for row in rows:
        assert len(row.tree) <= budget or len(row.members) == 1
        for i, m in enumerate(row.members):
            assert row.tree.input_ids[row.tree.positions(i)].tolist() == texts[m]
    if budget >= len(prefixes(texts)):
        assert len(rows) == 1


def test_groups_that_begin_alike_share_a_tree():
    (row,) = plan_rows([[[1, 2, 3], [1, 2, 4]], [[1, 2, 5]]], budget=100)
    assert len(row.tree) == 5  # 1 2 once, then 3, 4 and 5
    assert row.members.tolist() == [0, 1, 2]


def test_best_fit_by_hand():
    # 7 opens a bin (room 3), 5 another (room 5), 4 goes with 5 (room 1), 3 fits 7's bin exactly, 1 the other one's rest
    assert best_fit([3, 7, 4, 1, 5], 10) == [[0, 1], [2, 3, 4]]


@pytest.mark.parametrize(
    ("groups", "budget", "message"),
    [
        ([[[1]]], 0, "plan_rows: budget is 0; give the distinct tokens that a row may hold, at least 1"),
        ([[[1]], []], 8, "plan_rows: group 1 has no sequences; every group needs at least one"),
        (
            [[[1]], [[1], []]],
            8,
            "plan_rows: sequence 1 of group 1 is empty; every sequence needs at least one token",
        ),
    ],
)
def test_what_cannot_be_planned_is_said(groups, budget, message):
    with pytest.raises(InputError) as error:
        plan_rows(groups, budget=budget)
    assert str(error.value) == message


def test_sequences_that_cannot_be_planned():
    with pytest.raises(InputError, match="plan_sequences: budget is -1"):
        plan_sequences([[1]], budget=-1)
    with pytest.raises(InputError, match="plan_sequences: sequence 1 is empty"):
        plan_sequences([[1], []], budget=4)
