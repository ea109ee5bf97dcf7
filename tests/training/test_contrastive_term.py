"""The contrastive term in a run: its value, that no score depends on it, and that it can be resumed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification

import plaudit
from plaudit.engine.gate import Gate
from plaudit.errors import InputError, UnsupportedError
from plaudit.training.callbacks import Recorder
from plaudit.training.config import FitConfig
from plaudit.training.views import contrastive_objective, view_outputs

STILL = dict(epochs=1.0, batch_size=8, learning_rate=1e-9)


def test_the_term_by_hand():
    """Two prompts: one with two completions whose views agree, at right angles to each other; one with a single one.

    Cosines are 1 with oneself and 0 with the other, so at a temperature of 0.05 each item costs log(1 + exp(-20)).
    The third completion points as the first does, and costs nothing: it has no negatives, and is none to the others.
    """
    e1, e2 = [3.0, 0.0], [0.0, 2.0]
    outputs = torch.tensor([[1.0, *e1, *e1], [2.0, *e2, *e2], [4.0, *e1, *e1]], dtype=torch.float64)
    row = {"group": torch.tensor([0, 0, 1])}
    found = contrastive_objective(outputs, row, objective=lambda o, _: o.sum(), scores=1, coef=1e8)
    assert float(found) == pytest.approx(7 + 1e8 * 2 * np.log1p(np.exp(-20)))


def test_a_first_step_has_the_states_term(fit, pairs, tmp_path):
    """Without dropout both views are the state: the loss is that of the plain fit and of the states' cosines."""
    rows = pairs(8)
    plain = fit(tmp_path / "plain", rows, **STILL)
    found = fit(tmp_path / "term", rows, **STILL, contrastive_coef=0.5, contrastive_dropout=0.0)
    reward = plain.reward
    total = 0.0
    for row in rows:
        ids = [np.array(reward.encoder.encode_group(row.prompt, [c])[0].ids) for c in (row.chosen, row.rejected)]
        with torch.no_grad():  # the plain trunk, a sequence at a time
            states = [reward.model.model(torch.tensor(x[None], dtype=torch.long)).last_hidden_state[0, -1] for x in ids]
        cosine = float(F.cosine_similarity(states[0], states[1], dim=0))
        total += 2 * np.log1p(np.exp((cosine - 1) / 0.05))  # each of the two against the other
    assert total > 0.01
    assert found.losses[0] == pytest.approx(plain.losses[0] + 0.5 * total / 8, abs=1e-4)


def test_no_score_depends_on_it(fit, pairs, tmp_path, parameters):
    rows = pairs(8)
    none, some = (fit(tmp_path / str(c), rows, **STILL, contrastive_coef=c) for c in (0.0, 1e-9))
    assert np.allclose(none.losses, some.losses, atol=1e-6)
    assert parameters(none).keys() == parameters(some).keys()  # the term has no parameters
    fitted = fit(tmp_path / "large", rows, contrastive_coef=1.0, contrastive_dropout=0.5, epochs=2.0)
    samples = [s for row in rows for s in row.samples()]
    first, again = fitted.reward(samples).reward, fitted.reward(samples).reward
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(plaudit.load(tmp_path / "large")(samples).reward, first, atol=1e-6)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "large" / "model")
    assert stock.config.num_labels == 1
    assert type(fitted.reward.model.score).__name__ == "ReadHead"
    assert not fitted.reward.model.score._forward_hooks


def test_dropout_has_an_effect(fit, pairs, tmp_path):
    few, many = (fit(tmp_path / str(p), pairs(8), contrastive_coef=1.0, contrastive_dropout=p) for p in (0.1, 0.6))
    assert few.losses[0] + 0.1 < many.losses[0]  # views that have less in common are harder to tell


def test_padded_batches_have_the_same_term(fit, pairs, tmp_path, monkeypatch):
    options = dict(contrastive_coef=0.5, contrastive_dropout=0.0)
    tree = fit(tmp_path / "tree", pairs(8), **options)
    monkeypatch.setattr("plaudit.engine.engine.static_gate", lambda _: Gate(False, "padded for the test"))
    padded = fit(tmp_path / "padded", pairs(8), **options)
    assert padded.tree == "padded for the test"
    np.testing.assert_allclose(tree.losses, padded.losses, atol=1e-5, rtol=0)


def test_accumulation_without_masks_is_one_large_batch(fit, pairs, ranked, parameters, tmp_path):
    options = dict(
        rows=[*pairs(5), *ranked(3)], learning_rate=3e-5, warmup=0.0, contrastive_coef=0.5, contrastive_dropout=0.0
    )
    whole = fit(tmp_path / "a", batch_size=8, accumulation=1, **options)
    parts = fit(tmp_path / "b", batch_size=1, accumulation=8, **options)
    np.testing.assert_allclose(whole.losses, parts.losses, atol=1e-6, rtol=0)
    for name, value in parameters(whole).items():
        torch.testing.assert_close(value, parameters(parts)[name], atol=2e-6, rtol=0)


class Killed(BaseException):
    """Nothing on the way catches this."""


def test_killed_and_resumed_equals_never_killed(fit, parameters, tmp_path):
    run = dict(batch_size=2, epochs=2.0, save_steps=2, contrastive_coef=1.0)
    whole, end = fit(tmp_path / "whole", **run), Recorder.on_step_end

    def on_step_end(self, args, state, control, **rest):
        end(self, args, state, control, **rest)
        if state.global_step == 5:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "on_step_end", on_step_end)
        with pytest.raises(Killed):
            fit(tmp_path / "killed", **run)
    resumed = fit(tmp_path / "killed", **run)
    np.testing.assert_allclose(whole.losses, resumed.losses, atol=1e-6, rtol=0)
    for name, value in parameters(whole).items():
        torch.testing.assert_close(value, parameters(resumed)[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("options", [{"lora_rank": 2}, {"head_depth": 2}, {"gradient_checkpointing": True}])
def test_it_goes_with_other_options(options, fit, pairs, tmp_path):
    plain = fit(tmp_path / "plain", pairs(8), **STILL, **options)
    found = fit(tmp_path / "term", pairs(8), **STILL, **options, contrastive_coef=1.0)
    assert found.losses[0] > plain.losses[0] + 1e-3
    samples = [s for row in pairs(4) for s in row.samples()]
    np.testing.assert_allclose(plaudit.load(tmp_path / "term")(samples).reward, found.reward(samples).reward, atol=1e-5)


@pytest.mark.parametrize("name", ["rao-kupper", "quantile", "plackett-luce", "general-preference"])
def test_it_goes_with_other_objectives(name, fit, ranked, tmp_path):
    plain = fit(tmp_path / "plain", ranked(6), objective=name, **STILL)
    found = fit(tmp_path / "term", ranked(6), objective=name, contrastive_coef=1.0, **STILL)
    assert found.losses[0] > plain.losses[0] + 1e-3
    assert found.reward.head.outputs == plain.reward.head.outputs


def test_refusals(fit, pairs, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="contrastive_coef has no effect on implicit-dpo, which trains no head"):
        FitConfig(objective="implicit-dpo", contrastive_coef=0.1)
    reward = fit(tmp_path, pairs(4)).reward
    monkeypatch.setattr("plaudit.training.views.has_read_head", lambda _: False)
    with pytest.raises(UnsupportedError, match="contrastive_coef: this model classifies by a head of its own"):
        view_outputs(reward.model, {}, dropout=0.1)
