"""The data stage: preferences from a world or from files, written to the run folder as ordinary pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError, MissingError, nearest
from plaudit.lab.worlds.assistant import Knobs, Prepared, prepare
from plaudit.recipes.schema import DataSpec, Recipe, WorldSpec
from plaudit.records import read, write
from plaudit.records.converting import convert
from plaudit.records.decoding import file_format
from plaudit.records.hub import is_hub_id
from plaudit.records.reading import Records, data_hash
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, completion_text, content_hash
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
        Facts: numbers of rows, hashes, columns, broken rows, share of longer-is-chosen, a world's flips.
    """
    source = _from_world(recipe.data.world, recipe.seed) if recipe.data.world else _from_files(recipe, folder)
    if not recipe.data.folds and not source.test:
        raise InputError("data: the test side is empty; give data.test, or a larger data.test_share")
    if not source.train:
        raise InputError("data: the training side is empty; give more rows, or a smaller data.test_share")
    write(folder / "data" / "train.jsonl", source.train)
    if source.test:
        write(folder / "data" / "test.jsonl", source.test)
    both = source.train + source.test
    prompts = cluster_codes([_prompt(p) for p in both], len(both))
    longer = bootstrap_mean(np.array([_longer(p) for p in both]), prompts, seed=recipe.seed)
    facts = {
        "train_pairs": len(source.train), "test_pairs": len(source.test), "prompts": int(prompts.max()) + 1,
        "train_hash": data_hash(source.train, "pairs"), "longer_chosen": longer.to_dict(),
        "test_hash": data_hash(source.test, "pairs") if source.test else "",
        "columns": sorted(columns(source.test or source.train)),
    }  # fmt: skip
    return facts | source.facts


def read_shifted(source: str) -> list[Sample]:
    """The samples of `data.shifted`; none where no file is named.

    Args:
        source: file, folder or hub id, or several divided by ` | `.
    """
    if not source:
        return []
    return [row for row in read(first_there(source), kind="samples").rows if isinstance(row, Sample)]


def columns(pairs: Sequence[Pair]) -> set[str]:
    """The columns by which pairs can be told apart into subsets."""
    return {name for p in pairs for name in (*p.meta, *(["annotator"] if p.annotator else []))}


def copy_candidates(recipe: Recipe, run: Path, folder: Path) -> dict[str, Any]:
    """Writes `candidates.jsonl`: a file that cannot be read stops a run before it trains."""
    source = first_there(recipe.data.candidates)
    records = _read(source, recipe.data, folder / "broken.jsonl")
    done = convert(records.rows, to="samples")
    write(run / "candidates.jsonl", done.rows)
    return {"source": source, "candidates": len(done.rows), "broken": records.n_broken, "unused": done.unused}


def input_hash(*sources: str) -> Any:
    """What a stage depends on besides the recipe: the content of the files that it reads.

    Raises:
        MissingError: if a source is neither there nor of the form of a hub id.
    """
    return [_file_state(first_there(name)) if name else None for name in sources]


def first_there(alternatives: str) -> str:
    """The first of several sources that exists; the last where none does: its error is the one shown."""
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
        names = {f.name for f in fields(Knobs)}
        unknown = [k for k in known if k not in names]
        if not unknown:
            raise InputError(f"data.world.knobs is {dict(known)}: {error}; see the world's knobs") from error
        raise InputError(f"data.world.knobs: unknown knob {unknown[0]!r}; {nearest(unknown[0], names)}") from error
    ready = prepared(spec)
    with Progress("making pairs", total=spec.train_pairs + spec.test_pairs) as display:
        train = ready.pairs(spec.train_pairs, knobs, seed=seed, report=lambda _, done, __: display.update(done))
        test = ready.pairs(
            spec.test_pairs, knobs, seed=seed + 1, side="test",
            report=lambda _, done, __: display.update(spec.train_pairs + done),
        )  # fmt: skip
    flipped = float(np.mean([bool(p.meta["flipped"]) for p in train]))
    wrong = float(np.mean([p.meta["true_margin"] < 0 for p in train]))
    return Source(
        train,
        test,
        {"world": spec.name, "instance": spec.instance, "flipped": flipped, "wrong_labels": wrong},
    )


def _from_files(recipe: Recipe, folder: Path) -> Source:
    spec = recipe.data
    records = _read(first_there(spec.train), spec, folder / "data" / "broken-train.jsonl")
    records = replace(records, rows=records.rows[: spec.limit or None])
    rows, unused = _pairs(records)
    facts: dict[str, Any] = {
        "source": records.source, "data_hash": records.data_hash,
        "broken": records.n_broken, "unused": unused,
    }  # fmt: skip
    if spec.folds:
        return Source(rows, [], facts)
    if spec.test:
        held = _read(first_there(spec.test), spec, folder / "data" / "broken-test.jsonl")
        test, none = _pairs(held)
        facts |= {
            "test_source": held.source,
            "broken": records.n_broken + held.n_broken,
            "unused": unused + none,
        }
        shared = {_prompt(p) for p in rows} & {_prompt(p) for p in test}
        facts["shared_prompts"] = len(shared)
        return Source(rows, test, facts)
    parts = split_by_prompt(rows, {"train": 1 - spec.test_share, "test": spec.test_share}, seed=recipe.seed)
    return Source(parts["train"], parts["test"], facts)


def _read(source: str, spec: DataSpec, broken: Path) -> Records:
    try:
        found: Records = read(source, skip_broken=broken if spec.skip_broken else None)
    except InputError as error:  # what is an option of the other verbs is a key of a recipe
        raise InputError(str(error).replace("--skip-broken FILE", "--set data.skip_broken=true")) from error
    return found


def _pairs(records: Records) -> tuple[list[Pair], int]:
    """The pairs of a source, and how many of its rows gave none."""
    done = convert(records.rows, to="pairs")
    return [row for row in done.rows if isinstance(row, Pair)], done.unused


def _prompt(pair: Pair) -> str:
    return content_hash([m.to_dict() for m in pair.prompt])


def _longer(pair: Pair) -> float:
    a, b = len(completion_text(pair.chosen)), len(completion_text(pair.rejected))
    return 0.5 if a == b else float(a > b)


def _file_state(source: str) -> Any:
    """Hash of a file, of every file of a folder; a hub id stands for itself."""
    name = source if Path(source).exists() else source.split("#")[0]
    path = Path(name)
    if path.is_file():
        return _sha256(path)
    if path.is_dir():
        return [[p.relative_to(path).as_posix(), _sha256(p)] for p in sorted(path.rglob("*")) if p.is_file()]
    if is_hub_id(name) and file_format(path) is None and not path.parent.exists():
        return source
    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = f"; {nearest(path.name, there)}" if 0 < len(there) <= 200 else ""
    raise MissingError(f"data: there is no file {name}{hint}")


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
