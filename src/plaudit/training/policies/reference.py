"""What a frozen reference says of every counted token: computed once, before the first step, and kept on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.records.sample import content_hash
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.training.policies.encoding import PolicyGroup

Logps = np.ndarray[Any, np.dtype[np.float32]]


def reference_logps(reference: LanguageModel, groups: Sequence[PolicyGroup], path: Path) -> list[Logps]:
    """Log-probabilities of the counted tokens of all sequences, one array a sequence: read, or computed and kept.

    Args:
        reference: as it is now; it is not needed afterwards.
        groups: whose sequences are read, on prefix trees where the model allows it.
        path: where they are kept; a file of other weights or other sequences is replaced.

    Raises:
        InputError: if one is not finite.
    """
    located = [one for g in groups for one in g.located]
    ends = np.cumsum([one.counted.size for one in located])
    key = content_hash(["tokens", reference.fingerprint, [g.key for g in groups]])
    if path.is_file():
        with np.load(path) as kept:
            if str(kept["key"]) == key:
                return np.split(kept["logps"], ends[:-1])
    if torch.accelerator.is_available():  # where the trainer would move it in a moment
        kind = torch.accelerator.current_accelerator()
        reference.model.to(f"{kind}:{os.environ.get('LOCAL_RANK', '0')}")
    read = reference.read(located)
    logps = np.concatenate([np.zeros(0) if one is None else one.logps for one in read]).astype(np.float32)
    if not np.isfinite(logps).all():
        raise InputError("training: the reference's log-probabilities are not finite; give another model")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part.npz")
    np.savez(partial, key=np.array(key), logps=logps)
    partial.replace(path)
    return np.split(logps, ends[:-1])
