"""Zero and unit of a fitted reward, where there are more training completions than fix them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from plaudit.records import Message, Pair
from plaudit.rewards.readers.head import Head
from plaudit.training import fitting
from plaudit.training.fitting import normalisation


class Told:
    """A reward of groups that carry their scores in the place of tokens; keeps which it was asked about."""

    def __init__(self):
        self.head, self.seen = Head(), []
        self.model = SimpleNamespace(eval=lambda: None)
        self.engine = SimpleNamespace(scores=self.scores)

    def scores(self, groups, *, prompts=None):
        self.seen = [float(x) for group in groups for x in group]
        return torch.tensor(self.seen)[:, None]


def groups_of(scores, size=2):
    return [SimpleNamespace(sequences=(float(x),) * size, prompts=(0,) * size) for x in scores]


@pytest.fixture
def hundred(monkeypatch):
    monkeypatch.setattr(fitting, "NORMALISE_ON", 100)


@pytest.mark.usefixtures("hundred")
def test_a_file_sorted_by_source_gets_the_zero_of_all_its_sources():
    """100 groups of two say 0, then 100 say 1: mean 1/2 and deviation 1/2.

    Of 50 groups that are drawn without replacement the mean has a deviation of 1/2 * sqrt(1/50 * 150/199) = 0.061.
    """
    groups = groups_of([0.0] * 100 + [1.0] * 100)
    means = []
    for seed in range(20):
        reward = Told()
        _, offset, scale = normalisation(reward, groups, seed)
        assert len(reward.seen) == 100
        assert offset == pytest.approx(0.5, abs=5 * 0.061)
        assert scale == pytest.approx(np.sqrt(offset * (1 - offset)))  # of zeros and ones
        assert normalisation(Told(), groups, seed)[1:] == (offset, scale)
        means.append(offset)
    assert len(set(means)) > 5  # another seed draws others
    assert np.mean(means) == pytest.approx(0.5, abs=5 * 0.061 / np.sqrt(20))


@pytest.mark.usefixtures("hundred")
@pytest.mark.parametrize(("n", "size", "read"), [(40, 2, 80), (50, 2, 100), (51, 2, 100), (99, 3, 102), (2, 70, 140)])
def test_groups_are_whole_and_all_where_they_are_few(n, size, read):
    reward = Told()
    normalisation(reward, groups_of(range(n), size))
    assert len(reward.seen) == read
    assert all(reward.seen.count(x) == size for x in reward.seen)
    assert reward.seen == sorted(reward.seen)  # in the order of the file


def test_a_fit_draws_by_its_seed(fit, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "NORMALISE_ON", 12)
    asked = [(Message("user", f"question {i}"),) for i in range(24)]
    good, bad = [Pair(p, "a good answer", "a bad answer") for p in asked], [Pair(p, "yes", "no") for p in asked]
    rows, seen = [*good, *bad], []  # sorted by source
    drawn = fitting.normalisation

    def kept(reward, groups, *more):
        head, offset, scale = drawn(reward, groups, *more)
        seen.append((more, len(groups), offset))
        return head, offset, scale

    monkeypatch.setattr(fitting, "normalisation", kept)
    first, again = (fit(tmp_path / name, rows, batch_size=48, seed=3) for name in "ab")
    assert [(more, n) for more, n, _ in seen] == [((3,), 48)] * 2
    assert first.reward.manifest.offset == again.reward.manifest.offset
    score = {c: s["score"] for c, s in zip(
        ("a good answer", "a bad answer"), first.reward(list(good[0].samples())).detail, strict=True
    )}  # fmt: skip
    # of the six first pairs alone, which all are alike, it would be the mean of the two scores
    assert abs(first.reward.manifest.offset - np.mean(list(score.values()))) > 1e-4
