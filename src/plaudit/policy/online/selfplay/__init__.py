"""Self-play of a conjecturer and a prover that are one policy: it makes the problems that it can just solve [208]."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Conjecture": "subjects",
        "Proved": "subjects",
        "SelfPlayConfig": "config",
        "SelfPlayed": "playing",
        "Subject": "subjects",
        "TextSubject": "subjects",
        "conjectures_kept": "selecting",
        "elegant": "selecting",
        "matching_weights": "selecting",
        "proof_weights": "selecting",
        "proofs_kept": "selecting",
        "self_play": "playing",
        "within_cap": "selecting",
    },
)
