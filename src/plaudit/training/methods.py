"""What `objective` can name: for each the data that it needs, the head that it trains, and its loss.

An objective is given with its options as a reward is: `bradley-terry`, `quantile?levels=0.1,0.5,0.9`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

from plaudit.errors import InputError, nearest
from plaudit.rewards.readers.head import Head

if TYPE_CHECKING:
    from torch import Tensor

Item = Literal["pair", "list", "sequence"]
Labels = Literal["pairs", "order", "values"]
Loss = Callable[..., "Tensor"]
"""`(outputs (n, k), row, **options) -> sum over the row's items`; `row` is a collated row's labels."""


@dataclass(frozen=True, slots=True)
class Method:
    """An objective that can be named.

    Attributes:
        summary: one line for `plaudit train --objective help`.
        needs: the data that it learns from.
        loss: `module:function` of a `Loss`.
        item: what the loss is a mean over.
        head: `module:function` from the options to the head that is trained; empty for one output, the score.
        options: name to default.
        labels: what it reads of a row: `pairs`, the `order` of the completions, or their `values` on the rater's scale.
    """

    summary: str
    needs: str
    loss: str
    item: Item
    head: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels = "pairs"


_LOSSES = "plaudit.training.losses"
_PAIRS, _LISTS = "pairs and ranked rows", "ranked rows (pairs are lists of two)"
_RATED = "rated rows, ranked rows with scores, or pairs with chosen_score and rejected_score"

METHODS: dict[str, Method] = {
    "bradley-terry": Method(
        "log-sigmoid of the score difference, with margin and smoothing", _PAIRS, f"{_LOSSES}.pairs:logistic", "pair"
    ),
    "dynamic-bradley-terry": Method(
        "the same, steeper where the row's margin is larger [77]", f"{_PAIRS}; margins where there are any",
        f"{_LOSSES}.pairs:dynamic", "pair", options={"scale": 1.0, "boost": 0.5, "rate": 0.5},
    ),
    "plackett-luce": Method(
        "likelihood of the whole order of a list, ties included", _LISTS, f"{_LOSSES}.lists:plackett_luce", "list",
        options={"top": 0}, labels="order",
    ),
    "rank-list": Method(
        "neighbours of a list, members a few places apart, the tail [136]", _LISTS, f"{_LOSSES}.lists:rank_list",
        "list", options={"reach": 2, "skip_coef": 1.0, "tail_coef": 0.0, "min_gap": 0.0}, labels="order",
    ),
    "borda": Method(
        "cross-entropy to the Borda counts of a list [121]", _LISTS, f"{_LOSSES}.lists:borda", "list", labels="order"
    ),
    "regression": Method(
        "squared distance of score and rating", _RATED, f"{_LOSSES}.ratings:squared", "sequence", labels="values"
    ),
    "huber": Method(
        "the same, linear beyond delta", _RATED, f"{_LOSSES}.ratings:huber", "sequence", options={"delta": 1.0},
        labels="values",
    ),
    "gaussian": Method(
        "likelihood of the rating under a mean and a variance of its own: gives noise", _RATED,
        f"{_LOSSES}.ratings:gaussian", "sequence", head=f"{_LOSSES}.ratings:gaussian_head", options={"beta": 0.0},
        labels="values",
    ),
    "quantile": Method(
        "pinball loss of quantiles that cannot cross: gives noise", _RATED, f"{_LOSSES}.ratings:pinball", "sequence",
        head=f"{_LOSSES}.ratings:quantile_head", options={"levels": (0.1, 0.25, 0.5, 0.75, 0.9)}, labels="values",
    ),
    "evidential": Method(
        "normal-inverse-gamma evidence: gives noise and an epistemic deviation [179]", _RATED,
        f"{_LOSSES}.ratings:evidential", "sequence", head=f"{_LOSSES}.ratings:evidential_head",
        options={"evidence_coef": 0.01}, labels="values",
    ),
    "rating-distribution": Method(
        "a distribution over the levels 1 to `levels` of a rating: gives noise [86]", _RATED,
        f"{_LOSSES}.ratings:distribution", "sequence", head=f"{_LOSSES}.ratings:distribution_head",
        options={"levels": 5}, labels="values",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """A method with its options.

    Attributes:
        name: of the method.
        method: what it is.
        options: all of them, defaults included.
    """

    name: str
    method: Method
    options: Mapping[str, Any]

    @property
    def head(self) -> Head:
        """The head that is trained."""
        if not self.method.head:
            return Head()
        found: Head = _attribute(self.method.head)(**self.options)
        return found

    def loss(self, outputs: Tensor, row: Mapping[str, Tensor], **more: Any) -> Tensor:
        """The sum over the items of a row."""
        found: Tensor = _attribute(self.method.loss)(outputs, row, **self.options, **more)
        return found


def chosen(objective: str) -> Chosen:
    """The method that a text names.

    Args:
        objective: `name` or `name?option=value&option=value`; a list of numbers is divided by commas.

    Raises:
        InputError: if the method or an option is not known, or a value is none that the option can have.
    """
    name, _, query = objective.partition("?")
    if name not in METHODS:
        raise InputError(f"objective {name!r} is not known; {nearest(name, METHODS)}")
    method = METHODS[name]
    options = dict(method.options)
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in options:
            raise InputError(f"objective {name}: unknown option {key!r}; {nearest(key, options)}")
        options[key] = _typed(f"objective {name}: {key}", text, options[key])
    return Chosen(name, method, options)


def _typed(where: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            return tuple(float(part) for part in text.split(","))
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (ValueError, KeyError) as error:
        wanted = "numbers divided by commas" if isinstance(default, tuple) else type(default).__name__
        raise InputError(f"{where} is {text!r}; give {wanted}") from error


def _attribute(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
