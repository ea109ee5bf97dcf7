"""A verifier against its adversarial twins: nothing that should fail may pass, and what is right must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Reward
from plaudit.rewards.verifiers.base import Twin, Verifier
from plaudit.rewards.verifiers.twins import Escape, derived_twins, escapes, refused_honest
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import wilson


@dataclass(frozen=True, slots=True)
class AttackTally:
    """One family of attacks.

    Attributes:
        attack: the family's name.
        tried: attacks made.
        escaped: those that were not refused.
    """

    attack: str
    tried: int
    escaped: tuple[Escape, ...]


@dataclass(frozen=True, slots=True)
class TwinAudit:
    """What an audit of a verifier found.

    Attributes:
        reward: the verifier's name.
        fingerprint: of the verifier, with its options.
        honest: right answers that were tried.
        refused: those of them that were not accepted.
        attacks: tallies, in the order of the families.
    """

    reward: str
    fingerprint: str
    honest: int
    refused: tuple[Escape, ...]
    attacks: tuple[AttackTally, ...]

    @property
    def passed(self) -> bool:
        """Whether every attack was refused and every right answer accepted."""
        return not self.refused and not any(tally.escaped for tally in self.attacks)


def audit_verifier(
    reward: Reward | Comparison, *, honest: Sequence[Sample] | None = None, twins: Sequence[Twin] | None = None
) -> TwinAudit:
    """Runs a verifier's twins, and those that every verifier faces, against it.

    Args:
        reward: a verifier; another reward may be given with `honest` samples of its own.
        honest: samples that must get the highest reward; the verifier's own by default.
        twins: attacks on it; the verifier's own by default. Attacks that know nothing of the answer are
            derived from the honest samples and added.

    Raises:
        InputError: if the reward is no verifier and no honest samples are given.
    """
    if honest is None:
        if not isinstance(reward, Verifier):
            raise InputError(
                f"{reward.name}: carries no attacks of its own, as verifiers (verify/...) do; "
                "audit it on held-out pairs: plaudit audit PAIRS --reward REF"
            )
        honest = reward.honest()
    if twins is None:
        twins = reward.twins() if isinstance(reward, Verifier) else ()
    if not isinstance(reward, Reward):
        raise InputError(f"{reward.name}: is a comparison of two samples, and a reward of one is needed")
    tried = (*twins, *derived_twins(honest))
    found = escapes(reward, tried)
    return TwinAudit(
        reward.name,
        reward.fingerprint,
        len(honest),
        tuple(refused_honest(reward, honest)),
        tuple(
            AttackTally(attack, n, tuple(e for e in found if e.attack == attack))
            for attack, n in Counter(twin.attack for twin in tried).items()
        ),
    )


def twin_metrics(audit: TwinAudit) -> dict[str, Estimate]:
    """Shares with Wilson intervals: `accepted/right answers`, and `refused/ATTACK` for each family.

    The intervals say how much so few attempts can show; attacks are chosen, not drawn, so they bound no rate in use.
    """
    shares = {"accepted/right answers": wilson(audit.honest - len(audit.refused), audit.honest)}
    for tally in audit.attacks:
        shares[f"refused/{tally.attack}"] = wilson(tally.tried - len(tally.escaped), tally.tried)
    return shares
