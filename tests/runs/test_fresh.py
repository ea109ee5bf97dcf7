import pytest

from plaudit.runs.fresh import vacating


def fill(folder, files, error):
    with vacating(folder):
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        raise error


def failing(folder, *files):
    with pytest.raises(ValueError, match="bad input"):
        fill(folder, files, ValueError("bad input"))


def test_a_new_folder_without_work_goes_with_the_parents_that_were_new(tmp_path):
    failing(tmp_path / "a" / "b", ".lock", "stages/data/started.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("work", ["stages/data/done.json", "checkpoints/checkpoint-2/complete.json", "scores.log"])
def test_work_is_kept(tmp_path, work):
    failing(tmp_path / "a", work)
    assert (tmp_path / "a" / work).is_file()


def test_what_was_there_before_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    failing(tmp_path / "a", "new.txt")
    assert (tmp_path / "a" / "new.txt").is_file()


def test_an_interruption_is_no_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "a", ["x"], KeyboardInterrupt())
    assert (tmp_path / "a").is_dir()


def test_success_leaves_the_folder(tmp_path):
    with vacating(tmp_path / "a"):
        (tmp_path / "a").mkdir()
    assert (tmp_path / "a").is_dir()
