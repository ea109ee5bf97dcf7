"""Structure against a reference: schemas, calls, instructions, lists and rubrics."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "JsonSchemaVerifier": "schema",
        "Schemas": "schemas",
        "Violation": "schemas",
        "compile_schema": "schemas",
        "first_violation": "schemas",
        "Malformed": "json_text",
        "json_in": "json_text",
        "read_json": "json_text",
        "ToolCallsVerifier": "tool_calls",
        "check_calls": "tool_calls",
        "Call": "calls",
        "calls_in": "calls",
        "calls_of": "calls",
        "correctness": "call_grading",
        "format_reward": "call_grading",
        "InstructionsVerifier": "instructions",
        "strict_and_loose": "instructions",
        "RankedListVerifier": "ranked",
        "gold_ranks": "ranked",
        "list_reward": "ranked",
        "RerankVerifier": "rerank",
        "dcg": "rerank",
        "ndcg": "rerank",
        "reciprocal_recall": "rerank",
        "PageVerifier": "page",
        "page_reward": "page",
        "item_rewards": "page",
        "NuggetsVerifier": "nuggets",
        "rubric_score": "nuggets",
        "labels_reward": "nuggets",
    },
)
