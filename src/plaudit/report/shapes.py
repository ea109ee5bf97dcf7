"""A picture of a transform: each reward before and after it, both distributions, and both sets of group advantages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from markupsafe import Markup

from plaudit.records.sample import Sample, conversation
from plaudit.report import svg
from plaudit.rewards.base import Floats, Outcome, PreferenceBatch, RewardBatch, Scope
from plaudit.shaping.fusion import fused_rewards
from plaudit.shaping.groups import standardised
from plaudit.shaping.pessimism import AggregatedReward
from plaudit.shaping.transforms.base import ValueTransform
from plaudit.shaping.transforms.references import References, key_of
from plaudit.shaping.win_rates import WinRate

PROMPTS, EACH, REFERENCES = 28, 8, 10
SIDE, GAP, TOP = 220.0, 74.0, 46.0
STYLE = """<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #565b63; }
.title { font-size: 13px; font-weight: 600; fill: #1d2024; } .paper { fill: #fbfaf7; } .grid { stroke: #e3e0d8; }
.zero { stroke: #6d737b; stroke-dasharray: 3 4; } .dot { fill: #1f5f99; opacity: 0.45; }
.dot.far { fill: #b0560c; opacity: 0.9; }
.before { fill: #6d737b; opacity: 0.35; } .after { fill: #1f5f99; opacity: 0.7; }
</style>"""


@dataclass(frozen=True)
class Example:
    """Rewards as a policy sees them when it begins to hack: levels that differ by prompt, and a few far too high.

    Attributes:
        samples: `PROMPTS * EACH` of them, of 1 to some 40 words: better ones tend to be longer; `meta` has the reward
            and whether it is far too high.
        reward: (n,) normal about the prompt's level, which is normal itself; one in forty is six too high.
        far: (n,) True for these.
        references: rewards of `REFERENCES` completions of the starting policy for each prompt.
    """

    samples: tuple[Sample, ...]
    reward: Floats
    far: np.ndarray
    references: References

    @classmethod
    def drawn(cls, seed: int = 0) -> Example:
        """The example of a seed."""
        rng = np.random.default_rng(seed)
        level = rng.normal(size=PROMPTS)
        n = PROMPTS * EACH
        far = rng.random(n) < 1 / 40
        reward = np.repeat(level, EACH) + rng.normal(size=n) + 6.0 * far
        words = np.maximum(np.rint(20 + 4 * (reward - np.repeat(level, EACH)) + 4 * rng.normal(size=n)), 1)
        prompts = [conversation(f"prompt {i}") for i in range(PROMPTS)]
        samples = tuple(
            Sample(prompts[i // EACH], "word " * int(k), meta={"group": "ab"[i % 2], "reward": r, "far": f})
            for i, (k, r, f) in enumerate(zip(words.tolist(), reward.tolist(), far.tolist(), strict=True))
        )
        first = rng.normal(size=(PROMPTS, REFERENCES)) + level[:, None]
        rows = {key_of(samples[i * EACH].prompt): tuple(first[i].tolist()) for i in range(PROMPTS)}
        return cls(samples, reward, far, References(rows))

    def stated(self) -> Example:
        """The same with a stated confidence: 8 to 10 wherever it is far too high, any number elsewhere."""
        rng = np.random.default_rng(len(self.samples))
        said = np.where(self.far, rng.integers(8, 11, len(self.samples)), rng.integers(0, 11, len(self.samples)))
        rows = zip(self.samples, said.tolist(), strict=True)
        return replace(self, samples=tuple(replace(s, completion=f"{s.text}\nConfidence: {n}") for s, n in rows))


@final
class Strengths:
    """A comparison that stands for any: `sigmoid(r_a - r_b)` of the rewards that an example's samples know."""

    name, fingerprint = "strengths", "strengths"

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """How often the first of each pair is preferred."""
        gap = [a.meta["reward"] - b.meta["reward"] for a, b in zip(first, second, strict=True)]
        return PreferenceBatch(1 / (1 + np.exp(-np.array(gap))), np.full(len(gap), Outcome.SCORED, dtype=np.int8))


@final
class Members:
    """An ensemble that stands for any: five members about the rewards that an example's samples know.

    They lie a quarter of a deviation about them, and three deviations where a reward is far too high.
    """

    scope: Scope = "sample"
    name, bounds, fingerprint = "members", (-100.0, 100.0), "members"

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """The rewards as the members' means, with the members."""
        reward = np.array([s.meta["reward"] for s in samples])
        spread = np.array([3.0 if s.meta["far"] else 0.25 for s in samples])
        drawn = np.random.default_rng(len(samples)).normal(size=(len(samples), 5))
        members = reward[:, None] + spread[:, None] * (drawn - drawn.mean(axis=1, keepdims=True))
        return RewardBatch(reward, members=members)


def won(example: Example, *, unit: str = "probability") -> Floats:
    """Win rates within the prompts of an example, compared by `Strengths`: what `shape/win-rate` makes of it."""
    return WinRate(Strengths(), unit=unit)(example.samples).reward


def aggregated(example: Example, **options: Any) -> Floats:
    """What `shape/ensemble` makes of `Members` of an example."""
    return AggregatedReward(Members(), **options)(example.samples).reward


def fused(example: Example, *, neighbours: int, threshold: float) -> Floats:
    """What `shape/fused` makes of an example, where people preferred the better half of each prompt's references.

    All completions of a prompt are as near as can be, those of different prompts are not near at all.
    """
    first = example.references.table(example.samples[::EACH])
    chosen = np.sort(first, axis=1)[:, REFERENCES // 2 :]
    place = np.eye(PROMPTS)
    return fused_rewards(
        example.reward, np.repeat(place, EACH, axis=0), corpus_rewards=chosen.reshape(-1),
        corpus=np.repeat(place, chosen.shape[1], axis=0), neighbours=neighbours, threshold=threshold,
    )  # fmt: skip


def shape_picture(by: ValueTransform, example: Example, *, title: str) -> Markup:
    """A transform on an example, see `picture`.

    A transform with running statistics is shown after it has seen the example's first half, on the second.

    Args:
        by: the transform.
        example: what it is shown on.
        title: of the picture.
    """
    half = len(example.samples) // 2
    first, rest = slice(0, half), slice(half, None)
    seen = by.updated(RewardBatch(example.reward[first]), example.samples[first])
    part = rest if seen != by else slice(None)
    shown = replace(example, samples=example.samples[part], reward=example.reward[part], far=example.far[part])
    return picture(shown, seen(RewardBatch(shown.reward), shown.samples).reward, title=title)


def picture(example: Example, shaped: Floats, *, title: str) -> Markup:
    """Three panels, as a picture that stands by itself: rewards before and after, both distributions, both advantages.

    Args:
        example: what is shown.
        shaped: what became of its rewards, (n,).
        title: of the picture.
    """
    reward, far = example.reward, example.far
    groups = [s.prompt for s in example.samples]
    before, after = standardised(reward, groups), standardised(shaped, groups)
    width, height = 3 * SIDE + 3 * GAP, TOP + SIDE + 58
    parts = [STYLE, svg.rect(0, 0, width, height, "paper"), svg.text(GAP * 0.7, 22, title, "title")]
    parts += _scatter(0, reward, shaped, far, "reward", "shaped reward")
    parts += _histograms(1, reward, shaped)
    parts += _scatter(2, before, after, far, "advantage in its group, unshaped", "advantage, shaped")
    told = f"{title}: shaped rewards against rewards, both distributions, and group advantages before and after"
    return Markup(
        str(svg.figure(width, height, parts, told)).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )


def _frame(place: int) -> tuple[float, float, float]:
    """Left, top and bottom of a panel."""
    return GAP * 0.7 + place * (SIDE + GAP), TOP, TOP + SIDE


def _scatter(place: int, a: Floats, b: Floats, far: np.ndarray, x_axis: str, y_axis: str) -> list[str]:
    left, top, bottom = _frame(place)
    x = svg.Scale(svg.padded(a.tolist()), (left, left + SIDE))
    y = svg.Scale(svg.padded(b.tolist()), (bottom, top))
    parts = _axes(x, y, left, top, bottom, x_axis, y_axis)
    for p, q, out in sorted(zip(a.tolist(), b.tolist(), far.tolist(), strict=True), key=lambda row: row[2]):
        parts.append(svg.circle(x(p), y(q), 2.4, "dot far" if out else "dot"))
    return parts


def _histograms(place: int, before: Floats, after: Floats) -> list[str]:
    """Both in units of their own deviation about their own mean: what counts is the form."""
    left, top, bottom = _frame(place)
    forms = [(v - v.mean()) / (v.std() or 1.0) for v in (before, after)]
    edges = np.linspace(-4, 7, 34)
    counts = [np.histogram(np.clip(form, -4, 7), edges)[0] for form in forms]
    x = svg.Scale((-4, 7), (left, left + SIDE))
    y = svg.Scale((0, float(max(c.max() for c in counts)) * 1.08), (bottom, top))
    parts = _axes(x, y, left, top, bottom, "standard deviations from the mean", "samples")
    for count, css in zip(counts, ("before", "after"), strict=True):
        for e, n in zip(edges, count, strict=False):
            parts.append(svg.rect(x(e) + 0.4, y(n), x(edges[1]) - x(edges[0]) - 0.8, bottom - y(n), css))
    for row, (css, label) in enumerate((("before", "reward"), ("after", "shaped reward"))):
        parts.append(svg.rect(left + SIDE - 96, top + 4 + 18 * row, 12, 10, css))
        parts.append(svg.text(left + SIDE - 78, top + 13 + 18 * row, label))
    return parts


def _axes(x: svg.Scale, y: svg.Scale, left: float, top: float, bottom: float, x_axis: str, y_axis: str) -> list[str]:
    parts = []
    for tick in svg.nice_ticks(*x.domain, count=5):
        parts.append(svg.line(x(tick), top, x(tick), bottom, "zero" if tick == 0 else "grid"))
        parts.append(svg.text(x(tick), bottom + 17, svg.number(tick), "", "middle"))
    for tick in svg.nice_ticks(*y.domain, count=5):
        parts.append(svg.line(left, y(tick), left + SIDE, y(tick), "zero" if tick == 0 else "grid"))
        parts.append(svg.text(left - 6, y(tick) + 4, svg.number(tick), "", "end"))
    parts.append(svg.text(left + SIDE / 2, bottom + 38, x_axis, "", "middle"))
    parts.append(svg.text(left, top - 8, y_axis))
    return parts
