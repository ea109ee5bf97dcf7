"""Mixtures, aspects, sources and latents: hand values, invariances, parity."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs import bradley_terry
from plaudit.training.objectives.people import (
    aspect_regression,
    balanced_sources,
    cyclical_weight,
    gated_bradley_terry,
    latent_divergence,
    min_norm_weights,
    mixture_bradley_terry,
    router_cross_entropy,
    scaled_gradients,
)
from plaudit.training.objectives.people.aspects import gated_scores
from plaudit.training.objectives.people.balanced import source_losses

SEEDS = st.integers(0, 2**31 - 1)
PAIRS = torch.tensor([[0, 1], [2, 1]])


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mixture_by_hand():
    # differences 0 and log 3, shares 1/4 and 3/4: p = 1/4 * 1/2 + 3/4 * 3/4 = 11/16
    outputs = torch.tensor([[1.0, math.log(3)], [1.0, 0.0]], dtype=torch.float64)
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    pair = torch.tensor([[0, 1]])
    plain = mixture_bradley_terry(outputs, pair, logits=logits, entropy_coef=0)
    assert float(plain) == pytest.approx(math.log(16 / 11))
    # entropy of (1/4, 3/4) is 2 log 2 - 3/4 log 3
    full = mixture_bradley_terry(outputs, pair, logits=logits, entropy_coef=0.5)
    assert float(full - plain) == pytest.approx(-0.5 * (2 * math.log(2) - 0.75 * math.log(3)))


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 4))
def test_one_expert_is_bradley_terry_and_names_of_experts_mean_nothing(seed, k):
    scores, logits = normal(seed, 3, k), normal(seed + 1, 2, k)
    one = mixture_bradley_terry(scores[:, :1], PAIRS, logits=logits[:, :1])
    assert torch.allclose(one, bradley_terry(scores[:, 0], PAIRS))
    order = torch.randperm(k)
    loss = mixture_bradley_terry(scores, PAIRS, logits=logits)
    assert torch.allclose(loss, mixture_bradley_terry(scores[:, order], PAIRS, logits=logits[:, order]))
    # equal experts: whatever the shares, the likelihood is that of one
    same = mixture_bradley_terry(scores[:, :1].expand(-1, k), PAIRS, logits=logits, entropy_coef=0)
    assert torch.allclose(same, bradley_terry(scores[:, 0], PAIRS))


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(2, 4))
def test_the_entropy_term_is_least_at_equal_shares(seed, k):
    scores, logits = normal(seed, 3, k), normal(seed, 1, k)
    pair = PAIRS[:1]

    def term(x):
        with_it, without = (mixture_bradley_terry(scores, pair, logits=x, entropy_coef=c) for c in (1.0, 0.0))
        return float(with_it - without)

    assert term(torch.zeros_like(logits)) == pytest.approx(-math.log(k))
    assert term(logits) >= -math.log(k) - 1e-12


@pytest.mark.usefixtures("unchecked_shapes")
def test_router_by_hand_and_its_gradient():
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    loss = router_cross_entropy(logits, target=target)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(2))
    assert logits.grad.tolist() == [[-0.25, 0.25]]  # softmax minus target
    with pytest.raises(ShapeError, match="target has shape"):
        router_cross_entropy(logits, target=target[0])


@pytest.mark.usefixtures("unchecked_shapes")
def test_refusals_of_the_mixture():
    with pytest.raises(ShapeError, match=r"logits have shape \(1, 2\); they must be \(2, 2\)"):
        mixture_bradley_terry(torch.zeros(3, 2), PAIRS, logits=torch.zeros(1, 2))
    with pytest.raises(InputError, match="entropy_coef is -1"):
        mixture_bradley_terry(torch.zeros(3, 2), PAIRS, logits=torch.zeros(2, 2), entropy_coef=-1)


@pytest.mark.usefixtures("unchecked_shapes")
def test_aspects_by_hand():
    outputs = torch.tensor([[1.0, 2.0], [0.0, 5.0]], dtype=torch.float64, requires_grad=True)
    ratings = torch.tensor([[3.0, math.nan], [0.5, 4.0]], dtype=torch.float64)
    loss = aspect_regression(outputs, ratings=ratings)
    loss.backward()
    assert float(loss.detach()) == pytest.approx((4 + 0.25 + 1) / 2)
    assert outputs.grad.tolist() == [[-2.0, 0.0], [-0.5, 1.0]]  # nothing where nobody rated
    with pytest.raises(ShapeError, match="ratings are"):
        aspect_regression(outputs, ratings=ratings[:1])


def test_gates_learn_and_aspects_stay():
    outputs = normal(0, 3, 2).requires_grad_()
    gates = normal(1, 1, 2).expand(3, -1).clone().requires_grad_()
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss = gated_bradley_terry(outputs, PAIRS, gates=gates, log_scale=scale)
    loss.backward()
    assert outputs.grad is None  # preferences do not change what an aspect means
    assert gates.grad.abs().sum() > 0
    assert float(scale.grad) != 0
    # weights 1/4 and 3/4 and scale 2: 2 (1/4 * 4 + 3/4 * 8) = 14
    hand = gated_scores(
        torch.tensor([[4.0, 8.0]]), torch.tensor([[0.0, math.log(3)]]), log_scale=torch.tensor(math.log(2))
    )
    assert hand.tolist() == pytest.approx([14.0])
    one = gated_bradley_terry(outputs[:, :1], PAIRS, gates=gates[:, :1])
    assert torch.allclose(one, bradley_terry(outputs[:, 0], PAIRS))


@pytest.mark.usefixtures("unchecked_shapes")
def test_min_norm_by_hand():
    # orthogonal, of norms 1 and 2: w ~ 1 / |g|^2, (1, 1/4) / (5/4)
    orthogonal = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert min_norm_weights(orthogonal).tolist() == pytest.approx([0.8, 0.2])
    # (1, 0) and (3, 1): the nearest point of the segment is its end, since <g1, g2> = 3 >= |g1|^2
    assert min_norm_weights(torch.tensor([[1.0, 0.0], [3.0, 1.0]])).tolist() == [1.0, 0.0]
    # opposed, 1 and -3: 3/4 and 1/4 cancel
    assert min_norm_weights(torch.tensor([[1.0], [-3.0]])).tolist() == pytest.approx([0.75, 0.25])
    same = torch.tensor([[2.0, 1.0]] * 3, dtype=torch.float64)
    weight = min_norm_weights(same)
    assert (weight @ same).tolist() == pytest.approx([2.0, 1.0])
    assert min_norm_weights(torch.zeros(2, 3)).sum() == 1
    with pytest.raises(InputError, match="a gradient is not finite"):
        min_norm_weights(torch.tensor([[math.nan]]))
    with pytest.raises(ShapeError, match=r"they must be \(t, d\)"):
        min_norm_weights(torch.zeros(2))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 6), st.integers(1, 5), st.floats(1e-6, 1e6))
def test_no_source_objects_to_the_direction(seed, t, d, unit):
    gradients = unit * normal(seed, t, d)
    weight = min_norm_weights(gradients)
    assert (weight >= 0).all()
    assert float(weight.sum()) == pytest.approx(1)
    direction = weight @ gradients
    assert (gradients @ direction >= direction @ direction - 1e-9 * unit**2).all()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 20), st.sampled_from([1e-3, 1e-6, 1e-9, 0.0]))
def test_nearly_equal_gradients_are_no_obstacle(seed, t, apart):
    gradients = (normal(seed, 1, 6) + apart * normal(seed + 1, t, 6)).float()
    weight = min_norm_weights(gradients).double()
    assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    direction = weight @ gradients.double()
    assert (gradients.double() @ direction >= direction @ direction * (1 - 1e-5)).all()


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(2, 5))
def test_min_norm_agrees_with_a_general_solver(seed, t):
    gradients = normal(seed, t, 4)
    gram = (gradients @ gradients.T).numpy()
    slow = minimize(
        lambda w: w @ gram @ w, [1 / t] * t, jac=lambda w: 2 * gram @ w, bounds=[(0, 1)] * t, method="SLSQP",
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    weight = min_norm_weights(gradients).numpy()
    assert weight @ gram @ weight <= slow.fun + 1e-7


@pytest.mark.usefixtures("unchecked_shapes")
def test_scaled_gradients_by_hand():
    gradients, losses = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([2.0, 0.0])
    assert scaled_gradients(gradients, losses).tolist() == gradients.tolist()
    assert scaled_gradients(gradients, losses, normalise="l2")[0].tolist() == pytest.approx([0.6, 0.8])
    assert scaled_gradients(gradients, losses, normalise="loss")[0].tolist() == [1.5, 2.0]
    assert scaled_gradients(gradients, losses, normalise="loss+")[0].tolist() == pytest.approx([0.3, 0.4])
    assert scaled_gradients(gradients, losses, normalise="loss+")[1].tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="normalise is 'l1'; give one of none, l2, loss"):
        scaled_gradients(gradients, losses, normalise="l1")


def test_balanced_sources_by_hand():
    # a head of two weights on four one-pair sources of states; source 7 wants the first weight up, source 9 both
    head = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    states = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    pairs, source = torch.tensor([[0, 1], [2, 1]]), torch.tensor([7.0, 9.0])
    # at zero each loss is log 2 with gradient -(difference) / 2: (-1/2, 0) and (0, -1), weights 4/5 and 1/5
    loss = balanced_sources(states @ head, pairs, source=source, parameters=[head])
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * math.log(2))
    assert head.grad.tolist() == pytest.approx([2 * 0.8 * -0.5, 2 * 0.2 * -1.0])
    # one source is Bradley-Terry, and so are no pairs
    alone = balanced_sources(states @ head, pairs, source=torch.ones(2), parameters=[head])
    assert torch.allclose(alone, bradley_terry(states @ head, pairs))
    none = balanced_sources(states @ head, pairs[:0], source=source[:0], parameters=[head])
    assert float(none.detach()) == 0
    with pytest.raises(InputError, match="the model has no `score` head"):
        balanced_sources(states @ head, pairs, source=source, parameters=[])


def test_source_losses_are_means_over_what_counts():
    scores = torch.tensor([0.0, 0.0, math.log(3)], dtype=torch.float64)
    pairs, source = torch.tensor([[0, 1], [2, 1], [2, 1]]), torch.tensor([5.0, 2.0, 5.0])
    # source 2: log 4/3; source 5: log 2 of weight 3 and log 4/3 of weight 1
    found = source_losses(scores, pairs, source=source, weight=torch.tensor([3.0, 1.0, 1.0]))
    hand = [math.log(4 / 3), (3 * math.log(2) + math.log(4 / 3)) / 4]
    assert found.tolist() == pytest.approx(hand)


@pytest.mark.usefixtures("unchecked_shapes")
def test_divergence_is_that_of_torch():
    mean, log_variance = normal(0, 4, 3), normal(1, 4, 3)
    q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    assert torch.allclose(latent_divergence(mean, log_variance), torch.distributions.kl_divergence(q, p).sum(-1))
    assert latent_divergence(torch.zeros(1, 3), torch.zeros(1, 3)).tolist() == [0.0]
    with pytest.raises(ShapeError):
        latent_divergence(mean, log_variance[:1])


def test_the_weight_goes_in_cycles():
    # two cycles of which half rises: at 1/8 of training half of the rise, a quarter the end of it, then 1 until a half
    points = {0.0: 0.0, 0.125: 0.5, 0.25: 1.0, 0.4: 1.0, 0.5: 0.0, 0.625: 0.5, 1.0: 1.0}
    for progress, weight in points.items():
        assert cyclical_weight(progress, cycles=2) == pytest.approx(weight)
    with pytest.raises(InputError, match="progress is 2"):
        cyclical_weight(2)


def opposed(n, seed):
    """Pairs of two types who want the opposite; the context says who asks. Features, contexts and types."""
    gap, context = normal(seed, n, 6), normal(seed + 1, n, 4)
    direction = normal(99, 6)
    kind = (context[:, 0] > 0).double()
    wanted = (gap @ (direction / direction.norm())) * (1 - 2 * kind)
    coin = torch.rand(n, generator=torch.Generator().manual_seed(seed + 2), dtype=torch.float64)
    chosen = coin < (4 * wanted).sigmoid()
    return torch.where(chosen[:, None], gap, -gap), context, kind


def fitted(k, gap, context):
    """k linear experts and a linear router, by the mixture's loss."""
    experts, router = 0.1 * normal(1, 6, k), 0.1 * normal(2, 4, k)
    parameters = [experts.requires_grad_(), router.requires_grad_()]
    optimiser = torch.optim.Adam(parameters, lr=0.05)
    n = len(gap)
    pairs = torch.stack([torch.arange(n), torch.full((n,), n)], dim=1)
    for _ in range(200):
        outputs = torch.cat([gap @ experts, torch.zeros(1, k, dtype=torch.float64)])
        optimiser.zero_grad()
        (mixture_bradley_terry(outputs, pairs, logits=context @ router, entropy_coef=0.1) / n).backward()
        optimiser.step()
    return experts.detach(), router.detach()


def test_opposed_people_are_told_apart_by_the_context_and_by_a_few_pairs():
    gap, context, _ = opposed(1500, seed=10)
    right = {}
    for k in (1, 2):
        experts, router = fitted(k, gap, context)
        unseen, asked, kind = opposed(800, seed=20)
        share = (asked @ router).softmax(dim=-1)
        right[k] = float(((share * (unseen @ experts).sigmoid()).sum(dim=-1) > 0.5).double().mean())
    assert right[1] < 0.6  # what one half wants the other half does not
    assert right[2] > right[1] + 0.1
    # somebody of either type known by 16 pairs, whatever the prompt says: each expert's share times its likelihood
    own, even = [], []
    for who in (0, 1):
        mine = (unseen[kind == who] @ experts).sigmoid()
        tilt = mine[:16].log().sum(dim=0)
        own.append(float((mine[16:] @ tilt.softmax(dim=0) > 0.5).double().mean()))
        even.append(float((mine[16:].mean(dim=1) > 0.5).double().mean()))
    assert sum(own) / 2 > sum(even) / 2 + 0.1
