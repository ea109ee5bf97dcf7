"""A policy in its run folder: a plain model folder of transformers, with a record of how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plaudit.rewards.likelihood.saved import write_causal
from plaudit.runs.atomic import atomic_folder, write_text

RECORD = "alignment.json"
"""What was done, beside the weights: algorithm, options, data, versions."""


def save_policy(model: Any, tokenizer: Any, folder: Path, record: dict[str, Any]) -> None:
    """Writes model, tokenizer and record; the folder is there whole or not at all."""
    with atomic_folder(folder, mark="config.json") as temporary:
        write_causal(model, Path(temporary))
        tokenizer.save_pretrained(temporary)
        write_text(Path(temporary) / RECORD, json.dumps(record, indent=1, default=str) + "\n")
