"""Weights that FSDP divides among processes: made whole where training ends, for whoever scores or saves the model.

FSDP comes with the Trainer: `accelerate launch` with `fsdp_version: 2`. Every process runs equally many rows (a step is
one row in several processes), so the calls that gather weights meet.
"""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor, nn

from plaudit.errors import UnsupportedError


def check_sharding() -> None:
    """Refuses launchers under which training would go wrong in silence.

    The first version of FSDP flattens weights where they cannot be read by name. DeepSpeed has all columns of a batch
    in the engine's precision (in bfloat16 a log-probability of -523.4 is -524, and sources are confused), and makes a
    step of every backward pass.

    Raises:
        UnsupportedError: if one was asked for.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        raise UnsupportedError(
            "training under DeepSpeed is not supported: it would round labels and step too often; use FSDP with "
            "fsdp_version: 2, or plain data parallelism"
        )
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if asked and os.environ.get("FSDP_VERSION", "1") != "2":
        raise UnsupportedError("training under FSDP needs its second version; set fsdp_version: 2 in fsdp_config")


def check_undivided(accelerator: Any, option: str, what: str) -> None:
    """Refuses processes that each hold a part of the weights, where all of them are needed at once.

    Args:
        accelerator: of accelerate.
        option: that asks for it, for the message.
        what: needs the weights whole.

    Raises:
        UnsupportedError: if the weights are divided.
    """
    kind = str(getattr(accelerator.distributed_type, "value", accelerator.distributed_type))
    if kind != "NO" and not kind.startswith("MULTI"):
        raise UnsupportedError(
            f"{option}: {kind} divides the weights among processes, and {what} needs them whole; "
            f"use plain data parallelism, or leave {option} out"
        )


def made_whole(model: nn.Module) -> None:
    """Gathers weights that FSDP has divided, in place, for good; every process must call it. Others stay as they are.

    Args:
        model: trained; each process holds all of it afterwards.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()


def plain_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """What is written of a model that `made_whole` has gathered: its state dict would be the divided weights again.

    Args:
        model: with whatever weights.

    Returns:
        Parameters and persistent buffers by name; None for a model that was never divided, whose state dict will do.
    """
    from torch.distributed.fsdp import FSDPModule

    if not any(isinstance(module, FSDPModule) for module in model.modules()):
        return None
    kept = {name: p.detach() for name, p in model.named_parameters(remove_duplicate=False)}
    for path, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                kept[f"{path}.{name}" if path else name] = buffer
    return kept
