"""Opening model folders and hub ids: safetensors only, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, MissingError, UnsupportedError
from plaudit.runs.atomic import check_replaceable

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.bin", "model.pt", "model.pth", "model.pkl")


TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


def of_run(folder: Path) -> Path:
    """The model's folder of a run (`plaudit train --out`); any other folder as it is."""
    if not (folder / "config.json").is_file() and (folder / "model" / "config.json").is_file():
        return folder / "model"
    return folder


def locate(reference: str) -> Path | None:
    """The folder that a reference names, of a model or of the run that made it; None for a hub id.

    Raises:
        MissingError: if the path does not exist and is no hub id.
        InputError: if it is a file.
    """
    path = packaged(reference) if reference.startswith("package:") else Path(reference)
    if not path.exists():
        # `runs/x` where there is a folder `runs` is a path that was mistyped, not an id to look for on the network
        looks = re.fullmatch(r"[\w.-]+/[\w.-]+", reference) and not reference.startswith(".")
        if looks and not path.parent.is_dir():
            return None
        raise MissingError(f"{reference}: no such model folder; give a folder that holds config.json, or a hub id")
    if path.is_file():
        raise InputError(f"{reference}: is a file; give the model's folder")
    return of_run(path)


def check_folder(reference: str) -> Path | None:
    """The folder that a reference names, checked to hold a configuration and safetensors; None for a hub id.

    Raises:
        MissingError: as `locate`, or if it holds no weights.
        InputError: as `locate`, or if there are pickled weights only.
    """
    path = locate(reference)
    if path is None:
        return None
    if not (path / "config.json").is_file():
        raise MissingError(f"{reference}: holds no config.json; is it a model folder, or a run that has finished?")
    if not any((path / name).is_file() for name in WEIGHTS):
        pickled = next((name for name in PICKLES if (path / name).is_file()), None)
        if pickled:
            raise InputError(
                f"{reference}: weights are a pickle ({pickled}), which can run code when it is opened; "
                "convert them to model.safetensors"
            )
        raise MissingError(f"{reference}: holds no weights; expected model.safetensors")
    return path


def packaged(reference: str) -> Path:
    """The folder that `package:NAME/FOLDER` names inside an installed Python package.

    Raises:
        MissingError: if the package is not installed.
    """
    name, _, inside = reference.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        project = name.replace("_", "-")
        raise MissingError(f"{reference}: the package {name!r} is not installed; pip install {project}")
    return Path(spec.submodule_search_locations[0]) / inside


def open_pretrained(kind: Any, reference: str, **options: Any) -> Any:
    """`kind.from_pretrained(reference)` with safetensors, without remote code, and with one-line errors.

    Args:
        kind: an Auto class of transformers.
        reference: a folder, or a hub id.
        **options: passed on.
    """
    return _opened(kind, reference, check_folder(reference), "a model", options)


