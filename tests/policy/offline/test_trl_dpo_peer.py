"""Every loss of TRL's DPO, KTO, CPO and ORPO trainers beside ours: their own methods, on the same float64 tensors."""

import types
from collections import defaultdict

import pytest
import torch
from offline_rows import parts, random_row, rectangle

from plaudit.policy.algorithms import algorithm
from plaudit.policy.offline.objective import Alignment

pytestmark = pytest.mark.peer
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")


class Here:
    """An accelerator of one process."""

    device = torch.device("cpu")
    gather = gather_for_metrics = staticmethod(lambda x: x)


@pytest.fixture(autouse=True)
def _double():
    # TRL makes constants such as EXO's epsilon with the default type: in float32 they are 1e-8 off
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def dpo_of_trl(logps, row, loss_type, *, weights=(1.0,), alpha=None, **options):
    """What TRL's `DPOTrainer` makes of a batch: the mean loss, and the metrics that it logs."""
    from trl.trainer.dpo_trainer import DPOTrainer

    table, mask = rectangle(logps, row)
    nothing = torch.zeros_like(table)
    model = lambda **_: types.SimpleNamespace(  # noqa: E731
        log_probs=table, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool(), log_sum_sq_probs=nothing
    )
    reference, _ = rectangle(row["reference_tokens"], row)
    given = {
        "model": torch.nn.Identity(), "accelerator": Here, "aux_loss_enabled": False, "ld_alpha": alpha,
        "precompute_ref_logps": alpha is None, "f_divergence_type": "reverse_kl", "loss_types": [*loss_type],
        "loss_weights": [*weights], "beta": 0.1, "label_smoothing": 0.0, "use_weighting": False,
        "_metrics": defaultdict(lambda: defaultdict(list)), "_total_train_tokens": 0, "_tp_size": 1,
        "args": types.SimpleNamespace(
            discopop_tau=options.pop("tau", 0.05), gradient_checkpointing_kwargs=None, gradient_checkpointing=False
        ),
        "ref_model": lambda **_: types.SimpleNamespace(log_probs=reference),
    }  # fmt: skip
    stub = types.SimpleNamespace(**(given | options))
    stub.model.is_gradient_checkpointing = False
    sums = reference.sum(1).chunk(2)
    inputs = {
        "input_ids": torch.zeros_like(mask), "attention_mask": torch.ones_like(mask), "completion_mask": mask,
        "ref_chosen_logps": sums[0], "ref_rejected_logps": sums[1],
    }  # fmt: skip
    loss = DPOTrainer._compute_loss(stub, model, inputs, False)
    return loss, {name: values[-1] for name, values in stub._metrics["train"].items()}


def ours(text, logps, row):
    """Our mean loss: the sum over the items, divided by them as the trainer does."""
    objective = Alignment(algorithm(text))
    items = {
        "pair": len(row["pairs"]), "sequence": int(row["wanted"].isfinite().sum()),
        "token": int(row["tokens"][row["pairs"][:, 0]].sum()),
    }  # fmt: skip
    return objective(logps, row) / items[objective.named.algorithm.item], objective


CASES = {
    "sigmoid": ("dpo", {}),
    "hinge": ("hinge", {}),
    "ipo": ("ipo?beta=0.3", {"beta": 0.3}),
    "exo_pair": ("exo?label_smoothing=0.01", {"label_smoothing": 0.01}),
    "nca_pair": ("nca?beta=0.7", {"beta": 0.7}),
    "robust": ("robust-dpo?flipped=0.2", {"label_smoothing": 0.2}),
    "bco_pair": ("bco?beta=0.5", {"beta": 0.5}),
    "sppo_hard": ("sppo?beta=0.4", {"beta": 0.4}),
    "aot": ("aot?label_smoothing=0.1", {"label_smoothing": 0.1}),
    "aot_unpaired": ("aot-unpaired?label_smoothing=0.1&beta=0.6", {"label_smoothing": 0.1, "beta": 0.6}),
    "apo_zero": ("apo-zero?beta=0.8", {"beta": 0.8}),
    "apo_down": ("apo-down?beta=0.8", {"beta": 0.8}),
    "discopop": ("discopop?beta=0.2&tau=0.3", {"beta": 0.2, "tau": 0.3}),
    "sft": ("sft", {}),
    "sigmoid_norm": ("dpo-norm?beta=4", {"beta": 4.0}),
}


def test_the_cases_are_all_that_trl_has():
    text = trl.DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    assert {name for name in CASES if f"`'{name}'`" in text} == set(CASES)
    assert text.split("Possible values are: ")[1].split(". If")[0].count("`'") == len(CASES)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss_type", CASES)
def test_dpo_trainer(loss_type, seed):
    """Value and gradient of every loss type, at 1e-9."""
    text, options = CASES[loss_type]
    logps, row = random_row(7, seed=seed)
    mine, theirs = logps.clone().requires_grad_(), logps.clone().requires_grad_()
    found, objective = ours(text, mine, row)
    expected, told = dpo_of_trl(theirs, row, [loss_type], **options)
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)
    found.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-9, rtol=0)
    if objective.named.algorithm.implicit == "ratio":
        sums = dict(zip(_names(), objective.drained().tolist(), strict=True))
        assert sums["margin"] / 7 == pytest.approx(told["rewards/margins"], abs=1e-9)
        assert sums["right"] / 7 == pytest.approx(told["rewards/accuracies"], abs=1e-6)  # float32 there


