"""TRL's own trainers, on a tiny model, with rewards of ours."""

import asyncio
import math
import pickle

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


@pytest.mark.filterwarnings("ignore")
def test_rloo_trains_on_a_verifier(arithmetic_policy, tmp_path):
    config = trl.RLOOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4, max_completion_length=24,
        max_steps=2, logging_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no", learning_rate=1e-3,
        disable_tqdm=True, gradient_checkpointing=False,
    )  # fmt: skip
    made = trl.RLOOTrainer(
        arithmetic_policy, as_reward_func(MathVerifier(), reference="answer"), args=config, train_dataset=rows(True),
        processing_class=build_tokenizer(),
    )  # fmt: skip
    made.train()
    logged = [row for row in made.state.log_history if "rewards/math/mean" in row]
    assert len(logged) == 2
    assert all(0.0 <= row["rewards/math/mean"] <= 1.0 and "math/policy_fault" in row for row in logged)


@pytest.mark.filterwarnings("ignore")
def test_dpo_trains_on_pairs_that_our_reward_has_labelled(arithmetic_policy, tmp_path):
    """Completions, scored by a verifier, as ranked rows; `plaudit data convert` makes TRL's preference rows of them."""
    from datasets import load_dataset

    from plaudit.cli.main import main
    from plaudit.records.reading import read
    from plaudit.records.rows import Pair, Ranked
    from plaudit.records.sample import Sample, conversation
    from plaudit.records.writing import write

    judge, ranked = MathVerifier(), []
    for problem in draw_problems(8, seed=1):
        texts = (f"{problem.answer + 1}", f"{problem.answer}")
        said = judge([Sample(conversation(problem.text), text, str(problem.answer)) for text in texts])
        ranked.append(Ranked(conversation(problem.text), texts, tuple(said.reward.tolist())))
    write(tmp_path / "ranked.jsonl", ranked)
    ranked_file, pairs_file = str(tmp_path / "ranked.jsonl"), str(tmp_path / "pairs.jsonl")
    assert main(["data", "convert", ranked_file, "--to", "pairs", "--out", pairs_file]) == 0
    pairs = read(tmp_path / "pairs.jsonl")
    assert [pair.chosen for pair in pairs.rows if isinstance(pair, Pair)] == [row.completions[1] for row in ranked]
    found = load_dataset("json", data_files=str(tmp_path / "pairs.jsonl"), split="train", cache_dir=str(tmp_path))
    config = trl.DPOConfig(
        output_dir=str(tmp_path / "out"), per_device_train_batch_size=8, max_steps=2, logging_steps=1, report_to=[],
        use_cpu=True, bf16=False, save_strategy="no", learning_rate=1e-3, disable_tqdm=True,
        gradient_checkpointing=False,
    )  # fmt: skip
    made = trl.DPOTrainer(arithmetic_policy, args=config, train_dataset=found, processing_class=build_tokenizer())
    made.train()
    first, second = [row for row in made.state.log_history if "rewards/margins" in row]
    # before the first step policy and reference are one: margin 0, loss log 2; each step has all pairs
    # in one batch, so that after it they have the higher margin
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-3)
    assert second["rewards/margins"] > 0.01


def scored_group(functions, completions, **columns):
    """One group as `AsyncGRPOTrainer`'s rollout worker scores it, by the worker's own method."""
    worker = pytest.importorskip("trl.experimental.async_grpo.async_rollout_worker")
    from types import SimpleNamespace

    loop = worker._AsyncRolloutLoop.__new__(worker._AsyncRolloutLoop)
    loop.reward_funcs = functions
    loop.reward_func_names = [worker.get_callable_name(f) for f in functions]
    loop._env_reward_types = []
    n = len(completions)
    sequence = SimpleNamespace(input_ids=[1, 2], completion_mask=[0, 1], old_log_probs=[0.0, -1.0])
    group = SimpleNamespace(
        completions=completions, prompts=["2 + 2"] * n, completions_ids=[[2]] * n, reward_kwargs=columns,
        env_rewards=[], tool_call_counts=[0] * n, tool_failure_counts=[0] * n, model_version=0, group_id=0,
        completions_sequences=[[sequence]] * n,
    )  # fmt: skip
    return asyncio.run(loop._score_group(group))


@pytest.mark.filterwarnings("ignore")
def test_async_grpo_scores_a_group_in_a_spawned_workers_way():
    from small_verifiers import Same

    # the functions go into a child process by pickle; synchronous ones run in threads beside the coroutines
    sent = pickle.dumps([as_reward_func(Same(), reference="answer"), as_async_reward_func(Same(), name="again")])
    functions = pickle.loads(sent)
    found = scored_group(functions, ["4", "5", "5", "4"], answer=["4"] * 4, reference=["4"] * 4)
    assert [s.metrics["rewards/same"] for s in found] == [1.0, 0.0, 0.0, 1.0]
    assert [s.metrics["rewards/again"] for s in found] == [1.0, 0.0, 0.0, 1.0]
    # sums 2, 0, 0, 2: mean 1, deviation 1
    assert [s.advantage for s in found] == pytest.approx([1.0, -1.0, -1.0, 1.0], abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_async_grpo_leaves_out_what_has_no_reward():
    from small_verifiers import Same

    found = scored_group([as_reward_func(Same())], ["4", "5", "4"], reference=["4", "4", "?"])
    assert math.isnan(found[2].metrics["reward"])
    assert [s.advantage for s in found] == pytest.approx([1.0, -1.0, 0.0], abs=1e-6)
