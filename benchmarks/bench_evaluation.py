"""Evaluation's two heavy sums: length-controlled win rates of 200 models, and a bootstrap over 100,000 pairs.

    python benchmarks/bench_evaluation.py [--only win-rates | bootstrap]

Win rates: AlpacaEval 2's regression of 200 models over 805 prompts with two gamed baselines, beside scikit-learn's
`LogisticRegressionCV` in a loop over models, called as the published code calls it (ten of the models are timed, and
the time is taken twenty times; both must agree to three decimals, which is what liblinear's tolerance leaves). Once
with intervals of 1,000 refits a model, beside the same loop with a refit by `LogisticRegression` a resample (four
resamples of each of the ten models are timed), and once without.
Bootstrap: 10,000 resamples of the mean of 100,000 margins, and of the accuracy, beside a NumPy loop that draws rows and
averages them (100 resamples are timed). All on one core; medians of the process's own time over rounds in which both
take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import make_scorer
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from plaudit.evaluation.ratings import GamedRows, length_controlled_winrate
from plaudit.stats import bootstrap_mean, proportion

MODELS, PROMPTS, PEER_MODELS = 200, 805, 10
REFITS, PEER_REFITS = 1000, 4
PAIRS, RESAMPLES, PEER_RESAMPLES = 100_000, 10_000, 100
ROUNDS = 3


def weighted_log_loss(y_true: Any, y_pred: Any, true_prob: Any, true_sample_weight: Any) -> float:
    y = np.where(y_true == 1, true_prob, 1 - true_prob)
    q = np.clip(y_pred, 1e-15, 1 - 1e-15)
    return float(-np.mean((y * np.log(q) + (1 - y) * np.log(1 - q)) * true_sample_weight))


def tables(
    p: np.ndarray, own: np.ndarray, base: np.ndarray, difficulty: np.ndarray, gamed: GamedRows
) -> tuple[np.ndarray, ...]:
    """Features, targets and weights of the gamed rows and the model's, and the model's features alone."""
    delta = base - own
    mine = np.stack([np.tanh(delta / delta.std(ddof=1)), difficulty, np.ones(len(p))], axis=1)
    above = np.stack([np.tanh(gamed.std_delta_len), gamed.difficulty, np.zeros(len(gamed.preference))], axis=1)
    x, target = np.concatenate([above, mine]), np.concatenate([gamed.preference, p])
    return x, target, np.concatenate([np.full(len(above), 0.1), np.ones(len(p))]), mine


def published(
    p: np.ndarray, own: np.ndarray, base: np.ndarray, difficulty: np.ndarray, gamed: GamedRows
) -> tuple[float, float]:
    """Win rate at equal lengths by the published fit, and the penalty that it chose."""
    x, target, weight, mine = tables(p, own, base, difficulty, gamed)
    weight = np.tile(weight, 2)
    probability = np.concatenate([target, 1 - target])
    scorer = make_scorer(weighted_log_loss, response_method="predict_proba", greater_is_better=False)
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegressionCV(
            cv=GroupKFold(5), scoring=scorer.set_score_request(true_sample_weight=True, true_prob=True),
            random_state=123, dual=False, penalty="l1", solver="liblinear", fit_intercept=False,
        )  # fmt: skip
        model.set_fit_request(sample_weight=True).fit(
            np.concatenate([x, x]), np.repeat([1, 0], len(target)), sample_weight=probability * weight,
            groups=np.tile(np.arange(len(target)), 2), true_sample_weight=weight, true_prob=probability,
        )  # fmt: skip
    mine[:, 0] = 0
    return float(model.predict_proba(mine)[:, 1].mean()), float(model.C_[0])


def refitted(model: tuple[np.ndarray, ...], gamed: GamedRows, c: float) -> list[float]:
    """Win rates at equal lengths of a few resamples, each refitted."""
    x, target, weight, mine = tables(*model, gamed)
    rng, found = np.random.default_rng(0), []
    mine[:, 0] = 0
    for _ in range(PEER_REFITS):
        counts = np.bincount(rng.integers(0, PROMPTS, PROMPTS), minlength=PROMPTS)
        w = weight.copy()
        w[-PROMPTS:] *= counts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = LogisticRegression(C=c, penalty="l1", solver="liblinear", fit_intercept=False, random_state=123).fit(
                np.concatenate([x, x]), np.repeat([1, 0], len(target)),
                sample_weight=np.concatenate([target, 1 - target]) * np.tile(w, 2),
            )  # fmt: skip
        found.append(float(fit.predict_proba(mine)[:, 1] @ counts / PROMPTS))
    return found


def workload() -> tuple[list[tuple[np.ndarray, ...]], GamedRows]:
    """Judgements of 200 models of different quality and length on the same prompts."""
    rng = np.random.default_rng(0)
    difficulty, base = rng.normal(size=PROMPTS), rng.lognormal(7.5, 0.5, PROMPTS).round()
    far = rng.normal(size=2 * PROMPTS)
    gamed = GamedRows(expit(-1.5 * np.tanh(far)), far, np.tile(difficulty, 2))
    models = []
    for _ in range(MODELS):
        own = (base * rng.lognormal(rng.normal(0, 0.3), 0.3, PROMPTS)).round()
        delta = (base - own) / (base - own).std(ddof=1)
        logit = -1.5 * np.tanh(delta) + rng.uniform(0.5, 1.2) * difficulty + rng.normal(-1, 1)
        models.append((expit(logit + rng.normal(size=PROMPTS)), own, base, difficulty))
    return models, gamed


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    found = run()
    return time.process_time() - started, found


def report(name: str, ours: list[float], peer: list[float], limit: float) -> None:
    a, b = statistics.median(ours), statistics.median(peer)
    met = "met" if a < limit else "MISSED"
    print(f"{name:<44}{a:>8.2f} s{b:>10.1f} s{b / a:>9.1f}x   under {limit:g} s: {met}", flush=True)


def win_rates() -> None:
    models, gamed = workload()
    ours, ours_alone, peer, peer_alone = [], [], [], []
    for _ in range(ROUNDS):
        for resamples, seconds_of in ((REFITS, ours), (0, ours_alone)):
            seconds, found = timed(
                lambda r=resamples: [
                    length_controlled_winrate(*m[:3], difficulty=m[3], gamed=gamed, resamples=r) for m in models
                ]
            )
            seconds_of.append(seconds)
        seconds, expected = timed(lambda: [published(*m, gamed) for m in models[:PEER_MODELS]])
        peer_alone.append(seconds * MODELS / PEER_MODELS)
        chosen = [c for _, c in expected]
        seconds, _ = timed(lambda c=chosen: [refitted(m, gamed, x) for m, x in zip(models, c, strict=False)])
        peer.append(peer_alone[-1] + seconds * MODELS / PEER_MODELS * REFITS / PEER_REFITS)
        assert np.allclose([f.controlled.value for f in found[:PEER_MODELS]], [v for v, _ in expected], atol=1e-3)
    report(f"{MODELS} models x {PROMPTS} prompts, with intervals", ours, peer, 20)
    report(f"{MODELS} models x {PROMPTS} prompts, win rates alone", ours_alone, peer_alone, 20)


def bootstrap() -> None:
    rng = np.random.default_rng(1)
    margin = rng.normal(0.3, 1.0, PAIRS)
    cases = {"mean margin": (margin, bootstrap_mean), "accuracy": ((margin > 0).astype(float), proportion)}
    for name, (values, statistic) in cases.items():
        ours, peer = [], []
        for _ in range(ROUNDS):
            seconds, found = timed(lambda v=values, s=statistic: s(v, resamples=RESAMPLES))
            ours.append(seconds)
            seconds, drawn = timed(
                lambda v=values: [v[rng.integers(0, PAIRS, PAIRS)].mean() for _ in range(PEER_RESAMPLES)]
            )
            peer.append(seconds * RESAMPLES / PEER_RESAMPLES)
            assert abs(np.std(drawn) * 2 * 1.96 / (found.high - found.low) - 1) < 0.3
        report(f"{RESAMPLES} resamples of {PAIRS} pairs, {name}", ours, peer, 5)


PARTS = {"win-rates": win_rates, "bootstrap": bootstrap}


def main() -> None:
    """Prints seconds of ours and of the plain way, and their ratio in the same run."""
    parser = argparse.ArgumentParser(description="length-controlled win rates and a bootstrap against the plain way")
    parser.add_argument("--only", choices=PARTS, help="one of the two parts (default: both)")
    only = parser.parse_args().only
    print(f"{'one core':<44}{'ours':>10}{'plain way':>12}{'ratio':>10}")
    with threadpool_limits(1):
        for name, part in PARTS.items():
            if only in (None, name):
                part()


if __name__ == "__main__":
    main()
