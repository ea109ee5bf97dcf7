"""Advantages beside those of TRL's own trainers, in float64, with rewards that are missing."""

import numpy as np
import pytest

from plaudit.lab.worlds.arithmetic import draw_problems
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.shaping.combine import normalised_sum
from plaudit.shaping.groups import batch_standardised, leave_one_out, mean_only, standardised

pytestmark = pytest.mark.peer
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")


def of_trl(policy, out, rewards, *, trainer="GRPO", **options):
    """The advantages that TRL's trainer makes of given rewards (n, functions), in groups of four, one after another."""
    import torch
    from datasets import Dataset

    made, config = getattr(trl, f"{trainer}Trainer"), getattr(trl, f"{trainer}Config")
    seen = []

    class Given(made):
        def _calculate_rewards(self, *args, **kwargs):
            # its n / (n - 1) is a quotient of whole numbers, which has the default precision: 1e-8 off in float32
            torch.set_default_dtype(torch.float64)
            return torch.tensor(rewards, dtype=torch.float64)

        def _generate_and_score_completions(self, inputs):
            try:
                found = super()._generate_and_score_completions(inputs)
            finally:
                torch.set_default_dtype(torch.float32)
            seen.append(found["advantages"].double().numpy())
            return found

    arguments = config(
        output_dir=str(out), per_device_train_batch_size=len(rewards), num_generations=4, max_completion_length=4,
        max_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True, beta=0.0,
        gradient_checkpointing=False, **options,
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": p.text} for p in draw_problems(8, seed=1)])
    functions = [_named(i) for i in range(np.shape(rewards)[1])]
    Given(policy, functions, args=arguments, train_dataset=rows, processing_class=build_tokenizer()).train()
    return seen[0]


def _named(i):
    def reward(**_):
        raise AssertionError("the rewards are given")

    reward.__name__ = f"given_{i}"
    return reward


REWARDS = np.array([0.0, 1, 1, 0, 0.3, 0.3, 0.3, 0.3, -2, 5, np.nan, 0.25])
GROUPS = np.repeat([0, 1, 2], 4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({"scale_rewards": "group"}, lambda r, g: standardised(r, g, epsilon=1e-4)),
        ({"scale_rewards": "none"}, mean_only),
        ({"scale_rewards": "batch"}, lambda r, g: batch_standardised(r, g, center=False, epsilon=1e-4)),
    ],
)
def test_grpo(arithmetic_policy, tmp_path, options, ours):
    theirs = of_trl(arithmetic_policy, tmp_path, REWARDS[:, None], **options)
    assert np.allclose(ours(REWARDS, GROUPS), theirs, atol=1e-9, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_gdpo(arithmetic_policy, tmp_path):
    rng = np.random.default_rng(0)
    rewards = np.stack([REWARDS, 100 * rng.normal(size=12)], axis=1)
    rewards[2, 1] = rewards[10, 1] = np.nan  # one is missing there; at 10 both are
    theirs = of_trl(
        arithmetic_policy,
        tmp_path,
        rewards,
        multi_objective_aggregation="normalize_then_sum",
        reward_weights=[1.0, 0.5],
    )
    assert np.allclose(normalised_sum(rewards, GROUPS, weights=[1.0, 0.5]), theirs, atol=1e-9, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_rloo(arithmetic_policy, tmp_path):
    whole = np.nan_to_num(REWARDS, nan=0.5)
    theirs = of_trl(arithmetic_policy, tmp_path, whole[:, None], trainer="RLOO", normalize_advantages=False)
    assert np.allclose(leave_one_out(whole, GROUPS), theirs, atol=1e-9, rtol=0)
