"""Prover-verifier games: provers who help and provers who deceive, against verifiers that learn from both [217]."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Convincing": "convincing",
        "GameConfig": "config",
        "Played": "playing",
        "Player": "playing",
        "Solutions": "pairing",
        "outranked": "measuring",
        "round_measures": "measuring",
        "Roles": "roles",
        "convincingness": "rewards",
        "game_pairs": "pairing",
        "play": "playing",
        "prover_rewards": "rewards",
        "verifier_loss": "losses",
    },
)
