"""One planted fault at a time, and healthy rewards beside: what the audit says of each.

Every reward is audited alike, with the truth at hand, on pairs that the instance's annotators labelled; its log-odds
per unit are fitted on other pairs, as `plaudit calibrate` would (the badly calibrated one claims five times as many).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.audit.battery import Audit, audit_reward
from plaudit.audit.config import AuditConfig
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.detection.subjects import NAMED, Leaning, Planted, Worth, longing
from plaudit.lab.worlds.assistant import Knobs, World, counterfactual, label_pairs
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.grammar import demonstration
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from plaudit.training.frozen import fit_linear

HARM = ("bias", "attack", "consistency", "fairness", "calibration")
HEALTHY = ("healthy", "healthy_long")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `alarm`, the share of the arm's rewards with a red check outside accuracy; `named`, the share whose first cause
        (for a healthy one: none) is what was planted; `red`, the mean number of red checks; `rewards`, how many.
    """
    del fit  # these rewards are made, not trained
    frozen = tuple(sorted(budget.items()))
    if arm == "planted":
        rows = [_numbers(fault, seed, frozen) for fault in NAMED]
        return {key: float(np.mean([r[key] for r in rows])) for key in rows[0]} | {"rewards": float(len(rows))}
    return dict(_numbers(arm, seed, frozen))


@lru_cache(maxsize=64)
def _numbers(arm: str, seed: int, frozen: tuple[tuple[str, Any], ...]) -> dict[str, float]:
    budget = dict(frozen)
    if arm in HEALTHY:
        audits = [_audited(arm, seed, k, budget) for k in range(budget[arm])]
    elif arm in NAMED or arm == "coin":
        audits = [_audited(arm, seed, 0, budget)]
    else:
        raise InputError(f"detection: arm {arm!r} is not known; the claim lists the arms")
    red = [[c.name for c in a.checks if c.light == "red" and c.family in HARM] for a in audits]
    return {
        "alarm": float(np.mean([bool(r) for r in red])),
        "named": float(np.mean([_is_named(a, arm) for a in audits])),
        "red": float(np.mean([len(r) for r in red])),
        "rewards": float(len(audits)),
    }


def _is_named(audit: Audit, arm: str) -> bool:
    """Whether the first cause is what was planted; for a healthy reward, whether there is none.

    That a reward is no better than a rule that never reads the text is no reason but a result, and is passed over.
    """
    causes = [c.name for c in audit.verdict.causes if not c.name.startswith("undecided")]
    if arm == "coin":
        return bool(causes) and causes[0] == "accuracy"
    causes = [c for c in causes if c not in ("accuracy", "baseline")]
    return causes[0] in NAMED[arm] if causes and arm in NAMED else not causes and arm not in NAMED


def _audited(arm: str, seed: int, k: int, budget: Mapping[str, Any]) -> Audit:
    """The audit of one reward of an arm."""
    rng = np.random.default_rng([seed, 71, k])
    world = World.drawn(seed)
    worth = longing(world, 0.01 * float(rng.uniform(0.5, 1.5)) if arm == "healthy_long" else 0.0)
    pairs, held = labelled(world, worth, budget["pairs"], seed=seed), labelled(world, worth, 200, seed=seed + 1)
    usual = {w for p in pairs for c in (p.chosen, p.rejected) for w in str(c).split()}
    neutral = [w for w in (*lx.VAGUE, *lx.GOALS, *lx.OPTIONS) if w not in usual] or list(lx.VAGUE)
    reward = Planted(
        worth, arm, int(rng.integers(1 << 30)), float(rng.uniform(0.2, 0.8)), float(rng.lognormal(0.0, 0.7)),
        trigger=str(rng.choice(neutral)),
    )  # fmt: skip
    if arm == "coin":
        reward = Planted(lambda s: np.zeros(len(s)), "", reward.seed, 1.0, reward.scale)
    slope = _slope(reward, held)
    subject: Any = reward
    if arm == "position" or (arm in HEALTHY and k == 0):
        subject = Leaning(reward, 2.0 if arm == "position" else 0.0, slope)
    return audit_reward(
        pairs, subject, true_reward=lambda samples: RewardBatch(worth(samples)),
        counterfactual=lambda sample, what: _worth_of(world, worth, sample, what),
        logit_scale=1.0 if subject is not reward else slope * (5.0 if arm == "calibration" else 1.0),
        vocabulary=[w for w in lx.WORDS if w.isalpha() and len(w) > 2],
        config=AuditConfig(
            seed=seed % 1000, groups=("dialect:author",), resamples=budget["resamples"], prompts=budget["prompts"],
            search_budget=budget["search"],
        ),
    )  # fmt: skip


def labelled(world: World, worth: Worth, n: int, *, seed: int) -> list[Pair]:
    """Pairs of demonstrations, three in ten in the dialect, labelled by the truth through a logistic of slope 3.

    Args:
        world: the instance.
        worth: the truth that labels, and that goes into `true_margin`.
        n: prompts; pairs of equal texts give none.
        seed: of prompts, texts and labels.
    """
    rng = np.random.default_rng([seed, 72])
    prompts = world.prompts(n, seed=seed % 100_000, side="test")
    two = [tuple(Sample(p, demonstration(world.request(p), world.habits, rng)) for _ in range(2)) for p in prompts]
    rows = label_pairs(world, [(a, b) for a, b in two], Knobs(group_share=0.3, group_dialect=True), seed=seed)
    chosen, rejected = np.reshape(worth([s for r in rows for s in r.samples()]), (-1, 2)).T
    margin = chosen - rejected
    keep = rng.random(len(rows)) < 1 / (1 + np.exp(-3.0 * margin))
    return [r if k else _turned(r) for r, k in zip(rows, keep, strict=True)]


def _turned(pair: Pair) -> Pair:
    from dataclasses import replace

    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def _worth_of(world: World, worth: Worth, sample: Sample, what: str) -> tuple[Sample, float]:
    changed, _ = counterfactual(world, sample, what)
    before, after = worth([sample, changed])
    return changed, float(after - before)


def _slope(reward: Planted, pairs: Sequence[Pair]) -> float:
    """Log-odds per reward unit, fitted on pairs that are not audited."""
    chosen, rejected = (reward([p.samples()[i] for p in pairs]).reward for i in (0, 1))
    return float(fit_linear((chosen - rejected)[:, None], l2=1e-3)[0])
