"""Better, worse or no difference: the shares by hand, and what a trained model says."""

import numpy as np
import pytest
import torch

from plaudit import Sample
from plaudit.errors import InputError
from plaudit.records import Message, Ranked
from plaudit.rewards.base import Comparison, Outcome
from plaudit.rewards.comparisons import TieComparison
from plaudit.rewards.comparisons.ties import davidson_shares, rao_kupper_shares
from plaudit.rewards.registry import resolve
from plaudit.training import Backbone, FitConfig, fit_reward_model
from plaudit.training.objectives.pairs.ties import davidson, rao_kupper

ASKED = (Message("user", "which"),)


def rows(share, n=160):
    """Lists of two, tied with a probability; else either of the two is better, as often."""
    rng = np.random.default_rng(0)
    drawn = [(1.0, 1.0) if rng.random() < share else (2.0, 1.0) if rng.random() < 0.5 else (1.0, 2.0) for _ in range(n)]
    return [Ranked(ASKED, ("left side", "right side"), scores) for scores in drawn]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("ties"), {}
    config = dict(epochs=12.0, learning_rate=3e-2, batch_size=32, max_length=64)
    for objective in ("rao-kupper", "davidson"):
        for share in (0.25, 0.6):
            out = folder / f"{objective}-{share}"
            fit_reward_model(
                rows(share), backbone=Backbone(width=16, layers=1, heads=2, vocabulary=300),
                config=FitConfig(objective=objective, **config), out=out,
            )  # fmt: skip
            told[objective, share] = out / "model"
    return told


def test_shares_by_hand():
    threshold = np.full(2, np.log(np.e - 1))  # softplus of it is 1
    first, tie = rao_kupper_shares(np.array([0.0, 2.0]), threshold)
    assert first == pytest.approx([0.2689414, 0.7310586], abs=1e-7)  # sigmoid(-1), sigmoid(1)
    assert tie == pytest.approx([0.4621172, 0.2215155], abs=1e-7)  # tanh(1/2); 1 - sigmoid(1) - sigmoid(-3)
    first, tie = davidson_shares(np.array([0.0, 2 * np.log(2)]), np.zeros(2))
    assert first == pytest.approx([1 / 3, 4 / 7])
    assert tie == pytest.approx([1 / 3, 2 / 7])


@pytest.mark.parametrize(
    ("shares", "loss", "option", "value"),
    [(rao_kupper_shares, rao_kupper, "threshold", np.log1p(np.exp(0.3))), (davidson_shares, davidson, "log_tie", 0.3)],
)
def test_shares_are_the_likelihoods_that_were_trained(shares, loss, option, value):
    scores = torch.tensor([1.5, -0.25], dtype=torch.float64)
    first, tie = shares(np.array([1.75]), np.array([0.3]))
    for tied, share in ((False, first), (True, tie)):
        found = loss(scores, torch.tensor([[0, 1]]), tied=torch.tensor([tied]), **{option: value})
        assert found.item() == pytest.approx(-np.log(share[0]), abs=1e-9)


def test_it_says_how_common_ties_are(fitted):
    first, second = [Sample(ASKED, "left side")], [Sample(ASKED, "right side")]
    for (objective, share), folder in fitted.items():
        tied = np.mean([row.scores[0] == row.scores[1] for row in rows(share)])
        there, back = (resolve(f"compare/ties?of={folder}")(*sides) for sides in ((first, second), (second, first)))
        assert there.tie[0] == pytest.approx(tied, abs=0.1), (objective, share)
        assert there.probability[0] == pytest.approx(0.5, abs=0.1)
        assert there.tie[0] == pytest.approx(back.tie[0], abs=1e-9)
        assert there.probability[0] + back.probability[0] == pytest.approx(1, abs=1e-9)
        assert 0 < there.tie[0] / 2 < there.probability[0]


def test_it_is_a_comparison_that_survives(fitted):
    folder = fitted["davidson", 0.25]
    one, other = resolve(f"compare/ties?of={folder}"), resolve(f"compare/ties?of={folder}")
    assert isinstance(one, Comparison)
    assert isinstance(one, TieComparison)
    assert one.fingerprint == other.fingerprint != one.core.fingerprint
    assert len(one([], []).probability) == 0
    with pytest.raises(InputError, match="1 samples on one side and 0 on the other"):
        one([Sample(ASKED, "left side")], [])
    with pytest.raises(InputError, match="pair 0 answers two prompts"):
        one([Sample(ASKED, "left side")], [Sample("another", "left side")])


def test_outputs_that_overflowed_are_an_instrument_fault(fitted):
    one = resolve(f"compare/ties?of={fitted['rao-kupper', 0.6]}")
    with torch.no_grad():
        for weight in one.core.model.score.parameters():
            weight.fill_(float("inf"))
    said = one([Sample(ASKED, "left side")], [Sample(ASKED, "right side")])
    assert said.outcome.tolist() == [Outcome.INSTRUMENT_FAULT]
    assert np.isnan(said.probability[0])
    assert np.isnan(said.tie[0])
    assert "overflowed" in said.detail[0]["error"]


def test_what_was_trained_without_ties_is_refused(tmp_path):
    fit_reward_model(
        rows(0.0, 8), backbone=Backbone(width=16, layers=1, heads=2, vocabulary=300),
        config=FitConfig(epochs=1.0, max_length=64), out=tmp_path,
    )  # fmt: skip
    with pytest.raises(InputError, match="was trained with bradley-terry; ties are learned by rao-kupper and davidson"):
        resolve(f"compare/ties?of={tmp_path}/model")
    with pytest.raises(InputError, match="rule/length is no reward model"):
        resolve("compare/ties?of=rule/length")
