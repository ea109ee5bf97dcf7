"""The row formats: one dictionary to one typed row and back, for each kind.

Compatible with TRL's data sets: explicit and implicit prompts, plain and conversational. Columns that a
kind does not know become `meta` and are written out again, so that nothing is lost on the way through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from plaudit.errors import InputError, nearest
from plaudit.records.fields import (
    Raw,
    RowError,
    completion,
    completion_field,
    decoded,
    flag,
    items,
    label_text,
    number,
    numbers_by_name,
    optional_number,
    present,
    prompt_field,
    text,
)
from plaudit.records.implicit import implicit_pair, without_prompt
from plaudit.records.rows import Pair, PromptOnly, Ranked, Rated, Row, Stepwise, Unpaired
from plaudit.records.sample import Completion, Conversation, Sample
from plaudit.records.transcripts import is_transcript

Kind = Literal["samples", "pairs", "ranked", "rated", "stepwise", "unpaired", "prompts"]
"""Names of the row formats."""

COLUMNS: dict[Kind, tuple[str, ...]] = {
    "samples": ("prompt", "completion", "reference", "group", "steps"),
    "pairs": ("prompt", "chosen", "rejected", "margin", "chosen_score", "rejected_score", "annotator"),
    "ranked": ("prompt", "completions", "scores", "ranks"),
    "rated": ("prompt", "completion", "score", "aspects"),
    "stepwise": ("prompt", "completions", "labels"),
    "unpaired": ("prompt", "completion", "label"),
    "prompts": ("prompt", "reference"),
}
"""The columns of each kind; any other becomes `meta`."""

NEEDED: dict[Kind, str] = {
    "samples": "prompt, completion",
    "pairs": "chosen, rejected (and prompt, unless both begin with it)",
    "ranked": "prompt, completions, and scores or ranks",
    "rated": "prompt, completion, and score or aspects",
    "stepwise": "prompt, completions, labels",
    "unpaired": "prompt, completion, label",
    "prompts": "prompt",
}
"""What a row of each kind must have, in words."""


def parse(raw: Raw, kind: Kind) -> Row:
    """Reads one row.

    Args:
        raw: column to value, as JSON gives it; a cell may hold lists and messages as JSON text.
        kind: the format.

    Raises:
        RowError: names the field, its value and the reason.
        InputError: if the kind is not known.
    """
    if kind not in _PARSERS:
        raise InputError(f"records: kind {kind!r} is not known; {nearest(kind, COLUMNS)}")
    return _PARSERS[kind](raw)


def kind_of(row: Row) -> Kind:
    """The name of a row's format."""
    return _KINDS[type(row)]


def to_dict(row: Row) -> dict[str, Any]:
    """The row as a file holds it; `parse(to_dict(row), kind_of(row)) == row`.

    Raises:
        InputError: if a key of `meta` is the name of one of the kind's own columns.
    """
    kind = kind_of(row)
    out = _DUMPERS[kind](row)
    for name, value in row.meta.items():
        if name in COLUMNS[kind]:
            raise InputError(f"records: meta has {name!r}, which is a column of {kind}; rename it")
        out[name] = value
    return out


def _sample(raw: Raw) -> Sample:
    steps = None if raw.get("steps") is None else items("steps", raw["steps"], text)
    prompt, reply = prompt_field(raw), completion_field(raw, "completion")
    reply = without_prompt(prompt, reply, "completion")
    try:
        return Sample(prompt, reply, raw.get("reference"), label_text(raw, "group"), steps, _meta(raw, "samples"))
    except RowError:
        raise
    except InputError as error:
        raise RowError("steps", list(steps or ()), str(error).removeprefix("sample: ")) from error


