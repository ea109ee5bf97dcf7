"""What several rooms' tests share: a world with a policy of a few steps, a recipe, pairs and a model."""

import functools
import gc
import os
import sys
from dataclasses import asdict

import pytest
import yaml
from hypothesis import HealthCheck, settings

from small_data import TINY, pair_rows, write_rows

# how fast a busy machine draws examples is not what is tested
settings.register_profile("plaudit", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plaudit")

# as the command line sets it, but before any test has imported transformers, which reads it once
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

FROZEN = [0]
"""How many modules were imported when what there was was last left out of garbage collection."""


def pytest_runtest_setup(item):
    """Imported modules are no garbage: every training asks for a full collection, half a second with transformers.

    At every step accelerate looks for a package that is not there, through the import hooks of pytest and jaxtyping:
    two milliseconds. Here it looks once.
    """
    imports = sys.modules.get("accelerate.utils.imports")
    if imports is not None and not hasattr(imports._is_package_available, "cache_info"):
        imports._is_package_available = functools.cache(imports._is_package_available)
    if len(sys.modules) > FROZEN[0] + 200:
        gc.collect()
        gc.freeze()
        FROZEN[0] = len(sys.modules)


@pytest.fixture
def unchecked_shapes():
    """For tests that pass what the annotations forbid, to see the error that a user without a checker gets."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def world_cache(tmp_path_factory):
    """A cache in which instance 0 of the assistant world has a policy of a few steps instead of 750."""
    from plaudit.lab.worlds.assistant import PolicyConfig, prepare
    from plaudit.lab.worlds.assistant.prepared import CALIBRATION
    from plaudit.lab.worlds.assistant.world import VERSION
    from plaudit.records.sample import content_hash

    cache = tmp_path_factory.mktemp("cache")
    made = prepare(0, PolicyConfig(demonstrations=400, epochs=1.0), cache=cache)
    usual = content_hash(["assistant", VERSION, 0, asdict(PolicyConfig()), CALIBRATION])
    made.folder.rename(made.folder.parent / usual)
    return cache


@pytest.fixture(scope="session")
def launched():
    """`launched(script, *words, processes=2)`: see `small_processes`."""
    from small_processes import Launcher

    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture
def elsewhere(launched, tmp_path):
    """`elsewhere(code, *words)`: what code prints in a new process, which has not imported anything of Plaudit."""

    def printed(code, *words):
        script = tmp_path / "elsewhere.py"
        script.write_text(code)
        return launched(script, *words)

    return printed


@pytest.fixture
def tiny(world_cache, tmp_path, monkeypatch):
    """The path of a recipe that runs in seconds."""
    monkeypatch.setenv("PLAUDIT_CACHE", str(world_cache))
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def pairs_file(tmp_path):
    return write_rows(tmp_path / "pairs.jsonl", pair_rows(48))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A reward model from scratch on 48 pairs, as `plaudit train` saves it."""
    from plaudit.cli.main import main

    folder = tmp_path_factory.mktemp("trained")
    data = write_rows(folder / "pairs.jsonl", pair_rows(48))
    words = "--width 32 --layers 1 --heads 2 --vocabulary 300 --max-length 64 --learning-rate 1e-3 --epochs 4"
    assert main(["train", str(data), "--out", str(folder / "run"), *words.split()]) == 0
    return folder / "run" / "model"


@pytest.fixture(scope="session")
def arithmetic_policy(tmp_path_factory):
    """Folder of a policy of the arithmetic world, trained for seconds, for hosts that want a real model."""
    from plaudit.lab.worlds.arithmetic import PolicyConfig, start

    cache = tmp_path_factory.mktemp("arithmetic")
    start(1, PolicyConfig(width=32, demonstrations=300, epochs=1.0), cache=cache)
    (folder,) = (cache / "arithmetic").iterdir()
    return str(folder)
