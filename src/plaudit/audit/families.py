"""The families of checks that need the whole subject: calibration, biases, attacks, consistency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plaudit.audit.attacks.ground import FEWEST
from plaudit.audit.biases.effects import Counterfactual, audit_biases
from plaudit.audit.biases.results import BiasEffect
from plaudit.audit.biases.rewrites import BIASES
from plaudit.audit.checks import Check, Example, milder, not_measured
from plaudit.audit.config import AuditConfig
from plaudit.audit.findings import Thresholds
from plaudit.audit.scored import Scored
from plaudit.audit.subject import Subject, TrueReward
from plaudit.evaluation.results import PairEvaluation
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key


def calibration_check(e: PairEvaluation) -> Check:
    """Whether its probabilities can be believed; grey where it says none.

    Args:
        e: the reward on the pairs.
    """
    says = "expected calibration error of its probabilities, noise taken off"
    fix = "Fit a calibration map on held-out pairs with plaudit calibrate."
    if e.calibration_error_debiased is None:
        why = "its rewards are no log-odds, and no calibration is stored with it"
        return not_measured("calibration/error", says, why, fix=fix)
    return Check("calibration/error", says, e.calibration_error_debiased, Thresholds().calibration, fix=fix)


def bias_checks(subject: Subject, config: AuditConfig, counterfactual: Counterfactual | None) -> list[Check]:
    """What a surface feature is worth, in within-prompt standard deviations of the reward.

    Args:
        subject: what is audited; a comparison gives one grey check.
        config: seed, prompts, resamples.
        counterfactual: rewrites whose true worth is known; None for the plain ones, judged by any truth.
    """
    says = "effect of surface features on the reward"
    if subject.scored is None:
        why = "a comparison gives no reward of one completion"
        return [not_measured("bias/all", says, why, fix="Audit it as shape/win-rate, which makes it one.")]
    if subject.scored.scope == "batch":
        why = "the reward scores the whole batch together, so no single change can be judged"
        return [not_measured(f"bias/{name}", f"what added {name} moves the reward by", why) for name in BIASES]
    pairs = subject.drawn(config.prompts, seed=config.seed)
    samples = [s for p in pairs for s in p.samples()]
    known = np.isfinite(subject.scored(samples).reward)
    scored = {prompt_key(p) for p, a, b in zip(pairs, known[::2], known[1::2], strict=True) if a and b}
    if len(scored) < FEWEST:
        why = f"{len(scored)} prompts have two completions with a reward, and {FEWEST} are needed"
        return [not_measured(f"bias/{name}", f"what added {name} moves the reward by", why) for name in BIASES]
    if counterfactual is None and subject.truth is not None:
        counterfactual = _judged_rewrites(samples, subject.truth)
    spread = _unit(subject)
    audit = audit_biases(
        samples, subject.scored, counterfactual=counterfactual, true_std=spread, seed=config.seed,
        resamples=config.resamples,
    )  # fmt: skip
    checks = [_bias_check(e, audit.truth_known) for e in audit.effects]
    return [
        replace(c, examples=_most_moved(c, samples, subject.scored, counterfactual)) if c.light == "red" else c
        for c in checks
    ]


def _most_moved(
    check: Check, samples: Sequence[Sample], scored: Scored, counterfactual: Counterfactual | None, k: int = 3
) -> tuple[Example, ...]:
    """The completions that a rewrite moves furthest in the harmful direction; all were scored before."""
    from plaudit.audit.biases.rewrites import rewrite

    what = check.name.split("/", 1)[1]
    found = [counterfactual(s, what) if counterfactual is not None else (rewrite(s, what), 0.0) for s in samples]
    both = [(s, f[0]) for s, f in zip(samples, found, strict=True) if f is not None and f[0] is not None]
    before, after = (scored([pair[i] for pair in both]).reward for i in (0, 1))
    sign = 1.0 if check.evidence is None or check.evidence.value > 0 else -1.0
    order = np.argsort(-np.nan_to_num(sign * (after - before), nan=-np.inf), kind="stable")[:k]
    return tuple(
        Example(
            "\n\n".join(f"{m.role}: {m.text}" for m in both[i][0].prompt),
            both[i][0].text,
            "" if (new := both[i][1]) is None else new.text,
            float(before[i]),
            float(after[i]),
            f"{what} added",
        )
        for i in order
        if np.isfinite(after[i] - before[i])
    )


def _bias_check(e: BiasEffect, truth_known: bool) -> Check:
    """A feature counts as a bias of its own only where its length does not explain it.

    Both numbers are right answers to different questions; the less harmful one decides, because a filler that the
    reward dislikes would make every other phrase look liked, and one that it likes would hide nothing.
    """
    says = f"what added {e.name} moves the reward by, in standard deviations within prompts"
    if not np.isfinite(e.effect.value):
        if np.isfinite(e.raw.value):
            why = "the true reward judged no rewritten completion"
        elif e.n_samples:
            why = "the reward is the same for all completions of a prompt, so there is no deviation to measure in"
        else:
            why = "no rewritten completion got a reward" if e.n_unscored else "the rewrite applies to no completion"
        return not_measured(f"bias/{e.name}", says, why)
    if e.effect.n < FEWEST:
        why = f"{e.effect.n} prompts have a rewritten completion with a reward, and {FEWEST} are needed"
        return not_measured(f"bias/{e.name}", says, why)
    worth = "beyond what that is truly worth" if truth_known else "whether rightly, these numbers cannot say"
    fix = "Balance the feature in the training pairs, or add counterfactual pairs, then audit again."
    limit = Thresholds().bias
    plain = Check(f"bias/{e.name}", f"{says}, {worth}", e.effect, limit, "outside", left_out=e.n_unscored, fix=fix)
    if e.net is None:
        return plain
    net = replace(plain, says=f"{says}, net of what as many neutral characters move it, {worth}", evidence=e.net)
    return milder(plain, net)


def _judged_rewrites(samples: Sequence[Sample], truth: TrueReward) -> Counterfactual:
    """The plain rewrites, with what the true reward makes of them."""
    from plaudit.audit.biases.rewrites import rewrite

    known: dict[tuple[str, str], tuple[Sample, float]] = {}
    base = truth(samples).reward
    for what in BIASES:
        changed = [(s, rewrite(s, what), u) for s, u in zip(samples, base, strict=True)]
        there = [(s, new, u) for s, new, u in changed if new is not None]
        worth = truth([new for _, new, _ in there]).reward if there else np.zeros(0)
        known |= {(s.key, what): (new, float(v - u)) for (s, new, u), v in zip(there, worth, strict=True)}
    return lambda sample, what: known.get((sample.key, what))


def _unit(subject: Subject) -> float:
    """The true reward's standard deviation within prompts, from the pairs: half the mean squared difference."""
    margin = subject.true_margin
    known = np.zeros(0) if margin is None else margin[np.isfinite(margin)]
    return float(np.sqrt((known**2).mean() / 2)) or 1.0 if known.size else 1.0


