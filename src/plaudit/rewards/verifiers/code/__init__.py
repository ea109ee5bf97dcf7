"""Programs judged by their tests, in a sandbox: `verify/code`."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "CodeVerifier": "verifier",
        "Language": "languages",
        "LANGUAGES": "languages",
        "extract": "programs",
        "same_output": "outputs",
        "read_tests": "references",
        "CodeTests": "references",
        "Limits": "running",
        "Report": "running",
        "isolation": "attempts",
        "SandboxFusion": "remote",
        "OpenInstruct": "remote",
    },
)