class _Told(logging.Filter):
    """Drops what is said here in one line: which weights a folder lacks, and each try to reach the hub."""

    def __init__(self, reference: str, hub: bool, checked: bool) -> None:
        super().__init__()
        self.reference, self.hub, self.checked, self.said = reference, hub, checked, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is passed on; the first try that failed is, in other words."""
        message = record.getMessage()
        if self.checked and "LOAD REPORT" in message:
            return False
        if not self.hub or not re.search(r"thrown while requesting|Retrying in ", message):
            return True
        record.msg, record.args = f"{self.reference}: the hub does not answer; it is asked again", ()
        first, self.said = not self.said, True
        return first

    @contextmanager
    def over(self, *loggers: str) -> Iterator[None]:
        """Within it, what these loggers say goes through here."""
        found = [logging.getLogger(name) for name in loggers]
        for one in found:
            one.addFilter(self)
        try:
            yield
        finally:
            for one in found:
                one.removeFilter(self)


def _opened(kind: Any, reference: str, where: Path | None, what: str, options: dict[str, Any]) -> Any:
    told = _Told(reference, where is None, bool(options.get("output_loading_info")))
    try:
        with told.over("transformers.modeling_utils", "huggingface_hub.utils._http"):
            return kind.from_pretrained(str(where or reference), **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = " ".join(str(error).split()) or type(error).__name__
        if where is None:
            raise MissingError(
                f"{reference}: not found here or on the hub, or no network ({first:.160}); give a local folder"
            ) from error
        raise InputError(f"{reference}: cannot be opened as {what} ({first:.200})") from error
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise InputError(
                f"{reference}: model.safetensors is torn or not safetensors ({error}); save it again"
            ) from error
        raise


def open_classifier(
    reference: str, *, fresh_head: bool = False, outputs: int = 1, network: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    """A sequence-classification model with so many outputs.

    Args:
        reference: a folder, or a hub id.
        outputs: numbers that its head emits.
        network: of its manifest's head; None for a linear head.
        fresh_head: whether weights that the folder lacks, or has for another number of outputs, may be drawn at
            random: where training starts, never where something is to be scored.
        **options: passed on to transformers.

    Raises:
        InputError: if weights are missing and may not be drawn.
        UnsupportedError: if the model has another number of outputs.
    """
    from transformers import AutoModelForSequenceClassification

    kind: Any = AutoModelForSequenceClassification
    if network:
        from transformers import AutoConfig

        from plaudit.rewards.heads import Network, network_class

        kind = network_class(open_pretrained(AutoConfig, reference), Network.from_dict(network))
    if fresh_head:
        options["ignore_mismatched_sizes"] = True
    model, report = open_pretrained(kind, reference, use_safetensors=True, output_loading_info=True, **options)
    for name, found, wanted in report["mismatched_keys"]:
        if tuple(found)[1:] != tuple(wanted)[1:]:  # not a head with other outputs
            raise InputError(
                f"{reference}: {name} is {tuple(found)}, and its config says {tuple(wanted)}; save it again"
            )
    if model.config.num_labels != outputs:
        wanted = "a scalar reward model has one (num_labels=1)" if outputs == 1 else f"its manifest says {outputs}"
        raise UnsupportedError(f"{reference}: has {model.config.num_labels} outputs; {wanted}")
    lacking = sorted(report["missing_keys"])
    if lacking and not fresh_head:
        raise InputError(
            f"{reference}: holds no weights for {lacking[0]}{f' and {len(lacking) - 1} more' if lacking[1:] else ''}, "
            "so its scores would be random; give a reward model, or train this one (plaudit train --model)"
        )
    return model


def check_place(out: str | Path, *sources: str | Path) -> None:
    """Refuses to write a model over something else, or over one that it is made of: before the work, not after it.

    Args:
        out: folder that is written.
        sources: folders, or hub ids, that are read.

    Raises:
        InputError: if it is one of them, or holds one or something that is no model.
    """
    check_replaceable(out, mark="config.json")
    for source in sources:
        read = of_run(Path(source))
        if read.is_dir() and read.resolve().is_relative_to(Path(out).resolve()):
            raise InputError(f"write: {out} is or holds {read}, which is read; name another folder")


def open_tokenizer(reference: str) -> Any:
    """The tokenizer of a folder (a model's, or one of its own) or hub id.

    Raises:
        MissingError: as `locate`, or if the folder holds no tokenizer.
        InputError: if what it holds cannot be read.
    """
    from transformers import AutoTokenizer

    where = locate(reference)
    if where is not None and not any((where / name).is_file() for name in TOKENIZERS):
        raise MissingError(f"{reference}: holds no tokenizer; save one there, or name another folder's")
    return _opened(AutoTokenizer, reference, where, "a tokenizer", {})


def weights_hash(model: Any, *extra: str) -> str:
    """First 32 hex digits of a hash over all parameters and buffers, by name, and further texts."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        data = tensor.detach().cpu().contiguous()
        digest.update(str((data.dtype, tuple(data.shape))).encode())
        digest.update(data.flatten().view(dtype=_bytes()).numpy())
    for text in extra:
        digest.update(text.encode())
    return digest.hexdigest()


def vocabulary(tokenizer: Any) -> str:
    """What a tokenizer does, as text to be hashed."""
    return (
        str(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else repr(sorted(tokenizer.get_vocab().items()))
    )


def _bytes() -> Any:
    import torch

    return torch.uint8
