"""The page's snippets run where what they import is installed; the others are at least Python."""

import ast
import contextlib
import importlib.util
import re
from pathlib import Path

import pytest

import plaudit.integrations
from plaudit.rewards.base import Outcome

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def missing(code):
    """The packages that a snippet needs and this environment lacks; what an adapter asks for included."""
    found = {n.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import) for n in node.names}
    found |= {node.module for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)}
    needs = {name if name.startswith("verifiers.") else name.partition(".")[0] for name in found}
    needs |= {"openrlhf"} if "as_agent_executor" in code else set()
    needs |= {"open_instruct"} if "as_verifier_class" in code else set()
    return sorted(name for name in needs if not there(name))


def there(name):
    """Whether a package can be imported; of one with the name of a folder of tests, whether its part can be."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(name) is not None
    return False


@pytest.mark.parametrize("code", SNIPPETS, ids=[str(i) for i in range(len(SNIPPETS))])
@pytest.mark.filterwarnings("ignore")
def test_snippets(code):
    compiled = compile(code, "docs/integrations.md", "exec")
    if absent := missing(code):
        pytest.skip(f"needs {', '.join(absent)}")
    if "..." in code:
        pytest.skip("leaves something to the reader")
    exec(compiled, {})


def test_the_page_names_every_adapter_and_every_outcome():
    public = set(plaudit.integrations.__all__) - {"LostRewardError"}
    assert {name for name in public if f"`{name}" not in PAGE} == set()
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    for outcome in Outcome:
        words = outcome.name.lower().replace("_", " ")
        assert any(row.startswith(f"| {words} |") for row in rows), f"the table of outcomes has no row {words!r}"
