"""The constraints by their IFEval names, the reading of a reference, and the loose variants of a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from plaudit.errors import InputError, nearest
from plaudit.rewards.verifiers.structure.constraints import languages, layout, lengths, wording
from plaudit.rewards.verifiers.structure.constraints.base import (
    COUNT,
    LETTER,
    PLACE,
    RELATION,
    TEXT,
    TEXTS,
    Constraint,
)

CONSTRAINTS: dict[str, Constraint] = {
    "keywords:existence": Constraint(wording.has_keywords, {"keywords": TEXTS}),
    "keywords:frequency": Constraint(
        wording.keyword_frequency, {"keyword": TEXT, "frequency": COUNT, "relation": RELATION}
    ),
    "keywords:forbidden_words": Constraint(wording.lacks_words, {"forbidden_words": TEXTS}),
    "keywords:letter_frequency": Constraint(
        wording.letter_frequency, {"letter": LETTER, "let_frequency": COUNT, "let_relation": RELATION}
    ),
    "language:response_language": Constraint(languages.in_language, {"language": languages.LANGUAGE}),
    "length_constraints:number_sentences": Constraint(
        lengths.number_of_sentences, {"num_sentences": COUNT, "relation": RELATION}
    ),
    "length_constraints:number_paragraphs": Constraint(lengths.number_of_paragraphs, {"num_paragraphs": COUNT}),
    "length_constraints:number_words": Constraint(lengths.number_of_words, {"num_words": COUNT, "relation": RELATION}),
    "length_constraints:nth_paragraph_first_word": Constraint(
        lengths.nth_paragraph_first_word, {"num_paragraphs": COUNT, "nth_paragraph": PLACE, "first_word": TEXT}
    ),
    "detectable_content:number_placeholders": Constraint(layout.number_of_placeholders, {"num_placeholders": COUNT}),
    "detectable_content:postscript": Constraint(layout.has_postscript, {"postscript_marker": TEXT}),
    "detectable_format:number_bullet_lists": Constraint(layout.number_of_bullets, {"num_bullets": COUNT}),
    "detectable_format:constrained_response": Constraint(layout.is_constrained, {}),
    "detectable_format:number_highlighted_sections": Constraint(layout.number_of_highlights, {"num_highlights": COUNT}),
    "detectable_format:multiple_sections": Constraint(
        layout.number_of_sections, {"section_spliter": TEXT, "num_sections": COUNT}
    ),
    "detectable_format:json_format": Constraint(layout.is_json, {}),
    "detectable_format:title": Constraint(layout.has_title, {}),
    "combination:two_responses": Constraint(wording.gives_two, {}),
    "combination:repeat_prompt": Constraint(wording.repeats_prompt, {"prompt_to_repeat": TEXT}),
    "startend:end_checker": Constraint(wording.ends_with, {"end_phrase": TEXT}),
    "startend:quotation": Constraint(wording.is_quoted, {}),
    "change_case:capital_word_frequency": Constraint(
        languages.capital_words, {"capital_frequency": COUNT, "capital_relation": RELATION}
    ),
    "change_case:english_capital": Constraint(languages.is_english_capital, {}),
    "change_case:english_lowercase": Constraint(languages.is_english_lowercase, {}),
    "punctuation:no_comma": Constraint(languages.has_no_comma, {}),
}
"""The 25 kinds, spelled as IFEval spells them."""

Check = Callable[[str], bool]


def constraints_of(reference: Any) -> list[tuple[str, Check]]:
    """The constraints that a reference asks for, each with its name, in order.

    Args:
        reference: `{"instruction_id_list": [...], "kwargs": [...]}` as IFEval publishes it. An argument that is None
            counts as absent; where no kind has arguments, `kwargs` may be left out.

    Raises:
        InputError: if it has another shape, a name is unknown, or an argument is missing, unknown or illegal.
    """
    names = reference.get("instruction_id_list") if isinstance(reference, Mapping) else None
    given = reference.get("kwargs") if isinstance(reference, Mapping) else None
    if not isinstance(names, list | tuple) or not names:
        raise InputError(
            f'reference is {reference!r:.80}; give {{"instruction_id_list": [names], "kwargs": [objects]}}'
        )
    arguments = [{}] * len(names) if given is None else given
    if not isinstance(arguments, list | tuple) or len(arguments) != len(names):
        raise InputError(f"reference has {len(names)} instructions and kwargs {given!r:.60}; give an object for each")
    return [(name, _bound(name, own)) for name, own in zip(names, arguments, strict=True)]


def _bound(name: Any, given: Any) -> Check:
    constraint = CONSTRAINTS.get(name) if isinstance(name, str) else None
    if constraint is None:
        raise InputError(f"reference has the instruction {name!r:.60}; {nearest(str(name)[:60], CONSTRAINTS)}")
    if not isinstance(given, Mapping | None):
        raise InputError(f"reference has kwargs {given!r:.60} for {name}; give an object")
    own = {key: value for key, value in (given or {}).items() if value is not None}
    for key in own:
        if key not in constraint.needs:
            raise InputError(
                f"reference has the argument {key!r:.40} for {name}; {nearest(str(key), constraint.needs)}"
            )
    for key, argument in constraint.needs.items():
        if key not in own:
            raise InputError(f"reference lacks {key} for {name}; give {argument.said}")
        if not argument.legal(own[key]):
            raise InputError(f"reference has {key} {own[key]!r:.60} for {name}; give {argument.said}")
    return partial(constraint.check, **own)


def loose_variants(response: str) -> list[str]:
    """The response and what is left without its first line, its last, both, each also without asterisks: eight.

    Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models", loose accuracy.
    """
    lines = response.split("\n")
    cuts = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [response, response.replace("*", ""), *cuts, *(cut.replace("*", "") for cut in cuts)]
