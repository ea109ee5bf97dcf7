"""From groups to the rows of a step, and one forward call over a row: the summed log-probability of each sequence.

The logits are made where a counted token follows, and nowhere else; a pair of token and successor that completions
share is read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plaudit.engine.divergence import Said
from plaudit.engine.engine import padded_batches
from plaudit.engine.plan import TreePlan
from plaudit.engine.planning import plan_rows
from plaudit.engine.vocabulary import Wanted, read_divergence, read_states
from plaudit.training.collating import Batch, tree_tensors
from plaudit.training.methods import Item
from plaudit.training.policies.encoding import PolicyGroup


@dataclass(frozen=True, slots=True)
class PolicyCollator:
    """Packs the groups of a step into rows.

    Attributes:
        budget: distinct tokens a row (padded tokens a batch where trees are not used).
        tree: whether the model runs on prefix trees.
        pad_id: fills padded batches.
        item: what the loss is a mean over: pairs, sequences that have a label, or the tokens that are learned to be
            said: those of the better completions of pairs, or of the wanted ones; or sequences with a score.
    """

    budget: int = 8192
    tree: bool = True
    pad_id: int = 0
    item: Item = "pair"

    def __call__(self, groups: Sequence[PolicyGroup]) -> Batch:
        """One step: `rows` (each a dictionary of tensors), `n_items`, how many items there are, and `n_tokens`."""
        rows = self._tree_rows(groups) if self.tree else self._padded_rows(groups)
        said = float(sum(_said(g) for g in groups))
        items = {
            "pair": lambda: float(sum(g.better.size for g in groups)),
            "sequence": lambda: float(sum(np.isfinite(g.wanted).sum() for g in groups)),
            "token": lambda: said,
            "scored": lambda: float(sum(np.isfinite(g.scores).sum() for g in groups)),
        }
        total = torch.tensor(items[self.item](), dtype=torch.float64)
        return {"rows": rows, "n_items": total, "n_tokens": torch.tensor(said, dtype=torch.float64)}

    def _tree_rows(self, groups: Sequence[PolicyGroup]) -> list[dict[str, Tensor]]:
        found = []
        for row in plan_rows([g.sequences for g in groups], budget=self.budget):
            mine = [groups[g] for g in row.groups]
            located = [one for g in mine for one in g.located]
            places = [row.tree.positions(i) for i in range(len(located))]
            before = [p[one.counted - 1] for p, one in zip(places, located, strict=True)]
            after = [p[one.counted] for p, one in zip(places, located, strict=True)]
            tensors = {k: v for k, v in tree_tensors(row.tree).items() if k != "leaf_positions"}
            found.append({**tensors, **edges_of(before, after), **_labels(mine)})
        return found

    def _padded_rows(self, groups: Sequence[PolicyGroup]) -> list[dict[str, Tensor]]:
        """Rectangles of whole groups of like length; one that is larger than the budget gets its own."""
        parts: list[list[PolicyGroup]] = []
        for group in sorted(groups, key=_longest):  # ascending, so the newcomer sets the width
            together = [*parts[-1], group] if parts else [group]
            if parts and _longest(group) * sum(len(g.located) for g in together) <= self.budget:
                parts[-1] = together
            else:
                parts.append([group])
        return [self._rectangle(part) for part in parts]

    def _rectangle(self, groups: Sequence[PolicyGroup]) -> dict[str, Tensor]:
        located = [one for g in groups for one in g.located]
        width = max(one.ids.size for one in located)
        batch = next(
            padded_batches([one.ids for one in located], budget=width * len(located), pad_id=self.pad_id, device="cpu")
        )
        line = np.argsort(batch.members)  # the batch is sorted by length
        after = [int(at) * width + one.counted for at, one in zip(line, located, strict=True)]
        tensors = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        return {**tensors, **edges_of([a - 1 for a in after], after), **_labels(groups)}


def edges_of(before: Sequence[np.ndarray[Any, Any]], after: Sequence[np.ndarray[Any, Any]]) -> dict[str, Tensor]:
    """Which logits are needed, which of their entries, and whose sums they enter.

    Args:
        before: for each sequence, flat row positions of the tokens before its counted ones.
        after: of the counted ones.
    """
    pairs = np.stack([np.concatenate(before), np.concatenate(after)])
    edges, inverse = np.unique(pairs, axis=1, return_inverse=True)
    sources, column = np.unique(edges[0], return_inverse=True)
    owner = np.repeat(np.arange(len(before)), [b.size for b in before])
    parts = {"sources": sources, "column": column, "after": edges[1], "edge": inverse.reshape(-1), "owner": owner}
    return {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in parts.items()}


def _said(group: PolicyGroup) -> int:
    """Counted tokens that are learned to be said: of the better completion of each pair, else of wanted completions."""
    counts = np.array([one.counted.size for one in group.located])
    return int(counts[group.better].sum() if group.better.size else counts[group.wanted > 0].sum())


def _labels(groups: Sequence[PolicyGroup]) -> dict[str, Tensor]:
    shift = np.concatenate([[0], np.cumsum([len(g.located) for g in groups])])[:-1].astype(np.int64)
    better = np.concatenate([g.better + s for g, s in zip(groups, shift, strict=True)])
    worse = np.concatenate([g.worse + s for g, s in zip(groups, shift, strict=True)])
    return {
        "pairs": torch.from_numpy(np.stack([better, worse], axis=1)),
        "weight": torch.ones(better.size),
        "wanted": torch.from_numpy(np.concatenate([g.wanted for g in groups]).astype(np.float32)),
        "mismatched": torch.from_numpy(np.concatenate([g.mismatched for g in groups])),
        "reference": torch.from_numpy(np.concatenate([g.reference for g in groups]).astype(np.float32)),
        "tokens": torch.tensor([one.counted.size for g in groups for one in g.located]),
        "scores": torch.from_numpy(np.concatenate([g.scores for g in groups]).astype(np.float32)),
        **{name: torch.from_numpy(np.concatenate([g.columns[name] for g in groups])) for name in groups[0].columns},
        **_of_tokens(groups, "reference_tokens"), **_of_tokens(groups, "start_tokens"),
        **_of_tokens(groups, "token_rewards"),
    }  # fmt: skip


def _of_tokens(groups: Sequence[PolicyGroup], name: str) -> dict[str, Tensor]:
    """A number of each counted token, in the order of `owner`, where the groups have it."""
    found = [part for g in groups for part in getattr(g, name)]
    return {name: torch.from_numpy(np.concatenate(found))} if found else {}


def _longest(group: PolicyGroup) -> int:
    return max(int(one.ids.size) for one in group.located)


@dataclass(frozen=True, slots=True)
class TokenOutputs:
    """What one forward call says of a row's counted tokens.

    Attributes:
        logp: (t,) log-probability of each, nats, in the order of `owner`.
        entropy: (t,) entropy of the distribution that it was drawn from; (0,) where it is not asked for.
        value: (t,) of the state in which it was chosen; None where it is not asked for.
    """

    logp: Tensor
    entropy: Tensor
    value: Tensor | None = None


def row_inputs(row: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a causal model's forward call over a row."""
    ids = row["input_ids"]
    if "segments" not in row:
        return {"input_ids": ids, "attention_mask": row["attention_mask"], "use_cache": False}
    return {
        "input_ids": ids[None], "position_ids": row["position_ids"][None],
        "attention_mask": torch.empty(1, 1, ids.shape[0], 0, device=ids.device),
        "tree_plan": TreePlan(row["segments"].cpu(), row["position_ids"]), "use_cache": False,
    }  # fmt: skip


