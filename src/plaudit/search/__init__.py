"""How inference compute is spent: selection among candidates."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "BestOfNCurve": "best_of_n",
        "CommitteePoint": "committees",
        "Turn": "best_of_n",
        "committee_curve": "committees",
        "committee_score": "committees",
        "proportional_quotas": "committees",
        "select_committee": "committees",
        "Selection": "selection",
        "best_of_n_values": "best_of_n",
        "best_of_n_curve": "best_of_n",
        "kl_best_of_n_bound": "best_of_n",
        "peak_and_turn": "best_of_n",
        "select_best": "selection",
    },
)
