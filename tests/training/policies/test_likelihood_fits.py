"""Causal models fitted as rewards: each objective learns, survives a new process, and says what its data lacks."""

import json
import shlex

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Rated
from plaudit.records.rows import Unpaired
from plaudit.records.sample import Sample
from plaudit.records.writing import write
from plaudit.rewards.likelihood import RatioReward
from plaudit.rewards.likelihood.yes import yes_comparison
from plaudit.rewards.registry import load
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.entry import train_reward
from plaudit.training.methods import METHODS
from plaudit.training.policies import (
    PolicyCollator,
    comparison_rows,
    encode_policy_groups,
    fit_likelihood_reward,
    policy_outputs,
    principle_rows,
)
from plaudit.training.policies.fitting import start_language
from plaudit.training.trainer import RewardTrainer

CAUSAL = sorted(n for n, m in METHODS.items() if m.model == "causal")
QUICK = dict(epochs=6.0, learning_rate=3e-3, batch_size=4, max_length=320, save_steps=1000)
ASKED = (Message("user", "question 1"),)
TRIED = [
    Sample(ASKED, f"a {w} answer 3", "a fine answer 3", meta={"principle": "be good"}) for w in ("good", "bad", "odd")
]


@pytest.fixture(scope="module")
def rows_for(pairs):
    def rows(name):
        if name == "principle-token":
            return [
                Rated(p.prompt, c, aspects={"be good": float("good" in c)})
                for p in pairs()
                for c in (p.chosen, p.rejected)
            ]
        return pairs()

    return rows


def quick(rows, out, small, **changes):
    return fit_likelihood_reward(rows, backbone=small, config=FitConfig(**(QUICK | changes)), out=out)


ELSEWHERE = """
import json, sys, plaudit
from plaudit import Sample, Message
asked = (Message("user", "question 1"),)
meta = {"principle": "be good"}
tried = [Sample(asked, f"a {w} answer 3", "a fine answer 3", meta=meta) for w in ("good", "bad", "odd")]
for folder in sys.argv[1:]:
    reward = plaudit.load(folder)
    print(json.dumps([reward(tried).reward.tolist(), reward.fingerprint]))
"""


def test_each_objective_learns_and_survives_a_new_process(rows_for, small, tmp_path, elsewhere):
    fitted = {name: quick(rows_for(name), tmp_path / name, small, objective=name) for name in CAUSAL}
    printed = elsewhere(ELSEWHERE, *(str(tmp_path / name) for name in CAUSAL))
    for name, line in zip(CAUSAL, printed.splitlines()[-len(CAUSAL) :], strict=True):
        here, (reward, fingerprint) = fitted[name], json.loads(line)
        assert np.isfinite(here.losses).all(), name
        assert reward == pytest.approx(here.reward(TRIED).reward.tolist(), abs=1e-6), name
        assert fingerprint == here.reward.fingerprint, name
        if name != "yes-token":  # reading two texts against each other takes more passes: see the test below
            assert reward[0] > reward[1], name
            assert np.mean(here.losses[-3:]) < here.losses[0], name


@pytest.mark.slow
def test_yes_token_learns_which_of_two_texts_is_better(pairs, small, tmp_path):
    """Read in one order at a time: averaged over both, the reverse would be 1 - P whatever was learned."""
    quick(pairs(12), tmp_path, small, objective="yes-token", epochs=40.0, learning_rate=5e-3, batch_size=8)
    asked = yes_comparison(str(tmp_path / "model"), debias=False, max_length=320)
    good, bad = zip(*(p.samples() for p in pairs(24)[12:]), strict=True)  # other questions and other numbers
    assert asked(good, bad).probability.min() > 0.9
    assert asked(bad, good).probability.max() < 0.1


