"""World instances of an experiment: development, confirmatory, blind.

Development instances are for building and tuning; the verdict rests on the confirmatory ones, which nobody
has looked at; the blind ones' seeds cannot be known before their salt is, and its hash is in the claim.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

from plaudit.errors import InputError, nearest
from plaudit.lab.claim import Claim, salt_hash
from plaudit.lab.counts import check_counts

Role = Literal["development", "confirmatory", "blind"]
COUNTS: dict[Role, int] = {"development": 4, "confirmatory": 12, "blind": 4}


@dataclass(frozen=True, slots=True)
class Instance:
    """One replicate: everything random about it comes from the seed.

    Attributes:
        role: what it may be used for.
        index: its number within the role.
        seed: of the world and all draws.
    """

    role: Role
    index: int
    seed: int

    @property
    def key(self) -> str:
        """Name in logs."""
        return f"{self.role}-{self.index}"


def instances(claim: Claim, role: str, *, salt: str | None = None, count: int | None = None) -> list[Instance]:
    """The instances of a role.

    Args:
        claim: of the experiment; its name enters the seeds, so that experiments do not share instances. A claim about
            another experiment's runs has that one's instances.
        role: `development`, `confirmatory` or `blind`.
        salt: for blind instances, the salt whose hash the claim published; the claim's own where it has been revealed.
        count: the first so many only, at least 1; all of them if None.

    Raises:
        InputError: if the role is not known, the count below 1, or the salt missing or not the published one.
    """
    if role not in get_args(Role):
        raise InputError(f"instances: role {role!r} is not known; {nearest(role, get_args(Role))}")
    if count is not None:
        check_counts("instances", least=1, count=count)
    kind: Role = role  # type: ignore[assignment]  # narrowed by the check above
    secret: str | None = ""
    if kind == "blind":
        secret = claim.salt if salt is None else salt
        if secret is None:
            raise InputError(f"instances: {claim.name}: blind instances need the salt; give --salt")
        if salt_hash(secret) != claim.commitment:
            raise InputError(f"instances: {claim.name}: the salt's hash is not the one that the claim published")
    n = COUNTS[kind] if count is None else min(count, COUNTS[kind])
    name = claim.runs or claim.name
    return [Instance(kind, i, _seed(name, kind, i, secret)) for i in range(n)]


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(":".join(map(str, parts)).encode()).digest()[:4], "big")
