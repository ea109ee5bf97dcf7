"""The candidate's side: loads its program, and answers what the tests' process asks.

Nothing here is trusted: the candidate shares this process and may change any of it. All that leaves it is plain
data, and what the tests expect never comes here.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import gc
import inspect
import json
import os
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any

from . import wire  # the package has another name inside the box

NAME = "<program>"
Ask = dict[str, Any]
_MUTABLE = (list, dict, set, bytearray)


def main(program: int, asked: int, answers: int) -> None:
    """Loads the program that `program` holds, says what it defines, and answers until no one asks.

    Args:
        program: file descriptor of the program as JSON: `code`, `prompt`, `entry`, `setup`.
        asked: where questions come from.
        answers: where answers go.
    """
    job = json.loads(_text(program))
    module = types.ModuleType("solution")  # dataclasses and pickle look their module up
    sys.modules["solution"] = module
    gc.enable()
    server = Server(module.__dict__, asked, answers)
    try:
        for where, source in _parts(job):
            exec(compile(source, where, "exec", dont_inherit=True, optimize=0), module.__dict__)
            if where == "<setup>":
                server.note_shared()
    except SystemExit as stop:
        os._exit(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
    except BaseException as error:
        wire.write_frame(answers, {"failed": [type(error).__name__, _said(error), line_of(error)]})
        return
    wire.write_frame(answers, {"ready": [n for n in module.__dict__ if not n.startswith("__")], **server.kinds()})
    try:
        server.serve()
    except wire.ClosedError:
        return


def _text(fd: int) -> bytes:
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    os.close(fd)
    return b"".join(parts)


def _parts(job: Ask) -> list[tuple[str, str]]:
    """What is executed, in order: the setup, the prompt (whole, or to be completed), the completion."""
    code, prompt, entry = job["code"], job.get("prompt") or "", job.get("entry")
    found = [("<setup>", job["setup"])] if job.get("setup") else []
    if not prompt or not entry:
        return [*found, (NAME, code)]
    if defines(code, entry):
        head = completed(prompt)
        return [*found, *([("<prompt>", head)] if head else []), (NAME, code)]
    return [*found, (NAME, prompt + code)]


def defines(code: str, name: str) -> bool:
    """Whether a program that can be parsed binds a name at its top level."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name == name:
                return True
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if any((alias.asname or alias.name) == name for alias in node.names):
                return True
        elif any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in ast.walk(node)):
            return True
    return False


def completed(prompt: str) -> str | None:
    """The prompt as a program of its own: as it is, or with a body for the function that it ends in; else None."""
    for ending in ("", "\n    pass\n"):
        try:
            ast.parse(prompt + ending)
            return prompt + ending
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def line_of(error: BaseException) -> int | None:
    """The line of the program in which it raised, None where that is not known."""
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == NAME]
    return lines[-1] if lines else None


def _said(error: BaseException) -> str:
    try:
        return str(error.msg if isinstance(error, SyntaxError) else error)[:200]
    except Exception:  # the candidate's own __str__ may do anything
        return ""


