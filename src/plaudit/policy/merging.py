"""Averages of two policies, weight by weight: what alignment cost is bought back where it gained little.

A policy that was aligned has forgotten something; on the straight line between it and where it began, most of the gain
is often kept at a smaller loss, the more so where blocks of layers have shares of their own.

Differs from the paper: shares above 1 are cut and what is cut goes to the other blocks, so that their mean stays what
it was; the search is without gradients, since the average of two checkpoints has few numbers to be found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.policy.saving import save_policy
from plaudit.records.rows import Unpaired
from plaudit.records.sample import Sample
from plaudit.rewards import folders
from plaudit.rewards.likelihood.language import LanguageModel, open_causal
from plaudit.runs.origin import versions

EPSILON = 1e-3
"""Added to each block's sigmoid, so that none is ever shut out."""
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d+)\.")
"""Where the number of a layer stands in a weight's name."""

Weights = Mapping[str, Tensor]


def interpolated(
    first: Weights, second: Weights, weight: float | Sequence[float], *, layers: int | None = None
) -> dict[str, Tensor]:  # fmt: skip
    """`(1 - w) first + w second` for every weight, by name.

    Args:
        first: name to tensor.
        second: the same names and shapes.
        weight: w, the share of the second, in [0, 1]; or one for each block of layers, see `block_of`.
        layers: of the models; by default as many as the names tell.

    Returns:
        Tensors of the first's types; at 0 and 1 copies of the first and of the second to the last bit. They are added
        in float32 (float64 where they are). Whole numbers are no weights: they must agree.

    Raises:
        InputError: in one line, if a name is missing from one of them, shapes differ, whole numbers do, or a share is
            not in [0, 1].

    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT); the merging of [161] and [81].
    """
    shares = [float(weight)] if isinstance(weight, int | float) else [float(w) for w in weight]
    if not shares or not all(0 <= w <= 1 for w in shares):
        told = ", ".join(f"{w:g}" for w in shares) or "not given"
        raise InputError(f"merge: the share of the second model is {told}; give numbers from 0 to 1")
    lacking = sorted(set(first) ^ set(second))
    if lacking:
        where = "second" if lacking[0] in first else "first"
        raise InputError(f"merge: {lacking[0]} is missing from the {where} model; give two of one architecture")
    depth = layer_count(first) if layers is None else layers
    return {
        name: _mixed(name, one, second[name], shares[block_of(name, depth, len(shares))]) for name, one in first.items()
    }


def _mixed(name: str, one: Tensor, other: Tensor, share: float) -> Tensor:
    if one.shape != other.shape:
        raise InputError(
            f"merge: {name} is {tuple(one.shape)} in the first model and {tuple(other.shape)} in the second; give two "
            "of one architecture and vocabulary"
        )
    if not one.is_floating_point():
        if not torch.equal(one, other):
            raise InputError(f"merge: {name} holds whole numbers that differ; they cannot be averaged")
        return one.clone()
    if share in (0.0, 1.0):  # to the last bit, where a product and a sum would round
        return (one if share == 0 else other).to(one.dtype, copy=True)
    wide = torch.float64 if torch.float64 in (one.dtype, other.dtype) else torch.float32
    return torch.lerp(one.to(wide), other.to(wide), share).to(one.dtype)


def layer_count(weights: Weights) -> int:
    """How many layers the names of weights tell of."""
    found = [int(m.group(1)) for name in weights if (m := LAYER.search(name))]
    return 1 + max(found) if found else 0


def block_of(name: str, layers: int, blocks: int) -> int:
    """Which block a weight belongs to: layers in equal parts, in order.

    What stands before the layers (embeddings) belongs to the first block, what stands behind them (norm, output layer)
    to the last.

    Args:
        name: of the weight.
        layers: of the model.
        blocks: how many.
    """
    match = LAYER.search(name)
    if match is None:
        return 0 if "embed" in name or "wte" in name or "wpe" in name else blocks - 1
    return int(match.group(1)) * blocks // max(layers, 1)


