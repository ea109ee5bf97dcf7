"""From one format to another, where nothing has to be invented.

What a target format has no place for is kept in `meta`; rows that give nothing (a rating without a second
one to compare it with) are counted and the reason is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from plaudit.errors import InputError, nearest
from plaudit.records.formats import COLUMNS, Kind, kind_of
from plaudit.records.rewarded import agreed, rated_by_reward, together, with_aspects
from plaudit.records.rows import Pair, PromptOnly, Ranked, Rated, Row, Stepwise, Unpaired
from plaudit.records.sample import Completion, Sample, completion_messages, content_hash
from plaudit.records.splitting import by_prompt, prompt_key

Which = Literal["all", "best-worst"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The rows of a conversion.

    Attributes:
        rows: the new rows.
        unused: how many old rows gave none.
        why: the reason; empty where all were used.
    """

    rows: tuple[Row, ...]
    unused: int = 0
    why: str = ""


def convert(
    rows: Sequence[Row], to: Kind, *, pairs: Which = "all", separator: str = "\n", by_reward: bool = False
) -> Conversion:
    """Rows of one format as rows of another.

    Args:
        rows: rows of one kind.
        to: the kind that is wanted.
        pairs: from a ranking, `all` pairs of different scores, or the `best-worst` one alone.
        separator: what stands between the steps of a stepwise row when they become one completion.
        by_reward: whether samples can become pairs, ranked and rated rows by their column `reward`. What a reward said
            would otherwise pass for what people said, without a word.

    Returns:
        The new rows, and how many old ones gave none.

    Raises:
        InputError: if there are no rows, their kinds differ, there is no way between the two kinds, or a reward is
            no number.
    """
    kinds = {kind_of(row) for row in rows}
    if len(kinds) != 1:
        raise InputError(f"convert: rows of one kind are needed, got {', '.join(sorted(kinds)) or 'none'}")
    kind = kinds.pop()
    if to not in COLUMNS:
        raise InputError(f"convert: kind {to!r} is not known; {nearest(to, COLUMNS)}")
    if to == kind:
        return Conversion(tuple(rows))
    if to == "prompts":
        return _prompts(rows)
    rewarded = kind == "samples" and any(isinstance(row, Sample) and "reward" in row.meta for row in rows)
    route = {**_ROUTES, **(_BY_REWARD if by_reward and rewarded else {})}.get((kind, to))
    if route is None:
        ways = ", ".join(routes(kind, by_reward=by_reward and rewarded))
        why = f"they can become {ways}" if ways else "their rows have no completion (or it is null)"
        if (kind, to) in _BY_REWARD:
            how = "plaudit data convert takes their reward" if rewarded else "plaudit score gives them a reward"
            why = f"{how}, which compares them; without it {why}"
        raise InputError(f"convert: {kind} cannot become {to}; {why}")
    return route(rows, pairs, separator)


def routes(kind: Kind, *, by_reward: bool = False) -> list[str]:
    """The kinds that rows of a kind can become.

    Args:
        kind: of the rows.
        by_reward: whether samples have a reward that may compare them.
    """
    known = {**_ROUTES, **(_BY_REWARD if by_reward else {})}
    return sorted({to for source, to in known if source == kind} | ({"prompts"} - {kind}))


def conversational(row: Row) -> Row:
    """The row with messages where it had text: what TRL calls conversational.

    A stepwise row, whose steps are text by definition, and a bare prompt are returned as they are.
    """
    match row:
        case Pair():
            chosen, rejected = completion_messages(row.chosen), completion_messages(row.rejected)
            return replace(row, chosen=chosen, rejected=rejected)
        case Ranked():
            return replace(row, completions=tuple(completion_messages(c) for c in row.completions))
        case Sample() | Rated() | Unpaired():
            return replace(row, completion=completion_messages(row.completion))
    return row


def _prompts(rows: Sequence[Row]) -> Conversion:
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(prompt_key(row), row)
    kept = [PromptOnly(row.prompt, getattr(row, "reference", None), row.meta) for row in first.values()]
    again = len(rows) - len(kept)
    return Conversion(tuple(kept), again, "their prompt stood in an earlier row" if again else "")


def _ranked_to_pairs(rows: Sequence[Any], pairs: Which, _separator: str) -> Conversion:
    made: list[Row] = []
    unused = 0
    for row in rows:
        found = _ranked_pairs(row, pairs)
        made += found
        unused += not found
    return Conversion(tuple(made), unused, "all their completions have the same score" if unused else "")


def _ranked_pairs(row: Ranked, pairs: Which) -> list[Pair]:
    order = sorted(range(len(row.scores)), key=lambda i: -row.scores[i])
    chosen = [(order[0], order[-1])] if pairs == "best-worst" else itertools.combinations(order, 2)
    return [
        Pair(
            row.prompt,
            row.completions[i],
            row.completions[j],
            margin=row.scores[i] - row.scores[j],
            chosen_score=row.scores[i],
            rejected_score=row.scores[j],
            meta=row.meta,
        )
        for i, j in chosen
        if row.scores[i] > row.scores[j]
    ]


