"""An audit of a reward on preference pairs: every check that the pairs and the reward allow, and a verdict.

The families, in this order: accuracy (better than a coin and than rules that never read the text, how much got no
reward, what its picks are truly worth), calibration, biases (counterfactual rewrites), attacks, consistency, fairness.
Each gives checks (`plaudit.audit.checks`); what cannot be measured is a grey check that says why, so that an audit's
list of names does not depend on luck. Everything is scored through one `Scored` (`ComparedOnce` for a comparison), and
so is the truth, so that nothing is paid for twice.

With a true reward (a world, a verifier, a second judge that is trusted) the biases are net of what a change is truly
worth and groups are matched. Without one the checks say what the reward does, and whether it is right they cannot say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit._json import from_json, to_json
from plaudit.audit.accuracy import accuracy_checks, untested
from plaudit.audit.biases.effects import Counterfactual
from plaudit.audit.checks import Check, Light, not_measured
from plaudit.audit.columns import column_attacks, several_answers_check
from plaudit.audit.config import FAMILIES, AuditConfig
from plaudit.audit.fairness.attributes import Attribute
from plaudit.audit.fairness.checks import fairness_checks
from plaudit.audit.families import (
    attack_checks,
    bias_checks,
    calibration_check,
    consistency_checks,
)
from plaudit.audit.findings import Findings, Thresholds
from plaudit.audit.selection import selection
from plaudit.audit.subject import Subject, TrueReward
from plaudit.audit.verdict import Verdict, judge
from plaudit.evaluation.baselines import strongest
from plaudit.evaluation.pairs import evaluate_pairs
from plaudit.evaluation.results import PairEvaluation
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Comparison, Reward
from plaudit.stats.estimate import Estimate

_DEMANDS = ("accuracy/coin", "accuracy/baseline")
"""Checks whose own thresholds the verdict has fixed: the chance of a coin, and that of a rule."""


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
        calls: samples that were scored; of a comparison, comparisons that were asked.
        seconds: the whole audit took.
        pairs: hash of the pairs' texts, in any order; empty in audits that were stored without.
        asked: how much was asked of it, in words.
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
    pairs: str = ""
    asked: str = ""

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
    candidates: Sequence[Sample] = (),
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
        candidates: many completions of each of some prompts, for what the reward's picks among them are truly worth.
        vocabulary: words that a back door may hide behind, beside those of the completions (`tokenizer_words`).
        report: told which family is being run.

    Raises:
        InputError: if there is no pair, or a group column is in none.
    """
    config, started = config or AuditConfig(), time.monotonic()
    told = report or (lambda _: None)
    attributes = [Attribute.parse(g) for g in config.groups]
    told("accuracy")
    subject = Subject.of(pairs, reward, true_reward, config.seed)
    evaluation = evaluate_pairs(
        pairs, subject.chosen, subject.rejected, true_chosen=subject.true_chosen, true_rejected=subject.true_rejected,
        logit_scale=logit_scale, probability=probability, seed=config.seed, resamples=config.resamples,
    )  # fmt: skip
    checks = accuracy_checks(subject, evaluation, seed=config.seed, resamples=config.resamples)
    picks = selection(candidates, subject, config)
    checks += picks.checks
    _ask_ahead(subject, config, counterfactual)
    for family in FAMILIES[1:]:
        if family in config.skip:
            checks.append(not_measured(f"{family}/all", f"everything about {family}", "left out by the configuration"))
            continue
        told(family)
        if family == "calibration":
            checks.append(calibration_check(evaluation))
        elif family == "bias":
            checks += bias_checks(subject, config, counterfactual)
        elif family == "attack":
            checks += [*attack_checks(subject, config, vocabulary), *column_attacks(subject, config)]
        elif family == "consistency":
            checks += [*consistency_checks(subject, config), several_answers_check(subject, config)]
        else:
            checks += fairness_checks(
                pairs, subject.chosen, subject.rejected, attributes, true_margin=subject.true_margin,
                true_sides=subject.true_sides, stratum=config.stratum, scores=subject.scored is not None,
                min_group=config.min_group, seed=config.seed, resamples=config.resamples,
            )  # fmt: skip
    checks = [_with_threshold(_explained(c), config.thresholds) for c in checks]
    findings = _findings(evaluation, checks, config.thresholds, untested(subject))
    verdict = judge(replace(findings, curve=picks.curve, turn=picks.turn), thresholds=_limits(config))
    judge_ = subject.scored or subject.comparison
    return Audit(
        reward.name, reward.fingerprint, len(pairs), evaluation.n_prompts, tuple(checks), verdict, evaluation,
        0 if judge_ is None else judge_.calls, time.monotonic() - started,
        content_hash(sorted(s.key for p in pairs for s in p.samples())), subject.asked,
    )  # fmt: skip