class Server:
    """Answers questions about a namespace.

    Args:
        namespace: the program's globals.
        asked: file descriptor that questions come from.
        answers: file descriptor that answers go to.
    """

    def __init__(self, namespace: dict[str, Any], asked: int, answers: int) -> None:
        self.namespace, self.asked, self.answers = namespace, asked, answers
        self.things: list[Any] = []
        self.shared: dict[str, type] = {}

    def note_shared(self) -> None:
        """Remembers the classes of the setup: the tests' process has them too, and their instances are copied."""
        self.shared = {n: v for n, v in self.namespace.items() if isinstance(v, type) and v.__module__ == "solution"}

    def kinds(self) -> dict[str, Any]:
        """Which names are exceptions, with the builtin that each derives from."""
        return {"errors": {n: _builtin_of(v) for n, v in list(self.namespace.items())
                           if isinstance(v, type) and issubclass(v, Exception)}}  # fmt: skip

    def serve(self) -> None:
        """Answers until no one asks."""
        while True:
            self.answer(wire.read_frame(self.asked))

    def answer(self, question: Ask) -> None:
        """Does what is asked and sends the result, or the exception."""
        try:
            values = [self.decode(x) for x in question.get("a", [])]
            named = {k: self.decode(v) for k, v in question.get("k", {}).items()}
            result = _OPERATIONS[question["op"]](self, *values, **named)
            reply = {"ok": self.encode(result), "changed": self._changed(question.get("a", []), values)}
            wire.write_frame(self.answers, reply)
        except SystemExit as stop:
            os._exit(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        except wire.ClosedError:
            raise
        except wire.FloodError as error:
            wire.write_frame(self.answers, {"flood": str(error)})
        except BaseException as error:
            where = line_of(error)
            wire.write_frame(self.answers, {"raise": [type(error).__name__, _builtin_of(type(error)), _said(error),
                                                      where, self._arguments(error)]})  # fmt: skip

    def _arguments(self, error: BaseException) -> Any:
        try:
            return [self.encode(x) for x in error.args]
        except Exception:
            return []

    def _changed(self, sent: list[Any], values: list[Any]) -> dict[str, Any]:
        """The mutable arguments that the call has changed, so that the caller's own can be changed too."""
        found = {}
        for i, (before, value) in enumerate(zip(sent, values, strict=True)):
            if isinstance(value, _MUTABLE):
                after = self.encode(value)
                if json.dumps(after) != json.dumps(before):
                    found[str(i)] = after
        return found

    def encode(self, value: Any) -> Any:
        """Plain data as it is; anything else as a handle."""
        return wire.encode(value, self._handle)

    def decode(self, message: Any) -> Any:
        """The value of a question's part: plain, one of ours by its handle, or a function of the tests'."""
        return wire.decode(message, self._thing)

    def _handle(self, value: Any) -> Ask:
        kind = type(value)
        if self.shared.get(kind.__name__) is kind:
            return wire.tagged("obj", [kind.__name__, [[k, self.encode(v)] for k, v in vars(value).items()]])
        self.things.append(value)
        what = "coroutine" if inspect.iscoroutine(value) else kind.__name__
        return {"t": "ref", "v": len(self.things) - 1, "k": what}

    def _thing(self, tag: str, message: Ask) -> Any:
        if tag == "ref":
            return self.things[message["v"]]
        if tag == "obj":
            made: Any = object.__new__(self.shared[message["v"][0]])
            made.__dict__.update({k: self.decode(v) for k, v in message["v"][1]})
            return made
        if tag == "iter":
            return iter([self.decode(x) for x in message["v"]])
        if tag == "fn":
            return self._callback(message["v"])
        raise wire.WireError(f"no tag {tag!r}")

    def _callback(self, number: int) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            call = {"op": "callback", "v": number, "a": [self.encode(x) for x in args],
                    "k": {k: self.encode(v) for k, v in kwargs.items()}}  # fmt: skip
            wire.write_frame(self.answers, call)
            while "op" in (reply := wire.read_frame(self.asked)):
                self.answer(reply)  # the function asks us in turn
            if "raise" in reply:
                raise getattr(builtins, reply["raise"][0], Exception)(reply["raise"][1])
            return self.decode(reply["ok"])

        return function


def _builtin_of(kind: type) -> str:
    """The nearest builtin that an exception's class derives from."""
    return next((k.__name__ for k in kind.__mro__ if getattr(builtins, k.__name__, None) is k), "Exception")


def _wait_for(thing: Any) -> Any:
    import asyncio

    async def whole() -> Any:
        return await thing

    return asyncio.run(whole())


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "global": lambda server, name: server.namespace[name],
    "call": lambda _, function, /, *args, **kwargs: function(*args, **kwargs),
    "attr": lambda _, thing, name: getattr(thing, name),
    "setattr": lambda _, thing, name, value: setattr(thing, name, value),
    "item": lambda _, thing, key: thing[key],
    "setitem": lambda _, thing, key, value: thing.__setitem__(key, value),
    "delitem": lambda _, thing, key: thing.__delitem__(key),
    "len": lambda _, thing: len(thing),
    "iter": lambda _, thing: iter(thing),
    "next": lambda _, thing: next(thing),
    "str": lambda _, thing: str(thing),
    "enter": lambda _, thing: thing.__enter__(),
    "exit": lambda _, thing: thing.__exit__(None, None, None),
    "await": lambda _, thing: _wait_for(thing),
    "isinstance": lambda _, thing, kind: isinstance(thing, kind),
}


def run_script(program: int, command: list[str] | None) -> None:
    """Runs a whole program against its standard input, as `__main__` or by a command of its language.

    Args:
        program: file descriptor of the source.
        command: what runs a file of the language, the file's name to be added; None for Python, in this process.
    """
    source = _text(program)
    if command is not None:
        fd, path = tempfile.mkstemp()
        os.write(fd, source)
        os.close(fd)
        os.execv(command[0], [*command, path])
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = [NAME]
    gc.enable()
    code = 0
    try:
        text = source.decode("utf-8", "surrogatepass")
        exec(compile(text, NAME, "exec", dont_inherit=True, optimize=0), module.__dict__)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:
        sys.stderr.write(f"\n{json.dumps([type(error).__name__, _said(error), line_of(error)])}\n")
        code = 1
    sys.exit(_finish(code))


def _finish(code: int) -> int:
    """What an interpreter does at its end: other threads, exit functions, buffers."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except (Exception, SystemExit):  # whatever the candidate has left there
        return code or 1
    return code
