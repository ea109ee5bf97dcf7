"""Rows of a step as the collator makes them, with random log-probabilities in place of a model's."""

import numpy as np
import torch


def random_row(pairs=5, *, seed=0, longest=7, scale=1.0):
    """`pairs` pairs of two sequences each: log-probabilities of their counted tokens (float64), and the row."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, longest + 1, size=2 * pairs)
    total = int(counts.sum())
    logps = torch.from_numpy(-scale * rng.exponential(size=total))
    reference = torch.from_numpy(-scale * rng.exponential(size=total))
    n = 2 * pairs
    row = {
        "owner": torch.from_numpy(np.repeat(np.arange(n), counts)),
        "tokens": torch.from_numpy(counts),
        "pairs": torch.arange(n).reshape(pairs, 2),
        "wanted": torch.tensor([1.0, 0.0] * pairs),
        "mismatched": torch.zeros(n, dtype=torch.bool),
        "reference_tokens": reference,
        "scores": torch.from_numpy(rng.normal(size=n)),
    }
    row["token_share"] = torch.tensor(pairs / float(counts[0::2].sum()), dtype=torch.float64)
    return logps, row


def parts(numbers, row):
    """The numbers of each sequence."""
    return list(torch.split(numbers, row["tokens"].tolist()))


def rectangle(logps, row, *, prompt=3):
    """The same as TRL's trainers have it: chosen ones above rejected ones, padded; with the mask of completions."""
    order = torch.cat([row["pairs"][:, 0], row["pairs"][:, 1]]).tolist()
    mine = [parts(logps, row)[i] for i in order]
    width = prompt + max(len(p) for p in mine)
    table, mask = torch.zeros(len(mine), width, dtype=logps.dtype), torch.zeros(len(mine), width, dtype=torch.long)
    for i, one in enumerate(mine):
        mask[i, prompt : prompt + len(one)] = 1
        table[i, prompt : prompt + len(one)] = one
    return table[:, 1:], mask
