"""A recipe says what its schema allows, and everything that the schema allows has an effect."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
import yaml

from plaudit.cli.options import field_docs
from plaudit.errors import InputError, MissingError
from plaudit.recipes.loading import load_recipe, parse_recipe, to_yaml
from plaudit.recipes.running import with_settings
from plaudit.recipes.schema import (
    AuditSpec,
    BaselineSpec,
    DataSpec,
    EvaluateSpec,
    Recipe,
    ReportSpec,
    SelectSpec,
    WorldSpec,
)
from plaudit.training.config import Backbone, FitConfig

SHIPPED = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def write(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"name": "a", "trian": {}}, "unknown key 'trian'; did you mean 'train'"),
        (
            {"name": "a", "train": {"learning_rte": 1}},
            "unknown key 'train.learning_rte'; did you mean 'learning_rate'",
        ),
        ({"name": "a", "train": {"epochs": "many"}}, "train.epochs is 'many'; give a number"),
        ({"name": "a", "train": {"batch_size": 1.5}}, "train.batch_size is 1.5; give a whole number"),
        ({"name": "a", "train": {"freeze": 1}}, "train.freeze is 1; give true or false"),
        ({"name": "a", "train": {"batch_size": True}}, "train.batch_size is True; give a whole number"),
        ({"name": "a", "train": {"balance": "lenght"}}, "train.balance is 'lenght'; did you mean 'length'"),
        ({"name": "a", "train": 3}, "train is 3; give a mapping"),
        ({"name": "a", "data": {"train": 7}}, "data.train is 7; give a text"),
        ({"name": "a", "report": {"remedies": {"bias": 3}}}, "report.remedies.bias is 3; give a text"),
        ({"name": "a", "variants": {"b": 3}}, "variants.b is 3; give a mapping"),
        ({"name": "a", "data": {"world": {}, "train": "x"}}, "both a world and files are named"),
        ({"name": "a", "data": {}}, "neither train nor world is named"),
        ({"name": "a", "data": {"train": "x", "folds": 1}}, "data.folds is 1"),
        ({"name": "a", "data": {"train": "x", "limit": -1}}, "data.limit is -1"),
        ({"name": "a", "data": {"world": {"name": "moon"}}}, "the only world so far is 'assistant'"),
        (
            {"name": "a", "data": {"world": {"pool_completions": 3}}},
            "a quarter of data.world.pool_completions",
        ),
        (
            {"name": "a", "audit": {"features": ["lenght"]}},
            "audit.features has 'lenght'; did you mean 'length'",
        ),
        ({"name": "a", "select": {"ns": [4, 2]}}, "select.ns is [4, 2]; give rising numbers"),
        ({"name": "a", "evaluate": {"resamples": 0}}, "evaluate.resamples is 0"),
        ({"name": "../a"}, "name '../a': becomes a folder"),
        ({"data": {"train": "x"}}, "the recipe lacks name"),
    ],
)
def test_what_is_not_legal_is_named_with_the_fix(tree, says):
    with pytest.raises(InputError) as error:
        parse_recipe(tree, "my.yaml")
    assert says in str(error.value)
    assert str(error.value).startswith("my.yaml: ")
    assert str(error.value).count("my.yaml") == 1


def test_files_that_are_no_recipes(tmp_path):
    for text, says in (("", "is empty"), ("- a", "no mapping"), ("a: [", "not YAML")):
        with pytest.raises(InputError, match=says):
            load_recipe(write(tmp_path, text))
    (tmp_path / "r.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="not YAML"):
        load_recipe(tmp_path / "r.yaml")
    with pytest.raises(MissingError, match=r"no such recipe; .*did you mean 'demo'"):
        load_recipe("demmo")
    with pytest.raises(MissingError, match="no such recipe"):  # a shipped name in another folder is another recipe
        load_recipe(tmp_path / "other" / "demo.yaml")


def test_settings_are_read_as_yaml_on_top_of_the_file(tmp_path):
    path = write(tmp_path, "name: a\ndata: {world: {instance: 3}}\n")
    recipe = load_recipe(
        path,
        [
            "data.world=null",
            "data.train=x=1.jsonl",
            "train.l2=1e-3",
            "train.freeze=true",
            "evaluate.subsets=[a, b]",
            "title=two words",
        ],
    )
    assert (recipe.data.world, recipe.data.train) == (None, "x=1.jsonl")
    assert (recipe.train.l2, recipe.train.freeze) == (0.001, True)
    assert (recipe.evaluate.subsets, recipe.title) == (("a", "b"), "two words")
    for bad, says in (
        ("train", "expected key.sub=value"),
        ("=3", "expected key.sub=value"),
        ("name.x=3", "name holds 'a', which has no keys"),
        ("train.epocs=3", "unknown key 'train.epocs'; did you mean 'epochs'"),
        ("train.epochs=[", "is not YAML"),
    ):
        with pytest.raises(InputError) as error:
            load_recipe(path, [bad])
        assert says in str(error.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_what_is_written_loads_to_the_same_recipe(path):
    recipe = load_recipe(path)
    written = to_yaml(recipe)
    assert parse_recipe(yaml.safe_load(written)) == recipe
    assert set(yaml.safe_load(written)["train"]) == {f.name for f in fields(FitConfig)}  # defaults included


def test_variants_are_the_recipe_with_some_keys_set():
    recipe = Recipe(
        "a",
        seed=5,
        data=DataSpec(train="x", folds=3),
        evaluate=EvaluateSpec(subsets=("k",)),
        variants={"b": {"model": {"width": 64}, "train.epochs": 2, "train": {"learning_rate": 1e-3}}},
    )
    made = with_settings(recipe, "b", recipe.variants["b"])
    expected = replace(
        recipe,
        name="a-b",
        variants={},
        model=Backbone(width=64),
        train=FitConfig(epochs=2.0, learning_rate=1e-3),
    )
    assert made == expected
    with pytest.raises(InputError, match=r"variant c: unknown key 'model.widht'"):
        with_settings(recipe, "c", {"model.widht": 3})


@pytest.mark.parametrize(
    "kind",
    [
        Recipe,
        DataSpec,
        WorldSpec,
        EvaluateSpec,
        AuditSpec,
        SelectSpec,
        ReportSpec,
        BaselineSpec,
        FitConfig,
        Backbone,
    ],
)
def test_every_key_is_documented(kind):
    assert is_dataclass(kind)
    assert not {f.name for f in fields(kind)} - set(field_docs(kind))


def test_a_threshold_of_the_verdict_is_checked_by_name():
    assert AuditSpec(thresholds={"bias": 0.4}).thresholds == {"bias": 0.4}
    with pytest.raises(InputError, match="thresholds: 'biass' is not known"):
        AuditSpec(thresholds={"biass": 0.4})
