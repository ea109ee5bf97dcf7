"""`plaudit run`: a recipe from data to report."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("recipe", help="a recipe file, or the name of a shipped one (demo, demo-fixed, hh)")
    parser.add_argument("--out", metavar="FOLDER", help="run folder (default: runs/NAME)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                        help="change a key of the recipe: --set data.train=a.jsonl")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Runs what is not finished, then prints the verdict and where the report is."""
    from plaudit.recipes.loading import load_recipe
    from plaudit.recipes.running import run_recipe

    recipe = load_recipe(args.recipe, args.settings)
    out = Path(args.out or f"runs/{recipe.name}")
    verdicts = run_recipe(recipe, out, emit=lambda line: print(line, flush=True))
    for name, verdict in verdicts.items():
        folder = out / name if recipe.variants else out
        print(f"\nverdict{f' ({name})' if recipe.variants else ''}: {verdict.headline}")
        print(f"  limit   {verdict.limit or 'no use is permitted'}")
        for cause in verdict.causes[:4]:
            print(f"  because {cause.says} {cause.evidence.format(3)}".rstrip())
        print(f"  sure    {verdict.certainty}: {verdict.because}")
        print(f"  next    {verdict.next_step}" + (f" -> plaudit run {verdict.recipe}" if verdict.recipe else ""))
        print(f"  report  {folder / 'report.html'}")
    return 0
