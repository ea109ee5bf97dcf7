"""What `objective` can name: for each the data that it needs, the head that it trains, and its loss.

An objective is given with its options as a reward is: `bradley-terry`, `quantile?levels=0.1,0.5,0.9`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

from plaudit.errors import InputError, nearest
from plaudit.rewards.readers.head import Head

if TYPE_CHECKING:
    from torch import Tensor

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
        beside: `module:function` of the fitted reward, the rows and its folder, with the options: fits what is saved
            beside the weights; empty where there is nothing.
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
    model: Literal["classifier", "causal"] = "classifier"


_LOSSES = "plaudit.training.losses"
_RANGES = "plaudit.training.ranges"
_PAIRS, _LISTS = "pairs and ranked rows", "ranked rows (pairs are lists of two)"
_STRONG = "pairs with margin or both scores, ranked rows"
_TIES = "ranked rows, whose equal scores are ties, and pairs"
_OUTCOMES = "unpaired rows with a label, pairs, or ranked rows with scores 0 and 1"
_ASPECTS = "rated rows with aspects, or pairs with chosen_aspects and rejected_aspects"
_RATED = "rated rows, ranked rows with scores, or pairs with chosen_score and rejected_score"

METHODS: dict[str, Method] = {
    "bradley-terry": Method(
        "log-sigmoid of the score difference, with margin and smoothing", _PAIRS, f"{_LOSSES}.pairs:logistic", "pair"
    ),
    "dynamic-bradley-terry": Method(
        "the same, steeper where the row's margin is larger [77]", f"{_PAIRS}; margins where there are any",
        f"{_LOSSES}.pairs:dynamic", "pair", options={"scale": 1.0, "boost": 0.5, "rate": 0.5},
        check=f"{_RANGES}:check_strengths",
    ),
    "demonstration-gap": Method(
        "the score of a demonstration less that of a policy's sample, held by squares [122]",
        "pairs: a demonstration chosen, a sample rejected", f"{_LOSSES}.pairs:gap", "pair",
        options={"square_coef": 0.5},
    ),
    "plackett-luce": Method(
        "likelihood of the whole order of a list, ties included", _LISTS, f"{_LOSSES}.lists:plackett_luce", "list",
        options={"top": 0}, labels="order",
    ),
    "rank-list": Method(
        "neighbours of a list, members a few scores apart, the tail [136]", _LISTS, f"{_LOSSES}.lists:rank_list",
        "list", labels="order",
        options={"reach": 2, "skip_coef": 1.0, "tail_coef": 0.0, "min_gap": 0.0, "curriculum": False},
    ),
    "borda": Method(
        "cross-entropy to the Borda counts of a list [121]", _LISTS, f"{_LOSSES}.lists:borda", "list", labels="order"
    ),
    "regression": Method(
        "squared distance of score and (standardised) rating", _RATED, f"{_LOSSES}.ratings:squared", "sequence",
        labels="values", standardised=True
    ),
    "huber": Method(
        "the same, linear beyond delta standard deviations of the ratings", _RATED, f"{_LOSSES}.ratings:huber",
        "sequence", options={"delta": 1.0},
        labels="values", standardised=True,
    ),
    "gaussian": Method(
        "likelihood of the rating under a mean and a variance of its own: gives noise", _RATED,
        f"{_LOSSES}.ratings:gaussian", "sequence", head=f"{_LOSSES}.ratings:gaussian_head", options={"beta": 0.0},
        labels="values", standardised=True,
    ),
    "quantile": Method(
        "pinball loss of quantiles that cannot cross: gives noise", _RATED, f"{_LOSSES}.ratings:pinball", "sequence",
        head=f"{_LOSSES}.ratings:quantile_head", options={"levels": (0.1, 0.25, 0.5, 0.75, 0.9)},
        labels="values", standardised=True,
    ),
    "evidential": Method(
        "normal-inverse-gamma evidence: gives noise and an epistemic deviation [179]", _RATED,
        f"{_LOSSES}.ratings:evidential", "sequence", head=f"{_LOSSES}.ratings:evidential_head",
        options={"evidence_coef": 0.01}, labels="values", standardised=True,
    ),
    "rating-distribution": Method(
        "a distribution over the levels 1 to `levels` of a rating: gives noise [86]",
        f"{_RATED}; score_std where there is any", f"{_LOSSES}.ratings:distribution", "sequence",
        head=f"{_LOSSES}.ratings:distribution_head", labels="values", columns=("rating_std",),
        options={"levels": 5, "fidelity_coef": 0.0, "rater_std": 0.5, "density": False},
        check=f"{_RANGES}:check_ratings",
    ),
    "ordinal": Method(
        "whole levels 1 to `levels`, with learned thresholds between them", _RATED, f"{_LOSSES}.ratings:ordinal",
        "sequence", head=f"{_LOSSES}.ratings:ordinal_head", options={"levels": 5}, labels="values",
        check=f"{_RANGES}:check_levels",
    ),
    "beliefs": Method(
        "belief in each level, confusion and ignorance kept apart: gives noise and an epistemic deviation [179]",
        _RATED, f"{_LOSSES}.ratings:belief", "sequence", head=f"{_LOSSES}.ratings:belief_head",
        options={"levels": 5, "others_coef": 0.0}, labels="values", check=f"{_RANGES}:check_levels",
    ),
    "two-ratings": Method(
        "two raters' levels, 1 to `levels`, the second given the first: gives noise and an epistemic deviation [219]",
        "rated rows with second, another rater's level", f"{_LOSSES}.ratings:twice", "sequence",
        head=f"{_LOSSES}.ratings:twice_head", options={"levels": 5}, labels="values", columns=("second_rating",),
        check=f"{_RANGES}:check_two_levels",
    ),
    "scaled-bradley-terry": Method(
        "a pair counts as often as its preference is strong [29]", _STRONG, f"{_LOSSES}.pairs:scaled", "pair",
        columns=("strength",), check=f"{_RANGES}:check_strengths",
    ),
    "margin-regression": Method(
        "squared distance of score difference and strength [29]", _STRONG, f"{_LOSSES}.pairs:strengths", "pair",
        options={"scale": 1.0}, columns=("strength",),
    ),
    "combined-strength": Method(
        "the sum of the last two [29]", _STRONG, f"{_LOSSES}.pairs:combined", "pair",
        options={"regression_coef": 0.1, "scale": 1.0}, columns=("strength",), check=f"{_RANGES}:check_strengths",
    ),
    "soft-bradley-terry": Method(
        "cross-entropy to a probability that chosen is better [13, 116]", "pairs with preference, a probability",
        f"{_LOSSES}.pairs:soft", "pair", columns=("preference",),
    ),
    "judged-bradley-terry": Method(
        "a pair counts the less, the more its repeated judgements differ [200]",
        "pairs with judgements, a list of margins", f"{_LOSSES}.pairs:judged", "pair", options={"scale": 1.0},
        columns=("spread",),
    ),
    "convex-bradley-terry": Method(
        "on convex combinations of two pairs each [17]", _PAIRS, f"{_LOSSES}.pairs:mixed", "pair",
        options={"alpha": 0.4},
    ),
    "thurstone": Method(
        "a mean and a variance a completion: gives noise", _PAIRS, f"{_LOSSES}.pairs:thurstone", "pair",
        head=f"{_LOSSES}.ratings:gaussian_head",
    ),
    "rao-kupper": Method(
        "ties where the lead is below a learned threshold", _TIES, f"{_LOSSES}.pairs:tied_threshold", "pair",
        head=f"{_LOSSES}.pairs:tie_head", columns=("tied",),
    ),
    "davidson": Method(
        "ties as likely as a learned share of the geometric mean", _TIES, f"{_LOSSES}.pairs:tied_share", "pair",
        head=f"{_LOSSES}.pairs:tie_head", columns=("tied",),
    ),
    "cotraining": Method(
        "two heads, each learns from what the other finds easy: against wrong labels [112]", _PAIRS,
        f"{_LOSSES}.pairs:cotrained", "pair", head=f"{_LOSSES}.pairs:cotraining_head",
        options={"noise": 0.2, "ramp": 0.3, "easy_first": False},
    ),
    "internal-agreement": Method(
        "two heads that agree on pairs without a label, and learn from those that they agree about [118]",
        "pairs, those with labelled false in any order", f"{_LOSSES}.pairs:agreeing", "pair",
        head=f"{_LOSSES}.pairs:agreeing_head", options={"consistency_coef": 1.0, "entropy_coef": 0.1},
        columns=("labelled",), rows=f"{_LOSSES}.pairs:partly_labelled",
    ),
    "bradley-terry-heads": Method(
        "several heads on one backbone, each on bootstrap weights: gives members and an epistemic deviation [148]",
        _PAIRS, f"{_LOSSES}.ensembles:heads", "pair", head=f"{_LOSSES}.ensembles:ensemble_head",
        options={"heads": 5, "bootstrap": "poisson", "draw": 0, "center_coef": 0.0}, columns=("identity",),
    ),
    "gaussian-heads": Method(
        "several heads with a mean and a deviation each: gives members, noise and an epistemic deviation [149]", _RATED,
        f"{_LOSSES}.ensembles:gaussian_heads", "sequence", head=f"{_LOSSES}.ensembles:gaussian_heads_head",
        options={"heads": 5, "likelihood": False}, labels="values", standardised=True,
    ),
    "general-preference": Method(
        "an embedding a completion and a skew-symmetric score: compares, cycles included [98]", _PAIRS,
        f"{_LOSSES}.general:skew", "pair", head=f"{_LOSSES}.general:skew_head",
        options={"planes": 3, "temperature": 0.1, "by_prompt": True, "target": 0.0},
    ),
    "two-raters": Method(
        "two answers to each pair: compares, and knows how sure it is [219]",
        "pairs with second, whether another rater prefers chosen too", f"{_LOSSES}.general:twice", "pair",
        head=f"{_LOSSES}.general:twice_head", columns=("second",),
    ),
    "cross-encoder": Method(
        "both completions read together, in both orders: compares, at quadratic cost", _PAIRS,
        f"{_LOSSES}.general:joint", "pair", head=f"{_LOSSES}.general:joint_head", options={"order_coef": 0.0},
        rows=f"{_LOSSES}.general:joint_rows",
    ),
    "mixture": Method(
        "experts whose shares the prompt decides, for people who disagree [139]", _PAIRS, f"{_LOSSES}.people:mixture",
        "pair", head=f"{_LOSSES}.people:mixture_head", options={"experts": 2, "entropy_coef": 0.5},
    ),
    "aspects": Method(
        "an output an aspect, squared distance where it is rated [133]", _ASPECTS, f"{_LOSSES}.people:aspects",
        "sequence", head=f"{_LOSSES}.people:aspects_head", options={"weights": ()}, labels="aspects",
    ),
    "aspect-preferences": Method(
        "an output an aspect, cross-entropy to a probability that chosen is the better one in it",
        "pairs with aspect_preferences, name to a probability", f"{_LOSSES}.people:aspect_preferences", "pair",
        head=f"{_LOSSES}.people:aspects_head", options={"weights": ()}, labels="aspect-preferences",
    ),
    "gated-aspects": Method(
        "the same, and weights of the aspects that a prompt gives, from preferences", f"{_ASPECTS}; pairs for the gate",
        f"{_LOSSES}.people:gated_aspects", "sequence", head=f"{_LOSSES}.people:gated_aspects_head",
        options={"gate_coef": 1.0}, labels="aspects", rows=f"{_LOSSES}.people:gated_rows",
    ),
    "balanced-sources": Method(
        "annotators weighed so that none pays for another's gain [130]", "pairs with annotator",
        f"{_LOSSES}.people:balanced", "pair", head=f"{_LOSSES}.people:balanced_head", options={"normalise": "none"},
        columns=("source",),
    ),
    "variational": Method(
        "Bradley-Terry, and on its features a user model that is told some of a person's pairs [145]",
        "pairs with annotator, who occurs again", f"{_LOSSES}.people:known_people", "pair",
        options={"latent": 16, "width": 64, "context": 8, "steps": 1000, "beta": 1e-3},
        check=f"{_RANGES}:check_annotators", beside="plaudit.training.people.variational:fit_beside",
    ),
    "community": Method(
        "embeddings of prompt and completion, a hinge on their cosines [69]", _PAIRS, f"{_LOSSES}.people:community",
        "pair", head=f"{_LOSSES}.people:community_head", options={"width": 16, "margin": 0.3},
    ),
    "implicit-ce": Method(
        "a policy's log-ratio with its start as the reward, cross-entropy of outcomes [54]", _OUTCOMES,
        f"{_LOSSES}.policies:ce", "sequence", options={"beta": 0.05}, labels="values", model="causal",
    ),
    "implicit-kto": Method(
        "the same by KTO [54]", _OUTCOMES, f"{_LOSSES}.policies:kto", "sequence",
        options={"beta": 0.05, "desirable": 1.0, "undesirable": 1.0}, labels="values", model="causal",
    ),
    "implicit-dpo": Method(
        "the same from preferences, by DPO [54]", _PAIRS, f"{_LOSSES}.policies:dpo", "pair", options={"beta": 0.05},
        model="causal",
    ),
    "implicit-nca": Method(
        "the same from preferences, by noise contrast [54]", _PAIRS, f"{_LOSSES}.policies:nca", "pair",
        options={"beta": 0.05}, model="causal",
    ),
    "autoregressive": Method(
        "a causal model's log-likelihood as the reward, token by token [162]", _PAIRS,
        f"{_LOSSES}.policies:autoregressive", "pair", options={"beta": 0.1}, model="causal",
    ),
    "yes-token": Method(
        "probability of yes: a completion beats a reference [123]", _PAIRS, f"{_LOSSES}.policies:word", "pair",
        rows="plaudit.training.policies.asking:comparison_rows", model="causal",
    ),
    "principle-token": Method(
        "log-odds of yes: a completion follows a principle [115]",
        "rated rows whose aspects are principles (1 or 0), or unpaired rows with a principle",
        f"{_LOSSES}.policies:word", "pair", rows="plaudit.training.policies.asking:principle_rows", model="causal",
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
        found: Head = _attribute(self.method.head)(**self.options, **named)
        return found

    def rows(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The rows that are trained on.

        Raises:
            InputError: if a label is out of the objective's range, naming the row.
        """
        if self.method.check:
            _attribute(self.method.check)(rows, **self.options)
        if not self.method.rows:
            return rows
        found: Sequence[Any] = _attribute(self.method.rows)(rows)
        return found

    def fit_beside(self, reward: Any, rows: Sequence[Any], folder: Any) -> None:
        """Fits and saves what the method has beside the weights, if anything.

        Args:
            reward: as it was fitted and saved.
            rows: that it was fitted to.
            folder: where it was saved.
        """
        if self.method.beside:
            _attribute(self.method.beside)(reward, rows, folder, **self.options)

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
    name, options = parsed(objective, {name: method.options for name, method in METHODS.items()}, noun="objective")
    return Chosen(name, METHODS[name], options)


def parsed(text: str, known: Mapping[str, Mapping[str, Any]], *, noun: str) -> tuple[str, dict[str, Any]]:
    """The name in `name?option=value&option=value`, and its options with those that the text sets.

    Args:
        text: what was given; a list of numbers is divided by commas.
        known: name to its options with their defaults, whose types the values have.
        noun: what the names are of, for messages.

    Raises:
        InputError: if the name or an option is not known, or a value is none that the option can have.
    """
    name, _, query = text.partition("?")
    if name not in known:
        raise InputError(f"{noun} {name!r} is not known; {nearest(name, known)}")
    options = dict(known[name])
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in options:
            raise InputError(f"{noun} {name}: unknown option {key!r}; {nearest(key, options)}")
        options[key] = _typed(f"{noun} {name}: {key}", value, options[key])
    return name, options


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
