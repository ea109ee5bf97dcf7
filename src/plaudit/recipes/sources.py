"""The data stage: preferences from a world or from files, written to the run folder as ordinary pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError, MissingError
from plaudit.lab.worlds.assistant import Knobs, Prepared, prepare
from plaudit.recipes.schema import DataSpec, Recipe, WorldSpec
from plaudit.records import read, write
from plaudit.records.converting import convert
from plaudit.records.reading import Records
from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text, content_hash
from plaudit.records.splitting import split_by_prompt
from plaudit.runs.progress import Progress
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.clusters import cluster_codes


@dataclass(frozen=True, slots=True)
class Source:
    """Training and test pairs, as a recipe asks for them."""

    train: list[Pair]
    test: list[Pair]
    facts: dict[str, Any]


def make_data(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Writes `data/train.jsonl` and `data/test.jsonl` (none with folds) under the run folder.

    Returns:
        Facts: numbers of rows, hashes, broken rows, share of longer-is-chosen, and for a world its flips.
    """
    source = _from_world(recipe.data.world, recipe.seed) if recipe.data.world else _from_files(recipe, folder)
    if not recipe.data.folds and not source.test:
        raise InputError("data: the test side is empty; give data.test, or a larger data.test_share")
    write(folder / "data" / "train.jsonl", source.train)
    if source.test:
        write(folder / "data" / "test.jsonl", source.test)
    both = source.train + source.test
    prompts = cluster_codes([_prompt(p) for p in both], len(both))
    longer = bootstrap_mean(np.array([_longer(p) for p in both]), prompts, seed=recipe.seed)
    facts = {
        "train_pairs": len(source.train), "test_pairs": len(source.test), "prompts": int(prompts.max()) + 1,
        "train_hash": content_hash([p.chosen for p in source.train]), "longer_chosen": longer.to_dict(),
    }  # fmt: skip
    return facts | source.facts


def input_hash(spec: DataSpec) -> Any:
    """What the data stage depends on besides the recipe: the content of its files."""
    named = [spec.train, spec.test, spec.candidates]
    return [_file_state(first_there(name)) if name else None for name in named]


def first_there(alternatives: str) -> str:
    """The first of several sources that exists; the last where none does, so that its error is the one shown."""
    options = [o.strip() for o in alternatives.split(" | ")]
    return next((o for o in options if Path(o.split("#")[0]).exists()), options[-1])


def prepared(spec: WorldSpec) -> Prepared:
    """The world instance, from the cache or made, with a progress display."""
    display: dict[str, Progress] = {}

    def told(what: str, done: int, total: int) -> None:
        if what not in display:
            for other in display.values():
                other.__exit__(None)
            display.clear()
            display[what] = Progress(f"world: {what}", total=total).__enter__()
        display[what].update(done)

    try:
        return prepare(spec.instance, report=told)
    finally:
        for other in display.values():
            other.__exit__(None)


def _from_world(spec: WorldSpec, seed: int) -> Source:
    known = {k: tuple(tuple(x) for x in v) if k == "unseen" else v for k, v in spec.knobs.items()}
    try:
        knobs = Knobs(**known)
    except TypeError as error:
        from dataclasses import fields

        from plaudit.errors import nearest

        names = {f.name for f in fields(Knobs)}
        wrong = next((k for k in known if k not in names), "")
        raise InputError(f"data.world.knobs: unknown knob {wrong!r}; {nearest(wrong, names)}") from error
    ready = prepared(spec)
    with Progress("making pairs", total=spec.train_pairs + spec.test_pairs) as display:
        train = ready.pairs(spec.train_pairs, knobs, seed=seed, report=lambda _, done, __: display.update(done))
        test = ready.pairs(
            spec.test_pairs, knobs, seed=seed + 1, side="test",
            report=lambda _, done, __: display.update(spec.train_pairs + done),
        )  # fmt: skip
    flipped = float(np.mean([bool(p.meta["flipped"]) for p in train]))
    wrong = float(np.mean([p.meta["true_margin"] < 0 for p in train]))
    return Source(train, test, {"world": spec.name, "instance": spec.instance, "flipped": flipped, "wrong_labels": wrong})


def _from_files(recipe: Recipe, folder: Path) -> Source:
    spec = recipe.data
    records = _read(first_there(spec.train), spec, folder / "broken-train.jsonl")
    rows = _pairs(records)[: spec.limit or None]
    facts: dict[str, Any] = {"source": records.source, "data_hash": records.data_hash, "broken": records.n_broken}
    if spec.folds:
        return Source(rows, [], facts)
    if spec.test:
        held = _read(first_there(spec.test), spec, folder / "broken-test.jsonl")
        facts |= {"test_source": held.source, "broken": records.n_broken + held.n_broken}
        test = _pairs(held)
        shared = {_prompt(p) for p in rows} & {_prompt(p) for p in test}
        facts["shared_prompts"] = len(shared)
        return Source(rows, test, facts)
    parts = split_by_prompt(rows, {"train": 1 - spec.test_share, "test": spec.test_share}, seed=recipe.seed)
    return Source(parts["train"], parts["test"], facts)


def _read(source: str, spec: DataSpec, broken: Path) -> Records:
    return read(source, skip_broken=broken if spec.skip_broken else None)


def _pairs(records: Records) -> list[Pair]:
    rows = records.rows if records.kind == "pairs" else convert(records.rows, to="pairs").rows
    return [row for row in rows if isinstance(row, Pair)]


def _prompt(pair: Pair) -> str:
    return content_hash([m.to_dict() for m in pair.prompt])


def _longer(pair: Pair) -> float:
    a, b = len(completion_text(pair.chosen)), len(completion_text(pair.rejected))
    return 0.5 if a == b else float(a > b)


def _file_state(source: str) -> Any:
    path = Path(source.split("#")[0])
    if path.is_file():
        import hashlib

        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    if path.is_dir():
        return sorted((p.name, p.stat().st_size) for p in path.rglob("*") if p.is_file())
    if path.suffix:
        raise MissingError(f"{source}: no such file")
    return source
