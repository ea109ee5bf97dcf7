"""What `algorithm` can name: for each the data that it needs, what its loss reads, and its options.

An algorithm is given with its options as a reward is: `dpo`, `simpo?beta=2.5&gamma=0.5`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from plaudit._lazy import attribute
from plaudit.training.methods import Item, parsed

Data = Literal["pairs", "labels", "scores", "demonstrations"]
Implicit = Literal["ratio", "mean-ratio", "logp", "mean-logp"]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A way to align a policy that can be named.

    Attributes:
        summary: one line for `plaudit align help`.
        needs: the data that it learns from, in words.
        loss: `module:function` of `reads` and options: a loss an item, or their sum.
        reads: what the loss takes by position, see `plaudit.policy.offline.view`.
        options: name to default; `nll_coef` and `length_alpha` are read for every loss of pairs, see `COMMON`.
        data: how rows are read: as `pairs`, as completions with `labels`, with `scores`, or as `demonstrations`.
        item: what the loss is a mean over.
        reference: whether log-probabilities under a frozen reference are read.
        mismatched: whether each group gets a completion of another prompt, for a baseline.
        columns: what is read of pairs besides, see `plaudit.training.columns`.
        step: `module:function` of what must be known of a whole step before its parts are run.
        rows: `module:function` from the rows, and the options named in `row_options`, to those that are trained on.
        row_options: options that `rows` takes and the loss does not.
        blend: whether log-ratios are taken to a blend of the reference and the start, see `losses.blended`.
        old: whether log-probabilities before the first step are read beside a named reference's.
        anchor: whether the divergence from the reference over the whole vocabulary is read, see `offline.anchor`.
        judge: whether the policy is asked which of two completions is better, see `plaudit.policy.offline.judging`.
        valued: whether a Q function is fitted to scores, see `plaudit.policy.offline.valued`.
        weighted: whether each row counts by its own number `weight`, from 0 to 1.
        contrast: whether tokens get rewards from two contrary instructions, see `plaudit.policy.offline.contrast`.
        implicit: the reward that the policy is said to have, for metrics: `beta` (where there is one) times this.
    """

    summary: str
    needs: str
    loss: str
    reads: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Data = "pairs"
    item: Item = "pair"
    reference: bool = True
    mismatched: bool = False
    columns: tuple[str, ...] = ()
    step: str = ""
    rows: str = ""
    row_options: tuple[str, ...] = ()
    blend: bool = False
    old: bool = False
    anchor: bool = False
    judge: bool = False
    valued: bool = False
    weighted: bool = False
    contrast: bool = False
    implicit: Implicit = "ratio"


COMMON: Mapping[str, float] = {"nll_coef": 0.0, "length_alpha": 1.0}
"""Options of every loss of pairs: the weight of the negative log-likelihood of chosen, a mean over the step's tokens;
and the weight of a completion's tokens beyond the length of the other (Liu et al. 2024, LD-DPO), where 1 counts them
like all others."""

_LOSSES = "plaudit.policy.offline.losses"
_STEP = "plaudit.policy.offline.step"
_DATA = "plaudit.policy.offline.data"
_RATIOS = ("chosen_ratio", "rejected_ratio")
_LOGPS = ("chosen_logp", "rejected_logp")
_TOKENS = ("chosen_tokens", "rejected_tokens")
_PAIRS = "pairs, or ranked rows (all pairs of different scores)"
_SHOWN = "samples, rated rows, wanted unpaired rows, or pairs (their chosen)"
_SCORED = "pairs with chosen_score and rejected_score, or ranked rows"
_REWARDED = "samples with reward (plaudit score), rated or ranked rows, several a prompt"
_LABELS = "unpaired rows with a label, pairs, or ranked rows with scores 0 and 1"