def _pair(raw: Raw) -> Pair:
    chosen: Completion
    rejected: Completion
    if raw.get("prompt") is None:
        prompt, *replies = implicit_pair(present(raw, "chosen"), present(raw, "rejected"))
        chosen, rejected = replies
    else:
        prompt = prompt_field(raw)
        chosen = without_prompt(prompt, completion_field(raw, "chosen"), "chosen")
        rejected = without_prompt(prompt, completion_field(raw, "rejected"), "rejected")
    margin, chosen_score, rejected_score = (
        optional_number(raw, name) for name in ("margin", "chosen_score", "rejected_score")
    )
    return Pair(
        prompt,
        chosen,
        rejected,
        margin,
        chosen_score,
        rejected_score,
        label_text(raw, "annotator"),
        _meta(raw, "pairs"),
    )


def _ranked(raw: Raw) -> Ranked:
    prompt = prompt_field(raw)
    completions = items("completions", present(raw, "completions"), completion)
    scores, ranks = raw.get("scores"), raw.get("ranks")
    if (scores is None) == (ranks is None):
        given = "both are given" if scores is not None else "both are missing"
        raise RowError("scores", scores, f"{given}; give scores (higher is better) or ranks (1 is best)")
    name = "ranks" if scores is None else "scores"
    values = items(name, raw[name], number)
    if len(values) != len(completions):
        raise RowError(name, list(values), f"{len(values)} of them for {len(completions)} completions")
    if len(completions) < 2:
        raise RowError("completions", list(completions), "a ranking needs at least two")
    return Ranked(prompt, completions, values if name == "scores" else tuple(-v for v in values), _meta(raw, "ranked"))


def _rated(raw: Raw) -> Rated:
    prompt, reply = prompt_field(raw), completion_field(raw, "completion")
    reply = without_prompt(prompt, reply, "completion")
    aspects = {} if raw.get("aspects") is None else numbers_by_name("aspects", raw["aspects"])
    score = optional_number(raw, "score")
    if score is None and not aspects:
        raise RowError("score", None, "neither score nor aspects is given; a rating needs one of them")
    return Rated(prompt, reply, score, aspects, _meta(raw, "rated"))


def _unpaired(raw: Raw) -> Unpaired:
    prompt, reply = prompt_field(raw), completion_field(raw, "completion")
    reply = without_prompt(prompt, reply, "completion")
    return Unpaired(prompt, reply, flag("label", present(raw, "label")), _meta(raw, "unpaired"))


def _stepwise(raw: Raw) -> Stepwise:
    prompt = prompt_field(raw)
    steps = items("completions", present(raw, "completions"), text)
    labels = items("labels", present(raw, "labels"), _step_label)
    if len(labels) != len(steps):
        raise RowError("labels", list(labels), f"{len(labels)} of them for {len(steps)} steps")
    if not steps:
        raise RowError("completions", [], "there are no steps")
    return Stepwise(prompt, steps, labels, _meta(raw, "stepwise"))


def _step_label(name: str, value: Any) -> float:
    return float(value) if isinstance(value, bool) else number(name, value)


def _prompt_only(raw: Raw) -> PromptOnly:
    return PromptOnly(prompt_field(raw), raw.get("reference"), _meta(raw, "prompts"))


def _meta(raw: Raw, kind: Kind) -> dict[str, Any]:
    own = COLUMNS[kind]
    meta = {name: value for name, value in raw.items() if name not in own}
    if meta.get("tools") is not None:
        meta["tools"] = _tools(meta["tools"])
    if meta.get("chat_template_kwargs") is not None:
        options = decoded(meta["chat_template_kwargs"])
        if not isinstance(options, Mapping):
            raise RowError("chat_template_kwargs", options, "give an object of options for the chat template")
        meta["chat_template_kwargs"] = dict(options)
    return meta


def _tools(value: Any) -> list[Any]:
    found = decoded(value)
    if not isinstance(found, list) or not all(isinstance(tool, Mapping) for tool in found):
        raise RowError("tools", value, "give a list of tool descriptions, or its JSON")
    return found


