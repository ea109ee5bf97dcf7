"""Alignment end to end: every algorithm learns, and how a step is divided, interrupted or spread does not matter."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from plaudit.errors import InputError, MissingError
from plaudit.policy.algorithms import ALGORITHMS
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.offline.trainer import AlignTrainer
from plaudit.records import Message, Ranked, Sample
from plaudit.records.rows import PromptOnly, Rated, Unpaired
from plaudit.training import stepping
from plaudit.training.policies import fitting

ASKED = (Message("user", "question 1"),)
STEPWISE = ("aot", "aot-unpaired", "kto")
"""Algorithms that must know something of a whole step."""


def weights(out):
    return load_file(out / "model" / "model.safetensors")


def same(one, other, tolerance=1e-5):
    first, second = weights(one), weights(other)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=tolerance, rtol=0, msg=name)


def agreeing(row, *, tolerance=0.0):
    """What was logged of a step, but for the share of margins above 0 where policy and reference are still one."""
    found = {name: value for name, value in row.items() if name != "accuracy" or row["step"] > 1}
    return (
        {name: pytest.approx(value, abs=tolerance, rel=1e-4) for name, value in found.items()} if tolerance else found
    )


@pytest.fixture
def by_descent(monkeypatch):
    """Plain gradient descent shows gradients as they are; Adam divides by their size, which may be all rounding."""
    usual = stepping._arguments

    def arguments(config, out):
        found = usual(config, out)
        found.optim = "sgd"
        return found

    monkeypatch.setattr(stepping, "_arguments", arguments)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns(name, aligned, rows_of, tmp_path):
    # the questions of a policy that judges hold both completions
    done = aligned(rows_of(name), tmp_path, name, epochs=6.0, **({"max_length": 700} if name == "scir" else {}))
    losses = [row["loss"] for row in done.history]
    assert np.isfinite(losses).all()
    last = done.facts["last"]
    if name == "scir":  # pairs come in as the two opinions meet: see `test_opinions_meet`
        return
    if name in ("dft", "asft"):  # -p log p falls on both sides of 1 / e
        assert last["chosen_logp"] > done.history[0]["chosen_logp"]
    else:
        assert np.mean(losses[-3:]) < losses[0]
    if "accuracy" in last and name != "discopop":  # at a margin of 0 its slope is the other way
        assert last["margin"] > done.history[0]["margin"]
    assert not (tmp_path / "checkpoints").exists()


def test_the_folder_is_a_plain_model_and_says_what_was_done(aligned, preferences, tiny, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = aligned(preferences(), tmp_path / "a", "dpo?beta=0.2")
    model = AutoModelForCausalLM.from_pretrained(done.folder)
    assert model.config._attn_implementation in ("sdpa", "eager")
    assert sorted(p.name for p in done.folder.iterdir()) == sorted(
        [*(p.name for p in type(done.folder)(tiny).iterdir()), "alignment.json"]
    )
    template = AutoTokenizer.from_pretrained(tiny).chat_template
    assert AutoTokenizer.from_pretrained(done.folder).chat_template == template
    record = json.loads((done.folder / "alignment.json").read_text())
    assert record["algorithm"] == "dpo?beta=0.2"
    assert record["options"] == {"beta": 0.2, "label_smoothing": 0.0, "nll_coef": 0.0, "length_alpha": 1.0}
    assert record["base"] == record["reference"] == tiny
    assert record["versions"]["torch"]
    assert record["config"]["learning_rate"] == 3e-3
    further = aligned(preferences(), tmp_path / "b", "simpo", model=str(done.folder), epochs=1.0)
    first, last = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert any(not torch.equal(first[n], last[n]) for n in first)
    assert json.loads((further.folder / "alignment.json").read_text())["reference"] is None


def test_before_the_first_step_policy_and_reference_are_one(aligned, preferences, tmp_path):
    """So the first losses are known: log 2, 2 log 2 (NCA), 1 (hinge, APO), 25 (IPO and SPPO: (1/(2 * 0.1))^2)."""
    log2 = np.log(2)
    known = {"dpo": log2, "nca": 2 * log2, "bco": 2 * log2, "hinge": 1.0, "apo-zero": 1.0, "ipo": 25.0, "sppo": 50.0}
    known |= {"kto": 0.5, "aot-unpaired": log2, "dpo-norm": log2, "robust-dpo": log2}
    for name, expected in known.items():
        done = aligned(preferences(), tmp_path / name, name, epochs=1.0, batch_size=64)
        assert done.history[0]["loss"] == pytest.approx(expected, abs=1e-3), name
        assert done.history[0]["margin"] == pytest.approx(0, abs=1e-4)
        assert done.history[0]["kl"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["dpo", "simpo", "orpo", "dpo?nll_coef=0.5&length_alpha=0.3", "sft", "dft", "asft", *STEPWISE]
)
def test_accumulation_and_rows_do_not_matter(name, aligned, preferences, tmp_path, by_descent):
    """1x8 = 8x1, also where a loss sorts or averages over the whole step, or divides by its tokens."""
    options = dict(learning_rate=0.3, epochs=3.0, warmup=0.0)
    whole = aligned(preferences(16), tmp_path / "a", name, batch_size=8, **options)
    parts = aligned(preferences(16), tmp_path / "b", name, batch_size=1, accumulation=8, tokens_per_row=40, **options)
    assert len(whole.history) == len(parts.history) >= 3
    for one, other in zip(whole.history, parts.history, strict=True):
        assert agreeing(one) == agreeing(other, tolerance=2e-5)
    same(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("name", ["dpo", "simpo", "kto", "aot"])
def test_trees_and_padding_are_the_same_training(name, aligned, preferences, tmp_path, by_descent, monkeypatch):
    from plaudit.engine.gate import Gate

    trees = aligned(preferences(), tmp_path / "a", name, learning_rate=0.3)
    monkeypatch.setattr("plaudit.engine.engine.open_gate", lambda _: Gate(False, "padded, for the test"))
    padded = aligned(preferences(), tmp_path / "b", name, learning_rate=0.3)
    assert trees.facts["sharing"] == "prefix trees"
    assert padded.facts["sharing"] == "padded, for the test"
    assert [r["loss"] for r in trees.history] == pytest.approx([r["loss"] for r in padded.history], abs=1e-6, rel=1e-5)
    same(tmp_path / "a", tmp_path / "b", 1e-6)
    assert trees.facts["distinct_tokens"] < padded.facts["distinct_tokens"]


@pytest.mark.parametrize("options", [{}, {"lora_rank": 2}, {"algorithm": "kto", "accumulation": 2, "batch_size": 2}])
def test_a_killed_run_goes_on_where_it_stopped(options, aligned, preferences, tmp_path, monkeypatch):
    options = {"save_steps": 4, **options}
    undisturbed = aligned(preferences(), tmp_path / "a", **options)
    step, seen = AlignTrainer.training_step, []

    def killed(self, *args, **kwargs):
        seen.append(1)
        if self.state.global_step == 7:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(AlignTrainer, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        aligned(preferences(), tmp_path / "b", **options)
    assert (tmp_path / "b" / "reference.npz").is_file()
    monkeypatch.setattr(AlignTrainer, "training_step", step)
    read = []
    monkeypatch.setattr(fitting.LanguageModel, "read", lambda *_: read.append(1))
    resumed = aligned(preferences(), tmp_path / "b", **options)
    assert not read  # the reference's numbers were kept
    assert [r["step"] for r in resumed.history] == list(range(1, 13))
    for one, other in zip(undisturbed.history, resumed.history, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    same(tmp_path / "a", tmp_path / "b", 1e-6)
    logged = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged if "loss" in row] == list(range(1, 13))
    assert not (tmp_path / "b" / "checkpoints").exists()


def test_adapters_leave_the_reference_alone(aligned, preferences, tiny, tmp_path):
    pytest.importorskip("peft")
    done = aligned(preferences(), tmp_path, "dpo", lora_rank=4, learning_rate=1e-2)
    assert done.history[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert done.facts["last"]["accuracy"] == 1.0
    before, after = load_file(f"{tiny}/model.safetensors"), weights(tmp_path)
    assert before.keys() == after.keys()  # merged: a plain folder
    moved = {n.split(".")[-2] for n in before if not torch.equal(before[n], after[n])}
    assert moved == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_another_reference(aligned, preferences, tiny, tmp_path):
    far = aligned(preferences(), tmp_path / "far", "sft")
    done = aligned(preferences(), tmp_path / "a", "dpo", reference=str(far.folder), epochs=1.0, batch_size=64)
    assert abs(done.history[0]["loss"] - np.log(2)) > 1e-2
    assert done.history[0]["kl"] > 1e-3
    assert json.loads((done.folder / "alignment.json").read_text())["reference"] == str(far.folder)


def test_inpo_blends_the_reference_and_the_start(aligned, preferences, tmp_path):
    """With the start as the reference both are one, and the first loss is 1 / (2 eta) squared, whatever tau is."""
    far = aligned(preferences(), tmp_path / "far", "sft")
    options = dict(epochs=1.0, batch_size=64)
    for tau in (0.1, 0.2):
        done = aligned(preferences(), tmp_path / f"{tau}", f"inpo?eta=0.5&tau={tau}", **options)
        assert done.history[0]["loss"] == pytest.approx(1.0, abs=1e-4)
    # kl(ref, pi) grows with the reference's share tau / eta: log-ratios are linear in it
    margins = []
    for tau in (0.1, 0.2):
        name = f"inpo?eta=0.5&tau={tau}"
        done = aligned(preferences(), tmp_path / f"far{tau}", name, reference=str(far.folder), **options)
        margins.append(done.history[0]["margin"])
        assert (tmp_path / f"far{tau}" / "start.reference.npz").is_file()
    assert margins[1] == pytest.approx(2 * margins[0], rel=1e-3)


def test_token_rewards_come_from_two_contrary_instructions(aligned, preferences, tiny, tmp_path):
    """Beside probabilities of each completion read alone, without trees or the training's encoding."""
    from plaudit.policy.offline import contrast
    from plaudit.policy.offline.data.scored import told
    from plaudit.rewards.likelihood.language import LanguageModel
    from plaudit.training.policies.encoding import encode_policy_groups

    language = LanguageModel.open(tiny, max_length=96)
    plain = LanguageModel.open(tiny, max_length=96, mode="padded")
    rows = preferences(3)
    groups = encode_policy_groups(rows, language, labels=False)
    found = contrast.with_token_rewards(groups, rows, language, tmp_path)
    for row, group in zip(rows, found, strict=True):
        for completion, rewards in zip((row.chosen, row.rejected), group.token_rewards, strict=True):
            up, down = (
                plain.read(plain.locate([Sample(told(row.prompt, words), completion)]))[0].logps
                for words in (contrast.BETTER, contrast.WORSE)
            )
            np.testing.assert_allclose(rewards, 1 / (1 + np.exp(down - up)) - 0.5, atol=1e-5)
    first = aligned(rows, tmp_path / "a", "t-reg?alpha=0", epochs=1.0)
    assert first.history[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)


