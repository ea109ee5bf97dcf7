import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "plaudit"
PACKAGES = sorted(
    "plaudit." + ".".join(init.parent.relative_to(SOURCE).parts)
    for init in SOURCE.rglob("__init__.py")
    if init.parent != SOURCE and "exports(" in init.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_api_pages(package):
    page = ROOT / "docs" / "api" / f"{package.removeprefix('plaudit.')}.md"
    assert page.exists(), f"run `make docs`: {page.name} is missing"
    documented = {line.rpartition(".")[2] for line in page.read_text().splitlines() if line.startswith("::: ")}
    public = set(importlib.import_module(package).__all__)
    assert public == documented, f"run `make docs`: {page.name} differs in {sorted(public ^ documented)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_has_a_docstring(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert (value.__doc__ or "").strip(), f"{package}.{name} has no docstring"
