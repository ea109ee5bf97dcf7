"""An index over local text files that says whether an n-gram stands in them: a Bloom filter in one durable file.

It holds four bytes for a character of the corpus at the default density, is filled through the file's own pages, and
is read by memory mapping: neither the corpus nor the index has to fit into memory, and processes share what is read.
A filter never denies an n-gram that was put in, and wrongly affirms one at a rate that the index states.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, IntegrityError, MissingError
from plaudit.rewards.verifiers.text.ngrams import Hashes, mixed, ngram_hashes, plain
from plaudit.runs.atomic import replacing

_MAGIC = b"plaudit n-grams 1\n"
_HEADER = 16384
_BLOCK = 1 << 20
_LONGEST_WORD = 1 << 22


@dataclass(frozen=True)
class CorpusIndex:
    """A set of n-grams.

    Attributes:
        n: characters of an n-gram.
        bits: the filter, uint8; memory-mapped where it was opened from a file.
        probes: bits that an n-gram sets.
        false_positives: share of absent n-grams that it affirms.
        passage: a passage of the corpus, for trying the index out.
        digest: checksum of the filter.
        files: name and bytes of each file, in their order.
    """

    n: int
    bits: NDArray[np.uint8]
    probes: int
    false_positives: float
    passage: str
    digest: str
    files: tuple[tuple[str, int], ...]

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each n-gram stands in the corpus; True for every one that does, and for few others.

        Args:
            hashes: as `ngram_hashes` gives them, (m,).
        """
        found = np.ones(hashes.size, dtype=bool)
        for at in _positions(hashes, 8 * self.bits.size, self.probes):
            found &= (self.bits[(at >> np.uint64(3)).astype(np.intp)] >> (at & np.uint64(7)).astype(np.uint8)) & 1 == 1
        return found


