"""Killed and resumed equals never killed; what a kill has torn is never resumed from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from plaudit.records import Ranked
from plaudit.runs.progress import Progress
from plaudit.training.callbacks import Recorder
from plaudit.training.checkpoints import is_complete, newest_complete, seal
from plaudit.training.trainer import RewardTrainer

RUN = dict(epochs=2.0, batch_size=2, save_steps=2, learning_rate=3e-3)  # 12 pairs: 12 steps


class Killed(BaseException):
    """Nothing on the way catches this."""


def killed_at(step, fit, *arguments, **options):
    """A fit that ends after `step` steps, before anything is done about the step's end."""
    end = Recorder.on_step_end

    def on_step_end(self, args, state, control, **rest):
        end(self, args, state, control, **rest)
        if state.global_step == step:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "on_step_end", on_step_end)
        with pytest.raises(Killed):
            fit(*arguments, **options)


def steps_run(monkeypatch):
    """Counts training steps."""
    steps, step = [], RewardTrainer.training_step
    monkeypatch.setattr(RewardTrainer, "training_step", lambda self, *a, **k: steps.append(1) or step(self, *a, **k))
    return steps


@pytest.fixture(scope="module")
def undisturbed(fit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return {
        name: fit(folder / name, **RUN, **options)
        for name, options in (("full", {}), ("lora", {"lora_rank": 2}), ("accumulated", {"accumulation": 2}))
    }


def same(one, other, parameters):
    np.testing.assert_allclose(one.losses, other.losses, atol=1e-6, rtol=0)
    first, second = parameters(one), parameters(other)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-6, rtol=0)
    assert one.reward.manifest.offset == pytest.approx(other.reward.manifest.offset, abs=1e-6)


OPTIONS = {"full": {}, "lora": {"lora_rank": 2}, "accumulated": {"accumulation": 2}}


