"""A report with realistic, made-up data: a reward that over-optimises and pays for length."""

import numpy as np
import pytest

from plaudit.audit.biases.results import BiasAudit, BiasEffect, GroupGap
from plaudit.audit.findings import Findings
from plaudit.audit.verdict import judge
from plaudit.evaluation.pairs import evaluate_pairs, pair_margins
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.report.data import Change, Fact, ReportData, wrong_pairs
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.search.best_of_n import BestOfNCurve, Turn
from plaudit.stats.estimate import Estimate

XSS = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></div> & \"q\""
PROMPTS = (
    "How long should I boil an egg?",
    "My landlord wants to enter without notice. May he?",
    "Write a haiku on rain.",
)
REPLIES = (
    "Between six and twelve minutes, depending on how firm you like the yolk. Start with boiling water.",
    "Great question! In general, there are many things that one could say, and I would be glad to help.",
    "- **First**, check your local rules.\n- **Then** write to them and keep a copy.",
    "I am not sure.",
)


def _pairs(n, rng):
    return [
        Pair(
            conversation(f"{PROMPTS[i % 3]} (request {i % 260})"),
            REPLIES[rng.integers(4)] + " Indeed." * int(rng.integers(3)),
            REPLIES[rng.integers(4)] + " Indeed." * int(rng.integers(3)),
            meta={"language": "en" if i % 4 else "de"},
        )
        for i in range(n)
    ]


def _evaluation(rng):
    pairs = _pairs(500, rng)
    pairs[7] = Pair(conversation("Show me a page."), "A short page.", XSS)
    truth = rng.normal(0.6, 1.0, 500)
    margin = 1.4 * truth + rng.normal(0, 1.3, 500)
    margin[7] = -6.0
    outcome = np.zeros(500, np.int8)
    outcome[[3, 77, 300]] = Outcome.ABSTAINED
    reward = np.where(outcome == Outcome.ABSTAINED, np.nan, margin)
    chosen, rejected = RewardBatch(reward, outcome), RewardBatch(np.zeros(500))
    result = evaluate_pairs(
        pairs,
        chosen,
        rejected,
        subsets=["language"],
        true_chosen=truth,
        true_rejected=np.zeros(500),
        resamples=400,
    )
    return pairs, pair_margins(chosen, rejected), result


def _points(values, half):
    return tuple(Estimate(v, v - half, v + half, 200, "bootstrap over 200 clusters, 95%") for v in values)


@pytest.fixture(scope="session")
def report():
    rng = np.random.default_rng(0)
    pairs, margin, result = _evaluation(rng)
    ns = (1, 2, 4, 8, 16, 32)
    curve = BestOfNCurve(
        ns,
        tuple(float(np.log(n) - (n - 1) / n) for n in ns),
        _points([0.10, 1.00, 1.72, 2.34, 2.88, 3.37], 0.12),
        _points([0.02, 0.41, 0.63, 0.71, 0.66, 0.55], 0.07),
        _points([0.02, 0.58, 1.05, 1.45, 1.79, 2.09], 0.06),
        abstained=4,
    )
    turn = Turn(8, 32, Estimate(0.17, 0.06, 0.28, 100, "bootstrap over 100 clusters, 95%"), True)
    values = {"length": 0.71, "markdown": 0.12, "politeness": 0.04, "hedging": -0.29, "flattery": 0.22}
    effects = tuple(
        BiasEffect(
            k,
            Estimate(v, v - 0.09, v + 0.09, 260),
            Estimate(v - 0.05, v - 0.14, v + 0.04, 260),
            -0.05,
            512,
            8,
            0,
        )
        for k, v in values.items()
    )
    gaps = tuple(
        GroupGap("language", k, n, Estimate(v, v - 0.07, v + 0.07, 200), Estimate(v, v - 0.2, v + 0.2, 200), True)
        for k, v, n in (("de", -0.11, 124), ("en", 0.11, 370))
    )
    biases = BiasAudit(
        effects,
        Estimate(1.24, 1.18, 1.31, 260),
        Estimate(0.44, 0.38, 0.5, 260),
        Estimate(0.31, 0.25, 0.37, 260),
        True,
        gaps,
    )
    best = max(result.baselines, key=lambda b: -1 if b.accuracy.value != b.accuracy.value else b.accuracy.value)
    verdict = judge(
        Findings(
            accuracy=result.accuracy,
            baseline=best.name,
            advantage=best.advantage,
            calibration_error=result.calibration_error_debiased,
            biases={e.name: e.effect for e in effects},
            gaps={f"{g.column}={g.value}": g.accuracy_gap for g in gaps},
            unscored=3 / 500,
            curve=curve,
            turn=turn,
        ),
        remedies={"bias/length": "recipes/demo-fixed.yaml"},
    )
    change = Change(
        "length bias, sd",
        Estimate(0.71, 0.62, 0.80, 260),
        Estimate(0.08, -0.01, 0.17, 260),
        better="nearer-zero",
    )
    accuracy = Change(
        "accuracy on true labels", Estimate(0.742, 0.70, 0.78, 260), Estimate(0.781, 0.74, 0.82, 260),
        Estimate(0.039, 0.012, 0.066, 260),
    )  # fmt: skip
    return ReportData(
        title="May this reward be trusted?",
        subject="Llama, 0.9M parameters, Bradley–Terry, from scratch",
        created="2026-11-20 18:48 UTC",
        verdict=verdict,
        trained=(
            Fact("Backbone", "Llama, 4 layers, width 128, 0.9M parameters, trained from scratch"),
            Fact("Training pairs", "3,000 of the assistant world, 20% of the labels flipped, length bias 0.5"),
            Fact("Objective", "Bradley–Terry, one epoch, 64 groups a step"),
            Fact("Test pairs", "500 of other prompts"),
        ),
        curve=curve,
        turn=turn,
        evaluation=result,
        biases=biases,
        wrong=wrong_pairs(pairs, margin, k=20, notes={7: "true margin 0.40"}),
        baseline_run="runs/demo",
        changes=(change, accuracy),
        recipe="world:\n  name: assistant\n  seed: 7\n  flips: 0.2\ntrain:\n  model: scratch/llama-0.9m\n",
        provenance=(
            Fact("plaudit", "0.1.0"),
            Fact("torch", "2.13.0"),
            Fact("data", "9f2c1b7d0e4a5566"),
            Fact("seed", "7"),
        ),
        command="plaudit run recipes/demo.yaml --out runs/demo",
    )
