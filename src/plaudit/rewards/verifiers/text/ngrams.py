"""Character n-grams as 64-bit hashes, a whole text at a time.

Each character is mixed to 64 bits before the polynomial hash is taken, so that no two texts collide by simple
arithmetic on their code points; equal n-grams always have equal hashes.
"""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_BASE = 0x9E37_79B9_7F4A_7C15  # odd, so that powers of it stay invertible modulo 2^64
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | {"\u00ad": None, "\u2026": "..."}
)


def plain(text: str) -> str:
    """The text as quotations are compared: composed, with plain quotes and dashes and single spaces; case counts."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY).split())


def mixed(values: Hashes) -> Hashes:
    """A bijection of 64-bit words under which neighbours have nothing in common (the finaliser of SplitMix64)."""
    z = values + np.uint64(_BASE)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return z ^ (z >> np.uint64(31))


def ngram_hashes(text: str, n: int) -> Hashes:
    """Hashes of all n-grams of a text, in order.

    Args:
        text: as `plain` gives it.
        n: characters of an n-gram, at least 1.

    Returns:
        uint64 (max(0, len(text) - n + 1),).
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    count = codes.size - n + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    # windows of 1, 2, 4, ... characters are joined by the binary digits of n: about 2 log2(n) passes in place of n
    window, length = mixed(codes), 1
    total, done = np.zeros(count, np.uint64), 0
    while True:
        if n & length:
            total = total * _power(length) + window[done : done + count]
            done += length
        if 2 * length > n:
            return mixed(total)
        window = window[:-length] * _power(length) + window[length:]
        length *= 2


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_BASE, exponent, 1 << 64))