def build_index(corpus: str | Path | Sequence[str | Path], out: str | Path, *, n: int = 25, density: int = 32) -> None:
    """Indexes text files (UTF-8), and replaces `out` atomically.

    Args:
        corpus: a file, a folder (every file below it, by name), or several of these.
        out: the index.
        n: characters of an n-gram.
        density: bits of the filter for a character of the corpus; 32 give about two false positives in ten million, 16
            about five in ten thousand.

    Raises:
        MissingError: if a file or folder is not there.
        InputError: if a file is not UTF-8, there is no text, or n or density is out of range.
    """
    if not 1 <= n <= 1000 or not 1 <= density <= 64:
        raise InputError(f"index: n is {n} and density {density}; give 1 to 1000 characters and 1 to 64 bits")
    files = corpus_files(corpus)
    characters = sum(len(part) for path in files for part in _parts(path, n))
    if characters == 0:
        raise InputError(f"index: {corpus} holds no text of {n} characters; give files with more")
    size, probes = max(64, -(-characters * density // 8)), max(1, round(math.log(2) * density))
    with replacing(out) as file:
        file.truncate(_HEADER + size)
        bits = np.memmap(file, dtype=np.uint8, mode="r+", offset=_HEADER, shape=(size,))
        passage = ""
        for path in files:
            for part in _parts(path, n):
                passage = passage or _passage(part, n)
                _insert(bits, np.unique(ngram_hashes(part, n)), probes)
        bits.flush()
        load = sum(int(np.unpackbits(block).sum(dtype=np.int64)) for block in _blocks(bits)) / (8 * size)
        header = {
            "n": n, "size": size, "probes": probes, "false_positives": load**probes, "passage": passage,
            "digest": _checksum(bits), "files": [[p.name, p.stat().st_size] for p in files][:20], "count": len(files),
        }  # fmt: skip
        del bits
        blob = _MAGIC + json.dumps(header, ensure_ascii=False).encode()
        if len(blob) > _HEADER:  # long names of files
            blob = _MAGIC + json.dumps({**header, "files": []}, ensure_ascii=False).encode()
        file.seek(0)
        file.write(blob.ljust(_HEADER, b" "))


def open_index(path: str | Path) -> CorpusIndex:
    """Opens an index; the same file is checked and mapped once.

    Raises:
        MissingError: if it is not there.
        IntegrityError: if it is no index, or torn.
    """
    target = Path(path)
    if not target.is_file():
        raise MissingError(f"index: {target} is not there; make it with build_index, or name the corpus as well")
    stat = target.stat()
    return _opened(str(target.resolve()), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _opened(path: str, _changed: int, size: int) -> CorpusIndex:
    with open(path, "rb") as file:
        head = file.read(_HEADER)
    if not head.startswith(_MAGIC):
        raise IntegrityError(f"index: {path} is no index of n-grams; make it with build_index")
    try:
        header: dict[str, Any] = json.loads(head[len(_MAGIC) :])
        length = int(header["size"])
    except (ValueError, KeyError) as error:
        raise IntegrityError(f"index: the head of {path} cannot be read; make it again") from error
    if size != _HEADER + length:
        raise IntegrityError(f"index: {path} has {size} bytes in place of {_HEADER + length}; make it again")
    bits = np.memmap(path, dtype=np.uint8, mode="r", offset=_HEADER, shape=(length,))
    if _checksum(bits) != header["digest"]:
        raise IntegrityError(f"index: {path} does not hold what its checksum says; make it again")
    files = tuple((str(name), int(count)) for name, count in header["files"])
    return CorpusIndex(
        int(header["n"]),
        bits,
        int(header["probes"]),
        float(header["false_positives"]),
        header["passage"],
        header["digest"],
        files,
    )


def corpus_files(corpus: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of a corpus, each once, in order of their paths; hidden ones are left out.

    Raises:
        MissingError: if a file or folder is not there.
    """
    named = [corpus] if isinstance(corpus, str | Path) else list(corpus)
    found: dict[Path, None] = {}
    for entry in map(Path, named):
        if not entry.exists():
            raise MissingError(f"index: {entry} is not there; name a text file or a folder of them")
        below = [entry] if entry.is_file() else [p for p in entry.rglob("*") if p.is_file()]
        hidden = [p for p in below if p != entry and any(x.startswith(".") for x in p.relative_to(entry).parts)]
        found |= dict.fromkeys(p.resolve() for p in below if p not in set(hidden))
    return sorted(found)


def _parts(path: Path, n: int) -> Iterator[str]:
    """A file's text as `plain` gives it, in parts that share their last n - 1 characters with the next one."""
    tail, rest, joint = "", "", ""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            while block := file.read(_BLOCK):
                rest += block
                cut = max(rest.rfind(" "), rest.rfind("\n")) + 1
                if cut == 0 and len(rest) < _LONGEST_WORD:
                    continue
                piece, rest = (rest[:cut], rest[cut:]) if cut else (rest, "")
                tail, joint = yield from _part(tail, joint, piece, n, " " if cut else "")
            yield from _part(tail, joint, rest, n, "")
    except UnicodeDecodeError as error:
        raise InputError(f"index: {path} is not UTF-8 ({error.reason} at byte {error.start}); convert it") from error


def _part(tail: str, joint: str, piece: str, n: int, after: str) -> Generator[str, None, tuple[str, str]]:
    text = plain(piece)
    if not text:
        return tail, joint or after
    whole = tail + (joint if tail else "") + text
    if len(whole) >= n:
        yield whole
    return whole[-(n - 1) :] if n > 1 else "", after


def _passage(part: str, n: int) -> str:
    """The first 200 characters or so, never fewer than 2 n where there are as many, cut at a word."""
    most = max(200, 2 * n)
    return part if len(part) <= most else (part[:most].rpartition(" ")[0] or part[:most])


def _positions(hashes: Hashes, bits: int, probes: int) -> Iterator[Hashes]:
    """Where the filter keeps each n-gram: bit positions, one array a probe."""
    step = mixed(hashes) | np.uint64(1)
    for i in range(probes):
        yield (hashes + np.uint64(i) * step) % np.uint64(bits)


def _insert(bits: NDArray[np.uint8], hashes: Hashes, probes: int) -> None:
    for at in _positions(hashes, 8 * bits.size, probes):
        byte, bit = (at >> np.uint64(3)).astype(np.intp), (at & np.uint64(7)).astype(np.uint8)
        for plane in range(8):  # one bit at a time: n-grams that share a byte then write the same value to it
            bits[byte[bit == plane]] |= np.uint8(1 << plane)


def _blocks(bits: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, bits.size, 1 << 21):
        yield bits[start : start + (1 << 21)]


def _checksum(bits: NDArray[np.uint8]) -> str:
    crc = 0
    for block in _blocks(bits):
        crc = zlib.crc32(block.tobytes(), crc)
    return f"{crc:08x}"
