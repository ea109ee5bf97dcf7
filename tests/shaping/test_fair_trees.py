"""Trees walked both ways: by hand, equal to scikit-learn without flips, and the Monte Carlo that converges."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.trees import fair_tree_values


def biased(n=400, seed=0):
    """Column 0 is protected (0 unprivileged), column 1 is worth; labels hold the unprivileged to more."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.integers(0, 2, n), rng.normal(size=n), rng.normal(size=n)], axis=1).astype(float)
    return x, (x[:, 1] + 1.2 * (x[:, 0] - 0.5) + 0.3 * rng.normal(size=n) > 0).astype(int)


def walked(tree, row, *, protected, flip, spans, allowed, node=0):
    """The mixture of one sample by plain recursion over scikit-learn's arrays."""
    t = tree.tree_
    if t.children_left[node] < 0:
        value = t.value[node, 0]
        return value / value.sum()
    column, threshold = t.feature[node], t.threshold[node]
    go = {side: walked(tree, row, protected=protected, flip=flip, spans=spans, allowed=allowed, node=child)
          for side, child in (("left", t.children_left[node]), ("right", t.children_right[node]))}  # fmt: skip
    here = "left" if np.float32(row[column]) <= threshold else "right"
    if column not in protected or not allowed:
        return go[here]
    q = flip * max(0.0, 1 - abs(np.float32(row[column]) - threshold) / spans[column])
    return (1 - q) * go[here] + q * go["right" if here == "left" else "left"]


@pytest.fixture(scope="module")
def fitted():
    x, y = biased()
    return DecisionTreeClassifier(max_depth=4, random_state=0).fit(x, y), x, y


def test_a_stump_by_hand():
    # one split, at 0.5 of a column of range 1: distance 1/2, so q = .8 * (1 - .5) = .4
    stump = DecisionTreeRegressor(max_depth=1).fit([[0.0], [1.0]], [10.0, 20.0])
    options = dict(protected=[0], flip=0.8, ranges=[1.0])
    found = fair_tree_values(stump, [[0.0], [1.0], [0.5]], [True, False, True], **options)
    # 0.6 * 10 + 0.4 * 20; the privileged stay; at the threshold itself q = .8: 0.2 * 10 + 0.8 * 20
    assert found[:, 0].tolist() == pytest.approx([14.0, 20.0, 18.0])
    # reach 1/4: a distance of 1/2 of the range is beyond it
    assert fair_tree_values(stump, [[0.0]], [True], reach=0.25, **options)[0, 0] == 10.0


def test_without_flips_it_is_scikit_learn(fitted):
    tree, x, _ = fitted
    everyone = np.ones(len(x), dtype=bool)
    np.testing.assert_array_equal(fair_tree_values(tree, x, everyone, protected=[0], flip=0), tree.predict_proba(x))
    np.testing.assert_array_equal(fair_tree_values(tree, x, ~everyone, protected=[0], flip=1), tree.predict_proba(x))
    np.testing.assert_array_equal(fair_tree_values(tree, x, everyone, protected=[], flip=1), tree.predict_proba(x))


def test_the_privileged_stay_as_they_are(fitted):
    tree, x, _ = fitted
    mask = x[:, 0] == 0
    found = fair_tree_values(tree, x, mask, protected=[0])
    np.testing.assert_array_equal(found[~mask], tree.predict_proba(x)[~mask])
    assert np.abs(found[mask] - tree.predict_proba(x)[mask]).max() > 0.05
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_it_is_the_mixture_of_plain_recursion(fitted):
    tree, x, _ = fitted
    mask, spans = x[:, 0] == 0, np.ptp(x.astype(np.float32), axis=0)
    found = fair_tree_values(tree, x[:50], mask[:50], protected=[0, 2], flip=0.7, ranges=spans)
    slow = [
        walked(tree, r, protected={0, 2}, flip=0.7, spans=spans, allowed=m) for r, m in zip(x[:50], mask, strict=False)
    ]
    np.testing.assert_allclose(found, slow, atol=1e-9)


def test_monte_carlo_converges_to_the_mixture(fitted):
    tree, x, _ = fitted
    mask = x[:, 0] == 0
    options = dict(protected=[0], flip=0.8)
    exact = fair_tree_values(tree, x[:40], mask[:40], **options)
    drawn = fair_tree_values(tree, x[:40], mask[:40], passes=2000, seed=1, **options)
    # a share of 2,000 passes has deviation at most .5 / sqrt(2000) = .011
    assert np.abs(drawn - exact).max() < 4 * 0.5 / np.sqrt(2000)
    again = fair_tree_values(tree, x[:40], mask[:40], passes=50, seed=1, **options)
    np.testing.assert_array_equal(again, fair_tree_values(tree, x[:40], mask[:40], passes=50, seed=1, **options))


def test_the_gap_of_outcomes_falls(fitted):
    """Machinery on biased labels: who is unprivileged is accepted nearer to as often as others."""
    tree, x, _ = fitted
    mask = x[:, 0] == 0
    before = tree.predict_proba(x)[:, 1]
    after = fair_tree_values(tree, x, mask, protected=[0], flip=1.0)[:, 1]
    gap = [p[~mask].mean() - p[mask].mean() for p in (before, after)]
    assert 0 < gap[1] < gap[0]


def tree_of_two_outputs():
    return DecisionTreeRegressor().fit([[0.0], [1.0]], [[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda t: fair_tree_values(DecisionTreeRegressor(), [[0.0]], [True], protected=[0]), InputError, "no fitted"),
        (lambda t: fair_tree_values(tree_of_two_outputs(), [[0.0]], [True], protected=[0]), InputError, "one output"),
        (lambda t: fair_tree_values(t, [[0.0]], [True], protected=[0]), ShapeError, "give (b, 3) and (b,)"),
        (
            lambda t: fair_tree_values(t, [[0, np.nan, 0]], [True], protected=[0]),
            InputError,
            "not finite; fill them in",
        ),
        (lambda t: fair_tree_values(t, [[0, 0, 0]], [True], protected=[0], flip=2), InputError, "flip 2"),
        (lambda t: fair_tree_values(t, [[0, 0, 0]], [True], protected=[3]), InputError, "protected column 3 of 3"),
    ],
)
def test_errors(call, kind, message, fitted):
    with pytest.raises(kind) as error:
        call(fitted[0])
    assert message in str(error.value)
