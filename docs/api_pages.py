"""Writes docs/api: one page a room, with every public name of its `__init__.py`; then recipes.md's tables.

Run by `make docs`. A test looks for every public name in the pages, so that none is undocumented.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "plaudit"
PAGES = ROOT / "docs" / "api"


def public_names(init: Path) -> dict[str, str]:
    """Public name to the submodule that defines it, read from the call of `exports`; nothing is imported."""
    for node in ast.walk(ast.parse(init.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "exports":
            names: dict[str, str] = ast.literal_eval(node.args[1])
            return names
    return {}


def rooms() -> dict[str, dict[str, str]]:
    """Package (dotted, without `plaudit.`) to its public names; packages without any are left out."""
    found = {}
    for init in sorted(SOURCE.rglob("__init__.py")):
        package = ".".join(init.parent.relative_to(SOURCE).parts)
        names = public_names(init)
        if names and package:
            found[package] = names
    return found


def page(package: str, names: dict[str, str]) -> str:
    """The Markdown of one room: a directive for each public name, by module."""
    doc = ast.get_docstring(ast.parse((SOURCE / Path(*package.split(".")) / "__init__.py").read_text(encoding="utf-8")))
    lines = [f"# plaudit.{package}", "", doc or "", ""]
    for name, module in names.items():
        lines += [f"::: plaudit.{package}.{module}.{name}"]
        if (SOURCE / Path(*package.split("."), *module.split(".")[:-1]) / "__init__.py").is_file() and "." in module:
            # the page of the sub-room that defines it has the anchor; two would make links ambiguous
            lines += ["    options:", "      skip_local_inventory: true"]
        lines += [""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name to contents, for every room and the index."""
    found = {f"{package}.md": page(package, names) for package, names in rooms().items()}
    listed = [f"- [plaudit.{package}]({package}.md): {len(names)} names" for package, names in rooms().items()]
    index = [
        "# The API, room by room",
        "",
        "In the order of the alphabet; public names only.",
        "",
        *listed,
        "",
    ]
    return {"index.md": "\n".join(index), **found}


def main() -> None:
    """Writes the pages, and takes away those of rooms that are gone."""
    PAGES.mkdir(exist_ok=True)
    wanted = pages()
    for old in PAGES.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    for name, words in wanted.items():
        (PAGES / name).write_text(words, encoding="utf-8")


if __name__ == "__main__":
    from recipe_tables import main as write_recipe_tables

    main()
    write_recipe_tables()
