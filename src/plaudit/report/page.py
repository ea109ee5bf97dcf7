"""The page from the data: charts drawn at two widths, everything else in the template, all of it escaped."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from markupsafe import Markup

from plaudit.evaluation.baselines import Baseline, strongest
from plaudit.evaluation.results import PairEvaluation
from plaudit.report import charts
from plaudit.report.data import Change, ReportData
from plaudit.stats.estimate import Estimate

WIDE, PHONE = 720, 340
USES = {
    "train-against": "Permitted use: training against",
    "rerank": "Permitted use: reranking",
    "monitor": "Permitted use: monitoring",
    "none": "Permitted use: none",
}


def render(data: ReportData, *, texts: bool = True) -> str:
    """The report as one self-contained HTML page: no script, no network, no font or image from elsewhere.

    Args:
        data: what was measured; sections without data are left out, or say that they were not measured.
        texts: whether the texts of the wrong pairs are shown; without, only their rows and margins are.
    """
    page: str = template("report.html.j2").render(
        data=data,
        texts=texts,
        charts=_charts(data),
        use=USES[data.verdict.use] if data.verdict else "",
        not_tested=(*(data.verdict.not_tested if data.verdict else ()), *data.not_tested),
        judged=[(change, _judgement(change)) for change in data.changes],
        bar=_bar(data.evaluation),
    )
    return page


def _bar(result: PairEvaluation | None) -> Baseline | None:
    """The best rule that never reads the text, judged as the verdict judges; None where none could be measured."""
    judged = result.truth if result is not None and result.truth and result.truth.baselines else result
    return strongest(judged.baselines if judged is not None else ())


@cache
def template(name: str) -> Any:
    """A page's template, with the filters that write estimates and counts.

    Args:
        name: of a file in `templates/`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("plaudit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
    environment.filters["estimate"] = _estimate
    environment.filters["percent"] = lambda e: _estimate(e, percent=True)
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["signed"] = lambda x, digits=2: f"{x:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return environment.get_template(name)


def _estimate(estimate: Estimate | None, digits: int = 3, percent: bool = False) -> Markup:
    """Value and interval, the latter quieter, with true minus signs."""
    if estimate is None:
        return Markup('<span class="quiet">not measured</span>')
    value, _, interval = estimate.format(digits, percent=percent).replace("-", "\N{MINUS SIGN}").partition(" ")
    return Markup('{} <span class="interval">{}</span>').format(value, interval)


def _judgement(change: Change) -> str:
    """`better`, `worse` or `undecided`: from the paired difference, else from intervals that do not meet."""
    before, after, flip = change.before, change.after, -1.0 if change.better == "lower" else 1.0
    if change.better == "nearer-zero":
        a, b = _distance(before), _distance(after)
        return "better" if b[1] < a[0] else "worse" if b[0] > a[1] else "undecided"
    if change.difference is not None:
        if not change.difference.excludes(0.0):
            return "undecided"
        return "better" if change.difference.value * flip > 0 else "worse"
    if after.low > before.high:
        return "better" if flip > 0 else "worse"
    if after.high < before.low:
        return "worse" if flip > 0 else "better"
    return "undecided"


def _distance(e: Estimate) -> tuple[float, float]:
    """The interval of |value|."""
    if e.low <= 0 <= e.high:
        return 0.0, max(-e.low, e.high)
    return min(abs(e.low), abs(e.high)), max(abs(e.low), abs(e.high))


def both_widths(draw: Callable[..., Markup], *args: Any, **options: Any) -> Markup:
    """The chart for the page and the one for a phone; the style sheet shows one of them."""
    wide, phone = draw(*args, width=WIDE, **options), draw(*args, width=PHONE, **options)
    return Markup('<div class="chart wide">{}</div><div class="chart phone">{}</div>').format(wide, phone)


def _charts(data: ReportData) -> dict[str, Markup]:
    drawn: dict[str, Markup] = {}
    drawn.update(_curve(data))
    result = data.evaluation
    if result is not None:
        rows = [charts.Row("this reward", result.accuracy, "main")]
        rows += [charts.Row(b.name, b.accuracy) for b in result.baselines]
        label = "Accuracy of this reward and of content-blind rules, with 95% intervals"
        drawn["baselines"] = both_widths(
            charts.dots, rows, label=label, reference=0.5, axis="accuracy, ties counted half", percent=True
        )
        if result.reliability is not None and result.reliability.count:
            label = "Reliability diagram: accuracy against confidence with the noise band of a calibrated model"
            drawn["reliability"] = both_widths(charts.reliability, result.reliability, label=label)
        if result.histogram is not None:
            label = "Histogram of margins between chosen and rejected completions"
            drawn["histogram"] = both_widths(charts.histogram, result.histogram, label=label)
    drawn.update(_audit(data))
    return drawn


def _curve(data: ReportData) -> dict[str, Markup]:
    """Gains over one sample in within-prompt deviations, where the proxy's unit is known; else two panels."""
    curve = data.curve
    if curve is None or len(curve.ns) < 2:
        return {}
    mark = data.verdict.limit_n if data.verdict else None
    truth = charts.Series("true", "true", _gains(curve.truth, data.true_unit))
    oracle = charts.Series("oracle", "oracle", _gains(curve.oracle, data.true_unit))
    unit = data.biases.unit.value if data.biases is not None else float("nan")
    options: dict[str, Any] = {"kl": curve.kl_bound, "mark": mark}
    about = "against n of best-of-n, with 95% bands"
    if unit > 0:
        proxy = charts.Series("proxy", "proxy", _gains(curve.proxy, unit))
        axis = "gain over one sample, within-prompt sd"
        label = f"Proxy, true and oracle reward {about}"
        return {"curve": both_widths(charts.lines, curve.ns, [oracle, proxy, truth], label=label, axis=axis, **options)}
    axis = "true reward gained over one sample"
    label = f"True and oracle reward {about}"
    first = both_widths(charts.lines, curve.ns, [oracle, truth], label=label, axis=axis, **options)
    proxy = charts.Series("proxy", "proxy", _gains(curve.proxy, 1.0))
    axis, label = "proxy gained over one sample, reward units", f"Proxy {about}"
    return {"curve": first + both_widths(charts.lines, curve.ns, [proxy], label=label, axis=axis, **options)}


def _gains(points: tuple[Estimate, ...], unit: float) -> tuple[Estimate, ...]:
    """Each point minus the first point's value, in units; the bands keep their widths."""
    start = points[0].value
    return tuple(
        Estimate((e.value - start) / unit, (e.low - start) / unit, (e.high - start) / unit, e.n, e.method)
        for e in points
    )


def _audit(data: ReportData) -> dict[str, Markup]:
    from plaudit.audit.findings import Thresholds

    if data.biases is None:
        return {}
    limits, drawn = Thresholds(), {}

    def shade(estimate: Estimate, zone: float) -> str:
        return "warn" if estimate.low > zone or estimate.high < -zone else "main"

    effects = [charts.Row(e.name, e.effect, shade(e.effect, limits.bias)) for e in data.biases.effects]
    if effects:
        drawn["biases"] = both_widths(
            charts.dots,
            effects,
            label="Effect of each surface feature on the reward, with 95% intervals",
            reference=0.0,
            zone=limits.bias,
            axis="within-prompt standard deviations",
        )
    gaps = [
        charts.Row(f"{g.column} = {g.value}", g.accuracy_gap, shade(g.accuracy_gap, limits.gap))
        for g in data.biases.gaps
    ]
    if gaps:
        drawn["gaps"] = both_widths(
            charts.dots,
            gaps,
            label="Accuracy of each group minus that of all other pairs, with 95% intervals",
            reference=0.0,
            zone=limits.gap,
            axis="accuracy minus that of the others",
            percent=True,
        )
    return drawn