def test_plain_transformers_opens_the_folder(rows_for, small, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    fit = quick(rows_for("implicit-dpo"), tmp_path, small, objective="implicit-dpo", epochs=1.0)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template == fit.reward.policy.tokenizer.chat_template
    for name, value in fit.reward.policy.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    manifest = json.loads((tmp_path / "model" / "plaudit.json").read_text())
    assert manifest["reader"] == "likelihood"
    assert manifest["head"]["kind"] == "ratio"
    assert manifest["objective"] == "implicit-dpo"
    assert (tmp_path / "model" / "reference" / "model.safetensors").is_file()


def test_rewards_of_training_completions_have_mean_zero_and_unit_deviation(rows_for, small, tmp_path):
    rows = rows_for("implicit-nca")
    reward = quick(rows, tmp_path, small, objective="implicit-nca", epochs=2.0).reward
    batch = reward([s for p in rows for s in p.samples()])
    assert batch.reward.mean() == pytest.approx(0.0, abs=1e-4)
    assert batch.reward.std() == pytest.approx(1.0, abs=1e-4)
    raw = [t[:, 2].sum() for t in batch.tokens]  # tokens sum to the score in the reward's unit, without the offset
    assert np.allclose(raw - batch.reward, raw[0] - batch.reward[0], atol=1e-6)


def test_before_training_the_log_ratio_is_zero(rows_for, small, tmp_path):
    """The reference is the start, so the first loss is log 2 for DPO and for cross-entropy, and 1/2 for KTO."""
    first = {
        n: quick(rows_for(n), tmp_path / n, small, objective=n, epochs=1.0, batch_size=64).losses[0]
        for n in ("implicit-dpo", "implicit-ce", "implicit-nca", "implicit-kto")
    }
    log2 = np.log(2)
    expected = {"implicit-dpo": log2, "implicit-ce": log2, "implicit-nca": 2 * log2, "implicit-kto": 0.5}
    assert first == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["implicit-dpo", "implicit-ce"])
def test_accumulation_and_rows_do_not_matter(name, rows_for, small, tmp_path):
    whole = quick(rows_for(name), tmp_path / "a", small, objective=name, batch_size=4)
    parts = quick(
        rows_for(name), tmp_path / "b", small, objective=name, batch_size=1, accumulation=4, tokens_per_row=40
    )
    assert np.allclose(whole.losses, parts.losses, atol=1e-4)
    assert np.allclose(whole.reward(TRIED).reward, parts.reward(TRIED).reward, atol=1e-2)


def test_trees_and_padding_give_one_row_s_sums(rows_for, small):
    language = start_language(small, ["a good answer indeed", "a bad answer alas question"], FitConfig(**QUICK))
    groups = encode_policy_groups(rows_for("implicit-dpo"), language, labels=False)
    plain = language.read([one for g in groups for one in g.located])
    expected = sorted(float(r.logps.sum()) for r in plain)
    language.model.eval()
    for collator in (PolicyCollator(), PolicyCollator(tree=False), PolicyCollator(tree=False, budget=64)):
        step = collator(groups)
        with torch.no_grad():
            found = [v for row in step["rows"] for v in policy_outputs(language.model, row)[:, 0].tolist()]
        assert sorted(found) == pytest.approx(expected, abs=1e-4)
        assert float(step["n_items"]) == len(groups)
    (row,) = PolicyCollator()(groups)["rows"]
    assert row["sources"].numel() < row["owner"].numel()  # logits where needed, shared ones once


