import json
import shutil

import pytest

from plaudit.errors import InputError, PlauditError
from plaudit.runs import Stages


class Job:
    """Three stages: data -> train (writes model/) -> evaluate; counts how often each really ran."""

    def __init__(self, folder):
        self.folder, self.ran, self.lines = folder, [], []

    def __call__(self, *, rows=10, rate=0.1, fail=None):
        self.ran.clear()
        self.lines.clear()
        with Stages(self.folder, emit=self.lines.append) as stages:
            stages.run("data", self.data(rows), inputs={"rows": rows})
            stages.run("train", self.train(rate, fail), inputs={"rate": rate}, after=["data"], outputs=["model"])
            done = stages.run(
                "evaluate",
                self.evaluate,
                inputs={},
                after=["train"],
                headline=lambda v: f"accuracy {v['accuracy']}",
            )
            return done.value

    def data(self, rows):
        def call(folder):
            self.ran.append("data")
            (folder / "rows.txt").write_text("row\n" * rows)
            return {"rows": rows}

        return call

    def train(self, rate, fail):
        def call(folder):
            self.ran.append("train")
            with open(folder / "log.txt", "a") as log:
                log.write("step\n")
            if fail:
                raise fail
            (self.folder / "model").mkdir(exist_ok=True)
            (self.folder / "model" / "weights").write_text(str(rate))
            return {}

        return call

    def evaluate(self, folder):
        self.ran.append("evaluate")
        return {"accuracy": float((self.folder / "model" / "weights").read_text())}


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "run")


def test_finished_stages_are_skipped_and_their_values_are_there(job):
    assert job() == {"accuracy": 0.1}
    assert job.ran == ["data", "train", "evaluate"]
    assert job() == {"accuracy": 0.1}
    assert job.ran == []
    assert Stages(job.folder).result("data") == {"rows": 10}


def test_one_line_a_stage_with_its_figure(job):
    job()
    assert [line.split()[:2] for line in job.lines] == [["+", "data"], ["+", "train"], ["+", "evaluate"]]
    assert "accuracy 0.1" in job.lines[-1]
    job()
    assert all(line.startswith("- ") and line.endswith("finished before") for line in job.lines)
    assert "accuracy 0.1" in job.lines[-1]


def test_a_changed_input_runs_its_stage_and_all_that_depend_on_it(job):
    job()
    job(rate=0.2)
    assert job.ran == ["train", "evaluate"]
    assert "its inputs changed" in job.lines[1]
    job(rows=11, rate=0.2)
    assert job.ran == ["data", "train", "evaluate"]


@pytest.mark.parametrize("damage", ["edit", "remove", "remove folder"])
def test_a_damaged_output_is_noticed(job, damage):
    job()
    weights = job.folder / "model" / "weights"
    if damage == "edit":
        weights.write_text("9.9")
    elif damage == "remove":
        weights.unlink()
    else:
        shutil.rmtree(weights.parent)
    assert job() == {"accuracy": 0.1}
    assert "train" in job.ran
    assert any("model/weights is missing or was changed" in line for line in job.lines)


def test_an_unfinished_stage_finds_what_it_left_and_a_changed_one_does_not(job):
    log = job.folder / "stages" / "train" / "log.txt"
    with pytest.raises(KeyboardInterrupt):
        job(fail=KeyboardInterrupt())
    assert log.read_text() == "step\n"
    job()
    assert job.ran == ["train", "evaluate"]
    assert log.read_text() == "step\nstep\n"  # went on in the same folder
    job(rate=0.3)
    assert log.read_text() == "step\n"  # another input starts clean


def test_outputs_of_another_input_do_not_stay(job):
    job()
    (job.folder / "model" / "old").write_text("from before")
    job(rate=0.5)
    assert not (job.folder / "model" / "old").exists()


def test_a_torn_done_file_does_not_count(job):
    job()
    done = job.folder / "stages" / "data" / "done.json"
    done.write_text(done.read_text()[:40])
    job()
    assert job.ran == ["data"]  # the same rows again, so what depends on them stays


def test_done_is_written_last_and_lists_the_outputs(job):
    job()
    done = json.loads((job.folder / "stages" / "train" / "done.json").read_text())
    assert set(done["outputs"]) == {"stages/train/log.txt", "model/weights"}


def test_an_output_that_was_not_written_is_an_error(tmp_path):
    with (
        Stages(tmp_path, emit=None) as stages,
        pytest.raises(InputError, match="ended without writing its output m"),
    ):
        stages.run("a", lambda folder: {}, inputs={}, outputs=["m"])
    assert not (tmp_path / "stages" / "a" / "done.json").exists()


def test_order_and_names_are_checked(tmp_path):
    with Stages(tmp_path, emit=None) as stages:
        with pytest.raises(InputError, match="comes after data, which has not been run"):
            stages.run("train", lambda folder: {}, inputs={}, after=["data"])
        with pytest.raises(InputError, match="letters, digits"):
            stages.run("../x", lambda folder: {}, inputs={})
        with pytest.raises(InputError, match="not finished"):
            stages.result("nothing")


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with Stages(tmp_path), pytest.raises(PlauditError, match="another process is at work in it"):
        Stages(tmp_path)
    Stages(tmp_path).close()


def test_what_a_kill_left_of_an_atomic_write_is_swept(tmp_path):
    torn = tmp_path / ".model.abc.tmp"
    torn.mkdir()
    (torn / "model.safetensors").write_text("half")
    (tmp_path / "stages" / "data").mkdir(parents=True)
    (tmp_path / "stages" / "data" / ".done.json.x.tmp").write_text("{")
    (tmp_path / "kept.tmp").write_text("the user's own")
    with Stages(tmp_path, emit=None):
        assert sorted(p.name for p in tmp_path.rglob("*tmp")) == ["kept.tmp"]
