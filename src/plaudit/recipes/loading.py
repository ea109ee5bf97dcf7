"""Reading a recipe: YAML, `--set` on top, every key checked against the schema."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union

import yaml

from plaudit.errors import InputError, MissingError, nearest
from plaudit.recipes.schema import Recipe

_SHIPPED = (Path(__file__).parent / "shipped", Path(__file__).parents[3] / "recipes")
"""Where the wheel keeps the shipped recipes, and where a checkout does."""


def load_recipe(path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe of a file (or the name of a shipped one), with settings applied.

    Args:
        path: a YAML file, or a shipped recipe by name (`demo`, `recipes/demo.yaml`).
        settings: `key.sub=value`, the value read as YAML.

    Raises:
        MissingError: if there is no such recipe.
        InputError: naming the key, its value and what is legal.
    """
    return parse_recipe(read_tree(path, settings), str(path))


def read_tree(path: str | Path, settings: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe's YAML as nested mappings, with settings applied, not yet checked against the schema."""
    file = find_recipe(path)
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{file}: is empty or no mapping; a recipe has keys such as name, data, model, train")
    for setting in settings:
        apply_setting(tree, setting)
    data = tree.get("data")
    if isinstance(data, dict) and any(s.startswith("data.train=") for s in settings):
        data["world"] = None  # files that the user names take the place of the recipe's world
    return tree


def parse_recipe(tree: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Nested mappings as a checked recipe."""
    recipe: Recipe = build(Recipe, tree, "", where)
    return recipe


def find_recipe(path: str | Path) -> Path:
    """The file of a recipe: as it is named, else the shipped one of that name."""
    given = Path(path)
    if given.is_file():
        return given
    shipped = [p for folder in _SHIPPED for p in folder.glob("*.yaml")]
    # only `demo` and `recipes/demo.yaml` mean the shipped one: another folder's demo.yaml is another recipe
    if given.parent in (Path("."), Path("recipes")):
        for file in shipped:
            if file.name == (given.name if given.suffix else f"{given.name}.yaml"):
                return file
    hint = nearest(given.stem, {p.stem for p in shipped})
    raise MissingError(f"{path}: no such recipe; give a YAML file or a shipped name: {hint}")


def apply_setting(tree: dict[str, Any], setting: str) -> None:
    """Sets one value of a tree in place.

    Args:
        tree: nested mappings.
        setting: `key.sub=value`.

    Raises:
        InputError: if there is no `=`, or a key on the way holds a value and no mapping.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise InputError(f"--set {setting}: expected key.sub=value, for example --set data.train=a.jsonl")
    *path, last = key.split(".")
    at = tree
    for name in path:
        child = at.setdefault(name, {})
        if child is None:
            child = at[name] = {}
        if not isinstance(child, dict):
            raise InputError(f"--set {setting}: {name} holds {child!r}, which has no keys of its own")
        at = child
    try:
        at[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {setting}: the value is not YAML; quote it") from error


def build(kind: Any, value: Any, at: str, where: str) -> Any:
    """A value of the schema: dataclasses from mappings, numbers and texts checked.

    Args:
        kind: the type that the schema names.
        value: what stands in the tree.
        at: dotted path, for messages.
        where: file, for messages.
    """
    if is_dataclass(kind):
        return _dataclass(kind, value, at, where)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        return build(next(k for k in inner if k is not NoneType), value, at, where)
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [] if value is None else [value]
        return tuple(build(inner[0], v, at, where) for v in items)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: {at} is {value!r}; give a mapping")
        return {str(k): build(inner[1], v, f"{at}.{k}", where) for k, v in value.items()}
    return _scalar(kind, value, at, where)


def _dataclass(kind: Any, value: Any, at: str, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: {at or 'the recipe'} is {value!r}; give a mapping")
    hints = typing.get_type_hints(kind)
    known = {f.name for f in fields(kind)}
    given = {}
    for key, inner in value.items():
        path = f"{at}.{key}" if at else str(key)
        if key not in known:
            raise InputError(f"{where}: unknown key {path!r}; {nearest(str(key), known)}")
        given[key] = build(hints[key], inner, path, where)
    try:
        return kind(**given)
    except TypeError as error:
        missing = [f.name for f in fields(kind) if f.name not in given and "required" in str(error)]
        raise InputError(f"{where}: {at or 'the recipe'} lacks {', '.join(missing[:1]) or error}") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _scalar(kind: Any, value: Any, at: str, where: str) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        legal = typing.get_args(kind)
        if value not in legal:
            raise InputError(f"{where}: {at} is {value!r}; {nearest(str(value), map(str, legal))}")
        return value
    if kind is Any:
        return value
    if kind is str and value is None:
        return ""
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:  # YAML 1.1 reads 1e-3 as a text
            return float(value)
        except ValueError as error:
            raise InputError(f"{where}: {at} is {value!r}; give a number") from error
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {int: "a whole number", str: "a text", bool: "true or false"}
        raise InputError(f"{where}: {at} is {value!r}; give {names.get(kind, kind.__name__)}")
    return value


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML."""
    text: str = yaml.safe_dump(_plain(asdict(recipe)), sort_keys=False, allow_unicode=True, width=110)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
