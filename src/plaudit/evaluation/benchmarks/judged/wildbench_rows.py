"""WildBench's rows: published result files, and the data set's rows beside them.

A published pair has `session_id, model_A, model_B, winner, extent, model_outputs`, a published score `session_id,
model_test, score, model_output`; neither has a prompt or a tag. These are in the data set's rows, given as another
file, and are joined by session. Without them stored judgements are read all the same, and no judge can be asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from plaudit.evaluation.benchmarks.items import Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judged.wildbench_tasks import data_set_row, groups_of, keys_of
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Conversation, Sample

PROMPTS = ("conversation_input", "prompt", "history")
"""Columns that hold the conversation so far."""
EMPTY = "[This model response is empty.]"
ITSELF = "a model's answers beside its own, which is no comparison (the baseline's own file)"


def truncated(answer: str) -> bool:
    """Whether an answer ends with the mark that its code puts where it cut it."""
    return answer.endswith("... (truncated)")


def pairs_wanted(path: str) -> bool:
    """Whether a file may hold pairs: neither scores nor the batches that were sent to a judge."""
    return ".batch" not in path and not any(part.startswith("score") for part in path.split("/")[:-1])


def scores_wanted(path: str) -> bool:
    """Whether a file may hold scores: neither pairs nor the batches that were sent to a judge."""
    return ".batch" not in path and not any(part.startswith("pairwise") for part in path.split("/")[:-1])


def parse_pair(row: SourceRow) -> Item | str:
    """A model's answer and the baseline's."""
    if (known := data_set_row(row, ("model_outputs",), PROMPTS)) is not None:
        return known
    outputs = column(row, "model_outputs")[1]
    if not isinstance(outputs, Mapping) or not 1 <= len(outputs) <= 2:
        raise RowError("model_outputs", outputs, "give an object of two models and their outputs")
    if len(outputs) == 1:
        return ITSELF
    names = list(outputs)
    reference = baseline_of(row, names)
    model = next(n for n in names if n != reference)
    answers = (text(f"model_outputs.{model}", outputs[model]), text(f"model_outputs.{reference}", outputs[reference]))
    skipped = any(truncated(a) or a == EMPTY for a in answers)
    meta = {
        "lengths": [len(a) for a in answers], "groups": groups_of(row),
        "stored": _stored_verdict(row, model, reference),
        "skipped": skipped, "left": skipped or not all(answers), "keys": keys_of(row), "baseline": reference,
        "judge": _after(row, "eval="),
    }  # fmt: skip
    return _item(row, model, answers, (True, False), meta)


def parse_score(row: SourceRow) -> Item | str:
    """A model's answer and the score that a judge gave it."""
    if (known := data_set_row(row, ("model_output", "output"), PROMPTS)) is not None:
        return known
    answer = column(row, "model_output", "output")[1]
    answer = text("model_output", answer[0] if isinstance(answer, list) and answer else answer)
    model = str(row.cells.get("model_test") or row.cells.get("generator") or row.stem)
    meta = {
        "groups": groups_of(row), "cut": truncated(answer) or not answer, "stored": _stored_score(row),
        "keys": keys_of(row), "baseline": "", "judge": _after(row, "eval="),
    }  # fmt: skip
    checklist = list(items("checklist", row.cells.get("checklist") or [], text)) or None
    return _item(row, model, (answer,), (True,), meta, checklist)


def _item(
    row: SourceRow, model: str, answers: Sequence[str], good: tuple[bool, ...], meta: Mapping[str, object],
    checklist: list[str] | None = None,
) -> Item:  # fmt: skip
    prompt: Conversation = ()
    if not keys_of(row) or any(row.cells.get(c) is not None for c in PROMPTS):
        prompt = prompt_of(row, *PROMPTS)
    samples = tuple(Sample(prompt, a, reference=checklist, group=f"{row.file}:{row.number}") for a in answers)
    session = row.cells.get("session_id")
    if session is None and not prompt:
        session = keys_of(row)[0]
    # a conversation is one whichever models answer it; without a session the prompt says which it is
    return Item(identity(row), model, samples, good, cluster="" if session is None else str(session), meta=meta)


def baseline_of(row: SourceRow, names: Sequence[str]) -> str:
    """Which of two models is the baseline, by the column `ref_model` or the folder `ref=MODEL`.

    Published folders leave out the organisation (`Llama-2-70b-chat-hf` for `meta-llama/Llama-2-70b-chat-hf`), and the
    published code takes a name that contains the other. So the whole name counts first, then the name without its
    organisation, then a part of it.

    Raises:
        RowError: if neither says it, or it fits none or both.
    """
    said = str(row.cells.get("ref_model") or _after(row, "ref="))
    ways = (
        [n for n in names if n == said],
        [n for n in names if n.rpartition("/")[2] == said.rpartition("/")[2]],
        [n for n in names if said in n],
    )
    fitting = next((way for way in ways if said and way), [])
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RowError("ref_model", said, f"it fits {' and '.join(names)} alike; name the baseline in full")
    raise RowError(
        "ref_model", said or None,
        f"give which of {', '.join(names)} is the baseline, in this column or in a folder named ref=MODEL",
    )  # fmt: skip


def _after(row: SourceRow, mark: str) -> str:
    """What a folder's name says after a mark: the innermost folder's that has it; empty where none has."""
    return next((part.removeprefix(mark) for part in row.folders if part.startswith(mark)), "")


def _stored_verdict(row: SourceRow, model: str, reference: str) -> float:
    if row.cells.get("winner") is None:
        return math.nan
    winner, extent = row.cells["winner"], row.cells.get("extent")
    if winner == "tie":
        return 0.0
    if winner not in (model, reference) or extent not in (1, 2):
        raise RowError("winner", winner, f"give {model}, {reference} or tie, with extent 1 or 2 (it is {extent!r})")
    return (1 if winner == model else -1) * (1.0 if extent == 2 else 0.5)


def _stored_score(row: SourceRow) -> float:
    """The judge's score in the file, a number or its text, also below `parsed_result`; NaN where there is none."""
    parsed = row.cells.get("parsed_result")
    said = row.cells.get("score", parsed.get("score") if isinstance(parsed, Mapping) else None)
    if said is None:
        return math.nan
    try:
        value = float(said)
    except (TypeError, ValueError):
        value = math.nan
    if not 1 <= value <= 10:
        raise RowError("score", said, "give the judge's score, 1 to 10")
    return value