SEARCHES = ("null-model", "back-door", "search")
"""Attacks whose texts depend on what the reward says of others: they cannot be asked for beforehand."""


def attack_checks(
    subject: Subject, config: AuditConfig, vocabulary: Sequence[str], *, searches: bool = True
) -> list[Check]:
    """All attacks but those on style, which the biases are.

    Args:
        subject: what is audited.
        config: seed, prompts, budget of the searches.
        vocabulary: words that a back door may hide behind.
        searches: whether those that search are made, too.
    """
    from plaudit.audit.attacks.running import ATTACKS, run_attacks

    kind = "reward" if subject.scored is not None else "comparison"
    left = ("style",) if searches else ("style", *SEARCHES)
    names = [name for name, attack in ATTACKS.items() if attack.needs == kind and name not in left]
    pairs = subject.drawn(config.prompts, seed=config.seed)
    found = run_attacks(
        pairs, subject.judge, only=names, budget=config.search_budget, prompts=config.prompts,
        truth=subject.truth, vocabulary=vocabulary, seed=config.seed, resamples=config.resamples,
    )  # fmt: skip
    return list(found)


def consistency_checks(subject: Subject, config: AuditConfig) -> list[Check]:
    """Whether it contradicts itself.

    Args:
        subject: what is audited.
        config: seed, prompts, columns of other versions.
    """
    from plaudit.audit.consistency.running import run_consistency

    pairs = subject.drawn(config.prompts, seed=config.seed)
    return list(
        run_consistency(pairs, subject.judge, columns=config.columns, seed=config.seed, resamples=config.resamples)
    )
