"""Accuracy as checks of an audit: better than a coin, than rules that never read the text; how much got no reward.

Two things look alike in a number and are not. A reward that gives both completions of every pair the same value is at
one half exactly, and no further pair would move it: that is a fault, and red. Pairs whose completions are the same
text, or a true reward that judges none of them, are at one half or at nothing *whatever the reward is*: these pairs
cannot tell, and the checks are grey.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.findings import Thresholds
from plaudit.audit.subject import Subject
from plaudit.evaluation.baselines import Baseline, baseline_margins, correctness, strongest
from plaudit.evaluation.pairs import prompt_key
from plaudit.evaluation.results import PairEvaluation
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import signed_share, wilson

Floats = NDArray[np.float64]
FEWEST = 4
"""Prompts below which a tie on all of them is no fault yet, as nothing is attacked in fewer."""


def accuracy_checks(subject: Subject, e: PairEvaluation, *, seed: int = 0, resamples: int = 2000) -> list[Check]:
    """Better than a coin, better than a rule that never reads the text, and how much got no reward.

    Args:
        subject: what is audited, with the pairs.
        e: the reward on the pairs; where it holds the truth, that judges.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    return [*_ranking(subject, e, seed, resamples), _unscored(e)]


def untested(subject: Subject) -> str:
    """Why these pairs can say nothing of any reward's accuracy, in a clause; empty where they can.

    Args:
        subject: what is audited.
    """
    if not _different(subject).any():
        return "the two completions of every pair are the same text"
    if subject.true_margin is None:
        return ""
    margin = subject.true_margin[_different(subject)]
    if not np.isfinite(margin).any():
        return "the true reward gave no pair a reward for both of its completions"
    if not np.any(margin[np.isfinite(margin)]):
        return "the true reward is the same for both completions of every pair that it judged"
    return ""


def _ranking(subject: Subject, e: PairEvaluation, seed: int, resamples: int) -> list[Check]:
    judged = e.truth or e
    by = "the true reward" if e.truth else "the labels"
    rule = strongest(judged.baselines)
    name = f"“{rule.name}”" if rule else "the best rule that never reads the text"
    says = (
        f"share of pairs ranked as by {by}, ties half; 0.5 is a coin",
        f"accuracy beyond that of {name}, on the same pairs, judged by {by}",
    )
    fixes = (
        "Get more or cleaner pairs.",
        "Get more or cleaner pairs, or a stronger backbone, until it beats rules that never read the text.",
    )
    known = _known(subject)
    why = untested(subject) or ("" if known.any() else "no pair has all the rewards that it needs")
    if why:
        fix = "Give pairs whose completions differ, and a true reward (if any) that judges them."
        names = ("accuracy/coin", "accuracy/baseline")
        return [not_measured(n, s, why, fix=fix) for n, s in zip(names, says, strict=True)]
    fault = _tied(subject, known)
    coin = _kept(judged.accuracy, subject, known) if fault else _wide(judged.accuracy)
    # below `FEWEST` prompts a tie on all of them shows nothing yet
    found = [Check("accuracy/coin", _with(says[0], fault), coin, 0.5, "below", fix=fixes[0], fault=_shown(coin, fault))]
    if rule is None:
        return [*found, not_measured("accuracy/baseline", says[1], "no such rule can be measured on these pairs")]
    advantage = _advantage(subject, rule, known, seed, resamples)
    return [
        *found,
        Check("accuracy/baseline", _with(says[1], fault), advantage, 0.0, "below", fix=fixes[1],
              fault=_shown(coin, fault)),
    ]  # fmt: skip


def _different(subject: Subject) -> NDArray[np.bool_]:
    """(n,) True where a pair's completions are not the same."""
    return np.array([p.chosen != p.rejected for p in subject.pairs], dtype=np.bool_)


def _known(subject: Subject) -> NDArray[np.bool_]:
    """(n,) True where a pair's completions differ, both have a reward, and the truth (if any) prefers one."""
    known = _different(subject) & np.isfinite(_margin(subject))
    if subject.true_margin is not None:
        known &= np.isfinite(subject.true_margin) & (subject.true_margin != 0)
    return known


def _margin(subject: Subject) -> Floats:
    return np.asarray(subject.chosen.reward - subject.rejected.reward, dtype=np.float64)


def _tied(subject: Subject, known: NDArray[np.bool_]) -> str:
    """What is wrong with a reward that prefers no completion of any pair; empty where it prefers one."""
    if np.any(_margin(subject)[known]):
        return ""
    values = np.concatenate([subject.chosen.reward[known], subject.rejected.reward[known]])
    if subject.scored is not None and np.all(values == values[0]):
        return "it gives every completion the same reward, and more pairs would not change that"
    return "it prefers no completion of any pair, and more pairs would not change that"


def _wide(accuracy: Estimate) -> Estimate:
    """Where all prompts agree (one pair right and one wrong in each), an interval with a width."""
    if not accuracy.low == accuracy.high:
        return accuracy
    return wilson(accuracy.n * accuracy.value, accuracy.n)


def _kept(accuracy: Estimate, subject: Subject, known: NDArray[np.bool_]) -> Estimate:
    """A half, from so few prompts without an interval."""
    prompts = len({prompt_key(p) for p, k in zip(subject.pairs, known, strict=True) if k})
    if prompts >= FEWEST:
        return accuracy
    return Estimate(accuracy.value, n=prompts, method=f"ties on all of {prompts} prompts: no interval")


def _shown(coin: Estimate, fault: str) -> str:
    return "" if "no interval" in coin.method else fault


def _with(says: str, fault: str) -> str:
    return f"{says}; {fault}" if fault else says


def _advantage(
    subject: Subject, rule: Baseline, known: NDArray[np.bool_], seed: int, resamples: int
) -> Estimate:  # fmt: skip
    """Its advantage; where the bootstrap has no width, an interval that has one."""
    found = rule.advantage
    if not found.low == found.high:
        return found
    side = np.ones(len(known)) if subject.true_margin is None else np.sign(subject.true_margin)
    own, other = (correctness(m * side) for m in (_margin(subject), baseline_margins(subject.pairs)[rule.name]))
    difference = np.where(known, own - other, np.nan)
    return signed_share(difference, [prompt_key(p) for p in subject.pairs], seed=seed, resamples=resamples)


def _unscored(e: PairEvaluation) -> Check:
    scored = sum(e.outcomes.get(k, 0) for k in ("scored", "policy_fault"))
    lost = ", ".join(f"{n} {k}" for k, n in e.outcomes.items() if k not in ("scored", "policy_fault"))
    says = f"share of pairs without a reward{f' ({lost})' if lost else ''}; failures can hide there"
    fix = "Find out why completions get no reward; give those that the candidate can cause the floor."
    share = wilson(e.n_pairs - scored, e.n_pairs)  # none of few pairs is no proof of at most 1%
    return Check("accuracy/unscored", says, share, Thresholds().unscored, left_out=e.n_pairs - scored, fix=fix)
