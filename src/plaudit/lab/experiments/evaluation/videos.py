"""A world of two experiments: short videos of digits, each frame blended with another digit, and judges of them.

A video is to show one digit. What it is worth is known, as the mean share of the frames that this digit has; judges are
fitted to clear images and have never seen a blend.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

TRAIN = 1000
"""Images that judges may be fitted to; videos are made of the others."""
FRAMES = 4
DIGITS = 10


@dataclass(frozen=True)
class Videos:
    """Pairs of videos that are to show the same digit.

    Attributes:
        asked: the digit of each pair, (n,).
        frames: pixels in [0, 1], (n, 2, frames, 64).
        worth: of each video, (n, 2), in [0.5, 1].
    """

    asked: Places
    frames: Numbers
    worth: Numbers

    @property
    def first(self) -> NDArray[np.bool_]:
        """Where the first of a pair is worth more, (n,)."""
        return np.asarray(self.worth[:, 0] > self.worth[:, 1])


@lru_cache(maxsize=2)
def images(seed: int) -> tuple[Numbers, Places, Numbers, Places]:
    """Pixels and digits: those to fit to, and those to make videos of.

    Args:
        seed: of the split.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng([seed, 1]).permutation(len(y))
    x, y = x[order] / 16, y[order].astype(np.int64)
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


def videos(rng: np.random.Generator, x: Numbers, y: Places, pairs: int) -> Videos:
    """Pairs drawn from images.

    Args:
        rng: of all draws.
        x: pixels, (images, 64).
        y: digits, (images,); each must be there.
        pairs: how many.
    """
    asked = rng.integers(0, DIGITS, size=pairs)
    other = (asked[:, None] + rng.integers(1, DIGITS, size=(pairs, 2))) % DIGITS
    level = rng.uniform(0.0, 0.5, size=(pairs, 2, 1))
    blend = np.clip(level + 0.1 * rng.normal(size=(pairs, 2, FRAMES)), 0.0, 0.5)
    places = [np.flatnonzero(y == d) for d in range(DIGITS)]

    def drawn(digit: Places) -> Numbers:
        shown = [x[rng.choice(places[int(d)], size=FRAMES)] for d in digit.ravel()]
        return np.stack(shown).reshape(*digit.shape, FRAMES, x.shape[1])

    clear, wrong = drawn(np.repeat(asked[:, None], 2, axis=1)), drawn(other)
    frames = (1 - blend)[..., None] * clear + blend[..., None] * wrong
    return Videos(asked, frames, 1 - blend.mean(axis=2))
