"""The losses of TRL's SFT trainer beside `sft` and `dft`: its own method, on the same float64 log-probabilities."""

import types
from collections import defaultdict

import pytest
import torch
from offline_rows import parts, random_row

from plaudit.policy.algorithms import algorithm
from plaudit.policy.offline.objective import Alignment

pytestmark = pytest.mark.peer
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")
CASES = {"nll": "sft", "dft": "dft"}


class Here:
    """An accelerator of one process."""

    num_processes, parallelism_config = 1, None
    gather_for_metrics = staticmethod(lambda x: x)


def demonstrations(count, seed):
    """Completions that are all shown, none beside another."""
    logps, row = random_row(count // 2, seed=seed)
    return logps, {**row, "pairs": torch.zeros(0, 2, dtype=torch.int64), "wanted": torch.ones(count)}


def sft_of_trl(sequences, loss_type, *, items=None):
    """What TRL's `SFTTrainer` makes of completions, padded behind prompts of 3 tokens that are not learnt."""
    from trl.trainer.sft_trainer import SFTTrainer

    width = 3 + max(len(one) for one in sequences)
    learnt = torch.stack([torch.arange(width).ge(3) & torch.arange(width).lt(3 + len(one)) for one in sequences])
    table = torch.zeros(learnt.shape, dtype=torch.float64).masked_scatter(learnt, torch.cat(sequences))
    nothing = torch.zeros_like(table)
    told = types.SimpleNamespace(log_probs=table, label_mask=learnt, entropy=nothing, is_top1=nothing.bool())
    stub = types.SimpleNamespace(
        model=torch.nn.Identity(), aux_loss_enabled=False, accelerator=Here, compute_loss_func=None,
        label_smoother=None, get_tp_size=lambda: 1, _metrics=defaultdict(lambda: defaultdict(list)),
        args=types.SimpleNamespace(loss_type=loss_type, average_tokens_across_devices=True),
        _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip
    inputs = {"input_ids": learnt.long(), "attention_mask": torch.ones_like(learnt), "labels": learnt.long()}
    return SFTTrainer.compute_loss(stub, lambda **_: told, inputs, num_items_in_batch=items)


def test_the_cases_are_all_that_trl_has():
    text = trl.SFTConfig.__dataclass_fields__["loss_type"].metadata["help"]
    assert {name for name in CASES if f"`'{name}'`" in text} == set(CASES)
    assert text.count("`'") == len(CASES)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss_type", CASES)
def test_sft_trainer(loss_type, seed):
    """Value and gradient of a mean over tokens, at 1e-9."""
    logps, row = demonstrations(8, seed)
    mine, theirs = logps.clone().requires_grad_(), logps.clone().requires_grad_()
    objective = Alignment(algorithm(CASES[loss_type]))
    assert objective.named.algorithm.item == "token"  # what the trainer divides the sum by
    found = objective(mine, row) / int(row["tokens"].sum())
    expected = sft_of_trl(parts(theirs, row), loss_type)
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)
    found.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-9, rtol=0)


@pytest.mark.parametrize("loss_type", CASES)
def test_micro_batches_of_one_step(loss_type):
    """Two of them, divided by the tokens of both: TRL's `num_items_in_batch`."""
    logps, row = demonstrations(6, seed=5)
    items = int(row["tokens"].sum())
    sequences = parts(logps, row)
    expected = sum(sft_of_trl(some, loss_type, items=items) for some in (sequences[:2], sequences[2:]))
    found = Alignment(algorithm(CASES[loss_type]))(logps, row) / items
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("loss_type", CASES)
def test_by_hand(loss_type):
    """Tokens of probability 1/2 and 1/4: ln 2 and 2 ln 2; weighted by their chances ln 2 / 2 and ln 2 / 2."""
    logps = torch.tensor([0.5, 0.25], dtype=torch.float64).log()
    by_hand = {"nll": 1.5, "dft": 0.5}[loss_type] * logps[0].neg().item()
    assert sft_of_trl([logps], loss_type).item() == pytest.approx(by_hand, abs=1e-12)
    row = {
        "owner": torch.tensor([0, 0]), "tokens": torch.tensor([2]), "pairs": torch.zeros(0, 2, dtype=torch.int64),
        "wanted": torch.ones(1),
    }  # fmt: skip
    found = Alignment(algorithm(CASES[loss_type]))(logps, row) / 2
    assert found.item() == pytest.approx(by_hand, abs=1e-12)
