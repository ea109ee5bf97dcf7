"""From a reference to a reward: the one registry, for exactly this.

A reference is a model folder or hub id, a built-in with options (`rule/length?target=200`), `module.py:function`,
or YAML (a file, or a mapping) with one key, the name, over its options.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from plaudit._lazy import attribute
from plaudit._queries import options_in
from plaudit.errors import InputError, MissingError, nearest
from plaudit.rewards.base import Comparison, Reward
from plaudit.rewards.builtin import BUILTIN, Entry
from plaudit.rewards.folders import of_run


@cache
def catalog() -> dict[str, Entry]:
    """Built-in rewards and those of installed plug-ins (entry-point group `plaudit.rewards`), by name."""
    found = dict(BUILTIN)
    for point in entry_points(group="plaudit.rewards"):
        found.setdefault(point.name, Entry(point.value, f"plug-in {point.value}"))
    return found


def load(reference: str | Path | Mapping[str, Any]) -> Reward:
    """The reward that a reference names.

    Raises:
        MissingError, InputError: where it names nothing that can be used; unknown names list the nearest ones.
        InputError: if it names a comparison.
    """
    found = resolve(reference)
    if isinstance(found, Reward):
        return found
    raise InputError(
        f"{reference}: is a comparison of two samples, and a reward of one is needed; "
        "turn it into one with shape/win-rate"
    )


def resolve(reference: str | Path | Mapping[str, Any]) -> Reward | Comparison:
    """As `load`, for comparisons too."""
    if isinstance(reference, Mapping):
        return _from_mapping(reference)
    text = str(reference)
    name, _, query = text.partition("?")
    if name in catalog():
        return make(name, dict(options_in(query)))
    path, colon, attribute = text.rpartition(":")
    if colon and path.endswith(".py"):
        from plaudit.rewards.functions import from_file

        return from_file(path, attribute)
    if text.endswith((".yaml", ".yml")):
        return _from_yaml(Path(text))
    if Path(text).exists() or (text.count("/") == 1 and not _looks_builtin(name)):
        return open_model(text)
    raise MissingError(f"{text}: neither a path that exists nor a known reward; {nearest(name, catalog())}")


def make(name: str, options: Mapping[str, Any]) -> Reward | Comparison:
    """A catalogued reward with its options; texts are read as the type that the option's default has."""
    factory = attribute(catalog()[name].path)
    parameters = inspect.signature(factory).parameters
    typed = {}
    for key, value in options.items():
        if key not in parameters:
            raise InputError(f"{name}: unknown option {key!r}; {nearest(key, parameters)}")
        typed[key] = _typed(f"{name}: {key}", value, parameters[key])
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in typed:
            raise InputError(f"{name}: needs the option {key!r}; give it as {name}?{key}=... or in a mapping")
    made: Reward | Comparison = factory(**typed)
    return made


def open_model(path: str, calibrated: bool = True) -> Reward | Comparison:
    """A model folder or hub id by the reader that its manifest names; a comparison if its head compares.

    A folder that holds a network over features (`plaudit train --feature`) is that one.

    Args:
        path: folder of a model or of its run, or a hub id.
        calibrated: whether the folder's calibration is read; without it margins mean what the model says they mean.
    """
    from plaudit.rewards.manifest import Manifest

    folder = Path(path)
    features = _features_in(folder)
    if features is not None:
        return features
    if folder.is_dir():
        folder = of_run(folder)
        path = str(folder)
    manifest = Manifest.read(folder) if folder.is_dir() else None
    if manifest is not None and manifest.reader == "pooled":
        from plaudit.rewards.pooled import PooledReward

        return PooledReward.load(path, calibrated=calibrated)
    if manifest is not None and manifest.reader == "likelihood":
        from plaudit.rewards.likelihood.saved import load_likelihood

        return load_likelihood(path, calibrated=calibrated)
    from plaudit.rewards.models import ModelReward
    from plaudit.rewards.preferences import PreferenceModel

    model = ModelReward.load(path, calibrated=calibrated)
    return PreferenceModel(model) if model.head.compares else model


def _features_in(folder: Path) -> Reward | None:
    """The network over named features that a folder or its run's model holds, or None."""
    from plaudit.rewards.features import FILE, FeatureReward

    for place in (folder, folder / "model"):
        if (place / FILE).is_file() and not (place / "config.json").exists():
            return FeatureReward.load(place)
    return None


def _from_mapping(row: Mapping[str, Any]) -> Reward | Comparison:
    if len(row) != 1:
        raise InputError(f"reward: a mapping needs one key, the reward's name; got {sorted(row)}")
    ((name, options),) = row.items()
    if name not in catalog():
        raise InputError(f"reward: {name!r} is not known; {nearest(name, catalog())}")
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"{name}: options are {options!r}; give a mapping of option to value")
    return make(name, options or {})


def _from_yaml(path: Path) -> Reward | Comparison:
    import yaml

    if not path.is_file():
        raise MissingError(f"{path}: no such file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({str(error).splitlines()[0]})") from error
    if isinstance(content, str):
        return resolve(content)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds {type(content).__name__}; give one key, the reward's name, over its options")
    return _from_mapping(content)


def _looks_builtin(name: str) -> bool:
    return name.split("/")[0] in {known.split("/")[0] for known in catalog() if "/" in known} | {
        "verify", "rule", "shape", "combine", "judge",
    }  # fmt: skip


_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_SAID = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WRITTEN: dict[str, type] = {"str": str, "<class 'str'>": str, "float | None": float, "int | None": int,
                               "bool | None": bool}  # fmt: skip
"""Annotations that say what a text is to become, where no default does."""


def _typed(where: str, value: Any, parameter: inspect.Parameter) -> Any:
    """The value as the type that the option's default has; where that is none or None, as it is annotated."""
    undecided = parameter.default is parameter.empty or parameter.default is None
    kind = _WRITTEN.get(str(parameter.annotation)) if undecided else type(parameter.default)
    if kind not in _SAID or (value is None and parameter.default is None):
        return value
    try:
        if isinstance(value, str) and kind is not str:
            return _FLAGS[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError) as error:
        raise InputError(f"{where} is {value!r}; give {_SAID[kind]}") from error
    wider = (int, float) if kind is float else kind  # 1 is a fine float; True is no number
    if not isinstance(value, wider) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where} is {value!r}; give {_SAID[kind]}")
    return value
