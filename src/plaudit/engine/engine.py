"""Running a model over groups of sequences: on prefix trees where the gate and the probe allow it, padded elsewhere.

Whatever the path, the result is the plain forward pass of each sequence alone, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from plaudit.engine import attention
from plaudit.engine.gate import Gate, call_gate, first_line, row_inputs, static_gate, trunk
from plaudit.engine.heads import NetworkHead, ReadHead, reading
from plaudit.engine.plan import TreePlan
from plaudit.engine.planning import check_budget, plan_rows, plan_sequences
from plaudit.engine.tree import Ids, Index, PrefixTree
from plaudit.errors import InputError, UnsupportedError

Mode = Literal["auto", "tree", "padded"]
Sequences = Sequence[Sequence[int] | Ids]


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """Sequences of similar length in one right-padded rectangle.

    Attributes:
        input_ids: int64 (b, t).
        attention_mask: int64 (b, t), 1 where a token counts.
        members: indices of the sequences among all that were asked for.
        lengths: tokens of each.
    """

    input_ids: Tensor
    attention_mask: Tensor
    members: np.ndarray[Any, np.dtype[np.int64]]
    lengths: tuple[int, ...]

    @property
    def last(self) -> Tensor:
        """Flat index of each sequence's last token in the rectangle."""
        width = self.input_ids.shape[1]
        flat = [i * width + n - 1 for i, n in enumerate(self.lengths)]
        return torch.tensor(flat, device=self.input_ids.device)

    def prompt_ends(self, lengths: Index) -> Tensor:
        """Flat index of the last token of each sequence's prompt (its first token where the prompt is empty)."""
        width = self.input_ids.shape[1]
        flat = [i * width + max(int(n) - 1, 0) for i, n in enumerate(lengths)]
        return torch.tensor(flat, device=self.input_ids.device)


