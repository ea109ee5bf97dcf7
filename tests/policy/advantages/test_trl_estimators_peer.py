"""Estimators beside the advantages that TRL's own trainers make, in float64, with rewards that are missing."""

import numpy as np
import pytest
import torch

from plaudit.lab.worlds.arithmetic import draw_problems
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy import AdvantageInputs
from plaudit.policy.advantages import GroupRelative, LeaveOneOut

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")

REWARDS = np.array([0.0, 1, 1, 0, 0.3, 0.3, 0.3, 0.3, -2, 5, np.nan, 0.25])
GROUPS = np.repeat([0, 1, 2], 4)


class CapturedError(Exception):
    """What was wanted is there, and nothing needs to be trained."""


def of_trl(policy, out, trainer, **options):
    """What TRL's trainer makes of the rewards: advantages, lengths, and log-probabilities of the counted tokens."""
    from datasets import Dataset

    made, config = getattr(trl, f"{trainer}Trainer"), getattr(trl, f"{trainer}Config")
    seen = {}

    class Given(made):
        def _calculate_rewards(self, *args, **kwargs):
            torch.set_default_dtype(torch.float64)  # its quotients of whole numbers have the default precision
            return torch.tensor(REWARDS)[:, None]

        def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep, *a, **k):
            which = "ref_logp" if model is self.ref_model else "logp"
            seed = {"logp": 1, "ref_logp": 2}[which]
            seen[which] = -np.random.default_rng(seed).exponential(size=(len(REWARDS), logits_to_keep))
            return torch.tensor(seen[which]), None, None

        def _generate_and_score_completions(self, inputs):
            try:
                found = super()._generate_and_score_completions(inputs)
            finally:
                torch.set_default_dtype(torch.float32)
            seen.update(advantages=found["advantages"].double().numpy(), mask=found["completion_mask"].bool().numpy())
            raise CapturedError

    def given(**_):
        raise AssertionError("the rewards are given")

    arguments = config(
        output_dir=str(out), per_device_train_batch_size=len(REWARDS), num_generations=4, max_completion_length=4,
        max_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True,
        gradient_checkpointing=False, **options,
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": p.text} for p in draw_problems(8, seed=1)])
    built = Given(policy, given, args=arguments, train_dataset=rows, processing_class=build_tokenizer())
    with pytest.raises(CapturedError):
        built.train()
    return seen


def inputs(seen):
    mask = seen["mask"]
    logps = {name: seen[name][mask] for name in ("logp", "ref_logp") if name in seen}
    return AdvantageInputs(REWARDS, GROUPS, mask.sum(1), **logps)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_grpo(arithmetic_policy, tmp_path, scale):
    seen = of_trl(arithmetic_policy, tmp_path, "GRPO", beta=0.0, scale_rewards=scale)
    found = GroupRelative(scale=scale)(inputs(seen))
    assert np.allclose(found.sequence, seen["advantages"], atol=1e-9, rtol=0)
    assert np.abs(found.sequence).max() > 0.5


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_rloo(arithmetic_policy, tmp_path, normalise, beta):
    seen = of_trl(arithmetic_policy, tmp_path, "RLOO", beta=beta, normalize_advantages=normalise)
    found = LeaveOneOut(kl_coef=beta, normalise=normalise)(inputs(seen))
    assert np.allclose(found.sequence, seen["advantages"], atol=1e-9, rtol=0)
    assert ("ref_logp" in seen) == (beta > 0)