def block_ratios(logits: Sequence[float] | Float[np.ndarray, " k"], mean: float) -> Float[np.ndarray, " k"]:
    """Shares of blocks whose mean is given: `a_k = a_0 K e_k / sum_j e_j`, `e_k = sigmoid(l_k) + 0.001`, at most 1.

    What is cut above 1 goes to the other blocks in proportion, so that the mean stays a_0.

    Args:
        logits: l, one a block; equal ones give a_0 everywhere.
        mean: a_0, in [0, 1]; at 0 and 1 all shares are 0 and 1.

    Returns:
        (k,), in [0, 1].

    Raises:
        InputError: if there is no block, or the mean is not in [0, 1].

    Source: Lin et al. 2024, "Mitigating the Alignment Tax of RLHF" (adaptive model averaging) [81].
    """
    raw = np.asarray(logits, dtype=np.float64).reshape(-1)
    if not raw.size or not 0 <= mean <= 1:
        raise InputError(
            f"merge: {raw.size} blocks and a mean share of {mean}; give at least one and a number from 0 to 1"
        )
    e = 0.5 * (1 + np.tanh(raw / 2)) + EPSILON
    if mean in (0.0, 1.0) or np.ptp(raw) == 0:
        return np.full(raw.size, float(mean))
    found, full = np.zeros(raw.size), np.zeros(raw.size, dtype=bool)
    while True:  # each turn fills at least one block
        left = mean * raw.size - full.sum()
        found = np.where(full, 1.0, left * e / e[~full].sum())
        over = ~full & (found > 1)
        if not over.any():
            return np.asarray(found)
        full |= over


@dataclass(frozen=True, slots=True)
class Ratios:
    """What a search found.

    Attributes:
        shares: one a block.
        loss: of the average with these shares.
        uniform: loss with the mean share in every block.
        evaluations: averages that were measured.
    """

    shares: tuple[float, ...]
    loss: float
    uniform: float
    evaluations: int


