"""Demonstrations by prompt, and pairs of a demonstration and a policy's sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.rows import Pair, PromptOnly, Unpaired
from plaudit.records.sample import Completion, Sample, completion_text, content_hash
from plaudit.rewards.files import COLUMNS

COMPUTED = ("hardness", "gap")
"""Columns of prompts that a round makes, see `prompt_difficulty`."""


@final
@dataclass(frozen=True, slots=True)
class Demonstrated:
    """A prompt and how it is answered by whom the policy should be like.

    Attributes:
        row: the prompt, its reference, and what else its rows hold.
        shown: its demonstrations, at least one, texts that differ.
        category: whose reward model it belongs to.
    """

    row: PromptOnly
    shown: tuple[Completion, ...]
    category: str

    @property
    def prompt(self) -> Any:
        """Of the row: what splits are made by."""
        return self.row.prompt

    def samples(self) -> list[Sample]:
        """The demonstrations as a reward sees them."""
        return [Sample(self.row.prompt, c, self.row.reference, meta=self.row.meta) for c in self.shown]


def demonstrations_of(rows: Sequence[Any], *, category: str = "") -> list[Demonstrated]:
    """Demonstrations of each prompt.

    Args:
        rows: samples, wanted unpaired rows, or pairs (their chosen); unwanted rows are left out.
        category: column that names the category; empty for one of all.

    Returns:
        In the order of the first row of each prompt; columns are those of that row.

    Raises:
        InputError: if there are none, a row holds none, lacks its category, or has a column that a round makes.
    """
    found: dict[str, Demonstrated] = {}
    for i, row in enumerate(rows):
        if isinstance(row, Unpaired) and not row.label:
            continue
        completion, reference = _shown(row, i), getattr(row, "reference", None)
        meta = {k: v for k, v in row.meta.items() if k not in (*COLUMNS, "tokens", "finish")}
        if taken := [name for name in COMPUTED if name in meta]:
            raise InputError(f"irl: row {i + 1} has a column {taken[0]!r}, which rounds make; rename or remove it")
        if category and meta.get(category) is None:
            raise InputError(f"irl: row {i + 1} has no column {category!r}, which names its category; add it")
        name = content_hash([m.to_dict() for m in row.prompt])
        kind = str(meta[category]) if category else ""
        one = found.setdefault(name, Demonstrated(PromptOnly(row.prompt, reference, meta), (), kind))
        if one.category != kind:
            raise InputError(
                f"irl: row {i + 1} is of {category} {kind!r}, and the same prompt was of {one.category!r} before; give "
                "a prompt one category"
            )
        if completion_text(completion) not in {completion_text(c) for c in one.shown}:
            found[name] = Demonstrated(one.row, (*one.shown, completion), kind)
    if not found:
        raise InputError("irl: there are no demonstrations; give samples, wanted unpaired rows, or pairs")
    return [*found.values()]


def gap_pairs(
    demonstrated: Sequence[Demonstrated], sampled: Sequence[Sequence[Sample]], *, most: int, seed: int
) -> dict[str, list[Pair]]:
    """Pairs of a demonstration, chosen, and a sample of the policy to its prompt, rejected; by category.

    A sample whose text is a demonstration's is in no pair: nothing tells the two apart. So is one whose text was in a
    pair of the prompt before.

    Args:
        demonstrated: prompts with demonstrations.
        sampled: for each the policy's samples.
        most: pairs of a prompt, at least 1; demonstrations take turns.
        seed: of the choice of samples.
    """
    rng = np.random.default_rng([seed, 31])
    found: dict[str, list[Pair]] = {one.category: [] for one in demonstrated}
    for one, samples in zip(demonstrated, sampled, strict=True):
        shown = {completion_text(c) for c in one.shown}
        distinct: Mapping[str, Sample] = {s.text: s for s in samples if s.text not in shown}
        order = [[*distinct.values()][int(i)] for i in rng.permutation(len(distinct))][:most]
        found[one.category] += [
            Pair(one.row.prompt, one.shown[k % len(one.shown)], s.completion) for k, s in enumerate(order)
        ]
    return found


def _shown(row: Any, index: int) -> Completion:
    """What a row shows.

    Raises:
        InputError: if it is of another kind.
    """
    if isinstance(row, Pair):
        return row.chosen
    if isinstance(row, Sample | Unpaired):
        return row.completion
    raise InputError(
        f"irl: row {index + 1} is a {type(row).__name__.lower()} row, which shows no answer; give samples, wanted "
        "unpaired rows, or pairs"
    )


__all__ = ["COMPUTED", "Demonstrated", "demonstrations_of", "gap_pairs"]
