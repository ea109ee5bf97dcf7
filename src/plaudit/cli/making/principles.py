"""`plaudit data principles`: rated rows from what annotators' feedback names, where all of them name it [115].

    plaudit data principles extracted.jsonl --embedder MODEL --out rated.jsonl
    plaudit train rated.jsonl --objective principle-token --model POLICY --out runs/principles

A row of the input is one principle that a model read out of one annotator's feedback on one completion.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from plaudit.cli.inputs import add_source, read_raw
from plaudit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from plaudit.curation.principles import ExtractedPrinciple
    from plaudit.records.rows import Rated
    from plaudit.records.sample import Completion, Conversation
    from plaudit.rewards.rules.embedding import Embedder

OWN = ("prompt", "completion", "annotator", "feedback", "principle", "verdict", "evidence")
"""Columns of a row; what others agree on over a completion's rows goes on to its rated row."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A row of the input: a principle, and what it is about."""

    prompt: Conversation
    completion: Completion
    principle: ExtractedPrinciple
    meta: Mapping[str, Any]


def add_arguments(actions: Any) -> None:
    """The action and its options."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "principles", help="rated rows from free-text feedback: principles that it bears out and that all name (RLBFF)"
    )
    add_source(
        parser, f"principles that a model read out of feedback, one a row: {', '.join(OWN)} (yes, no, partially)"
    )
    add = parser.add_argument
    add("--out", required=True, metavar="FILE", help="ends in .jsonl, .jsonl.gz or .parquet")
    add(
        "--embedder", default="", metavar="MODEL",
        help="folder or hub id of a transformers model whose mean states say which principles are alike (default: by "
        "spelling, which knows no synonyms)",
    )  # fmt: skip
    add(
        "--support", type=float, default=60.0, metavar="X",
        help="evidence must be more like the feedback than this, from 0 to 100 (default: 60)",
    )  # fmt: skip
    add(
        "--agreement", type=float, default=0.8, metavar="X",
        help="cosine above which two principles are the same one, from -1 to 1 (default: 0.8)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Filters, writes one rated row a completion, says what was left out at which step."""
    from plaudit.curation.principles import decided, supported
    from plaudit.records import write
    from plaudit.records.writing import check_target
    from plaudit.rewards.rules.embedding import open_embedder

    check_target(args.out)
    rows = read_raw(args.source, _extracted, args.skip_broken)
    completions = _by_completion(rows)
    borne_out = supported([row.principle for row in rows], threshold=args.support)
    clear = decided(borne_out)
    embed = _vectors(open_embedder(args.embedder))
    made = [_rated(members, embed, args) for members in completions]
    rated = [row for row in made if row is not None]
    reasons = {
        "have evidence that their feedback does not hold": len(rows) - len(borne_out),
        "have a verdict of partially, or are of helpfulness as a whole": len(borne_out) - len(clear),
    }
    told = [f"{n} of {len(rows)} principles {why}" for why, n in reasons.items() if n]
    if not rated:
        told.append(f"none of {len(clear)} others is one that all annotators of a completion name")
        raise InputError(f"data principles: no completion has a principle left: {'; '.join(told)}")
    count = write(args.out, rated)
    aspects = sum(len(row.aspects) for row in rated)
    print(
        f"{args.out}: {count} rows of rated with {aspects} aspects, from {len(rows)} principles of "
        f"{len(made)} completions"
    )
    if len(rated) < len(made):
        told.append(f"{len(made) - len(rated)} completions have no principle on which all their annotators agree")
    for line in told:
        print(f"  {line}")
    return 0


def _extracted(row: Mapping[str, Any]) -> Extracted:
    from typing import get_args

    from plaudit.curation.principles import ExtractedPrinciple, Verdict
    from plaudit.records.fields import RowError, completion_field, label_text, present, prompt_field, text

    words = {name: text(name, present(row, name)) for name in ("principle", "verdict", "evidence", "feedback")}
    if not words["principle"].strip():
        raise RowError("principle", words["principle"], "is blank; name what the feedback judges by")
    verdict: Any = words["verdict"].strip().lower()
    if verdict not in get_args(Verdict):
        raise RowError("verdict", words["verdict"], "is not known; give yes, no or partially")
    present(row, "annotator")
    principle = ExtractedPrinciple(
        words["principle"], verdict, words["evidence"], str(label_text(row, "annotator")), words["feedback"]
    )
    meta = {name: value for name, value in row.items() if name not in OWN and value is not None}
    return Extracted(prompt_field(row), completion_field(row, "completion"), principle, meta)


def _by_completion(rows: Sequence[Extracted]) -> list[list[Extracted]]:
    """The rows of each completion, in the order in which completions first occur; tools belong to the prompt."""
    from plaudit.curation.hierarchies import RENDERING
    from plaudit.records.sample import Sample, content_hash

    found: dict[str, list[Extracted]] = {}
    for row in rows:
        key = content_hash([Sample(row.prompt, row.completion).key, *map(row.meta.get, RENDERING)])
        found.setdefault(key, []).append(row)
    return list(found.values())


def _rated(
    rows: Sequence[Extracted], embed: Callable[[Sequence[str]], np.ndarray[Any, Any]], args: argparse.Namespace
) -> Rated | None:
    from plaudit.curation.principles import principle_ratings
    from plaudit.records.sample import content_hash

    first = rows[0]
    made = principle_ratings(
        first.prompt, first.completion, [row.principle for row in rows], embed, support=args.support,
        threshold=args.agreement,
    )  # fmt: skip
    if made is None:
        return None
    alike = {
        name: value for name, value in first.meta.items()
        if all(content_hash([row.meta.get(name)]) == content_hash([value]) for row in rows)
    }  # fmt: skip
    return replace(made, meta=alike)


def _vectors(embedder: Embedder) -> Callable[[Sequence[str]], np.ndarray[Any, Any]]:
    """Mean token vectors of texts, at length 1."""
    import numpy as np

    def embed(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        vectors = np.stack([embedder(text).mean for text in texts])
        for text, vector in zip(texts, vectors, strict=True):
            if not vector.any():
                raise InputError(f"data principles: {text!r} holds no word that could be compared; name the principle")
        return vectors

    return embed
