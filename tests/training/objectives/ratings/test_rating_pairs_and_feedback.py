import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Beta

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.ratings import (
    cheat_confidence,
    cheat_variance,
    community_pairs,
    community_triplets,
    two_preference_probabilities,
    two_preferences,
    two_rating_probabilities,
    two_ratings,
)

ONE = torch.tensor([[0, 1]])


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_ratings_hand_value():
    # two levels, all logits 0 but p2(1 | 1) with logit log 3: log 2 for the first, -log(3/4) for the second
    outputs = doubles([[0, 0, 0, 0, 0, math.log(3)]])
    loss = float(two_ratings(outputs, items=torch.tensor([0]), levels=torch.tensor([[1, 1]])))
    assert loss == pytest.approx(math.log(2) + math.log(4 / 3))
    p1, p2 = two_rating_probabilities(outputs)
    torch.testing.assert_close(p1, doubles([[0.5, 0.5]]))
    torch.testing.assert_close(p2, doubles([[[0.5, 0.5], [0.25, 0.75]]]))


@given(st.integers(0, 10_000))
def test_probabilities_of_all_pairs_of_ratings_add_up(seed):
    outputs = normal(seed, 1, 12)
    found = [
        math.exp(-float(two_ratings(outputs, items=torch.tensor([0]), levels=torch.tensor([[a, b]]))))
        for a in range(3)
        for b in range(3)
    ]
    assert sum(found) == pytest.approx(1)
    p1, p2 = two_rating_probabilities(outputs)
    torch.testing.assert_close(doubles(found).reshape(3, 3), p1[0][:, None] * p2[0])


def test_variance_hand_value():
    # entry 219: p ~ Beta(2, 3): p1 = 0.4, p2(1 | 1) = 3/6 and p2(1 | 0) = 2/6: V = 0.04, the variance of Beta(2, 3)
    p1, p2 = doubles([[0.6, 0.4]]), doubles([[[4 / 6, 2 / 6], [0.5, 0.5]]])
    variance = cheat_variance(p1, p2)
    torch.testing.assert_close(variance, doubles([[0.04, 0.04]]))  # binary: the same for both
    torch.testing.assert_close(variance[:, 1], Beta(doubles([2]), doubles([3])).variance)
    torch.testing.assert_close(cheat_confidence(p1, p2), doubles([[0.9, 0.8]]))
    # a world without chance that is known: no variance, full confidence; p1 of 0 has none
    p1, p2 = doubles([[0, 1]]), doubles([[[0, 1], [0, 1]]])
    assert cheat_variance(p1, p2).tolist() == [[0, 0]]
    assert cheat_confidence(p1, p2).tolist() == [[0, 1]]


@given(st.integers(0, 10_000))
def test_a_mixture_has_the_variance_of_its_parts(seed):
    """For a finite mixture of distributions the pair's probabilities are exact, and V is the mixture's variance."""
    parts, share = normal(seed, 4, 3).softmax(dim=1), normal(seed + 1, 4).softmax(dim=0)
    p1 = share @ parts
    joint = torch.einsum("k,ka,kb->ab", share, parts, parts)
    variance = cheat_variance(p1[None], (joint / p1[:, None])[None])[0]
    torch.testing.assert_close(variance, share @ (parts - p1).square())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_not_known_of_all_levels_is_a_covariance(seed):
    """Entry 219: of raters who are alike, `p1(a) (p2(b | a) - p1(b))` is symmetric and positive semidefinite."""
    parts, share = normal(seed, 4, 3).softmax(dim=1), normal(seed + 1, 4).softmax(dim=0)
    joint = torch.einsum("k,ka,kb->ab", share, parts, parts)
    logits = torch.cat([joint.sum(dim=1), joint.flatten()]).log()[None]  # a row's sum does not matter to its softmax
    p1, p2 = two_rating_probabilities(logits)
    covariance = p1[0, :, None] * (p2[0] - p1[0])
    torch.testing.assert_close(covariance, covariance.T)
    torch.testing.assert_close(covariance.sum(dim=1), torch.zeros(3).double())  # probabilities add up to 1
    assert float(torch.linalg.eigvalsh(covariance).min()) > -1e-12
    torch.testing.assert_close(covariance.diagonal(), cheat_variance(p1, p2)[0])


