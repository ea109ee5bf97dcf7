"""Averages of policies: by hand, their ends to the last bit, shares of blocks, the search, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.policy.merging import adaptive_ratios, block_of, block_ratios, interpolated, layer_count
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.policies.fitting import start_language


def test_by_hand():
    one = {"layers.0.w": torch.tensor([1.0, 2.0]), "layers.1.w": torch.tensor([0.0]), "n": torch.tensor([3])}
    two = {"layers.0.w": torch.tensor([3.0, 0.0]), "layers.1.w": torch.tensor([8.0]), "n": torch.tensor([3])}
    # 3/4 of the first and 1/4 of the second
    found = interpolated(one, two, 0.25)
    assert found["layers.0.w"].tolist() == [1.5, 1.5]
    assert found["layers.1.w"].tolist() == [2.0]
    # each layer its own
    assert interpolated(one, two, [0.0, 0.5])["layers.1.w"].tolist() == [4.0]
    assert interpolated(one, two, [0.0, 0.5])["layers.0.w"].tolist() == [1.0, 2.0]


def test_ends_are_bit_exact_and_types_stay():
    generator = torch.Generator().manual_seed(0)
    one, two = ({"w": torch.randn(50, generator=generator).to(torch.bfloat16)} for _ in range(2))
    for share, end in ((0.0, one), (1.0, two)):
        found = interpolated(one, two, share)["w"]
        assert torch.equal(found, end["w"])
        assert found.data_ptr() != end["w"].data_ptr()
    half = interpolated(one, two, 0.5)["w"]
    assert half.dtype == torch.bfloat16
    # added in float32 and rounded once
    assert torch.equal(half, ((one["w"].float() + two["w"].float()) / 2).to(torch.bfloat16))
    # a second in another precision
    assert interpolated(one, {"w": two["w"].float()}, 1.0)["w"].dtype == torch.bfloat16


def test_an_output_that_is_linear_in_the_weights_is_linear_in_the_share():
    generator = torch.Generator().manual_seed(0)
    one, two = ({"w": torch.randn(4, 3, generator=generator, dtype=torch.float64)} for _ in range(2))
    x = torch.randn(3, generator=generator, dtype=torch.float64)
    ends = [w["w"] @ x for w in (one, two)]
    torch.testing.assert_close(interpolated(one, two, 0.3)["w"] @ x, 0.7 * ends[0] + 0.3 * ends[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("two", "weight", "text"),
    [
        ({"w": torch.zeros(3)}, 0.5, r"merge: w is \(2,\) in the first model and \(3,\) in the second"),
        ({"v": torch.zeros(2)}, 0.5, "merge: v is missing from the first model"),
        ({}, 0.5, "merge: w is missing from the second model"),
        ({"w": torch.zeros(2)}, 1.5, "the share of the second model is 1.5; give numbers from 0 to 1"),
        ({"w": torch.zeros(2)}, [], "the share of the second model is not given"),
    ],
)
def test_what_is_refused(two, weight, text):
    with pytest.raises(InputError, match=text):
        interpolated({"w": torch.zeros(2)}, two, weight)


def test_whole_numbers():
    with pytest.raises(InputError, match="merge: n holds whole numbers that differ"):
        interpolated({"n": torch.tensor([1])}, {"n": torch.tensor([2])}, 0.5)


def test_blocks():
    names = {f"model.layers.{i}.w": torch.zeros(1) for i in range(7)}
    assert layer_count(names) == 7
    # 7 layers in 3 blocks: floor(3 i / 7) = 0 0 0 1 1 2 2
    assert [block_of(n, 7, 3) for n in names] == [0, 0, 0, 1, 1, 2, 2]
    assert [block_of(n, 7, 3) for n in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")] == [
        0,
        2,
        2,
    ]
    assert block_of("transformer.h.5.attn.weight", 6, 2) == 1


def test_ratios_by_hand():
    # sigmoid(0) and sigmoid(log 3): 0.501 and 0.751 with 0.001; their sum 1.252; 0.4 * 2 * 0.501 / 1.252
    found = block_ratios([0.0, np.log(3)], 0.4)
    assert found.tolist() == pytest.approx([0.8 * 0.501 / 1.252, 0.8 * 0.751 / 1.252])
    # 0.9 * 2 = 1.8 in proportion 0.001 to 1.001 would give the second 1.798: cut to 1, and 0.8 goes to the first
    assert block_ratios([-50.0, 50.0], 0.9).tolist() == pytest.approx([0.8, 1.0])


@settings(deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=6), st.floats(0, 1))
def test_ratios_keep_their_mean(logits, mean):
    found = block_ratios(logits, mean)
    assert found.mean() == pytest.approx(mean, abs=1e-9)
    assert (found >= 0).all()
    assert (found <= 1 + 1e-12).all()
    assert block_ratios([logits[0]] * 3, mean).tolist() == [mean] * 3
    order = np.argsort(logits)
    assert (np.diff(found[order]) >= -1e-12).all()


def test_the_search_finds_what_a_grid_finds():
    """Three shares, each with another best place: the least square under the mean is known from a fine grid."""
    best = np.array([0.1, 0.3, 0.8])
    seen = []

    def loss(shares):
        seen.append(shares)
        return float(np.sum((np.array(shares) - best) ** 2))

    found = adaptive_ratios(loss, mean=0.4, evaluations=60)
    assert found.evaluations == len(seen) <= 60
    assert found.uniform == pytest.approx(0.09 + 0.01 + 0.16)
    # the mean of best is 0.4: the loss there is 0
    assert found.loss < 0.01
    assert np.mean(found.shares) == pytest.approx(0.4)
    one = adaptive_ratios(loss, mean=0.4, evaluations=1)
    assert one.shares == pytest.approx((0.4, 0.4, 0.4))
    held = adaptive_ratios(loss, mean=0.4, evaluations=60, penalty=100.0)
    assert held.shares == pytest.approx((0.4, 0.4, 0.4))


def test_what_the_search_refuses():
    with pytest.raises(InputError, match="blocks is 0"):
        adaptive_ratios(lambda _: 0.0, mean=0.5, blocks=0)
    with pytest.raises(InputError, match=r"the loss of shares \[0.5, 0.5, 0.5\] is nan"):
        adaptive_ratios(lambda _: float("nan"), mean=0.5)
    with pytest.raises(InputError, match=r"a mean share of 1\.5"):
        block_ratios([0.0], 1.5)


TEXTS = ["a good answer", "a bad answer", "user: assistant: why?"]


@pytest.fixture(scope="module")
def two_policies(tmp_path_factory):
    """Two Llamas of one tokenizer and of different weights."""
    folders = []
    made = start_language(Backbone(width=16, layers=3, heads=2, vocabulary=280), TEXTS, FitConfig(max_length=64))
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name)
        if name == "two":
            with torch.no_grad():
                for p in made.model.parameters():
                    p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
        write_causal(made.model, folder)
        made.tokenizer.save_pretrained(folder)
        folders.append(str(folder))
    return folders


def test_the_command(two_policies, tmp_path, capsys):
    one, two = two_policies
    assert main(["merge", one, two, "--weight", "0.25", "--out", str(tmp_path / "m")]) == 0
    assert f"saved {tmp_path}/m" in capsys.readouterr().out
    first, second, found = (load_file(f"{f}/model.safetensors") for f in (one, two, tmp_path / "m"))
    assert found.keys() == first.keys()
    for name in first:
        torch.testing.assert_close(found[name], 0.75 * first[name] + 0.25 * second[name], atol=1e-6, rtol=1e-5)
    record = json.loads((tmp_path / "m" / "alignment.json").read_text())
    assert (record["algorithm"], record["shares"], record["second"]) == ("merge", [0.25], two)
    for share, end in (("0", first), ("1", second)):
        assert main(["merge", one, two, "--weight", share, "--out", str(tmp_path / share)]) == 0
        kept = load_file(tmp_path / share / "model.safetensors")
        assert all(torch.equal(kept[name], end[name]) for name in end)
    assert main(["merge", one, two, "--weight", "0,0.5,1", "--out", str(tmp_path / "b")]) == 0
    blocks = load_file(tmp_path / "b" / "model.safetensors")
    name = "model.layers.{}.mlp.up_proj.weight"
    assert torch.equal(blocks[name.format(0)], first[name.format(0)])
    assert torch.equal(blocks[name.format(2)], second[name.format(2)])


def test_the_command_searches(two_policies, tmp_path, capsys):
    one, two = two_policies
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "why?", "completion": "a good answer"}) + "\n")
    command = ["merge", one, two, "--weight", "0.4", "--adapt", str(rows), "--evaluations", "8", "--max-length", "64"]
    assert main([*command, "--out", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    assert "over 8 averages" in out
    record = json.loads((tmp_path / "m" / "alignment.json").read_text())
    assert np.mean(record["shares"]) == pytest.approx(0.4)
    assert record["search"]["loss"] <= record["search"]["uniform"]


def test_the_commands_errors(two_policies, tmp_path, capsys):
    one, two = two_policies
    for arguments, text in (
        ([one, two, "--weight", "half"], "--weight is 'half'; give a number from 0 to 1"),
        ([one, two, "--weight", "2"], "the share of the second model is 2"),
        ([one, two, "--weight", "0.5", "--blocks", "2"], "--blocks has no effect without --adapt FILE"),
        ([one, str(tmp_path / "none"), "--weight", "0.5"], "no such model folder"),
    ):
        assert main(["merge", *arguments, "--out", str(tmp_path / "m")]) == 2
        assert text in capsys.readouterr().err
        assert not (tmp_path / "m").exists()


def test_the_command_overwrites_nothing_else(two_policies, tmp_path, capsys, monkeypatch):
    one, two = two_policies
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "metrics.jsonl").write_text("kept")
    monkeypatch.chdir(tmp_path / "run")
    before = {p: p.read_bytes() for f in (one, two) for p in Path(f).iterdir()}
    for out, text in (
        (str(tmp_path / "run"), "(it has no config.json), and what it holds would be lost; name another path"),
        (".", "and what it holds would be lost; name another path"),
        (two, f"write: {two} is or holds {two}, which is read; name another folder"),
    ):
        assert main(["merge", one, two, "--weight", "0.5", "--out", out]) == 2
        assert text in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == "kept"
    assert {p: p.read_bytes() for p in before} == before
