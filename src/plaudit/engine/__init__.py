"""How a model is run: prefix trees, tree attention, token budgets, log-probabilities, generation."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Engine": "engine",
        "Gate": "gate",
        "PrefixTree": "tree",
        "Row": "planning",
        "TreePlan": "plan",
        "install_head": "engine",
        "plan_rows": "planning",
        "reading": "heads",
        "ReadHead": "heads",
        "Template": "rendering",
        "Encoder": "rendering",
        "generate": "generation",
        "Generated": "generation",
        "LogpHead": "vocabulary",
        "Said": "divergence",
        "Wanted": "vocabulary",
        "chunked_divergence": "divergence",
        "chunked_logps": "vocabulary",
        "install_logp_head": "vocabulary",
        "read_tokens": "vocabulary",
        "read_states": "vocabulary",
        "divergence_from": "divergence",
        "read_divergence": "vocabulary",
        "read_said": "vocabulary",
        "ValueHead": "values",
        "install_value_head": "values",
        "load_value_head": "values",
        "remove_value_head": "values",
        "save_value_head": "values",
        "value_head": "values",
    },
)
