"""Log-probabilities of chosen tokens without the logits of a whole batch: a language model's last layer in chunks.

A row of 8192 tokens over a vocabulary of 128k would hold 4 GiB of logits in float32, as much again for their softmax
and as much again for its gradient. Only one number a token is wanted, so the last layer is multiplied, normalised and
read a few positions at a time, and once more in the backward pass.

The layer stays where it is: `LogpHead` stands in the model's own output slot with the same parameters, and is told by
`reading_tokens` what to read during one forward call of the whole, wrapped model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from plaudit.engine.divergence import Said, chunked_divergence, divergence_from
from plaudit.engine.greatest import chunked_best
from plaudit.errors import InputError, UnsupportedError

CHUNK = 2**23
"""Logits that are held at a time: 32 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tokens are read, and after which positions.

    Attributes:
        sources: int64 (s,), flat positions (row-major over the batch) whose next-token distribution is needed.
        column: int64 (e,), for each token that is read the source it follows, an index into `sources`.
        targets: int64 (e,), its token id.
        temperature: divides the logits.
        entropy: whether the entropies of the sources' distributions are read too.
        values: whether the sources' values are read too, by the head's own `ValueHead`.
        best: whether the log-probability of each source's likeliest token is read too, behind those of the tokens.
        other: what a frozen model says at the sources, where the divergence from it is read too.
        saying: whether nothing is read but what the model says at the sources: its states before the last layer.
    """

    sources: Tensor
    column: Tensor
    targets: Tensor
    temperature: float = 1.0
    entropy: bool = True
    values: bool = False
    best: bool = False
    other: Said | None = None
    saying: bool = False


_wanted: ContextVar[Wanted | None] = ContextVar("plaudit_wanted_tokens", default=None)


@contextmanager
def reading_tokens(wanted: Wanted) -> Iterator[None]:
    """Sets what `LogpHead` reads during one forward call; belongs to the calling thread and ends with the call."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


class LogpHead(nn.Linear):
    """A language model's last layer that returns, while tokens are wanted, their log-probabilities in place of logits.

    Its parameters have the names of the `nn.Linear` that it replaces (and stay tied where they were), so a saved model
    is a stock model.

    Attributes:
        value: what reads values off the same states, see `plaudit.engine.values`; None without.
    """

    value: nn.Module | None

    @classmethod
    def replace(cls, linear: nn.Linear) -> LogpHead:
        """A head that owns the parameters of `linear`."""
        head = cls.__new__(cls)
        nn.Module.__init__(head)
        head.value = None
        head.in_features, head.out_features = linear.in_features, linear.out_features
        head.weight, head.bias = linear.weight, linear.bias
        return head

    def forward(self, input: Tensor) -> Tensor:
        """Logits (b, t, v); with tokens wanted one row: their log-probabilities, the sources' entropies, the rest."""
        wanted = _wanted.get()
        if wanted is None:
            return super().forward(input)
        states = input.reshape(-1, input.shape[-1]).index_select(0, wanted.sources)
        if wanted.saying:
            return states[None]
        column, targets = wanted.column, wanted.targets
        if wanted.best:
            column = torch.cat([column, torch.arange(len(states), device=column.device)])
            targets = torch.cat([targets, chunked_best(states, self.weight, self.bias)])
        logps, entropy = chunked_logps(
            states, self.weight, self.bias, column, targets, temperature=wanted.temperature, entropy=wanted.entropy
        )
        parts = [logps, entropy]
        if wanted.values:
            if self.value is None:
                raise UnsupportedError("values are wanted of a model without a value head; install one first")
            parts.append(self.value(states).to(logps.dtype))
        if wanted.other is not None:
            parts.append(chunked_divergence(states, self.weight, self.bias, wanted.other).to(logps.dtype))
        return torch.cat(parts)[None, None]