def _ranked_to_samples(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    return Conversion(
        tuple(
            Sample(row.prompt, c, group=prompt_key(row), meta={**row.meta, "given_score": s})
            for row in rows
            for c, s in zip(row.completions, row.scores, strict=True)
        )
    )


def _pair_meta(row: Pair) -> dict[str, Any]:
    kept = {"margin": row.margin, "annotator": row.annotator}
    return {**row.meta, **{name: value for name, value in kept.items() if value is not None}}


def _pair_sides(row: Pair) -> Iterable[tuple[Completion, bool, dict[str, Any]]]:
    for side, preferred, score in (
        (row.chosen, True, row.chosen_score),
        (row.rejected, False, row.rejected_score),
    ):
        yield side, preferred, _pair_meta(row) | ({} if score is None else {"given_score": score})


def _pairs_to_unpaired(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    return Conversion(
        tuple(Unpaired(row.prompt, side, label, meta) for row in rows for side, label, meta in _pair_sides(row))
    )


def _pairs_to_samples(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    return Conversion(
        tuple(
            Sample(row.prompt, side, group=prompt_key(row), meta={**meta, "preferred": preferred})
            for row in rows
            for side, preferred, meta in _pair_sides(row)
        )
    )


def _unpaired_to_pairs(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    made: list[Row] = []
    unused = 0
    for group in by_prompt(rows):
        good, bad = [r for r in group if r.label], [r for r in group if not r.label]
        unused += 0 if good and bad else len(group)
        made += [Pair(g.prompt, g.completion, b.completion, meta={**b.meta, **g.meta}) for g in good for b in bad]
    return Conversion(tuple(made), unused, "their prompt has no completion of the other label" if unused else "")


def _unpaired_to_samples(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    return _each(rows, lambda r: {"given_label": r.label})


def _rated_to_ranked(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    made: list[Row] = []
    unused = 0
    for group in by_prompt(rows):
        scored = [r for r in group if r.score is not None]
        if len(scored) < 2:
            unused += len(group)
            continue
        unused += len(group) - len(scored)
        completions, scores = tuple(r.completion for r in scored), tuple(float(r.score) for r in scored)
        made.append(Ranked(scored[0].prompt, completions, scores, _shared_meta(scored)))
    return Conversion(tuple(made), unused, "they have no score, or their prompt has no second one" if unused else "")


def _rated_to_pairs(rows: Sequence[Any], pairs: Which, separator: str) -> Conversion:
    ranked = _rated_to_ranked(rows, pairs, separator)
    made = _ranked_to_pairs(ranked.rows, pairs, separator)
    level = sum(len(r.scores) for r in ranked.rows if isinstance(r, Ranked) and len(set(r.scores)) == 1)
    unused = ranked.unused + level
    return Conversion(made.rows, unused, "their prompt has no second, different score" if unused else "")


def _rated_to_samples(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    def given(row: Rated) -> dict[str, Any]:
        kept = {"given_score": row.score, "given_aspects": dict(row.aspects) or None}
        return {name: value for name, value in kept.items() if value is not None}

    return _each(rows, given)


def _stepwise_to_samples(rows: Sequence[Any], _pairs: Which, separator: str) -> Conversion:
    def sample(row: Stepwise) -> Sample:
        last = len(row.completions) - 1
        steps = tuple(step + (separator if i < last else "") for i, step in enumerate(row.completions))
        meta = {**row.meta, "given_labels": list(row.labels)}
        return Sample(row.prompt, "".join(steps), group=prompt_key(row), steps=steps, meta=meta)

    return Conversion(tuple(sample(row) for row in rows))


def _samples_to_rated(rows: Sequence[Any], _pairs: Which, _separator: str) -> Conversion:
    made = [with_aspects(r) for r in rated_by_reward(rows) if r.score is not None]
    unused = len(rows) - len(made)
    return Conversion(tuple(made), unused, "they have no reward" if unused else "")


def _samples_to_ranked(rows: Sequence[Any], pairs: Which, separator: str) -> Conversion:
    found = _rated_to_ranked(together(rated_by_reward(rows)), pairs, separator)
    return replace(found, why=found.why.replace("score", "reward"))


def _samples_to_pairs(rows: Sequence[Any], pairs: Which, separator: str) -> Conversion:
    # what is said of each completion has no place beside two of them: what all agree on stays
    rated = [r for group in by_prompt(together(rated_by_reward(rows))) for r in agreed(group)]
    found = _rated_to_pairs(rated, pairs, separator)
    return replace(found, why=found.why.replace("score", "reward"))


def _each(rows: Sequence[Any], given: Callable[[Any], dict[str, Any]]) -> Conversion:
    return Conversion(
        tuple(Sample(r.prompt, r.completion, group=prompt_key(r), meta={**r.meta, **given(r)}) for r in rows)
    )


def _shared_meta(rows: Sequence[Any]) -> dict[str, Any]:
    """What all rows of a group agree on, and a list with an entry a completion for the rest."""
    names = dict.fromkeys(name for row in rows for name in row.meta)
    meta: dict[str, Any] = {}
    for name in names:
        values = [row.meta.get(name) for row in rows]
        meta[name] = values[0] if len({content_hash(v) for v in values}) == 1 else values
    return meta


_ROUTES: dict[tuple[Kind, Kind], Callable[[Sequence[Any], Which, str], Conversion]] = {
    ("ranked", "pairs"): _ranked_to_pairs,
    ("ranked", "samples"): _ranked_to_samples,
    ("pairs", "unpaired"): _pairs_to_unpaired,
    ("pairs", "samples"): _pairs_to_samples,
    ("unpaired", "pairs"): _unpaired_to_pairs,
    ("unpaired", "samples"): _unpaired_to_samples,
    ("rated", "ranked"): _rated_to_ranked,
    ("rated", "pairs"): _rated_to_pairs,
    ("rated", "samples"): _rated_to_samples,
    ("stepwise", "samples"): _stepwise_to_samples,
}
_BY_REWARD: dict[tuple[Kind, Kind], Callable[[Sequence[Any], Which, str], Conversion]] = {
    ("samples", "rated"): _samples_to_rated,
    ("samples", "ranked"): _samples_to_ranked,
    ("samples", "pairs"): _samples_to_pairs,
}
