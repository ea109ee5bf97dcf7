"""Small networks for experiments of grade A: made from a seed, trained on all data at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def small_network(inputs: int, outputs: int, *, width: int, seed: int) -> nn.Module:
    """One hidden layer of tanh units in float64, or a linear map without bias where the width is 0.

    Args:
        inputs: features.
        outputs: numbers an input.
        width: hidden units.
        seed: of the weights; torch's own generator stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        if not width:
            return nn.Linear(inputs, outputs, bias=False, dtype=torch.float64)
        return nn.Sequential(
            nn.Linear(inputs, width, dtype=torch.float64), nn.Tanh(), nn.Linear(width, outputs, dtype=torch.float64)
        )


def minimise(parameters: Iterable[Tensor], loss: Callable[[int], Tensor], *, steps: int, lr: float = 0.02) -> None:
    """Adam on the whole data with a cosine schedule; the parameters are changed in place.

    Args:
        parameters: what is trained.
        loss: from the number of steps that are done to the loss; a mean over items, so that `lr` suits any size.
        steps: how many.
        lr: learning rate at the start.
    """
    optimiser = torch.optim.Adam(list(parameters), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for done in range(steps):
        optimiser.zero_grad()
        loss(done).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
