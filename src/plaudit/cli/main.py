"""`plaudit VERB ...`: finds the verb, runs it, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 a threshold that the user set was missed, 2 bad input or usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from plaudit import __version__
from plaudit.errors import InputError, PlauditError, nearest

VERBS: dict[str, str] = {
    "run": "run a recipe: data, training, evaluation, audit, selection, report; finished stages are skipped",
    "data": "check, convert or split preference data, or make it: of ratings, events, feedback, stated confidence",
    "train": "train a reward model on preference data",
    "align": "improve a policy: online with any reward (GRPO and others), or on preference data (DPO and its family)",
    "merge": "average two policies or two reward models, weight by weight, or go beyond the second",
    "inspect": "show a row as the reward model sees it: template, tokens, where the score is read",
    "score": "score samples with a reward",
    "evaluate": "measure a reward on preference pairs, beside content-blind baselines",
    "compare": "show where two rewards disagree on samples, and what following one costs in the other",
    "rate": "rate systems by comparisons of their outputs: Bradley-Terry, Elo, win rates",
    "calibrate": "fit what a reward difference means as a probability, and store it with the model",
    "audit": "what a reward fails at: biases, attacks, consistency, fairness on pairs; a verifier's own attacks",
    "select": "pick the best of several completions of each prompt",
    "report": "write a run's report as one HTML page",
    "shape": "draw what a transform does to rewards and to advantages, or fit its state on samples",
    "rewards": "list the rewards that references can name",
    "lab": "list or run the experiments that the methods rest on",
}
"""Verb to its line of help; the module of a verb is `plaudit.cli.<verb>`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments without the program's name; the process's own by default.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # transformers draws bars of its own for every file that it touches; ours say what the user waits for
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        return _dispatch(arguments)
    except PlauditError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("plaudit: interrupted; the same command goes on from what is finished", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as the shell reports it of any program: 0 would call a run done that was cut short
    except Exception as error:
        known = explained(error)
        if known is not None:
            return _fail(known)
        traceback.print_exc()  # a fault of ours: its traceback is what a report of it needs
        return 70  # not Python's own 1, which here means that a threshold was missed


def explained(error: BaseException) -> PlauditError | None:
    """What the system refused, in one line; None where the error is none of the system's.

    A full disk comes in many clothes: libraries that write weights raise errors of their own for it.
    """
    chain: BaseException | None = error
    kept = "what was finished is kept: free some space and run the same command again"
    while chain is not None:
        if getattr(chain, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(w in str(chain) for w in _FULL):
            return PlauditError(f"no space left on the disk; {kept}")
        if isinstance(chain, RuntimeError) and any(w in str(chain) for w in _TORCH):
            return PlauditError(f"a checkpoint could not be written, most likely for no space left on the disk; {kept}")
        chain = chain.__cause__ or chain.__context__
    if isinstance(error, OSError):
        name = error.filename or "the system"
        return PlauditError(f"{name}: {error.strerror or error}; check the path, its permissions and the disk")
    return None


_FULL = ("No space left on device", "os error 28")
_TORCH = ("PytorchStreamWriter failed", "inline_container.cc", "iostream error")
"""What torch.save says of a write that the system refused: it does not pass the system's reason on."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line, with the nearest option where one is not known."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})  # an abbreviation breaks when an option is added

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remembers what was given, for the error."""
        self._given = list(args or [])
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print behind its usage."""
        known = self._known()
        unknown = [w.split("=")[0] for w in self._given if w.startswith("--") and w.split("=")[0] not in known]
        if unknown:  # argparse would complain first of the option that it was meant to be
            message = f"there is no option {unknown[0]}; {nearest(unknown[0], known)}"
        raise InputError(f"{self.prog.removeprefix('plaudit ')}: {message} (see {self.prog} --help)")

    def _known(self) -> set[str]:
        found = {o for action in self._actions for o in action.option_strings if o.startswith("--")}
        for action in self._actions:
            for parser in action.choices.values() if isinstance(action.choices, dict) else ():
                found |= parser._known() if isinstance(parser, Parser) else set()
        return found


def usage() -> str:
    """What `plaudit --help` prints."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {words}" for verb, words in VERBS.items()]
    return "\n".join(
        [
            "usage: plaudit [--version] [--help] VERB ...",
            "",
            "The reward layer for post-training: train, verify, audit and spend rewards you can trust.",
            "",
            *lines,
            "",
            "plaudit VERB --help tells a verb's options.",
        ]
    )


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(usage(), file=sys.stderr)
        return 2
    verb, *rest = arguments
    if verb in ("-h", "--help", "help"):
        print(usage())
        return 0
    if verb in ("-V", "--version"):
        print(f"plaudit {__version__}")
        return 0
    if verb not in VERBS:
        raise InputError(f"{verb!r} is no verb; {nearest(verb, VERBS)}")
    module = importlib.import_module(f"plaudit.cli.{verb}")
    parser = Parser(prog=f"plaudit {verb}", description=VERBS[verb])
    module.add_arguments(parser)
    try:
        options = parser.parse_args(rest)
    except SystemExit as stop:  # argparse has printed its help
        return int(stop.code or 0)
    if isinstance(seed := getattr(options, "seed", None), int) and seed < 0:
        raise InputError(f"{verb}: --seed is {seed}; give a whole number of 0 or more")
    from plaudit.runs.interrupt import terminable

    with terminable():
        return int(module.run(options))


def _fail(error: Exception) -> int:
    if os.environ.get("PLAUDIT_DEBUG"):
        raise error
    words = " ".join(str(error).split())
    print(f"plaudit: error: {words}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
