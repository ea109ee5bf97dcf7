"""Losses for several aspects and several people, and the heads that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.rewards.readers.head import Head
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.pairs.soft import soft_bradley_terry_aspects
from plaudit.training.objectives.people.aspects import aspect_regression, gated_bradley_terry
from plaudit.training.objectives.people.balanced import balanced_sources
from plaudit.training.objectives.people.minimum_norm import Normalise
from plaudit.training.objectives.people.mixture import mixture_bradley_terry
from plaudit.training.objectives.ratings.community import community_triplets


def mixture(outputs: Tensor, row: Mapping[str, Tensor], *, experts: int, entropy_coef: float) -> Tensor:
    """A mixture of Bradley-Terry models, its shares read at the prompt."""
    logits = outputs[row["pairs"][:, 0], experts:]  # both completions have one prompt, and so one share
    return mixture_bradley_terry(
        outputs[:, :experts], row["pairs"], logits=logits, entropy_coef=entropy_coef, weight=row["weight"]
    )


def mixture_head(*, experts: int, entropy_coef: float) -> Head:
    """A score an expert at the completion; at the prompt two layers to a logit an expert."""
    if experts < 1 or not 0 <= entropy_coef < float("inf"):
        raise InputError(
            f"objective mixture: experts is {experts} and entropy_coef {entropy_coef}; give at least 1 and at least 0"
        )
    network = {"completion": experts, "prompt": experts, "prompt_depth": 2}
    return Head("mixture", 2 * experts, network=network)


def aspects(outputs: Tensor, row: Mapping[str, Tensor], *, weights: Sequence[float] = ()) -> Tensor:
    """Squared distance of each aspect's output and its standardised rating, where there is one."""
    del weights  # of the score, which nothing is fitted to
    return aspect_regression(outputs, ratings=row["aspects"])


def aspects_head(*, names: Sequence[str], weights: Sequence[float]) -> Head:
    """One output an aspect; the score is their weighted mean."""
    if names and weights and (len(weights) != len(names) or not sum(weights) > 0):
        raise InputError(
            f"objective aspects: weights are {list(weights)} for the aspects {list(names)}; "
            "give one each, in this order, with a sum above 0"
        )
    # without rows there are no names yet, and a head has at least one output
    return Head("aspects", max(len(names), 1), {"names": list(names), "weights": list(weights)})


def aspect_preferences(outputs: Tensor, row: Mapping[str, Tensor], *, weights: Sequence[float] = ()) -> Tensor:
    """Cross-entropy of each aspect's outputs and the probability that chosen is the better one in it."""
    del weights  # of the score, which nothing is fitted to
    target = row["aspects"][row["pairs"][:, 0]]
    return soft_bradley_terry_aspects(
        outputs, row["pairs"], target=target, known=target.isfinite(), weight=row["weight"]
    )


def gated_aspects(outputs: Tensor, row: Mapping[str, Tensor], *, gate_coef: float) -> Tensor:
    """The regression of the aspects, and Bradley-Terry on the score that the prompt's weights make of them.

    A mean over completions, so the preferences count `gate_coef` a pair beside 1 a completion.
    """
    k = row["aspects"].shape[1]
    regression = aspect_regression(outputs[:, :k], ratings=row["aspects"])
    preferred = gated_bradley_terry(
        outputs[:, :k], row["pairs"], gates=outputs[:, k : 2 * k], log_scale=outputs[0, 2 * k], weight=row["weight"]
    )
    return regression + gate_coef * preferred


def gated_rows(rows: Sequence[Pair | Ranked | Rated]) -> Sequence[Pair | Ranked | Rated]:
    """The rows as they are.

    Raises:
        InputError: if none of them holds a preference: the weights of a prompt would stay as they were drawn.
    """
    if not any(isinstance(row, Pair) or (isinstance(row, Ranked) and len(set(row.scores)) > 1) for row in rows):
        raise InputError(
            f"objective gated-aspects: none of the {len(rows)} rows holds a preference, which the weights of a prompt "
            "are learned from; add pairs or ranked rows with aspects, or use the objective aspects"
        )
    return rows


def gated_aspects_head(*, names: Sequence[str], gate_coef: float) -> Head:
    """An output and a weight an aspect, and the scale of the score."""
    if not 0 <= gate_coef < float("inf"):
        raise InputError(f"objective gated-aspects: gate_coef is {gate_coef}; give at least 0")
    k = max(len(names), 1)
    network = {"completion": k, "prompt": k, "prompt_depth": 2, "constants": [0.0]}
    return Head("gated-aspects", 2 * k + 1, {"names": list(names)}, network=network)


def known_people(outputs: Tensor, row: Mapping[str, Tensor], **_: Any) -> Tensor:
    """Bradley-Terry on everybody's pairs: what the features of a user model are fitted by."""
    return bradley_terry(outputs[:, 0], row["pairs"], weight=row["weight"])


def balanced(outputs: Tensor, row: Mapping[str, Any], *, normalise: Normalise) -> Tensor:
    """Bradley-Terry with min-norm weights of the sources that a row holds."""
    return balanced_sources(
        outputs[:, 0], row["pairs"], source=row["source"], parameters=row["head"], normalise=normalise,
        weight=row["weight"],
    )  # fmt: skip


def balanced_head(*, normalise: str) -> Head:
    """One output, the score."""
    if normalise not in get_args(Normalise):
        known = ", ".join(get_args(Normalise))
        raise InputError(f"objective balanced-sources: normalise is {normalise!r}; give one of {known}")
    return Head()


def community(outputs: Tensor, row: Mapping[str, Tensor], *, width: int, margin: float) -> Tensor:
    """A hinge on the cosines of the completions' embeddings with their prompt's."""
    anchors = outputs[row["pairs"][:, 0], width:]
    return community_triplets(outputs[:, :width], row["pairs"], anchors=anchors, margin=margin, weight=row["weight"])


def community_head(*, width: int, margin: float) -> Head:
    """An embedding at the completion, and one at the prompt."""
    if width < 1 or not 0 <= margin < float("inf"):
        raise InputError(f"objective community: width is {width} and margin {margin}; give at least 1 and at least 0")
    return Head("cosine", 2 * width, network={"completion": width, "prompt": width})
