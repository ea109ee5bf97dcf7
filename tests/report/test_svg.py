import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.report import charts, svg
from plaudit.stats.estimate import Estimate


def test_scales_by_hand():
    assert svg.Scale((0, 10), (100, 200))(2.5) == 125
    assert svg.Scale((0, 10), (200, 100))(2.5) == 175
    assert svg.Scale((1, 16), (0, 100), log=True)(4) == 50  # log2 4 is half of log2 16
    assert svg.Scale((0, 10), (0, 100))(99) == 100


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_ticks_are_inside_and_few(low, span, count):
    ticks = svg.nice_ticks(low, low + span, count)
    assert len(ticks) <= count + 1
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in ticks)


def test_ticks_by_hand():
    assert svg.nice_ticks(0, 1, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert svg.nice_ticks(-0.3, 0.7, 4) == [-0.25, 0.0, 0.25, 0.5]


@pytest.mark.parametrize(("value", "said"), [(-0.001, "0"), (-1.5, "−1.5"), (2.0, "2"), (0.126, "0.13")])
def test_numbers(value, said):
    assert svg.number(value) == said


@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_labels_do_not_overlap_and_keep_their_order(wished):
    placed = svg.spread(wished, 16)
    order = sorted(range(len(wished)), key=lambda i: wished[i])
    assert all(placed[b] - placed[a] >= 16 - 1e-9 for a, b in pairwise(order))
    assert sum(placed) == pytest.approx(sum(wished), abs=1e-6)


@pytest.mark.parametrize("width", [720, 340])
def test_charts_are_xml_inside_their_box(width):
    rows = [charts.Row("<&\"'>", Estimate(0.5, 0.4, 0.6)), charts.Row("gone", Estimate(math.nan))]
    drawn = charts.dots(rows, width=width, label='a "quoted" <label>', reference=0.0, axis="x")
    root = ET.fromstring(str(drawn))
    assert root.attrib["aria-label"] == 'a "quoted" <label>'
    assert "not measured" in "".join(root.itertext())
    assert "<&\"'>" in "".join(root.itertext())
    for dot in root.findall("circle"):
        assert 0 <= float(dot.attrib["cx"]) <= width


def test_lines_draw_each_series_at_its_values():
    points = (Estimate(0.0, -0.1, 0.1), Estimate(1.0, 0.9, 1.1), Estimate(0.5, 0.4, 0.6))
    drawn = charts.lines([1, 2, 4], [charts.Series("true", "true", points)], width=720, label="l", axis="y", mark=2)
    root = ET.fromstring(str(drawn))
    path = next(p for p in root.findall("path") if p.attrib["class"] == "curve true").attrib["d"]
    (x1, y1), (x2, y2), (x3, y3) = (map(float, p.split()) for p in path[1:].split("L"))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)  # doubling n is a step of equal width
    assert (y1 - y3) == pytest.approx((y1 - y2) / 2, abs=0.2)  # 0.5 lies half-way, upwards
    assert "limit n = 2" in "".join(root.itertext())
