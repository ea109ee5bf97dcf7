"""The report's charts, as functions from results to SVG. `width` is 720 on a page and 340 on a phone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from plaudit.evaluation.results import MarginHistogram
from plaudit.report import svg
from plaudit.stats.calibration import ReliabilityCurve
from plaudit.stats.estimate import Estimate

NARROW = 500
"""Widths below are a phone's: labels stand above their row instead of beside it."""


@dataclass(frozen=True)
class Row:
    """One line of a dot-and-interval chart.

    Attributes:
        label: what is measured.
        estimate: the dot and its interval.
        css: `main` for the subject of the page, `quiet` for what it is compared with, `warn` for what is too
            large.
    """

    label: str
    estimate: Estimate
    css: str = "quiet"


@dataclass(frozen=True)
class Series:
    """One line of a line chart, with its band."""

    label: str
    css: str
    points: tuple[Estimate, ...]


def dots(
    rows: Sequence[Row],
    *,
    width: float,
    label: str,
    reference: float,
    axis: str,
    zone: float = 0.0,
    percent: bool = False,
) -> Markup:
    """Dots with intervals, one row each, on a common axis.

    Args:
        rows: what to draw; a NaN estimate is written as not measured.
        width: pixels.
        label: for screen readers.
        reference: value of the vertical line (chance, zero).
        axis: what the axis shows.
        zone: half width of the shaded zone around the reference, in which an effect is small.
        percent: whether to write values as percentages.
    """
    narrow = width < NARROW
    left = 8 if narrow else min(max(len(r.label) for r in rows) * svg.CHAR + 24, width * 0.36)
    step, top, right = (42 if narrow else 30), 10, (8 if narrow else 172)
    ends = [v for r in rows for v in (r.estimate.value, r.estimate.low, r.estimate.high)]
    domain = svg.padded(ends, include=[reference, reference - zone, reference + zone])
    x = svg.Scale(domain, (left + 6, width - right - 6))
    bottom = top + step * len(rows)
    times, end, places = (100.0, "%", 1) if percent else (1.0, "", 2)

    def unit(value: float, fixed: bool = True) -> str:
        return svg.number(times * value, places, fixed=fixed) + end

    parts = []
    if zone:
        a, b = x(reference - zone), x(reference + zone)
        parts.append(svg.rect(a, top, b - a, bottom - top, "zone"))
    for tick in svg.nice_ticks(*domain, count=4 if narrow else 6):
        parts.append(svg.line(x(tick), top, x(tick), bottom, "grid"))
        parts.append(svg.text(x(tick), bottom + 17, unit(tick, False), "tick", "middle"))
    parts.append(svg.line(x(reference), top, x(reference), bottom, "reference"))
    for i, row in enumerate(rows):
        parts += _dot_row(row, top + step * i, step, x, left, width, narrow, unit)
    parts.append(svg.text((x.range[0] + x.range[1]) / 2, bottom + 36, axis, "axis", "middle"))
    return svg.figure(width, bottom + 44, parts, label)


def _dot_row(
    row: Row,
    y0: float,
    step: float,
    x: svg.Scale,
    left: float,
    width: float,
    narrow: bool,
    unit: Callable[[float], str],
) -> list[str]:
    estimate, y = row.estimate, y0 + (step - 12 if narrow else step / 2)
    label_y = y - 12 if narrow else y + 4
    parts = [
        svg.text(
            left if narrow else left - 12,
            label_y,
            row.label,
            f"label {row.css}",
            "start" if narrow else "end",
        )
    ]
    if math.isnan(estimate.value):
        return [*parts, svg.text(width - 8, label_y, "not measured", "value quiet", "end")]
    if math.isfinite(estimate.low):
        parts.append(svg.line(x(estimate.low), y, x(estimate.high), y, f"whisker {row.css}"))
    parts.append(svg.circle(x(estimate.value), y, 4.5, f"dot {row.css}"))
    interval = f" [{unit(estimate.low)}, {unit(estimate.high)}]" if math.isfinite(estimate.low) else ""
    parts.append(svg.text(width - 8, label_y, unit(estimate.value) + interval, f"value {row.css}", "end"))
    return parts


