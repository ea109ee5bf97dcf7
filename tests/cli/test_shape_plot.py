"""`plaudit shape plot`: every transform is drawn, options reach it, and the picture is well-formed."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.report.shapes import EACH, PROMPTS, Example, fused, won
from plaudit.rewards.builtin import BUILTIN
from plaudit.shaping.transforms.naming import TRANSFORMS

SVG = "{http://www.w3.org/2000/svg}"


def dots(path):
    root = ElementTree.fromstring(path.read_text())
    return [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]


def test_all_of_them(tmp_path, capsys):
    assert main(["shape", "plot", "all", "--out", str(tmp_path)]) == 0
    every = [name.removeprefix("shape/") for name in BUILTIN if name.startswith("shape/")]
    assert set(TRANSFORMS) < set(every)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"shape-{kind}.svg" for kind in every)
    assert capsys.readouterr().out.count("shape: ") == len(every)
    for kind in every:
        halved = kind in ("standardise", "running-clip", "min-max", "confidence", "stretch")  # half is seen beforehand
        shown = PROMPTS * EACH // (2 if halved else 1)
        assert len(dots(tmp_path / f"shape-{kind}.svg")) == 2 * shown, kind


def test_options_reach_the_picture_and_the_seed_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["shape", "plot", "shape/squash?curve=sigmoid&scale=2"]) == 0
    text = (tmp_path / "shape-squash.svg").read_text()
    assert re.search(r">shape/squash\?curve=sigmoid&amp;scale=2<", text)
    first = dots(tmp_path / "shape-squash.svg")
    assert main(["shape", "plot", "squash?curve=sigmoid&scale=2", "--seed", "1", "--out", "other.svg"]) == 0
    assert dots(tmp_path / "other.svg") != first


def test_the_example_has_levels_and_a_few_that_are_far_too_high():
    example = Example.drawn()
    assert 0 < example.far.mean() < 0.1
    assert example.reward[example.far].min() > example.reward[~example.far].mean()
    level = example.reward.reshape(PROMPTS, EACH).mean(axis=1)
    assert np.std(level) > 0.5
    assert np.array_equal(Example.drawn(0).reward, example.reward)


def test_win_rates_and_fused_rewards_of_the_example():
    example = Example.drawn()
    # by hand, the first prompt's first completion: the mean of sigmoid(r_0 - r_j) over the other seven
    r = example.reward[:EACH]
    assert won(example)[0] == pytest.approx(np.mean([1 / (1 + np.exp(r[j] - r[0])) for j in range(1, EACH)]))
    # by hand: itself and as many of the better half of the prompt's references as there are neighbours, all at cosine 1
    better = sorted(example.references.table(example.samples[:1])[0])[-5:]
    assert fused(example, neighbours=5, threshold=0.9)[0] == pytest.approx((r[0] + sum(better)) / 6)


def test_a_saved_state_is_drawn(tmp_path, monkeypatch):
    from plaudit.shaping.transforms import Quantile, save_state

    monkeypatch.chdir(tmp_path)
    save_state(Quantile([-100.0, 100.0]), "state.json")
    assert main(["shape", "plot", "quantile?state=state.json", "--out", "given.svg"]) == 0
    assert main(["shape", "plot", "quantile", "--out", "own.svg"]) == 0
    heights = [{y for _, y in dots(tmp_path / name)[: PROMPTS * EACH]} for name in ("given.svg", "own.svg")]
    assert len(heights[0]) == 1  # all lie between the two references
    assert len(heights[1]) > 50


def test_what_reads_stated_confidence_is_shown_some():
    example = Example.drawn()
    stated = example.stated()
    assert all(s.text.startswith("word ") and "Confidence: " in s.text for s in stated.samples)
    sure = [s.text for s, far in zip(stated.samples, example.far, strict=True) if far]
    assert {text.rpartition(" ")[2] for text in sure} <= {"8", "9", "10"}  # what hacks is sure of itself
    assert np.array_equal(stated.reward, example.reward)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("parr", "shape: 'parr' is not known; did you mean 'par'"),
        ("par?kk=1", "shape/par: unknown option 'kk'; did you mean 'k'"),
        ("par?references=refs.jsonl", "references are not read here, there are others; leave references out"),
        ("fused?corpus=pairs.jsonl", "shape: corpus is not read here, the example has its own; leave it out"),
        ("fused?neighbours=0", "fused_rewards: neighbours is 0; it must be at least 1"),
        ("win-rate?k=1", "shape/win-rate: unknown option 'k'"),
        ("par?k=0", "par: k is 0.0 and shift 0.0; give a positive slope"),
    ],
)
def test_errors_are_one_line(name, message, tmp_path, capsys):
    out = tmp_path / "x.svg"
    assert main(["shape", "plot", name, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()
