"""Parity with dcor: distance covariance, its correlation and the permutation test's statistic."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
import torch

from plaudit.audit.fairness.dependence import dependence_test
from plaudit.stats.dependence import attribute_matrix, centred_distances, distance_covariance, joint_distance_covariance
from plaudit.training.regularisers.dependence import distance_covariance_penalty

pytestmark = pytest.mark.peer
SHAPES = [(1, 1), (1, 3), (4, 2)]


@pytest.fixture(scope="module")
def dcor():
    """The library. Its numba shares torch's OpenMP runtime and would set its threads for the whole process: workers of
    two threads each on two cores wait for one another. It compiles at import, most of a minute where nothing is cached;
    its kernels cannot do without, and can without optimisation, which is half of that.
    """
    threads = torch.get_num_threads()
    os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))
    os.environ.setdefault("NUMBA_OPT", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its compiler, when it is imported
        yield pytest.importorskip("dcor")
    assert torch.get_num_threads() == threads


def related(d, e, n=70):
    rng = np.random.default_rng([d, e])
    x = rng.normal(size=(n, d))
    return x, np.abs(x[:, :1]) * np.ones(e) + rng.standard_t(3, size=(n, e))


@pytest.mark.parametrize(("d", "e"), SHAPES)
def test_covariance_and_correlation(dcor, d, e):
    x, y = related(d, e)
    covariance = distance_covariance(x, y)
    assert covariance == pytest.approx(dcor.distance_covariance_sqr(x, y), abs=1e-9)
    correlation = covariance / np.sqrt(distance_covariance(x, x) * distance_covariance(y, y))
    assert correlation == pytest.approx(dcor.distance_correlation_sqr(x, y), abs=1e-9)
    assert joint_distance_covariance([x, y]) == pytest.approx(dcor.distance_covariance_sqr(x, y), abs=1e-9)


@pytest.mark.parametrize(("d", "e"), SHAPES)
def test_centred_distances(dcor, d, e):
    x, _ = related(d, e)
    assert centred_distances(x) == pytest.approx(dcor.double_centered(dcor.distances.pairwise_distances(x)), abs=1e-9)


def test_the_statistic_of_the_permutation_test(dcor):
    rng = np.random.default_rng(5)
    age, tongue = rng.integers(20, 80, 90).tolist(), rng.choice(["de", "en", "fr"], 90).tolist()
    attributes = attribute_matrix([age, tongue])
    values = rng.normal(size=90) + (np.array(tongue) == "de") * (np.array(age) > 50)
    values[::9] = np.nan  # of a reward that abstained: they leave both sides
    seen = np.isfinite(values)
    found = dependence_test(values, attributes, permutations=19)
    assert found.statistic == pytest.approx(dcor.distance_covariance_sqr(values[seen], attributes[seen]), abs=1e-9)
    assert found.correlation == pytest.approx(dcor.distance_correlation(values[seen], attributes[seen]), abs=1e-9)


def test_within_prompts_it_is_theirs_of_what_is_centred_by_hand(dcor):
    rng = np.random.default_rng(6)
    prompts = np.repeat(np.arange(20), 4)
    group = rng.choice(["de", "en"], 80)
    values = 10.0 * rng.normal(size=20)[prompts] + (group == "de") + rng.normal(size=80)
    attributes = attribute_matrix([group.tolist()])
    centred = (values.reshape(20, 4) - values.reshape(20, 4).mean(axis=1, keepdims=True)).ravel()
    found = dependence_test(values, attributes, prompts.tolist(), permutations=19)
    assert found.statistic == pytest.approx(dcor.distance_covariance_sqr(centred, attributes), abs=1e-9)


def test_the_penalty_in_training(dcor):
    rng = np.random.default_rng(4)
    for d in (1, 3):
        x, y = rng.normal(size=30), rng.normal(size=(30, d))
        corrected = float(distance_covariance_penalty(torch.tensor(x), torch.tensor(y)))
        assert corrected == pytest.approx(dcor.u_distance_covariance_sqr(x, y), abs=1e-12)
        plain = float(distance_covariance_penalty(torch.tensor(x), torch.tensor(y), corrected=False))
        assert plain == pytest.approx(dcor.distance_covariance_sqr(x, y), abs=1e-12)
