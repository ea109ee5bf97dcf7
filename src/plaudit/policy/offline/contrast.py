"""Rewards a token from the policy itself: what it would sooner say where a good answer is asked for than a bad one.

Differs from the paper: the two instructions are ours (the paper asks for a better and for a worse revision).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.offline.data.scored import told
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.shaping.steps import contrastive_token_rewards
from plaudit.training.policies.encoding import PolicyGroup, encode_policy_groups
from plaudit.training.policies.reference import Logps, reference_logps

BETTER = "Give a correct, helpful and well written response."
WORSE = "Give a wrong, unhelpful and badly written response."
"""What the system says behind the conversation's own words."""


def with_token_rewards(
    groups: Sequence[PolicyGroup], rows: Sequence[Any], language: LanguageModel, out: Path
) -> list[PolicyGroup]:
    """The groups with a reward for each counted token, `sigmoid(logp asked for better - logp asked for worse) - 1/2`.

    Computed once with the policy as it is, and kept beside the reference.

    Args:
        groups: as encoded from the rows, one a row.
        rows: pairs or ranked rows.
        language: the policy.
        out: run folder.

    Raises:
        InputError: if a completion is divided into other tokens behind another instruction.
    """
    both: list[list[Logps]] = []
    for name, words in (("better", BETTER), ("worse", WORSE)):
        asked = [replace(row, prompt=told(row.prompt, words)) for row in rows]
        encoded = encode_policy_groups(asked, language, labels=False)
        both.append(reference_logps(language, encoded, out / f"{name}.reference.npz"))
    found, start = [], 0
    for i, group in enumerate(groups):
        mine = []
        for one, up, down in zip(
            group.located, *(side[start : start + len(group.located)] for side in both), strict=True
        ):
            if not one.counted.size == up.size == down.size:
                raise InputError(
                    f"t-reg: row {i + 1}: a completion has {one.counted.size} tokens, and {up.size} and {down.size} "
                    "behind the two instructions; the chat template does not keep turns apart"
                )
            mine.append(contrastive_token_rewards(up, down).astype(np.float32))
        found.append(replace(group, token_rewards=tuple(mine)))
        start += len(group.located)
    return found
