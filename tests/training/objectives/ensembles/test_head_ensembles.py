"""Bootstrap weights of rows, Bradley-Terry of several heads, and heads with a mean and a deviation each."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.ensembles import (
    bootstrap_weights,
    bradley_terry_heads,
    heads_likelihood,
    nominal_member,
    robust_value,
    sampled_regression,
    uniform_draws,
)
from plaudit.training.objectives.ensembles.bootstrap import splitmix
from plaudit.training.objectives.pairs import bradley_terry

PAIRS = torch.tensor([[0, 1], [2, 1]])
IDS = torch.arange(20_000) * 7919


def unsigned(value):
    return int(value) % (1 << 64)


def test_splitmix_gives_the_published_sequence():
    # the first numbers of SplitMix64 from the seed 1234567, as its reference implementation prints them
    first = splitmix(torch.tensor(1234567))
    second = splitmix(torch.tensor(1234567 + 0x9E3779B97F4A7C15 - (1 << 64)))
    assert unsigned(first) == 6457827717110365317
    assert unsigned(second) == 3203168211198807973


def test_draws_belong_to_row_member_and_seed():
    draws = uniform_draws(IDS, members=3, seed=4)
    order = torch.randperm(len(IDS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform_draws(IDS[order], members=3, seed=4), draws[order])
    assert torch.equal(uniform_draws(IDS[:5], members=2, seed=4), draws[:5, :2])
    assert not torch.equal(uniform_draws(IDS, members=3, seed=5), draws)
    assert draws.min() >= 0
    assert draws.max() < 1
    # 20,000 uniform numbers: mean 1/2 to 4 standard errors of 0.002, and columns are uncorrelated
    assert (draws.mean(dim=0) - 0.5).abs().max() < 0.0082
    assert torch.corrcoef(draws.T)[0, 1:].abs().max() < 4 / math.sqrt(20_000)


def test_counts_are_poisson():
    counts = bootstrap_weights(IDS, members=2)
    for value, probability in ((0, math.exp(-1)), (1, math.exp(-1)), (2, math.exp(-1) / 2), (3, math.exp(-1) / 6)):
        share = (counts == value).double().mean()
        assert abs(float(share) - probability) < 4 * math.sqrt(probability / 40_000)
    assert abs(float(counts.mean()) - 1) < 4 / math.sqrt(40_000)


def test_a_mask_keeps_a_share_and_the_mean():
    kept = bootstrap_weights(IDS, members=2, share=0.8)
    assert set(kept.unique().tolist()) == {0.0, 1.25}
    assert abs(float((kept > 0).double().mean()) - 0.8) < 4 * math.sqrt(0.16 / 40_000)
    assert (bootstrap_weights(IDS, members=2, share=1.0) == 1).all()
    with pytest.raises(InputError, match=r"share is 0; it must lie in \(0, 1\]"):
        bootstrap_weights(IDS, members=2, share=0)
    with pytest.raises(InputError, match="members is 0"):
        bootstrap_weights(IDS, members=0)


def test_heads_by_hand():
    # head 1: differences 0 and 1; head 2: 2 and 0. weights of the bootstrap: (1, 0) and (2, 1)
    outputs = torch.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    counts = torch.tensor([[1.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
    # ((1 log 2 + 0) + (2 log(1 + 1/e) + log 2)) / 2
    expected = (math.log(2) + 2 * math.log1p(math.exp(-1)) + math.log(2)) / 2
    assert float(bradley_terry_heads(outputs, PAIRS, bootstrap=counts)) == pytest.approx(expected, abs=1e-12)
    # centring adds c (0 + 0)^2 and c (1 + 0)^2 of head 1, c 2^2 and 0 of head 2: (1 + 4) / 2 of c
    plain = float(bradley_terry_heads(outputs, PAIRS))
    assert float(bradley_terry_heads(outputs, PAIRS, center_coef=0.1)) == pytest.approx(plain + 0.25, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_count_is_a_repetition_and_one_head_is_bradley_terry(seed, k):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(5, k, generator=generator, dtype=torch.float64)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 0]])
    counts = torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64)
    weighted = bradley_terry_heads(outputs, pairs, bootstrap=counts[:, None].expand(3, k).contiguous())
    repeated = pairs.repeat_interleave(counts.long(), dim=0)
    assert float(weighted) == pytest.approx(float(bradley_terry_heads(outputs, repeated)), abs=1e-9)
    single = [float(bradley_terry(outputs[:, i], pairs, center_coef=0.01)) for i in range(k)]
    several = float(bradley_terry_heads(outputs, pairs, center_coef=0.01))
    assert several == pytest.approx(sum(single) / k, abs=1e-9)


def test_a_head_learns_nothing_from_a_row_that_it_does_not_see():
    outputs = torch.zeros(4, 2, requires_grad=True)
    counts = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    bradley_terry_heads(outputs, torch.tensor([[0, 1], [2, 3]]), bootstrap=counts).backward()
    assert outputs.grad[:2, 1].tolist() == [0, 0]
    assert outputs.grad[2:, 0].tolist() == [0, 0]
    assert outputs.grad[0, 0] == pytest.approx(-0.25)  # sigmoid(0) - 1, halved by the mean over two heads


def test_the_regulariser_centres_each_head():
    outputs = torch.tensor([[5.0], [4.0]], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([outputs], lr=0.5)
    for _ in range(4000):
        optimiser.zero_grad()
        bradley_terry_heads(outputs, torch.tensor([[0, 1]]), center_coef=0.01).backward()
        optimiser.step()
    first, second = outputs.detach()[:, 0].tolist()
    assert first + second == pytest.approx(0, abs=1e-6)  # 0.98 a step along the sum
    assert first - second > 1  # and the difference is free to grow


def test_the_sampled_error_has_no_use_for_a_deviation():
    mean, sigma = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[0.5, 3.0]], dtype=torch.float64)
    items, targets = torch.tensor([0, 0]), torch.tensor([0.0, 0.0], dtype=torch.float64)
    eps = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)  # two points with mean 0 and variance 1
    found = float(sampled_regression(mean, sigma, items=items, targets=targets, eps=eps)) / 2
    assert found == pytest.approx(((1 + 0.25) + (4 + 9)) / 2, abs=1e-12)  # mean of (mean - y)^2 + sigma^2


def test_likelihood_equals_torch():
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    sigma = torch.rand(4, 3, generator=generator, dtype=torch.float64) + 0.1
    items, targets = torch.tensor([0, 2, 3]), torch.randn(3, generator=generator, dtype=torch.float64)
    weight = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    each = -torch.distributions.Normal(mean[items], sigma[items]).log_prob(targets[:, None]).mean(dim=1)
    found = heads_likelihood(mean, sigma, items=items, targets=targets, weight=weight)
    assert float(found) == pytest.approx(float((each * weight).sum()), abs=1e-10)


def test_the_nominal_head_is_the_surest():
    mean = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    sigma = torch.tensor([[0.3, 0.1, 0.2], [0.1, 0.2, 0.3]])
    assert nominal_member(mean, sigma).tolist() == [2.0, 4.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_limits_of_the_robust_value(seed):
    members = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    nominal = members[:, 0]
    assert float(robust_value(nominal, members, alpha=1)) == pytest.approx(float(nominal.mean()), abs=1e-12)
    least = float(robust_value(nominal, members, alpha=0))
    assert least == pytest.approx(float(members.mean(0).min()), abs=1e-12)
    assert least <= float(nominal.mean()) + 1e-12  # the nominal head is in the set
    assert float(members.min(dim=1).values.mean()) <= least + 1e-12  # each sample's own worst head is lower still
    assert float(robust_value(nominal, members.flip(1))) == pytest.approx(float(robust_value(nominal, members)))


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_refused():
    outputs = torch.zeros(3, 2)
    with pytest.raises(ShapeError, match=r"bootstrap has shape \(2, 3\); it must be \(2, 2\)"):
        bradley_terry_heads(outputs, PAIRS, bootstrap=torch.ones(2, 3))
    with pytest.raises(ShapeError, match=r"outputs have shape \(3,\); they must be \(n, k\)"):
        bradley_terry_heads(torch.zeros(3), PAIRS)
    with pytest.raises(InputError, match="center_coef is -1"):
        bradley_terry_heads(outputs, PAIRS, center_coef=-1)
    with pytest.raises(ShapeError, match=r"eps has shape \(1, 1\); it must be \(1, 2\)"):
        sampled_regression(outputs, outputs, items=torch.tensor([0]), targets=torch.zeros(1), eps=torch.zeros(1, 1))
    with pytest.raises(InputError, match=r"alpha is 1\.5"):
        robust_value(torch.zeros(3), outputs, alpha=1.5)
    with pytest.raises(ShapeError, match="give"):
        robust_value(torch.zeros(2), outputs)
    with pytest.raises(ShapeError, match="both are"):
        nominal_member(outputs, torch.zeros(3, 1))
