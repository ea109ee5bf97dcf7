"""Losses and their gradients beside `_compute_loss` of TRL's own trainers, in float64, on the same tensors."""

import numpy as np
import pytest
import torch

from plaudit.lab.worlds.arithmetic import draw_problems
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.losses import (
    AdaptiveEntropy,
    cispo,
    clipped,
    decisive,
    entropy_bonus,
    entropy_threshold,
    fresh_enough,
    gmpo,
    kl_estimate,
    sapo,
    token_weights,
    vespo,
)

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")

LENGTHS = [3, 5, 1, 4]
ADVANTAGE = [1.2, -0.7, 0.4, -1.5]
MAX = 6  # the longest completion that was allowed


@pytest.fixture(scope="module")
def trainers(arithmetic_policy, tmp_path_factory):
    """TRL's trainers, as they construct themselves; what a loss reads is set on them case by case."""
    from datasets import Dataset
    from trl.experimental.gmpo import GMPOConfig, GMPOTrainer

    rows = Dataset.from_list([{"prompt": p.text} for p in draw_problems(8, seed=1)])

    def made(trainer, config):
        arguments = config(
            output_dir=str(tmp_path_factory.mktemp("trl")), per_device_train_batch_size=4, num_generations=4,
            max_completion_length=MAX, report_to=[], use_cpu=True, bf16=False, disable_tqdm=True, beta=0.0,
            gradient_checkpointing=False,
        )  # fmt: skip
        found = trainer(
            arithmetic_policy, nothing, args=arguments, train_dataset=rows, processing_class=build_tokenizer()
        )
        found.model.train()
        found.current_gradient_accumulation_steps = 1
        return found

    return {
        "GRPO": made(trl.GRPOTrainer, trl.GRPOConfig), "RLOO": made(trl.RLOOTrainer, trl.RLOOConfig),
        "GMPO": made(GMPOTrainer, GMPOConfig),
    }  # fmt: skip


def nothing(**_):
    raise AssertionError("the losses are given their advantages")


@pytest.fixture
def batch(make_batch):
    return make_batch(LENGTHS, advantage=ADVANTAGE, spread=0.6)


def padded(flat, batch):
    """Flat values in TRL's rectangle (n, t); differentiable."""
    table = flat.new_zeros(batch.n, max(LENGTHS))
    place = torch.cat([torch.arange(length) for length in LENGTHS])
    return table.index_put((batch.owner, place), flat)


def extra(batch, seed=7):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(0.05, 2.0, batch.logp.numel()))


def of_trl(trainer, batch, monkeypatch, *, entropy=None, rows=slice(None), items=None, tables=None, **options):
    """The trainer's loss on rows of the batch, and its gradient by the flat log-probabilities."""
    logps, mask = padded(batch.logp, batch)[rows], padded(torch.ones_like(batch.logp), batch)[rows]
    entropies = torch.zeros_like(logps) if entropy is None else padded(entropy, batch)[rows]
    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", lambda *a, **k: (logps, entropies, None))
    for name, value in options.items():
        monkeypatch.setattr(trainer if hasattr(trainer, name) else trainer.args, name, value)
    ids = torch.zeros(mask.shape, dtype=torch.int64)
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids, "completion_mask": mask,
        "advantages": torch.tensor(ADVANTAGE, dtype=torch.float64)[rows],
        "old_per_token_logps": padded(batch.old_logp, batch)[rows],
        "old_logps": (padded(batch.old_logp, batch) * padded(torch.ones_like(batch.logp), batch)).sum(1)[rows],
        "num_items_in_batch": torch.tensor(float(sum(LENGTHS) if items is None else items), dtype=torch.float64),
    }  # fmt: skip
    inputs |= {name: table[rows] for name, table in (tables or {}).items()}
    # its whole numbers become float32 by default, which costs 1e-8
    torch.set_default_dtype(torch.float64)
    try:
        return trainer._compute_loss(trainer.model, inputs)
    finally:
        torch.set_default_dtype(torch.float32)


def ours(batch, token_loss, how, **more):
    weights = token_weights(np.array(LENGTHS), np.ones(len(LENGTHS), bool), how=how, max_tokens=MAX, **more)
    return (token_loss * torch.tensor(weights)[batch.owner]).sum()


