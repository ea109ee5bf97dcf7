"""Heads that give members: their zero, their deviation, and their way into a batch."""

import math

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.models import batch_of
from plaudit.rewards.readers import Head

OUTPUTS = torch.tensor([[1.0, 3.0], [5.0, 3.0]], dtype=torch.float64)


def test_members_by_hand():
    found = Head("ensemble", 2).read(OUTPUTS)
    assert found.score.tolist() == [2.0, 4.0]
    assert found.std.tolist() == [1.0, 1.0]  # population: half the distance of two
    assert found.members.tolist() == OUTPUTS.tolist()


def test_each_member_has_its_zero():
    head = Head("ensemble", 2).fitted(OUTPUTS)
    assert head.options == {"offsets": [3.0, 3.0]}
    found = head.read(OUTPUTS)
    assert found.members.tolist() == [[-2.0, 0.0], [2.0, 0.0]]
    # a shift of one member moves its offset and nothing else
    shifted = OUTPUTS + torch.tensor([100.0, -7.0], dtype=torch.float64)
    again = Head("ensemble", 2).fitted(shifted).read(shifted)
    assert np.allclose(again.members, found.members)
    assert np.allclose(again.std, found.std)
    assert Head("gaussian", 2).fitted(OUTPUTS) == Head("gaussian", 2)
    with pytest.raises(InputError, match="3 offsets for 2 members"):
        Head("ensemble", 2, {"offsets": [0.0, 0.0, 0.0]}).read(OUTPUTS)


def test_gaussian_heads_by_hand():
    raw = math.log(math.expm1(2.0))  # softplus of it is 2
    outputs = torch.tensor([[1.0, 5.0, raw, -50.0]], dtype=torch.float64)
    found = Head("gaussian-heads", 4).read(outputs)
    assert found.score.tolist() == [3.0]
    assert found.std.tolist() == [2.0]
    assert found.noise.tolist() == pytest.approx([math.sqrt((4 + 0) / 2)], abs=1e-5)
    assert found.scores["nominal"].tolist() == [5.0]  # the head whose deviation is smallest
    assert found.members.tolist() == [[1.0, 5.0]]


def test_members_are_in_reward_units_and_faults_are_nan():
    outputs = torch.cat([OUTPUTS, torch.tensor([[math.inf, 1.0]], dtype=torch.float64)])
    readout = Head("ensemble", 2).read(outputs)
    batch = batch_of(readout.score, Manifest(offset=1.0, scale=2.0), [{}] * 3, readout=readout)
    assert batch.outcome.tolist() == [Outcome.SCORED, Outcome.SCORED, Outcome.INSTRUMENT_FAULT]
    assert batch.members[:2].tolist() == [[0.0, 1.0], [2.0, 1.0]]  # (1 - 1) / 2, (3 - 1) / 2, ...
    assert batch.reward[:2].tolist() == batch.members[:2].mean(axis=1).tolist()
    assert batch.std[:2].tolist() == batch.members[:2].std(axis=1).tolist()
    assert np.isnan([*batch.members[2], batch.std[2]]).all()


def test_the_nominal_reward_is_one_of_the_members():
    raw = math.log(math.expm1(2.0))
    outputs = torch.tensor([[1.0, 5.0, raw, -50.0], [3.0, 4.0, -50.0, raw]], dtype=torch.float64)
    for head in (Head("gaussian-heads", 4), Head("gaussian-heads", 4, centre=3.0, spread=2.0)):
        readout = head.read(outputs)
        batch = batch_of(readout.score, Manifest(offset=1.0, scale=2.0), [{}] * 2, readout=readout)
        assert batch.aspects["nominal"].tolist() == [batch.members[0, 1], batch.members[1, 0]]
