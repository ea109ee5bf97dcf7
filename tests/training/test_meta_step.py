"""The meta step in a run: it is the pure function's, once a step, and leaves no trace where it is not asked for."""

import itertools
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.func import functional_call

from plaudit.cli.main import main
from plaudit.engine.rendering import Encoder
from plaudit.errors import InputError, UnsupportedError
from plaudit.records import Message, Pair, Sample, write
from plaudit.training import stepping
from plaudit.training.callbacks import Recorder
from plaudit.training.config import FitConfig
from plaudit.training.entry import train_reward
from plaudit.training.fitting import build, fit_reward_model
from plaudit.training.meta_trainer import MetaTrainer
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.pairs.meta import meta_gradients, score_spread
from plaudit.training.shifted import shifted_lists, turn

QUICK = dict(epochs=1.0, learning_rate=3e-3, batch_size=4, max_length=96, save_steps=1000)


def asked(i):
    return (Message("user", f"question {i}"),)


def shifted_rows(n=5):
    """Two or three completions a prompt, the prompts' rows mixed up."""
    words = ("perhaps yes", "certainly not", "who knows what this is")
    rows = [Sample(asked(i), f"{word} {i}") for i in range(n) for word in words[: 2 + i % 2]]
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]


@pytest.fixture
def meta_fit(pairs, small):
    def fit(out, *, rows=None, shifted=None, **changes):
        config = FitConfig(**(QUICK | {"meta_rate": 0.5} | changes))
        given = shifted_rows() if shifted is None else shifted
        return fit_reward_model(rows or pairs(8), backbone=small, config=config, out=out, shifted=given)

    return fit


def same_weights(one, other, parameters, tolerance):
    first, second = parameters(one), parameters(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=tolerance, rtol=0)


@pytest.mark.usefixtures("by_descent")
@pytest.mark.parametrize("rate", [2.0, 20.0])
def test_a_step_is_that_of_the_pure_function(rate, meta_fit, pairs, small, parameters, tmp_path):
    options = {**QUICK, "batch_size": 4, "max_grad_norm": 0.0, "warmup": 0.0, "learning_rate": 0.5, "meta_rate": rate}
    rows, four = pairs(4), shifted_rows(4)  # one step of four groups, and as many shifted ones
    fitted = parameters(meta_fit(tmp_path, rows=rows, shifted=four, **options))
    model, tokenizer, template = build(rows, small, FitConfig(**options))
    encoder = Encoder(tokenizer, template)

    def scores(weights, samples):
        """Each sequence alone, by the plain model: its last token's score."""
        ids = [encoder.encode_group(s.prompt, [s.completion])[0].ids for s in samples]
        return torch.stack(
            [functional_call(model, weights, (torch.tensor(x[None].astype(np.int64)),)).logits[0, 0] for x in ids]
        )

    lists, told = shifted_lists(four), [s for row in rows for s in row.samples()]
    bounds = np.cumsum([0, *map(len, lists)])
    members = [torch.arange(a, b) for a, b in itertools.pairwise(bounds)]
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    functions = dict(
        spread=lambda w: score_spread(scores(w, [s for one in lists for s in one]), members) / 4,
        loss=lambda w: bradley_terry(scores(w, told), torch.arange(8).reshape(4, 2)) / 4,
    )
    gradient, plain = (meta_gradients(start, rate=r, **functions) for r in (rate, 0.0))
    assert max(float((gradient[n] - plain[n]).abs().max()) for n in start) > 1e-4  # a plain step would be seen
    assert fitted.keys() == start.keys()
    for name, weight in start.items():
        torch.testing.assert_close(fitted[name], weight - 0.5 * gradient[name], atol=1e-6, rtol=0)


def test_the_step_is_another_than_without(meta_fit, fit, pairs, parameters, tmp_path):
    plain, meta = fit(tmp_path / "plain", pairs(8)), meta_fit(tmp_path / "meta")
    assert np.abs(np.subtract(plain.losses, meta.losses)).max() > 1e-4
    with pytest.raises(AssertionError):
        same_weights(plain, meta, parameters, 1e-4)
    assert meta.distinct_tokens > plain.distinct_tokens  # the meta step's tokens are counted


