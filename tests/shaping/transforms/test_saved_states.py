"""States in files: saved by a loop, named by a reference or a recipe, and the same to the last bit in a new process."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from plaudit import load
from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from plaudit.shaping import ConfidenceShaping
from plaudit.shaping.transforms import (
    GroupMatched,
    MinMax,
    Quantile,
    Rank,
    RunningClip,
    Standardise,
    Stretched,
    save_state,
    with_state,
)
from plaudit.shaping.transforms.naming import TRANSFORMS

REMEMBERING = {
    "standardise": Standardise(rate=0.3),
    "running-clip": RunningClip(rate=0.3, width=0.7),
    "min-max": MinMax(),
    "confidence": ConfidenceShaping(rate=0.3),
    "stretch": Stretched(decay=0.7),
    "quantile": Quantile([0.1, 2.0 / 3, 5.0]),
    "group-matched": GroupMatched(
        "who", "affine", ("x", "y"), (-1.0 / 3, 0.25), (0.5, 1.0), ((0.0, 1.0), (-1.0, 0.1), (0.0, 2.0 / 3))
    ),
}
OPTIONS = {
    "stretch": {"decay": 0.7},
    "group-matched": {"column": "who", "match": "affine"},
    "standardise": {"rate": 0.3},
    "running-clip": {"rate": 0.3, "width": 0.7},
    "confidence": {"rate": 0.3},
}
SAMPLES = [
    Sample("a", "one two three\nConfidence: 9", meta={"who": "x"}), Sample("a", "one", meta={"who": "y"}),
    Sample("b", "one " * 5 + "Confidence: 2", meta={"who": "y"}),
]  # fmt: skip


def trained(by):
    """After five batches whose mean has no short decimal form."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        by = by.updated(RewardBatch(rng.gumbel(size=3) / 3), SAMPLES)
    return by


def test_every_transform_that_remembers_is_here():
    assert set(REMEMBERING) == {kind for kind, made in TRANSFORMS.items() if made.remembered}


PROGRAM = """
import json, sys
from plaudit import load
from plaudit.records import read
samples = read("samples.jsonl").rows
print(json.dumps([load(reference)(samples).reward.tolist() for reference in sys.argv[1:]]))
"""


def test_saved_in_a_loop_and_loaded_by_reference_in_a_new_process(tmp_path):
    expected, references = [], []
    for kind, by in REMEMBERING.items():
        last, state = trained(by), f"runs/{kind}.json"
        save_state(last, tmp_path / state)  # its folder is made
        words = [3.0, 1.0, 5.0] if kind == "confidence" else [5.0, 1.0, 7.0]  # the statement is two of them
        expected += [last(RewardBatch(np.array(words)), SAMPLES).reward.tolist()] * 2
        options = {"of": "rule/length", "state": state, **OPTIONS.get(kind, {})}
        (tmp_path / f"{kind}.yaml").write_text(yaml.safe_dump({f"shape/{kind}": options}))
        references += [f"{kind}.yaml", f"shape/{kind}?" + "&".join(f"{k}={v}" for k, v in options.items())]
    rows = [{"prompt": s.prompt[0].text, "completion": s.text, **s.meta} for s in SAMPLES]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *references],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for reference, found, wanted in zip(references, json.loads(done.stdout), expected, strict=True):
        assert found == wanted, reference  # to the last bit


@pytest.mark.parametrize("kind", sorted(REMEMBERING))
def test_a_state_is_the_whole_difference(kind, tmp_path):
    by = REMEMBERING[kind]
    last = trained(by)
    save_state(last, tmp_path / "state.json")
    assert with_state(by, tmp_path / "state.json") == last
    assert with_state(trained(last), tmp_path / "state.json") == last  # it takes the place of what was seen before
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]  # nothing half-written is left beside it
    written = json.loads((tmp_path / "state.json").read_text())
    assert written["transform"] == kind
    save_state(by, tmp_path / "state.json")  # over the old one; nothing was seen, and that is a state too
    assert with_state(last, tmp_path / "state.json") == by


def test_two_transforms_of_one_reward_have_a_state_each(tmp_path):
    inner, outer = Standardise().updated(RewardBatch(np.array([0.0, 2.0])), SAMPLES[:2]), MinMax()
    outer = outer.updated(RewardBatch(np.array([-1.0, 3.0])), SAMPLES[:2])
    save_state(inner, tmp_path / "inner.json")
    save_state(outer, tmp_path / "outer.json")
    reward = load(
        {
            "shape/min-max": {
                "state": str(tmp_path / "outer.json"),
                "of": {"shape/standardise": {"of": "rule/length", "epsilon": 0, "state": str(tmp_path / "inner.json")}},
            }
        }
    )
    # three words: (3 - 1) / 1 = 2 deviations, (2 + 1) / 4 of the range
    assert reward([Sample("a", "x y z")]).reward.tolist() == [0.75]


def written(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text)
    return path


STATE = {"n": 2, "mean": 0.0, "square": 1.0, "low": -1.0, "high": 1.0, "rate": 0.0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("not json", r"shape/standardise: state .*state.json is not JSON; give a file that save_state wrote"),
        ([1], r"shape/standardise: .*state.json holds no state of a transform; give a file that save_state wrote"),
        ({"state": STATE}, r"holds no state of a transform"),
        (
            {"transform": "min-max", "state": STATE},
            r"shape/standardise: .*state.json is a state of shape/min-max; give one of shape/standardise",
        ),
        (
            {"transform": "standardise", "state": {"mean": 1.0}},
            r"state.json: standardise: the state has \['mean'\]; give \['high', 'low', 'mean', 'n', 'rate', 'square'\]",
        ),
        (
            {"transform": "standardise", "state": {**STATE, "mean": "0"}},
            r"state.json: standardise: the state's mean is '0'; give what standardise saved, in numbers",
        ),
    ],
)
def test_a_state_that_is_none_is_one_clear_line(row, message, tmp_path):
    path = written(tmp_path, row if isinstance(row, str) else json.dumps(row))
    with pytest.raises(InputError, match=message) as error:
        load(f"shape/standardise?of=rule/length&state={path}")
    assert "\n" not in str(error.value)


def test_what_is_not_there_or_cannot_be(tmp_path):
    with pytest.raises(MissingError, match=r"shape/min-max: state nowhere.json: no such file; save_state writes it"):
        load("shape/min-max?of=rule/length&state=nowhere.json")
    with pytest.raises(InputError, match="shape/rank: unknown option 'state'"):
        load("shape/rank?of=rule/length&state=x.json")
    with pytest.raises(InputError, match="rank: has no state that could be saved; its options are all of it"):
        save_state(Rank(), tmp_path / "x.json")
    with pytest.raises(InputError, match="confidence: the state's mean is None; give a finite number"):
        ConfidenceShaping().restored({"mean": None})
    path = tmp_path / "q.json"
    save_state(REMEMBERING["quantile"], path)
    with pytest.raises(InputError, match="shape/quantile: the state has the references; leave one of the two out"):
        load(f"shape/quantile?of=rule/length&state={path}&references=refs.jsonl")
