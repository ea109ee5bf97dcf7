"""Preference rows from sampled completions: ordinary records, with the truth in their meta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.annotators import Knobs, Panel
from plaudit.lab.worlds.assistant.aspects import ASPECTS, Parsed
from plaudit.lab.worlds.assistant.request import KINDS
from plaudit.lab.worlds.assistant.world import World, in_dialect
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample


def label_pairs(world: World, pairs: Sequence[tuple[Sample, Sample]], knobs: Knobs, *, seed: int) -> list[Pair]:
    """Preferences of the instance's annotators.

    Every pair of different completions gives one row; pairs of identical ones, and those that differ in an
    `unseen` combination, are left out, so there may be fewer rows than pairs.

    Args:
        world: the instance; its true reward goes into the rows' meta.
        pairs: two completions of one prompt each.
        knobs: how the annotators err.
        seed: of who judges what and of their noise.

    Returns:
        Rows with their `annotator`, whose meta has `kind`, `annotator_group` (`majority` or `minority`),
        `dialect`, `flipped`, `true_margin` (U of chosen minus rejected), `u_chosen` and `u_rejected`. All are
        true values of the instance, whoever judged: score on clean labels by the sign of `true_margin`.
    """
    pairs = [(a, b) for a, b in pairs if a.text != b.text]
    if not pairs:
        return []
    rng = np.random.default_rng([world.seed, seed, 21])
    draws = _Draws(rng, len(pairs), knobs)
    if knobs.spurious != 0 or knobs.plant:
        pairs = _planted(world, pairs, knobs.spurious, draws)
    first, second = (world.parse([p[i] for p in pairs]) for i in (0, 1))
    panel = Panel.drawn(world, knobs)
    margin = panel.margins(first, second, draws.persona, draws.in_group, draws.cyclic)
    odds = panel.log_odds(margin, first, second)
    with np.errstate(over="ignore"):
        chose_first = draws.choice < 1 / (1 + np.exp(-odds))
    flipped = draws.flip < panel.flip_chance(margin, chose_first, first, second)
    u = world.utility(first), world.utility(second)
    keep = _seen(first, second, knobs)
    rows = []
    for i in np.flatnonzero(keep).tolist():
        wins = bool(chose_first[i]) != bool(flipped[i])
        better, worse = pairs[i] if wins else pairs[i][::-1]
        values = (u[0][i], u[1][i]) if wins else (u[1][i], u[0][i])
        meta = draws.meta(i) | {"kind": KINDS[first.kind[i]], "flipped": bool(flipped[i])}
        rows.append(_row(better, worse, values, meta, dialect=knobs.group_dialect and bool(draws.in_group[i])))
    return rows


def rate_lists(
    world: World, lists: Sequence[Sequence[Sample]], *, beta: float, flips: float, levels: int, seed: int
) -> list[Ranked]:
    """Completions of one prompt each, rated by one rater a list on the levels 1 to `levels`.

    The rater sees `U + G / beta` with standard Gumbel noise G a completion, so that the order of any two follows
    Bradley-Terry with log-odds `beta * dU`; the level is that plus the scale's centre, rounded and kept on the scale. A
    flipped list is rated upside down: with a share f of them, a share f of the pairs is the wrong way round, and
    whichever labels an objective reads of the row are equally wrong. Lists of equal texts or equal levels give no row.

    Args:
        world: the instance.
        lists: completions of one prompt each.
        beta: log-odds per unit of U, above 0.
        flips: share of the lists, 0 to 0.4.
        levels: of the scale, at least 2.
        seed: of the noise and of which lists are flipped; neither depends on the other knobs.

    Returns:
        Rows whose meta has `kind`, `flipped` and `u`, the true rewards.

    Raises:
        InputError: if a knob is outside its range.
    """
    if not beta > 0 or not 0 <= flips <= 0.4 or levels < 2:
        raise InputError(f"rate_lists: beta {beta}, flips {flips}, levels {levels}; give above 0, 0 to 0.4, at least 2")
    rng = np.random.default_rng([world.seed, seed, 31])
    rows = []
    for samples in lists:
        noise, flip = rng.gumbel(size=len(samples)), bool(rng.random() < flips)
        u = world.true_reward(samples)
        rating = levels_of(u, noise, beta=beta, levels=levels, flip=flip)
        if len({s.text for s in samples}) < len(samples) or len(set(rating.tolist())) == 1:
            continue
        meta = {"kind": world.request(samples[0].prompt).kind, "flipped": flip, "u": [float(x) for x in u]}
        texts = tuple(s.text for s in samples)
        rows.append(Ranked(samples[0].prompt, texts, tuple(float(x) for x in rating), meta=meta))
    return rows


def levels_of(
    u: np.ndarray[tuple[int], np.dtype[np.float64]], noise: np.ndarray[tuple[int], np.dtype[np.float64]], *,
    beta: float, levels: int, flip: bool,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:  # fmt: skip
    """Levels from 1 to `levels` of completions, as `rate_lists` gives them.

    Args:
        u: true rewards, (n,).
        noise: standard Gumbel draws, (n,).
        beta: log-odds per unit of U.
        levels: of the scale.
        flip: whether the rater sees them upside down.
    """
    centred = u + (noise - np.euler_gamma) / beta
    return np.asarray(np.clip(np.round((levels + 1) / 2 + (-centred if flip else centred)), 1, levels))


def rank(world: World, prompt_samples: Sequence[Sample]) -> Ranked:
    """Completions of one prompt with their true reward as scores.

    Raises:
        InputError: if the samples do not share a prompt.
    """
    if len({tuple(m.text for m in s.prompt) for s in prompt_samples}) != 1:
        raise InputError("rank: the samples have different prompts; give completions of one prompt")
    u = world.true_reward(prompt_samples)
    kind = world.request(prompt_samples[0].prompt).kind
    texts = tuple(s.text for s in prompt_samples)
    return Ranked(prompt_samples[0].prompt, texts, tuple(float(x) for x in u), meta={"kind": kind})


class _Draws:
    """Everything random about n rows, drawn in a fixed order: a knob changes only what it is about."""

    def __init__(self, rng: np.random.Generator, n: int, knobs: Knobs) -> None:
        self.choice, self.flip, group, cyclic, self.marker, persona = rng.random((6, n))
        self.in_group = group < knobs.group_share
        self.cyclic = cyclic < knobs.cyclic
        self.persona = np.minimum((persona * knobs.personas).astype(np.int64), knobs.personas - 1)
        self.place = rng.random((n, 2))

    def meta(self, i: int) -> dict[str, Any]:
        group = "minority" if self.in_group[i] else "majority"
        who = "cyclic" if self.cyclic[i] else "group" if self.in_group[i] else f"persona-{self.persona[i]}"
        return {"annotator_group": group, "annotator": who}


def _row(chosen: Sample, rejected: Sample, u: tuple[float, float], meta: dict[str, Any], *, dialect: bool) -> Pair:
    if dialect:
        chosen, rejected = in_dialect(chosen), in_dialect(rejected)
    truth = {"true_margin": float(u[0] - u[1]), "u_chosen": float(u[0]), "u_rejected": float(u[1])}
    who = meta.pop("annotator")
    return Pair(chosen.prompt, chosen.text, rejected.text, annotator=who, meta=meta | {"dialect": dialect} | truth)


def _planted(
    world: World, pairs: Sequence[tuple[Sample, Sample]], correlation: float, draws: _Draws
) -> list[tuple[Sample, Sample]]:
    """One marker word in each completion; which of the two the truly better one gets correlates as asked.

    Both completions grow by one word that no aspect but length knows, so the marker says nothing itself.
    """
    u = [world.true_reward([p[i] for p in pairs]) for i in (0, 1)]
    agrees = draws.marker < (1 + correlation) / 2
    first_better = u[0] > u[1]
    out = []
    for i, (a, b) in enumerate(pairs):
        marks = lx.MARKERS if first_better[i] == agrees[i] else lx.MARKERS[::-1]
        out.append((_insert(a, marks[0], draws.place[i, 0]), _insert(b, marks[1], draws.place[i, 1])))
    return out


def _insert(sample: Sample, word: str, where: float) -> Sample:
    words = sample.text.split()
    words.insert(int(where * len(words)), word)  # never last: a demanded last word stays last
    return replace(sample, completion=" ".join(words))


def _seen(first: Parsed, second: Parsed, knobs: Knobs) -> np.ndarray:
    keep = np.ones(len(first.kind), dtype=bool)
    for kind, aspect in knobs.unseen:
        column = ASPECTS.index(aspect)
        differs = first.values[:, column] != second.values[:, column]
        keep &= ~((first.kind == KINDS.index(kind)) & differs)
    return keep