def test_ranked_rows_are_all_their_pairs(aligned, tmp_path):
    rows = [Ranked(ASKED, (f"good {i}", f"fair {i}", f"poor {i}"), (2.0, 1.0, 1.0)) for i in range(4)]
    done = aligned(rows, tmp_path)
    assert (done.facts["groups"], done.facts["pairs"], done.facts["sequences"]) == (4, 8, 12)


SPREAD = ("dpo", "orpo", "kto", "aot-unpaired")


def test_two_processes_equal_one_with_twice_the_batch(tiny, launched, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    for processes, out, size in ((1, "one", 8), (2, "two", 4)):
        launched(script, os.path.dirname(__file__), tiny, tmp_path / out, size, *SPREAD, processes=processes)
    for name in SPREAD:
        one, two = (
            [json.loads(line) for line in (tmp_path / out / name / "metrics.jsonl").read_text().splitlines()]
            for out in ("one", "two")
        )
        assert len(one) == 4  # three steps and the end
        for first, second in zip(one[:3], two[:3], strict=True):
            assert agreeing(first) == agreeing(second, tolerance=2e-4), name
        same(tmp_path / "one" / name, tmp_path / "two" / name, 1e-4)


SCRIPT = """
import sys
here, model, out, size, *names = sys.argv[1:]
sys.path.insert(0, here)
from conftest import _pairs
from plaudit.policy.offline import AlignConfig, align
for name in names:
    config = AlignConfig(algorithm=name, learning_rate=1e-3, batch_size=int(size), max_length=96, warmup=0.0)
    align(_pairs(24), model=model, config=config, out=f"{out}/{name}")
"""


@pytest.mark.parametrize(
    ("rows", "algorithm", "text"),
    [
        ([], "dpo", "algorithm dpo: there are no rows; give pairs, or ranked rows"),
        (
            [Unpaired(ASKED, "a", True)], "dpo",
            r"row 1 is a unpaired row, and it learns from pairs.*\(plaudit data convert --to pairs, or --algorithm kto",
        ),
        ([Rated(ASKED, "a", 1.0)], "simpo", "row 1 is a rated row, and it learns from pairs"),
        ([Sample(ASKED, "a", meta={"reward": 1.0})], "kto", r"row 1 is a sample .*\(plaudit data convert --to pairs\)"),
        ([Sample(ASKED, "a")], "kto", "row 1 is a sample row, and .*scores 0 and 1$"),
        ([PromptOnly(ASKED)], "sft", "algorithm sft: row 1 is a promptonly row, and it learns from samples"),
        ([Ranked(ASKED, ("a", "b"), (1.0, 1.0))], "dpo", "row 1: all 2 completions have the same score"),
        ([Ranked(ASKED, ("a", "b"), (3.0, 1.0))], "kto", r"row 1: scores \[3.0, 1.0\] are no labels"),
    ],
)  # fmt: skip
def test_rows_that_hold_nothing(rows, algorithm, text, aligned, tmp_path):
    with pytest.raises(InputError, match=text):
        aligned(rows, tmp_path, algorithm)


def test_identical_completions(aligned, preferences, tmp_path):
    from dataclasses import replace

    rows = [replace(p, rejected=p.chosen) for p in preferences()]
    with pytest.raises(InputError, match="chosen and rejected are identical in all 12 rows; there is nothing to learn"):
        aligned(rows, tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"algorithm": "dpoo"}, "algorithm 'dpoo' is not known; did you mean"),
        ({"algorithm": "dpo?bta=1"}, "algorithm dpo: unknown option 'bta'; did you mean 'beta'"),
        ({"algorithm": "dpo?beta=x"}, "algorithm dpo: beta is 'x'; give float"),
        ({"algorithm": "dpo?length_alpha=2"}, "algorithm dpo: length_alpha is 2.0; give 0 to 1"),
        ({"algorithm": "dpo?nll_coef=-1"}, "algorithm dpo: nll_coef is -1.0; it must be at least 0"),
        ({"algorithm": "simpo", "reference": "x"}, "reference has no effect on simpo, which reads none"),
        ({"epochs": 0.0}, "epochs is 0.0; it must be positive"),
        ({"warmup": 1.0}, "warmup is 1.0"),
        ({"lora_rank": -1}, "lora_rank is -1; it must be at least 0"),
    ],
)
def test_options_that_cannot_be(options, text):
    with pytest.raises(InputError, match=text):
        AlignConfig(**options)


def test_a_missing_model(preferences, aligned, tmp_path):
    with pytest.raises(MissingError, match="no such model folder"):
        aligned(preferences(), tmp_path / "out", model=str(tmp_path / "nowhere"))


def test_an_option_of_the_loss_that_is_out_of_range_is_one_line(aligned, preferences, tmp_path):
    with pytest.raises(InputError, match=r"dpo: beta is -1\.0; it must be finite and above 0"):
        aligned(preferences(), tmp_path, "dpo?beta=-1")