def agree(batch, mine, theirs):
    assert mine.item() == pytest.approx(theirs.item(), abs=1e-9)
    mine, theirs = (torch.autograd.grad(x, batch.logp, retain_graph=True)[0] for x in (mine, theirs))
    assert theirs.abs().max() > 1e-3
    assert torch.allclose(mine, theirs, atol=1e-9, rtol=0)


CLIP = {"clip_low": 0.2, "clip_high": 0.28}
TRL_CLIP = {"epsilon_low": 0.2, "epsilon_high": 0.28}
CASES = {
    "grpo": ("sequence", clipped, CLIP, TRL_CLIP),
    "dr_grpo": ("constant", clipped, CLIP, TRL_CLIP),
    "dapo": ("token", clipped, CLIP, TRL_CLIP),
    "bnpo": ("token", clipped, CLIP, TRL_CLIP),
    "cispo": ("token", cispo, {"high": 1.4}, {"epsilon_high": 1.4}),
    "sapo": ("sequence", sapo, {}, {}),
    "vespo": ("token", vespo, {}, {}),
    "luspo": ("sequence-sum", clipped, CLIP, TRL_CLIP),
}


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("loss_type", CASES)
def test_every_loss_type(trainers, batch, monkeypatch, loss_type, level):
    how, surrogate, options, theirs = CASES[loss_type]
    options = options if loss_type == "vespo" else {**options, "level": level}
    found = of_trl(trainers["GRPO"], batch, monkeypatch, loss_type=loss_type, importance_sampling_level=level, **theirs)
    agree(batch, ours(batch, surrogate(batch, **options).loss, how), found)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_two_sided_clipping(trainers, batch, monkeypatch, level):
    found = of_trl(
        trainers["GRPO"], batch, monkeypatch, loss_type="dapo", importance_sampling_level=level, delta=1.35, **TRL_CLIP
    )
    agree(batch, ours(batch, clipped(batch, level=level, delta=1.35, **CLIP).loss, "token"), found)
    if level == "token":
        assert (batch.log_ratio().exp()[batch.advantage < 0] > 1.35).any()


@pytest.mark.parametrize("corrected", [False, True])
def test_kl_to_a_reference(trainers, batch, monkeypatch, corrected):
    ref = batch.old_logp - 0.5 * extra(batch)
    tables = {"ref_per_token_logps": padded(ref, batch)}
    found = of_trl(
        trainers["GRPO"], batch, monkeypatch, tables=tables, loss_type="grpo", beta=0.07,
        use_bias_correction_kl=corrected, importance_sampling_level="token", **TRL_CLIP,
    )  # fmt: skip
    kl = kl_estimate(batch.logp, ref, estimator="k3")
    kl = kl * batch.log_ratio().exp() if corrected else kl
    agree(batch, ours(batch, clipped(batch, **CLIP).loss + 0.07 * kl, "sequence"), found)


def test_only_uncertain_tokens(trainers, batch, monkeypatch):
    # float32, in which TRL takes the quantile
    entropy = extra(batch).float().double()
    found = of_trl(
        trainers["GRPO"], batch, monkeypatch, entropy=entropy, top_entropy_quantile=0.4, loss_type="dapo",
        importance_sampling_level="token", **TRL_CLIP,
    )  # fmt: skip
    kept = decisive(entropy, entropy_threshold(entropy.float(), share=0.4))
    assert 0 < kept.sum() < len(kept)
    agree(batch, ours(batch, clipped(batch, **CLIP).loss * kept, "token"), found)


def test_entropy_bonus(trainers, batch, monkeypatch):
    entropy = extra(batch) * batch.logp.square()  # some function of the policy, for its gradient
    found = of_trl(
        trainers["GRPO"], batch, monkeypatch, entropy=entropy, _entropy_bonus_enabled=True, use_adaptive_entropy=False,
        entropy_coef=0.03, loss_type="grpo", importance_sampling_level="token", **TRL_CLIP,
    )  # fmt: skip
    mine = ours(batch, clipped(batch, **CLIP).loss, "sequence")
    agree(batch, mine + ours(batch, entropy_bonus(entropy, coefficient=0.03), "token"), found)