def test_symmetry_alone_makes_no_covariance():
    # two raters who never agree are no two draws of one unknown share: V = 1/2 (0 - 1/2)
    p1, p2 = doubles([[0.5, 0.5]]), doubles([[[0, 1], [1, 0]]])
    assert cheat_variance(p1, p2).tolist() == [[-0.25, -0.25]]


def test_fitted_pairs_tell_ignorance_from_disagreement():
    """Entry 219's check: one group is evenly split in truth, in the other each item has its own unknown share."""
    g = torch.Generator().manual_seed(0)
    n = 20_000
    # sin^2 of a uniform angle has the distribution Beta(1/2, 1/2)
    spread = torch.sin(torch.rand(n, generator=g) * math.pi / 2) ** 2
    share = torch.cat([torch.full((n,), 0.5), spread])
    first, second = (torch.rand(2 * n, generator=g) < share for _ in range(2))
    outputs = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)  # one sequence stands for each group
    items, levels = torch.arange(2).repeat_interleave(n), torch.stack([first, second], dim=1).long()
    optimiser = torch.optim.LBFGS([outputs], max_iter=50)

    def closure():
        optimiser.zero_grad()
        loss = two_ratings(outputs, items=items, levels=levels) / n
        loss.backward()
        return loss

    optimiser.step(closure)
    p1, p2 = two_rating_probabilities(outputs.detach())
    variance = cheat_variance(p1, p2)[:, 1]
    truth = (share.double().reshape(2, n) - p1[:, 1:]).square().mean(dim=1)
    torch.testing.assert_close(variance, truth, atol=0.01, rtol=0)  # 0 and 1/8, the variance of Beta(1/2, 1/2)
    assert float(variance[1]) == pytest.approx(0.125, abs=0.01)


def test_two_preferences_hand_value():
    # f: 1, 0; g: 2, 0; h: 0, 1. First prefers a: sigmoid(1); then g_a - h_b = 1, or else h_a - g_b = 0
    outputs = doubles([[1, 2, 0], [0, 0, 1]])
    soft = 0.3132616875182228  # log(1 + e^-1)

    def loss(first, second):
        return float(two_preferences(outputs, ONE, first=torch.tensor([first]), second=torch.tensor([second])))

    assert loss(True, True) == pytest.approx(2 * soft)
    assert loss(True, False) == pytest.approx(soft + 1 + soft)
    assert loss(False, True) == pytest.approx(1 + soft + math.log(2))
    p1, p2 = two_preference_probabilities(outputs, ONE)
    assert float(p1[0, 1] * p2[0, 1, 1]) == pytest.approx(math.exp(-loss(True, True)))
    assert float(p1[0, 0] * p2[0, 0, 1]) == pytest.approx(math.exp(-loss(False, True)))


@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_a_pair_turned_round_is_the_same_pair(seed, first, second):
    outputs = normal(seed, 2, 3)
    answers = [torch.tensor([x]) for x in (first, second)]
    there = two_preferences(outputs, ONE, first=answers[0], second=answers[1])
    back = two_preferences(outputs, ONE.flip(1), first=~answers[0], second=~answers[1])
    torch.testing.assert_close(there, back)
    p1, p2 = two_preference_probabilities(outputs, ONE)
    q1, q2 = two_preference_probabilities(outputs, ONE.flip(1))
    torch.testing.assert_close(q1, p1.flip(1))
    torch.testing.assert_close(q2, p2.flip(1, 2))
    torch.testing.assert_close(p2.sum(dim=2), torch.ones(1, 2).double())


def test_triplets_hand_values_and_parity_with_torch():
    outputs, anchors = normal(0, 6, 4), normal(1, 3, 4)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]])
    theirs = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda x, y: (x - y).square().sum(dim=-1), margin=0.3, reduction="sum"
    )(*(F.normalize(x, dim=-1) for x in (anchors, outputs[::2], outputs[1::2])))
    torch.testing.assert_close(community_triplets(outputs, pairs, anchors=anchors), theirs)
    # the same completion twice: the margin; 2 - 2 cos: a hinge on cosines with half of it
    same = torch.tensor([[2, 2]])
    assert float(community_triplets(outputs, same, anchors=anchors[:1])) == pytest.approx(0.3)
    cosine = [float(F.cosine_similarity(anchors[0], outputs[i], dim=0)) for i in (0, 1)]
    hinge = 2 * max(cosine[1] - cosine[0] + 0.15, 0)
    assert float(community_triplets(outputs, pairs[:1], anchors=anchors[:1])) == pytest.approx(hinge)
    # far enough apart there is nothing left to learn
    apart = doubles([[1, 0], [-1, 0]])
    assert float(community_triplets(apart, ONE, anchors=doubles([[3, 0]]))) == 0