class Engine:
    """A model, and how it is run.

    Args:
        model: a transformers classification model, causal LM, bare decoder or encoder, or a peft wrapper of one.
        mode: `auto` takes trees where gate and probe allow; `tree` refuses to fall back; `padded` never tries.
        budget: distinct tokens a packed row (padded tokens a batch on the padded path).
        dense: use the dense-mask reference instead of the fast tree attention (slow; for tests).

    Attributes:
        gate: whether trees are used, and if not, why.

    Raises:
        InputError: if the budget is not positive; from every call, if there are no sequences or one is empty.
        UnsupportedError: with `mode="tree"` on a model that the gate or the probe refuses.
    """

    def __init__(self, model: Any, *, mode: Mode = "auto", budget: int = 8192, dense: bool = False) -> None:
        check_budget("engine", budget)
        self.model, self.budget = model, budget
        self.tree_mode = "dense" if dense else "fast"
        self.gate = Gate(False, "padded on request") if mode == "padded" else open_gate(model)
        if mode == "tree" and not self.gate.open:
            raise UnsupportedError(f"engine: trees were asked for, but {self.gate.reason}; use mode='auto'")

    @property
    def device(self) -> torch.device:
        """Where the model's first parameter lives."""
        parameter: Tensor = next(self.model.parameters())
        return parameter.device

    def hidden(self, sequences: Sequences) -> list[Tensor]:
        """Last hidden states of each sequence, (length, width), differentiable; groups need not be said.

        Returns:
            One tensor a sequence, in their order. Shared tokens are views of the same computation.
        """
        check_sequences(sequences)
        out: list[Tensor] = [torch.empty(0)] * len(sequences)
        body = trunk(self.model)
        if self.gate.open:
            for row in plan_sequences(sequences, budget=self.budget):
                plan = self.plan(row.tree)
                states = body(**row_inputs(row.tree, plan)).last_hidden_state[0]
                for i, member in enumerate(row.members):
                    out[member] = states.index_select(0, self._index(row.tree.positions(i)))
        else:
            for batch in self._padded(sequences):
                states = body(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
                for i, member in enumerate(batch.members):
                    out[member] = states[i, : batch.lengths[i]]
        return out

    def scores(self, groups: Sequence[Sequences], *, prompts: Sequence[Sequence[int]] | None = None) -> Tensor:
        """Head outputs at the last token of every sequence, (n, k) in the order of the groups' sequences.

        The model must have a `ReadHead` in its `score` slot (see `install_head`) or another head that is read at
        positions, or be an encoder whose own classification output is the score.

        Args:
            groups: the sequences.
            prompts: how many tokens of each are the prompt, for heads that are read at its end too.
        """
        flat = [s for group in groups for s in group]
        check_sequences(flat)
        asked = None if prompts is None else np.array([n for group in prompts for n in group], dtype=np.int64)
        parts: list[tuple[np.ndarray[Any, Any], Tensor]] = []
        if self.gate.open:
            for row in plan_rows(groups, budget=self.budget):
                parts.append((row.members, self.row_scores(row.tree, None if asked is None else asked[row.members])))
        else:
            for batch in self._padded(flat):
                parts.append((batch.members, self.batch_scores(batch, None if asked is None else asked[batch.members])))
        order = np.argsort(np.concatenate([m for m, _ in parts]), kind="stable")
        return torch.cat([s for _, s in parts]).index_select(0, self._index(order))

    def row_scores(self, tree: PrefixTree, prompts: Index | None = None) -> Tensor:
        """Scores at the leaves of one packed row, (n, k): one forward call of the wrapped model.

        Args:
            tree: the row.
            prompts: int64 (n,), tokens of each sequence's prompt, for heads that read there too.
        """
        inputs = row_inputs(tree, self.plan(tree))
        ends = None if prompts is None else self._index(tree.prompt_positions(prompts))
        with reading(self._index(tree.leaf_positions), ends):
            logits: Tensor = self.model(**inputs).logits
        return logits[0].reshape(len(tree.leaf), -1)

    def batch_scores(self, batch: PaddedBatch, prompts: Index | None = None) -> Tensor:
        """Scores of one padded batch, (b, k); read by length, never by looking for pad ids. `prompts` as in a row."""
        if not has_read_head(self.model):
            logits: Tensor = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
            return logits
        with reading(batch.last, None if prompts is None else batch.prompt_ends(prompts)):
            logits = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        return logits[0].reshape(len(batch.lengths), -1)

    def token_logps(self, sequences: Sequences, *, wanted: Sequence[Index] | None = None) -> list[Tensor]:
        """Log-probability of tokens given those before them, in nats: of all but the first, (length - 1,) a sequence.

        Logits are made only where a token that is asked for follows, and a pair of token and successor that sequences
        share once.

        Args:
            sequences: token ids.
            wanted: for each sequence the positions that are asked for, none of them 0; its part then has their number.
        """
        check_sequences(sequences)
        asked = [np.arange(1, len(s)) for s in sequences] if wanted is None else wanted
        out: list[Tensor] = [torch.empty(0)] * len(sequences)
        if self.gate.open:
            for row in plan_sequences(sequences, budget=self.budget):
                found = self._row_logps(row.tree, [asked[m] for m in row.members])
                for member, logps in zip(row.members, found, strict=True):
                    out[member] = logps
            return out
        for batch in self._padded(sequences):
            logits = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
            for i, member in enumerate(batch.members):
                at = self._index(asked[member])
                targets = batch.input_ids[i].index_select(0, at)
                rows = logits[i].index_select(0, at - 1).float().log_softmax(-1)
                out[member] = rows.gather(1, targets[:, None])[:, 0]
        return out

    def _row_logps(self, tree: PrefixTree, asked: Sequence[Index]) -> list[Tensor]:
        positions = [tree.positions(i) for i in range(len(tree.leaf))]
        before = np.concatenate([p[a - 1] for p, a in zip(positions, asked, strict=True)])
        after = np.concatenate([p[a] for p, a in zip(positions, asked, strict=True)])
        if not before.size:
            return [torch.empty(0, device=self.device) for _ in positions]
        edges, inverse = np.unique(np.stack([before, after]), axis=1, return_inverse=True)
        sources, column = np.unique(edges[0], return_inverse=True)
        plan = self.plan(tree)
        inputs = row_inputs(tree, plan)
        logits = self.model(**inputs, logits_to_keep=self._index(sources)).logits[0]
        targets = inputs["input_ids"][0].index_select(0, self._index(edges[1]))
        normalised = logits.float().log_softmax(-1)
        logps = normalised[self._index(column), targets].index_select(0, self._index(inverse.reshape(-1)))
        return list(torch.split(logps, [a.size for a in asked]))

    def plan(self, tree: PrefixTree) -> TreePlan:
        """The tree's plan on the model's device."""
        return TreePlan.of(tree, device=self.device, mode=self.tree_mode)

    def _padded(self, sequences: Sequences) -> Iterator[PaddedBatch]:
        return padded_batches(sequences, budget=self.budget, pad_id=self.pad_id, device=self.device)

    @property
    def pad_id(self) -> int:
        """The configured pad id; any id serves, since padding is masked and never read."""
        return max(int(self.model.config.get_text_config().pad_token_id or 0), 0)  # some configurations say -1

    def _index(self, at: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(at)).to(self.device)


def open_gate(model: Any) -> Gate:
    """Gate, then probe; leaves the tree attention installed where both pass and the model as it was where not."""
    from plaudit.engine.probe import probe

    gate = static_gate(model)
    if not gate.open:
        return gate
    before = model.config._attn_implementation
    if before == attention.NAME:
        return Gate(True)  # it passed when it was installed
    gate = Gate(False)
    try:
        model.set_attn_implementation(attention.NAME)
        called = call_gate(model)
        gate = probe(model, plain=before) if called.open else called
    except (ValueError, ImportError, RuntimeError, TypeError, IndexError) as error:
        gate = Gate(False, f"{model.config.model_type}: the probe failed: {first_line(error):.160}")
    finally:  # also when the probe is interrupted
        if not gate.open:
            model.set_attn_implementation(before)
    return gate


def install_head(model: Any) -> Any:
    """Puts a `ReadHead` with the same parameters into the `score` slot of a classification model.

    Returns:
        The model, changed in place; a model without a linear `score` (encoders) is returned as it is.
    """
    score = getattr(model, "score", None)
    if isinstance(score, torch.nn.Linear) and not isinstance(score, ReadHead):
        model.score = ReadHead.replace(score)
    return model


def has_read_head(model: Any) -> bool:
    """Whether the model, or the model inside its wrapper, has a head that is read at positions."""
    return any(isinstance(m, ReadHead | NetworkHead) for m in model.modules())


def check_sequences(sequences: Sequences) -> None:
    """Refuses what no path can run.

    Raises:
        InputError: if there is no sequence, or one is empty.
    """
    if not len(sequences):
        raise InputError("engine: no sequences; give at least one")
    for i, ids in enumerate(sequences):
        if not len(ids):
            raise InputError(f"engine: sequence {i} is empty; every sequence needs at least one token")


def padded_batches(
    sequences: Sequences, *, budget: int, pad_id: int, device: torch.device | str
) -> Iterator[PaddedBatch]:
    """Length-sorted, right-padded batches of at most `budget` padded tokens.

    Raises:
        InputError: if a sequence is empty.
    """
    arrays = [np.asarray(s, dtype=np.int64) for s in sequences]
    for i, a in enumerate(arrays):
        if not a.size:
            raise InputError(f"padded batch: sequence {i} is empty; every sequence needs at least one token")
    order = sorted(range(len(arrays)), key=lambda i: (arrays[i].size, i))
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * arrays[order[stop]].size <= budget:
            stop += 1
        members = order[start:stop]
        width = arrays[members[-1]].size
        ids = np.full((len(members), width), pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, m in enumerate(members):
            ids[row, : arrays[m].size] = arrays[m]
            mask[row, : arrays[m].size] = 1
        yield PaddedBatch(
            torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device), np.array(members),
            tuple(int(arrays[m].size) for m in members),
        )  # fmt: skip
        start = stop
