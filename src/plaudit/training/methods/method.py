"""What an objective is that can be named: the data that it needs, the head that it trains, and its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = "plaudit.training.losses"
"""Where the losses of methods lie."""

RANGES = "plaudit.training.ranges"
"""Where the checks of labels lie."""

PAIRS = "pairs and ranked rows"
"""What most objectives learn from."""

RATED = "rated rows, ranked rows with scores, or pairs with chosen_score and rejected_score"
"""What objectives of ratings learn from."""

Item = Literal["pair", "list", "sequence", "token", "scored"]
Labels = Literal["pairs", "order", "values", "aspects", "aspect-preferences"]
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
        labels: what it reads of a row: `pairs`, the `order` of the completions, their `values` on the rater's scale,
            those of several `aspects`, or preferences by aspect.
        columns: what it reads of a pair or a completion besides, see `plaudit.training.columns`.
        rows: `module:function` from the rows to those that are trained on; empty for the rows themselves.
        check: `module:function` of rows and options that refuses labels out of range; empty where there is no range.
        standardised: whether it learns from ratings brought to mean 0 and deviation 1; the head keeps the way back.
        beside: `module:function` of the fitted reward, read at the last token, and the rows, with the options: fits
            what is saved beside the weights by its own `save(folder)`; empty where there is nothing.
        then: the command that is shown when it is trained, with `{model}` for the folder.
        model: what is trained: a `classifier` with a head, or a `causal` language model whose likelihoods are rewards.
    """

    summary: str
    needs: str
    loss: str
    item: Item
    head: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels = "pairs"
    columns: tuple[str, ...] = ()
    rows: str = ""
    check: str = ""
    standardised: bool = False
    beside: str = ""
    then: str = "plaudit evaluate HELD_OUT_PAIRS --reward {model}"
    model: Literal["classifier", "causal"] = "classifier"
