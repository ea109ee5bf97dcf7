"""UVE-Bench: which of two generated videos is better in an aspect, or are both good, or both bad [85].

Single mode (a reward of each video in [0, 1]): `score` as published: 1 where the better one scores strictly higher;
where both are good the product of `exp(-10 (0.8 - s))` below 0.8, where both are bad of `exp(-10 (s - 0.4))` above
0.4. `accuracy` turns two scores into one of four answers by its thresholds 0.05, 0.8 and 0.4. Pair mode (a
comparison): accuracy over decided labels, and with ties where the comparison says a probability of a tie.

Source: Liu et al. 2025, "UVE"; `cat_eval_results.py` in its code.

Differs from its code: a comparison has no "both good" or "both bad", so a tie is right for either; both orders are
averaged. Where a score mode leaves two scores in no class (one 0.8 or more, one 0.4 or less, closer than 0.05:
impossible) nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, Statistic, mean_of, weighted_means
from plaudit.records.fields import RowError, items, text
from plaudit.records.message import Message, Part
from plaudit.records.sample import Sample

LABELS = ("A is better", "B is better", "same good", "same bad")
GOOD, BAD, NEAR, SPEED = 0.8, 0.4, 0.05, 10.0


def soft_score(logits: ArrayLike, positive: Sequence[int], negative: Sequence[int]) -> Float[np.ndarray, " n"]:
    """`P(positive) / (P(positive) + P(negative))` from logits of the next token; a set adds its probabilities.

    Args:
        logits: (n, v).
        positive: token ids such as those of yes, Yes, YES.
        negative: token ids; no token may be in both.

    Raises:
        InputError: if a set is empty or they share a token.
        ShapeError: if logits are not (n, v).
    """
    z = np.asarray(logits, np.float64)
    if z.ndim != 2:
        raise ShapeError(f"soft_score: logits have shape {z.shape}; give (n, v)")
    if not positive or not negative or set(positive) & set(negative):
        raise InputError("soft_score: positive and negative tokens must be two sets that share nothing")
    from scipy.special import expit, logsumexp

    return np.asarray(expit(logsumexp(z[:, list(positive)], axis=1) - logsumexp(z[:, list(negative)], axis=1)))


def uve_score(a: float, b: float, label: str) -> float:
    """The published credit of two scores in [0, 1] under a human label.

    Args:
        a: score of video A; NaN gives NaN.
        b: score of video B.
        label: one of the four.

    Raises:
        InputError: if the label is not one of them, or a score lies outside [0, 1].
    """
    if label not in LABELS:
        raise InputError(f"uve_score: label {label!r} is none of {', '.join(LABELS)}")
    if math.isnan(a) or math.isnan(b):
        return math.nan
    if not (0 <= a <= 1 and 0 <= b <= 1):
        raise InputError(f"uve_score: scores {a} and {b}; both must lie in [0, 1]")
    if label == "A is better":
        return float(a > b)
    if label == "B is better":
        return float(b > a)
    if label == "same good":
        return math.prod(math.exp(-SPEED * max(GOOD - s, 0.0)) for s in (a, b))
    return math.prod(math.exp(-SPEED * max(s - BAD, 0.0)) for s in (a, b))


def _answer(a: float, b: float) -> str:
    """The published answer of two scores."""
    between = any(BAD < s < GOOD for s in (a, b))
    if abs(a - b) >= NEAR or between:
        return "A is better" if a > b else "B is better"
    return "same good" if a >= GOOD and b >= GOOD else "same bad"


def pick_tau(a: ArrayLike, b: ArrayLike, labels: ArrayLike) -> float:
    """The largest |s_A - s_B| that is still called a tie, by accuracy on held-out pairs; the smallest of the best.

    Args:
        a: (n,) scores of A.
        b: (n,) scores of B.
        labels: (n,) 1 where A is better, -1 where B is, 0 for a tie.

    Returns:
        tau: a pair is a tie where `|a - b| <= tau`; below 0 nothing is, and tau 0 ties equal scores only.
    """
    d = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    y = np.asarray(labels, np.float64)
    known = ~np.isnan(d)
    if not known.any():
        raise InputError("pick_tau: no pair has two scores; give at least one")
    d, y = d[known], y[known]
    candidates = np.unique(np.abs(d))
    accuracy = [float((np.where(np.abs(d) <= tau, 0.0, np.sign(d)) == y).mean()) for tau in [-1.0, *candidates]]
    return float([-1.0, *candidates][int(np.argmax(accuracy))])


def _parse(row: SourceRow) -> Item:
    label = column(row, "preference")[1]
    if label not in LABELS:
        raise RowError("preference", label, f"give one of {', '.join(LABELS)}")
    given = row.cells.get("subaspects") or [row.cells.get("subaspect") or column(row, "aspect")[1]]
    aspects = items("subaspects", given, text)
    words = f"Aspect: {', '.join(aspects)}"
    if row.cells.get("prompt"):
        words = f"{text('prompt', row.cells['prompt'])}\n\n{words}"
    folder = str(row.cells.get("dataset") or "")
    samples = tuple(
        Sample((Message("user", words),), (Message("assistant", (_video(row, name, folder),)),),
               group=f"{row.file}:{row.number}", meta={"aspects": list(aspects)})
        for name in ("video_a", "video_b")
    )  # fmt: skip
    good = (label in ("A is better", "same good"), label in ("B is better", "same good"))
    cluster = f"{row.cells['video_a']}|{row.cells['video_b']}"
    meta = {"label": label, "aspects": aspects}
    return Item(identity(row), str(row.cells.get("aspect") or aspects[0]), samples, good, ((0, 1),), cluster, meta)


def _video(row: SourceRow, name: str, folder: str) -> Part:
    path = text(name, column(row, name)[1])
    return Part("video_url", {"video_url": {"url": f"{folder}/{path}" if folder else path}})


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    labels = [str(item.meta["label"]) for item in items]
    aspects = [item.subset for item in items]
    if judged.rewards is not None:
        low, high = judged.bounds
        values = np.concatenate(judged.rewards)
        if not (low >= 0 and high <= 1) and ((values < 0) | (values > 1)).any():
            raise InputError(
                f"uve: scores of single videos must lie in [0, 1], and {judged.name} reaches {np.nanmin(values):g} to "
                f"{np.nanmax(values):g}; give such a reward, or a comparison"
            )
        pairs = [(float(r[0]), float(r[1])) for r in judged.rewards]
        head = np.array([uve_score(a, b, y) for (a, b), y in zip(pairs, labels, strict=True)])
        right = [
            math.nan if math.isnan(a + b) else float(_answer(a, b) == y)
            for (a, b), y in zip(pairs, labels, strict=True)
        ]
        rows = [mean_of("score", head, headline=True), mean_of("accuracy", right, headline=True)]
    else:
        rows, head = _pair_mode(items, judged, labels)
    names = sorted(set(aspects))
    rows += [weighted_means(f"aspect/{n}", head, aspects, {n: 1.0}) for n in names if len(names) > 1]
    rows += [weighted_means(f"label/{y}", head, labels, {y: 1.0}) for y in LABELS if y in labels]
    return Found(tuple(rows))


def _pair_mode(items: Sequence[Item], judged: Judged, labels: list[str]) -> tuple[list[Statistic], Floats]:
    assert judged.orders is not None
    assert judged.ties is not None
    truth = np.array([{"A is better": 1.0, "B is better": -1.0}.get(y, 0.0) for y in labels])
    margin = np.array([m[0] for m in judged.margins(items)])
    strict = np.where(np.isnan(margin) | (truth == 0), math.nan, np.sign(margin) == truth)
    order = np.array([o[0, 0] - o[1, 0] for o in judged.orders])
    rows = [mean_of("accuracy_without_ties", strict, headline=True)]
    head = np.asarray(strict)
    tie = np.array([t[0] for t in judged.ties])
    if not np.isnan(tie).all():
        first = margin + 0.5 - tie / 2  # probabilities count a tie half
        said = np.where((tie >= first) & (tie >= 1 - tie - first), 0.0, np.sign(margin))
        head = np.where(np.isnan(margin) | np.isnan(tie), math.nan, said == truth)
        rows.append(mean_of("accuracy_with_ties", head, headline=True))
    rows.append(mean_of("position_bias", order, share=False, bounds=(-1.0, 1.0)))
    return rows, head


def _rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    n = len(items)
    made = {
        "always A": (1.0, 0.0),
        "always B": (0.0, 1.0),
        "always both good": (1.0, 1.0),
        "always both bad": (0.0, 0.0),
    }
    return {name: fixed([list(pair)] * n, bounds=(0.0, 1.0)) for name, pair in made.items()}


UVE = Benchmark(
    name="uve",
    line="which of two generated videos is better in an aspect, or both good, or both bad",
    columns="video_a, video_b, preference, aspect, subaspects; prompt, dataset",
    source="Liu et al. 2025; annotations.json of its repository",
    parse=_parse,
    statistics=_statistics,
    rules=_rules,
    quirks=(
        "single scores earn exponential partial credit where both are good or bad (its code), so a constant 1 or 0 "
        "earns all of one label",
        "pair mode is published on the balanced annotations, single mode on all",
        "position_bias is the mean difference of the probability of A shown first and shown second",
    ),
)
"""UVE-Bench."""