def test_pairs_of_a_community_hand_value():
    reuses, exposures = torch.tensor([30, 0, 0, 50, 1, 0]), torch.tensor([100, 100, 5, 100, 200, 100])
    prompts = torch.tensor([0, 0, 0, 1, 1, 2])
    pairs, weight = community_pairs(reuses, exposures, prompts)
    # item 2 was hardly shown, item 5 is alone with its prompt
    assert pairs.tolist() == [[0, 1], [3, 4]]
    assert weight.tolist() == [1, 1]
    exposures[2] = 50
    pairs, weight = community_pairs(reuses, exposures, prompts)
    assert pairs.tolist() == [[0, 1], [0, 2], [3, 4]]
    assert weight.tolist() == [0.5, 0.5, 1]  # each prompt counts once
    assert community_pairs(reuses[:1], exposures[:1], prompts[:1])[0].shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(30, 60), st.integers(0, 2)), min_size=2, max_size=8))
def test_mined_pairs_stay_in_their_prompt_and_turn_with_the_counts(rows):
    reuses, exposures, prompts = (torch.tensor(column) for column in zip(*rows, strict=True))
    pairs, _ = community_pairs(reuses, exposures, prompts)
    assert (prompts[pairs[:, 0]] == prompts[pairs[:, 1]]).all()
    # the two of a pair with their counts exchanged: the opposite pair
    for a, b in pairs.tolist():
        swap = torch.arange(len(rows))
        swap[[a, b]] = torch.tensor([b, a])
        again, _ = community_pairs(reuses[swap], exposures[swap], prompts)
        assert [b, a] in again.tolist()
        assert [a, b] not in again.tolist()


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: two_ratings(normal(0, 1, 5), items=torch.tensor([0]), levels=torch.tensor([[0, 1]])),
            ShapeError,
            r"two_ratings: 5 outputs a sequence; c levels need c \+ c\^2: 6, 12, 20, 30",
        ),
        (
            lambda: two_ratings(normal(0, 1, 6), items=torch.tensor([0]), levels=torch.tensor([[0, 2]])),
            InputError,
            r"two_ratings: levels\[0, 1\] is 2; it must lie in \[0, 1\]",
        ),
        (
            lambda: two_ratings(normal(0, 1, 6), items=torch.tensor([0]), levels=torch.tensor([0])),
            ShapeError,
            r"two_ratings: levels have shape \(1,\); they must be \(1, 2\)",
        ),
        (
            lambda: two_preferences(normal(0, 2, 2), ONE, first=torch.tensor([True]), second=torch.tensor([True])),
            ShapeError,
            r"two_preferences: outputs have shape \(2, 2\); they must be \(n, 3\)",
        ),
        (
            lambda: cheat_variance(doubles([[0.5, 0.5]]), doubles([[0.5, 0.5]])),
            ShapeError,
            r"cheat_variance: p2 has shape \(1, 2\); it must be \(1, 2, 2\)",
        ),
        (
            lambda: community_triplets(normal(0, 2, 3), ONE, anchors=normal(1, 1, 2)),
            ShapeError,
            r"community_triplets: anchors have shape \(1, 2\); they must be \(1, 3\)",
        ),
        (
            lambda: community_triplets(normal(0, 2, 3), ONE, anchors=normal(1, 1, 3), margin=-1),
            InputError,
            "community_triplets: margin is -1; it must be finite and at least 0",
        ),
        (
            lambda: community_pairs(torch.tensor([5]), torch.tensor([3]), torch.tensor([0])),
            InputError,
            r"community_pairs: exposures - reuses\[0\] is -2; it must be finite and at least 0",
        ),
        (
            lambda: community_pairs(torch.tensor([1]), torch.tensor([3]), torch.tensor([0]), max_rate=0.5),
            InputError,
            r"community_pairs: max_rate is 0\.5; it must lie in \[0, 0\.1\)",
        ),
        (
            lambda: community_pairs(torch.tensor([1]), torch.tensor([3, 3]), torch.tensor([0])),
            ShapeError,
            r"community_pairs: exposures has shape \(2,\) for 1 items",
        ),
    ],
)
def test_what_feedback_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