def lines(
    ns: Sequence[int],
    series: Sequence[Series],
    *,
    width: float,
    label: str,
    axis: str,
    kl: Sequence[float] = (),
    mark: int | None = None,
) -> Markup:
    """Lines with bands against n on a logarithmic axis, labelled at their ends.

    Args:
        ns: n of best-of-n, ascending.
        series: what to draw.
        width: pixels.
        label: for screen readers.
        axis: what the vertical axis shows.
        kl: KL bound at each n in nats, written under the ticks.
        mark: n at which to draw the limit.
    """
    narrow = width < NARROW
    left, top, height = 40, 30, (240 if narrow else 290)
    right = max(len(s.label) for s in series) * svg.CHAR + 16
    bottom = top + height
    ends = [v for s in series for e in s.points for v in (e.value, e.low, e.high)]
    domain = svg.padded(ends, include=[0.0])
    x = svg.Scale((ns[0], max(ns[-1], ns[0] + 1)), (left + 8, width - right), log=True)
    y = svg.Scale(domain, (bottom, top))
    parts = [svg.text(4, 14, axis, "axis title")]
    for tick in svg.nice_ticks(*domain):
        parts.append(svg.line(left, y(tick), width - right, y(tick), "grid" if tick else "zero"))
        parts.append(svg.text(left - 6, y(tick) + 4, svg.number(tick), "tick", "end"))
    parts += _n_axis(ns, kl, x, bottom, narrow)
    if mark is not None and mark in ns:
        parts.append(svg.line(x(mark), top, x(mark), bottom, "limit"))
        anchor = "end" if x(mark) > (left + width - right) / 2 else "start"
        parts.append(
            svg.text(x(mark) + (-6 if anchor == "end" else 6), top + 10, f"limit n = {mark}", "limit-label", anchor)
        )
    for s in series:
        xs, known = [x(n) for n in ns], all(math.isfinite(e.low) for e in s.points)
        if known:
            parts.append(svg.band(xs, [y(e.low) for e in s.points], [y(e.high) for e in s.points], f"band {s.css}"))
        parts.append(svg.path([(a, y(e.value)) for a, e in zip(xs, s.points, strict=True)], f"curve {s.css}"))
    for s, at in zip(series, svg.spread([y(s.points[-1].value) for s in series], 16), strict=True):
        parts.append(svg.text(width - right + 8, at + 4, s.label, f"label series {s.css}"))
    return svg.figure(width, bottom + (54 if kl else 40), parts, label)


def _n_axis(ns: Sequence[int], kl: Sequence[float], x: svg.Scale, bottom: float, narrow: bool) -> list[str]:
    parts, last = [], -math.inf
    for i, n in enumerate(ns):
        parts.append(svg.line(x(n), bottom, x(n), bottom + 4, "axis-line"))
        if x(n) - last < (30 if narrow else 34):
            continue
        last = x(n)
        parts.append(svg.text(x(n), bottom + 18, str(n), "tick", "middle"))
        if kl:
            parts.append(svg.text(x(n), bottom + 34, svg.number(kl[i]), "tick faint", "middle"))
    parts.append(svg.text(x.range[0] - 14, bottom + 18, "n", "axis", "end"))
    if kl:
        parts.append(svg.text(x.range[0] - 14, bottom + 34, "KL ≤", "axis", "end"))
    return parts


def reliability(curve: ReliabilityCurve, *, width: float, label: str) -> Markup:
    """Accuracy against confidence with the band in which a calibrated model would fall.

    Args:
        curve: the bins.
        width: pixels.
        label: for screen readers.
    """
    side = min(width - 60, 330)
    left, top = (48 if width < NARROW else 52), 12
    low = min(0.5, *curve.low, *curve.confidence)
    x = svg.Scale((min(0.5, *curve.confidence), 1.0), (left, left + side))
    y = svg.Scale((math.floor(low * 10) / 10, 1.0), (top + side, top))
    parts = []
    for tick in svg.nice_ticks(*x.domain):
        parts.append(svg.text(x(tick), top + side + 17, svg.number(100 * tick, 0) + "%", "tick", "middle"))
    for tick in svg.nice_ticks(*y.domain):
        parts.append(svg.line(left, y(tick), left + side, y(tick), "grid"))
        parts.append(svg.text(left - 6, y(tick) + 4, svg.number(100 * tick, 0) + "%", "tick", "end"))
    xs = [x(c) for c in curve.confidence]
    parts.append(svg.band(xs, [y(v) for v in curve.band_low], [y(v) for v in curve.band_high], "band oracle"))
    start = max(x.domain[0], y.domain[0])
    parts.append(svg.line(x(start), y(start), x(1.0), y(1.0), "reference"))
    for a, value, lo, hi in zip(xs, curve.accuracy, curve.low, curve.high, strict=True):
        parts.append(svg.line(a, y(lo), a, y(hi), "whisker main thin"))
        parts.append(svg.circle(a, y(value), 4, "dot main"))
    parts.append(svg.text(left + side / 2, top + side + 36, "confidence", "axis", "middle"))
    if width >= NARROW:
        parts += _beside(left + side + 30, top + 18)
    else:
        parts.append(svg.text(left, top + side + 56, "dots: accuracy by bin; band: calibrated model", "tick"))
    return svg.figure(width, top + side + (44 if width >= NARROW else 64), parts, label)


def _beside(x: float, y: float) -> list[str]:
    notes = ["accuracy in bins of equal counts,", "with 95% intervals"]
    band = ["where a perfectly calibrated model", "would fall with so few pairs"]
    parts = [svg.circle(x + 8, y - 4, 4, "dot main"), svg.rect(x, y + 40, 16, 12, "band oracle")]
    parts += [svg.text(x + 26, y + 17 * i, t, "note") for i, t in enumerate(notes)]
    parts += [svg.text(x + 26, y + 50 + 17 * i, t, "note") for i, t in enumerate(band)]
    parts += [
        svg.line(x, y + 99, x + 16, y + 99, "reference"),
        svg.text(x + 26, y + 103, "calibrated", "note"),
    ]
    return parts


