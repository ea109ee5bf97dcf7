"""Each objective on prefix trees and on padded rows: one loss, and one gradient."""

from dataclasses import replace

import pytest
import torch
from method_rows import COMPARISONS, REWARDS, rows_for

from plaudit.training.collating import Collator
from plaudit.training.trainer import RewardTrainer, head_parameters


@pytest.mark.parametrize("name", [*REWARDS, *COMPARISONS])
def test_prefix_trees_and_padded_rows_give_the_same_step(name, fit, tmp_path, monkeypatch):
    """The loss and all gradients of a step, run in one row, as some losses look across it."""
    collated, stepped, seen = Collator.__call__, RewardTrainer.training_step, []

    def both(self, groups):
        return {**collated(self, groups), "padded": collated(replace(self, tree=False), groups)["rows"]}

    def loss_and_gradients(trainer, model, row):
        model.zero_grad()
        row = {**row, "progress": torch.tensor(0.5), "head": head_parameters(model)}
        with torch.random.fork_rng():
            torch.manual_seed(0)  # of what is drawn in a loss
            loss = trainer.objective(trainer.outputs(model, row), row)
        loss.backward()
        found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        return loss.item(), found

    def compared(self, model, inputs, *rest):
        padded = inputs.pop("padded")
        seen.append([loss_and_gradients(self, model, *rows) for rows in (inputs["rows"], padded)])
        return stepped(self, model, inputs, *rest)

    monkeypatch.setattr(Collator, "__call__", both)
    monkeypatch.setattr(RewardTrainer, "training_step", compared)
    # the order of the lists in a row differs between the two, and with it which pairs convex-bradley-terry mixes
    rows = rows_for(name, 1 if name == "convex-bradley-terry" else 6)
    objective = "variational?steps=5" if name == "variational" else name  # of a model that is fitted afterwards
    done = fit(tmp_path, rows, objective=objective, batch_size=64, epochs=2.0)
    assert done.tree == "prefix trees"
    assert len(seen) == 2
    for (on_trees, gradients), (padded, others) in seen:
        assert on_trees == pytest.approx(padded, rel=1e-5, abs=1e-5)
        assert gradients.keys() == others.keys()
        largest = max(gradient.abs().max().item() for gradient in others.values())
        for key, gradient in gradients.items():
            assert torch.allclose(gradient, others[key], rtol=0, atol=1e-5 * largest), key
