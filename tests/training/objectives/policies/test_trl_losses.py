"""DPO, NCA and KTO against TRL's own trainers, in float64 on a tiny model."""

import pytest
import torch
import transformers as tf

from plaudit.training.backbones import fit_tokenizer
from plaudit.training.objectives.policies import implicit_dpo, implicit_kto, implicit_nca

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")
BETA = 0.3


@pytest.fixture(scope="module")
def models():
    tokenizer = fit_tokenizer(["What is the capital of Peru? Lima.", "Write two lines about rain."], 300)
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = tf.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
            initializer_range=0.3, max_position_embeddings=128, pad_token_id=0, eos_token_id=1, bos_token_id=None,
        )  # fmt: skip
        made.append(tf.LlamaForCausalLM(config).double())
    return tokenizer, *made


def summed(model, ids, mask):
    """Log-probability of each row's completion, by the plain definition."""
    with torch.no_grad():
        logits = model(ids).logits.double()[:, :-1].log_softmax(-1)
    found = logits.gather(2, ids[:, 1:, None])[..., 0]
    return (found * mask[:, 1:]).sum(1)


def trainer_of(kind, models, rows, out, **options):
    from datasets import Dataset

    tokenizer, policy, reference = models
    config = getattr(trl, f"{kind}Config")(
        output_dir=str(out), beta=BETA, per_device_train_batch_size=len(rows), report_to=[], use_cpu=True, bf16=False,
        max_length=64, save_strategy="no", disable_tqdm=True, gradient_checkpointing=False, **options,
    )  # fmt: skip
    return getattr(trl, f"{kind}Trainer")(
        model=policy,
        ref_model=reference,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def batch_of(trainer):
    return next(iter(trainer.get_train_dataloader()))


@pytest.mark.parametrize(("name", "loss"), [("sigmoid", implicit_dpo), ("nca_pair", implicit_nca)])
def test_pairs_equal_dpo_trainer(name, loss, models, tmp_path):
    rows = [{"prompt": f"question {i} ", "chosen": "Lima " * (i + 1), "rejected": "rain " * (3 - i)} for i in range(3)]
    trainer = trainer_of("DPO", models, rows, tmp_path, loss_type=[name])
    batch = batch_of(trainer)
    theirs = float(trainer.compute_loss(trainer.model, batch))
    mask = batch["completion_mask"]
    ratio = summed(models[1], batch["input_ids"], mask) - summed(models[2], batch["input_ids"], mask)
    pairs = torch.tensor([[i, i + len(rows)] for i in range(len(rows))])
    assert float(loss(ratio, pairs, beta=BETA)) / len(rows) == pytest.approx(theirs, abs=1e-6)


def test_labels_equal_kto_trainer(models, tmp_path):
    rows = [{"prompt": f"question {i} ", "completion": "Lima " * (i + 1), "label": i % 2 == 0} for i in range(4)]
    trainer = trainer_of("KTO", models, rows, tmp_path, desirable_weight=1.5)
    batch = batch_of(trainer)
    theirs = float(trainer.compute_loss(trainer.model, batch))
    ratio, other = (
        summed(models[1], batch[f"{k}input_ids"], batch[f"{k}completion_mask"])
        - summed(models[2], batch[f"{k}input_ids"], batch[f"{k}completion_mask"])
        for k in ("", "KL_")
    )
    ours = implicit_kto(
        ratio, items=torch.arange(len(rows)), labels=batch["label"].double(), baseline=other.mean(), beta=BETA,
        desirable=1.5,
    )  # fmt: skip
    assert float(ours) / len(rows) == pytest.approx(theirs, abs=1e-6)
