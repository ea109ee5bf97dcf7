"""Readers of heads that compare, and of beliefs: hand values."""

import math

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.rewards.readers import Head
from plaudit.training.objectives.general.skew import context_scales, skew_scores


def test_skew_by_hand_and_as_trained():
    head = Head("skew", 6, {"planes": 2, "temperature": 0.5})
    a = torch.tensor([[1.0, 2.0, 0.5, 0.0, 0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[3.0, 1.0, 0.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    # plane 1: 1*1 - 2*3 = -5; plane 2: 0.5*2 - 0*0 = 1; equal logits scale both by 2 * 1/2 = 1; (-5 + 1) / 0.5 = -8
    assert head.log_odds(a, b) == pytest.approx([-8.0])
    assert head.log_odds(b, a) == pytest.approx([8.0])
    a[:, 4:], b[:, 4:] = torch.tensor([1.0, -0.5]), torch.tensor([1.0, -0.5])
    trained = skew_scores(a[:, :4], b[:, :4], scales=context_scales(a[:, 4:])) / 0.5
    assert np.allclose(head.log_odds(a, b), trained.numpy(), atol=1e-12)


def test_bradley_terry_is_one_plane():
    head = Head("skew", 2, {"planes": 1, "temperature": 1.0})
    a, b = torch.tensor([[1.7, 1.0]]), torch.tensor([[0.4, 1.0]])
    assert head.log_odds(a, b) == pytest.approx([1.3], abs=1e-6)  # v = (r, 1) gives r_a - r_b


def test_joint_prefers_no_place():
    head = Head("joint", 1)
    z, back = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    assert head.log_odds(z, back) == pytest.approx([1.0])  # (3 - 1) / 2: the shared 2 is a liking for the first place
    with pytest.raises(InputError, match="joint compares two samples and scores none; see shape/win-rate"):
        head.read(z)


def test_beliefs_keep_confusion_and_ignorance_apart():
    head = Head("beliefs", 3)
    sure, torn, blank = (torch.tensor([x], dtype=torch.float64) for x in ([-9, -9, 9.0], [9, -9, 9.0], [-9, -9, -9.0]))
    known, confused, ignorant = (head.read(x) for x in (sure, torn, blank))
    assert known.score[0] == pytest.approx(3, abs=1e-2)
    assert known.std[0] < 0.1
    assert known.noise[0] < 0.1
    # confused: 1 or 3 alike, mean 2 and variance 1, and nothing unknown
    assert confused.score[0] == pytest.approx(2, abs=1e-2)
    assert confused.noise[0] == pytest.approx(1, abs=1e-2)
    assert confused.std[0] < 0.1
    # ignorant: uniform over three levels, whose variance is (9 - 1) / 12 = 2/3
    assert ignorant.score[0] == pytest.approx(2, abs=1e-2)
    assert ignorant.std[0] == pytest.approx((2 / 3) ** 0.5, abs=1e-2)
    assert ignorant.noise[0] < 0.02  # and nothing confused


def test_beliefs_by_hand():
    # both logits 0: p = 1/2 each; belief 1/4 each, ignorance 1/4, confusion 1/4 shared evenly: shares 1/2 each
    read = Head("beliefs", 2).read(torch.zeros(1, 2, dtype=torch.float64))
    assert read.score[0] == pytest.approx(1.5)
    # levels 1 and 2 evenly, whose variance is 1/4; of it 1 - u = 3/4 is noise, u = 1/4 is not known
    assert read.noise[0] ** 2 == pytest.approx(3 / 16)
    assert read.std[0] ** 2 == pytest.approx(1 / 16)
    # plausibilities 3/4, 1/4: belief 9/16 and 1/16, u and c 3/16 each; shares of c 3/4 and 1/4, so the known part is
    # 45/64 and 7/64 of 52/64. All in all level 1 has 45/64 + 6/64 = 51/64: variance 51 * 13 / 64^2, as a whole
    read = Head("beliefs", 2).read(torch.tensor([[math.log(3), -math.log(3)]], dtype=torch.float64))
    assert read.score[0] == pytest.approx(1 + 13 / 64)
    assert read.noise[0] ** 2 == pytest.approx(13 / 16 * (45 * 7) / 52**2)
    assert read.noise[0] ** 2 + read.std[0] ** 2 == pytest.approx(51 * 13 / 64**2)


def test_beliefs_of_extreme_logits():
    # ignorance alone: (k + 1) / 2, sqrt((k^2 - 1) / 12), no noise. Rounding leaves nothing that is known
    blank = Head("beliefs", 5).read(torch.tensor([[-2000.0] * 5, [-30.0] * 5], dtype=torch.float64))
    assert blank.score == pytest.approx([3, 3])
    assert blank.std == pytest.approx([2**0.5] * 2)
    assert blank.noise == pytest.approx([0, 0], abs=1e-5)
    # p = 1 everywhere: confusion alone, over all levels
    torn = Head("beliefs", 5).read(torch.full((1, 5), 2000.0, dtype=torch.float64))
    assert (torn.score[0], torn.std[0], torn.noise[0]) == pytest.approx((3, 0, 2**0.5))
    # three logits of -6: u = (1 - p)^3 with p = 1 / (1 + e^6) = .0024726, so 1 - u = .0073995, over levels 1 to 3
    faint = Head("beliefs", 3).read(torch.full((1, 3), -6.0, dtype=torch.float64))
    assert faint.noise[0] == pytest.approx((0.0073995 * 2 / 3) ** 0.5, rel=1e-4)
