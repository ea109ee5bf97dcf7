"""The stages that measure: each a function from the run folder to a JSON value."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.audit.biases.effects import audit_biases
from plaudit.audit.biases.gaps import group_gaps
from plaudit.errors import InputError
from plaudit.evaluation.pairs import evaluate_pairs, pair_margins
from plaudit.lab.worlds.assistant import Prepared, counterfactual
from plaudit.recipes.schema import Recipe
from plaudit.recipes.sources import columns, read_shifted
from plaudit.records import read
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.records.splitting import folds_by_prompt
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.rewards.files import COLUMNS, check_columns, read_scored, write_scored
from plaudit.rewards.registry import load
from plaudit.rewards.scoring import score_samples
from plaudit.search.best_of_n import best_of_n_curve, peak_and_turn
from plaudit.search.selection import select_best
from plaudit.training.entry import pair_features, train_reward
from plaudit.training.frozen import fit_frozen

FILE = "scores/held-out.jsonl"


def read_pairs(run: Path, part: str) -> list[Pair]:
    """The pairs of a part (`train`, `test`) as the data stage wrote them."""
    return [row for row in read(run / "data" / f"{part}.jsonl", kind="pairs").rows if isinstance(row, Pair)]


def held_out(recipe: Recipe, run: Path) -> list[Pair]:
    """The pairs that evaluation is about: the test side, or with folds all of them."""
    return read_pairs(run, "train" if recipe.data.folds else "test")


def score_held_out(recipe: Recipe, run: Path, folder: Path) -> dict[str, Any]:
    """Scores of both completions of every held-out pair, in `scores/held-out.jsonl`.

    The order is chosen, rejected, chosen, and so on, in the order of the pairs.

    With folds, each pair is scored by a model that never saw its prompt.
    """
    pairs = held_out(recipe, run)
    if recipe.data.folds:
        batch = _cross_fitted(recipe, run, folder, pairs)
    else:
        batch = score_samples(load(run), _samples(pairs), log=folder / "scores.log", label="scoring held-out pairs")
    write_scored(run / FILE, _samples(pairs), batch)
    return {"scored": int(batch.valid.sum()), "samples": len(batch)}


def held_out_scores(recipe: Recipe, run: Path) -> tuple[list[Pair], RewardBatch, RewardBatch]:
    """The held-out pairs with the rewards of chosen and of rejected."""
    batch = read_scored(run / FILE).batch
    even = np.arange(0, len(batch), 2)
    return held_out(recipe, run), batch.take(even), batch.take(even + 1)


def subsets(recipe: Recipe, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The columns of the recipe's subsets that some pair has; `summarising.warnings` tells the others."""
    there = columns(pairs)
    return tuple(name for name in recipe.evaluate.subsets if name in there)


def evaluate(recipe: Recipe, run: Path, logit_scale: float | None) -> dict[str, Any]:
    """The evaluation of held-out pairs, with the true reward where the world gives it."""
    pairs, chosen, rejected = held_out_scores(recipe, run)
    known = all("u_chosen" in p.meta for p in pairs)
    result = evaluate_pairs(
        pairs, chosen, rejected, subsets=subsets(recipe, pairs), logit_scale=logit_scale, seed=recipe.seed,
        true_chosen=[p.meta["u_chosen"] for p in pairs] if known else None,
        true_rejected=[p.meta["u_rejected"] for p in pairs] if known else None,
        resamples=recipe.evaluate.resamples,
    )  # fmt: skip
    return result.to_dict()


def audit(recipe: Recipe, run: Path, world: Prepared | None) -> dict[str, Any]:
    """Counterfactual effects of surface features, and gaps between groups."""
    pairs, chosen, rejected = held_out_scores(recipe, run)
    true_margin = [p.meta["true_margin"] for p in pairs] if world else None
    gaps = group_gaps(
        pairs, pair_margins(chosen, rejected), subsets(recipe, pairs), true_margin=true_margin,
        seed=recipe.seed, resamples=recipe.evaluate.resamples,
    )  # fmt: skip
    samples, truth, spread = _audited(recipe, pairs, world)
    result = audit_biases(
        samples, load(run), features=recipe.audit.features, truth=truth, gaps=gaps, seed=recipe.seed,
        counterfactual=None if world is None else lambda s, what: counterfactual(world.world, s, what),
        true_std=spread, resamples=recipe.evaluate.resamples,
    )  # fmt: skip
    return result.to_dict()


