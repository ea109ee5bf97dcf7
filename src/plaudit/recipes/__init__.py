"""The main job as a recipe: its schema, its stages, its report."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Recipe": "schema",
        "DataSpec": "schema",
        "WorldSpec": "schema",
        "load_recipe": "loading",
        "run_recipe": "running",
    },
)
