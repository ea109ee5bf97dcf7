"""One output a member: their mean, and how far they are apart.

Bradley-Terry fixes differences only, so each member's zero is its own. `offsets`, found when the model is normalised
and kept with it, move every member's mean over the training completions to zero; without that the deviation would hold
the heads' biases too, and a reward would look the less certain the further the heads' zeros happen to lie apart. What
is left free is each *prompt's* shift: where completions of one prompt are compared, centre the members within the
prompt (`plaudit.shaping`) before their deviation means anything.

The deviation is that of the uniform mixture of the members (population, ddof 0), so that its square is the epistemic
term of the law of total variance, and the variance that [150] subtracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.readers.head import Readout, floats


def read_ensemble(outputs: Float[Tensor, "n k"], *, offsets: Sequence[float] = ()) -> Readout:
    """Score: the mean of the members. Std: their population deviation. Members: each, its offset taken off.

    Args:
        outputs: a score a member.
        offsets: of the k members; zero before the model is normalised.

    Raises:
        InputError: if there are offsets for another number of members.
    """
    members = floats(outputs)
    if offsets and len(offsets) != members.shape[1]:
        raise InputError(f"head: {len(offsets)} offsets for {members.shape[1]} members; save the model again")
    members = members - np.asarray(offsets or 0.0)
    with np.errstate(invalid="ignore"):  # an infinite output makes the score infinite, which is the fault that is told
        return Readout(members.mean(axis=1), std=members.std(axis=1), members=members)


def fitted_ensemble(outputs: Float[Tensor, "n k"]) -> dict[str, Any]:
    """The options that make each member's mean over these outputs zero."""
    return {"offsets": floats(outputs).mean(axis=0).tolist()}