def test_adaptive_entropy(trainers, batch, monkeypatch):
    """A step's bonus follows the entropy of the step before; the coefficient moves after each."""
    trainer, base = trainers["GRPO"], extra(batch)
    ours_now = AdaptiveEntropy(target=1.0, coefficient=0.01, step=0.004, greatest=0.016)
    state = {"entropy_coef": 0.01, "_last_world_entropy": float("inf"), "_entropy_window_stats": None}
    fixed = {"entropy_target": 1.0, "entropy_coef_delta": 0.004, "entropy_coef_min": 0.0, "entropy_coef_max": 0.016}
    for name, value in (state | fixed).items():
        monkeypatch.setattr(trainer if hasattr(trainer, name) else trainer.args, name, value)
    applied = []
    for factor in (0.5, 0.4, 0.4, 3.0, 3.0):
        entropy = factor * base / base.mean() * batch.logp.square() / batch.logp.square().detach()
        found = of_trl(
            trainer, batch, monkeypatch, entropy=entropy, _entropy_bonus_enabled=True, use_adaptive_entropy=True,
            loss_type="grpo", importance_sampling_level="token", **TRL_CLIP,
        )  # fmt: skip
        mine = ours(batch, clipped(batch, **CLIP).loss, "sequence")
        bonus = entropy_bonus(entropy, coefficient=ours_now.applied)
        agree(batch, mine + ours(batch, bonus, "token"), found)
        applied.append(ours_now.applied)
        ours_now = ours_now.updated(entropy.mean().item())
        assert ours_now.coefficient == pytest.approx(trainer.entropy_coef, abs=1e-12)
    assert applied == pytest.approx([0, 0.014, 0.016, 0.016, 0])


@pytest.mark.parametrize("loss_type", ["dapo", "vespo"])
def test_a_samplers_weights(trainers, batch, monkeypatch, loss_type):
    factor = extra(batch)
    # TRL sums over its whole rectangle: outside the completions its weights are 1
    weights = {"importance_sampling_ratio": padded(factor - 1, batch) + 1}
    found = of_trl(
        trainers["GRPO"], batch, monkeypatch, tables=weights, loss_type=loss_type, importance_sampling_level="token",
        use_vllm=True, vllm_importance_sampling_correction=True, **TRL_CLIP,
    )  # fmt: skip
    mine = vespo(batch, correction=factor).loss if loss_type == "vespo" else clipped(batch, **CLIP).loss * factor
    agree(batch, ours(batch, mine, "token"), found)


def test_what_is_too_old(trainers, batch, monkeypatch):
    found = of_trl(
        trainers["GRPO"], batch, monkeypatch, loss_type="dapo", importance_sampling_level="token",
        off_policy_mask_threshold=0.0, **TRL_CLIP,
    )  # fmt: skip
    kept = fresh_enough(batch, threshold=0.0)
    assert 0 < kept.sum() < len(kept)
    agree(batch, ours(batch, clipped(batch, **CLIP).loss * kept, "token"), found)


@pytest.mark.parametrize(
    ("loss_type", "how"), [("dapo", "token"), ("grpo", "sequence"), ("bnpo", "batch-token"), ("dr_grpo", "constant")]
)
def test_two_micro_batches(trainers, batch, monkeypatch, loss_type, how):
    trainer = trainers["GRPO"]
    monkeypatch.setattr(trainer, "current_gradient_accumulation_steps", 2)
    monkeypatch.setattr(trainer.args, "steps_per_generation", 2)
    halves = [
        of_trl(
            trainer, batch, monkeypatch, rows=rows, loss_type=loss_type, importance_sampling_level="token", **TRL_CLIP
        )
        for rows in (slice(0, 2), slice(2, 4))
    ]
    agree(batch, ours(batch, clipped(batch, **CLIP).loss, how, batches=[0, 0, 1, 1]), sum(halves))


def test_rloo(trainers, batch, monkeypatch):
    found = of_trl(trainers["RLOO"], batch, monkeypatch, **TRL_CLIP)
    agree(batch, ours(batch, clipped(batch, level="sequence-sum", **CLIP).loss, "sequence"), found)


def test_gmpo(trainers, batch, monkeypatch):
    found = of_trl(trainers["GMPO"], batch, monkeypatch, epsilon_low=0.4, epsilon_high=0.4)
    agree(batch, ours(batch, gmpo(batch).loss, "sequence"), found)
