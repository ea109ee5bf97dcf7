import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from plaudit.recipes.schema import DataSpec, EvaluateSpec, Recipe, WorldSpec
from plaudit.training.config import Backbone, FitConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _section(name):
    """The lines of one section of the page, from its heading to the next one."""
    lines = (DOCS / "recipes.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(f"### {name}")
    rest = lines[start + 1 :]
    return rest[: next((i for i, line in enumerate(rest) if line.startswith("### ")), len(rest))]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("data", DataSpec),
        ("data.world", WorldSpec),
        ("model", Backbone),
        ("train", FitConfig),
        ("evaluate", EvaluateSpec),
    ],
)
def test_every_key_of_a_section_is_on_the_page(name, kind):
    rows = [line.split("|")[1].strip(" `") for line in _section(name) if line.startswith("| `")]
    wanted = [f.name for f in fields(kind) if not (kind is DataSpec and f.name == "world")]
    assert rows == wanted, "run `make docs`"


def test_the_page_has_a_section_for_every_part_of_a_recipe():
    parts = {f.name for f in fields(Recipe)} - {"name", "title", "seed", "variants"}
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert [p for p in sorted(parts) if f"### {p}\n" not in text] == []


def test_the_page_is_what_the_generator_writes():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import recipe_tables as t;"
        "text = t.PAGE.read_text(encoding='utf-8'); assert t.keys() in text, 'run `make docs`'"
    )
    done = subprocess.run([sys.executable, "-c", code, str(DOCS)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