def _names():
    from plaudit.policy.offline.objective import WATCHED

    return WATCHED


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("loss_type", ["sigmoid", "bco_pair", "sigmoid_norm", "aot"])
def test_length_desensitised(loss_type, alpha):
    text = {"sigmoid": "dpo?", "bco_pair": "bco?", "sigmoid_norm": "dpo-norm?beta=0.1&", "aot": "aot?"}[loss_type]
    logps, row = random_row(6, seed=4)
    found, _ = ours(f"{text}length_alpha={alpha}", logps, row)
    expected, _ = dpo_of_trl(logps, row, [loss_type], alpha=alpha)
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)


def test_dpo_with_the_likelihood_of_chosen():
    logps, row = random_row(6, seed=1)
    found, _ = ours("dpo?nll_coef=0.4", logps, row)
    expected, _ = dpo_of_trl(logps, row, ["sigmoid", "sft"], weights=(1.0, 0.4))
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)


def cpo_of_trl(logps, row, **options):
    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    given = {"loss_type": "sigmoid", "beta": 0.1, "label_smoothing": 0.0, "alpha": 0.0, "simpo_gamma": 0.5}
    given |= {"cpo_alpha": 1.0, "aux_loss_enabled": False, "accelerator": Here}
    stub = types.SimpleNamespace(**(given | options))
    stub.cpo_loss = types.MethodType(CPOTrainer.cpo_loss, stub)
    mean = stub.loss_type in ("simpo", "ipo")
    stub.concatenated_forward = lambda *_: _forward(logps, row, mean)
    return CPOTrainer.get_batch_loss_metrics(stub, None, {})[0]


def _forward(logps, row, mean):
    """What TRL's trainers without a reference read of a batch: log-probabilities of both sides, and the likelihood."""
    one = [p.mean() if mean else p.sum() for p in parts(logps, row)]
    chosen, rejected = torch.stack(one[0::2]), torch.stack(one[1::2])
    nll = -torch.cat(parts(logps, row)[0::2]).mean()
    return chosen, rejected, torch.zeros(1), torch.zeros(1), nll


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("cpo", {}),
        ("cpo?beta=0.4&nll_coef=0.3&label_smoothing=0.1", {"beta": 0.4, "cpo_alpha": 0.3, "label_smoothing": 0.1}),
        ("simpo?beta=2.5&gamma=0.8", {"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 0.8, "cpo_alpha": 0.0}),
        (
            "simpo?label_smoothing=0.2&nll_coef=0.5",
            {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.0, "cpo_alpha": 0.5, "label_smoothing": 0.2},
        ),
    ],
)
def test_cpo_trainer(text, options):
    logps, row = random_row(8, seed=2)
    found, _ = ours(text, logps, row)
    assert found.item() == pytest.approx(cpo_of_trl(logps, row, **options).item(), abs=1e-9)


class Wide(torch.Tensor):
    """A tensor whose `.float()` keeps float64, as TRL's ORPO would lose the digits that are compared."""

    def float(self):
        return self


@pytest.mark.parametrize("beta", [0.1, 0.7])
def test_orpo_trainer(beta):
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer

    logps, row = random_row(8, seed=3)
    found, _ = ours(f"orpo?beta={beta}", logps, row)
    stub = types.SimpleNamespace(beta=beta, accelerator=Here)
    chosen, rejected, *_, nll = _forward(logps, row, True)
    losses, *_ = ORPOTrainer.odds_ratio_loss(stub, chosen.as_subclass(Wide), rejected.as_subclass(Wide))
    expected = nll - losses.mean()  # as in its get_batch_loss_metrics
    assert found.item() == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize(("loss_type", "text"), [("kto", "kto?beta=0.3&desirable=1.3&undesirable=0.7")])
@pytest.mark.parametrize("shift", [0.0, 40.0])
def test_kto_trainer(loss_type, text, shift):
    from trl.trainer.kto_trainer import KTOTrainer

    logps, row = random_row(5, seed=5)
    apart, other = random_row(5, seed=6)  # the completions of other prompts
    apart = apart + shift  # a baseline that is below 0, and one that is above
    wide, mask = rectangle(logps, row)
    nothing = torch.zeros_like(wide)
    reference = rectangle(row["reference_tokens"], row)[0].sum(1)
    kl = [torch.stack([p.sum() for p in parts(x, other)]) for x in (apart, other["reference_tokens"])]
    stub = types.SimpleNamespace(
        model=types.SimpleNamespace(training=True), accelerator=Here, aux_loss_enabled=False, calculate_KL=True,
        precompute_ref_logps=True, loss_type=loss_type, beta=0.3, desirable_weight=1.3, undesirable_weight=0.7,
        _metrics=defaultdict(lambda: defaultdict(list)), _total_train_tokens=0, _tp_size=1,
        _compute_kl_logps=lambda *_: kl[0],
    )  # fmt: skip
    model = lambda **_: types.SimpleNamespace(log_probs=wide, entropy=nothing, mean_logits=nothing)  # noqa: E731
    inputs = {
        "input_ids": torch.zeros_like(mask), "attention_mask": torch.ones_like(mask), "completion_mask": mask,
        "label": torch.tensor([True] * 5 + [False] * 5), "ref_logps": reference, "ref_KL_logps": kl[1],
    }  # fmt: skip
    expected = KTOTrainer._compute_loss(stub, model, inputs, False)
    both = {
        "owner": torch.cat([row["owner"], other["owner"] + 10]), "tokens": torch.cat([row["tokens"], other["tokens"]]),
        "pairs": row["pairs"], "wanted": torch.cat([row["wanted"], torch.full((10,), torch.nan)]),
        "mismatched": torch.arange(20) >= 10,
        "reference_tokens": torch.cat([row["reference_tokens"], other["reference_tokens"]]),
    }  # fmt: skip
    found, _ = ours(text, torch.cat([logps, apart]), both)
    assert found.item() == pytest.approx(float(expected), abs=1e-9)
