"""A few SVG marks and scales: just what the report's charts need, with every text escaped.

Colours are CSS classes, so that one drawing serves the light and the dark page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

CHAR = 7.7
"""Width of a character at 13 px in a wide system font, to reserve room for labels."""


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels, or from log2 of the data.

    Attributes:
        domain: lowest and highest value.
        range: pixels of these.
        log: whether values are mapped by their logarithm.
    """

    domain: tuple[float, float]
    range: tuple[float, float]
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value; values beyond the domain stop at its ends."""
        low, high, x = (math.log2(v) if self.log else v for v in (*self.domain, value))
        share = min(max((x - low) / ((high - low) or 1.0), 0.0), 1.0)
        return self.range[0] + share * (self.range[1] - self.range[0])


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """At most about `count` round numbers within [low, high].

    Args:
        low: lower end.
        high: upper end.
        count: about so many.
    """
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span / count))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if span / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def padded(values: Sequence[float], *, include: Sequence[float] = (), by: float = 0.06) -> tuple[float, float]:
    """A domain around the finite values, a little wider than they are.

    Args:
        values: data, NaN left out.
        include: values that must be inside.
        by: share of the span added on each side.
    """
    known = [v for v in (*values, *include) if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    pad = (high - low) * by or abs(high) * by or 1.0
    return low - pad, high + pad


def number(value: float, digits: int = 2, *, fixed: bool = False) -> str:
    """A number with a true minus sign, without trailing zeros unless `fixed`."""
    text = f"{value:.{digits}f}"
    if digits and not fixed:
        text = text.rstrip("0").rstrip(".")
    return ("0" if text in ("-0", "") else text).replace("-", "\N{MINUS SIGN}")


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def text(x: float, y: float, content: str, css: str = "", anchor: str = "start") -> str:
    """A text, escaped, with its baseline at y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(content)}</text>'


def circle(x: float, y: float, r: float, css: str) -> str:
    """A dot."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" class="{css}"/>'


def rect(x: float, y: float, width: float, height: float, css: str, title: str = "") -> str:
    """A rectangle, with a tooltip where there is a title."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect {box} rx="1.5" class="{css}">{inner}</rect>'


def path(points: Sequence[tuple[float, float]], css: str) -> str:
    """An open line through points."""
    moves = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return f'<path d="{moves}" class="{css}"/>'


def band(xs: Sequence[float], low: Sequence[float], high: Sequence[float], css: str) -> str:
    """The area between two lines."""
    outline = [*zip(xs, high, strict=True), *reversed(list(zip(xs, low, strict=True)))]
    moves = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(outline))
    return f'<path d="{moves}Z" class="{css}"/>'


def figure(width: float, height: float, parts: Sequence[str], label: str) -> Markup:
    """The drawing as safe markup; `label` is what a screen reader says.

    Args:
        width: pixels of the view box.
        height: pixels of the view box.
        parts: marks, already escaped.
        label: description in a sentence.
    """
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg {size} role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Label positions moved apart to at least `gap`, in the same order, about the same middle.

    Args:
        positions: wished positions.
        gap: least distance.
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [positions[i] for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    shift = sum(placed[i] - positions[j] for i, j in enumerate(order)) / max(len(placed), 1)
    out = [0.0] * len(positions)
    for i, j in enumerate(order):
        out[j] = placed[i] - shift
    return out
