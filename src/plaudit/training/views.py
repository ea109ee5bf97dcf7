"""The contrastive term in a fit: two views of a completion, by two dropout masks on the state that the head reads [13].

The views are asked for around one forward call and leave through the model's output, beside the scores: the head that
is trained, saved and read is the one that a fit without the term has, and no score depends on a mask.

Differs from the paper: the views differ by dropout on the last state alone, since dropout within the backbone is zero
in training here (scores must repeat), and are that state itself, without a learned projection. A mask is drawn when a
row is run, so steps that are divided into other micro-batches draw others: they agree in the mean only. A run that is
resumed draws what an undisturbed one draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plaudit.engine.engine import has_read_head
from plaudit.errors import UnsupportedError
from plaudit.training.config import FitConfig
from plaudit.training.objectives.pairs.contrastive import contrastive_views
from plaudit.training.trainer import Objective, Outputs, row_outputs


def contrasted(config: FitConfig, objective: Objective, *, scores: int) -> tuple[Outputs, Objective]:
    """How rows are run, and the loss, as the configuration's `contrastive_coef` asks.

    Args:
        config: how to fit.
        objective: the loss without the term.
        scores: outputs of the head.
    """
    if not config.contrastive_coef:
        return row_outputs, objective
    loss = partial(contrastive_objective, objective=objective, scores=scores, coef=config.contrastive_coef)
    return partial(view_outputs, dropout=config.contrastive_dropout), loss


def view_outputs(model: nn.Module, row: dict[str, Tensor], *, dropout: float) -> Tensor:
    """Head outputs and two views of the states that the head read, (n, k + 2 h), in one forward call.

    Args:
        model: as transformers has it, with whatever wrapper.
        row: collated; see `row_outputs`.
        dropout: share of each state that a mask sets to 0, the rest being scaled up.

    Raises:
        UnsupportedError: if the model has no head that is read at positions (an encoder).
    """
    heads = [m for name, m in model.named_modules() if name.rpartition(".")[2] == "score"]
    if not heads or not has_read_head(model):
        raise UnsupportedError(
            "contrastive_coef: this model classifies by a head of its own, whose states cannot be seen; "
            "take a decoder, or leave contrastive_coef out"
        )

    def seen(_module: nn.Module, given: tuple[Any, ...], said: Tensor) -> Tensor:
        states = given[0].reshape(-1, given[0].shape[-1]).index_select(0, row["leaf_positions"])
        views = [F.dropout(states, dropout) for _ in range(2)]
        scores = said[0, 0].reshape(len(states), -1)
        together = torch.cat([scores, *(v.to(scores.dtype) for v in views)], dim=-1)
        return together.reshape(1, 1, -1).expand(*said.shape[:2], -1)

    with heads[0].register_forward_hook(seen):
        return row_outputs(model, row)


def contrastive_objective(
    outputs: Tensor, row: Mapping[str, Tensor], *, objective: Objective, scores: int, coef: float
) -> Tensor:
    """`objective(scores) + coef * contrastive_views(views)`, a completion's negatives being the others of its prompt.

    Args:
        outputs: of `view_outputs`, (n, k + 2 h).
        row: collated.
        objective: the loss of the scores.
        scores: k.
        coef: nats of the loss a nat of the contrastive term. Both are sums that a step divides by its items: of a pair,
            the term counts both completions.
    """
    first, second = outputs[:, scores:].chunk(2, dim=-1)
    group = row["group"]
    lists = [torch.nonzero(group == i).flatten() for i in torch.unique(group)]
    return objective(outputs[:, :scores], row) + coef * contrastive_views(first, second, lists=lists)
