"""Epochs from easy to hard: the order by hand, and wrong labels last."""

from dataclasses import replace

import torch

from plaudit.training import fitting
from plaudit.training.curriculum import CurriculumTrainer

EASY = "cotraining?easy_first=true&noise=0"
RUN = dict(objective=EASY, batch_size=2, learning_rate=3e-3)


def orders(monkeypatch, scores=None):
    """The orders that a fit asks for, epoch by epoch; with these scores in place of the model's."""
    asked = []

    class Recorded(CurriculumTrainer):
        def __init__(self, **kwargs):
            super().__init__(**(kwargs | ({"scores": scores} if scores else {})))

        def order(self):
            asked.append(super().order())
            return asked[-1]

    monkeypatch.setattr(fitting, "CurriculumTrainer", Recorded)
    return asked


def test_an_epoch_runs_from_the_largest_mean_lead_of_both_heads_to_the_smallest(fit, pairs, monkeypatch, tmp_path):
    first, second = [3.0, 0.0, -1.0, 2.0, 5.0], [0.0, 4.0, -1.0, 2.0, -9.0]  # means 1.5, 2, -1, 2, -2

    def scores(sequences, **_):
        assert len(sequences) == 5
        chosen = torch.tensor([first, second]).T
        return torch.stack([chosen + 10, torch.full_like(chosen, 10)], dim=1).reshape(10, 2)

    asked = orders(monkeypatch, scores)
    fit(tmp_path, pairs(5), epochs=3.0, **RUN)
    assert sorted(asked[0]) == [0, 1, 2, 3, 4]  # nothing is learned yet: at random
    assert asked[1:] == [[1, 3, 0, 2, 4]] * 2  # of equal means the earlier one first


def test_pairs_whose_labels_are_wrong_come_last(fit, pairs, monkeypatch, tmp_path):
    rows = pairs(12)
    for i in (3, 8):
        rows[i] = replace(rows[i], chosen=rows[i].rejected, rejected=rows[i].chosen)
    asked = orders(monkeypatch)
    fit(tmp_path, rows, epochs=8.0, **RUN)
    assert len(asked) == 8
    assert set(asked[-1][-2:]) == {3, 8}


def test_the_plain_order_is_another(fit, monkeypatch, tmp_path):
    asked = orders(monkeypatch)
    fit(tmp_path, objective="cotraining", epochs=2.0)
    assert asked == []