def histogram(data: MarginHistogram, *, width: float, label: str) -> Markup:
    """Margins: right of zero the chosen one won, left of it the reward was wrong.

    Args:
        data: the bins.
        width: pixels.
        label: for screen readers.
    """
    left, top, height = 44, 26, (150 if width < NARROW else 190)
    bottom, high = top + height, max(max(data.count), 1)
    x = svg.Scale((data.edges[0], data.edges[-1]), (left, width - 10))
    y = svg.Scale((0, high * 1.05), (bottom, top))
    parts = []
    for tick in svg.nice_ticks(0, high, count=4):
        parts.append(svg.line(left, y(tick), width - 10, y(tick), "grid"))
        parts.append(svg.text(left - 6, y(tick) + 4, svg.number(tick, 0), "tick", "end"))
    for a, b, n in zip(data.edges, data.edges[1:], data.count, strict=False):
        css = "bar wrong" if b <= 0 else "bar right"
        title = f"{n} pairs with a margin of {svg.number(a)} to {svg.number(b)}"
        parts.append(svg.rect(x(a) + 0.5, y(n), x(b) - x(a) - 1, bottom - y(n), css, title))
    for tick in svg.nice_ticks(*x.domain, count=5 if width < NARROW else 8):
        parts.append(svg.text(x(tick), bottom + 17, svg.number(tick), "tick", "middle"))
    parts.append(svg.line(x(0), top - 8, x(0), bottom, "reference"))
    parts.append(
        svg.text(
            x(0) - 8,
            top - 10,
            "rejected higher" if width < NARROW else "rejected scored higher",
            "label warn",
            "end",
        )
    )
    parts.append(
        svg.text(x(0) + 8, top - 10, "chosen higher" if width < NARROW else "chosen scored higher", "label main")
    )
    axis = "margin, reward units" if width < NARROW else "margin: reward of chosen minus rejected, in reward units"
    parts.append(svg.text((left + width - 10) / 2, bottom + 36, axis, "axis", "middle"))
    return svg.figure(width, bottom + 44, parts, label)


@dataclass(frozen=True)
class History:
    """One number over a run.

    Attributes:
        label: at the line's end.
        css: `true`, `proxy` or `oracle`.
        values: one an update; NaN where it was not measured.
    """

    label: str
    css: str
    values: tuple[float, ...]


def history(steps: Sequence[float], series: Sequence[History], *, width: float, label: str, axis: str) -> Markup:
    """Numbers over the updates of a run: every value faint, a running mean of a tenth of them bold.

    Args:
        steps: number of each update, ascending.
        series: what to draw.
        width: pixels.
        label: for screen readers.
        axis: what the vertical axis shows.
    """
    narrow = width < NARROW
    left, top, height = 52, 24, (150 if narrow else 170)
    right = max(len(s.label) for s in series) * svg.CHAR + 16
    bottom = top + height
    domain = svg.padded([v for s in series for v in s.values])
    x = svg.Scale((steps[0], max(steps[-1], steps[0] + 1)), (left + 8, width - right))
    y = svg.Scale(domain, (bottom, top))
    parts = [svg.text(left - 44, top - 8, axis, "axis")]
    for tick in svg.nice_ticks(*domain, count=4):
        parts.append(svg.line(left, y(tick), width - right, y(tick), "grid"))
        parts.append(svg.text(left - 6, y(tick) + 4, svg.number(tick, 3), "tick", "end"))
    for tick in svg.nice_ticks(float(steps[0]), float(steps[-1]), count=4 if narrow else 7):
        parts.append(svg.text(x(tick), bottom + 17, svg.number(tick, 0), "tick", "middle"))
    ends = []
    for one in series:
        known = [(s, v) for s, v in zip(steps, one.values, strict=True) if math.isfinite(v)]
        smooth = _running([v for _, v in known], max(1, len(known) // 10))
        parts.append(svg.path([(x(s), y(v)) for s, v in known], f"curve faint {one.css}"))
        parts.append(svg.path([(x(s), y(m)) for (s, _), m in zip(known, smooth, strict=True)], f"curve {one.css}"))
        ends.append(y(smooth[-1]) if smooth else bottom)
    for one, place in zip(series, svg.spread(ends, 16), strict=True):
        parts.append(svg.text(width - right + 8, place + 4, one.label, f"series {one.css}"))
    return svg.figure(width, bottom + 26, parts, label)


def _running(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last `window` values at each place; of fewer at the beginning."""
    found, total = [], 0.0
    for i, v in enumerate(values):
        total += v - (values[i - window] if i >= window else 0.0)
        found.append(total / min(i + 1, window))
    return found