def _pairs(summary: str, loss: str, reads: tuple[str, ...] = _RATIOS, **more: Any) -> Algorithm:
    options = {**more.pop("options", {"beta": 0.1}), **COMMON, **more.pop("also", {})}
    return Algorithm(summary, more.pop("needs", _PAIRS), f"{_LOSSES}.{loss}", reads, options, **more)


ALGORITHMS: dict[str, Algorithm] = {
    "dpo": _pairs(
        "log-sigmoid of the difference of log-ratios; label_smoothing makes it cDPO", "difference:dpo",
        options={"beta": 0.1, "label_smoothing": 0.0},
    ),
    "dpo-norm": _pairs(
        "the same on log-ratios a token [189]", "difference:dpo_normalised", _RATIOS + _TOKENS,
        options={"beta": 5.0, "label_smoothing": 0.0}, implicit="mean-ratio",
    ),
    "robust-dpo": _pairs(
        "DPO, unbiased where a known share of labels is flipped", "difference:robust_dpo",
        options={"beta": 0.1, "flipped": 0.1},
    ),
    "hinge": _pairs("hinge on the difference of log-ratios (SLiC, RSO)", "difference:hinge"),
    "ipo": _pairs(
        "squared distance of the difference from a finite target", "difference:ipo", _RATIOS + _TOKENS,
        options={"beta": 0.1, "average": True}, implicit="mean-ratio",
    ),
    "exo": _pairs(
        "reverse KL to the label", "difference:exo", options={"beta": 0.1, "label_smoothing": 1e-3}
    ),
    "discopop": _pairs(
        "a logistic loss below and an exponential one above, found by a language model", "difference:discopop",
        options={"beta": 0.05, "tau": 0.05},
    ),
    "nca": _pairs("noise contrast of each completion's own reward", "anchored:nca_pair"),
    "bco": _pairs("a classifier of wanted and unwanted whose logit is the reward", "anchored:bco_pair"),
    "apo-zero": _pairs("chosen up, rejected down: data better than the policy", "anchored:apo_zero"),
    "apo-down": _pairs("both down, rejected further: data worse than the policy", "anchored:apo_down"),
    "sppo": _pairs("log-ratios pulled to win rates of 1 and 0", "anchored:sppo_hard"),
    "aot": _pairs(
        "sorted margins against the reference's, over a whole step", "transport:matched_aot_paired",
        (*_LOGPS, "partner"), options={"beta": 0.1, "label_smoothing": 0.0}, step=f"{_STEP}:paired_partners",
    ),
    "aot-unpaired": _pairs(
        "sorted log-ratios of chosen against those of rejected, over a whole step", "transport:matched_aot_unpaired",
        (*_RATIOS, "chosen_partner", "rejected_partner"), options={"beta": 0.1, "label_smoothing": 0.0},
        step=f"{_STEP}:unpaired_partners",
    ),
    "simpo": _pairs(
        "mean log-probabilities with a margin, no reference [160]", "plain:simpo", _LOGPS + _TOKENS,
        options={"beta": 2.0, "gamma": 1.0, "label_smoothing": 0.0}, reference=False, implicit="mean-logp",
    ),
    "cpo": _pairs(
        "log-probabilities, and the likelihood of chosen; no reference", "plain:cpo", _LOGPS,
        options={"beta": 0.1, "label_smoothing": 0.0}, also={"nll_coef": 1.0}, reference=False, implicit="logp",
    ),
    "orpo": _pairs(
        "log odds ratio, and the likelihood of chosen; no reference", "plain:odds_ratio", _LOGPS + _TOKENS,
        also={"nll_coef": 1.0}, reference=False, implicit="mean-logp",
    ),
    "kto": Algorithm(
        "wanted above a baseline, unwanted below; the baseline from completions of other prompts", _LABELS,
        f"{_LOSSES}.labels:kto", ("ratio", "label", "baseline"),
        {"beta": 0.1, "desirable": 1.0, "undesirable": 1.0}, data="labels", item="sequence", mismatched=True,
        step=f"{_STEP}:baseline",
    ),
    "sft": Algorithm(
        "likelihood of what is chosen, wanted or shown", _SHOWN, f"{_LOSSES}.labels:sft", ("logp", "label"),
        data="demonstrations", item="token", reference=False, implicit="logp",
    ),
    "weighted-sft": Algorithm(
        "the same, each row as often as its weight says", f"{_SHOWN}, each with a weight from 0 to 1",
        f"{_LOSSES}.labels:sft", ("logp", "label"), data="demonstrations", item="token", reference=False,
        implicit="logp", weighted=True,
    ),
    "b-coder": Algorithm(
        "a Q function whose advantages are the policy, fitted to rewards of completions by conservative steps [199]",
        f"{_REWARDED}; `demonstrated` marks a person's", "plaudit.policy.losses.conservative:conservative_loss", (),
        {"alpha": 1.0, "gamma": 0.999, "highest": 1.0, "beta_adv": 0.1, "beta_ce": 0.1, "value_epochs": 1.0},
        data="demonstrations", item="scored", reference=False, rows="plaudit.policy.offline.valued:valued_rows",
        valued=True, implicit="logp",
    ),
    "dft": Algorithm(
        "likelihood of what is shown, weighted by the policy's own probability of each token [124]", _SHOWN,
        f"{_LOSSES}.tokens:dft", ("token_logps", "token_said"), data="demonstrations", item="token", reference=False,
        implicit="logp",
    ),
    "asft": Algorithm(
        "DFT, held to the reference over the whole vocabulary [124]", _SHOWN, f"{_LOSSES}.tokens:asft",
        ("token_logps", "token_divergence", "token_said"), {"kl_coef": 0.1}, data="demonstrations", item="token",
        reference=False, anchor=True, implicit="logp",
    ),
    "rebel": _pairs(
        "differences of log-ratios regressed on differences of scores [107]", "regression:rebel",
        (*_RATIOS, "chosen_score", "rejected_score"), options={"beta": 1.0}, data="scores", needs=_SCORED,
    ),
    "prdp": Algorithm(
        "the same; a token that has moved far from where it was sampled teaches only if it moved the wrong way [107]",
        _SCORED, f"{_LOSSES}.regression:prdp",
        ("token_ratio", "token_old", "owner", "pairs", "chosen_score", "rejected_score"), {"beta": 1.0, "clip": 0.1},
        data="scores", old=True,
    ),
    "dno": _pairs(
        "cross-entropy to win probabilities that scores give [20]", "regression:dno",
        (*_RATIOS, "chosen_score", "rejected_score"), data="scores", needs=_SCORED,
    ),
    "gpo": Algorithm(
        "each log-ratio regressed on the score less its prompt's mean [98]", _REWARDED, f"{_LOSSES}.regression:gpo",
        ("scored_ratio", "scored_score"), {"beta": 1.0}, data="scores", item="scored", rows=f"{_DATA}:centred",
    ),
    "inpo": _pairs(
        "a step towards the Nash equilibrium, regularised to --reference [146]", "regression:inpo",
        options={"eta": 7.5e-3, "tau": 2.5e-3}, blend=True,
    ),
    "cream": _pairs(
        "best against worst, as certain as two rankings agree [116]", "regression:consistent", (*_RATIOS, "preference"),
        needs="ranked rows with previous, the rewards of the model before", columns=("preference",),
        also={"average": True}, rows=f"{_DATA}:consistent_pairs", row_options=("average",),
    ),
    "scir": Algorithm(
        "pairs without labels: what the policy implies and what it answers as a judge are drawn together [118]",
        "pairs (labels are not read), or samples, two a prompt", f"{_LOSSES}.internal:scir",
        (*_RATIOS, "judged_forward", "judged_backward"), {"beta": 0.1, "consistency_coef": 1.0, "entropy_coef": 0.1},
        rows="plaudit.policy.offline.judging:unlabelled_pairs", judge=True,
    ),
    "t-reg": _pairs(
        "DPO, and token rewards from two contrary instructions that the implicit ones follow [14]", "tokens:t_reg",
        (*_RATIOS, "token_ratio", "token_rewards", "owner", "pairs"), contrast=True,
        options={"beta": 0.1, "alpha": 0.25, "label_smoothing": 0.0},
    ),
    "dpo-reward-augmented": _pairs(
        "DPO on pairs that are asked for their scores, in both orders [153]", "difference:dpo",
        options={"beta": 0.1, "label_smoothing": 0.0}, needs=_SCORED, rows=f"{_DATA}:goal_conditioned_pairs",
    ),
    "quote-tuning": _pairs(
        "DPO on pairs far apart in score and alike in length [192]", "difference:dpo", needs=_REWARDED,
        options={"beta": 0.05, "label_smoothing": 0.0}, also={"score_gap": 0.1, "length_gap": 0.1},
        rows=f"{_DATA}:quoted_pairs", row_options=("score_gap", "length_gap"),
    ),
    "raft": Algorithm(
        "likelihood of the best completions of each prompt [119]", _REWARDED, f"{_LOSSES}.labels:sft",
        ("logp", "label"), {"keep": 1, "share": 0.0}, data="demonstrations", item="token", reference=False,
        rows=f"{_DATA}:best_of", row_options=("keep", "share"), implicit="logp",
    ),
    "superhf": Algorithm(
        "the same, held to the reference over the whole vocabulary; length_coef is taken off a character [220]",
        _REWARDED, f"{_LOSSES}.tokens:superhf", ("token_logps", "token_divergence", "token_said"),
        {"kl_coef": 0.3, "keep": 1, "share": 0.0, "length_coef": 0.0}, data="demonstrations", item="token",
        reference=False, anchor=True, rows=f"{_DATA}:best_of_superbatch", row_options=("keep", "share", "length_coef"),
        implicit="logp",
    ),
    "reward-conditioned": Algorithm(
        "likelihood of every completion, asked for its score", _REWARDED, f"{_LOSSES}.labels:sft", ("logp", "label"),
        data="demonstrations", item="token", reference=False, rows=f"{_DATA}:goal_conditioned_samples", implicit="logp",
    ),
    "dpa": Algorithm(
        "likelihood of what goes furthest in a direction between two aspects, asked for it [133]",
        "rated rows with two aspects, several a prompt", f"{_LOSSES}.labels:sft", ("logp", "label"),
        {"directions": 4, "low": -45.0, "high": 0.0, "seed": 0}, data="demonstrations", item="token", reference=False,
        rows=f"{_DATA}:directed_samples", row_options=("directions", "low", "high", "seed"), implicit="logp",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamedAlgorithm:
    """An algorithm with its options.

    Attributes:
        name: of the algorithm.
        algorithm: what it is.
        options: all of them, defaults included.
    """

    name: str
    algorithm: Algorithm
    options: Mapping[str, Any]

    @property
    def loss_options(self) -> dict[str, Any]:
        """The options that the loss takes itself."""
        apart = {*COMMON, *self.algorithm.row_options}
        return {name: value for name, value in self.options.items() if name not in apart}

    def rows(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The rows that are trained on."""
        if not self.algorithm.rows:
            return rows
        options = {name: self.options[name] for name in self.algorithm.row_options}
        found: Sequence[Any] = attribute(self.algorithm.rows)(rows, **options)
        return found


def algorithm(text: str) -> NamedAlgorithm:
    """The algorithm that a text names.

    Args:
        text: `name` or `name?option=value&option=value`.

    Raises:
        InputError: if the algorithm or an option is not known, or a value is none that the option can have.
    """
    name, options = parsed(text, {name: a.options for name, a in ALGORITHMS.items()}, noun="algorithm")
    return NamedAlgorithm(name, ALGORITHMS[name], options)