def test_a_rate_of_zero_is_plain_training(fit, pairs, parameters, tmp_path, monkeypatch):
    plain = fit(tmp_path / "plain", pairs(8))
    taken = []

    def trainer(**options):
        taken.append(MetaTrainer(shifted=[], meta_rate=0.0, **options))
        return taken[-1]

    monkeypatch.setattr(stepping, "RewardTrainer", trainer)
    ones = lambda _, model: {n: torch.ones_like(p) for n, p in model.named_parameters()}  # noqa: E731
    monkeypatch.setattr(MetaTrainer, "_upward", ones)
    zero = fit(tmp_path / "zero", pairs(8))
    assert taken
    assert zero.losses == plain.losses
    same_weights(plain, zero, parameters, 0)


def test_weights_come_back_bit_by_bit(meta_fit, tmp_path, monkeypatch):
    seen, ascend, back = [], MetaTrainer._ascend, MetaTrainer._come_back

    def kept(model):
        return {name: p.detach().clone() for name, p in model.named_parameters()}

    def _ascend(self, model):
        seen.append(kept(model))
        ascend(self, model)
        moved = kept(model)
        assert any(not torch.equal(moved[n], v) for n, v in seen[-1].items())
        assert all(p.grad is None for p in model.parameters())  # nothing of the meta step reaches the optimiser

    def _come_back(self, model):
        back(self, model)
        assert all(torch.equal(v, seen[-1][n]) for n, v in kept(model).items())

    monkeypatch.setattr(MetaTrainer, "_ascend", _ascend)
    monkeypatch.setattr(MetaTrainer, "_come_back", _come_back)
    meta_fit(tmp_path, batch_size=1, accumulation=4)
    assert len(seen) == 2  # once a step of four micro-batches


def test_accumulation_is_one_large_batch(meta_fit, pairs, parameters, tmp_path):
    # Adam divides by the gradient's size: where that is rounding, steps differ by the learning rate itself
    options = dict(rows=pairs(13), learning_rate=3e-5, warmup=0.0, meta_rate=1.0)
    whole = meta_fit(tmp_path / "a", batch_size=8, accumulation=1, **options)
    assert len(whole.losses) == 2  # the last step is not full
    for name, sizes in (("b", (1, 8)), ("c", (2, 4))):
        parts = meta_fit(tmp_path / name, batch_size=sizes[0], accumulation=sizes[1], **options)
        np.testing.assert_allclose(whole.losses, parts.losses, atol=1e-6, rtol=0)
        same_weights(whole, parts, parameters, 1e-6)


class Killed(BaseException):
    """Nothing on the way catches this."""


def test_killed_and_resumed_equals_never_killed(meta_fit, parameters, tmp_path):
    run = dict(batch_size=2, accumulation=1, epochs=2.0, save_steps=2)  # 8 pairs: 8 steps
    whole, end = meta_fit(tmp_path / "whole", **run), Recorder.on_step_end

    def on_step_end(self, args, state, control, **rest):
        end(self, args, state, control, **rest)
        if state.global_step == 5:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "on_step_end", on_step_end)
        with pytest.raises(Killed):
            meta_fit(tmp_path / "killed", **run)
    assert (tmp_path / "killed" / "checkpoints" / "checkpoint-4" / "complete.json").is_file()
    resumed = meta_fit(tmp_path / "killed", **run)
    np.testing.assert_allclose(whole.losses, resumed.losses, atol=1e-6, rtol=0)
    same_weights(whole, resumed, parameters, 1e-6)


def test_the_manifest_records_it_and_the_key_depends_on_it(meta_fit, tmp_path):
    keys = set()
    for i, change in enumerate(({}, {"meta_rate": 0.25}, {"shifted": shifted_rows(4)}, {"shifted": shifted_rows(6)})):
        fitted = meta_fit(tmp_path / str(i), epochs=0.5, **change)
        trained = json.loads((tmp_path / str(i) / "model" / "plaudit.json").read_text())["training"]
        assert trained["config"]["meta_rate"] == change.get("meta_rate", 0.5)
        n = {2: 4, 3: 6}.get(i, 5)
        # prompts 0, 2, 4 have two completions each, 1, 3, 5 three
        assert trained["shifted"] == {"groups": n, "completions": {4: 10, 5: 12, 6: 15}[n]}
        keys.add(fitted.reward.manifest.training["key"])
    assert len(keys) == 4


