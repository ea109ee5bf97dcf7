"""Bootstrap weights that belong to the row: each member of an ensemble sees data of its own, whatever the batch.

A weight is a function of the row's identity, the member and a seed, not of a generator's state: shuffling, resuming and
dividing a batch leave it what it was, and a row that comes again in the next epoch weighs the same.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MOST = 16
"""A Poisson(1) count above 16 has probability 1e-15, which is below what the draw resolves."""


def uniform_draws(identity: Int[Tensor, " m"], *, members: int, seed: int) -> Float[Tensor, "m members"]:
    """Uniform numbers in [0, 1), one a row and member: the same for the same identity, member and seed.

    Args:
        identity: a whole number a row.
        members: how many columns.
        seed: another seed gives other numbers.

    Returns:
        float64, on the device of `identity`.

    Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators" (SplitMix64's finaliser).
    """
    streams = splitmix(torch.arange(members, device=identity.device) + splitmix(torch.tensor(seed)).item())
    mixed = splitmix(splitmix(identity.long())[:, None] ^ streams[None, :])
    return _logical_right(mixed, 11).double() * 2.0**-53


def bootstrap_weights(
    identity: Int[Tensor, " m"], *, members: int, share: float | None = None, seed: int = 0
) -> Float[Tensor, "m members"]:
    """How often each row counts for each member; 1 on average.

    Args:
        identity: a whole number a row.
        members: of the ensemble.
        share: None draws Poisson(1) counts, the bootstrap of an endless stream; a number in (0, 1] keeps each row for
            a member with this probability, and then counts it `1 / share` times. 1 gives every member all rows.
        seed: of the draw.

    Raises:
        InputError: if the share is outside (0, 1] or there is no member.

    Source: Oza and Russell 2001, "Online Bagging and Boosting" (Poisson counts); Osband et al. 2016, "Deep Exploration
        via Bootstrapped DQN" (masks).
    """
    check_number("bootstrap_weights", "members", members, low=1)
    draws = uniform_draws(identity, members=members, seed=seed)
    if share is not None:
        check_number("bootstrap_weights", "share", share, low=0, high=1, within="(]")
        return (draws < share).double() / share
    density = torch.tensor([math.exp(-1) / math.factorial(i) for i in range(_MOST)], dtype=torch.float64)
    return (draws[..., None] >= density.cumsum(0).to(draws.device)).sum(-1).double()


def splitmix(value: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """SplitMix64's step and finaliser, elementwise, on int64 read as 64 unsigned bits."""
    mixed = value + _signed(_GOLDEN)  # integer arithmetic of torch wraps around, as the algorithm wants
    mixed = (mixed ^ _logical_right(mixed, 30)) * _signed(_FIRST)
    mixed = (mixed ^ _logical_right(mixed, 27)) * _signed(_SECOND)
    return mixed ^ _logical_right(mixed, 31)


def _logical_right(value: Tensor, bits: int) -> Tensor:
    """A shift that fills with zeros: torch's fills with the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >= 1 << 63 else bits
