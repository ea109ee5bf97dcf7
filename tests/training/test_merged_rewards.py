"""Reward models on the straight line through two: the ends, beyond, and what does not belong together."""

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.records import Message, Sample
from plaudit.records.writing import write
from plaudit.rewards.models import ModelReward
from plaudit.rewards.registry import load
from plaudit.training.config import Backbone
from plaudit.training.merging import merge_rewards

SAMPLES = [Sample((Message("user", "question 1"),), f"a {w} answer") for w in ("good", "bad", "long and good")]


@pytest.fixture(scope="module")
def two(fit, pairs, tmp_path_factory):
    """A model, and one that was fitted from it."""
    folder = tmp_path_factory.mktemp("two")
    fit(folder / "a", pairs())
    fit(folder / "b", pairs(), backbone=Backbone(name=str(folder / "a" / "model")), epochs=3.0)
    return folder / "a" / "model", folder / "b" / "model"


def weights(folder):
    return {name: p.detach().double() for name, p in ModelReward.load(folder).model.named_parameters()}


def test_the_ends_and_beyond(two, tmp_path):
    first, second = map(weights, two)
    whole = merge_rewards(*two, factor=1.0, out=tmp_path / "one")
    assert whole(SAMPLES).reward == pytest.approx(load(two[1])(SAMPLES).reward, abs=1e-5)
    merge_rewards(*two, factor=1.5, out=tmp_path / "more")
    found = weights(tmp_path / "more")
    assert any(float((first[name] - second[name]).abs().max()) > 1e-4 for name in first)
    for name, weight in found.items():
        assert np.allclose(weight, first[name] + 1.5 * (second[name] - first[name]), atol=1e-6), name
    reward = load(tmp_path / "more")
    assert reward.manifest.training["merged"]["factor"] == 1.5
    assert reward.manifest.scale == load(two[1]).manifest.scale


def test_over_given_pairs_it_has_mean_0_and_deviation_1(two, pairs, tmp_path, capsys):
    rows = pairs()
    write(tmp_path / "pairs.jsonl", rows)
    words = [str(two[0]), str(two[1]), "--weight", "1.5", "--out", str(tmp_path / "more")]
    assert main(["merge", *words, "--pairs", str(tmp_path / "pairs.jsonl")]) == 0
    assert "+ 1.5 (" in capsys.readouterr().out
    said = load(tmp_path / "more")([s for row in rows for s in row.samples()]).reward
    assert said.mean() == pytest.approx(0.0, abs=1e-5)
    assert said.std() == pytest.approx(1.0, abs=1e-5)


def test_what_does_not_belong_together_is_one_line(two, fit, pairs, ranked, tmp_path, capsys):
    fit(tmp_path / "wide", pairs(), backbone=Backbone(width=64, layers=2, heads=2, vocabulary=300))
    for other, words in ((tmp_path / "wide" / "model", "are not of one architecture and head"),):
        with pytest.raises(InputError, match=words):
            merge_rewards(two[0], other, factor=0.5, out=tmp_path / "no")
    with pytest.raises(InputError, match="factor"):
        merge_rewards(*two, factor=-1.0, out=tmp_path / "no")
    for more, words in (
        (["--weight", "0.1,0.2"], "--weight with several shares is for policies"),
        (["--weight", "0.5", "--adapt", "x.jsonl"], "--adapt is for policies"),
    ):
        assert main(["merge", str(two[0]), str(two[1]), "--out", str(tmp_path / "no"), *more]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