def _ask_ahead(subject: Subject, config: AuditConfig, counterfactual: Counterfactual | None) -> None:
    """Scores in one call what the checks will ask for: all rewrites and attacks of a prompt then share its tokens.

    The checks are rehearsed on made-up rewards, which tells what they ask; what a search asks cannot be known.
    """
    if subject.scored is None or subject.scored.scope != "sample":
        return
    once = replace(config, resamples=1)
    with subject.scored.rehearsal() as asked:
        if "bias" not in config.skip:
            bias_checks(subject, once, counterfactual)
        if "attack" not in config.skip:
            attack_checks(subject, once, (), searches=False)
    # texts of one prompt side by side: they share its tokens also where a log cuts the call into pieces
    subject.scored(sorted(asked, key=lambda s: content_hash([m.to_dict() for m in s.prompt])))


def tokenizer_words(reward: object) -> list[str]:
    """The words of a reward model's tokenizer: every token of three letters or more that begins a word.

    Args:
        reward: any reward; one without a tokenizer has none.
    """
    tokenizer = getattr(reward, "tokenizer", None)
    vocabulary = {} if tokenizer is None else tokenizer.get_vocab()
    words = {token.lstrip("\u0120\u2581") for token in vocabulary if not token.startswith("##")}
    return sorted(w for w in words if len(w) >= 3 and w.isalpha())


def _explained(check: Check) -> Check:
    """A number that came out as none is grey, and says why."""
    if check.evidence is None or not math.isnan(check.evidence.value):
        return check
    return replace(check, evidence=None, skipped="too few prompts have all the rewards that it needs")


def _with_threshold(check: Check, thresholds: Mapping[str, float]) -> Check:
    """A family's number is that of its checks with harm above it; a share that is harmful *below* needs its own."""
    if check.name in thresholds:
        return replace(check, threshold=float(thresholds[check.name]))
    if check.family in thresholds and check.harm != "below":
        return replace(check, threshold=float(thresholds[check.family]))
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


def _findings(e: PairEvaluation, checks: Sequence[Check], thresholds: Mapping[str, float], why_not: str) -> Findings:
    judged = e.truth or e
    rule = strongest(judged.baselines)
    shown = {c.name: c.evidence for c in checks if c.evidence is not None}
    scored = sum(e.outcomes.get(k, 0) for k in ("scored", "policy_fault"))
    return Findings(
        accuracy=shown.get("accuracy/coin", Estimate(math.nan, method="not measured")),
        baseline=rule.name if rule else "",
        advantage=shown.get("accuracy/baseline"),
        calibration_error=e.calibration_error_debiased,
        biases={c.name.split("/", 1)[1]: c.evidence for c in checks if c.family == "bias" and c.evidence is not None},
        unscored=1 - scored / e.n_pairs,
        consistency=e.truth.correlation if e.truth else None,
        # a demand on accuracy that the user made is a cause of its own beside the coin and the rules
        checks=tuple(
            c
            for c in checks
            if c.family in ("attack", "consistency", "fairness")
            or (c.name in thresholds and c.name in _DEMANDS)
            or (c.light == "grey" and c.family in ("bias", "accuracy"))
        ),
        unscored_share=shown.get("accuracy/unscored"),
        bias_limits={c.name.split("/", 1)[1]: c.threshold for c in checks if c.family == "bias"},
        untested=why_not,
    )
