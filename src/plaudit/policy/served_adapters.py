"""Sampling from a vLLM server that gets the policy's new weights before every batch, as a LoRA adapter.

The policy is trained in this process, with adapters (`lora_rank`), from the model that the server holds. Before a batch
is sampled its adapter is written to a folder that the server can read and loaded into it by `POST
/v1/load_lora_adapter`, under a name that is made of the weights: what is sampled under that name comes from them. The
one before is unloaded then, and its folder removed. vLLM must run with `--enable-lora`, `--max-lora-rank` of at least
the rank, and `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True` in its environment.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from plaudit.errors import InputError, UnsupportedError
from plaudit.policy.rollout import Question, Rollout, Sampler, Sampling, ends_of
from plaudit.policy.served import Connection, ServerSampler
from plaudit.records.sample import content_hash
from plaudit.runs.atomic import atomic_folder


def with_adapters(
    url: str, folder: str | Path, *, name: str = "plaudit", processed: bool = False,
    connection: Connection | None = None,
) -> Callable[[Any, Any], Sampler]:  # fmt: skip
    """What `improve(..., sampler=...)` takes: sampling from a server that follows the policy.

    Args:
        url: of the server, see `ServerSampler`.
        folder: where adapters are written; the server must see it under the same path.
        name: begins the adapters' names.
        processed: see `ServerSampler`.
        connection: see `ServerSampler`.

    Returns:
        A function of model and encoder. It raises UnsupportedError where the model has no adapters, or where several
        processes train: each would load weights of its own.
    """

    def made(model: Any, encoder: Any) -> Sampler:
        if not hasattr(model, "peft_config"):
            raise UnsupportedError("sampling from a server that follows the policy needs adapters; set lora_rank")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UnsupportedError("sampling from a server that follows the policy needs one training process")
        server = ServerSampler(
            url, name, encoder.tokenizer, ends=ends_of(model, encoder.tokenizer), processed=processed,
            connection=connection,
        )  # fmt: skip
        return Following(model, server, Path(folder), name)

    return made


@final
class Following:
    """A `Sampler` whose server has the model's adapter of the moment.

    Args:
        model: with peft's adapters.
        server: that samples.
        folder: where adapters are written.
        name: begins their names.
    """

    def __init__(self, model: Any, server: ServerSampler, folder: Path, name: str) -> None:
        self.model, self.server, self.folder, self.name = model, server, folder, name
        self.loaded = ""
        """The adapter that the server has, by its name."""

    def __call__(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Rollout]]:  # fmt: skip
        """See `Sampler` and `ServerSampler`.

        Raises:
            InputError: if the server does not load the adapter.
        """
        self._follow()
        return self.server(questions, sampling, seed=seed, progress=progress)

    def one_by_one(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int,
        progress: Callable[[int], object] | None = None, kept: Callable[[int, list[Rollout]], object],
    ) -> None:  # fmt: skip
        """See `ServerSampler.one_by_one`.

        Raises:
            InputError: if the server does not load the adapter.
        """
        self._follow()
        self.server.one_by_one(questions, sampling, seed=seed, progress=progress, kept=kept)

    def _follow(self) -> None:
        """Loads the adapter where it is another one than the server has."""
        name = f"{self.name}-{self._digest()}"
        if name == self.loaded:
            return
        path = (self.folder / name).resolve()
        with atomic_folder(path) as temporary:
            self.model.save_pretrained(temporary)
        self._load(name, path)
        before, self.loaded, self.server.model = self.loaded, name, name
        if before:
            self.server.post("unload_lora_adapter", {"lora_name": before})
            shutil.rmtree(self.folder / before, ignore_errors=True)

    def _load(self, name: str, path: Path) -> None:
        try:
            self.server.post("load_lora_adapter", {"lora_name": name, "lora_path": str(path)})
        except InputError as error:
            if "already" in str(error):  # by a run that was killed: the name says that the weights are these
                return
            raise InputError(
                f"{error}; vLLM loads adapters with --enable-lora, --max-lora-rank of at least the rank, "
                f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and where it can read {path}"
            ) from error

    def _digest(self) -> str:
        """Of the adapters' weights, as they are."""
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(self.model)
        return content_hash({k: v.detach().float().cpu().numpy().tobytes().hex() for k, v in sorted(state.items())})[
            :16
        ]
