"""How good systems are, from comparisons of their outputs: ratings, controlled win rates, consensus of rankings."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Battles": "battles",
        "battles_from_rows": "battles",
        "read_battles": "battles",
        "Fit": "bradley_terry",
        "Groups": "bradley_terry",
        "fit_bradley_terry": "bradley_terry",
        "groups_of_models": "bradley_terry",
        "Ratings": "systems",
        "rate": "systems",
        "METHODS": "systems",
        "GamedRows": "length_control",
        "LengthControlled": "length_control",
        "baseline_itself": "length_control",
        "is_extreme": "length_control",
        "length_controlled_winrate": "length_control",
        "fit_instruction_difficulty": "difficulty",
        "winrate_from_weights": "difficulty",
        "arena_hard_battles": "arena_hard",
        "arena_hard_score": "arena_hard",
        "style_controlled_winrates": "arena_hard",
        "style_features": "arena_hard",
        "Judged": "outputs",
        "read_gamed": "outputs",
        "read_outputs": "outputs",
        "choose_penalty": "l1_logistic",
        "fit_l1_logistic": "l1_logistic",
    },
)
