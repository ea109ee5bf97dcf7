"""Whether a reward treats groups alike, and whose groups they are."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Attribute": "attributes",
        "CellGap": "cells",
        "Pool": "candidates",
        "candidate_checks": "candidates",
        "completion_parity": "merit",
        "dependence_check": "depending",
        "fisher_discriminant": "leakage",
        "pair_parity": "merit",
        "pool": "candidates",
        "Cells": "cells",
        "ConditionalParity": "parity",
        "Dependence": "dependence",
        "Disparity": "disparity",
        "PreferenceExcess": "selection",
        "SelectionGap": "selection",
        "cell_gaps": "cells",
        "conditional_parity": "parity",
        "dependence_test": "dependence",
        "disparity_estimates": "disparity",
        "equity_scaled": "disparity",
        "fairness_checks": "checks",
        "performance_scaled": "disparity",
        "preference_excess": "selection",
        "score_gaps": "selection",
        "selection_gaps": "selection",
    },
)