def test_each_has_its_turn_in_an_order_of_the_seed():
    first = [i for step in range(5) for i in turn(step, n=5, size=3, seed=0)]  # 15 places: three rounds of five
    assert [sorted(first[i : i + 5]) for i in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert first != [i for step in range(5) for i in turn(step, n=5, size=3, seed=1)]
    assert list(turn(2, n=5, size=3, seed=0)) == first[6:9]  # of the step alone
    assert sorted(turn(0, n=2, size=4, seed=0)) == [0, 0, 1, 1]  # fewer than a step takes: all of them again


def test_samples_meet_by_their_prompt():
    rows = [Sample(asked(i), text) for i, text in ((1, "a"), (0, "b"), (1, "c"), (0, "d"), (1, "a"))]
    assert [[s.completion for s in found] for found in shifted_lists(rows)] == [["a", "c", "a"], ["b", "d"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Sample(asked(0), "a"), Sample(asked(0), "b"), Sample(asked(1), "c")],
         "shifted: the prompt of row 3 has a single completion; give at least two, or leave the prompt out"),
        ([Sample(asked(0), "a"), Pair(asked(0), "a", "b")],
         "shifted: row 2 is a pair row; give samples (prompt, completion)"),
    ],
)  # fmt: skip
def test_rows_that_will_not_do(rows, message, meta_fit, tmp_path):
    with pytest.raises(InputError) as error:
        meta_fit(tmp_path, shifted=rows)
    assert str(error.value) == message


def test_one_without_the_other_is_refused(meta_fit, pairs, small, tmp_path):
    with pytest.raises(InputError, match=r"meta_rate is 0.5, and there are no samples of a shifted policy; give them"):
        meta_fit(tmp_path, shifted=[])
    with pytest.raises(InputError, match="shifted: samples of a shifted policy have no effect without meta_rate"):
        meta_fit(tmp_path, meta_rate=0.0)
    with pytest.raises(InputError, match="the head of quantile is of the kind quantile, none of whose outputs is the"):
        meta_fit(tmp_path, objective="quantile")
    with pytest.raises(InputError, match="meta_rate has no effect on implicit-dpo, which trains no head"):
        FitConfig(objective="implicit-dpo", meta_rate=0.1)
    for options, what in (({"freeze": True}, "a frozen head"), ({"objective": "implicit-dpo"}, "implicit-dpo")):
        with pytest.raises(InputError, match=f"shifted: samples of a shifted policy have no effect on {what}"):
            train_reward(pairs(4), backbone=small, config=FitConfig(**options), out=tmp_path, shifted=shifted_rows())


def test_divided_weights_are_refused(meta_fit, tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.Accelerator.distributed_type", "FSDP")
    with pytest.raises(UnsupportedError, match="meta_rate: FSDP divides the weights among processes"):
        meta_fit(tmp_path)


def test_the_command(pairs, tmp_path, capsys):
    write(tmp_path / "pairs.jsonl", pairs(8))
    write(tmp_path / "samples.jsonl", shifted_rows())
    words = ["train", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "run"), "--width", "16", "--heads", "2"]
    words += ["--layers", "1", "--vocabulary", "300", "--batch-size", "4", "--max-length", "96"]
    assert main([*words, "--shifted", str(tmp_path / "samples.jsonl"), "--meta-rate", "1e-3"]) == 0
    assert "meta steps on 12 completions of a shifted policy to 5 prompts" in capsys.readouterr().out
    trained = json.loads((tmp_path / "run" / "model" / "plaudit.json").read_text())["training"]
    assert trained["config"]["meta_rate"] == 1e-3
    assert main([*words, "--meta-rate", "1e-3"]) == 2
    assert "there are no samples of a shifted policy; give them (--shifted FILE)" in capsys.readouterr().err


SCRIPT = """
import sys
from plaudit.records import read
from plaudit.training import Backbone, FitConfig, fit_reward_model
out, folder, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = FitConfig(learning_rate=1e-3, batch_size=size // 2, accumulation=2, meta_rate=1.0, max_length=96)
backbone = Backbone(width=16, layers=1, heads=2, vocabulary=300)
rows, shifted = (read(f"{folder}/{name}.jsonl").rows for name in ("pairs", "samples"))
fit_reward_model(rows, backbone=backbone, config=config, out=out, shifted=shifted)
"""


def test_two_processes_equal_one_with_twice_the_batch(pairs, launched, tmp_path):
    write(tmp_path / "pairs.jsonl", pairs(16))
    write(tmp_path / "samples.jsonl", shifted_rows())
    (tmp_path / "fit.py").write_text(SCRIPT)
    for processes, out, size in ((1, "one", 8), (2, "two", 4)):
        launched(tmp_path / "fit.py", tmp_path / out, tmp_path, size, processes=processes)
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-4)
