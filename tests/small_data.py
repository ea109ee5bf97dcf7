"""A recipe that takes seconds, and rows for it."""

import json

TINY = {
    "name": "tiny",
    "data": {
        "world": {
            "train_pairs": 64,
            "test_pairs": 40,
            "pool_prompts": 8,
            "pool_completions": 8,
            "knobs": {"flips": 0.2},
        }
    },
    "model": {"width": 32, "layers": 2, "heads": 2},
    "train": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8, "max_length": 128, "save_steps": 4},
    "evaluate": {"subsets": ["kind"], "resamples": 100},
    "audit": {"prompts": 4},
    "select": {"ns": [1, 2]},
}


def pair_rows(n, start=0):
    """Pairs whose chosen completion says `good`; three quarters of them are the longer one."""
    return [
        {
            "prompt": f"question {i}",
            "chosen": f"a good answer {i}" + (" at length" if i % 4 else ""),
            "rejected": f"a bad answer {i}",
            "lang": "en" if i % 2 else "de",
        }
        for i in range(start, start + n)
    ]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
