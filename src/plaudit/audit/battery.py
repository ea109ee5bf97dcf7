"""An audit of a reward on preference pairs: every check that the pairs and the reward allow, and a verdict.

The families, in this order: accuracy (better than a coin and than rules that never read the text, and how much got no
reward), calibration, biases (counterfactual rewrites), attacks, consistency, fairness. Each gives checks
(`plaudit.audit.checks`); what cannot be measured is a grey check that says why, so that an audit's list of names does
not depend on luck. Everything is scored through one `Scored`, so no text is paid for twice.

With a true reward (a world, a verifier, a second judge that is trusted) the biases are net of what a change is truly
worth and groups are matched. Without one the checks say what the reward does, and whether it is right they cannot say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit._json import from_json, to_json
from plaudit.audit.biases.effects import Counterfactual, audit_biases
from plaudit.audit.biases.results import BiasEffect
from plaudit.audit.checks import Check, Light, not_measured
from plaudit.audit.fairness.checks import Attribute, fairness_checks
from plaudit.audit.findings import Findings, Thresholds
from plaudit.audit.scored import Scored
from plaudit.audit.verdict import Verdict, judge
from plaudit.errors import InputError, nearest
from plaudit.evaluation.baselines import strongest
from plaudit.evaluation.pairs import evaluate_pairs, judged_sides, prompt_key
from plaudit.evaluation.results import PairEvaluation
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Reward, RewardBatch
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import wilson

FAMILIES = ("accuracy", "calibration", "bias", "attack", "consistency", "fairness")
"""What an audit consists of; the first always runs, for it is what the verdict starts from."""
LIGHT_ORDER = ("green", "amber", "red")
LIGHTS = ("red", "amber")
"""Lights that may fail a build."""
TrueReward = Callable[[Sequence[Sample]], RewardBatch]
"""The true reward of samples, where something is trusted to know it."""


@dataclass(frozen=True)
class AuditConfig:
    """How an audit is made.

    Raises:
        InputError: if a family is not known, or a number is out of range.
    """

    seed: int = 0
    """Of every bootstrap, split and search."""

    prompts: int = 200
    """Prompts whose completions are rewritten and attacked; accuracy, calibration and groups use all pairs."""

    resamples: int = 2000
    """Resamples of each bootstrap."""

    min_group: int = 30
    """Pairs below which a group is not measured."""

    groups: tuple[str, ...] = ()
    """Columns by which fairness is measured, `COLUMN` or `COLUMN:WHOSE` (author, subject, annotator, completion)."""

    skip: tuple[str, ...] = ()
    """Families that are left out, and named among what was not tested."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Check or family to the number from which it matters, in place of its own."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Check (`paraphrase`, `translation`, `order`) to the column that holds the other version of each pair."""

    search_budget: int = 2000
    """Samples that each search (null model, back door, black box) may have scored."""

    fail_on: tuple[str, ...] = ()
    """What makes the command exit with 1: `red`, `amber`, `worse` (than the baseline), a check or a family's name."""

    def __post_init__(self) -> None:
        for name in self.skip:
            if name not in FAMILIES[1:]:
                raise InputError(f"audit: skip has {name!r}; {nearest(name, FAMILIES[1:])}")
        for name in ("prompts", "resamples", "min_group", "search_budget"):
            if getattr(self, name) < 1:
                raise InputError(f"audit: {name} is {getattr(self, name)}; give at least 1")
        if self.search_budget < 0:
            raise InputError(
                f"audit: search_budget is {self.search_budget}; it counts rewards, 0 leaves the search out"
            )
        for name in self.fail_on:
            if name not in (*LIGHTS, "worse", *FAMILIES) and name.split("/")[0] not in FAMILIES:
                raise InputError(f"audit: fail_on has {name!r}; {nearest(name, (*LIGHTS, 'worse', *FAMILIES))}")
        for name in self.thresholds:
            if name.split("/")[0] not in FAMILIES:
                raise InputError(f"audit: threshold of {name!r}; {nearest(name.split('/')[0], FAMILIES)}")


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        reward: the reward's name.
        fingerprint: of the reward with its options.
        n_pairs: pairs it was audited on.
        n_prompts: their distinct prompts.
        checks: all of them, by family.
        verdict: what the reward may be used for.
        evaluation: the reward on the pairs, in full.
        calls: samples that were scored.
        seconds: the whole audit took.
    """

    reward: str
    fingerprint: str
    n_pairs: int
    n_prompts: int
    checks: tuple[Check, ...]
    verdict: Verdict
    evaluation: PairEvaluation
    calls: int
    seconds: float

    def lights(self) -> dict[Light, int]:
        """Number of checks of each colour; every colour is there."""
        found: dict[Light, int] = {"red": 0, "amber": 0, "green": 0, "grey": 0}
        for check in self.checks:
            found[check.light] += 1
        return found

    def metrics(self) -> dict[str, Estimate]:
        """The numbers of the checks by name; what was not measured is left out."""
        return {c.name: c.evidence for c in self.checks if c.evidence is not None}

    def to_dict(self) -> dict[str, Any]:
        """The audit as JSON takes it; each check with its light."""
        row: dict[str, Any] = to_json(replace(self, checks=()))
        return {**row, "checks": [c.to_dict() for c in self.checks]}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Audit:
        """The inverse of `to_dict`."""
        bare = from_json(cls, {**row, "checks": []})
        return replace(bare, checks=tuple(Check.from_dict(c) for c in row.get("checks", ())))


def audit_reward(
    pairs: Sequence[Pair],
    reward: Reward | Comparison,
    *,
    config: AuditConfig | None = None,
    true_reward: TrueReward | None = None,
    counterfactual: Counterfactual | None = None,
    logit_scale: float | None = None,
    probability: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    vocabulary: Sequence[str] = (),
    report: Callable[[str], object] | None = None,
) -> Audit:
    """Runs every check.

    Args:
        pairs: at least one; better hundreds, held out from the reward's training.
        reward: a reward, or a comparison (of which only pairs, order and fairness can be checked).
        config: seed, sizes, groups, thresholds.
        true_reward: what is trusted to know better, where anything does; it judges labels and groups.
        counterfactual: rewrites whose true worth is known (a world's); the plain ones otherwise.
        logit_scale: log-odds per reward unit, where the reward is one of log-odds; None leaves calibration out.
        probability: a calibration's map from margins to probabilities, in place of the scale.
        vocabulary: words that a back door may hide behind, beside those of the completions (`tokenizer_words`).
        report: told which family is being run.

    Raises:
        InputError: if there is no pair, or a group column is in none.
    """
    config, started = config or AuditConfig(), time.monotonic()
    told = report or (lambda _: None)
    attributes = [Attribute.parse(g) for g in config.groups]
    told("accuracy")
    subject = _Subject.of(pairs, reward, true_reward, config.seed)
    evaluation = evaluate_pairs(
        pairs, subject.chosen, subject.rejected, true_chosen=subject.true_chosen, true_rejected=subject.true_rejected,
        logit_scale=logit_scale, probability=probability, seed=config.seed, resamples=config.resamples,
    )  # fmt: skip
    checks = _accuracy(evaluation)
    for family in FAMILIES[1:]:
        if family in config.skip:
            checks.append(not_measured(f"{family}/all", f"everything about {family}", "left out by the configuration"))
            continue
        told(family)
        if family == "calibration":
            checks.append(_calibration(evaluation))
        elif family == "bias":
            checks += _biases(subject, config, counterfactual)
        elif family == "attack":
            checks += _attacks(subject, config, vocabulary)
        elif family == "consistency":
            checks += _consistency(subject, config)
        else:
            checks += fairness_checks(
                pairs, subject.chosen, subject.rejected, attributes, true_margin=subject.true_margin,
                min_group=config.min_group, seed=config.seed, resamples=config.resamples,
            )  # fmt: skip
    checks = [_with_threshold(c, config.thresholds) for c in checks]
    verdict = judge(_findings(evaluation, checks), thresholds=_limits(config))
    calls = subject.scored.calls if subject.scored is not None else 2 * len(pairs)
    return Audit(
        reward.name, reward.fingerprint, len(pairs), evaluation.n_prompts, tuple(checks), verdict, evaluation, calls,
        time.monotonic() - started,
    )  # fmt: skip


def tokenizer_words(reward: object) -> list[str]:
    """The words of a reward model's tokenizer: every token of three letters or more that begins a word.

    Args:
        reward: any reward; one without a tokenizer has none.
    """
    tokenizer = getattr(reward, "tokenizer", None)
    vocabulary = {} if tokenizer is None else tokenizer.get_vocab()
    words = {token.lstrip("\u0120\u2581") for token in vocabulary if not token.startswith("##")}
    return sorted(w for w in words if len(w) >= 3 and w.isalpha())


@dataclass(frozen=True)
class _Subject:
    """The pairs with what the reward, and the truth where there is one, make of them."""

    pairs: Sequence[Pair]
    chosen: RewardBatch
    rejected: RewardBatch
    scored: Scored | None
    comparison: Comparison | None
    truth: TrueReward | None
    true_chosen: NDArray[np.float64] | None
    true_rejected: NDArray[np.float64] | None

    @classmethod
    def of(cls, pairs: Sequence[Pair], reward: Reward | Comparison, truth: TrueReward | None, seed: int) -> _Subject:
        if not pairs:
            raise InputError("audit: there is no pair; give held-out preference pairs")
        samples = [s for p in pairs for s in p.samples()]
        even = np.arange(0, len(samples), 2)
        true = None if truth is None else truth(samples).reward
        scored = Scored.wrap(reward) if isinstance(reward, Reward) else None
        if scored is not None:
            batch = scored(samples)
            chosen, rejected = batch.take(even), batch.take(even + 1)
        else:
            assert isinstance(reward, Comparison)
            chosen, rejected = judged_sides(reward, samples[::2], samples[1::2], seed=seed)
        return cls(
            pairs, chosen, rejected, scored, reward if isinstance(reward, Comparison) else None, truth,
            None if true is None else true[even], None if true is None else true[even + 1],
        )  # fmt: skip

    @property
    def judge(self) -> Reward | Comparison:
        """What is audited, with what it has scored."""
        judge = self.scored if self.scored is not None else self.comparison
        assert judge is not None
        return judge

    @property
    def true_margin(self) -> NDArray[np.float64] | None:
        if self.true_chosen is None or self.true_rejected is None:
            return None
        return self.true_chosen - self.true_rejected

    def first(self, prompts: int) -> list[Pair]:
        """The pairs of the first so many prompts."""
        seen: set[str] = set()
        kept = []
        for pair in self.pairs:
            key = prompt_key(pair)
            if key not in seen and len(seen) == prompts:
                continue
            seen.add(key)
            kept.append(pair)
        return kept


def _accuracy(e: PairEvaluation) -> list[Check]:
    """Better than a coin, better than a rule that never reads the text, and how much got no reward."""
    judged = e.truth or e
    by = "the true reward" if e.truth else "the labels"
    rule = strongest(judged.baselines)
    says = f"share of pairs ranked as by {by}, ties half; 0.5 is a coin"
    found = [Check("accuracy/coin", says, judged.accuracy, 0.5, "below", fix="Get more or cleaner pairs.")]
    name = f"“{rule.name}”" if rule else "the best rule that never reads the text"
    says = f"accuracy beyond that of {name}, on the same pairs, judged by {by}"
    if rule is None:
        found.append(not_measured("accuracy/baseline", says, "no such rule can be measured on these pairs"))
    else:
        fix = "Get more or cleaner pairs, or a stronger backbone, until it beats rules that never read the text."
        found.append(Check("accuracy/baseline", says, rule.advantage, 0.0, "below", fix=fix))
    scored = sum(e.outcomes.get(k, 0) for k in ("scored", "policy_fault"))
    lost = ", ".join(f"{n} {k}" for k, n in e.outcomes.items() if k not in ("scored", "policy_fault"))
    says = f"share of pairs without a reward{f' ({lost})' if lost else ''}; failures can hide there"
    fix = "Find out why completions get no reward; give those that the candidate can cause the floor."
    share = wilson(e.n_pairs - scored, e.n_pairs)
    # a share of exactly 0 is not proof of at most 1% in few pairs, but neither is it a finding
    share = replace(share, high=0.0) if share.value == 0 else share
    found.append(Check("accuracy/unscored", says, share, Thresholds().unscored, left_out=e.n_pairs - scored, fix=fix))
    return found


def _calibration(e: PairEvaluation) -> Check:
    says = "expected calibration error of its probabilities, noise taken off"
    fix = "Fit a calibration map on held-out pairs with plaudit calibrate."
    if e.calibration_error_debiased is None:
        why = "its rewards are no log-odds, and no calibration is stored with it"
        return not_measured("calibration/error", says, why, fix=fix)
    return Check("calibration/error", says, e.calibration_error_debiased, Thresholds().calibration, fix=fix)


def _biases(subject: _Subject, config: AuditConfig, counterfactual: Counterfactual | None) -> list[Check]:
    """What a surface feature is worth, in within-prompt standard deviations of the reward."""
    says = "effect of surface features on the reward"
    if subject.scored is None:
        why = "a comparison gives no reward of one completion"
        return [not_measured("bias/all", says, why, fix="Audit it as shape/win-rate, which makes it one.")]
    samples = [s for p in subject.first(config.prompts) for s in p.samples()]
    if counterfactual is None and subject.truth is not None:
        counterfactual = _judged_rewrites(samples, subject.truth)
    spread = _unit(subject)
    audit = audit_biases(
        samples, subject.scored, counterfactual=counterfactual, true_std=spread, seed=config.seed,
        resamples=config.resamples,
    )  # fmt: skip
    return [_bias_check(e, audit.truth_known) for e in audit.effects]


def _bias_check(e: BiasEffect, truth_known: bool) -> Check:
    """A feature counts as a bias of its own only where its length does not explain it.

    Both numbers are right answers to different questions; the less harmful one decides, because a filler that the
    reward dislikes would make every other phrase look liked, and one that it likes would hide nothing.
    """
    says = f"what added {e.name} moves the reward by, in standard deviations within prompts"
    if not np.isfinite(e.effect.value):
        return not_measured(f"bias/{e.name}", says, "the rewrite applies nowhere, or gave no reward")
    worth = "beyond what that is truly worth" if truth_known else "whether rightly, these numbers cannot say"
    fix = "Balance the feature in the training pairs, or add counterfactual pairs, then audit again."
    limit = Thresholds().bias
    plain = Check(f"bias/{e.name}", f"{says}, {worth}", e.effect, limit, "outside", left_out=e.n_unscored, fix=fix)
    if e.net is None:
        return plain
    net = replace(plain, says=f"{says}, net of what as many neutral characters move it, {worth}", evidence=e.net)
    return min(plain, net, key=lambda c: (LIGHT_ORDER.index(c.light), c.excess))


def _judged_rewrites(samples: Sequence[Sample], truth: TrueReward) -> Counterfactual:
    """The plain rewrites, with what the true reward makes of them."""
    from plaudit.audit.biases.rewrites import BIASES, rewrite

    known: dict[tuple[str, str], tuple[Sample, float]] = {}
    base = truth(samples).reward
    for what in BIASES:
        changed = [(s, rewrite(s, what), u) for s, u in zip(samples, base, strict=True)]
        there = [(s, new, u) for s, new, u in changed if new is not None]
        worth = truth([new for _, new, _ in there]).reward if there else np.zeros(0)
        known |= {(s.key, what): (new, float(v - u)) for (s, new, u), v in zip(there, worth, strict=True)}
    return lambda sample, what: known.get((sample.key, what))


def _unit(subject: _Subject) -> float:
    """The true reward's standard deviation within prompts, from the pairs: half the mean squared difference."""
    margin = subject.true_margin
    known = np.zeros(0) if margin is None else margin[np.isfinite(margin)]
    return float(np.sqrt((known**2).mean() / 2)) or 1.0 if known.size else 1.0


def _with_threshold(check: Check, thresholds: Mapping[str, float]) -> Check:
    for name in (check.name, check.family):
        if name in thresholds:
            return replace(check, threshold=float(thresholds[name]))
    return check


def _limits(config: AuditConfig) -> Thresholds:
    """The verdict's own thresholds, where the configuration moves them."""
    t, base = config.thresholds, Thresholds()
    return replace(
        base,
        bias=t.get("bias", base.bias),
        calibration=t.get("calibration/error", t.get("calibration", base.calibration)),
        unscored=t.get("accuracy/unscored", base.unscored),
    )


def _findings(e: PairEvaluation, checks: Sequence[Check]) -> Findings:
    judged = e.truth or e
    rule = strongest(judged.baselines)
    scored = sum(e.outcomes.get(k, 0) for k in ("scored", "policy_fault"))
    return Findings(
        accuracy=judged.accuracy,
        baseline=rule.name if rule else "",
        advantage=rule.advantage if rule else None,
        calibration_error=e.calibration_error_debiased,
        biases={c.name.split("/", 1)[1]: c.evidence for c in checks if c.family == "bias" and c.evidence is not None},
        unscored=1 - scored / e.n_pairs,
        consistency=e.truth.correlation if e.truth else None,
        checks=tuple(c for c in checks if c.family in ("attack", "consistency", "fairness")),
    )


def _attacks(subject: _Subject, config: AuditConfig, vocabulary: Sequence[str]) -> list[Check]:
    """All attacks but those on style, which the biases are."""
    from plaudit.audit.attacks.running import ATTACKS, run_attacks

    kind = "reward" if subject.scored is not None else "comparison"
    names = [name for name, attack in ATTACKS.items() if attack.needs == kind and name != "style"]
    found = run_attacks(
        subject.pairs, subject.judge, only=names, budget=config.search_budget, prompts=config.prompts,
        truth=subject.truth, vocabulary=vocabulary, seed=config.seed, resamples=config.resamples,
    )  # fmt: skip
    return list(found)


def _consistency(subject: _Subject, config: AuditConfig) -> list[Check]:
    from plaudit.audit.consistency.running import run_consistency

    pairs = subject.first(config.prompts)
    return list(
        run_consistency(pairs, subject.judge, columns=config.columns, seed=config.seed, resamples=config.resamples)
    )