def install_logp_head(model: Any) -> bool:
    """Puts a `LogpHead` into a causal model's output slot, if what it returns arrives unchanged.

    Some families scale or bound their logits after the last layer (Gemma's soft cap, Granite's and Cohere's scales);
    there a log-probability in the logits' place would be altered, and the model is left as it is.

    Args:
        model: a causal language model, changed in place; in a peft wrapper its inner model.

    Returns:
        Whether the head is installed.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    layer = inner.get_output_embeddings()
    if isinstance(layer, LogpHead):
        return True
    if type(layer) is not nn.Linear:
        return False
    inner.set_output_embeddings(LogpHead.replace(layer))
    if _arrives(inner):
        return True
    inner.set_output_embeddings(layer)
    return False


def _arrives(model: Any) -> bool:
    """Whether the numbers of the head leave the model as they are, seen on four tokens."""
    device = model.get_output_embeddings().weight.device
    ids = torch.arange(4, device=device)[None] % model.get_output_embeddings().out_features
    at = torch.arange(3, device=device)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            plain = model(input_ids=ids, use_cache=False).logits[0, :3].float().log_softmax(-1)
            with reading_tokens(Wanted(at, at, ids[0, 1:])):
                found = model(input_ids=ids, use_cache=False).logits
    finally:
        model.train(training)
    if found.shape != (1, 1, 6):
        return False
    expected = torch.cat([plain[at, ids[0, 1:]], -(plain.exp() * plain).sum(-1)])
    close = 1e-3 if found.dtype in (torch.float32, torch.float64) else 5e-2
    return bool((found[0, 0].float() - expected).abs().max() <= close * (1 + expected.abs().max()))


def read_tokens(model: nn.Module, inputs: dict[str, Any], wanted: Wanted) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the wanted tokens, in nats, by one forward call of the (wrapped) model, differentiable.

    Args:
        model: a causal language model; without a `LogpHead` all logits of the sources are made at once.
        inputs: keyword arguments of its forward call.
        wanted: what is read.

    Returns:
        Log-probabilities (e,) and the entropies of the sources' next-token distributions (s,), or (0,) where they are
        not wanted; float32 (float64 where the model is).
    """
    logps, entropy, _ = read_states(model, inputs, wanted)
    return logps, entropy


def read_states(model: nn.Module, inputs: dict[str, Any], wanted: Wanted) -> tuple[Tensor, Tensor, Tensor]:
    """As `read_tokens`, and the values of the sources (s,), or (0,) where they are not wanted.

    Raises:
        UnsupportedError: if values are wanted of a model that has no head for them.
    """
    if has_logp_head(model):
        with reading_tokens(wanted):
            found = model(**inputs).logits[0, 0]
        sources = len(wanted.sources)
        sizes = [len(wanted.targets), sources if wanted.entropy else 0, sources if wanted.values else 0]
        split: tuple[Tensor, Tensor, Tensor] = found.split(sizes)
        return split
    if wanted.values:
        raise UnsupportedError("values are wanted of a model without a value head; install one first")
    logits = _dense(model, inputs, wanted.sources) / wanted.temperature
    logps = logits.log_softmax(-1)
    entropy = logps.new_zeros(0)
    if wanted.entropy:  # 0 log 0 = 0, with a gradient of 0: a forbidden token is not on the way of either
        entropy = -(logps.exp() * logps.masked_fill(logps.isneginf(), 0.0)).sum(-1)
    return logps[wanted.column, wanted.targets], entropy, logps.new_zeros(0)


@torch.no_grad()
def read_said(model: nn.Module, inputs: dict[str, Any], sources: Tensor) -> Said:
    """What a frozen model says at some positions, by one forward call: what `read_divergence` compares with.

    Args:
        model: a causal language model; without a `LogpHead` its logits are kept, with one its states.
        inputs: keyword arguments of its forward call.
        sources: int64 (s,), flat positions.
    """
    if has_logp_head(model):
        head = model.get_output_embeddings()  # type: ignore[operator]
        with reading_tokens(Wanted(sources, sources[:0], sources[:0], saying=True)):
            return Said(model(**inputs).logits[0], head.weight, head.bias)
    return Said(_dense(model, inputs, sources))


