"""Customising the strong model: an instruction and worked examples before the prompt, by the prompt's domain.

Differs from the paper: a domain is named by the sample or found by words of the prompt, not by asking a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, MissingError, nearest
from plaudit.records.message import Message
from plaudit.records.sample import Conversation, Sample


@dataclass(frozen=True, slots=True)
class Domain:
    """What is put before the prompts of one domain.

    Attributes:
        instruction: says what a good answer is; joins the system message, or becomes one.
        exemplars: question and good answer, each a turn of the user and one of the assistant.
        words: a prompt in which one of them occurs (in lower case) belongs to this domain.
    """

    instruction: str = ""
    exemplars: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()

    def before(self, prompt: Conversation) -> Conversation:
        """The prompt with instruction and exemplars before it; a system message stays first."""
        system = [m for m in prompt[:1] if m.role == "system"]
        told = [t for t in (system[0].text if system else "", self.instruction) if t]
        head = [Message("system", "\n\n".join(told))] if told else []
        shown = [
            m for question, answer in self.exemplars for m in (Message("user", question), Message("assistant", answer))
        ]
        return (*head, *shown, *prompt[len(system) :])


def route(sample: Sample, domains: Mapping[str, Domain]) -> str | None:
    """The domain of a sample, or None.

    It is the one that `meta["domain"]` names, else the first of whose words one occurs in the prompt, else `default`.

    Args:
        sample: whose prompt is looked at.
        domains: by name, in the order in which they are tried.

    Raises:
        InputError: if the sample names a domain that is not known.
    """
    named = sample.meta.get("domain")
    if named is not None:
        if named not in domains:
            raise InputError(f"domain {named!r} is not known; {nearest(str(named), domains)}")
        return str(named)
    asked = " ".join(m.text for m in sample.prompt).lower()
    hit = next((name for name, d in domains.items() if any(w.lower() in asked for w in d.words)), None)
    return hit if hit is not None else ("default" if "default" in domains else None)


def read_domains(path: str | Path) -> dict[str, Domain]:
    """Domains from a YAML file: name over `instruction`, `exemplars` (each `prompt` and `completion`), `words`.

    Raises:
        MissingError: if there is no such file.
        InputError: if it is not of this form.
    """
    import yaml

    file = Path(path)
    if not file.is_file():
        raise MissingError(f"{path}: no such file; domains are a YAML file of name over instruction and exemplars")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"{path}: holds {type(content).__name__}; give a mapping of domain to instruction and exemplars"
        )
    return {str(name): _domain(f"{path}: {name}", row) for name, row in content.items()}


def _domain(where: str, row: Any) -> Domain:
    if not isinstance(row, Mapping):
        raise InputError(f"{where}: is {type(row).__name__}; give instruction, exemplars, words")
    for key in row:
        if key not in ("instruction", "exemplars", "words"):
            raise InputError(
                f"{where}: unknown key {key!r}; {nearest(str(key), ('instruction', 'exemplars', 'words'))}"
            )
    shown = row.get("exemplars") or []
    if not isinstance(shown, Sequence) or not all(
        isinstance(e, Mapping) and {"prompt", "completion"} <= set(e) for e in shown
    ):
        raise InputError(f"{where}: exemplars need a prompt and a completion each")
    pairs = tuple((str(e["prompt"]), str(e["completion"])) for e in shown)
    return Domain(str(row.get("instruction") or ""), pairs, tuple(str(w) for w in row.get("words") or ()))