def adaptive_ratios(
    loss: Callable[[Sequence[float]], float], *, mean: float, blocks: int = 3, penalty: float = 0.0,
    evaluations: int = 30,
) -> Ratios:  # fmt: skip
    """The shares of blocks, their mean given, whose average has the least loss, by a bounded search.

    Nelder-Mead over the logits of `block_ratios`, from equal shares; the best that was seen is returned, so that it is
    never worse than equal shares on what it was searched by. Sweep `mean` to draw the front.

    Args:
        loss: from shares to what is to be small on held-out data, for example minus the reward, or the mean negative
            log-likelihood of the aligned policy's best samples and of what must not be forgotten.
        mean: see `block_ratios`.
        blocks: how many.
        penalty: added for each unit of the mean distance `|a_k - a_0|`.
        evaluations: averages that may be measured, at least 1.

    Raises:
        InputError: if a number is out of range, or the loss is not finite.

    Source: Lin et al. 2024, "Mitigating the Alignment Tax of RLHF" [81]; the paper follows gradients.
    """
    from scipy.optimize import minimize

    if blocks < 1 or evaluations < 1 or not penalty >= 0:
        raise InputError(
            f"merge: blocks is {blocks}, evaluations {evaluations}, penalty {penalty}; give positive numbers"
        )
    seen: dict[tuple[float, ...], float] = {}

    def measured(free: Float[np.ndarray, " k"]) -> float:
        """The penalised loss of shares, of which all logits but the last are free."""
        shares = tuple(float(a) for a in block_ratios([*free, -float(np.sum(free))], mean))
        if shares not in seen:
            if len(seen) >= evaluations:
                return float("inf")  # spent: the search ends on what it has
            value = loss(shares)
            if not np.isfinite(value):
                raise InputError(f"merge: the loss of shares {[round(a, 3) for a in shares]} is {value}")
            seen[shares] = value + penalty * float(np.mean(np.abs(np.array(shares) - mean)))
        return seen[shares]

    start = np.zeros(blocks - 1)
    uniform = measured(start)
    if blocks > 1 and 0 < mean < 1:
        simplex = np.vstack([start, 2.0 * np.eye(blocks - 1)])
        options = {"maxfev": 4 * evaluations, "initial_simplex": simplex, "xatol": 1e-2, "fatol": 1e-6}
        minimize(measured, start, method="Nelder-Mead", options=options)
    best = min(seen, key=lambda shares: seen[shares])
    return Ratios(best, seen[best], uniform, len(seen))


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged policy.

    Attributes:
        folder: plain transformers opens it.
        shares: of the second policy, one a block.
        search: how they were found, where they were.
    """

    folder: Path
    shares: tuple[float, ...]
    search: Ratios | None = None


def merge(
    first: str | Path, second: str | Path, *, weight: float | Sequence[float], out: str | Path,
    rows: Sequence[Any] | None = None, blocks: int = 3, penalty: float = 0.0, evaluations: int = 30,
    max_length: int = 2048,
) -> Merged:  # fmt: skip
    """Averages two policies and saves the result as a plain model folder with the first's tokenizer.

    Args:
        first: folder or hub id, for example of the policy before alignment.
        second: the same after it.
        weight: share of the second; or one for each block of layers.
        out: folder.
        rows: completions of held-out prompts that the average should find likely; with them the shares of blocks are
            searched for by `adaptive_ratios`, their mean being `weight`, on the mean negative log-likelihood a token.
            None for equal shares.
        blocks: of the search.
        penalty: of the search.
        evaluations: of the search.
        max_length: most tokens of a row; of longer ones the beginning of the conversation is left out.

    Raises:
        InputError: in one line, if the two are not of one architecture and tokenizer, or see `interpolated`.
        MissingError: if there is no such model.
    """
    folders.check_place(out, first, second)
    one, other = (_opened(str(ref), max_length) for ref in (first, second))
    if folders.vocabulary(one.tokenizer) != folders.vocabulary(other.tokenizer):
        raise InputError(f"merge: {first} and {second} have different tokenizers, so their weights mean other tokens")
    before, after = _weights(one.model), _weights(other.model)
    layers, search = layer_count(before), None
    if rows is not None:
        if not isinstance(weight, int | float):
            raise InputError("merge: shares of blocks are given and searched for; give one mean share, or no rows")
        located = [x for x in one.locate([_sample(row, i) for i, row in enumerate(rows)]) if x is not None]
        if not located:
            raise InputError(f"merge: none of {len(rows)} rows fits within max_length {max_length}")

        def loss(shares: Sequence[float]) -> float:
            _put(one.model, interpolated(before, after, shares, layers=layers))
            read = [r.logps for r in one.read(located) if r is not None]
            return -float(np.concatenate(read).mean())

        search = adaptive_ratios(
            loss, mean=float(weight), blocks=blocks, penalty=penalty, evaluations=evaluations
        )  # fmt: skip
        weight = search.shares
    shares = (float(weight),) if isinstance(weight, int | float) else tuple(float(w) for w in weight)
    _put(one.model, interpolated(before, after, shares, layers=layers))
    record = {
        "algorithm": "merge", "first": str(first), "second": str(second), "shares": list(shares),
        "search": None if search is None else {"loss": search.loss, "uniform": search.uniform, "evaluations":
                                               search.evaluations}, "versions": versions(),
    }  # fmt: skip
    save_policy(one.model, one.tokenizer, Path(out), record)
    return Merged(Path(out), shares, search)


def _opened(reference: str, max_length: int) -> LanguageModel:
    """A policy in the precision in which it was saved."""
    return LanguageModel(open_causal(reference), folders.open_tokenizer(reference), max_length=max_length)


def _weights(model: Any) -> dict[str, Tensor]:
    """Parameters, tied ones once, and the buffers that are saved."""
    kept = set(model.state_dict())
    named = [*model.named_parameters(), *((n, b) for n, b in model.named_buffers() if n in kept)]
    return {name: tensor.detach().clone() for name, tensor in named}


@torch.no_grad()
def _put(model: Any, weights: Weights) -> None:
    there = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in weights.items():
        there[name].copy_(tensor)


def _sample(row: Any, index: int) -> Sample:
    if isinstance(row, Sample):
        return row
    if isinstance(row, Unpaired):
        return Sample(row.prompt, row.completion)
    chosen = getattr(row, "chosen", getattr(row, "completion", None))
    if chosen is None:
        raise InputError(f"merge: row {index + 1} is a {type(row).__name__.lower()} row; give samples or pairs")
    return Sample(row.prompt, chosen)