def select(recipe: Recipe, run: Path, folder: Path, world: Prepared) -> dict[str, Any]:
    """Best-of-n on the world's pool: proxy, true and oracle reward against n; whether the true one turns."""
    from plaudit._json import to_json

    spec = recipe.data.world
    assert spec is not None
    pool = world.pool(spec.pool_prompts, spec.pool_completions, seed=spec.instance)
    batch = score_samples(load(run), pool.samples(), log=folder / "scores.log", chunk=2048, label="scoring the pool")
    proxy = batch.reward.reshape(pool.truth.shape)
    np.save(folder / "proxy.npy", proxy)
    np.save(folder / "truth.npy", pool.truth)
    ns = [n for n in recipe.select.ns if 4 * n <= spec.pool_completions]
    options: dict[str, Any] = {"seed": recipe.seed, "resamples": recipe.evaluate.resamples}
    curve = best_of_n_curve(proxy, pool.truth, ns, **options)
    turn = peak_and_turn(proxy, pool.truth, ns, **options) if len(ns) > 1 else None
    return {"curve": to_json(curve), "turn": to_json(turn)}


def pick(run: Path, folder: Path) -> dict[str, Any]:
    """The best candidate of each prompt, with its reward, in `best.jsonl`."""
    candidates = [s for s in read(run / "candidates.jsonl", kind="samples").rows if isinstance(s, Sample)]
    check_columns(candidates)
    batch = score_samples(load(run), candidates, log=folder / "scores.log", label="scoring candidates")
    found = select_best(candidates, batch)
    if not len(found.indices):
        raise InputError(
            f"pick: none of the {len(candidates)} candidates got a reward; look at them with plaudit inspect"
        )
    write_scored(run / "best.jsonl", [candidates[i] for i in found.indices], batch.take(found.indices))
    return {"candidates": len(candidates), "winners": len(found.indices), "unanswered": len(found.unanswered)}


def _audited(
    recipe: Recipe, pairs: Sequence[Pair], world: Prepared | None
) -> tuple[list[Sample], list[float] | None, float]:
    """Samples to rewrite (several a prompt), their true rewards and those rewards' unit."""
    if world is None or recipe.data.world is None:
        samples = [s for p in pairs[: recipe.audit.prompts] for s in p.samples()]
        return samples, None, 1.0
    spec = recipe.data.world
    pool = world.pool(spec.pool_prompts, spec.pool_completions, seed=spec.instance)
    each, width = 4, spec.pool_completions
    at = [p * width + i for p in range(min(recipe.audit.prompts, spec.pool_prompts)) for i in range(min(each, width))]
    samples = pool.samples()
    return [samples[i] for i in at], [float(pool.truth.ravel()[i]) for i in at], 1.0


def _samples(pairs: Sequence[Pair]) -> list[Sample]:
    """Both completions of each pair, without the columns that a scored file needs itself; data/ has them."""
    bare = [replace(p, meta={k: v for k, v in p.meta.items() if k not in COLUMNS}) for p in pairs]
    return [s for p in bare for s in p.samples()]


def _cross_fitted(recipe: Recipe, run: Path, folder: Path, pairs: list[Pair]) -> RewardBatch:
    """Out-of-fold scores (log-odds, so that folds share a unit); a scored fold is read, not fitted again."""
    parts: list[RewardBatch] = []
    order: list[int] = []
    features = None
    for k, fold in enumerate(folds_by_prompt(pairs, recipe.data.folds, seed=recipe.seed)):
        path = folder / f"fold-{k}.jsonl"
        test = list(fold.test)
        if not path.is_file():
            train = [pairs[i] for i in fold.train]
            held = _samples([pairs[i] for i in test])
            if recipe.train.freeze:
                if features is None:
                    features = pair_features(pairs, recipe.model, recipe.train, run)
                encoder, values = features
                reward = fit_frozen(
                    train, values[list(fold.train)], encoder=encoder, base=recipe.model.name,
                    l2=recipe.train.l2, seed=recipe.train.seed, label_smoothing=recipe.train.label_smoothing,
                )  # fmt: skip
                batch = reward.from_features(values[test].reshape(len(held), -1))
            else:
                made = _fold_model(recipe, train, folder / f"fold-{k}")
                batch = score_samples(made, held, log=folder / f"fold-{k}.log", label=f"scoring fold {k + 1}")
            scores = np.array([float("nan") if d.get("score") is None else d["score"] for d in batch.detail])
            write_scored(path, held, replace(batch, reward=scores))
            shutil.rmtree(folder / f"fold-{k}", ignore_errors=True)  # k models of a large backbone fill a disk
        parts.append(read_scored(path).batch)
        order += [2 * i + side for i in test for side in (0, 1)]
    return RewardBatch.concat(parts).take(np.argsort(order))


def _fold_model(recipe: Recipe, train: Sequence[Pair], folder: Path) -> Reward:
    """The model of a fold: a saved one is whole, and was fitted before a kill during its scoring."""
    if (folder / "model").is_dir():
        return load(folder)
    shifted = read_shifted(recipe.data.shifted)
    made = train_reward(train, backbone=recipe.model, config=recipe.train, out=folder, shifted=shifted).reward
    assert isinstance(made, Reward)  # a recipe refuses objectives that give a comparison
    return made