def test_a_killed_run_goes_on_where_it_stopped(rows_for, small, tmp_path, monkeypatch):
    options = dict(objective="implicit-dpo", save_steps=4)
    undisturbed = quick(rows_for("implicit-dpo"), tmp_path / "a", small, **options)
    step, seen = RewardTrainer.training_step, []

    def killed(self, *args, **kwargs):
        seen.append(1)
        if len(seen) > 10:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(RewardTrainer, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        quick(rows_for("implicit-dpo"), tmp_path / "b", small, **options)
    assert (tmp_path / "b" / "reference.npz").is_file()
    monkeypatch.setattr(RewardTrainer, "training_step", step)
    resumed = quick(rows_for("implicit-dpo"), tmp_path / "b", small, **options)
    assert np.allclose(resumed.losses, undisturbed.losses, atol=1e-6)
    assert np.allclose(resumed.reward(TRIED).reward, undisturbed.reward(TRIED).reward, atol=1e-6)


def test_it_starts_from_a_saved_policy_with_adapters(rows_for, small, tmp_path):
    pytest.importorskip("peft")
    quick(rows_for("autoregressive"), tmp_path / "a", small, objective="autoregressive", epochs=1.0)
    start = Backbone(name=str(tmp_path / "a" / "model"))
    fit = quick(rows_for("implicit-dpo"), tmp_path / "b", start, objective="implicit-dpo", lora_rank=4)
    assert isinstance(fit.reward, RatioReward)
    assert fit.reward(TRIED).reward[0] > fit.reward(TRIED).reward[1]
    before = fit.reward.reference.model.state_dict()["model.layers.0.self_attn.q_proj.weight"]
    after = fit.reward.policy.model.state_dict()["model.layers.0.self_attn.q_proj.weight"]
    assert not torch.equal(before, after)  # adapters are merged, and the reference stays


def test_labels_come_from_unpaired_and_binary_ranked_rows(small, tmp_path):
    unpaired = [Unpaired((Message("user", f"question {i // 2}"),), f"a {w} answer {i}", w == "good")
                for i in range(6) for w in ("good", "bad")]  # fmt: skip
    fit = quick(unpaired, tmp_path / "a", small, objective="implicit-ce")
    assert (fit.groups, fit.pairs, fit.sequences) == (3, 0, 12)  # rows of a prompt that follow one another are a group
    assert fit.reward(TRIED).reward[0] > fit.reward(TRIED).reward[1]
    kto = quick(unpaired, tmp_path / "b", small, objective="implicit-kto", epochs=1.0)
    assert kto.sequences == 15  # each group has a completion of the next one's prompt besides
    ranked = [Ranked(ASKED, ("good", "bad", "well"), (1.0, 0.0, 1.0))]
    assert quick(ranked, tmp_path / "c", small, objective="implicit-ce", epochs=1.0).sequences == 3


@pytest.mark.parametrize(
    ("objective", "rows", "message"),
    [
        (
            "implicit-dpo",
            [Unpaired(ASKED, "a", True)],
            "row 1: an unpaired row holds no preference; give pairs, ranked rows",
        ),
        (
            "implicit-ce",
            [Rated(ASKED, "a", 1.0)],
            "row 1: a rated row holds no label; give pairs, ranked rows or unpaired rows",
        ),
        (
            "implicit-ce",
            [Ranked(ASKED, ("a", "b"), (3.0, 1.0))],
            "row 1: scores [3.0, 1.0] are no labels; give 0 and 1",
        ),
        ("implicit-dpo", [Ranked(ASKED, ("a", "b"), (1.0, 1.0))], "row 1: all 2 completions have the same score"),
        ("implicit-dpo", [Pair(ASKED, "rain " * 900, "b")], "row 1: a completion is longer than max_length 320"),
        ("yes-token", [Rated(ASKED, "a", 1.0)], "row 1: a rated row holds no preference; give pairs or ranked rows"),
        (
            "principle-token",
            [Pair(ASKED, "a", "b")],
            "row 1: a pair row judges no principle; give rated rows with aspects",
        ),
        ("principle-token", [Rated(ASKED, "a", aspects={"p": 3.0})], "row 1: aspects are {'p': 3.0}"),
        ("bradley-terry", [Pair(ASKED, "a", "b")], "objective bradley-terry trains a classifier"),
        ("implicit-dpo", [], "there are no rows"),
    ],
)
def test_what_the_data_lacks(objective, rows, message, small, tmp_path):
    with pytest.raises(InputError) as error:
        quick(rows, tmp_path, small, objective=objective)
    assert message in str(error.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["yes-token", "principle-token"])
def test_questions_that_do_not_fit_are_left_out_as_scoring_leaves_them(name, rows_for, small, tmp_path):
    long = [Pair(ASKED, "rain " * 400, "b"), Pair(ASKED, "a", "rain " * 400)]
    if name == "principle-token":
        long = [Rated(ASKED, "rain " * 400, aspects={"be good": 1.0}), *rows_for(name)[:1]]
    rows = [*rows_for(name)[:4], *long]
    fit = quick(rows, tmp_path / "some", small, objective=name, epochs=1.0)
    # each preference is asked about in both orders; of the principles the last row fits
    assert (fit.left_out, fit.groups) == ((4, 8) if name == "yes-token" else (1, 5))
    assert fit.truncated == 0
    with pytest.raises(InputError, match=r"none of .* questions fits max_length 320; raise max_length"):
        quick(long[:1], tmp_path / "none", small, objective=name)


def test_questions_are_asked_in_both_orders(pairs):
    first = pairs(1)[0]
    forth, back = comparison_rows([first])
    assert (forth.chosen, forth.rejected, back.chosen, back.rejected) == ("Yes", "No", "No", "Yes")
    asked = forth.prompt[0].text
    assert asked.index(first.rejected) < asked.index(first.chosen)  # the candidate, which is better, stands second
    yes, no = principle_rows([
        Rated(ASKED, "a", aspects={"p": 1.0, "half": 0.5}), Unpaired(ASKED, "a", False, meta={"principle": "q"}),
    ])  # fmt: skip
    assert (yes.chosen, no.chosen) == ("Yes", "No")
    assert "The principle: q" in no.prompt[0].text


def test_only_the_answer_s_token_counts(small, pairs):
    rows = comparison_rows(pairs(2))
    language = start_language(small, ["Yes No assistant"], FitConfig(**QUICK))
    groups = encode_policy_groups(rows, language, labels=False, answers=True)
    for g in groups:
        assert [one.counted.tolist() for one in g.located] == [[len(one.ids) - 1] for one in g.located]
        assert np.array_equal(g.located[0].ids[:-1], g.located[1].ids[:-1])


def test_the_door_of_the_command(rows_for, small, tmp_path):
    trained = train_reward(
        rows_for("implicit-dpo"), backbone=small, config=FitConfig(**(QUICK | {"objective": "implicit-dpo?beta=0.2"})),
        out=tmp_path,
    )  # fmt: skip
    assert trained.reward.options.beta == 0.2
    assert (
        trained.lines()[0]
        == f"trained on 12 preferences in 12 groups from scratch ({trained.facts['parameters']:,} parameters)"
    )
    with pytest.raises(InputError, match="freeze"):
        train_reward(
            rows_for("x"), backbone=small, config=FitConfig(objective="implicit-dpo", freeze=True), out=tmp_path
        )


def test_the_pair_trainer_fits_a_discriminator(small, tmp_path):
    """Two policies that differ in a word; the discriminator tells on an unseen prompt whose a candidate is like."""
    from plaudit.rewards.likelihood import pretraining_pairs
    from plaudit.training.fitting import fit_reward_model

    samples, policies = [], []
    for i in range(12):
        for policy in ("good", "bad"):
            for j in range(2):
                samples.append(Sample(f"q {i}", f"{policy} {policy} {policy} {j}"))
                policies.append(policy)
    rows = [r for seed in range(4) for r in pretraining_pairs(samples, policies, seed=seed)]
    config = FitConfig(epochs=8.0, learning_rate=5e-3, batch_size=8, max_length=96, save_steps=1000)
    fit_reward_model(rows, backbone=small, config=config, out=tmp_path)
    reward = load(f"likelihood/discriminator?model={tmp_path}")
    tried = [Sample("q 99", f"{c} {c} {c} 0", f"{r} {r} {r} 1") for r in ("good", "bad") for c in ("good", "bad")]
    like = reward(tried).reward.reshape(2, 2)
    assert like[0, 0] > like[0, 1]  # beside a good reference the good one is more like it
    assert like[1, 1] > like[1, 0]


def test_the_command_trains_and_scores(rows_for, tmp_path, capsys):
    from plaudit.cli.main import main

    data, out = tmp_path / "pairs.jsonl", tmp_path / "run"
    rows = [{"prompt": p.prompt[0].text, "chosen": p.chosen, "rejected": p.rejected} for p in rows_for("implicit-ce")]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = "--width 32 --layers 1 --heads 2 --vocabulary 300 --max-length 96 --learning-rate 3e-3 --epochs 4"
    assert main(["train", str(data), "--objective", "implicit-ce?beta=0.1", "--out", str(out), *words.split()]) == 0
    assert "trained on 24 completions in 12 groups" in capsys.readouterr().out
    assert main(["score", str(data), "--reward", str(out), "--out", str(tmp_path / "scored.jsonl")]) == 0
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert len(scored) == 24
    assert all(len(row["token_rewards"]) and row["outcome"] == "scored" for row in scored)
    assert main(["train", "--objective", "help"]) == 0
    assert "implicit-kto" in capsys.readouterr().out


def test_the_command_that_is_shown_next_runs(rows_for, small, tmp_path, capsys):
    from plaudit.cli.main import main

    pairs = tmp_path / "pairs.jsonl"
    write(pairs, rows_for("yes-token"))
    quick(rows_for("yes-token"), tmp_path / "run", small, objective="yes-token", epochs=1.0)
    assert main(["calibrate", str(pairs), "--reward", str(tmp_path / "run")]) == 2
    assert "answers a question about one completion with yes or no" in capsys.readouterr().err
    command = shlex.split(METHODS["yes-token"].then.format(model=tmp_path / "run" / "model"))
    assert main([str(pairs) if part == "HELD_OUT_PAIRS" else part for part in command[1:]]) == 0
    assert "accuracy" in capsys.readouterr().out
    quick(rows_for("principle-token"), tmp_path / "other", small, objective="principle-token", epochs=1.0)
    (tmp_path / "principles.txt").write_text("be good\n")
    command = shlex.split(METHODS["principle-token"].then.format(model=tmp_path / "other" / "model"))
    names = {"SAMPLES": str(pairs), "SCORED": str(tmp_path / "scored.jsonl")}
    command = [names.get(part, part).replace("=FILE", f"={tmp_path}/principles.txt") for part in command]
    assert main(command[1:]) == 0


def test_the_reference_is_a_model_folder_by_itself(rows_for, small, tmp_path):
    quick(rows_for("implicit-dpo"), tmp_path / "run", small, objective="implicit-dpo?beta=0.2", epochs=1.0)
    model = tmp_path / "run" / "model"
    one, other = load(model), load(f"likelihood/ratio?policy={model}&reference={model}/reference&beta=0.2")
    np.testing.assert_allclose(
        one(TRIED).reward * one.scale.unit + one.scale.offset, other(TRIED).reward, atol=1e-5, rtol=0
    )


def test_the_baseline_s_completions_are_of_other_prompts(small):
    """Two groups of one prompt may follow one another: the next prompt is meant, the first again after the last."""
    rows = [Pair((Message("user", asked),), f"yes {i}", f"no {i}") for i, asked in enumerate("aabbca")]
    model = start_language(small, ["a b c yes no 0 1 2 3 4 5"], FitConfig(objective="implicit-kto"))
    tell = model.tokenizer.decode
    groups = encode_policy_groups(rows, model, labels=True, mismatch=True)
    extra = [tell(g.located[2].ids[g.located[2].counted]) for g in groups]
    for text, wanted in zip(extra, (2, 2, 4, 4, 5, 2), strict=True):
        assert f"yes {wanted}" in text
    alone = encode_policy_groups(rows[:2], model, labels=True, mismatch=True)  # nobody asks anything else
    assert [len(g.located) for g in alone] == [2, 2]


def test_unpaired_rows_with_other_tools_have_another_prompt(small):
    metas = [{"tools": [{"name": "a"}]}, {"tools": [{"name": "a"}]}, {"tools": [{"name": "b"}]}, {}]
    rows = [Unpaired(ASKED, f"answer {i}", bool(i % 2), meta=meta) for i, meta in enumerate(metas)]
    language = start_language(small, ["answer question"], FitConfig(**QUICK))
    groups = encode_policy_groups(rows, language, labels=True)
    assert [g.wanted.tolist() for g in groups] == [[0, 1], [0], [1]]
