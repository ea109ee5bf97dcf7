"""What is known before the optimisation (the audit, plain accuracy) and what comes of it (regret)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.audit.battery import Audit, audit_reward, tokenizer_words
from plaudit.audit.config import AuditConfig
from plaudit.lab.experiments.audit.forecast.subjects import Trained
from plaudit.lab.members import Numbers
from plaudit.lab.worlds.assistant.prepared import Prepared
from plaudit.lab.worlds.assistant.rewrites import counterfactual
from plaudit.records.sample import Sample
from plaudit.search.best_of_n import best_of_n_values


def audited(world: Prepared, model: Trained, budget: Mapping[str, Any], *, seed: int) -> Audit:
    """The audit of a model on held-out pairs of faithful annotators, without any true reward.

    The rewrites are the world's, for its models read no other words; that they are truly worth nothing is assumed, as
    an auditor without a truth has to.

    Args:
        world: the instance.
        model: the model.
        budget: the claim's table.
        seed: of the audit.
    """

    def rewrites(sample: Sample, what: str) -> tuple[Sample, float]:
        return counterfactual(world.world, sample, what)[0], 0.0

    return audit_reward(
        world.pairs(budget["test"], seed=2, side="test"), model.reward, counterfactual=rewrites,
        logit_scale=getattr(model.reward, "log_odds_per_unit", None), vocabulary=tokenizer_words(model.reward),
        config=AuditConfig(
            seed=seed % 1000, prompts=budget["audited"], search_budget=budget["search"], resamples=budget["resamples"]
        ),
    )  # fmt: skip


def regret(truth: Numbers, proxy: Numbers, *, n: int) -> float:
    """True reward that best-of-n by the oracle gains over best-of-n by the proxy, in deviations within prompts.

    Args:
        truth: (P, N) true rewards.
        proxy: (P, N) the model's.
        n: of best-of-n.
    """
    best = best_of_n_values(truth, truth, [n]).mean()
    return float(best - best_of_n_values(proxy, truth, [n]).mean())


def within_correlation(truth: Numbers, proxy: Numbers) -> float:
    """Correlation within prompts: what nobody can know without the truth.

    Args:
        truth: (P, N).
        proxy: (P, N).
    """
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (truth, proxy))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
