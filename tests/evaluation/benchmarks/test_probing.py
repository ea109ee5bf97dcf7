import math

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.benchmarks.probing import DIMENSIONS, InferenceProbe, mrmbench_score, probe_accuracy


def states(n, seed, noise=0.5):
    """Two levels along the first of six axes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    h = rng.normal(size=(n, 6)) * noise
    h[:, 0] += 3.0 * y
    return h, y


def test_a_probe_reads_what_is_there_and_not_what_is_not():
    (x, y), (u, v) = states(400, 0), states(300, 1)
    there = probe_accuracy(x, y, u, v)
    assert there.accuracy.value > 0.97
    random = np.random.default_rng(2).integers(0, 2, 700)
    nothing = probe_accuracy(x, random[:400], u, random[400:])
    assert abs(nothing.accuracy.value - 0.5) < 0.1
    assert 0.4 < nothing.majority.value < 0.6


def test_probe_accuracy_does_not_feel_linear_maps():
    (x, y), (u, v) = states(200, 0, noise=2.0), states(200, 1, noise=2.0)
    a = np.random.default_rng(3).normal(size=(6, 6)) * 10
    assert np.array_equal(probe_accuracy(x, y, u, v).right, probe_accuracy(x @ a + 5, y, u @ a + 5, v).right)


def test_three_levels_and_the_mean_of_six():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    h = rng.normal(size=(300, 2)) * 0.1 + np.array([[0, 0], [3, 0], [0, 3]])[y]
    probe = probe_accuracy(h[:150], y[:150], h[150:], y[150:])
    assert probe.accuracy.value == 1.0
    (x, z), (u, _) = states(100, 4), states(50, 5)
    other = probe_accuracy(x, 1 - z, u, z[:50])  # labels of other states: what it reaches is by chance
    results = dict.fromkeys(DIMENSIONS, probe) | {"verbosity": other}
    found = mrmbench_score(results)
    assert found.value == pytest.approx((5 + other.accuracy.value) / 6)
    assert found.low <= found.value <= found.high
    del results["coherence"]
    assert math.isnan(mrmbench_score(results).value)
    assert mrmbench_score(results).method == "missing dimensions: coherence"


def two_dimensions():
    """Validation states: harmlessness lives along axis 0, helpfulness along axis 1."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    made = {}
    for axis, name in enumerate(("harmlessness", "helpfulness")):
        h = rng.normal(size=(40, 2)) * 0.1
        h[:, axis] += 4.0 * y
        h[:, 1 - axis] += 50.0 * axis  # far apart, so that a state is near one dimension's centroids only
        made[name] = (h, y)
    return {n: h for n, (h, _) in made.items()}, {n: y for n, (_, y) in made.items()}


def test_inference_time_probing_by_hand():
    probe = InferenceProbe.fit(*two_dimensions())
    # both states near harmlessness's centroids (0, 0) and (4, 0): one level apart along it
    said = probe.explain(np.array([[4.0, 0.0]]), np.array([[0.0, 0.0]]))
    assert said.dimension == ("harmlessness",)
    assert said.confidence[0] == pytest.approx(1.0, abs=0.05)
    back = probe.explain(np.array([[0.0, 0.0]]), np.array([[4.0, 0.0]]))
    assert back.confidence[0] == pytest.approx(-said.confidence[0])
    assert said.profile.shape == (1, 2)


def test_errors():
    with pytest.raises(InputError, match="all training labels are one level"):
        probe_accuracy(np.zeros((3, 2)), [0, 0, 0], np.zeros((1, 2)), [0])
    with pytest.raises(ShapeError, match="widths 2 and 3"):
        probe_accuracy(np.zeros((2, 2)), [0, 1], np.zeros((1, 3)), [0])
    with pytest.raises(InputError, match="a test state is not finite"):
        probe_accuracy(np.eye(2), [0, 1], [[math.nan, 0.0]], [0])
    with pytest.raises(InputError, match="has one level only"):
        InferenceProbe.fit({"verbosity": np.eye(2)}, {"verbosity": [1, 1]})
    with pytest.raises(InputError, match="all lie on its centroids"):
        InferenceProbe.fit({"verbosity": np.eye(2)}, {"verbosity": [0, 1]})
