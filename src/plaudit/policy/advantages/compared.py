"""What a comparison said of the completions of a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Int

from plaudit.errors import ShapeError
from plaudit.shaping.groups.codes import Floats


@final
@dataclass(frozen=True, eq=False)
class Compared:
    """What a comparison said of pairs of completions of the same group.

    Attributes:
        pairs: int64 (m, 2), indices of completions, each unordered pair once; see `shaping.groups.pairs_within`.
        probability: (m,) that the first of each is better, 1/2 a tie; NaN where undecided by no fault of either.
        strength: (m,) by how much the first is better, antisymmetric, such as -3 to 3, where the judge says so.

    Raises:
        ShapeError: if they differ in number.
    """

    pairs: Int[np.ndarray, "m 2"]
    probability: Floats
    strength: Floats | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", np.asarray(self.pairs, dtype=np.int64).reshape(-1, 2))
        object.__setattr__(self, "probability", np.asarray(self.probability, dtype=np.float64))
        if self.strength is not None:
            object.__setattr__(self, "strength", np.asarray(self.strength, dtype=np.float64))
        for name in ("probability", "strength"):
            given = getattr(self, name)
            if given is not None and given.shape != (len(self.pairs),):
                raise ShapeError(f"compared: {name} has shape {given.shape} for {len(self.pairs)} pairs; give one each")
