"""An audit's recipe: what the command line of `plaudit audit` can say, as YAML, and thresholds."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from plaudit.audit.config import AuditConfig
from plaudit.errors import InputError, MissingError
from plaudit.recipes.loading import build

FILES = ("truth", "candidates", "against", "out", "json", "junit", "log", "skip_broken")
"""Keys that stand for the option of their name, where that is not given."""


@dataclass(frozen=True)
class AuditRecipe(AuditConfig):
    """How an audit is made, and what it reads and writes beside pairs and reward. Paths start at the working folder."""

    truth: str = ""
    """A reward that is trusted to know better."""

    candidates: str = ""
    """Samples, many of each prompt, that the reward selects among."""

    against: str = ""
    """A stored audit.json: the baseline."""

    out: str = ""
    """Folder for audit.html and audit.json."""

    json: str = ""
    """File for the numbers."""

    junit: str = ""
    """File for the checks as JUnit XML."""

    log: str = ""
    """Durable log of rewards."""

    skip_broken: str = ""
    """File for broken rows, instead of stopping at the first."""

    no_texts: bool = False
    """Leave the texts of the examples out of everything that is written."""

    def config(self) -> AuditConfig:
        """The part that the audit itself is told."""
        return AuditConfig(**{f.name: getattr(self, f.name) for f in fields(AuditConfig)})


def with_recipe(args: argparse.Namespace) -> tuple[argparse.Namespace, AuditConfig]:
    """The options with the recipe's in place of those that are not given, and the audit's configuration.

    Args:
        args: of `plaudit audit` on pairs; what is given there comes before the recipe.

    Raises:
        MissingError: if the recipe is not there.
        InputError: if it is no YAML, or a key or a value of it is none.
    """
    recipe = read_recipe(args.recipe) if args.recipe else AuditRecipe()
    given: dict[str, Any] = {
        "groups": tuple(args.group), "fail_on": tuple(args.fail_on), "skip": tuple(args.skip),
        "stratum": args.stratum, "prompts": args.prompts, "search_budget": args.search_budget, "seed": args.seed,
    }  # fmt: skip
    config = replace(recipe.config(), **{k: v for k, v in given.items() if v is not None and v != ()})
    files = {k: getattr(recipe, k) or None for k in FILES if getattr(args, k) is None}
    options = {**vars(args), **files, "no_texts": args.no_texts or recipe.no_texts}
    return argparse.Namespace(**options), config


def read_recipe(path: str | Path) -> AuditRecipe:
    """The recipe in a YAML file.

    Args:
        path: of the file.

    Raises:
        MissingError: if it is not there.
        InputError: if it is no YAML, or a key or a value of it is none.
    """
    import yaml

    file = Path(path)
    if not file.is_file():
        raise MissingError(f"--recipe: {file} is not there; give a YAML file such as `fail_on: [red]`")
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    recipe: AuditRecipe = build(AuditRecipe, tree, "", str(file))
    return recipe
