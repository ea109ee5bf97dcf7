"""General preference: an embedding a completion, and a score a pair that need not be transitive [98].

Differs from the paper: nothing in the formulas. The prompt's scales come from logits that the head computes (the
paper's `W h / sqrt(d)`), and the temperature is an argument that may be a learned tensor. By name
(`general-preference`) the temperature is a number, and embeddings are not brought to length 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number, check_pairs, weighted_sum


def skew_scores(
    first: Float[Tensor, "m d"], second: Float[Tensor, "m d"], *, scales: Float[Tensor, "m k"] | None = None
) -> Float[Tensor, " m"]:
    """`sum_l scale_l * (a_{2l} b_{2l+1} - a_{2l+1} b_{2l})`: how much the first is preferred to the second.

    Args:
        first: embeddings a, of an even number d = 2k of dimensions.
        second: embeddings b.
        scales: of the k planes for each pair, default 1.

    Returns:
        Antisymmetric: exchanging the two negates it; 0 for a completion and itself. With `a = (r, 1)` it is
        `r_a - r_b`.

    Raises:
        ShapeError: if d is odd or shapes do not belong together.

    Source: Zhang et al. 2024, "Beyond Bradley-Terry Models" [98].
    """
    _check("skew_scores", first, second.shape, scales)
    planes = first[:, 0::2] * second[:, 1::2] - first[:, 1::2] * second[:, 0::2]
    return (planes if scales is None else planes * scales).sum(dim=-1)


def skew_matrix(embeddings: Float[Tensor, "n d"], *, scales: Float[Tensor, " k"] | None = None) -> Float[Tensor, "n n"]:
    """Scores of every completion of a prompt against every other, at linear cost in embeddings.

    Args:
        embeddings: of n completions of one prompt.
        scales: of the k = d / 2 planes for this prompt, default 1.

    Returns:
        S with `S[i, j]` the score of i over j; `S = -S^T`, of rank d at most.

    Raises:
        ShapeError: if d is odd or there are not k scales.

    Source: Zhang et al. 2024 [98].
    """
    _check(
        "skew_matrix",
        embeddings,
        embeddings.shape,
        None if scales is None else scales[None].expand(len(embeddings), -1),
    )
    even, odd = embeddings[:, 0::2], embeddings[:, 1::2]
    half = (even if scales is None else even * scales) @ odd.T
    return half - half.T  # antisymmetric to the last bit


def context_scales(logits: Float[Tensor, "g k"]) -> Float[Tensor, "g k"]:
    """`k * softmax(logits)`: positive scales of the k planes, of mean 1, from a prompt's logits.

    Source: Zhang et al. 2024 [98].
    """
    return logits.shape[-1] * logits.softmax(dim=-1)


def general_preference(
    outputs: Float[Tensor, "n d"],
    pairs: Int[Tensor, "m 2"],
    *,
    temperature: float | Float[Tensor, ""] = 0.1,
    scales: Float[Tensor, "m k"] | None = None,
    normalise: bool = False,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-log sigmoid(score(chosen, rejected) / temperature)`, in nats.

    Args:
        outputs: embeddings of all sequences of the row, d = 2k.
        pairs: indices into `outputs`: chosen, rejected.
        temperature: above 0.
        scales: of the k planes for each pair's prompt, of `context_scales`; default 1.
        normalise: divide every embedding by its norm first.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if d is odd or shapes do not belong together.
        InputError: if the temperature is not above 0.

    Source: Zhang et al. 2024 [98].
    """
    lead = _lead("general_preference", outputs, pairs, temperature, scales, normalise, weight)
    return weighted_sum(-F.logsigmoid(lead), weight)


def general_regression(
    outputs: Float[Tensor, "n d"],
    pairs: Int[Tensor, "m 2"],
    *,
    temperature: float | Float[Tensor, ""] = 0.1,
    target: float = 10.0,
    scales: Float[Tensor, "m k"] | None = None,
    normalise: bool = False,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `(score(chosen, rejected) / temperature - target)^2 / 2`, the paper's alternative loss.

    Args:
        outputs: embeddings of all sequences of the row, d = 2k.
        pairs: indices into `outputs`: chosen, rejected.
        temperature: above 0.
        target: of the score in units of the temperature, finite.
        scales: of the k planes for each pair's prompt, default 1.
        normalise: divide every embedding by its norm first.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if d is odd or shapes do not belong together.
        InputError: if the temperature is not above 0 or the target is not finite.

    Source: the code of Zhang et al. 2024 [98].
    """
    check_number("general_regression", "target", target)
    lead = _lead("general_regression", outputs, pairs, temperature, scales, normalise, weight)
    return weighted_sum(0.5 * (lead - target).square(), weight)


def _lead(
    who: str, outputs: Tensor, pairs: Tensor, temperature: float | Tensor, scales: Tensor | None, normalise: bool,
    weight: Tensor | None,
) -> Tensor:  # fmt: skip
    check_pairs(who, pairs, weight=weight)
    warmth = temperature.item() if isinstance(temperature, Tensor) else temperature
    check_number(who, "temperature", warmth, low=0, within="(]")
    _check(who, outputs, outputs.shape, None)
    vectors = F.normalize(outputs, dim=-1) if normalise else outputs
    return skew_scores(vectors[pairs[:, 0]], vectors[pairs[:, 1]], scales=scales) / temperature


def _check(who: str, first: Tensor, second: torch.Size, scales: Tensor | None) -> None:
    if first.ndim != 2 or first.shape[1] % 2 or not first.shape[1] or first.shape != second:
        raise ShapeError(
            f"{who}: embeddings of shapes {tuple(first.shape)} and {tuple(second)}; both must be (m, 2k) with k >= 1"
        )
    wanted = (first.shape[0], first.shape[1] // 2)
    if scales is not None and scales.shape != wanted:
        raise ShapeError(f"{who}: scales have shape {tuple(scales.shape)}; they must be {wanted}")