def _wanted(row: Mapping[str, Any]) -> Wanted:
    targets = row["input_ids"].reshape(-1).index_select(0, row["after"])
    return Wanted(row["sources"], row["column"], targets, row.get("temperature", 1.0))


def anchored_outputs(model: nn.Module, row: Mapping[str, Any], said: Said) -> Tensor:
    """Log-probabilities of the counted tokens, and what the whole next-token distribution has become before each.

    Args:
        model: a causal language model, whose forward call has gradients.
        row: collated.
        said: by a frozen model of the same vocabulary at the row's `sources`, from `read_said`.

    Returns:
        (2, t) nats in the order of `owner`: log-probabilities, and `KL(frozen || model)` over the vocabulary where each
        token was chosen.
    """
    logps, apart = read_divergence(model, row_inputs(row), _wanted(row), said)
    return torch.stack([logps.index_select(0, row["edge"]), apart[row["column"]].index_select(0, row["edge"])])


def row_tokens(model: nn.Module, row: Mapping[str, Any], *, entropy: bool = True, values: bool = False) -> TokenOutputs:
    """Log-probabilities and entropies at a row's counted tokens: one forward call of the (wrapped) model.

    Args:
        model: a causal language model; with a `LogpHead` the logits are made in chunks.
        row: collated; its `temperature` divides the logits where it has one.
        entropy: whether entropies are asked for.
        values: whether values are, of a model with a `ValueHead`.
    """
    wanted = replace(_wanted(row), entropy=entropy, values=values)
    logps, entropies, found = read_states(model, row_inputs(row), wanted)

    def spread(of_sources: Tensor) -> Tensor:
        return of_sources[row["column"]].index_select(0, row["edge"])

    return TokenOutputs(
        logps.index_select(0, row["edge"]), spread(entropies) if entropy else entropies,
        spread(found) if values else None,
    )  # fmt: skip


def token_outputs(model: nn.Module, row: dict[str, Tensor]) -> Tensor:
    """Log-probability of each counted token, (t,), in nats, in the order of `owner`: one forward call of the model."""
    return row_tokens(model, row, entropy=False).logp


def sequence_sums(tokens: Tensor, row: dict[str, Tensor]) -> Tensor:
    """The sum of each sequence's tokens, (n,), of numbers (t,) in the order of `owner`."""
    return tokens.new_zeros(len(row["wanted"])).index_add(0, row["owner"], tokens)


def policy_outputs(model: nn.Module, row: dict[str, Tensor]) -> Tensor:
    """Summed log-probability of each sequence's counted tokens, (n, 1), in nats: one forward call of the model."""
    return sequence_sums(token_outputs(model, row), row)[:, None]