def read_divergence(model: nn.Module, inputs: dict[str, Any], wanted: Wanted, said: Said) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the wanted tokens, and the divergence from a frozen model at their sources.

    Args:
        model: a causal language model.
        inputs: keyword arguments of its forward call.
        wanted: what is read; entropies and values are not.
        said: by the frozen model at the same sources, from `read_said`.

    Returns:
        Log-probabilities (e,) and `KL(frozen || model)` of each source (s,), nats, both with gradients.

    Raises:
        InputError: if the two have other vocabularies.
    """
    wanted = replace(wanted, entropy=False, values=False, other=said)
    if has_logp_head(model):
        with reading_tokens(wanted):
            found = model(**inputs).logits[0, 0]
        logps, apart = found.split([len(wanted.targets), len(wanted.sources)])
        return logps, apart
    logits = _dense(model, inputs, wanted.sources) / wanted.temperature
    other = said.logits(0, len(said.states), logits.dtype)
    if other.shape[1] != logits.shape[1]:
        raise InputError(
            f"divergence: the policy tells {logits.shape[1]} tokens apart and the reference {other.shape[1]}; give a "
            "reference of the same family"
        )
    return logits.log_softmax(-1)[wanted.column, wanted.targets], divergence_from(logits, other)


def _dense(model: nn.Module, inputs: dict[str, Any], sources: Tensor) -> Tensor:
    """Logits of the sources, all at once, in float32 (float64 where the model is)."""
    if "tree_plan" in inputs:  # one row: the model itself leaves the other positions out
        logits = model(**inputs, logits_to_keep=sources).logits[0]
    else:
        whole = model(**inputs).logits
        logits = whole.reshape(-1, whole.shape[-1]).index_select(0, sources)
    found: Tensor = logits if logits.dtype == torch.float64 else logits.float()
    return found


def has_logp_head(model: nn.Module) -> bool:
    """Whether the model, or the model inside its wrapper, has a `LogpHead`."""
    return any(isinstance(m, LogpHead) for m in model.modules())


def chunked_logps(
    states: Tensor, weight: Tensor, bias: Tensor | None, column: Tensor, targets: Tensor, *,
    temperature: float = 1.0, entropy: bool = True, chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`log softmax((states @ weight.T + bias) / temperature)` at chosen tokens, and the entropies, never all at once.

    Differentiable in states, weight and bias, once; both results.

    Args:
        states: (s, h), hidden states.
        weight: (v, h).
        bias: (v,), or None.
        column: int64 (e,), which state each token follows.
        targets: int64 (e,), token ids.
        temperature: above 0.
        entropy: whether the entropies are wanted.
        chunk: logits held at a time; at least those of one state are.

    Returns:
        Log-probabilities (e,) and entropies (s,), or (0,) where they are not wanted; nats, in float32, or float64 where
        the states are.

    Raises:
        InputError: if the temperature is not positive.
        UnsupportedError: if `column` and `targets` differ in length.
    """
    if not temperature > 0:
        raise InputError(f"chunked_logps: temperature is {temperature}; give a number above 0")
    if column.shape != targets.shape:
        raise UnsupportedError(
            f"chunked_logps: {len(column)} sources and {len(targets)} targets; each token follows one state"
        )
    kind = states.device.type
    if torch.is_autocast_enabled(kind):  # a function of our own is not cast: forward and backward would differ
        low = torch.get_autocast_dtype(kind)
        states, weight, bias = states.to(low), weight.to(low), None if bias is None else bias.to(low)
    rows = max(1, chunk // weight.shape[0])
    found: tuple[Tensor, Tensor] = _ChunkedLogps.apply(  # type: ignore[no-untyped-call]
        states, weight, bias, column, targets, temperature, rows, entropy
    )
    return found


class _ChunkedLogps(torch.autograd.Function):
    """The operation of `chunked_logps`.

    With z the scaled logits of a state, l their logsumexp, p their softmax, H the entropy:
    `d logp_e / dz = onehot(target_e) - p` and `dH / dz = -p (z - l + H)`.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, column: Tensor, targets: Tensor,
        temperature: float, rows: int, entropies: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        order = torch.argsort(column, stable=True)
        logps = states.new_empty(len(column), dtype=wide)
        norm = states.new_empty(len(states), dtype=wide)
        entropy = states.new_empty(len(states) if entropies else 0, dtype=wide)
        starts = _starts(column, order, len(states), rows)
        for i, first in enumerate(range(0, len(states), rows)):
            z = _logits(states[first : first + rows], weight, bias, temperature, wide)
            norm[first : first + rows] = z.logsumexp(-1)
            here = order[starts[i] : starts[i + 1]]
            logps[here] = z[column[here] - first, targets[here]] - norm[column[here]]
            if entropies:
                z -= norm[first : first + rows, None]
                p = z.exp()
                # 0 log 0 = 0: a forbidden token has a log-probability of -inf
                entropy[first : first + rows] = -p.mul_(z.masked_fill_(z.isneginf(), 0.0)).sum(-1)
        ctx.save_for_backward(states, weight, bias, column, targets, norm, entropy, order)
        ctx.temperature, ctx.rows, ctx.starts = temperature, rows, starts
        return logps, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, bias, column, targets, norm, entropy, order = ctx.saved_tensors
        by_token, by_entropy = grads
        total = torch.zeros_like(norm).index_add_(0, column, by_token)
        for_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        # chunks are added up in the wider precision: in bfloat16 the later ones would be lost
        for_weight = torch.zeros_like(weight, dtype=norm.dtype) if ctx.needs_input_grad[1] else None
        for_bias = torch.zeros_like(bias, dtype=norm.dtype) if bias is not None and ctx.needs_input_grad[2] else None
        through_entropy = bool(by_entropy.any())  # never where they were not wanted: there are none
        for i, first in enumerate(range(0, len(states), ctx.rows)):
            part = slice(first, first + ctx.rows)
            z = _logits(states[part], weight, bias, ctx.temperature, norm.dtype).sub_(norm[part, None])
            slope = -total[part, None]
            if through_entropy:
                slope = slope - by_entropy[part, None] * (z.masked_fill(z.isneginf(), 0.0) + entropy[part, None])
            grad = z.exp_().mul_(slope)
            here = order[ctx.starts[i] : ctx.starts[i + 1]]
            grad.index_put_((column[here] - first, targets[here]), by_token[here], accumulate=True)
            grad = (grad / ctx.temperature).to(states.dtype)
            if for_states is not None:
                torch.mm(grad, weight, out=for_states[part])
            if for_weight is not None:
                if weight.dtype == norm.dtype:
                    for_weight.addmm_(grad.t(), states[part])
                else:
                    for_weight += grad.t() @ states[part]
            if for_bias is not None:
                for_bias += grad.sum(0, dtype=norm.dtype)
        return for_states, _as(for_weight, weight), _as(for_bias, bias), None, None, None, None, None


def _as(grad: Tensor | None, parameter: Tensor) -> Tensor | None:
    return None if grad is None else grad.to(parameter.dtype)


def _logits(states: Tensor, weight: Tensor, bias: Tensor | None, temperature: float, wide: torch.dtype) -> Tensor:
    """Scaled logits of a few states, in the wider precision, to be changed in place."""
    z = nn.functional.linear(states, weight, bias).to(wide)
    return z if temperature == 1.0 else z.div_(temperature)


def _starts(column: Tensor, order: Tensor, sources: int, rows: int) -> list[int]:
    """Where the tokens of each chunk of sources begin in the order by source, with the end."""
    edges = torch.arange(0, sources + rows, rows, device=column.device).clamp_(max=sources)
    found: list[int] = torch.searchsorted(column[order].contiguous(), edges).tolist()
    return found
