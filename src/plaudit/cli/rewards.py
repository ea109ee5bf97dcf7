"""`plaudit rewards`: what a reference can name."""

from __future__ import annotations

import argparse

from plaudit.rewards.registry import catalog


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb has no options."""
    parser.epilog = (
        "A reference is a name of this list with options (rule/length?target=200), a model folder or hub id, "
        "module.py:function of your own, or a YAML file that composes them."
    )


def run(args: argparse.Namespace) -> int:  # noqa: ARG001  # verbs have one signature
    """Prints name and summary of each reward."""
    entries = catalog()
    width = max(map(len, entries))
    for name in sorted(entries):
        print(f"{name:<{width}}  {entries[name].summary}")
    print("\nalso: FOLDER or OWNER/NAME of a model, module.py:function, composition.yaml")
    return 0
