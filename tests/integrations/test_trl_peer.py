"""TRL's own trainers, on a tiny model, with rewards of ours."""

import pytest

from plaudit.integrations.trl import as_async_reward_func, as_reward_func
from plaudit.lab.worlds.arithmetic import draw_problems
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.rewards import MathVerifier

pytestmark = pytest.mark.peer
trl = pytest.importorskip("trl", reason="TRL is not installed (extra: bench)")


def rows(conversational):
    from datasets import Dataset

    asked = [(p.text, str(p.answer)) for p in draw_problems(8, seed=1)]
    prompt = (lambda t: [{"role": "user", "content": t}]) if conversational else (lambda t: t)
    return Dataset.from_list([{"prompt": prompt(text), "answer": gold} for text, gold in asked])


def run(policy, functions, out, conversational):
    config = trl.GRPOConfig(
        output_dir=str(out), per_device_train_batch_size=8, num_generations=4, max_completion_length=24, max_steps=2,
        logging_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no", learning_rate=1e-3,
        disable_tqdm=True, gradient_checkpointing=False,
    )  # fmt: skip
    made = trl.GRPOTrainer(
        policy, functions, args=config, train_dataset=rows(conversational), processing_class=build_tokenizer()
    )
    made.train()
    return made.state.log_history


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("conversational", [False, True])
def test_grpo_trains_on_a_verifier(arithmetic_policy, tmp_path, conversational):
    history = run(arithmetic_policy, [as_reward_func(MathVerifier(), reference="answer")], tmp_path, conversational)
    logged = [row for row in history if "rewards/math/mean" in row]
    assert len(logged) == 2
    assert all(0.0 <= row["rewards/math/mean"] <= 1.0 for row in logged)
    assert all("math/policy_fault" in row and "math/instrument_fault" in row for row in logged)


@pytest.mark.filterwarnings("ignore")
def test_grpo_gathers_a_coroutine_beside_a_plain_function(arithmetic_policy, tmp_path):
    functions = [
        as_async_reward_func("verify/math", reference="answer"),
        as_reward_func("rule/length?cap=20", name="brevity"),
    ]
    history = run(arithmetic_policy, functions, tmp_path, conversational=True)
    logged = [row for row in history if "rewards/brevity/mean" in row]
    assert logged
    assert all("rewards/math/mean" in row for row in logged)


@pytest.mark.filterwarnings("ignore")
def test_what_has_no_reward_leaves_trls_baseline(arithmetic_policy, tmp_path):
    from small_verifiers import Same

    class Undecided(Same):
        def verdict(self, sample):
            from plaudit.rewards.verdicts import Verdict

            return Verdict.abstained("never sure")

    history = run(arithmetic_policy, [as_reward_func(Undecided(), reference="answer")], tmp_path, conversational=False)
    logged = [row for row in history if "same/abstained" in row]
    assert [row["same/abstained"] for row in logged] == [1.0, 1.0]
    # nothing counted: TRL has no mean to report, and nothing is learnt
    assert all(row["rewards/same/mean"] is None and row["grad_norm"] == 0 for row in logged)
