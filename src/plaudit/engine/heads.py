"""Where a head is read: how one forward call of a stock classification model returns scores at many positions.

A stock classification model applies its `score` module to every hidden state and keeps one position a row. A head
that calls `read` returns, while positions are set, the scores at exactly those positions, spread over the row, so
that whichever position the model keeps carries all of them. They leave through the model's ordinary output:
wrappers such as DDP and FSDP see one forward call and its output.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

from plaudit.errors import UnsupportedError

_positions: ContextVar[tuple[Tensor, Tensor | None] | None] = ContextVar("plaudit_read_positions", default=None)


@contextmanager
def reading(positions: Tensor, prompts: Tensor | None = None) -> Iterator[None]:
    """Sets the flat positions (row-major over the batch) at which heads are read during one forward call.

    The setting belongs to the calling thread and ends with the call. Heads stand outside of checkpointed layers, so
    nothing reads it during a backward pass.

    Args:
        positions: int64 (n,), the last token of each sequence.
        prompts: int64 (n,), the last token of each sequence's prompt, for heads that read it too.
    """
    token = _positions.set((positions, prompts))
    try:
        yield
    finally:
        _positions.reset(token)


class ReadHead(nn.Linear):
    """A linear head for the `score` slot of a classification model; read at positions when they are set.

    Its parameters have the names of the `nn.Linear` that it replaces, so a saved model is a stock model.
    """

    @classmethod
    def replace(cls, linear: nn.Linear) -> ReadHead:
        """A head that owns the parameters of `linear`."""
        head = cls.__new__(cls)
        nn.Module.__init__(head)
        head.in_features, head.out_features = linear.in_features, linear.out_features
        head.weight = linear.weight
        head.bias = linear.bias
        return head

    def forward(self, input: Tensor) -> Tensor:
        """Scores of hidden states (b, t, h): (b, t, k), or with n positions set (b, t, n * k), alike at every token."""
        places = _positions.get()
        if places is None:
            return super().forward(input)
        batch, length, width = input.shape
        scores = super().forward(input.reshape(-1, width).index_select(0, places[0]))
        return scores.reshape(1, 1, -1).expand(batch, length, -1)


class NetworkHead(nn.Module, ABC):
    """A head of any form for the `score` slot; a subclass says in `outputs` what it makes of the states.

    Attributes:
        reads_prompt: whether it needs the state at the end of the prompt besides that at the end of the completion.
    """

    reads_prompt: bool = False

    @abstractmethod
    def outputs(self, states: Tensor, prompts: Tensor | None) -> Tensor:
        """Outputs (n, k) of hidden states (n, h) at the ends of completions, and of prompts where it reads them."""

    def forward(self, input: Tensor) -> Tensor:
        """As `ReadHead.forward`.

        Raises:
            UnsupportedError: if nothing says where to read: a plain call cannot know where prompts end.
        """
        places = _positions.get()
        if places is None or (self.reads_prompt and places[1] is None):
            raise UnsupportedError(
                "this reward model's head is read at the ends of prompt and completion; load it with plaudit.load"
            )
        batch, length, width = input.shape
        flat = input.reshape(-1, width)
        prompts = flat.index_select(0, places[1]) if self.reads_prompt and places[1] is not None else None
        found = self.outputs(flat.index_select(0, places[0]), prompts)
        return found.reshape(1, 1, -1).expand(batch, length, -1)
