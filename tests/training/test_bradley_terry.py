import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs.logistic import bradley_terry

numbers = st.floats(-20, 20)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


@st.composite
def problems(draw):
    n = draw(st.integers(2, 6))
    scores = doubles(draw(st.lists(numbers, min_size=n, max_size=n)))
    index = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(index, index).filter(lambda p: p[0] != p[1]), min_size=1, max_size=8))
    return scores, torch.tensor(pairs)


@st.composite
def options(draw):
    return dict(
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 0.4])),
        center_coef=draw(st.sampled_from([0.0, 0.01, 1.0])),
    )


def test_hand_values():
    # scores 1 and 0: d = 1, -log sigmoid(1) = log(1 + e^-1) = 0.3132617
    one = torch.tensor([[0, 1]])
    assert float(bradley_terry(doubles([1, 0]), one)) == pytest.approx(0.3132616875182228)
    # equal scores: log 2, whoever is preferred
    assert float(bradley_terry(doubles([3, 3]), one)) == pytest.approx(math.log(2))
    # a margin of 1 takes the whole lead: log 2 again
    assert float(bradley_terry(doubles([1, 0]), one, margin=doubles([1]))) == pytest.approx(math.log(2))
    # smoothing 0.1: 0.9 log(1 + e^-1) + 0.1 log(1 + e) = 0.3132617 + 0.1 * 1, since log(1 + e) = 1 + log(1 + e^-1)
    smooth = bradley_terry(doubles([1, 0]), one, label_smoothing=0.1)
    assert float(smooth) == pytest.approx(0.4132616875182228)
    # centring 0.01: 0.01 * (3 + 2)^2 = 0.25 on top of log(1 + e^-1)
    centred = bradley_terry(doubles([3, 2]), one, center_coef=0.01)
    assert float(centred) == pytest.approx(0.5632616875182228)
    # weight 2 counts twice, and pairs add up: 2 * log(1 + e^-1) + log 2
    both = bradley_terry(doubles([1, 0, 1]), torch.tensor([[0, 1], [0, 2]]), weight=doubles([2, 1]))
    assert float(both) == pytest.approx(2 * 0.3132616875182228 + math.log(2))


def test_no_pairs_are_worth_nothing():
    scores = doubles([1, 2]).requires_grad_()
    loss = bradley_terry(scores, torch.zeros(0, 2, dtype=torch.long))
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad.tolist() == [0, 0]


def test_extreme_scores_stay_finite():
    scores = doubles([1e4, -1e4]).requires_grad_()
    wrong = bradley_terry(scores, torch.tensor([[1, 0]]))
    wrong.backward()
    assert float(wrong.detach()) == pytest.approx(2e4)
    assert scores.grad.tolist() == [1, -1]


@settings(max_examples=100, deadline=None)
@given(problems(), st.booleans())
def test_parity_with_trl(problem, with_margin):
    """TRL 1.16's RewardTrainer: the mean of -logsigmoid(chosen - rejected - margin), plus the centring term's mean."""
    scores, pairs = problem
    chosen, rejected = scores[pairs[:, 0]], scores[pairs[:, 1]]
    margin = torch.linspace(0, 2, len(pairs), dtype=torch.float64) if with_margin else torch.zeros(len(pairs))
    theirs = -F.logsigmoid(chosen - rejected - margin).mean() + 0.03 * torch.mean((chosen + rejected) ** 2)
    ours = bradley_terry(scores, pairs, margin=margin if with_margin else None, center_coef=0.03) / len(pairs)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(problems(), options())
def test_the_gradient_is_the_closed_form(problem, option):
    scores, pairs = problem
    scores.requires_grad_()
    weight = torch.linspace(0.5, 2, len(pairs), dtype=torch.float64)
    bradley_terry(scores, pairs, weight=weight, **option).backward()
    expected = torch.zeros_like(scores)
    for (c, r), w in zip(pairs.tolist(), weight, strict=True):
        difference, total = float((scores[c] - scores[r]).detach()), float((scores[c] + scores[r]).detach())
        # d/dd of -(1-s) log sigmoid(d) - s log sigmoid(-d) is sigmoid(d) - (1 - s)
        slope = 1 / (1 + math.exp(-difference)) - (1 - option["label_smoothing"])
        pull = 2 * option["center_coef"] * total
        expected[c] += w * (slope + pull)
        expected[r] += w * (-slope + pull)
    torch.testing.assert_close(scores.grad, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(problems(), numbers, st.sampled_from([0.0, 0.2]))
def test_a_shift_of_all_scores_changes_nothing_without_centring(problem, shift, smoothing):
    scores, pairs = problem
    there = bradley_terry(scores + shift, pairs, label_smoothing=smoothing)
    torch.testing.assert_close(there, bradley_terry(scores, pairs, label_smoothing=smoothing), rtol=1e-9, atol=1e-9)


def test_centring_takes_a_side():
    pair = torch.tensor([[0, 1]])
    assert bradley_terry(doubles([2, 1]), pair, center_coef=0.1) > bradley_terry(
        doubles([0.5, -0.5]), pair, center_coef=0.1
    )


@settings(max_examples=100, deadline=None)
@given(problems(), options(), st.randoms(use_true_random=False))
def test_neither_the_order_of_pairs_nor_that_of_sequences_matters(problem, option, random):
    scores, pairs = problem
    loss = bradley_terry(scores, pairs, **option)
    order = list(range(len(pairs)))
    random.shuffle(order)
    torch.testing.assert_close(bradley_terry(scores, pairs[order], **option), loss)
    places = list(range(len(scores)))
    random.shuffle(places)
    moved = torch.empty_like(scores)
    moved[torch.tensor(places)] = scores
    torch.testing.assert_close(bradley_terry(moved, torch.tensor(places)[pairs], **option), loss)


@settings(max_examples=50, deadline=None)
@given(problems(), options(), st.data())
def test_parts_add_up(problem, option, data):
    scores, pairs = problem
    cut = data.draw(st.integers(0, len(pairs)))
    parts = bradley_terry(scores, pairs[:cut], **option) + bradley_terry(scores, pairs[cut:], **option)
    torch.testing.assert_close(parts, bradley_terry(scores, pairs, **option))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"label_smoothing": 0.5},
            InputError,
            r"bradley_terry: label_smoothing is 0\.5; it must lie in \[0, 0\.5\)",
        ),
        ({"label_smoothing": -0.1}, InputError, r"label_smoothing is -0\.1; it must lie in \[0, 0\.5\)"),
        ({"center_coef": -1.0}, InputError, r"bradley_terry: center_coef is -1\.0; it must be at least 0"),
        (
            {"pairs": torch.tensor([0, 1])},
            ShapeError,
            r"bradley_terry: pairs have shape \(2,\); they must be \(m, 2\)",
        ),
        (
            {"pairs": torch.tensor([[0, 1, 1]])},
            ShapeError,
            r"pairs have shape \(1, 3\); they must be \(m, 2\)",
        ),
        ({"margin": doubles([1, 1])}, ShapeError, r"bradley_terry: margin has shape \(2,\) for 1 pairs"),
        ({"weight": doubles([[1]])}, ShapeError, r"bradley_terry: weight has shape \(1, 1\) for 1 pairs"),
    ],
)
def test_what_is_refused(change, kind, message):
    arguments = {"scores": doubles([1, 0]), "pairs": torch.tensor([[0, 1]])} | change
    with pytest.raises(kind, match=message):
        bradley_terry(arguments.pop("scores"), arguments.pop("pairs"), **arguments)
