"""Surrogates by hand, their gradients in closed form, and what must be true of all of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import (
    TokenBatch,
    Watched,
    cispo,
    clipped,
    gmpo,
    importance,
    reinforce,
    sapo,
    token_weights,
    vespo,
)

LEVELS = ["token", "sequence", "sequence-token", "sequence-sum"]


def given_ratios(ratios, advantage, lengths=None):
    """A batch with these ratios, by default a token a completion."""
    lengths = [1] * len(ratios) if lengths is None else lengths
    old = torch.full((len(ratios),), -1.0, dtype=torch.float64)
    logp = (old + torch.tensor(ratios, dtype=torch.float64).log()).requires_grad_()
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return TokenBatch(logp, old, torch.tensor(advantage, dtype=torch.float64), owner, len(lengths))


def gradient(batch, loss):
    return torch.autograd.grad(loss.sum(), batch.logp)[0].tolist()


def test_clipped_by_hand():
    batch = given_ratios([1.5, 1.5, 0.5, 0.5, 1.1], [2.0, -2.0, 2.0, -2.0, 2.0])
    found = clipped(batch, clip_low=0.2, clip_high=0.28)
    # -min(3, 2.56), -min(-3, -2.56), -min(1, 1.6), -min(-1, -1.6), -2.2
    assert found.loss.tolist() == pytest.approx([-2.56, 3.0, -1.0, 1.6, -2.2])
    # -A r where the first term is taken, 0 where the cut one is
    assert gradient(batch, found.loss) == pytest.approx([0, 3.0, -1.0, 0, -2.2])
    # the first was cut above, the fourth below, of five tokens; ratios sum to 5.1
    assert found.watched.shares() == pytest.approx({"ratio": 1.02, "clipped_low": 0.2, "clipped_high": 0.2})


def test_delta_bounds_a_bad_token_that_became_likely():
    batch = given_ratios([7.0, 3.0, 7.0], [-1.0, -1.0, 1.0])
    found = clipped(batch, delta=4.0)
    # 7 is cut at 4, with no gradient left; 3 is not; a good one is cut at 1.2 as before
    assert found.loss.tolist() == pytest.approx([4.0, 3.0, -1.2])
    assert gradient(batch, found.loss) == pytest.approx([0, 3.0, 0])


def test_a_clamp_keeps_ratios_finite():
    old = torch.tensor([-501.0, -1.0], dtype=torch.float64)
    logp = torch.tensor([-1.0, -501.0], dtype=torch.float64, requires_grad=True)
    batch = TokenBatch(logp, old, torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.tensor([0, 1]), 2)
    # e^500 becomes 1e3, e^-500 becomes 1e-3 [15]
    found = importance(batch, clamp=(1e-3, 1e3))
    assert found.loss.tolist() == pytest.approx([1000.0, -0.001])
    assert gradient(batch, found.loss) == [0, 0]
    with pytest.raises(InputError, match=r"clamp is \(2.0, 1.0\); give a least and a greatest ratio"):
        batch.log_ratio(clamp=(2.0, 1.0))


def test_levels_by_hand():
    batch = given_ratios([math.e, math.e**3, 1.0], [1.0, 1.0, 1.0], lengths=[2, 1])
    by_level = {level: batch.log_ratio(level) for level in LEVELS}
    assert by_level["token"].tolist() == pytest.approx([1, 3, 0])
    assert by_level["sequence"].tolist() == pytest.approx([2, 2, 0])
    assert by_level["sequence-token"].tolist() == pytest.approx([2, 2, 0])
    assert by_level["sequence-sum"].tolist() == pytest.approx([4, 4, 0])
    # d log-ratio of token 0 / d logp: own; both by half; own; both
    rows = {level: torch.autograd.grad(by_level[level][0], batch.logp)[0].tolist() for level in LEVELS}
    assert rows == {
        "token": [1, 0, 0], "sequence": [0.5, 0.5, 0], "sequence-token": [1, 0, 0], "sequence-sum": [1, 1, 0],
    }  # fmt: skip


def test_gspo_token_has_the_gradient_of_gspo_for_one_advantage(make_batch):
    batch = make_batch([3, 5, 1])
    by_level = [gradient(batch, clipped(batch, level=level).loss) for level in ("sequence", "sequence-token")]
    assert by_level[0] == pytest.approx(by_level[1], abs=1e-12)


def test_cispo_by_hand():
    batch = given_ratios([6.0, 6.0, 0.1, 1.0], [1.0, -1.0, -2.0, 3.0])
    found = cispo(batch, low=0.5, high=5.0)
    logs = (batch.logp).tolist()
    assert found.loss.tolist() == pytest.approx([-5 * logs[0], 5 * logs[1], 2 * 0.5 * logs[2], -3 * logs[3]])
    # -A times the bounded weight: what is beyond the bound is still learned from
    assert gradient(batch, found.loss) == pytest.approx([-5, 5, 1.0, -3])
    assert found.watched.shares() == pytest.approx({"ratio": 13.1 / 4, "clipped_low": 0.25, "clipped_high": 0.25})


def test_sapo_by_hand():
    batch = given_ratios([2.0, 2.0, 1.0], [1.0, -1.0, -1.0])
    found = sapo(batch)
    s = [1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(-1.05)), 0.5]
    assert found.loss.tolist() == pytest.approx([-4 * s[0], 4 / 1.05 * s[1], 2 / 1.05])
    # -A * 4 s (1 - s) * r
    assert gradient(batch, found.loss) == pytest.approx([-8 * s[0] * (1 - s[0]), 8 * s[1] * (1 - s[1]), 1.0])


def test_vespo_by_hand():
    # w = 2 * 1 = 2 for the first completion, 0.5 for the second
    batch = given_ratios([2.0, 1.0, 0.5], [1.0, 1.0, -1.0], lengths=[2, 1])
    good, bad = math.exp(3) * 2**2 * math.exp(-6), math.exp(2) * 0.5**3 * math.exp(-1)
    found = vespo(batch)
    logs = batch.logp.tolist()
    assert found.loss.tolist() == pytest.approx([-good * logs[0], -good * logs[1], bad * logs[2]])
    assert gradient(batch, found.loss) == pytest.approx([-good, -good, bad])
    # a sampler's weights enter w: 2 * 0.5 = 1, and phi(1) = 1; a masked token makes the weight next to nothing
    corrected = vespo(batch, correction=torch.tensor([0.5, 1.0, 0.0], dtype=torch.float64))
    moved = gradient(batch, corrected.loss)
    assert moved[:2] == pytest.approx([-1, -1])
    assert abs(moved[2]) < 1e-20


def test_gmpo_by_hand():
    batch = given_ratios([math.e, math.exp(0.2), math.exp(-1.0)], [2.0, 2.0, -1.0], lengths=[2, 1])
    found = gmpo(batch)
    # (0.4 + 0.2) / 2 = 0.3, and -1 is cut at -0.4
    assert found.loss.tolist() == pytest.approx([-2 * math.exp(0.3)] * 2 + [math.exp(-0.4)])
    # the sum over a completion's equal losses has -A e^0.3 for the token that was not cut
    assert gradient(batch, found.loss) == pytest.approx([0, -2 * math.exp(0.3), 0])


def test_reinforce_by_hand(make_batch):
    batch = make_batch([2, 1], advantage=[1.5, -0.5])
    found = reinforce(batch)
    assert found.loss.tolist() == pytest.approx((-batch.advantage * batch.logp).tolist())
    assert gradient(batch, found.loss) == [-1.5, -1.5, 0.5]


SURROGATES = {
    "clipped": clipped, "importance": importance, "cispo": cispo, "sapo": sapo, "vespo": vespo, "gmpo": gmpo,
    "gspo": lambda b: clipped(b, level="sequence"), "gspo-token": lambda b: clipped(b, level="sequence-token"),
}  # fmt: skip


@pytest.mark.parametrize("name", SURROGATES)
def test_where_the_ratio_is_one_all_are_the_policy_gradient(make_batch, name):
    batch = make_batch([3, 1, 4], spread=0.0)
    assert torch.equal(batch.logp.detach(), batch.old_logp.clamp(max=-1e-3))
    batch = TokenBatch(batch.logp, batch.logp.detach(), batch.advantage, batch.owner, batch.n)
    assert gradient(batch, SURROGATES[name](batch).loss) == pytest.approx((-batch.advantage).tolist())


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(sum), seed=st.integers(0, 99),
    name=st.sampled_from(sorted(SURROGATES)), cut=st.integers(0, 5),
)  # fmt: skip
def test_eight_of_one_are_one_of_eight(make_batch, lengths, seed, name, cut):
    whole = make_batch(lengths, seed=seed)
    weights = torch.tensor(token_weights(np.array(lengths), np.ones(len(lengths), bool), how="sequence"))
    loss = (SURROGATES[name](whole).loss * weights[whole.owner]).sum()
    parts, watched = [], Watched(0, 0.0)
    cut = min(cut, len(lengths))
    for chosen in (range(cut), range(cut, len(lengths))):
        inside = (whole.owner >= chosen.start) & (whole.owner < chosen.stop)
        part = TokenBatch(
            whole.logp[inside], whole.old_logp[inside], whole.advantage[inside],
            whole.owner[inside] - chosen.start, len(chosen),
        )  # fmt: skip
        made = SURROGATES[name](part)
        watched += made.watched
        parts.append((made.loss * weights[chosen.start : chosen.stop][part.owner]).sum())
    assert sum(parts).item() == pytest.approx(loss.item(), abs=1e-12)
    both = [torch.autograd.grad(x, whole.logp, retain_graph=True)[0] for x in (loss, sum(parts))]
    assert torch.allclose(*both, atol=1e-12)
    assert watched.shares() == pytest.approx(SURROGATES[name](whole).watched.shares())


@pytest.mark.parametrize("advantage", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("name", [*SURROGATES, "rloo"])
def test_extreme_ratios_stay_numbers(name, advantage):
    """In float32, in which e^89 is infinite: tokens that moved far, and a long completion that moved a little."""
    surrogate = SURROGATES.get(name) or (lambda b: clipped(b, level="sequence-sum"))
    old = torch.tensor([-500.0, -1.0, *[-1.0] * 1000])
    logp = torch.tensor([-1.0, -500.0, *[-0.8] * 1000], requires_grad=True)
    owner = torch.tensor([0, 1, *[2] * 1000])
    batch = TokenBatch(logp, old, torch.full((1002,), advantage), owner, 3)
    loss = surrogate(batch).loss
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), logp)[0].isfinite().all()
    if not advantage:
        assert not loss.any()


@pytest.mark.parametrize("name", SURROGATES)
def test_an_advantage_of_zero_moves_nothing(make_batch, name):
    batch = make_batch([2, 3], advantage=[0.0, 0.0])
    assert not any(gradient(batch, SURROGATES[name](batch).loss))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), low=st.floats(0, 0.9), high=st.floats(0, 2))
def test_clipping_only_ever_raises_the_loss(make_batch, seed, low, high):
    batch = make_batch([2, 3], seed=seed, spread=1.0)
    cut, free = clipped(batch, clip_low=low, clip_high=high).loss, importance(batch).loss
    assert (cut >= free - 1e-12).all()
    # a cut token has no gradient
    moved = torch.autograd.grad(cut.sum(), batch.logp)[0]
    assert not moved[cut > free + 1e-9].any()


def test_sums_without_tokens():
    empty = torch.zeros(0, dtype=torch.float64)
    batch = TokenBatch(empty, empty, empty, torch.zeros(0, dtype=torch.int64), 2)
    found = clipped(batch)
    assert found.loss.shape == (0,)
    assert math.isnan(found.watched.shares()["ratio"])
    assert batch.lengths.tolist() == [0, 0]


def test_errors_say_what_is_wrong(make_batch):
    batch = make_batch([2, 1])
    with pytest.raises(InputError, match=r"delta 1\.1; give bounds of at least 0, and a delta above 1 \+ clip_high"):
        clipped(batch, delta=1.1)
    with pytest.raises(InputError, match=r"cispo: low is 6.0 and high 5.0"):
        cispo(batch, low=6.0)
    with pytest.raises(InputError, match=r"sapo: temperatures are 0.0 and 1.05"):
        sapo(batch, temperature_pos=0.0)
    with pytest.raises(InputError, match=r"vespo: k and lambda are -1.0"):
        vespo(batch, k_pos=-1.0)
    with pytest.raises(ShapeError, match=r"vespo: correction \(2,\) for \(3,\) tokens"):
        vespo(batch, correction=torch.ones(2))
    with pytest.raises(InputError, match="gmpo: clip_low is -1"):
        gmpo(batch, clip_low=-1.0)
    with pytest.raises(InputError, match="level 'sequences' is not known; did you mean 'sequence'"):
        batch.log_ratio("sequences")
    with pytest.raises(ShapeError, match=r"token batch: \{'logp': \(3,\), 'old_logp': \(2,\)"):
        TokenBatch(batch.logp, batch.old_logp[:2], batch.advantage, batch.owner, 2)
    for owner, n in (([1, 0, 0], 2), ([0, 0, 2], 2), ([-1, 0, 0], 2)):
        with pytest.raises(InputError, match="give whole numbers from 0 to n - 1, one completion after another"):
            TokenBatch(batch.logp, batch.old_logp, batch.advantage, torch.tensor(owner), n)