@pytest.mark.parametrize("kind", list(OPTIONS))
@pytest.mark.parametrize("at", [1, 5])
def test_killed_and_resumed_equals_never_killed(kind, at, fit, undisturbed, parameters, logged, tmp_path, monkeypatch):
    killed_at(at, fit, tmp_path, **RUN, **OPTIONS[kind])
    assert not (tmp_path / "model").exists()
    steps = steps_run(monkeypatch)
    resumed = fit(tmp_path, **RUN, **OPTIONS[kind])
    total = 12 if kind != "accumulated" else 6
    assert len(steps) == (12 if at == 1 else (total - 4) * 12 // total)  # from the checkpoint at step 4, or the start
    same(resumed, undisturbed[kind], parameters)
    assert [r["step"] for r in logged(tmp_path) if "loss" in r] == list(range(1, total + 1))
    assert not (tmp_path / "checkpoints").exists()


def interrupted(fit, out, at=7, **options):
    killed_at(at, fit, out, **(RUN | options))
    return out / "checkpoints"


def torn_in(how, checkpoint):
    weights = checkpoint / "model.safetensors"
    if how == "unsealed":
        (checkpoint / "complete.json").unlink()
    elif how == "torn seal":
        (checkpoint / "complete.json").write_text('{"key": "')
    elif how == "seal of another kind":
        (checkpoint / "complete.json").write_text("[]")
    elif how == "missing weights":
        weights.unlink()
    elif how == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "flipped bit":
        data = bytearray(weights.read_bytes())
        data[-5] ^= 1
        weights.write_bytes(data)
    elif how == "truncated optimiser":
        (checkpoint / "optimizer.pt").write_bytes(b"")
    elif how == "empty state":
        (checkpoint / "trainer_state.json").write_text("")


TEARS = [
    "unsealed", "torn seal", "seal of another kind", "missing weights", "truncated weights", "flipped bit",
    "truncated optimiser", "empty state",
]  # fmt: skip


@pytest.fixture(scope="module")
def halfway(fit, tmp_path_factory):
    """A run that was killed after step 7: checkpoints at 4 and 6."""
    out = tmp_path_factory.mktemp("halfway")
    folder = interrupted(fit, out)
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    return out


@pytest.mark.parametrize("how", TEARS)
def test_a_torn_checkpoint_is_never_resumed_from(how, halfway, tmp_path):
    shutil.copytree(halfway, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    key = json.loads((folder / "checkpoint-6" / "complete.json").read_text())["key"]
    assert newest_complete(folder, key=key).name == "checkpoint-6"
    torn_in(how, folder / "checkpoint-6")
    assert newest_complete(folder, key=key).name == "checkpoint-4"
    assert not (folder / "checkpoint-6").exists()  # else the trainer's rotation would count it and drop a whole one
    torn_in(how, folder / "checkpoint-4")
    assert newest_complete(folder, key=key) is None


@pytest.mark.parametrize(("torn", "left"), [([6], 8), ([4, 6], 12)])
def test_a_run_goes_on_from_what_is_whole(torn, left, halfway, fit, undisturbed, parameters, tmp_path, monkeypatch):
    shutil.copytree(halfway, tmp_path / "run")
    for step in torn:
        torn_in("truncated weights", tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")
    steps = steps_run(monkeypatch)
    resumed = fit(tmp_path / "run", **RUN)
    assert len(steps) == left
    same(resumed, undisturbed["full"], parameters)


def test_a_run_that_goes_on_says_from_where(halfway, fit, tmp_path):
    labels = []

    def progress(label, **options):
        labels.append(label)
        return Progress(label, quiet=True, **options)

    shutil.copytree(halfway, tmp_path / "run")
    for folder in ("run", "new"):
        fit(tmp_path / folder, progress=progress, **RUN)
    assert labels == ["training, on from step 6", "training"]


def test_another_configuration_starts_afresh(halfway, fit, tmp_path, monkeypatch, small):
    for i, change in enumerate(({"learning_rate": 2e-3}, {"seed": 1}, {"label_smoothing": 0.1})):
        shutil.copytree(halfway, tmp_path / str(i))
        steps = steps_run(monkeypatch)
        fit(tmp_path / str(i), **(RUN | change))
        assert len(steps) == 12
        monkeypatch.undo()


def test_other_data_starts_afresh(fit, pairs, ranked, tmp_path, monkeypatch):
    rows = pairs(12)
    changed = [*rows[:-1], type(rows[0])(rows[-1].prompt, rows[-1].chosen, "another one")]
    lists = ranked(12)
    turned = [Ranked(r.prompt, r.completions, tuple(-s for s in r.scores)) for r in lists]  # the same texts
    for i, (before, after) in enumerate(((rows, changed), (rows, rows[::-1]), (lists, turned))):
        interrupted(fit, tmp_path / str(i), rows=before)
        with monkeypatch.context() as patch:
            steps = steps_run(patch)
            fit(tmp_path / str(i), after, **RUN)
        assert len(steps) == 12


def test_seals(tmp_path):
    folder = tmp_path / "checkpoint-3"
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_text("one")
    (folder / "inner" / "b").write_text("two")
    assert not is_complete(folder, key="k")
    seal(folder, key="k")
    assert is_complete(folder, key="k")
    assert not is_complete(folder, key="other")
    (folder / "inner" / "b").write_text("too")
    assert not is_complete(folder, key="k")
    seal(folder, key="k")  # sealing again does not count the old seal
    assert is_complete(folder, key="k")
    assert newest_complete(tmp_path / "nowhere", key="k") is None


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
import conftest
conftest._fit(__import__("pathlib").Path(sys.argv[1]), epochs=200.0, batch_size=2, save_steps=2, learning_rate=3e-4)
"""


@pytest.mark.slow
def test_sigkill_loses_nothing(fit, launched, tmp_path):
    """The process is killed at whatever it was doing, twice; the end is that of a run that nobody disturbed."""
    run, script = tmp_path / "killed", tmp_path / "child.py"
    script.write_text(CHILD)
    for wanted in (2, 8):

        def far_enough(wanted=wanted):
            steps = [int(p.parent.name.rpartition("-")[2]) for p in run.glob("checkpoints/checkpoint-*/complete.json")]
            return max(steps, default=0) >= wanted

        launched.killed(script, run, Path(__file__).parent, when=far_enough)
    key = json.loads(next(run.glob("checkpoints/checkpoint-*/complete.json")).read_text())["key"]
    kept = newest_complete(run / "checkpoints", key=key)
    assert kept is not None
    reached = int(kept.name.rpartition("-")[2])
    assert reached >= 8
    # to the end it would take 1,200 steps: what a resumed run has behind it is compared with an undisturbed one's
    state = json.loads((kept / "trainer_state.json").read_text())
    killed = [row["loss"] for row in state["log_history"] if "loss" in row]
    killed_at(reached + 1, fit, tmp_path / "whole", epochs=200.0, batch_size=2, save_steps=2, learning_rate=3e-4)
    whole = tmp_path / "whole" / "checkpoints" / kept.name
    state = json.loads((whole / "trainer_state.json").read_text())
    np.testing.assert_allclose(killed, [r["loss"] for r in state["log_history"] if "loss" in r], atol=1e-6, rtol=0)
    one, other = load_file(kept / "model.safetensors"), load_file(whole / "model.safetensors")
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("every", "at", "begun"), [(4, 10, ["1"]), (5, 14, ["1", "2"])])
def test_killed_in_an_epoch_from_easy_to_hard_goes_on_in_it(every, at, begun, fit, parameters, tmp_path):
    run = RUN | {"epochs": 3.0, "save_steps": every, "objective": "cotraining?easy_first=true&noise=0"}
    # six steps an epoch: the newest checkpoint, 8 or 10, lies inside of one; at 14 the next one has begun as well
    undisturbed = fit(tmp_path / "whole", **run)
    killed_at(at, fit, tmp_path / "killed", **run)
    kept = json.loads((tmp_path / "killed" / "checkpoints" / "order.json").read_text())
    assert list(kept["orders"]) == begun
    assert all(sorted(order) == list(range(12)) for order in kept["orders"].values())
    same(fit(tmp_path / "killed", **run), undisturbed, parameters)