def prompt_cell(prompt: Conversation, completions: tuple[Completion, ...] = ()) -> str | list[dict[str, Any]]:
    """A prompt as a file holds it: text where that says everything, messages otherwise.

    Args:
        prompt: the conversation.
        completions: what stands beside it; where one of them is messages, so is the prompt, as TRL wants it.
    """
    if not prompt:
        raise InputError("records: a row has a prompt without messages, which no file can hold; give at least one")
    only = prompt[0]
    plain = len(prompt) == 1 and only.role == "user" and not only.tool_calls and not only.extra
    # text that would be read back as a transcript must not be written as text
    if plain and isinstance(only.content, str) and all(isinstance(c, str) for c in completions):
        if not is_transcript(only.content):
            return only.content
    return [message.to_dict() for message in prompt]


def completion_cell(value: Completion) -> str | list[dict[str, Any]]:
    """A completion as a file holds it."""
    return value if isinstance(value, str) else [message.to_dict() for message in value]


def _some(**cells: Any) -> dict[str, Any]:
    return {name: value for name, value in cells.items() if value is not None}


def _dump_sample(row: Sample) -> dict[str, Any]:
    out = {
        "prompt": prompt_cell(row.prompt, (row.completion,)),
        "completion": completion_cell(row.completion),
    }
    steps = None if row.steps is None else list(row.steps)
    return {**out, **_some(reference=row.reference, group=row.group, steps=steps)}


def _dump_pair(row: Pair) -> dict[str, Any]:
    out = {
        "prompt": prompt_cell(row.prompt, (row.chosen, row.rejected)),
        "chosen": completion_cell(row.chosen),
        "rejected": completion_cell(row.rejected),
    }
    scores = _some(margin=row.margin, chosen_score=row.chosen_score, rejected_score=row.rejected_score)
    return {**out, **scores, **_some(annotator=row.annotator)}


def _dump_ranked(row: Ranked) -> dict[str, Any]:
    completions = [completion_cell(c) for c in row.completions]
    return {
        "prompt": prompt_cell(row.prompt, row.completions),
        "completions": completions,
        "scores": list(row.scores),
    }


def _dump_rated(row: Rated) -> dict[str, Any]:
    out = {
        "prompt": prompt_cell(row.prompt, (row.completion,)),
        "completion": completion_cell(row.completion),
    }
    return {**out, **_some(score=row.score, aspects=dict(row.aspects) or None)}


def _dump_unpaired(row: Unpaired) -> dict[str, Any]:
    prompt = prompt_cell(row.prompt, (row.completion,))
    return {"prompt": prompt, "completion": completion_cell(row.completion), "label": row.label}


def _dump_stepwise(row: Stepwise) -> dict[str, Any]:
    return {
        "prompt": prompt_cell(row.prompt),
        "completions": list(row.completions),
        "labels": list(row.labels),
    }


def _dump_prompt_only(row: PromptOnly) -> dict[str, Any]:
    return {"prompt": prompt_cell(row.prompt), **_some(reference=row.reference)}


_KINDS: dict[type, Kind] = {
    Sample: "samples",
    Pair: "pairs",
    Ranked: "ranked",
    Rated: "rated",
    Stepwise: "stepwise",
    Unpaired: "unpaired",
    PromptOnly: "prompts",
}
_PARSERS: dict[Kind, Callable[[Raw], Row]] = {
    "samples": _sample,
    "pairs": _pair,
    "ranked": _ranked,
    "rated": _rated,
    "stepwise": _stepwise,
    "unpaired": _unpaired,
    "prompts": _prompt_only,
}
_DUMPERS: dict[Kind, Callable[[Any], dict[str, Any]]] = {
    "samples": _dump_sample,
    "pairs": _dump_pair,
    "ranked": _dump_ranked,
    "rated": _dump_rated,
    "stepwise": _dump_stepwise,
    "unpaired": _dump_unpaired,
    "prompts": _dump_prompt_only,
}
