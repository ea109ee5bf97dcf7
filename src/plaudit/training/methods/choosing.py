"""What `objective` can name, chosen by a text.

An objective is given with its options as a reward is: `bradley-terry`, `quantile?levels=0.1,0.5,0.9`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plaudit._lazy import attribute
from plaudit.rewards.readers.head import Head
from plaudit.training.methods.likelihoods import OF_LIKELIHOODS
from plaudit.training.methods.method import Method
from plaudit.training.methods.options import parsed
from plaudit.training.methods.pairs import OF_PAIRS
from plaudit.training.methods.people import OF_ASPECTS_AND_PEOPLE
from plaudit.training.methods.scales import OF_LISTS_AND_RATINGS

if TYPE_CHECKING:
    from torch import Tensor

METHODS: dict[str, Method] = OF_PAIRS | OF_LISTS_AND_RATINGS | OF_ASPECTS_AND_PEOPLE | OF_LIKELIHOODS
"""Name to method."""


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
        """The head that is trained; where it is for aspects, for one of them."""
        return self.head_for(())

    def head_for(self, rows: Sequence[Any]) -> Head:
        """The head that is trained on these rows, whose aspects it learns.

        Args:
            rows: what is trained on; only objectives of aspects look at them.
        """
        if not self.method.head:
            return Head()
        named = {}
        if "aspect" in self.method.labels:
            from plaudit.training.aspects import aspect_names

            named = {"names": aspect_names(rows, labels=self.method.labels)}
        found: Head = attribute(self.method.head)(**self.options, **named)
        return found

    def rows(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The rows that are trained on.

        Raises:
            InputError: if a label is out of the objective's range, naming the row.
        """
        if self.method.check:
            attribute(self.method.check)(rows, **self.options)
        if not self.method.rows:
            return rows
        found: Sequence[Any] = attribute(self.method.rows)(rows)
        return found

    def fit_beside(self, reward: Any, rows: Sequence[Any]) -> Any:
        """What the method has beside the weights, fitted; None where it has nothing.

        Args:
            reward: as it was fitted.
            rows: that it was fitted to.

        Returns:
            What is saved into the reward's folder by its `save(folder)`.
        """
        return attribute(self.method.beside)(reward, rows, **self.options) if self.method.beside else None

    def loss(self, outputs: Tensor, row: Mapping[str, Tensor], **more: Any) -> Tensor:
        """The sum over the items of a row."""
        found: Tensor = attribute(self.method.loss)(outputs, row, **self.options, **more)
        return found


def chosen(objective: str) -> Chosen:
    """The method that a text names.

    Args:
        objective: `name` or `name?option=value&option=value`; a list of numbers is divided by commas.

    Raises:
        InputError: if the method or an option is not known, or a value is none that the option can have.
    """
    name, options = parsed(objective, {name: method.options for name, method in METHODS.items()}, noun="objective")
    return Chosen(name, METHODS[name], options)
