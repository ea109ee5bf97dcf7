"""Tests as a fixed list of units, each of which passes or fails on its own.

A unit is a statement that holds an `assert`, at the top of the tests or of the body of `check`; a function named
`test_...`; or a method of that name in a class named `Test...`. Where no statement asserts, calls are units, since
they may assert elsewhere. How many units there are is known before anything runs, so no candidate can change it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
RECORD, ERROR, _CAUGHT = "__plaudit_record__", "__plaudit_error__", "_plaudit_caught"
CONSTRUCTORS = frozenset("set list tuple dict frozenset int float str bool range complex bytes".split())


class Units:
    """Tests made ready to run.

    Args:
        source: the tests' text.
        check: name of the function that is given the candidate; empty where the tests call it themselves.

    Attributes:
        tree: the tests with every unit wrapped so that its end is recorded.
        functions: test functions and methods, to be called after the rest, each with its unit's number.
        free: names that are read somewhere and not bound at the top level; builtins, and locals, are among them.
        modules: names that are only ever looked into, as `math` in `math.isclose`.

    Raises:
        SyntaxError: if the text is not Python.
        ValueError: if it holds no tests.
    """

    def __init__(self, source: str, check: str = "") -> None:
        self.source, self.tree = source, ast.parse(source)
        names = _Names()
        for node in self.tree.body:
            names.look(node, top=True)
        self.free = frozenset(names.read - names.bound)
        self.modules = frozenset(names.looked_into - names.used)
        self.functions: list[tuple[int, str, str]] = []
        self._nodes: list[ast.AST | str] = []
        self.first: ast.AST | None = None
        if check:
            self._wrap_check(check)
        else:
            self._wrap_module()
        if not self._nodes:
            raise ValueError("no tests")

    def __len__(self) -> int:
        return len(self._nodes)

    def label(self, number: int) -> str:
        """What a unit says, in one line."""
        node = self._nodes[number]
        text = node if isinstance(node, str) else ast.get_source_segment(self.source, node) or ""
        return " ".join(text.split())[:160]

    def _wrap_check(self, name: str) -> None:
        found = [n for n in self.tree.body if isinstance(n, _FUNCTIONS) and n.name == name]
        if not found:
            raise ValueError(f"no function {name!r}")
        found[-1].body = self._wrap(found[-1].body)

    def _wrap_module(self) -> None:
        body = self.tree.body
        for node in body:
            if isinstance(node, _FUNCTIONS) and node.name.startswith("test"):
                self._function(node, "", node.name)
            elif isinstance(node, ast.ClassDef) and (node.name.startswith("Test") or _is_case(node)):
                for method in node.body:
                    if isinstance(method, _FUNCTIONS) and method.name.startswith("test"):
                        self._function(method, node.name, method.name)
        if not self.functions or any(_asserts(n) for n in body):
            self.tree.body = self._wrap(body)

    def _function(self, node: ast.AST, holder: str, name: str) -> None:
        self.functions.append((len(self._nodes), holder, name))
        self._nodes.append(f"{holder}.{name}" if holder else name)
        self.first = self.first or node

    def _wrap(self, body: list[ast.stmt]) -> list[ast.stmt]:
        wanted = [_asserts(n) for n in body]
        if not any(wanted):
            wanted = [isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) for n in body]
        return [self._unit(n) if w else n for n, w in zip(body, wanted, strict=True)]

    def _unit(self, node: ast.stmt) -> ast.stmt:
        """`try: node` that records the exception, or None."""
        number = len(self._nodes)
        self._nodes.append(node)
        self.first = self.first or node
        where: dict[str, Any] = {"lineno": node.lineno, "col_offset": node.col_offset}

        def name(text: str) -> ast.Name:
            return ast.Name(text, ast.Load(), **where)

        def recorded(error: ast.expr) -> ast.stmt:
            call = ast.Call(name(RECORD), [ast.Constant(number, **where), error], [], **where)
            return ast.Expr(call, **where)

        caught = ast.ExceptHandler(name(ERROR), _CAUGHT, [recorded(name(_CAUGHT))], **where)
        return ast.Try([node], [caught], [recorded(ast.Constant(None, **where))], [], **where)

    def shadowing(self, defined: Iterable[str], builtin: frozenset[str]) -> str | None:
        """The builtin's name that the tests mean the candidate by, where they name nothing else of its.

        `assert sum(10, 15) == 25` may test a function called `sum`. One name at most, of the innermost call of
        the first unit: were all taken, a candidate could bring an `abs` that always says 0.
        """
        names = set(defined)
        calls = [n.func.id for n in ast.walk(self.first or self.tree)
                 if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and not _inner_calls(n)]  # fmt: skip
        fitting = [n for n in calls if n in names and n in builtin]
        better = [n for n in fitting if n not in CONSTRUCTORS]
        return next(iter([*better, *fitting]), None)


class _Names:
    """Names of a program: read anywhere, bound at the top level, looked into (`x.y`), used in any other way."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self.bound: set[str] = set()
        self.looked_into: set[str] = set()
        self.used: set[str] = set()

    def look(self, node: ast.AST, *, top: bool) -> None:
        """Goes through a tree; `top` where a binding is one of the top level."""
        waiting: list[tuple[Any, bool]] = [(node, top)]
        while waiting:
            node, top = waiting.pop()
            if isinstance(node, ast.Name):
                self._name(node, top)
                continue
            inner = top
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                if top:
                    self.bound.add(node.name)
                inner = False
            elif isinstance(node, ast.Import | ast.ImportFrom) and top:
                self.bound |= {a.asname or a.name.partition(".")[0] for a in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                self.looked_into.add(node.value.id)
                self.read.add(node.value.id)
                continue
            elif isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                inner = False
            waiting += [(child, inner) for child in ast.iter_child_nodes(node)]

    def _name(self, node: ast.Name, top: bool) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read.add(node.id)
            self.used.add(node.id)
        elif top:
            self.bound.add(node.id)


def _inner_calls(node: ast.Call) -> bool:
    inside = (n for a in (*node.args, *(k.value for k in node.keywords)) for n in ast.walk(a))
    return any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id not in CONSTRUCTORS
               for n in inside)  # fmt: skip


def _is_case(node: ast.ClassDef) -> bool:
    return any("TestCase" in ast.unparse(base) for base in node.bases)


def _asserts(node: ast.AST) -> bool:
    """Whether a statement asserts when it is executed: what it merely defines does not count."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case) and not isinstance(
            node, (*_FUNCTIONS, ast.ClassDef)
        ):
            waiting += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr)]
    return False
